"""Closed-form factors, principal components, and what is projected out."""

import numpy as np
import pytest
import torch

from stylegan.latents.directions.linear import (
    closed_form_factors,
    principal_components,
    signed,
    style_matrix,
    without,
)
from stylegan.latents.directions.moments import moments_of, sampled_ws
from stylegan.latents.sampling import Sampler
from tests.latents.directions.planted import W, cosine, make_generator, spread_along, unit, with_styles


@pytest.mark.parametrize(
    "options", [{}, {"resolution": [16, 32]}, {"channels": 1}, {"channels": 4, "c_dim": 3}]
)
@pytest.mark.parametrize("variant", ["normalised", "stacked"])
def test_a_planted_factor_of_the_styles_is_the_first_one(variant, options):
    planted = unit()
    generator = with_styles(planted, **options)
    vectors, values = closed_form_factors(generator, range(generator.num_ws), 3, variant=variant)
    assert abs(cosine(vectors[0], planted)) > 0.9
    assert values[0] > values[1] >= values[2]


def test_factors_are_the_singular_vectors_of_the_weights():
    """An independent reference: numpy's decomposition of the weights, gathered by their names in the state dict."""
    generator = make_generator()
    weights = {
        name: value.double().numpy()
        for name, value in generator.state_dict().items()
        if "affine.weight" in name
    }
    every = np.concatenate([rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in weights.values()])
    few = np.concatenate([rows for name, rows in weights.items() if "torgb" not in name or ".b4." in name])
    for variant, rows in {"normalised": every, "stacked": few / W**0.5}.items():
        vectors, values = closed_form_factors(generator, range(generator.num_ws), W, variant=variant)
        _, sizes, expected = np.linalg.svd(rows, full_matrices=False)
        np.testing.assert_allclose(values.numpy(), sizes**2, rtol=1e-9)
        np.testing.assert_allclose(np.abs((vectors.double().numpy() * expected).sum(1)), 1, atol=1e-6)


def test_the_variants_part_where_one_column_is_large():
    large = unit(7)
    generator = with_styles(unit(1))
    generator.synthesis.b8.conv0.affine.weight[0] = 1000 * large
    found = {
        variant: closed_form_factors(generator, range(generator.num_ws), 1, variant=variant)[0][0]
        for variant in ("normalised", "stacked")
    }
    assert abs(cosine(found["normalised"], unit(1))) > 0.9
    assert abs(cosine(found["stacked"], large)) > 0.99


def test_layers_choose_the_weights():
    """Entries of w in a network of 16 px: b4.conv1; b8.conv0 and b4.torgb; b8.conv1; b16.conv0 and b8.torgb; ..."""
    generator = make_generator()
    blocks = generator.synthesis

    def columns(*layers):
        rows = torch.cat([layer.affine.weight for layer in layers]).double()
        return (rows / rows.norm(dim=1, keepdim=True)).T

    torch.testing.assert_close(style_matrix(generator, [0]), columns(blocks.b4.conv1))
    torch.testing.assert_close(style_matrix(generator, [1]), columns(blocks.b4.torgb, blocks.b8.conv0))
    torch.testing.assert_close(style_matrix(generator, [5]), columns(blocks.b16.torgb))
    with pytest.raises(ValueError, match="variant=stacked has no style in layers 5"):
        style_matrix(generator, [5], variant="stacked")


@pytest.mark.parametrize("options", [{}, {"c_dim": 0, "channels": 1}])
def test_a_planted_spread_of_w_is_the_first_component(options):
    planted = unit(3)
    generator = spread_along(planted, **options)
    moments = moments_of(sampled_ws(Sampler(generator), 2000))
    vectors, sigmas = principal_components(moments, 2)
    assert abs(cosine(vectors[0], planted)) > 0.99
    assert sigmas[0] == pytest.approx(3, rel=0.1) and sigmas[1] == pytest.approx(1, rel=0.15)
    torch.testing.assert_close(sigmas, moments.sigma(vectors), rtol=1e-5, atol=1e-5)


def test_the_largest_entry_decides_the_sign():
    vectors = torch.tensor([[0.1, -0.9, 0.2], [0.5, 0.1, -0.5], [-0.5, 0.5, 0.0]])
    assert signed(vectors).tolist() == (vectors * torch.tensor([[-1.0], [1.0], [-1.0]])).tolist()
    torch.testing.assert_close(signed(-vectors[:1]), signed(vectors[:1]))


def test_what_is_projected_out_is_left_alone():
    others = torch.stack([unit(1), unit(2), unit(1) + 1e-9])  # not orthogonal, and one of them twice
    left = without(torch.stack([unit(3), unit(4) * 7]), others)
    torch.testing.assert_close(left.norm(dim=1), torch.ones(2))
    assert (left @ others.T).abs().max() < 1e-6
    # Of one vector alone: v − (v·u)u.
    by_hand = unit(3) - (unit(3) @ unit(2)) * unit(2)
    torch.testing.assert_close(without(unit(3)[None], unit(2)[None])[0], by_hand / by_hand.norm())


def test_nothing_left_is_said():
    with pytest.raises(ValueError, match="orthogonal_to: nothing is left of direction 1"):
        without(torch.stack([unit(3), unit(1) - 2 * unit(2)]), torch.stack([unit(1), unit(2)]))


@pytest.mark.parametrize(
    ("count", "variant", "message"),
    [
        (0, "normalised", "count must be from 1 to 8"),
        (9, "normalised", "got 9"),
        (1, "svd", "variant must be one of"),
    ],
)
def test_a_wrong_request_names_its_argument(count, variant, message):
    with pytest.raises(ValueError, match=message):
        closed_form_factors(make_generator(), [0], count, variant=variant)
