"""Centers: what truncation pulls to, the mean of w, one latent, or the nearest of several clusters."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.latents.points import Point, parse_points
from stylegan.machine.console import say
from stylegan.machine.files import cache_folder, replacing

# Mokady et al. 2022, section 4.
CLUSTER_SAMPLES = 60_000
MOST_CLUSTERS = 1024
_ITERATIONS = 50
_BLOCK = 8192  # points that are doubled in precision at a time
# Keeps these draws apart from all else that is drawn from a seed.
_CLUSTER_STREAM = 0x636C7573


class Center:
    """What truncation of a network pulls to.

    Args:
        text: "mean" (the network's w_avg), a seed, a latent file, or "clusters:64", of which each w takes the nearest.
        generator: the network, on the device that computes.
        raw_ws: points and a label → w [N,L,W], as `Drawer.raw_ws`.
        weights: the digest of its weights, by which clusters are remembered.
        name: of the network, for messages.
    Attributes: `text`: what an image says of it, nothing of the mean. `point`: the one latent; None for another kind.
    Raises: ValueError that names the text and the way out.
    """

    def __init__(
        self,
        text: str | int,
        *,
        generator: nn.Module,
        raw_ws: Callable[[Sequence[Point], Tensor | None], Tensor],
        weights: str,
        name: str,
    ):
        self.generator, self.raw_ws, self.weights, self.name = generator, raw_ws, weights, name
        written = str(text).strip()
        self.clusters = clusters_in(written)
        self.point: Point | None = None
        self.text = {"center": written} if self.clusters else {}
        if written != "mean" and not self.clusters:
            points = parse_points(text, key="center")
            if len(points) != 1:
                raise ValueError(
                    f"center={text}: one seed or latent, or mean, which is the average of the network"
                )
            point = self.point = points[0]
            self.text = {"center": point.source if point.seed is not None else point.name}
            if point.seed is None:
                self.text |= {"center_latent": point.digest, "center_file": point.source}
        self._found: dict[str, Tensor] = {}

    def of(self, ws: Tensor, label: Tensor | None = None) -> Tensor:
        """ws [N,L,W] → what they are pulled to: [W] or [L,W] for all, or [N,1,W] or [N,L,W] for each its own.

        Args: label: [K] or [N,K], which a seed or a cluster depends on; None for a network without labels.
        """
        if self.point is None and not self.clusters:
            return self.generator.mapping.w_avg
        if label is None or label.ndim == 1:
            found = self._of_label(label)
            return nearest(found, ws) if self.clusters else found
        rows = [self._of_label(one) for one in label]
        if not self.clusters:
            return torch.stack(rows)
        return torch.cat([nearest(centers, w[None]) for centers, w in zip(rows, ws, strict=True)])

    def forget(self) -> None:
        """Where the weights of the network change: the w of a seed is found again."""
        self._found.clear()

    def _of_label(self, label: Tensor | None) -> Tensor:
        """The centers of the clusters [M,W] of a label, or the one point [L,W]."""
        key = _label_key(label)
        if key not in self._found:
            self._found[key] = (
                self._cluster_centers(label, key) if self.point is None else self._w(self.point, label)
            )
        return self._found[key]

    def _w(self, point: Point, label: Tensor | None) -> Tensor:
        if label is None and self.generator.c_dim and point.w is None:
            raise ValueError(
                f"center={point.source}: {self.name} draws a seed only with a label, and there is none here"
            )
        return self.raw_ws([point], label)[0]

    def _cluster_centers(self, label: Tensor | None, key: str) -> Tensor:
        classes = self.generator.c_dim

        def first_ws(seeds: range) -> Tensor:
            labels = label
            if labels is None and classes:  # of all classes in turn
                labels = torch.eye(classes)[torch.tensor(seeds) % classes]
            points = [Point(name="", source=str(seed), seed=seed) for seed in seeds]
            return self.raw_ws(points, labels)[:, 0]

        found = cluster_centers(first_ws, count=self.clusters, key=f"{self.weights[:32]}-{key}")
        return found.to(self.generator.mapping.w_avg.device)


def nearest(centers: Tensor, ws: Tensor) -> Tensor:
    """For each of ws [N,L,W] the nearest of centers [M,W] in squared distance, summed over the L entries → [N,1,W]."""
    # The sum differs from L times the distance to the mean of the entries by what is the same for all centers.
    mean = ws.mean(dim=1, dtype=torch.float64)
    # One center at a time: a row's result must not depend on how many rows there are.
    squared = torch.stack(
        [(mean - center).square().sum(dim=1) for center in centers.to(torch.float64)], dim=1
    )
    return centers[squared.argmin(dim=1)][:, None]


def cluster_centers(
    ws_of: Callable[[range], Tensor],
    *,
    count: int,
    key: str,
    samples: int | None = None,
) -> Tensor:
    """The centers of `count` clusters of w, [M,W] on the CPU: what multi-modal truncation pulls to.

    They are remembered in the cache folder, since finding them takes up to minutes.
    Args:
        ws_of: seeds → w [N,W].
        samples: of the seeds 0 to `samples` - 1; None = 60,000.
        key: tells networks and labels apart, as by digests.
    Source: Mokady et al. 2022 (Self-Distilled StyleGAN), section 4.
    """
    samples = CLUSTER_SAMPLES if samples is None else samples
    folder = cache_folder("clusters")
    path = None if folder is None else folder / f"{key}-{count}-of-{samples}.npy"
    if path is not None and path.is_file():
        try:
            centers = np.load(path, allow_pickle=False)
            if centers.ndim == 2 and len(centers) == count and centers.dtype == np.float32:
                return torch.from_numpy(centers)
        except (OSError, ValueError, EOFError):
            pass  # damaged; it is written again
    say(f"looking for {count} clusters of w among {samples:,} samples; they are remembered for this network")
    step = 4096
    parts = [ws_of(range(first, min(first + step, samples))).cpu() for first in range(0, samples, step)]
    centers = k_means(torch.cat(parts), count)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, durable=False) as file:
                np.save(file, centers.numpy())
        except OSError:
            pass  # a cache that cannot be written costs time alone
    return centers


def k_means(points: Tensor, count: int, *, iterations: int = _ITERATIONS) -> Tensor:
    """The centers of `count` clusters of points float32 [N,W] → [count,W], always the same ones.

    Lloyd's algorithm from the start of k-means++ (Arthur and Vassilvitskii 2007), until no point changes its cluster,
    at most `iterations` times. A cluster that loses its points keeps its center.
    Raises: ValueError for fewer points than clusters.
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"count must be from 1 to the number of points, {len(points)}, got {count}")
    random = np.random.default_rng([_CLUSTER_STREAM, count])
    chosen = [int(random.integers(len(points)))]
    squared = _squared_distances(points, points[chosen[0]])
    for _ in range(count - 1):
        # Farther points are likelier, in proportion to their squared distance.
        total = squared.cumsum(0)
        place = torch.searchsorted(total, random.random() * total[-1:], right=True)
        chosen.append(min(int(place), len(points) - 1))
        squared = torch.minimum(squared, _squared_distances(points, points[chosen[-1]]))
    centers = points[chosen].to(torch.float64)
    before = None
    for _ in range(iterations):
        cluster = _nearest_rows(points, centers.to(torch.float32))
        if before is not None and torch.equal(cluster, before):
            break
        sums = torch.zeros_like(centers)
        for block, of_block in zip(points.split(_BLOCK), cluster.split(_BLOCK), strict=True):
            sums.index_add_(0, of_block, block.to(torch.float64))
        sizes = torch.bincount(cluster, minlength=count)[:, None]
        centers = torch.where(sizes > 0, sums / sizes.clamp(min=1), centers)
        before = cluster
    return centers.to(torch.float32)


def _squared_distances(points: Tensor, center: Tensor) -> Tensor:
    """|p − center|² of each point, float64 [N]."""
    center = center.to(torch.float64)
    return torch.cat([(block - center).square().sum(dim=1) for block in points.split(_BLOCK)])


def _nearest_rows(points: Tensor, centers: Tensor) -> Tensor:
    """The number of the nearest center of each point. |p|² is the same for all centers, and left out."""
    squared = centers.square().sum(dim=1)
    return torch.cat([(squared - 2 * block @ centers.T).argmin(dim=1) for block in points.split(_BLOCK)])


def clusters_in(text: str) -> int | None:
    """`clusters:64` → 64; None for another text. Raises: ValueError for a count that is none."""
    kind, colon, count = text.strip().partition(":")
    if kind != "clusters":
        return None
    number = int(count) if count.isascii() and count.isdigit() and len(count) <= 9 else 0
    if not colon or not 1 <= number <= MOST_CLUSTERS:
        raise ValueError(
            f"center={text}: the number of clusters is from 1 to {MOST_CLUSTERS:,}, as in clusters:64"
        )
    return number


def _label_key(label: Tensor | None) -> str:
    """A label as part of a name: its numbers in short, or `any` for none."""
    if label is None:
        return "any"
    return sha256(json.dumps(label.tolist()).encode()).hexdigest()[:16]
