"""Perceptual path length: how much the picture changes for a small step between two latents."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

# Perceptual distances were trained on pictures of this side.
LARGEST_PX = 256


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Unit vectors on the great circle from a to b [N,Z], at t of the angle, t [N] or a number.

    Raises: ValueError where a and b differ in shape.  Source: Shoemake 1985.
    """
    if a.shape != b.shape:
        raise ValueError(f"both ends must have one shape, got {list(a.shape)} and {list(b.shape)}")
    a, b = (nn.functional.normalize(end, dim=-1) for end in (a, b))
    cosine = (a * b).sum(dim=-1, keepdim=True).clamp(-1, 1)
    angle = cosine.acos() * torch.as_tensor(t, dtype=a.dtype, device=a.device).reshape(-1, 1)
    across = nn.functional.normalize(b - cosine * a, dim=-1)
    return nn.functional.normalize(a * angle.cos() + across * angle.sin(), dim=-1)


@torch.no_grad()
def path_distances(
    generator: nn.Module,
    z0: Tensor,
    z1: Tensor,
    labels: Tensor | None,
    t: Tensor,
    *,
    distance: Callable[[Tensor, Tensor], Tensor],
    epsilon: float = 1e-4,
    space: str = "w",
    sampling: str = "end",
    crop: bool = False,
    noise: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Distance between the pictures at t and at t + epsilon on the way from z0 to z1, over epsilon².

    Args:
        generator: with `mapping(z, c)` and `synthesis(ws, noise_mode=, noise=)`, in eval mode.
        z0, z1: [N,Z]. labels: [N,K] of both, None where K = 0. t: [N] in [0, 1].
        distance: images, images float32 [N,C,H,W] in [-1, 1], at most about 256 px → squared distances [N].
        space: "w", straight in w; or "z", on the great circle in z.
        sampling: "full", at t; or "end", at z0 whatever t is.
        crop: only the middle of the lower picture, where aligned faces are: rows 3/8 to 7/8, columns 2/8 to 6/8.
        noise: {layer: [N or 1,1,H,W]}, unit normal, the same for both pictures of a pair; None = the buffers.
    Returns: [N], ≥ 0 for a distance that is.
    Raises: ValueError for unknown words, an epsilon not above 0, or latents that do not belong together.
    Source: Karras et al. 2019 (StyleGAN), section 4.1; at the ends in w: 2020 (StyleGAN2), section 3.
    """
    _check(z0, z1, t, epsilon=epsilon, space=space, sampling=sampling)
    if sampling == "end":
        t = torch.zeros_like(t)
    if space == "w":
        w0, w1 = (generator.mapping(z, labels) for z in (z0, z1))
        latents = [torch.lerp(w0, w1, at[:, None, None].to(w0.dtype)) for at in (t, t + epsilon)]
    else:
        latents = [generator.mapping(slerp(z0, z1, at), labels) for at in (t, t + epsilon)]
    mode = "const" if noise is None else "random"
    images = [generator.synthesis(ws, noise_mode=mode, noise=noise) for ws in latents]
    return distance(*(_seen(some, crop) for some in images)) / epsilon**2


def trimmed_mean(distances: Tensor | np.ndarray) -> float:
    """Mean of distances [N] without the extremes: from the 1st percentile, rounded down to one that occurs, to the
    99th, rounded up; both included.

    Raises: ValueError for none, or some that are not finite.
    """
    values = np.asarray(distances, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"distances must have the shape [N] with N at least 1, got {list(values.shape)}")
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"distances: {bad.sum()} of {len(values)} are not finite, first one {bad.argmax()}")
    low, high = np.percentile(values, 1, method="lower"), np.percentile(values, 99, method="higher")
    return float(values[(values >= low) & (values <= high)].mean())


def _check(z0: Tensor, z1: Tensor, t: Tensor, *, epsilon: float, space: str, sampling: str) -> None:
    if space not in ("z", "w"):
        raise ValueError(f"space must be z or w, got {space!r}")
    if sampling not in ("full", "end"):
        raise ValueError(f"sampling must be full or end, got {sampling!r}")
    if not 0 < epsilon < float("inf"):
        raise ValueError(f"epsilon must be above 0, got {epsilon}")
    if z0.shape != z1.shape or t.shape != z0.shape[:1] or len(t) == 0:
        shapes = ", ".join(str(list(value.shape)) for value in (z0, z1, t))
        raise ValueError(f"z0, z1 and t must have the shapes [N,Z], [N,Z] and [N] with N >= 1, got {shapes}")


def _seen(images: Tensor, crop: bool) -> Tensor:
    """What the distance looks at: perhaps the face alone, averaged over whole pixels down to about 256 px."""
    if crop:
        height, width = images.shape[2:]
        images = images[:, :, height * 3 // 8 : height * 7 // 8, width * 2 // 8 : width * 6 // 8]
    factor = min(images.shape[2:]) // LARGEST_PX
    return nn.functional.avg_pool2d(images, factor) if factor > 1 else images
