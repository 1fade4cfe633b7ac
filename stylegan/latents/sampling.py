"""Sampling: images of latents and seeds, the same pixels, alone or among others."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from stylegan.latents.seeds import latents_of, noise_of
from stylegan.latents.style_layers import moved_styles
from stylegan.machine.devices import full_precision
from stylegan.networks.synthesis import prepared
from stylegan.sizes import Size

# Of the noise in the layers: as the network was trained with, of each seed its own, or none.
NOISE_MODES = ("const", "random", "none")


def chunk_size(size: Size) -> int:
    """How many images a network of this size always draws together: 16, 8 or 4.

    A multiple of 4, since matrix kernels take the rows of a remainder another way and round them otherwise.
    Fewer at high resolutions, since a single seed costs a whole chunk.
    """
    return 4 * min(4, max(1, 256 // max(size)))


class Sampler:
    """Runs a generator in chunks of one size, filled up where they are not full.

    Kernels are chosen by the size of the batch, and each rounds in its own way. With one size a network, the
    result of a row depends on that row alone, bit for bit on one machine: not on its place or neighbours.

    Args:
        generator: a `Generator`, on the device that computes; its `w_avg` is left as it is.
        synthesis: what draws; None = the generator's own.
    """

    def __init__(self, generator: nn.Module, synthesis: nn.Module | None = None):
        self.generator = generator
        self.synthesis = generator.synthesis if synthesis is None else synthesis
        self.chunk = chunk_size(generator.size)
        self.device = next(generator.parameters()).device

    @torch.no_grad()
    def map(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Latents z [N,Z] and labels c [N,K] (None where K = 0) → ws [N,L,W] on the generator's device."""
        with full_precision(self.device):
            parts = [
                self.generator.mapping(
                    self._full(z[rows]),
                    None if c is None else self._full(c[rows]),
                    truncation=truncation,
                    truncation_cutoff=truncation_cutoff,
                    track_average=False,
                )[: rows.stop - rows.start]
                for rows in self._chunks(len(z))
            ]
        return torch.cat(parts)

    @torch.no_grad()
    def draw(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        noise_seeds: Sequence[int] | None = None,
        noise: Mapping[str, Tensor] | None = None,
        styles: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """ws [N,L,W] → images float32 [N,C,H,W] on the generator's device.

        Args:
            noise_seeds: N seeds, one for each image's noise, where `noise_mode` is "random".
            noise: in their place, the noise itself, {layer: [N,1,H,W]}.
            styles: what is added to the styles of layers, {layer: [N,C]}; see `stylegan.latents.style_layers`.
        Raises: ValueError for random noise without seeds: it would be another one at every call.
        """
        if noise_mode == "random" and noise_seeds is None and noise is None:
            raise ValueError("noise_mode random needs noise_seeds, a seed for each picture's noise")
        parts = []
        with prepared(self.synthesis), full_precision(self.device):
            for rows in self._chunks(len(ws)):
                maps = None
                if noise_mode == "random":
                    layers = self.synthesis.noise_layers
                    given = noise is not None
                    some = (
                        {name: m[rows] for name, m in noise.items()}
                        if given
                        else noise_of(noise_seeds[rows], layers)
                    )
                    maps = {name: self._full(values) for name, values in some.items()}
                offsets = {name: self._full(values[rows]) for name, values in (styles or {}).items()}
                with moved_styles(self.generator, offsets):
                    images = self.synthesis(self._full(ws[rows]), noise_mode=noise_mode, noise=maps)
                parts.append(images[: rows.stop - rows.start])
        return torch.cat(parts)

    def of_seeds(
        self,
        seeds: Sequence[int],
        *,
        label: Tensor | None = None,
        truncation: float = 1.0,
        noise_mode: str = "const",
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """The images of seeds, a chunk at a time: (n seeds, float32 [n,C,H,W]).

        Args:
            label: [K], or [N,K] for one of each seed, for a generator with labels; None without.
        """
        labels_of_all = None if label is None else label.expand(len(seeds), -1)
        for rows in self._chunks(len(seeds)):
            some = seeds[rows]
            labels = None if labels_of_all is None else labels_of_all[rows]
            ws = self.map(latents_of(some, self.generator.z_dim), labels, truncation=truncation)
            yield some, self.draw(ws, noise_mode, noise_seeds=some)

    def _chunks(self, num: int) -> Iterator[slice]:
        return (slice(first, min(first + self.chunk, num)) for first in range(0, num, self.chunk))

    def _full(self, rows: Tensor) -> Tensor:
        """`rows` on the device, the last one repeated until the chunk is full."""
        rows = rows.to(self.device)
        return torch.cat([rows, rows[-1:].expand(self.chunk - len(rows), *rows.shape[1:])])
