"""The memory estimate: what is counted, by hand and by the networks themselves."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from stylegan.configuration.compose import composed
from stylegan.training.memory_estimate import MemoryEstimate, count_networks, estimate_memory, memory_line
from tests.configuration.completing import completed_from, labelled


def estimate(overrides) -> MemoryEstimate:
    return estimate_memory(completed_from(composed("train", overrides)).config)


NETWORKS = [
    ["resolution=32", "preset=tiny"],
    ["resolution=[24,80]", "preset=tiny", "data.channels=4", "generator.architecture=resnet"],
    ["resolution=64", "preset=tiny", "discriminator.architecture=skip", "generator.architecture=orig"],
    ["resolution=16", "preset=cifar", "generator.channel_max=24", "discriminator.mbstd_channels=0"],
]


@pytest.mark.parametrize("c_dim", [0, 5])
@pytest.mark.parametrize("overrides", NETWORKS, ids=lambda words: words[0])
def test_parameters_are_counted_exactly(overrides, c_dim):
    composition = composed("train", [*overrides, "discriminator.channel_max=24"])
    config = labelled(completed_from(composition).config, c_dim)
    estimated = estimate_memory(config)
    for network, counted in (("generator", estimated.generator), ("discriminator", estimated.discriminator)):
        built = instantiate(config[network], _convert_="all")
        assert counted == sum(parameter.numel() for parameter in built.parameters())


def test_values_are_counted_as_layers_give_them():
    """One block above the constant, by hand: 8 px, 4 channels at 4 px and 2 at 8 px."""
    shared = dict(resolution=8, channels=3, channel_base=16, channel_max=512)
    generator, discriminator, image_values = count_networks(
        node("Generator", **shared, c_dim=None, z_dim=5, w_dim=5, mapping_layers=1, architecture="skip"),
        node("Discriminator", **shared, c_dim=0, architecture="resnet", mbstd_channels=1),
    )
    styles = [4, 4, 4, 2, 2]  # of the five modulated convolutions
    assert generator.values == sum([5, 4 * 16, 3 * 16, 2 * 64, 2 * 64, 3 * 64, *styles])
    assert discriminator.values == sum([2 * 64, 2 * 64, 4 * 16, 4 * 16, 4 * 16, 4, 1])
    assert image_values == 3 * 64


def node(network: str, **options) -> DictConfig:
    return OmegaConf.create({"_target_": f"stylegan.networks.{network}", **options})


def test_frozen_layers_give_values_too():
    shared = dict(resolution=16, channel_base=256, channel_max=16, architecture="resnet")
    generator = node("Generator", **shared, z_dim=4, w_dim=4, mapping_layers=1)
    free, frozen = (
        count_networks(generator, node("Discriminator", **shared, freeze_layers=count))[1] for count in (0, 3)
    )
    assert frozen.values == free.values and frozen.parameters < free.parameters


def test_counting_draws_no_random_numbers():
    before = torch.get_rng_state()
    estimate(["preset=tiny", "resolution=32"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("overrides", "measured_mb"),
    [
        (["preset=tiny", "resolution=32", "batch_size=8"], 153),
        (["preset=tiny", "resolution=64", "batch_size=8"], 314),
        (["preset=tiny", "resolution=64", "batch_size=32"], 1051),
        (["preset=tiny", "resolution=48x32", "batch_size=32"], 607),
        (["preset=auto", "resolution=64", "batch_size=4"], 1536),
    ],
)
def test_the_estimates_stay_those_that_were_compared_with_measured_peaks(overrides, measured_mb):
    """docs/presets.md, where the first of the two figures of each run is this one."""
    assert estimate(overrides).total_bytes == pytest.approx(1e6 * measured_mb, rel=0.02)


class OwnGenerator(nn.Module):
    """Another kind of network, from layers of torch's own."""

    def __init__(self, z_dim: int, c_dim: int = 0):
        super().__init__()
        self.z_dim, self.c_dim = z_dim, c_dim
        self.layers = nn.Sequential(
            nn.Linear(z_dim, 6 * 4 * 4), nn.Unflatten(1, (6, 4, 4)), nn.BatchNorm2d(6), nn.Conv2d(6, 3, 1)
        )

    def forward(self, z, c=None):
        return self.layers(z)


class OwnDiscriminator(nn.Module):
    def __init__(self, asks: bool = False):
        super().__init__()
        self.conv, self.asks = nn.Conv2d(3, 1, 4), asks

    def forward(self, images, c=None):
        if self.asks and images.mean().item() > 0:
            raise AssertionError("no value to look at")
        return self.conv(images).flatten(1)


def own_networks(**options) -> DictConfig:
    config = OmegaConf.create(
        {
            "generator": {"_target_": f"{__name__}.OwnGenerator", "z_dim": 5},
            "discriminator": {"_target_": f"{__name__}.OwnDiscriminator", **options},
            "loss": {"pl_weight": 0, "r1_gamma": 1},
            "ada": {"mode": "none"},
            "micro_batch": 2,
        }
    )
    return config


def test_networks_of_a_users_own_are_counted():
    """By hand; R1 keeps nothing to speak of, so the main phases count."""
    parameters = (5 * 96 + 96) + (6 + 6) + (6 * 3 + 3), 3 * 16 + 1
    counted = estimate_memory(own_networks())
    assert (counted.generator, counted.discriminator) == parameters
    assert counted.activation_bytes == 4 * 2 * (4 * (96 + 96 + 48) + 3 * 1)
    assert memory_line(own_networks()).startswith("about ")


def test_what_cannot_run_without_values_is_not_estimated():
    line = memory_line(own_networks(asks=True))
    assert line.startswith("not estimated: ") and "meta" in line and "\n" not in line


def test_memory_follows_the_micro_batch_and_not_the_batch():
    one, two = (estimate(["preset=tiny", "batch_size=16", f"micro_batch={part}"]) for part in (4, 8))
    assert two.activation_bytes == pytest.approx(2 * one.activation_bytes)
    assert one.state_bytes == two.state_bytes
    assert estimate(["preset=tiny", "batch_size=32", "micro_batch=4"]) == one
