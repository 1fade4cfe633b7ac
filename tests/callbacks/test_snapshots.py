"""Grids: every cell can be drawn again by its seed, and training does not notice that anyone looked."""

import json
import os
import random
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch

from callbacks import SnapshotGrid
from callbacks.snapshots import are_classes, draw, grid_labels
from datamodules import FlowersData
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


def test_a_conditional_run_shows_a_row_a_class(tmp_path):
    """Column j has one seed in all rows, as with `label=all`, and the reals have the same rows."""
    module, data = tiny_module(total_images=4, c_dim=6), tiny_data(c_dim=6)
    fit(module, [grid(tmp_path)], data=data)
    path = tmp_path / "snapshots" / "fakes_kimg0000000.004.png"
    text = read_png_text(path)
    assert text["seeds"] == "5-7" and json.loads(text["classes"]) == [str(n) for n in range(6)]
    for i, cell in enumerate(cells(path, rows=6)):
        want = drawn_alone(module.generator_ema, 5 + i % 3, torch.eye(6)[i // 3][None])
        assert np.abs(cell - want).max() <= 1
    images, labels = data.preview(40)
    by_pixels = {
        image.numpy().tobytes(): int(label.argmax()) for image, label in zip(images, labels, strict=True)
    }
    for i, cell in enumerate(cells(tmp_path / "snapshots" / "reals.png", rows=6)):
        assert by_pixels[cell.transpose(2, 0, 1).astype(np.uint8).tobytes()] == i // 3


def test_a_class_without_pictures_is_white():
    data = tiny_data(c_dim=6, num_items=1)
    data.setup()
    images = data.preview_of_classes(6, 2)
    (own,) = data.labels(torch.tensor([0])).argmax(1).tolist()
    for number in range(6):
        assert (images[2 * number : 2 * number + 2] == 255).all() == (number != own)


@pytest.mark.parametrize(
    ("classes", "rows", "shown"), [(3, 8, 3), (9, 8, 9), (40, 8, 32), (40, 36, 36), (0, 8, 0), (1, 8, 0)]
)
def test_all_classes_are_shown_within_reason(tmp_path, classes, rows, shown):
    module = SimpleNamespace(generator_ema=SimpleNamespace(c_dim=classes))
    assert grid(tmp_path, rows=rows)._classes(module) == shown


def test_labels_that_are_not_one_class_are_those_of_the_reals(tmp_path, monkeypatch):
    monkeypatch.setattr(
        FlowersData, "preview", lambda self, count: (torch.zeros(count, 3, 8, 8, dtype=torch.uint8), several)
    )
    several = torch.tensor([[1.0, 1, 0, 0, 0, 0], [0, 0, 0.5, 0, 0, 0]])
    module = tiny_module(total_images=4, c_dim=6)
    fit(module, [grid(tmp_path)], data=tiny_data(c_dim=6))
    path = tmp_path / "snapshots" / "fakes_kimg0000000.004.png"
    labels = several[[0, 1, 0, 1, 0, 1]]
    assert json.loads(read_png_text(path)["labels"]) == labels.tolist()
    for i, cell in enumerate(cells(path)):
        want = drawn_alone(module.generator_ema, 5 + i, labels[i][None])
        assert np.abs(cell - want).max() <= 1


def test_labels_of_cells():
    reals = torch.eye(3)[[1, 2, 0, 1]]
    assert grid_labels(reals, 6, 3).tolist() == torch.eye(3)[[1, 2, 0, 1, 1, 2]].tolist()
    assert grid_labels(torch.zeros(2, 0), 3, 0).shape == (3, 0)
    assert are_classes(reals) and not are_classes(reals * 0.5) and not are_classes(1 - reals)


def test_a_seed_gives_the_same_image_at_every_place():
    generator = tiny_generator()
    everything = draw(generator, range(100, 137), torch.zeros(37, 0), truncation=1.0)
    assert everything.shape == (37, 3, 8, 8) and everything.dtype == torch.uint8
    for place in range(37):
        alone = draw(generator, [100 + place], torch.zeros(1, 0), truncation=1.0)
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
    images = draw(generator, range(20), torch.zeros(20, 0), truncation=0.7)
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
        draw(generator, [0], torch.zeros(1, 0), truncation=1.0)
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
