"""The video of the task blend, frame by frame."""

import pytest
import torch

from stylegan.latents.blending import Relatives
from stylegan.latents.drawer import Drawer
from stylegan.latents.points import parse_points
from stylegan.latents.style_mixing import drawn, styles_of
from stylegan.latents.tasks.blend import BlendFrames
from tests.latents.networks import fine_tuned, make_generator

LOW = make_generator()
HIGH = fine_tuned(LOW)


def drawer_of(network, **options):
    return Drawer(network, **({"device": "cpu", "precision": "fp32", "truncation": 0.7} | options))


def frames_of(drawer, seeds="4,2,4", count=8):
    return BlendFrames(drawer, Relatives(LOW, HIGH), parse_points(seeds), count=count, fill="red")


def images(drawer, seeds="4,2,4"):
    return torch.cat(list(drawn(drawer, styles_of(drawer, parse_points(seeds)))))


@pytest.mark.parametrize("options", [{}, {"noise_mode": "random"}, {"center": "5"}])
def test_it_begins_as_the_one_network_and_is_the_other_half_way(options):
    frames = frames_of(drawer_of(LOW, **options))
    assert (frames.count, frames.size) == (8, (64, 64))
    for frame, network in ((0, LOW), (4, HIGH)):
        (found,) = frames.draw(frame, frame + 1)
        expected = images(drawer_of(network, **options))
        cells = found[0].reshape(3, 2, 32, 2, 32).permute(1, 3, 0, 2, 4).flatten(0, 1)
        assert torch.equal(cells[:3], expected)
        assert (cells[3] == torch.tensor([255, 0, 0])[:, None, None]).all()


def test_a_part_is_the_same_as_in_the_whole_and_the_way_back_is_the_way_there():
    frames = frames_of(drawer_of(LOW))
    whole = torch.cat(list(frames.draw(0, 8)))
    assert torch.equal(torch.cat(list(frames.draw(5, 7))), whole[5:7])
    for frame in (1, 2, 3):
        difference = (whole[frame].int() - whole[8 - frame].int()).abs()
        assert difference.max() <= 1
    steps = (whole.double() - whole.roll(1, 0).double()).abs().mean(dim=(1, 2, 3))
    assert steps[0] <= 1.01 * steps.max() and (steps > 0).all()
