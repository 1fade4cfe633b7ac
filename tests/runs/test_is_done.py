"""Whether a checkpoint has all images that a run asks for, under any name."""

import pytest
import torch
from omegaconf import OmegaConf

from stylegan.runs.resume import is_done


@pytest.mark.parametrize("name", ["kimg0000000.008.ckpt", "final.ckpt"])
def test_it_is_known_before_anything_is_loaded(tmp_path, name):
    path = tmp_path / name
    torch.save({"state_dict": {"images_seen": torch.tensor(8), "weight": torch.ones(3)}}, path)
    assert is_done(OmegaConf.create({"total_kimg": 0.008}), path)
    assert not is_done(OmegaConf.create({"total_kimg": 0.012}), path)


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [1], None])
def test_a_file_that_does_not_tell_is_left_to_the_training(tmp_path, content):
    path = tmp_path / "other.ckpt"
    torch.save(content, path)
    assert not is_done(OmegaConf.create({"total_kimg": 0.008}), path)
    path.write_bytes(b"nonsense")
    assert not is_done(OmegaConf.create({"total_kimg": 0.008}), path)
