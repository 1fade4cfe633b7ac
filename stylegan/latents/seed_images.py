"""The task `images` of the generate command: one PNG a seed, and all of them in a grid."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

from stylegan.images import save_png, tile, to_uint8, visible
from stylegan.latents.labels import parse_label
from stylegan.latents.sampling import NOISE_MODES, Sampler
from stylegan.latents.seeds import parse_seeds
from stylegan.machine.console import say
from stylegan.machine.devices import device_named
from stylegan.networks.precision import precision_on, set_compute_dtype
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text

# The grid shows the first images that fit in: 1,024 of 256 px, 64 of 1024 px. Few viewers open more.
MAX_GRID_PX = 64 * 2**20

# Far beyond any image, and near enough for float32.
LARGEST_PSI = 100

Chunks = Iterator[tuple[Sequence[int], Tensor]]


class SeedImages:
    """Draws seeds into a folder: `seed0000.png`, numbered by seed, and `grid.png`.

    More than 4 channels go into `seed0000.npy`, uint8 [H,W,C], and the PNG shows the first three.

    Args:
        load: path → generator in evaluation mode.
        network: the file, as `load` takes it.
        out: folder for the images, made where it is missing; files of the same names are replaced.
        seeds: as in `parse_seeds`.
        truncation: psi, 1 = none.
        label: as in `parse_label`; None for a network without labels.
        noise_mode: "const", "random" (each seed its own) or "none".
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...
        precision: "auto" (the fastest that the device has), "fp32", "bf16" or "fp16"; see `precision_on`.
        provenance: text stored in every image besides seed, truncation, label and noise mode.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        load: Callable[[Path], nn.Module],
        network: Path,
        out: Path,
        seeds: str | int,
        truncation: float = 1.0,
        label: str | float | None = None,
        noise_mode: str = "const",
        device: str = "auto",
        precision: str = "auto",
        provenance: Mapping[str, str] | None = None,
    ):
        # First what is cheap to check: a slip in the seeds should not wait for a large file.
        self.seeds = parse_seeds(seeds)
        self.truncation = _number("truncation", truncation)
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode must be one of {', '.join(NOISE_MODES)}, got {noise_mode!r}")
        self.noise_mode = noise_mode
        self.out = out
        if out.exists() and not out.is_dir():
            raise ValueError(f"out must be a folder for the images, got {out}, which is a file")
        chosen = device_named(device)
        precision_on(chosen, precision)
        generator = load(network).to(chosen)
        precision = set_compute_dtype(generator, chosen, precision)
        self.label = parse_label(
            label, width=generator.c_dim, names=generator.label_names, network=str(network)
        )
        self.sampler = Sampler(generator)
        self.text = dict(provenance or {}) | {
            "truncation": f"{self.truncation:g}",
            "noise_mode": noise_mode,
            "precision": precision,
        }
        if self.label is not None:
            self.text["label"] = str(label)

    def run(self) -> None:
        """Draw, write and say where. Raises: OSError where a file cannot be written."""
        self.out.mkdir(parents=True, exist_ok=True)
        height, width = self.sampler.generator.size
        in_grid = max(1, min(len(self.seeds), MAX_GRID_PX // (height * width)))
        kept: list[Tensor] = []
        chunks = self.sampler.of_seeds(
            self.seeds, label=self.label, truncation=self.truncation, noise_mode=self.noise_mode
        )
        with prepared(self.sampler.generator.synthesis):
            for seeds, images in _with_progress(chunks, total=len(self.seeds)):
                pixels = to_uint8(images).cpu()
                for seed, image in zip(seeds, pixels, strict=True):
                    self._save(seed, image)
                kept.append(visible(pixels)[: max(0, in_grid - sum(map(len, kept)))])
        grid = tile(torch.cat(kept), columns=math.ceil(math.sqrt(in_grid)))
        in_grid_text = ",".join(map(str, self.seeds[:in_grid]))
        save_png(self.out / "grid.png", grid, self.text | {"seeds": in_grid_text})
        total = f"{len(self.seeds):,} image" + "s" * (len(self.seeds) > 1)
        part = f", the first {in_grid:,} together in" if in_grid < len(self.seeds) else ", together in"
        say(f"{total} of {size_text((height, width))} px in {self.out}{part} {self.out / 'grid.png'}")

    def _save(self, seed: int, image: Tensor) -> None:
        save_png(self.out / f"seed{seed:04d}.png", visible(image), self.text | {"seed": str(seed)})
        if visible(image) is not image:
            # No image format holds so many; the PNG shows the first three.
            np.save(self.out / f"seed{seed:04d}.npy", image.movedim(0, -1).numpy())


def _number(name: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number, as in 0.7, got {value!r}")
    if abs(number) > LARGEST_PSI:
        raise ValueError(f"{name} must be between -{LARGEST_PSI} and {LARGEST_PSI}, got {value}")
    return number


def _with_progress(chunks: Chunks, total: int) -> Chunks:
    """`chunks` as they come; a bar in a terminal, elsewhere a line whenever another tenth is done."""
    if sys.stdout.isatty():
        with Progress(transient=True) as bar:
            task = bar.add_task("drawing", total=total)
            for seeds, images in chunks:
                yield seeds, images
                bar.advance(task, len(seeds))
        return
    done = tenths = 0
    for seeds, images in chunks:
        yield seeds, images
        done += len(seeds)
        if done < total and done * 10 // total > tenths:
            tenths = done * 10 // total
            say(f"{done:,} of {total:,} images")
