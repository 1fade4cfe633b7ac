"""Style channels: single entries of the styles, ranked by how much of the image each changes, and how locally."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.latents.directions.direction import Channel
from stylegan.latents.directions.moments import Moments
from stylegan.latents.style_layers import style_layers
from stylegan.machine.devices import full_precision

# The image is looked at in so many cells along each side.
_CELLS = 8
# Keeps the signs of the probes apart from all else that is ever drawn from a number.
_PROBE_STREAM = 0x70726F62


class RankedChannel(NamedTuple):
    """A channel with what moving it does.

    Args:
        sigma: standard deviation of the style.
        effect: root mean square change of a value of the image, nominally -1 to 1, for one sigma, to first order.
        locality: 1 = the change is in one of 8 x 8 cells of the image, 0 = spread over all alike.
    """

    channel: Channel
    sigma: float
    effect: float
    locality: float


def style_sigmas(generator: nn.Module, moments: Moments) -> dict[str, Tensor]:
    """Standard deviation of each style, {layer: float64 [C]}, by w's covariance: styles are linear in w."""
    return {
        name: moments.sigma(layer.matrix.to("cpu", torch.float64))
        * layer.matrix.to("cpu", torch.float64).norm(dim=1)
        for name, layer in style_layers(generator).items()
    }


def rank_channels(
    generator: nn.Module, ws: Tensor, moments: Moments, layers: Sequence[int], count: int
) -> list[RankedChannel]:
    """The channels with the largest effect times locality, over some images.

    The squared change in each cell of the image is estimated by gradients: for random signs r, E(∂(Σ r·x)/∂s)² is the
    sum of (∂x/∂s)² over the cell's values x. The signs are those of a fixed key.

    Args:
        ws: [N,L,W] of images to look at, on the generator's device; 8 or more give a steady order.
        layers: numbers of entries of ws, whose styles are ranked.
        count: how many are returned, at most all there are.
    Source: Wu et al. 2021 (StyleSpace), section 4, whose channels are localised by gradients as well.
    """
    energy = _energy_by_cell(generator, ws, frozenset(layers))
    sigmas = style_sigmas(generator, moments)
    values = generator.channels * generator.size[0] * generator.size[1]
    found = []
    for name, cells in energy.items():  # [N, cells, C]
        own = sigmas[name].to(cells)
        total = cells.sum(dim=1)
        effect = own * (total.mean(dim=0) / values).sqrt()
        # How many cells share the change: 1 where all of it is in one.
        sharing = total.square() / cells.square().sum(dim=1).clamp_min(1e-300)
        local = 1 - (sharing.clamp_min(1) - 1) / max(1, cells.shape[1] - 1)
        # Each image counts as much as it changes.
        locality = (local * total).sum(dim=0) / total.sum(dim=0).clamp_min(1e-300)
        found += [
            RankedChannel(
                Channel(name, number), float(own[number]), float(effect[number]), float(locality[number])
            )
            for number in range(cells.shape[2])
        ]
    found.sort(key=lambda one: one.effect * one.locality, reverse=True)
    return found[:count]


def _energy_by_cell(generator: nn.Module, ws: Tensor, layers: frozenset[int]) -> dict[str, Tensor]:
    """Squared change of the image by a style, summed over the values of a cell: {layer: float64 [N, cells, C]}."""
    height, width = generator.size
    rows, columns = min(_CELLS, height), min(_CELLS, width)
    names = [name for name, layer in style_layers(generator).items() if layer.ws in layers]
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    for image, w in enumerate(ws):
        signs = np.random.default_rng([_PROBE_STREAM, image]).integers(
            0, 2, (generator.channels, height, width)
        )
        probe = torch.from_numpy(signs * 2 - 1).to(w.device, torch.float32)
        with torch.enable_grad(), full_precision(w.device), _leaf_styles(generator, names) as styles:
            drawn = generator.synthesis(w[None], noise_mode="const")[0] * probe
            sums = [
                cell.sum()
                for band in drawn.tensor_split(rows, dim=1)
                for cell in band.tensor_split(columns, dim=2)
            ]
            changes: dict[str, list[Tensor]] = {name: [] for name in names}
            for cell in sums:
                gradients = torch.autograd.grad(
                    cell, [styles[name] for name in names], retain_graph=True, allow_unused=True
                )
                for name, gradient in zip(names, gradients, strict=True):
                    own = torch.zeros_like(styles[name]) if gradient is None else gradient
                    changes[name].append(own[0].detach().to("cpu", torch.float64).square())
        for name in names:
            parts[name].append(torch.stack(changes[name]))
    return {name: torch.stack(images) for name, images in parts.items()}


@contextmanager
def _leaf_styles(generator: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Inside, the styles of these layers are leaves that gradients reach; what is given fills as the network draws."""
    styles: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(_module: nn.Module, _inputs: tuple, out: Tensor) -> Tensor:
            styles[name] = out.detach().requires_grad_()
            return styles[name]

        return hook

    layers = style_layers(generator)
    hooks = [layers[name].affine.register_forward_hook(keep(name)) for name in names]
    frozen = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        yield styles
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        for hook in hooks:
            hook.remove()
