"""Grids: every cell can be drawn again by its seed, and training does not notice that anyone looked."""

import json
import os
import random

import numpy as np
import PIL.Image
import pytest
import torch

from callbacks import SnapshotGrid
from callbacks.snapshots import draw, grid_labels
from stylegan.images import read_png_text, to_uint8
from tests.callbacks.tiny_run import fit, idle_module, iterate, tiny_data, tiny_generator, tiny_module


def grid(tmp_path, **options) -> SnapshotGrid:
    return SnapshotGrid(
        **{"every_kimg": 0.010, "folder": tmp_path, "columns": 3, "rows": 2, "seed": 5, **options}
    )


def cells(path, columns=3, rows=2) -> list[np.ndarray]:
    pixels = np.asarray(PIL.Image.open(path))
    assert pixels.shape == (8 * rows, 8 * columns, 3)
    return [
        pixels[8 * r : 8 * r + 8, 8 * c : 8 * c + 8].astype(int) for r in range(rows) for c in range(columns)
    ]


def drawn_alone(generator, seed, c=None, truncation=1.0) -> np.ndarray:
    z = torch.from_numpy(np.random.RandomState(seed).randn(1, 8)).float()
    with torch.no_grad():
        image = to_uint8(generator.eval()(z, c, truncation=truncation, noise_mode="const"))
    return image[0].permute(1, 2, 0).numpy().astype(int)


def test_files_of_a_run(tmp_path):
    data = tiny_data()
    fit(idle_module(total_images=28), [grid(tmp_path)], data=data)
    fakes = [f"fakes_kimg0000000.{images:03d}.png" for images in (0, 12, 20, 28)]
    assert sorted(os.listdir(tmp_path / "snapshots")) == [*fakes, "reals.png"]
    reals, _ = data.preview(6)
    for real, cell in zip(reals, cells(tmp_path / "snapshots" / "reals.png"), strict=True):
        assert (cell == real.permute(1, 2, 0).numpy()).all()
    assert read_png_text(tmp_path / "snapshots" / fakes[1]) == {
        "seeds": "5-10",
        "kimg": "0.012",
        "truncation": "1",
        "noise_mode": "const",
    }


@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_every_cell_is_the_ema_generators_image_of_its_seed(tmp_path, truncation):
    module = tiny_module(total_images=12)
    fit(module, [grid(tmp_path, truncation=truncation)])
    shown = cells(tmp_path / "snapshots" / "fakes_kimg0000000.012.png")
    live = 0
    for i, cell in enumerate(shown):
        want = drawn_alone(module.generator_ema, 5 + i, truncation=truncation)
        assert np.abs(cell - want).max() <= 1  # float32 sums of another batch size
        live += np.abs(cell - drawn_alone(module.generator, 5 + i, truncation=truncation)).max()
    assert live > 2 * len(shown)
    assert np.abs(shown[0] - shown[1]).max() > 2


def test_fakes_have_the_labels_of_the_reals(tmp_path):
    module, data = tiny_module(total_images=4, c_dim=6), tiny_data(c_dim=6, num_items=4)
    fit(module, [grid(tmp_path)], data=data)
    path = tmp_path / "snapshots" / "fakes_kimg0000000.004.png"
    _, labels = data.preview(6)
    assert json.loads(read_png_text(path)["labels"]) == labels.tolist()
    for i, cell in enumerate(cells(path)):
        want = drawn_alone(module.generator_ema, 5 + i, labels[i][None])
        assert np.abs(cell - want).max() <= 1


def test_labels_of_fewer_reals_than_cells_are_used_in_turn():
    reals = torch.eye(3)[[1, 2, 0, 1]]
    assert grid_labels(reals, 6, 3).tolist() == torch.eye(3)[[1, 2, 0, 1, 1, 2]].tolist()


def test_labels_without_reals_cycle_through_the_classes():
    assert grid_labels(None, 5, 3).tolist() == torch.eye(3)[[0, 1, 2, 0, 1]].tolist()
    assert grid_labels(torch.zeros(2, 0), 3, 0).shape == (3, 0)


def test_a_seed_gives_the_same_image_at_every_place():
    generator = tiny_generator()
    everything = draw(generator, 100, torch.zeros(37, 0), truncation=1.0)
    assert everything.shape == (37, 3, 8, 8) and everything.dtype == torch.uint8
    for place in range(37):
        alone = draw(generator, 100 + place, torch.zeros(1, 0), truncation=1.0)
        assert torch.equal(everything[place], alone[0]), place


def test_training_does_not_notice(tmp_path):
    def after_training(callbacks):
        module = tiny_module(total_images=40)
        fit(module, callbacks)
        return {**module.state_dict(), "global generator": torch.get_rng_state()}

    watched, alone = after_training([grid(tmp_path)]), after_training([])
    assert len(os.listdir(tmp_path / "snapshots")) == 6
    for name, tensor in alone.items():
        assert torch.equal(watched[name], tensor), name


def test_nothing_of_the_generator_or_the_random_state_changes():
    generator = tiny_generator()
    generator.train()
    generator.synthesis.eval()  # a mixture, which a plain .train() would level
    generator.mapping.requires_grad_(False)
    before = {
        "modes": [module.training for module in generator.modules()],
        "grads": [p.requires_grad for p in generator.parameters()],
        "state": {name: tensor.clone() for name, tensor in generator.state_dict().items()},
        "torch": torch.get_rng_state().clone(),
        "numpy": np.random.get_state()[1].copy(),
        "python": random.getstate(),
    }
    seen = []
    handles = [m.register_forward_hook(lambda m, *_: seen.append(m.training)) for m in generator.modules()]
    images = draw(generator, 0, torch.zeros(20, 0), truncation=0.7)
    for handle in handles:
        handle.remove()
    assert seen and not any(seen)  # eval mode inside, as for every later use of the network
    assert not images.requires_grad and torch.is_grad_enabled()
    assert [module.training for module in generator.modules()] == before["modes"]
    assert [p.requires_grad for p in generator.parameters()] == before["grads"]
    assert all(p.grad is None for p in generator.parameters())
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before["state"][name]), name
    assert torch.equal(torch.get_rng_state(), before["torch"])
    assert (np.random.get_state()[1] == before["numpy"]).all()
    assert random.getstate() == before["python"]


def test_modes_come_back_after_a_failure(monkeypatch):
    generator = tiny_generator().train()
    monkeypatch.setattr(generator.synthesis, "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw(generator, 0, torch.zeros(1, 0), truncation=1.0)
    assert all(module.training for module in generator.modules()) and torch.is_grad_enabled()


def test_a_run_that_continues_writes_neither_the_start_nor_the_reals_again(tmp_path):
    callback, module = grid(tmp_path), idle_module(total_images=8)
    iterate(module)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "reals.png").write_bytes(b"of before")
    fit(module, [callback])
    assert sorted(os.listdir(tmp_path / "snapshots")) == ["fakes_kimg0000000.008.png", "reals.png"]
    assert (tmp_path / "snapshots" / "reals.png").read_bytes() == b"of before"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"every_kimg": 0}, "^every_kimg must be"),
        ({"columns": 0}, "^columns must be at least 1, got 0"),
        ({"seed": -1}, "^seed must be between 0 and 4294967290, .*got -1"),
        ({"seed": 2**32 - 5}, "^seed must be"),
    ],
)
def test_values_out_of_range_are_refused_by_name(tmp_path, options, named):
    with pytest.raises(ValueError, match=named):
        grid(tmp_path, **options)
