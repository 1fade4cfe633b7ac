"""How well FID and KID under a detector rank damage of known strength: the tables in docs/metrics.md.

python -m benchmarks.studies.rank_agreement [--pictures FOLDER_OR_ZIP] [--detector builtin] [--path FILE]
    [--count 900] [--json FILE]

Half of a set is taken as real, the other half is damaged: by more and more blur, noise, ..., by leaving out classes, or
by showing one class more often than the others. Rank agreement is Spearman's, 1 where each step up is a larger
number. The set is flowers, and with --pictures also that set of 64 px, whose classes are its first sub-folders.
"""

import argparse
import io
import json
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from datamodules import FlowersData, FolderData, ImageDataModule
from stylegan.features import open_detector
from stylegan.metrics import fid, kid_full

PX = 64
ORDERS = 3  # classes are left out, or favoured, in this many orders
Images = torch.Tensor  # uint8 [N,3,H,W]


def blur(images: Images, deviation_px: float) -> Images:
    reach = int(3 * deviation_px + 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation_px) ** 2)
    taps = taps / taps.sum()
    x = F.pad(images.float().flatten(0, 1)[:, None], (reach,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, taps[None, None, None]), taps[None, None, :, None])
    return (x.reshape(images.shape) + 0.5).clamp(0, 255).to(torch.uint8)


def noise(images: Images, deviation: float) -> Images:
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images + deviation * drawn + 0.5).clamp(0, 255).to(torch.uint8)


def jpeg(images: Images, quality: float) -> Images:
    def one(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(quality))
        return Image.open(file)

    return each(images, one)


def hue(images: Images, degrees: float) -> Images:
    def one(image: Image.Image) -> Image.Image:
        h, s, v = image.convert("HSV").split()
        turned = h.point([round(value + degrees * 256 / 360) % 256 for value in range(256)])
        return Image.merge("HSV", (turned, s, v)).convert("RGB")

    return each(images, one)


def shift(images: Images, px: float) -> Images:
    return images.roll(int(px), 3)


def each(images: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    changed = [np.asarray(change(Image.fromarray(image.permute(1, 2, 0).numpy()))) for image in images]
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2).contiguous()


DAMAGE = {
    "blur, px": (blur, (0.4, 0.6, 0.8, 1.2, 2.0)),
    "noise, of 255": (noise, (3, 6, 12, 24, 48)),
    "JPEG quality": (jpeg, (95, 80, 60, 35, 15)),
    "hue, degrees": (hue, (5, 10, 20, 40, 80)),
    "shift, px": (shift, (1, 2, 4, 8, 16)),
}
LEFT_OUT = (1, 2, 3, 4, 5)
FAVOURED = (2, 4, 8, 16, 64)


def mirror(images: Images) -> Images:
    return images.flip(3)


def splice(images: Images) -> Images:
    """The left half of each with the right half of another: nonsense to anyone who looks."""
    return torch.cat([images[..., : PX // 2], images.roll(1, 0)[..., PX // 2 :]], 3)


def copies(images: Images) -> Images:
    """A tenth of the images, ten times each."""
    return images[: len(images) // 10].repeat(10, 1, 1, 1)


BLIND = {"halves of two": splice, "mirrored": mirror, "a tenth, ten times": copies}


def load(data: ImageDataModule) -> tuple[Images, np.ndarray]:
    """All images in an order of chance, and their classes."""
    dataset = data.open_dataset()
    order = np.random.default_rng(0).permutation(len(dataset))
    classes = dataset.labels(torch.from_numpy(order)).argmax(1).numpy()
    return torch.stack([dataset.image(int(i)) for i in order]), classes


class Experiment:
    """Scores of one set. Args: images, classes: as of `load`; describe: images → features; count: of real ones."""

    def __init__(self, images: Images, classes: np.ndarray, describe: Callable, count: int):
        half = len(images) // 2
        self.count = min(half, count)
        self.describe = describe
        self.real = describe(images[: self.count])
        self.fakes = images[half:][: self.count]
        self.pool, self.pool_classes = describe(images[half:]), classes[half:]

    def scores(self, features: np.ndarray) -> tuple[float, float]:
        return fid(self.real, features), kid_full(self.real, features)

    def damaged(self, change: Callable, strengths: tuple[float, ...]) -> list:
        return [[self.scores(self.describe(change(self.fakes, strength))) for strength in strengths]]

    def reweighted(
        self, weights: Callable[[int, np.ndarray], np.ndarray], strengths: tuple[float, ...]
    ) -> list:
        """One row of scores for each order of the classes; `weights` of a strength and of each class's place in it."""
        runs = []
        for run in range(ORDERS):
            rng = np.random.default_rng(run)
            place = rng.permutation(self.pool_classes.max() + 1)[self.pool_classes]
            row = []
            for strength in strengths:
                share = weights(strength, place).astype(np.float64)
                drawn = rng.choice(len(place), self.count, p=share / share.sum())
                row.append(self.scores(self.pool[drawn]))
            runs.append(row)
        return runs

    def table(self) -> dict[str, dict]:
        rows = {"nothing": summary([[self.scores(self.describe(self.fakes))]])}
        for name, (change, strengths) in DAMAGE.items():
            rows[f"{name}: {listed(strengths)}"] = summary(self.damaged(change, strengths))
        name = f"classes left out: {listed(LEFT_OUT)}"
        rows[name] = summary(self.reweighted(lambda k, place: place >= k, LEFT_OUT))
        name = f"one class, times: {listed(FAVOURED)}"
        rows[name] = summary(self.reweighted(lambda factor, place: np.where(place == 0, factor, 1), FAVOURED))
        for name, change in BLIND.items():
            rows[name] = summary([[self.scores(self.describe(change(self.fakes)))]])
        return rows


def listed(strengths: tuple[float, ...]) -> str:
    return " ".join(f"{strength:g}" for strength in strengths)


def summary(runs: list) -> dict:
    """Means over runs, each a row of (FID, KID) by strength, and mean rank agreement where there are several."""
    values = np.array(runs)  # [runs, strengths, 2]
    agreement = [
        np.mean([spearman(row[:, i]) for row in values]) if values.shape[1] > 1 else None for i in (0, 1)
    ]
    means = values.mean(0)
    return {
        "fid_agreement": agreement[0],
        "kid_agreement": agreement[1],
        "fid": means[:, 0].tolist(),
        "kid": means[:, 1].tolist(),
    }


def spearman(values: np.ndarray) -> float:
    ranks = values.argsort().argsort()
    return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])


def show(name: str, rows: dict[str, dict]) -> None:
    print(f"\n| {name} | rank FID | rank KID | FID | 1000 KID |\n|---|---|---|---|---|")
    for row, of in rows.items():
        ranks = ["" if of[key] is None else f"{of[key]:.2f}" for key in ("fid_agreement", "kid_agreement")]
        fids = " ".join(f"{value:.3g}" for value in of["fid"])
        kids = " ".join(f"{1000 * value:.3g}" for value in of["kid"])
        print(f"| {row} | {' | '.join(ranks)} | {fids} | {kids} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures")
    parser.add_argument("--detector", default="builtin")
    parser.add_argument("--path")
    parser.add_argument("--count", type=int, default=900)
    parser.add_argument("--json")
    asked = parser.parse_args()
    detector = open_detector(asked.detector, path=asked.path)

    def describe(images: Images) -> np.ndarray:
        return torch.cat([detector.features(some) for some in images.split(64)]).numpy()

    options = {"resolution": PX, "batch_size": 1, "cache": False}
    sets = {"flowers": FlowersData(num_items=4 * asked.count, labels="own", **options)}
    if asked.pictures:
        sets[asked.pictures] = FolderData(path=asked.pictures, labels="folders", **options)
    tables = {}
    for name, data in sets.items():
        tables[name] = Experiment(*load(data), describe, asked.count).table()
        show(name, tables[name])
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(
                {"protocol": detector.protocol(), "count": asked.count, "tables": tables}, file, indent=1
            )


if __name__ == "__main__":
    main()
