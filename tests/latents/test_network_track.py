"""A video in which the network changes."""

import pytest
import torch

from stylegan.latents.blending import Relatives, mean_cosine, there_and_back
from stylegan.latents.drawer import Drawer
from stylegan.latents.interpolation import Scene, loops_of_seeds
from stylegan.latents.network_track import (
    BetweenNetworks,
    StillFrames,
    drawer_between,
    open_relative,
    text_of_relatives,
)
from stylegan.latents.points import parse_points
from stylegan.latents.style_mixing import drawn, styles_of
from stylegan.latents.tasks.interpolation import Interpolation
from stylegan.latents.timeline import read_timeline
from stylegan.networks.digest import weights_sha256
from tests.latents.networks import fine_tuned, make_generator

LOW = make_generator(resolution=16, channel_base=512, channel_max=32)
HIGH = fine_tuned(LOW)
# From one network to the other in 4 frames, and there it stays.
TIMELINE = "network:\n- {time_sec: 0, value: 0}\n- {time_sec: 1, value: 1}\n"


def drawer_of(network, **options):
    return Drawer(network, **({"device": "cpu", "precision": "fp32", "truncation": 0.7} | options))


def walk(drawer, timeline=None):
    scene = Scene(rate=4, **({} if timeline is None else {"timeline": timeline}))
    return loops_of_seeds(drawer, [3, 5], duration_sec=2, smoothing_sec=0.5, scene=scene)


@pytest.fixture
def timeline(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(TIMELINE)
    return path


@pytest.mark.parametrize("options", [{}, {"center": "5"}, {"noise_mode": "random"}])
def test_each_frame_is_drawn_by_the_network_of_its_moment(timeline, options):
    relatives = Relatives(LOW, HIGH)
    drawer = drawer_between(drawer_of(LOW, **options), relatives)
    video = walk(drawer, read_timeline(str(timeline)))
    assert [video.network_weight(frame) for frame in range(8)] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    frames = BetweenNetworks(video, drawer, relatives, video.network_weight)
    found = torch.cat(list(frames.draw(0, 8)))
    low, high = (torch.cat(list(walk(drawer_of(network, **options)).draw(0, 8))) for network in (LOW, HIGH))
    assert found.shape == low.shape == (8, 3, *frames.size)
    assert torch.equal(found[0], low[0])
    assert torch.equal(found[4:], high[4:])
    assert not any(torch.equal(found[frame], other[frame]) for frame in (1, 2, 3) for other in (low, high))
    assert torch.equal(torch.cat(list(frames.draw(2, 5))), found[2:5])


def test_it_says_which_two_networks_it_is_of(capsys):
    drawer = drawer_of(LOW, open_other=lambda name, key: {("foxes", "high"): HIGH}[name, key])
    other = open_relative(drawer, "foxes")
    assert other is HIGH
    cosine = mean_cosine(LOW, HIGH)
    assert f"cosine of the weights: {cosine:.3f}" in capsys.readouterr().out
    assert text_of_relatives(LOW, other) == {"high": weights_sha256(HIGH), "cosine": f"{cosine:.4f}"}


def test_a_stranger_is_refused_unless_told():
    stranger = make_generator(9, resolution=16, channel_base=512, channel_max=32)
    drawer = drawer_of(LOW, open_other=lambda name, key: stranger)
    with pytest.raises(ValueError, match="^high=stranger: these networks have no common ancestor"):
        open_relative(drawer, "stranger")
    assert open_relative(drawer, "stranger", unrelated=True) is stranger


@pytest.mark.parametrize("options", [{"center": "clusters:2"}, {"canvas": "32x16"}, {"layer": "b8.conv1"}])
def test_what_belongs_to_the_weights_of_one_network_is_refused(options):
    (key,) = options
    with pytest.raises(ValueError, match=f"^{key}={options[key]}: "):
        drawer_between(drawer_of(LOW, **options), Relatives(LOW, HIGH))


def test_a_track_needs_a_network_and_a_network_a_track(timeline, tmp_path):
    with pytest.raises(ValueError, match="^high is missing: a track network passes into another network"):
        Interpolation(seeds=1, timeline=str(timeline))
    with pytest.raises(ValueError, match="^high=runs/foxes: nothing passes into it"):
        Interpolation(seeds=1, high="runs/foxes")
    Interpolation(seeds=1, high="runs/foxes", timeline=str(timeline))
    wave = tmp_path / "wave.yaml"
    wave.write_text("network:\n  wave: {low: 0, high: 1, times: 1}\n")
    with pytest.raises(ValueError, match="one network draws all cells, so there is no wave over them"):
        Interpolation(seeds=1, high="runs/foxes", timeline=str(wave))


def there_and_back_again(drawer, seeds="4,2,4", count=8):
    relatives = Relatives(LOW, HIGH)
    between = drawer_between(drawer, relatives)
    still = StillFrames(between, parse_points(seeds), count=count, fill="red")
    return BetweenNetworks(still, between, relatives, lambda frame: there_and_back(frame, count))


def images(drawer, seeds="4,2,4"):
    return torch.cat(list(drawn(drawer, styles_of(drawer, parse_points(seeds)))))


@pytest.mark.parametrize("options", [{}, {"noise_mode": "random"}, {"center": "5"}])
def test_it_begins_as_the_one_network_and_is_the_other_half_way(options):
    frames = there_and_back_again(drawer_of(LOW, **options))
    assert (frames.count, frames.size) == (8, (32, 32))
    for frame, network in ((0, LOW), (4, HIGH)):
        (found,) = frames.draw(frame, frame + 1)
        expected = images(drawer_of(network, **options))
        cells = found[0].reshape(3, 2, 16, 2, 16).permute(1, 3, 0, 2, 4).flatten(0, 1)
        assert torch.equal(cells[:3], expected)
        assert (cells[3] == torch.tensor([255, 0, 0])[:, None, None]).all()


def test_a_part_is_the_same_as_in_the_whole_and_the_way_back_is_the_way_there():
    frames = there_and_back_again(drawer_of(LOW))
    whole = torch.cat(list(frames.draw(0, 8)))
    assert torch.equal(torch.cat(list(frames.draw(5, 7))), whole[5:7])
    for frame in (1, 2, 3):
        difference = (whole[frame].int() - whole[8 - frame].int()).abs()
        assert difference.max() <= 1
    steps = (whole.double() - whole.roll(1, 0).double()).abs().mean(dim=(1, 2, 3))
    assert steps[0] <= 1.01 * steps.max() and (steps > 0).all()
