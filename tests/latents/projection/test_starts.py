"""Where a search starts, and labels that are given, tried or found: planted ones come out."""

import pytest
import torch

from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents
from stylegan.latents.projection.losses import MultiScale
from stylegan.latents.projection.schedule import Schedule
from stylegan.latents.projection.search import SearchSettings
from stylegan.latents.projection.starts import Starts, parse_start
from stylegan.latents.seeds import latents_of
from tests.latents.projection.small import make_generator, pictures_of


def starts(generator, text="mean", steps=100):
    drawer = Drawer(generator, device="cpu", precision="fp32", noise_mode="none")
    settings = SearchSettings(schedule=Schedule(steps=steps))
    return Starts(drawer, parse_start(text), loss=MultiScale(), settings=settings)


def first_ws(generator, text, targets, label=None):
    return starts(generator, text).first_ws(targets, [label] * len(targets), None, range(len(targets)))


@pytest.mark.parametrize(("text", "best_of"), [("best of 64", 64), ("Best  of 1", 1), ("mean", 0), (None, 0)])
def test_words_of_a_start(text, best_of):
    assert parse_start(text).best_of == best_of and parse_start(text).points == ()


@pytest.mark.parametrize("text", ["best of 0", "best", "median", "nothing.npz", ""])
def test_other_words_are_one_line(text):
    with pytest.raises(ValueError, match="start") as caught:
        parse_start(text)
    assert "\n" not in str(caught.value)


def test_a_seed_and_a_file_are_latents(tmp_path):
    generator = make_generator()
    targets = pictures_of(generator, range(2))
    (ws,) = first_ws(generator, 5, targets[:1])
    z = latents_of([5], generator.z_dim)
    torch.testing.assert_close(ws, generator.mapping(z, track_average=False)[0])
    own = torch.randn(2, generator.num_ws, 8)
    write_latents(tmp_path / "a.npz", w=own)
    assert torch.equal(first_ws(generator, str(tmp_path / "a.npz"), targets), own)


def test_the_best_of_some_seeds_is_the_one_that_drew_the_picture():
    generator = make_generator()
    targets = pictures_of(generator, [11, 3])
    ws = first_ws(generator, "best of 16", targets)
    expected = first_ws(generator, "11,3", targets)
    assert torch.equal(ws, expected)


@pytest.fixture(scope="module")
def conditional():
    generator = make_generator(c_dim=3, label_names=["fox", "dog", "cat"])
    with torch.no_grad():
        # Classes that are far apart.
        generator.mapping.embed.weight.mul_(3)
    return generator


def test_a_given_label_is_that_of_every_picture(conditional):
    found = starts(conditional).labels("dog", pictures_of(conditional, range(2), torch.eye(3)[0]), None)
    assert [(name, label.tolist()) for name, label in found] == [("dog", [0, 1, 0])] * 2


def test_labels_are_tried_and_the_right_one_is_taken(conditional):
    classes = [2, 0, 1]
    targets = torch.cat([pictures_of(conditional, [4], torch.eye(3)[number]) for number in classes])
    found = starts(conditional, "best of 8", steps=30).labels("all", targets, None)
    assert [name for name, _ in found] == ["cat", "fox", "dog"]


def test_a_mixture_is_found_on_the_simplex(conditional):
    mixture = torch.tensor([0.7, 0.0, 0.3])
    target = pictures_of(conditional, [2], mixture)
    ((name, label),) = starts(conditional, steps=240).labels("find", target, None)
    assert float(label.sum()) == pytest.approx(1, abs=1e-5) and float(label.min()) >= 0
    assert int(label.argmax()) == 0 and "fox" in name.split("+")[0]


def test_a_label_that_is_none_is_refused_before_any_work(conditional):
    with pytest.raises(ValueError, match="label"):
        starts(conditional).check("wolf")
    starts(conditional).check("find")
    with pytest.raises(ValueError, match="trained without labels"):
        starts(make_generator()).check("find")
