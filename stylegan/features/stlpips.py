"""ST-LPIPS: a perceptual distance like LPIPS, whose features are not upset by a shift of a pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan.features.detector import HasEmbedding, rgb_floats
from stylegan.features.weights import WeightFile, Weights
from stylegan.machine.devices import full_precision

STLPIPS_FILE = WeightFile(
    name="vgg_shift_tolerant.pth",
    url="the package stlpips_pytorch 0.0.2 (pip install stlpips_pytorch==0.0.2; weights/vST0.0 in it)",
    sha256="44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
)
# The convolutions of VGG16 in five groups: their places in the file, and the widths of their outputs.
_GROUPS = ((0, 2), (6, 8), (12, 14, 16), (20, 22, 24), (28, 30, 32))
_CHANNELS = (64, 128, 256, 512, 512)
# Below it nothing is left to be mirrored at the border of the last group.
SMALLEST_PX = 32


class StLpips(HasEmbedding):
    """VGG16 with blurred pooling, trained together with the heads; of the file the tensors alone are read.

    Between groups the largest of 2x2 px is taken at every place, then a binomial filter of 3 taps, the border mirrored
    by 2 px, and every second place.

    Raises: ValueError, of one line, for weights of another network.
    Source: Ghildyal and Liu 2022; pooling: Zhang 2019 (making convolutional networks shift-invariant again).
    """

    def __init__(self, weights: Weights):
        self.name = "st-lpips-vgg16" if weights.published else "st-lpips-vgg16 with other weights"
        self.convolutions, self.heads, self.device = (
            _parameters(weights),
            _heads(weights),
            torch.device("cpu"),
        )

    def to(self, device: torch.device | str) -> "StLpips":
        """Moves the network. Returns: itself."""
        self.device = torch.device(device)
        self.convolutions = [[(w.to(device), b.to(device)) for w, b in group] for group in self.convolutions]
        self.heads = [head.to(device) for head in self.heads]
        return self

    def embedding(self, images: Tensor) -> Tensor:
        """As in `HasEmbedding`, at the images' own size, from 32 px on."""
        x = rgb_floats(images).to(self.device)
        if min(x.shape[2:]) < SMALLEST_PX:
            raise ValueError(
                f"ST-LPIPS takes images from 32x32 px on, got {x.shape[2]}x{x.shape[3]}; enlarge them"
            )
        parts = []
        with full_precision(self.device):
            # Of pixels in -1..1, as LPIPS has it.
            mean, deviation = (
                x.new_tensor(values)[:, None, None]
                for values in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
            )
            x = (x - mean) / deviation
            for number, (group, head) in enumerate(zip(self.convolutions, self.heads, strict=True)):
                if number:
                    x = _pooled(x)
                for weight, bias in group:
                    x = F.relu(F.conv2d(x, weight, bias, padding=1))
                # sqrt has no finite derivative at 0, where all channels of a place may be after their ReLU.
                norms = (x.square().sum(1, keepdim=True) + 1e-20).sqrt()
                units = x / (norms + 1e-10)
                parts.append((units * (head / (x.shape[2] * x.shape[3])).sqrt()).flatten(1))
        return torch.cat(parts, 1)


def _pooled(x: Tensor) -> Tensor:
    taps = x.new_tensor([0.25, 0.5, 0.25])
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    x = F.pad(F.max_pool2d(x, 2, stride=1), (2, 2, 2, 2), mode="reflect")
    return F.conv2d(x, kernel, stride=2, groups=x.shape[1])


def _parameters(weights: Weights) -> list[list[tuple[Tensor, Tensor]]]:
    """Weight and bias of each convolution, by group."""
    groups, width = [], 3
    for number, (places, channels) in enumerate(zip(_GROUPS, _CHANNELS, strict=True), start=1):
        group = []
        for place in places:
            name = f"net.slice{number}.{place}"
            pair = (
                _tensor(weights, f"{name}.weight", (channels, width, 3, 3)),
                _tensor(weights, f"{name}.bias", (channels,)),
            )
            group.append(pair)
            width = channels
        groups.append(group)
    return groups


def _heads(weights: Weights) -> list[Tensor]:
    """The five weights of the channels, each [1,C,1,1], not negative."""
    heads = [
        _tensor(weights, f"lin{number}.model.1.weight", (1, channels, 1, 1))
        for number, channels in enumerate(_CHANNELS)
    ]
    if any(bool((head < 0).any()) for head in heads):
        raise ValueError(f"{weights.path} holds no ST-LPIPS: its heads are negative; take {STLPIPS_FILE.url}")
    return heads


def _tensor(weights: Weights, name: str, shape: tuple[int, ...]) -> Tensor:
    tensor = weights.tensors.get(name)
    if tensor is None or tensor.shape != shape:
        raise ValueError(
            f"{weights.path} holds no ST-LPIPS for VGG16: {name} must have the shape {list(shape)}; take"
            f" {STLPIPS_FILE.url}"
        )
    return tensor.to(torch.float32)
