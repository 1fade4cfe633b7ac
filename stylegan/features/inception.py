"""Inception: the network of 5 December 2015, behind nearly every published FID, KID and inception score."""

import io

import torch
from torch import Tensor

from stylegan.features.detector import Detector, HasProbabilities, rgb_pixels
from stylegan.features.weights import WeightFile, Weights
from stylegan.machine.devices import full_precision

INCEPTION_FILE = WeightFile(
    name="weights-inception-2015-12-05-6726825d.pth",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d",
)


class InceptionDetector(Detector, HasProbabilities):
    """Pool features and classes of Inception-v3, by torch-fidelity's port of the original graph.

    Features: the 2048 means over the last layer. Probabilities: of 1008 classes, without the bias of the last
    layer, as the original program of the inception score computed them by mistake, and everyone since.

    Source: Szegedy et al. 2016; Heusel et al. 2017 for the FID.
    Raises: ValueError, of one line, without torch-fidelity, or for weights of another network.
    """

    resize = "299x299 px, TF1 bilinear without antialiasing"
    num_features = 2048

    def __init__(self, weights: Weights):
        super().__init__(_port(weights))
        self.published = weights.published
        self.name = "inception" if weights.published else "inception with other weights"
        self.checksum = weights.sha256

    def _features(self, images: Tensor) -> Tensor:
        return self.network(images)[0]

    @torch.no_grad()
    def features_and_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N,C,H,W] → float32 [N,2048] and [N,1008] on the detector's device."""
        rgb = rgb_pixels(images).to(self.device)
        with full_precision(self.device):
            features, logits = self.network(rgb)
            return features.to(torch.float32), logits.softmax(1)


def _port(weights: Weights) -> torch.nn.Module:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise ValueError(
            "the detector inception needs torch-fidelity; install it with pip install 'stylegan-lightning[metrics]'"
        ) from None
    # The port unpickles anything that its path holds. It is given a file in memory of what was read safely.
    file = io.BytesIO()
    torch.save(weights.tensors, file)
    file.seek(0)
    try:
        # Building it draws initial weights, which the training's random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            return FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], file)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:160]
        raise ValueError(f"{weights.path} holds weights of another network: {first}") from None
