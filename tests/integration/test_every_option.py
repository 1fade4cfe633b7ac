"""Every file of every group is composed and built whole, as the commands build it.

`tests/configuration/test_groups.py` looks at what single groups promise; here no group and no file can be forgotten,
since they are read from the folder.
"""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Checkpoint

from stylegan.cli.generate import main as generate
from stylegan.configuration.compose import composed
from stylegan.images import save_png
from stylegan.interop.checkpoint import save_generator
from stylegan.networks import Generator
from tests.configuration.completing import completed_from, labelled

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(path.relative_to(CONF) for path in CONF.glob("*/**/*.yaml"))
OF_TRAINING = [file for file in FILES if file.parts[0] != "task"]
# What several tasks begin with, in `task/parts`, is part of each of them.
OF_DRAWING = [file for file in FILES if file.parts[0] == "task" and len(file.parts) == 2]
# All layers are there, with fewer feature maps: what is built should not take seconds.
NARROW = ["generator.channel_max=16", "discriminator.channel_max=16"]
# What the user must say, where a file leaves it open.
NEEDED = {
    "data/folder.yaml": ["data.path=pictures.zip"],
    # As if one process alone had been started.
    "trainer/ddp.yaml": ["trainer.devices=1"],
    "trainer/slurm.yaml": ["trainer.devices=1"],
    "task/blend.yaml": ["high=runs/a/checkpoints/kimg0000000.016.safetensors", "unrelated=true", "seeds=0"],
    "task/directions.yaml": ["find=sefa", "count=1", "seeds=0", "samples=8"],
    "task/interpolation.yaml": ["duration_sec=0.1"],
    "task/projection.yaml": ["target=small.png", "steps=2"],
    "task/time_lapse.yaml": ["network=runs/a/checkpoints/kimg0000000.016.safetensors", "seeds=0"],
}


def test_every_group_belongs_to_a_command():
    groups = {file.parts[0] for file in FILES}
    chosen = {*composed("train").choices, *composed("generate").choices}
    assert groups and groups <= chosen
    deeper = {file.parent.as_posix() for file in FILES if len(file.parts) > 2}
    assert deeper == {"task/parts"}, "groups are one level deep"


@pytest.mark.parametrize("file", OF_TRAINING, ids=Path.as_posix)
def test_a_training_with_this_file_can_be_built(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    composition = composed("train", [f"{file.parent}={file.stem}", *NARROW, *NEEDED.get(file.as_posix(), [])])
    assert composition.choices[str(file.parent)] == file.stem
    config = labelled(completed_from(composition).config)
    # Nothing is left open.
    resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert None not in [*resolved["loss"].values(), *resolved["optim"].values(), resolved["batch_size"]]
    instantiate(config.data, _convert_="all")
    module = instantiate(config.module)
    assert module.generator.size == module.discriminator.size
    callbacks = [instantiate(node) for node in config.callbacks.values()]
    loggers = [instantiate(node) for node in config.logger.values()]
    config.trainer.accelerator = "cpu"  # a machine without the real one refuses it
    saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
    trainer = instantiate(
        config.trainer, callbacks=callbacks, logger=loggers or False, enable_checkpointing=saves
    )
    assert trainer.max_steps == -1 and trainer.max_epochs == -1
    if "wandb" not in config.logger:  # its logger makes its folder at once
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", OF_DRAWING, ids=Path.as_posix)
def test_a_task_draws(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = dict(z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4)
    save_generator("small.safetensors", Generator(resolution=8, **small))
    # A run with two networks that it has kept.
    Path("runs/a/checkpoints").mkdir(parents=True)
    for kimg in ("0000000.008", "0000000.016"):
        save_generator(f"runs/a/checkpoints/kimg{kimg}.safetensors", Generator(resolution=8, **small))
    save_png("small.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    needed = NEEDED.get(file.as_posix(), [])
    network = [] if any(word.startswith("network=") for word in needed) else ["network=small.safetensors"]
    assert generate([f"task={file.stem}", *network, "out=out", *needed]) == 0
    assert any(tmp_path.joinpath("out").iterdir())
