"""A set of images, a detector, a generator and an evaluator small enough for every test."""

import hashlib

import torch
from torch import Tensor

from stylegan.evaluation import Evaluator, MetricSettings, Watch
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.reals import Reals
from stylegan.networks import Generator

NAMES = ["kid", "fid", "pr", "dc"]
NUM = 70  # no multiple of a chunk


class Images:
    """n images of 8x8 px, each a function of its number; counts how often one is read."""

    def __init__(self, count=40, classes=0, seed=0):
        random = torch.Generator().manual_seed(seed)
        self.pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=random, dtype=torch.uint8)
        self.classes, self.reads = classes, 0

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        self.reads += 1
        return self.pixels[index], self.labels(torch.tensor([index]))[0]

    def labels(self, indices: Tensor) -> Tensor:
        return (
            torch.eye(self.classes)[indices % self.classes] if self.classes else torch.zeros(len(indices), 0)
        )

    def content_digest(self):
        return hashlib.sha256(self.pixels.numpy().tobytes()).hexdigest()


class Flipped(Images):
    """The images, then their mirror images."""

    def __init__(self, plain):
        super().__init__(0)
        self.pixels = torch.cat([plain.pixels, plain.pixels.flip(-1)])
        self.classes = plain.classes


class Averages:
    """A detector: means over quarters of the image; keeps what it was shown."""

    name, checksum, resize, num_features = "builtin", "0" * 8, "none", 12

    def __init__(self):
        self.shown: list[Tensor] = []

    def features(self, images):
        assert images.dtype == torch.uint8
        self.shown.append(images.clone())
        return torch.nn.functional.avg_pool2d(images.float() / 255, 4).flatten(1)

    def features_and_probabilities(self, images):
        features = self.features(images)
        return features, features.softmax(1)

    def probabilities(self, images):
        return self.features_and_probabilities(images)[1]

    def embedding(self, images):
        return torch.nn.functional.avg_pool2d(images, 4).flatten(1)

    def to(self, device):
        return self


def small_generator(c_dim=0, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Generator(
            resolution=8, z_dim=8, w_dim=8, c_dim=c_dim, mapping_layers=1, channel_base=64, channel_max=8
        )
        with torch.no_grad():
            # Noise has no strength before it is trained, and would go unnoticed.
            for name, parameter in made.named_parameters():
                if name.endswith("noise_strength"):
                    parameter.fill_(0.3)
    return made.eval().requires_grad_(False)


def evaluator(
    names=NAMES, images=None, detector=None, cache=None, num_fakes=NUM, data_fingerprint="abc", **settings
):
    images = Images() if images is None else images
    return Evaluator(
        MetricSettings(metrics=names, num_fakes=num_fakes, **settings),
        {"builtin": Averages() if detector is None else detector},
        Reals(images, Flipped(images) if isinstance(images, Images) else None, cache=FeatureCache(cache)),
        data_fingerprint=data_fingerprint,
    )


def quiet(**options):
    return Watch(say=lambda line: None, **options)


def scores(one, generator=None, **options):
    generator = small_generator() if generator is None else generator
    return one.scores(generator, precision="fp32", watch=quiet(), **options)


def results(names=NAMES, generator=None, **options):
    return {
        name: value
        for score in scores(evaluator(names, **options), generator)
        for name, value in score.results.items()
    }
