"""VGG16: features for precision and recall, and the perceptual distance LPIPS."""

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from stylegan.features.detector import Detector, HasEmbedding, rgb_floats, tf1_bilinear
from stylegan.features.weights import WeightFile, Weights, fit
from stylegan.machine.devices import full_precision

VGG16_FILE = WeightFile(
    name="vgg16-397923af.pth",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    sha256="397923af",
)
# The digits are those of a copy with the MD5 that is known of the original, d507d7349b931f0638a25a48a722f98a.
LPIPS_FILE = WeightFile(
    name="lpips-v0.1-vgg-a78928a0.pth",
    url="https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth",
    sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
)

# Of pixels in 0..1, as torchvision trained it.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Of pixels in -1..1, as LPIPS has it: the same, rounded.
_LPIPS_MEAN, _LPIPS_DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# Places of the last ReLU of each of the five groups of convolutions.
_LPIPS_LAYERS = (3, 8, 15, 22, 29)
_LPIPS_CHANNELS = (64, 128, 256, 512, 512)


class VGG16Detector(Detector):
    """The second fully connected layer of VGG16 after its ReLU, 4096 wide; torchvision's weights.

    The precision and recall (pr50k3) published for StyleGAN2 used NVIDIA's own copy of VGG16, whose numbers may
    differ. Images are treated as by torch-fidelity's extractor of the same name.

    Source: Simonyan and Zisserman 2015.  Raises: ValueError, of one line, for weights of another network.
    """

    resize = "224x224 px, TF1 bilinear without antialiasing"
    num_features = 4096

    def __init__(self, weights: Weights):
        super().__init__(_vgg16(weights))
        self.published = weights.published
        self.name = "vgg16-torchvision" if weights.published else "vgg16-torchvision with other weights"
        self.checksum = weights.sha256

    def _features(self, images: Tensor) -> Tensor:
        pixels = tf1_bilinear(images.to(torch.float32), 224)
        mean, deviation = (255 * _column(values, pixels) for values in (_MEAN, _DEVIATION))
        return F.relu(self.network((pixels - mean) / deviation))


class LpipsDetector(VGG16Detector, HasEmbedding):
    """VGG16 with the linear heads of LPIPS, version 0.1: the distance behind the perceptual path length.

    Features are those of `VGG16Detector`. The checksum joins those of both files.
    Source: Zhang et al. 2018, eq. 1.
    """

    def __init__(self, weights: Weights, heads: Weights):
        super().__init__(weights)
        self.published = weights.published and heads.published
        self.name = "lpips-vgg16" if self.published else "lpips-vgg16 with other weights"
        self.checksum = f"{weights.sha256}+{heads.sha256}"
        self.heads = [nn.Parameter(head, requires_grad=False) for head in _heads(heads)]

    def to(self, device: torch.device | str) -> "LpipsDetector":
        self.heads = [head.to(device) for head in self.heads]
        return super().to(device)

    def embedding(self, images: Tensor) -> Tensor:
        """As in `HasEmbedding`, at the images' own size, from 16 px on. E grows with it: 8.3 million at 256 px."""
        x = rgb_floats(images).to(self.device)
        if min(x.shape[2:]) < 16:
            raise ValueError(
                f"LPIPS takes pictures from 16x16 px on, got {x.shape[2]}x{x.shape[3]}; enlarge them"
            )
        with full_precision(self.device):
            x = (x - _column(_LPIPS_MEAN, x)) / _column(_LPIPS_DEVIATION, x)
            parts = []
            for place, layer in enumerate(self.network.features[: _LPIPS_LAYERS[-1] + 1]):
                x = layer(x)
                if place in _LPIPS_LAYERS:
                    weight = self.heads[_LPIPS_LAYERS.index(place)]
                    parts.append(_weighted_units(x, weight).flatten(1))
            return torch.cat(parts, 1)


def _weighted_units(x: Tensor, weight: Tensor) -> Tensor:
    """Activations [N,C,H,W] → of norm 1 at each place, times the root of the channels' weight over H·W."""
    # sqrt has no finite derivative at 0, where all channels of a place may be after their ReLU.
    norms = (x.square().sum(1, keepdim=True) + 1e-20).sqrt()
    return x / (norms + 1e-10) * (weight / (x.shape[2] * x.shape[3])).sqrt()


def _vgg16(weights: Weights) -> nn.Module:
    # On no device: the initial weights would cost seconds and draw random numbers.
    with torch.device("meta"):
        network = torchvision.models.vgg16()
    fit(network, weights)
    # What lies behind the second ReLU turns features into classes; that ReLU would overwrite them in place.
    network.classifier = network.classifier[:4]
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return network


def _heads(heads: Weights) -> list[Tensor]:
    """The five weights, each [1,C,1,1], not negative."""
    tensors = []
    for i, channels in enumerate(_LPIPS_CHANNELS):
        head = heads.tensors.get(f"lin{i}.model.1.weight")
        if head is None or head.shape != (1, channels, 1, 1) or not (head >= 0).all():
            raise ValueError(
                f"{heads.path} holds no heads of LPIPS for VGG16: lin{i}.model.1.weight must be "
                f"{channels} weights that are not negative; fetch {LPIPS_FILE.url}"
            )
        tensors.append(head.to(torch.float32))
    return tensors


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Values of the channels, [C,1,1], on the same device."""
    return torch.tensor(values, device=like.device, dtype=torch.float32)[:, None, None]
