"""Builtin detector, without any file: a fixed network of random filters, to compare runs of one data set."""

import hashlib
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan.features.detector import Detector, HasEmbedding, rgb_floats
from stylegan.images import to_float
from stylegan.machine.devices import full_precision

# Names the design below, and seeds its weights.
DESIGN = "stylegan-lightning builtin detector, design 1"
# Counted up with every change of what is computed from the weights: features that were kept, and scores, must not meet
# those of another formula. A test that pins features notices such a change.
_FORMULAS = 2

_WORKING_PX = 64
_CHUNK_PX = {"cpu": 16 * 64 * 64, "cuda": 64 * 256 * 256}
_SMALLEST_PX = 4
_CHANNELS = (24, 32, 48)
_KERNELS = (5, 3, 3)
_GAINS = (4, 2, 2)  # norms of the filters
_PROJECTIONS = 64
# Grey, blue to red, and green to magenta: orthonormal.
_OPPONENT = ((1, 1, 1), (-1, 0, 1), (1, -2, 1))
# Energies below that of noise of about one grey level say nothing.
_LEAST_ENERGY = 1e-4


class BuiltinDetector(Detector, HasEmbedding):
    """First and second moments of random and oriented filters at several scales; nothing is learned or downloaded.

    The image in three opponent colours is described by 467 numbers:
      - 32 of fine detail: a quarter of the logarithms of the energies behind the 8 frequencies of a 3x3 cosine
        transform of the grey image, at its own size, in 2x2 cells. All else is of a working image: where the
        longer side is larger than 64 px, it is brought there by averaging areas;
      - 16 more, the same of the other two colours, over the working image;
      - 51 of layout: means of the colours in 4x4 cells, and their standard deviations;
      - 48 + 160 + 160 of three random convolutions (5x5 to 24 channels, 3x3 to 32, 3x3 to 48; leaky ReLU of slope
        0.2; flat areas do not move the first; a 2x2 average between two of them). Of the first: means and, of energies,
        the same logarithms. Of the second: means in 2x2 cells, standard deviations. Of the third: means, standard
        deviations, and 64 random projections of the means in 4x4 cells.
    Filters follow from SHAKE-256, so that their bits are the same everywhere. The idea that features of a random
    network rank images: Naeem et al. 2020, on density and coverage. docs/metrics.md says what it cannot show.

    Images: height and width of at least 4 px.
    """

    name = "builtin"
    resize = "longer side to 64 px where larger, areas averaged; fine detail unresized"
    num_features = 467

    def __init__(self) -> None:
        super().__init__(_RandomNetwork())
        self.checksum = weights_checksum(self.network)

    def _features(self, images: Tensor) -> Tensor:
        # What fits into a processor's cache is done several times faster than a large batch; a GPU needs the large one.
        most_px = _CHUNK_PX.get(self.device.type, _CHUNK_PX["cpu"])
        chunk = max(1, most_px // (images.shape[2] * images.shape[3]))
        return torch.cat([self.network(to_float(some)) for some in images.split(chunk)])

    def embedding(self, images: Tensor) -> Tensor:
        """As in `HasEmbedding`: normalised activations of the three layers on the working image.

        As in LPIPS (Zhang et al. 2018, eq. 1) with all channels of equal weight; the three layers are added.
        """
        images = rgb_floats(images).to(self.device)
        with full_precision(self.device):
            parts = []
            for layer in self.network.layers(self.network.working_image(images)):
                unit = layer * (layer.square().sum(1, keepdim=True) + 1e-10).rsqrt()
                parts.append(unit.flatten(1) / math.sqrt(layer.shape[2] * layer.shape[3]))
            return torch.cat(parts, 1)


class _RandomNetwork(nn.Module):
    """float32 [N,3,H,W] in [-1, 1] → [N,467]; see `BuiltinDetector`."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = _parameter(_unit_rows(_OPPONENT))
        self.frequencies = _parameter(_cosine_filters())
        widths = (3, *_CHANNELS)
        self.filters, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, (inputs, outputs, kernel) in enumerate(zip(widths[:-1], _CHANNELS, _KERNELS, strict=True)):
            filters = _random_filters(f"filters {i}", outputs, inputs, kernel, flat=i > 0)
            self.filters.append(_parameter(_GAINS[i] * filters))
            self.biases.append(_parameter(0.3 * _uniform(f"biases {i}", outputs)))
        rows = _uniform("projections", _PROJECTIONS * 16 * _CHANNELS[-1]).reshape(_PROJECTIONS, -1)
        self.projections = _parameter(_unit_rows(rows))

    def working_image(self, images: Tensor) -> Tensor:
        """RGB [N,3,H,W] → opponent colours with a longer side of at most 64 px, no side below 4 px."""
        size = images.shape[2:]
        if min(size) < _SMALLEST_PX:
            raise ValueError(
                f"the builtin detector takes pictures from 4x4 px on, got {size[0]}x{size[1]}; enlarge them"
            )
        if max(size) > _WORKING_PX:
            scale = _WORKING_PX / max(size)
            images = F.adaptive_avg_pool2d(images, [max(_SMALLEST_PX, round(side * scale)) for side in size])
        return F.conv2d(images, self.colours[:, :, None, None])

    def layers(self, image: Tensor) -> list[Tensor]:
        """Opponent colours [N,3,H,W] of the working size → activations of the three layers."""
        outputs = []
        for filters, biases in zip(self.filters, self.biases, strict=True):
            if outputs:
                image = F.avg_pool2d(outputs[-1], 2)
            margin = filters.shape[-1] // 2
            padded = F.pad(image, (margin,) * 4, mode="replicate")
            outputs.append(F.leaky_relu(F.conv2d(padded, filters, biases), 0.2))
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        image = self.working_image(images)
        first, second, third = self.layers(image)
        parts = [
            self._grey_detail(images),
            self._colour_detail(image),
            _cells(image, 4),
            _deviations(image),
            _cells(first, 1),
            _log_energies(first.var((2, 3), correction=0)),
            _cells(second, 2),
            _deviations(second),
            _cells(third, 1),
            _deviations(third),
            _cells(third, 4) @ self.projections.T,
        ]
        return torch.cat(parts, 1)

    def _grey_detail(self, images: Tensor) -> Tensor:
        grey = (self.colours[:1] @ images.flatten(2)).reshape(len(images), 1, *images.shape[2:])
        return _log_energies(_cells(F.conv2d(grey, self.frequencies).square(), 2))

    def _colour_detail(self, image: Tensor) -> Tensor:
        energies = F.conv2d(image[:, 1:].flatten(0, 1)[:, None], self.frequencies).square().mean((2, 3))
        return _log_energies(energies.reshape(len(image), 2 * len(self.frequencies)))


def weights_checksum(network: nn.Module) -> str:
    """SHA-256 of the design and of all weights, in order, as little-endian float32."""
    digest = hashlib.sha256(f"{DESIGN}, formulas {_FORMULAS}".encode())
    for name, weights in network.named_parameters():
        digest.update(f"{name} {list(weights.shape)}".encode())
        digest.update(weights.detach().cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def _cells(x: Tensor, grid: int) -> Tensor:
    """[N,C,H,W] → means in grid x grid cells, [N, C·grid²]."""
    return F.adaptive_avg_pool2d(x, grid).flatten(1)


def _deviations(x: Tensor) -> Tensor:
    return x.var((2, 3), correction=0).sqrt()


def _log_energies(energies: Tensor) -> Tensor:
    """About -0.8 (nothing) to 1.5; 0 is the energy of a standard deviation of 0.05.

    A quarter of the logarithm, so that a slight blur does not drown a change of what is shown.
    """
    return 0.25 * torch.log(energies + _LEAST_ENERGY) + 1.5


def _parameter(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(
        torch.from_numpy(np.asarray(values, np.float64).astype(np.float32)), requires_grad=False
    )


def _uniform(name: str, count: int) -> np.ndarray:
    """Numbers strictly within (-1, 1), float64, from SHAKE-256: exact, so the same in every version of any library."""
    stream = hashlib.shake_256(f"{DESIGN}, {name}".encode()).digest(4 * count)
    return (np.frombuffer(stream, "<u4").astype(np.float64) - (2**31 - 0.5)) / 2**31


def _random_filters(name: str, outputs: int, inputs: int, kernel: int, *, flat: bool) -> np.ndarray:
    """[outputs, inputs, kernel, kernel] of norm 1.

    Args:
        flat: flat areas answer; else each slice has mean 0.
    """
    filters = _uniform(name, outputs * inputs * kernel**2).reshape(outputs * inputs, kernel**2)
    if not flat:
        filters = np.array([[value - math.fsum(row) / len(row) for value in row] for row in filters.tolist()])
    return _unit_rows(filters.reshape(outputs, -1)).reshape(outputs, inputs, kernel, kernel)


def _cosine_filters() -> np.ndarray:
    """The 8 products of 3-point cosines that are not flat: [8,1,3,3], orthonormal."""
    waves = _unit_rows([(1, 1, 1), (1, 0, -1), (1, -2, 1)])
    return (waves[:, None, :, None] * waves[None, :, None, :]).reshape(9, 1, 3, 3)[1:]


def _unit_rows(rows: np.ndarray | tuple | list) -> np.ndarray:
    # Exact sums and correctly rounded roots: no two machines disagree in the last bit, as they may about a norm.
    rows = np.asarray(rows, np.float64)
    norms = [math.sqrt(math.fsum(value * value for value in row)) for row in rows.tolist()]
    return rows / np.array(norms)[:, None]
