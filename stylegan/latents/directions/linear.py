"""Directions in closed form: from the weights of the styles, and from the spread of w; and what is taken out of one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stylegan.latents.directions.moments import Moments
from stylegan.latents.style_layers import style_layers

VARIANTS = ("normalised", "stacked")
# A direction of which less than this is left after a projection was one of those taken out.
_NOTHING_LEFT = 1e-3


def style_matrix(generator: nn.Module, layers: Sequence[int], *, variant: str = "normalised") -> Tensor:
    """The affine weights of all styles that come from the chosen layers, side by side: float64 [W,S].

    Args:
        layers: numbers of entries of ws.
        variant: "normalised": those of torgb included, each column scaled to unit length. "stacked": as they are, and
            of the torgb layers only that of the first block.
    Raises: ValueError where no style comes from the layers.
    """
    chosen = set(layers)
    first_rgb = f"{generator.synthesis.block_names[0]}.torgb"
    matrices = [
        layer.matrix
        for name, layer in style_layers(generator).items()
        if layer.ws in chosen and (variant == "normalised" or not layer.is_rgb or name == first_rgb)
    ]
    if not matrices:
        raise ValueError(f"layers: variant={variant} has no style in layers {', '.join(map(str, layers))}")
    columns = torch.cat(matrices).to("cpu", torch.float64).T
    if variant == "stacked":
        return columns
    return columns / columns.norm(dim=0).clamp_min(1e-300)


def closed_form_factors(
    generator: nn.Module, layers: Sequence[int], count: int, *, variant: str = "normalised"
) -> tuple[Tensor, Tensor]:
    """Closed-form factorisation: unit vectors along which the styles change most, strongest first.

    They are the eigenvectors of A·Aᵀ, A = `style_matrix`, by falling eigenvalue. Of each vector and its negative, the
    one whose largest entry is positive is taken.

    Args: count: how many, 1 to W.
    Returns: vectors float32 [count,W], and their eigenvalues float64 [count].
    Raises: ValueError for a count or variant that there is not.
    Source: Shen and Zhou 2021 (SeFa), section 3; "stacked" is the form of its public ports.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    matrix = style_matrix(generator, layers, variant=variant)
    return _leading(matrix @ matrix.T, count)


def principal_components(moments: Moments, count: int) -> tuple[Tensor, Tensor]:
    """Principal components of w, largest variance first, signs as in `closed_form_factors`.

    Returns: unit vectors float32 [count,W], and the standard deviations of w along them, float64 [count].
    Raises: ValueError for more than W components.
    Source: Härkönen et al. 2020 (GANSpace), section 2.1.
    """
    vectors, variances = _leading(moments.covariance, count)
    return vectors, variances.clamp_min(0).sqrt()


def signed(vectors: Tensor) -> Tensor:
    """Vectors [...,W], each turned so that its entry of largest magnitude, the first of equal ones, is positive."""
    largest = vectors.gather(-1, vectors.abs().argmax(dim=-1, keepdim=True))
    return torch.where(largest < 0, -vectors, vectors)


def without(vectors: Tensor, others: Tensor) -> Tensor:
    """Unit vectors [K,W] along `vectors` with the span of `others` [M,W] projected out.

    Moving along them leaves the projection of w on all others as it is, also where those are not orthogonal.
    Raises: ValueError where nothing is left of a vector.
    Source: Shen et al. 2020 (InterFaceGAN), section 3.2, for one; the span's basis for several.
    """
    vectors, others = vectors.to(torch.float64), others.to(torch.float64)
    left = vectors / vectors.norm(dim=1, keepdim=True)
    # Right singular vectors of what is not numerically 0: also of others that depend on each other.
    _, sizes, basis = torch.linalg.svd(others / others.norm(dim=1, keepdim=True), full_matrices=False)
    basis = basis[sizes > 1e-6]
    left = left - (left @ basis.T) @ basis
    lengths = left.norm(dim=1, keepdim=True)
    if bool((lengths < _NOTHING_LEFT).any()):
        number = int((lengths < _NOTHING_LEFT).flatten().nonzero()[0])
        raise ValueError(
            f"orthogonal_to: nothing is left of direction {number}, which lies in the span of those given"
        )
    return (left / lengths).to(torch.float32)


def _leading(symmetric: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` eigenvectors [count,W], float32, and eigenvalues of a symmetric matrix [W,W]."""
    width = len(symmetric)
    if not 1 <= count <= width:
        raise ValueError(f"count must be from 1 to {width}, the width of w; got {count}")
    values, vectors = torch.linalg.eigh(symmetric)  # ascending
    order = torch.arange(width - 1, width - 1 - count, -1)
    return signed(vectors.T[order]).to(torch.float32), values[order]
