"""What is exported: a generator, its mapping or its synthesis, as one module with named inputs."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stylegan.networks.precision import compute_in, recompute_in

PARTS = ("whole", "mapping", "synthesis")
# The network's own maps inside the file, maps as inputs, or none.
NOISES = ("const", "input", "none")
_NOISE_MODES = {"const": "const", "input": "random", "none": "none"}
# The name of the axis whose length is free.
BATCH = "batch"
NOISE_PREFIX = "noise."

# As `forward` takes them: noise is one value there, and one input a layer in a file.
Values = dict[str, Tensor | dict[str, Tensor]]


class Port(NamedTuple):
    """An input or output of the file: its name, its shape with `batch` for the free axis, and what it means."""

    name: str
    shape: tuple[int | str, ...]
    meaning: str


class ExportedPart(nn.Module):
    """A generator, or a half of it, whose settings are inputs: psi, the label and, where wished, the noise.

    It holds a copy of its own, float32 on the CPU in evaluation mode, so the caller's `prepared`, precision, device
    and training mode neither reach the file nor are changed.

    Args:
        generator: a `Generator`.
        part: "whole" (z to image), "mapping" (z to ws) or "synthesis" (ws to image).
        noise: "const" (the network's own maps, inside the file), "input" (one input a layer) or "none".
        truncation_cutoff: only the first so many of the L entries of ws are truncated; None = all.
    Raises: ValueError for an unknown part or noise, or a cutoff that the network does not have.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        part: str = "whole",
        noise: str = "const",
        truncation_cutoff: int | None = None,
    ):
        super().__init__()
        _one_of("part", part, PARTS)
        _one_of("noise", noise, NOISES)
        self.part, self.noise = part, noise
        self.truncation_cutoff = self._cutoff(truncation_cutoff, generator.num_ws)
        # Tensors of inference mode cannot be traced.
        with torch.inference_mode(False):
            self.generator = standing_alone(generator)

    def forward(
        self,
        z: Tensor | None = None,
        label: Tensor | None = None,
        truncation: Tensor | None = None,
        ws: Tensor | None = None,
        noise: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The part's output, from those of the arguments that `inputs` names; `noise` as in `SynthesisNetwork`."""
        if self.part != "synthesis":
            ws = self._truncated(self.generator.mapping(z, label, track_average=False), truncation)
        if self.part == "mapping":
            return ws
        return self.generator.synthesis(ws, noise_mode=_NOISE_MODES[self.noise], noise=noise)

    @property
    def noise_layers(self) -> list[tuple[str, tuple[int, int]]]:
        """[(layer, its height and width), ...] of the maps that are inputs."""
        has_inputs = self.noise == "input" and self.part != "mapping"
        return self.generator.synthesis.noise_layers if has_inputs else []

    @property
    def inputs(self) -> list[Port]:
        """In the order of the file."""
        g = self.generator
        if self.part == "synthesis":
            ports = [Port("ws", (BATCH, g.num_ws, g.w_dim), "intermediate latents, one row a layer")]
        else:
            ports = [Port("z", (BATCH, g.z_dim), "latent, unit normal")]
            if g.c_dim:
                ports.append(Port("label", (BATCH, g.c_dim), self._label_meaning()))
            ports.append(Port("truncation", (), self._truncation_meaning()))
        for layer, size in self.noise_layers:
            ports.append(Port(NOISE_PREFIX + layer, (BATCH, 1, *size), f"noise of {layer}, unit normal"))
        return ports

    @property
    def output(self) -> Port:
        g = self.generator
        if self.part == "mapping":
            return Port("ws", (BATCH, g.num_ws, g.w_dim), "intermediate latents after truncation")
        return Port("image", (BATCH, g.channels, *g.size), "image, nominally from -1 to 1, not clipped")

    @torch.no_grad()
    def values(self, batch: int, *, truncation: float, random: torch.Generator) -> Values:
        """Values of all inputs for `batch` images, drawn from `random`; row i has class i mod K."""
        g = self.generator
        # Whatever the caller's default device and dtype are.
        like = {"device": "cpu", "dtype": torch.float32}
        z = torch.randn(batch, g.z_dim, generator=random, **like)
        label = torch.eye(g.c_dim, **like)[torch.arange(batch, device="cpu") % g.c_dim] if g.c_dim else None
        given: Values = {"z": z, "truncation": torch.tensor(truncation, **like)}
        if label is not None:
            given["label"] = label
        if self.part == "synthesis":
            given = {"ws": g.mapping(z, label, truncation=truncation, track_average=False)}
        if self.noise_layers:
            given["noise"] = {
                layer: torch.randn(batch, 1, *size, generator=random, **like)
                for layer, size in self.noise_layers
            }
        order = ("z", "label", "truncation", "ws", "noise")
        return {name: given[name] for name in order if name in given}

    def named(self, values: Values) -> dict[str, Tensor]:
        """Values as `forward` takes them → by the names of `inputs`."""
        flat = {name: value for name, value in values.items() if name != "noise"}
        maps = values.get("noise", {})
        return flat | {NOISE_PREFIX + layer: noise for layer, noise in maps.items()}

    def _truncated(self, ws: Tensor, psi: Tensor) -> Tensor:
        # `MappingNetwork` compares psi with 1, which a graph cannot do.
        cutoff = self.truncation_cutoff
        pulled = torch.lerp(self.generator.mapping.w_avg, ws[:, :cutoff], psi)
        return pulled if cutoff is None else torch.cat([pulled, ws[:, cutoff:]], dim=1)

    def _label_meaning(self) -> str:
        names = ", ".join(self.generator.label_names)
        kind = "a number" if self.generator.c_dim == 1 else "1 for the image's class and 0 for the others"
        return f"label, {kind}: {names}" if names else f"label, {kind}"

    def _truncation_meaning(self) -> str:
        reach = "" if self.truncation_cutoff is None else f", of the first {self.truncation_cutoff} layers"
        return f"truncation psi{reach}: 1 = none, 0 = the average image"

    def _cutoff(self, value: int | None, most: int) -> int | None:
        if value is None:
            return None
        if self.part == "synthesis":
            raise ValueError("truncation_cutoff belongs to the mapping, and part=synthesis has none")
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"truncation_cutoff must be from 1 to the network's {most} layers, got {value}")
        return None if value == most else value


def standing_alone(generator: nn.Module) -> nn.Module:
    """A copy that computes in float32 on the CPU, in evaluation mode, outside `prepared`, without gradients."""
    # A copy has no prepared weights: `SynthesisLayer` leaves them out.
    own = copy.deepcopy(generator).to(device="cpu", dtype=torch.float32)
    compute_in(own, None)
    recompute_in(own, False)
    return own.eval().requires_grad_(False)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be {', '.join(known[:-1])} or {known[-1]}, got {value!r}")
