"""Style channels: how much each changes, and where."""

import pytest
import torch

from stylegan.latents.directions.channels import rank_channels, style_sigmas
from stylegan.latents.directions.direction import Channel
from stylegan.latents.directions.moments import moments_of, sampled_ws
from stylegan.latents.sampling import Sampler
from stylegan.latents.style_layers import moved_styles, style_layers
from tests.latents.directions.planted import make_generator


def ws_and_moments(generator, count=4):
    moments = moments_of(
        sampled_ws(Sampler(generator), 200, [torch.eye(2)[0]] if generator.c_dim else [None])
    )
    z = torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(3))
    label = torch.eye(2)[[0] * count] if generator.c_dim else None
    return generator.mapping(z, label), moments


def test_sigma_is_the_spread_of_the_styles():
    generator = make_generator()
    rows = torch.cat(list(sampled_ws(Sampler(generator), 300)))
    sigmas = style_sigmas(generator, moments_of(iter([rows])))
    for name, layer in style_layers(generator).items():
        styles = layer.affine(rows.float())
        torch.testing.assert_close(
            sigmas[name], styles.std(dim=0, correction=0).double(), rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize(
    "options", [{"resolution": 8, "channels": 1}, {"resolution": 8, "channels": 1, "c_dim": 2}]
)
def test_effect_and_locality_equal_those_of_small_steps(options):
    """In a grey image of 8 px a cell is a pixel, so that the estimate is exact."""
    generator = make_generator(**options)
    ws, moments = ws_and_moments(generator)
    ranked = rank_channels(generator, ws, moments, range(generator.num_ws), 1000)
    layers = style_layers(generator)
    assert len(ranked) == sum(layer.channels for layer in layers.values())
    step = 1e-2
    for one in ranked:
        offset = torch.zeros(layers[one.channel.layer].channels)
        offset[one.channel.number] = step
        drawn = []
        for sign in (1, -1):
            with moved_styles(generator, {one.channel.layer: sign * offset}):
                drawn.append(generator.synthesis(ws).double())
        energy = ((drawn[0] - drawn[1]) / (2 * step)).square().flatten(1)  # [N, pixels]
        assert one.effect == pytest.approx(one.sigma * float(energy.mean().sqrt()), rel=2e-2, abs=1e-5)
        total = energy.sum(dim=1)
        local = 1 - (total.square() / energy.square().sum(dim=1) - 1) / 63
        assert one.locality == pytest.approx(float((local * total).sum() / total.sum()), rel=3e-2, abs=5e-3)
    scores = [one.effect * one.locality for one in ranked]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "options", [{}, {"resolution": [16, 32], "channels": 4}, {"channels": 1, "c_dim": 2}]
)
def test_a_planted_channel_comes_first(options):
    """One channel makes a spot, and hardly anything else makes anything."""
    generator = make_generator(**options)
    for name in generator.synthesis.block_names:
        getattr(generator.synthesis, name).torgb.weight.mul_(0.01)
    generator.synthesis.b8.torgb.weight[:, 2] = 1
    ws, moments = ws_and_moments(generator, count=2)
    (first,) = rank_channels(generator, ws, moments, range(generator.num_ws), 1)
    assert first.channel == Channel("b8.torgb", 2)
    # Of other layers alone it is not found.
    (other,) = rank_channels(generator, ws, moments, [0, 1, 2], 1)
    assert other.channel.layer != "b8.torgb" and other.effect < first.effect


def test_ranking_leaves_the_network_as_it_was():
    generator = make_generator()
    generator.requires_grad_(True)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    ws, moments = ws_and_moments(generator)
    rank_channels(generator, ws.detach(), moments, [0], 2)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in generator.parameters())
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    assert not any(module._forward_hooks for module in generator.modules())
