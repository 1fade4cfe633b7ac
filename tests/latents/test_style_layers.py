"""Style layers, and styles that are moved while drawing."""

import copy

import pytest
import torch

from stylegan.latents.sampling import Sampler
from stylegan.latents.style_layers import moved_styles, style_layers
from tests.latents.directions.planted import make_generator


@pytest.mark.parametrize(
    "options", [{}, {"architecture": "resnet"}, {"architecture": "orig", "resolution": [16, 32]}]
)
def test_each_layer_takes_its_entry_of_w(options):
    """What each affine map is given while drawing is the entry that is said."""
    generator = make_generator(**options)
    layers = style_layers(generator)
    affines = {name for name, module in generator.synthesis.named_modules() if name.endswith("affine")}
    assert {f"{name}.affine" for name in layers} == affines
    seen = {}
    hooks = [
        layer.affine.register_forward_pre_hook(lambda _, inputs, name=name: seen.__setitem__(name, inputs[0]))
        for name, layer in layers.items()
    ]
    ws = torch.arange(float(generator.num_ws))[None, :, None].expand(1, -1, generator.w_dim)
    generator.synthesis(ws)
    for hook in hooks:
        hook.remove()
    assert list(seen) == list(layers)
    assert {name: int(w[0, 0]) for name, w in seen.items()} == {
        name: layer.ws for name, layer in layers.items()
    }
    assert [name for name, layer in layers.items() if layer.is_rgb] == [
        name for name in layers if "torgb" in name
    ]


def test_the_matrix_is_that_of_the_affine_map():
    layer = style_layers(make_generator())["b8.conv0"]
    w = torch.randn(3, layer.affine.weight.shape[1], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer.affine(w) - layer.affine(torch.zeros_like(w)), w @ layer.matrix.T)
    assert layer.channels == len(layer.matrix)


def test_an_offset_equals_another_bias():
    generator = make_generator()
    other = copy.deepcopy(generator)
    other.synthesis.b16.conv0.affine.bias[1] += 0.5
    other.synthesis.b4.torgb.affine.bias[2] -= 2
    ws = generator.mapping(torch.randn(3, generator.z_dim, generator=torch.Generator().manual_seed(0)))
    offsets = {"b16.conv0": torch.zeros(4), "b4.torgb": torch.zeros(4)}
    offsets["b16.conv0"][1], offsets["b4.torgb"][2] = 0.5, -2
    before = generator.synthesis(ws)
    with moved_styles(generator, offsets):
        moved = generator.synthesis(ws)
    torch.testing.assert_close(moved, other.synthesis(ws))
    assert not torch.equal(before, moved) and torch.equal(before, generator.synthesis(ws))


def test_each_image_has_its_own_offset_in_any_batch():
    generator = make_generator()
    sampler = Sampler(generator)
    ws = generator.mapping(torch.randn(19, generator.z_dim, generator=torch.Generator().manual_seed(0)))
    offsets = {"b8.conv1": torch.zeros(19, 4)}
    offsets["b8.conv1"][:, 1] = torch.linspace(-2, 2, 19)
    together = sampler.draw(ws, styles=offsets)
    for place in (0, 7, 18):
        alone = sampler.draw(
            ws[place : place + 1], styles={"b8.conv1": offsets["b8.conv1"][place : place + 1]}
        )
        assert torch.equal(alone[0], together[place])
    assert torch.equal(together[9], sampler.draw(ws)[9])  # moved by 0
    assert not torch.equal(together[0], sampler.draw(ws)[0])
