"""Pivotal tuning and its small file: nearer pictures, the base as it was, and the same pixels from base and file."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from stylegan.images import to_float, to_uint8
from stylegan.latents.projection.difference import apply_difference, write_difference
from stylegan.latents.projection.losses import MultiScale
from stylegan.latents.projection.tuning import Tuner, Tuning
from stylegan.networks.digest import weights_sha256
from tests.latents.projection.small import make_generator, pictures_of


def tuner(settings, seeds=(1, 2), labels=None, **options):
    generator = make_generator(**options)
    with torch.no_grad():
        z = torch.randn(len(seeds), 8, generator=torch.Generator().manual_seed(3))
        ws = generator.mapping(z, labels, track_average=False)
    targets = pictures_of(make_generator(seed=9, **options), seeds, None if labels is None else labels[0])
    spread = torch.full((len(seeds),), 2.0)
    settings = Tuning(**{"learning_rate": 5e-3, **settings})
    return Tuner(
        generator, targets, ws, {}, loss=MultiScale(), settings=settings, spread=spread, labels=labels
    )


def test_pictures_come_nearer_and_the_base_stays():
    run = tuner({"steps": 12})
    before = weights_sha256(run.base)
    rounds = list(run.rounds())
    assert [each.number for each in rounds] == list(range(1, 13))
    assert (rounds[-1].losses < 0.8 * rounds[0].losses).all()
    assert weights_sha256(run.base) == before != weights_sha256(run.generator)
    assert not any(value.requires_grad for value in run.generator.parameters())
    # The latents of everything else stay those of the base.
    assert all(
        torch.equal(a, b)
        for a, b in zip(run.base.mapping.parameters(), run.generator.mapping.parameters(), strict=True)
    )


def test_it_ends_at_the_target_loss():
    losses = [float(each.losses.max()) for each in tuner({"steps": 12}).rounds()]
    goal = losses[6]
    rounds = list(tuner({"steps": 12, "target_loss": goal}).rounds())
    assert len(rounds) == 1 + next(place for place, loss in enumerate(losses) if loss <= goal)


def test_the_first_step_is_that_of_the_losses_it_names():
    """Adam's first step is the rate times the sign of the gradient of mean squared error plus distance."""
    run = tuner({"steps": 1, "locality": 0}, seeds=(1,))
    twin = copy.deepcopy(run.base)
    parameters = dict(twin.synthesis.named_parameters())
    for value in parameters.values():
        value.requires_grad_()
    target = to_float(run.targets)
    images = twin.synthesis(run.ws, noise_mode="none")
    loss = MultiScale()
    off = (loss.embedding(images) - loss.embedding(target)).square().sum() + (images - target).square().mean()
    gradient = dict(
        zip(parameters, torch.autograd.grad(off, parameters.values(), allow_unused=True), strict=True)
    )
    list(run.rounds())
    moved = dict(run.generator.synthesis.named_parameters())
    for name in ("b8.conv1.weight", "b4.const", "b8.torgb.bias"):
        large = gradient[name].abs() > 1e-4
        step = (moved[name] - parameters[name].detach())[large]
        torch.testing.assert_close(step, -5e-3 * gradient[name][large].sign(), rtol=2e-2, atol=0)


def test_locality_keeps_other_seeds_nearer():
    changes = {}
    for locality in (0, 10):
        run = tuner({"steps": 15, "locality": locality})
        list(run.rounds())
        seeds = range(100, 116)
        before, after = (to_float(pictures_of(each, seeds)) for each in (run.base, run.generator))
        changes[locality] = float((after - before).square().mean())
    assert changes[10] < 0.7 * changes[0]


def test_labels_go_to_the_locality_term():
    run = tuner({"steps": 2, "locality": 1}, labels=torch.eye(2), c_dim=2)
    assert len(list(run.rounds())) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "tuning_steps must"),
        ({"locality": -1}, "locality must"),
        ({"target_loss": -1}, "target_loss must"),
    ],
)
def test_a_wrong_number_is_named(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        Tuning(**wrong)


@pytest.fixture
def tuned(tmp_path):
    """Base, tuned copy, and the file of the difference."""
    run = tuner({"steps": 5})
    list(run.rounds())
    path = tmp_path / "tuned.safetensors"
    write_difference(path, run.base, run.generator, text={"target": "a.png"}, dtype=torch.float32)
    return run.base, run.generator, path


def test_base_and_file_draw_what_the_tuned_one_draws(tuned):
    base, other, path = tuned
    again = copy.deepcopy(base)
    assert apply_difference(again, path) == {"target": "a.png"}
    ws = other.mapping(torch.ones(1, 8), track_average=False)
    images = [to_uint8(each.synthesis(ws, noise_mode="none")) for each in (other, again, base)]
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])


def test_half_the_bytes_draw_almost_the_same(tuned, tmp_path):
    base, other, whole = tuned
    path = tmp_path / "half.safetensors"
    write_difference(path, base, other)
    again = copy.deepcopy(base)
    apply_difference(again, path)
    ws = other.mapping(torch.ones(1, 8), track_average=False)
    off = other.synthesis(ws, noise_mode="none") - again.synthesis(ws, noise_mode="none")
    assert off.abs().max() < 1 / 127.5
    deltas, halves = (sum(value.nbytes for value in load_file(each).values()) for each in (whole, path))
    assert halves * 2 == deltas


def test_only_what_changed_is_in_the_file(tuned):
    base, other, path = tuned
    assert not any(name.startswith("mapping") for name in load_file(path))
    assert set(load_file(path)) <= set(base.state_dict())


def test_another_network_refuses_it_and_stays_as_it_is(tuned):
    stranger = make_generator(seed=5)
    before = weights_sha256(stranger)
    with pytest.raises(ValueError, match="it belongs to a network with the weights") as caught:
        apply_difference(stranger, tuned[2], name="strangers/kimg1.ckpt")
    assert "strangers/kimg1.ckpt" in str(caught.value) and "\n" not in str(caught.value)
    assert weights_sha256(stranger) == before


def test_what_is_no_difference_is_one_line(tuned, tmp_path):
    base, _, path = tuned
    header = {"format_version": "1", "base_weights": weights_sha256(base)}
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-7])
    files = {
        "missing": (tmp_path / "missing.safetensors", "there is no such file"),
        "cut": (cut, "cannot be read"),
        "text": (tmp_path / "text.safetensors", "cannot be read"),
    }
    (tmp_path / "text.safetensors").write_text("hello")
    bad = {
        "network": ({"a": torch.zeros(1)}, None, "no tuned difference"),
        "newer": ({"a": torch.zeros(1)}, {**header, "format_version": "9"}, "format_version 9"),
        "name": ({"a": torch.zeros(1)}, header, "a does not fit"),
        "shape": ({"synthesis.b4.const": torch.zeros(3)}, header, "does not fit"),
        "nan": ({"synthesis.b4.const": torch.full((8, 4, 4), torch.nan)}, header, "no finite numbers"),
        "provenance": ({}, {**header, "provenance": [1]}, None),
    }
    for name, (tensors, metadata, words) in bad.items():
        files[name] = (tmp_path / f"{name}.safetensors", words)
        stored = {"config": "{}"} if metadata is None else {"tuned difference": json.dumps(metadata)}
        save_file(tensors, files[name][0], metadata=stored)
    before = weights_sha256(base)
    for file, words in files.values():
        if words is None:
            assert apply_difference(base, file) == {}
            continue
        with pytest.raises(ValueError, match=words) as caught:
            apply_difference(base, file)
        assert "\n" not in str(caught.value) and str(caught.value).startswith("tuned=")
    assert weights_sha256(base) == before


def test_provenance_is_text(tmp_path):
    generator = make_generator()
    path = tmp_path / "d.safetensors"
    write_difference(path, generator, generator, text={"target": "schön.png"})
    assert load_file(path) == {}
    assert apply_difference(generator, path) == {"target": "schön.png"}


def test_networks_of_other_sizes_have_no_difference(tmp_path):
    with pytest.raises(ValueError, match="other parameters"):
        write_difference(tmp_path / "d.safetensors", make_generator(), make_generator(resolution=16))
