"""A video in which the network changes."""

import pytest
import torch

from stylegan.latents.drawer import Drawer
from stylegan.latents.interpolation import Scene, loops_of_seeds
from stylegan.latents.network_track import BetweenNetworks, with_relative
from stylegan.latents.tasks.interpolation import Interpolation
from stylegan.latents.timeline import read_timeline
from stylegan.networks.digest import weights_sha256
from tests.latents.networks import fine_tuned, make_generator

LOW = make_generator(channel_base=1024, channel_max=32)
HIGH = fine_tuned(LOW)
# From one network to the other in 4 frames, and there it stays.
TIMELINE = "network:\n- {time_sec: 0, value: 0}\n- {time_sec: 1, value: 1}\n"


def drawer_of(network):
    return Drawer(network, device="cpu", precision="fp32", truncation=0.7, open_other=lambda name, key: HIGH)


def walk(drawer, timeline=None):
    scene = Scene(rate=4, **({} if timeline is None else {"timeline": timeline}))
    return loops_of_seeds(drawer, [3, 5], duration_sec=2, smoothing_sec=0.5, scene=scene)


@pytest.fixture
def timeline(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(TIMELINE)
    return path


def test_each_frame_is_drawn_by_the_network_of_its_moment(timeline):
    drawer, relatives = with_relative(drawer_of(LOW), "high")
    video = walk(drawer, read_timeline(str(timeline)))
    assert [video.network_weight(frame) for frame in range(8)] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    frames = BetweenNetworks(video, relatives, video.network_weight)
    found = torch.cat(list(frames.draw(0, 8)))
    low, high = (torch.cat(list(walk(drawer_of(network)).draw(0, 8))) for network in (LOW, HIGH))
    assert found.shape == low.shape == (8, 3, *frames.size)
    assert torch.equal(found[0], low[0])
    assert torch.equal(found[4:], high[4:])
    assert not any(torch.equal(found[frame], other[frame]) for frame in (1, 2, 3) for other in (low, high))
    assert torch.equal(torch.cat(list(frames.draw(2, 5))), found[2:5])


def test_the_images_say_which_two_networks_they_are_of():
    drawer, relatives = with_relative(drawer_of(LOW), "high")
    assert drawer.text["weights"] == weights_sha256(LOW)
    assert drawer.text["high"] == weights_sha256(HIGH)
    assert drawer.text["cosine"] == f"{relatives.cosine:.4f}"


def test_a_stranger_is_refused_unless_told():
    stranger = make_generator(9, channel_base=1024, channel_max=32)
    drawer = Drawer(LOW, device="cpu", open_other=lambda name, key: stranger)
    with pytest.raises(ValueError, match="no common ancestor"):
        with_relative(drawer, "stranger")
    with_relative(drawer, "stranger", unrelated=True)


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
