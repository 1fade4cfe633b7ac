"""Evidence that tests of the report share: flowers, fakes that are copies of them, and fakes that are not."""

from functools import cache

import torch

from stylegan.report import Evidence, Logits, Report, examine, report_images
from tests.similarity.images import flowers, recoloured


class Means:
    """The smallest detector there is."""

    name = "means"

    def features(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


KEYS = [
    "copies",
    "neighbours",
    "repeats",
    "diversity",
    "smoothness",
    "overfitting",
    "orientation",
    "colour",
    "your-set",
]
REALS, FAKES = flowers(1, 100), flowers(2, 60)


def evidence(fakes, **more):
    return Evidence(real=report_images(REALS, Means()), fake=report_images(fakes, Means()), **more)


@cache
def report_on_copies() -> Report:
    strips = torch.stack([REALS[i : i + 2].repeat_interleave(4, 0) for i in range(6)])
    logits = Logits(torch.linspace(2, 4, 50), torch.linspace(0, 2, 30), torch.linspace(-1, 1, 50))
    fakes = torch.cat([recoloured(REALS[:30]), REALS[:10], REALS[:10], FAKES[:10]])
    return examine(evidence(fakes, strips=strips, logits=logits))


@cache
def report_on_fresh() -> Report:
    steps = torch.linspace(0, 1, 8).view(1, -1, 1, 1, 1)
    strips = ((1 - steps) * FAKES[:6, None] + steps * FAKES[6:12, None]).to(torch.uint8)
    return examine(evidence(FAKES, strips=strips))
