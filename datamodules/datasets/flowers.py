"""Flowers: a procedural set of images of our own, drawn on demand, at any size.

A flower is a rosette of 3 to 8 petals around a disc, seen from above on a soft background; its class is
the number of petals. All of its numbers follow from (seed, index) and live in continuous coordinates, so
that one flower looks the same at every resolution, up to sampling.

Coordinates: the largest centred square of the image spans [-1, 1] in x and y, y downwards, and the ground
continues around it; lengths are in these units, angles in radians, colours RGB in [0, 1]. Arrays are float32,
H and W are the sides of the canvas in samples."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from datamodules.datasets.image_dataset import ImageDataset

MIN_PETALS, MAX_PETALS = 3, 8
NUM_CLASSES = MAX_PETALS - MIN_PETALS + 1
# Keeps the flowers' random numbers apart from other draws under the same seed.
_STREAM = int.from_bytes(b"flow", "big")
# Petals: colour at the base, colour at the tip.
_PETALS = np.array(
    [
        [(0.99, 0.86, 0.90), (0.93, 0.36, 0.58)],  # rose
        [(0.80, 0.10, 0.20), (0.93, 0.20, 0.24)],  # poppy
        [(0.99, 0.62, 0.18), (0.99, 0.45, 0.25)],  # orange
        [(0.98, 0.70, 0.12), (1.00, 0.88, 0.30)],  # buttercup
        [(0.93, 0.90, 0.82), (1.00, 0.99, 0.96)],  # daisy
        [(0.86, 0.80, 0.97), (0.60, 0.45, 0.88)],  # lilac
        [(0.45, 0.20, 0.60), (0.62, 0.30, 0.78)],  # violet
        [(0.80, 0.90, 1.00), (0.30, 0.46, 0.92)],  # forget-me-not
        [(1.00, 0.84, 0.72), (0.98, 0.56, 0.50)],  # peach
        [(0.72, 0.08, 0.42), (0.90, 0.28, 0.66)],  # magenta
    ],
    dtype=np.float32,
)
# Discs: colour of the middle, colour of the rim.
_DISCS = np.array(
    [
        [(1.00, 0.86, 0.30), (0.93, 0.64, 0.10)],  # pollen
        [(0.55, 0.33, 0.14), (0.33, 0.18, 0.09)],  # seeds
        [(0.80, 0.86, 0.42), (0.52, 0.64, 0.22)],  # green
        [(0.36, 0.16, 0.34), (0.20, 0.09, 0.22)],  # plum
    ],
    dtype=np.float32,
)
# Grounds: the two ends of a gradient.
_GROUNDS = np.array(
    [
        [(0.44, 0.64, 0.32), (0.19, 0.40, 0.22)],  # meadow
        [(0.60, 0.74, 0.44), (0.30, 0.50, 0.36)],  # leaf
    ],
    dtype=np.float32,
)


@dataclass(frozen=True)
class Flower:
    """One flower as numbers."""

    petals: int
    centre: tuple[float, float]
    tilt: float  # direction of the foreshortening
    squash: float  # 1 = seen from straight above
    rotation: float
    lengths: np.ndarray  # [petals]
    angles: np.ndarray  # [petals], deviations from even spacing
    half_width: float  # greatest half-width of a petal
    base_power: float  # outline t^base_power (1-t)^tip_power along the petal, t in [0, 1]
    tip_power: float  # small = blunt, large = pointed
    notch: float  # depth of the dent in the tip, as a share of the length
    disc_radius: float
    petal_colours: np.ndarray  # [2, 3] base, tip
    disc_colours: np.ndarray  # [2, 3] middle, rim
    ground_colours: np.ndarray  # [2, 3] the ends
    ground_angle: float


def petals_of(index):
    """Number of petals of a flower (index: int or integer tensor): the classes take turns, for balance."""
    return MIN_PETALS + index % NUM_CLASSES


def grow(seed: int, index: int) -> Flower:
    """The flower of (seed, index), independent of what was grown before."""
    rng = np.random.default_rng([seed, _STREAM, index])
    petals = petals_of(index)
    length = rng.uniform(0.78, 0.9)
    slack = 0.3 * (0.94 - length)  # keeps the tips inside the image

    def colours(palette: np.ndarray, wobble: float) -> np.ndarray:
        chosen = palette[rng.integers(len(palette))]
        return np.clip(chosen + rng.uniform(-wobble, wobble, (1, 3)), 0, 1).astype(np.float32)

    # Many petals must be narrow; few would be fans without the second bound.
    crowding = rng.uniform(0.45, 0.6)
    half_width = length * min(crowding * np.tan(np.pi / petals), 0.40)
    return Flower(
        petals=petals,
        centre=(rng.uniform(-slack, slack), rng.uniform(-slack, slack)),
        tilt=rng.uniform(0, np.pi),
        squash=rng.uniform(0.94, 1.0),
        rotation=-np.pi / 2 + rng.uniform(-0.1, 0.1),  # the first petal stands up
        lengths=(length * rng.uniform(0.94, 1.0, petals)).astype(np.float32),
        angles=(rng.uniform(-0.12, 0.12, petals) / petals).astype(np.float32),
        half_width=half_width,
        base_power=rng.uniform(0.75, 1.15),
        tip_power=rng.choice([0.35, 0.45, 0.6, 0.85]),
        # On narrow petals a dent reads as two petals.
        notch=rng.choice([0.0, 0.0, 0.12]) if petals <= 6 else 0.0,
        disc_radius=length * rng.uniform(0.20, 0.30),
        petal_colours=colours(_PETALS, 0.04),
        disc_colours=colours(_DISCS, 0.03),
        ground_colours=colours(_GROUNDS, 0.03),
        ground_angle=rng.uniform(0, 2 * np.pi),
    )


def paint(flower: Flower, size: int | tuple[int, int]) -> np.ndarray:
    """Draw a flower on its ground.

    Args:
        size: height and width in px, or both as one.
    Returns: uint8 [3,H,W].
    """
    return _to_bytes(_draw(flower, size, grounded=True)[:3])


def cut_out(flower: Flower, size: int | tuple[int, int]) -> np.ndarray:
    """Draw a flower without ground. Returns: uint8 [4,H,W], RGB and alpha; white where nothing is visible."""
    image = _draw(flower, size, grounded=False)
    # Colours were laid on black, which is alpha times the colour: dividing leaves no dark rim.
    alpha = image[3]
    colour = np.where(alpha > 1 / 512, image[:3] / np.maximum(alpha, np.float32(1 / 512)), 1)
    return _to_bytes(np.concatenate([colour, alpha[None]]))


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _draw(flower: Flower, size: int | tuple[int, int], *, grounded: bool) -> np.ndarray:
    """RGB on the ground, or else on black, and the share that the flower covers: [4,H,W]."""
    height, width = (size, size) if isinstance(size, int) else size
    side = min(height, width)
    # Edges are anti-aliased by their distance; where a petal is a few pixels wide that alone is too coarse.
    finer = 2 if side <= 64 else 1
    pixel = np.float32(2 / (side * finer))
    down, across = (
        (np.arange(length * finer, dtype=np.float32) + 0.5) * pixel - np.float32(length / side)
        for length in (height, width)
    )
    image = np.zeros((4, height * finer, width * finer), np.float32)
    if grounded:
        image[:3] = _ground(flower, across, down)
    radius, angle = _polar(flower, across, down)
    _lay_petals(flower, image, radius, angle, pixel)
    _lay_disc(flower, image, radius, angle, pixel)
    if finer == 2:
        rows = image[:, 0::2] + image[:, 1::2]
        image = (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return image


def _lay(image: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Puts a colour [3,H,W] over an image [4,H,W] where it covers it, [H,W] in [0, 1]."""
    image[:3] += (colour - image[:3]) * cover
    image[3] += (1 - image[3]) * cover


def _mix(ends: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours [3,H,W] from ends[0] to ends[1] by a share [H,W] in [0, 1]."""
    first, last = ends[:, :, None, None]
    return first + (last - first) * share


def _cover(distance: np.ndarray, pixel: np.float32) -> np.ndarray:
    """How much of a pixel [0, 1] lies inside an edge at a signed distance (inside is positive)."""
    return np.clip(distance / pixel + np.float32(0.5), 0, 1)


def _ground(flower: Flower, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    x, y = np.float32(np.cos(flower.ground_angle)), np.float32(np.sin(flower.ground_angle))
    along = x * across[None, :] + y * down[:, None]
    return _mix(flower.ground_colours, np.clip(0.5 + 0.4 * along, 0, 1))


def _polar(flower: Flower, across: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radius and angle around the flower's centre with the foreshortening undone: two [H,W]."""
    dx = across[None, :] - np.float32(flower.centre[0])
    dy = down[:, None] - np.float32(flower.centre[1])
    c, s = np.float32(np.cos(flower.tilt)), np.float32(np.sin(flower.tilt))
    along = (c * dx + s * dy) * np.float32(1 / flower.squash - 1)
    x, y = dx + c * along, dy + s * along
    return np.sqrt(x * x + y * y), np.arctan2(y, x) - np.float32(flower.rotation)


def _lay_petals(flower: Flower, image: np.ndarray, radius, angle, pixel: np.float32) -> None:
    step = 2 * np.pi / flower.petals
    nearest = np.rint(angle / np.float32(step))
    angle = angle - nearest * np.float32(step)
    nearest = nearest.astype(np.int16)
    reached = []
    # Each petal lies over the one before it, all the way round; a point is reached by three at most.
    for offset in (-1, 0, 1):
        which = (nearest + offset) % flower.petals
        turned = angle - np.float32(offset * step) - flower.angles[which]
        reached.append(_petal(flower, radius, turned, flower.lengths[which]))
    # A soft round shadow on the ground sets pale flowers off pale grounds.
    span = np.square(radius / flower.lengths.max())
    image[:3] *= 1 - np.float32(0.22) * np.exp(-np.square(span))
    fine = max(0.0, 1 - float(pixel) / (0.12 * flower.half_width))
    for distance, along, aside in reached:
        crease = np.exp(-np.square(aside * np.float32(3.5))) * (1 - along)
        veins = np.float32(0.05 * fine) * np.cos(aside * np.float32(7 * np.pi))
        shade = 1 - np.float32(0.30) * crease - np.float32(0.16) * np.square(aside) - veins
        colour = _mix(flower.petal_colours, along) * shade
        _lay(image, colour, _cover(distance, pixel))


def _petal(flower: Flower, radius, angle, length) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One petal, whose axis is at angle 0.

    Returns: signed distance to its outline, near the outline (inside is positive); place along the petal in
    [0, 1] from base to tip; place aside in [0, 1] from the middle to the edge.
    """
    u, v = radius * np.cos(angle), np.abs(radius * np.sin(angle))
    if flower.notch:
        dent = np.exp(-np.square(v * np.float32(2.5 / flower.half_width)))
        length = length * (1 - np.float32(flower.notch) * dent)
    p, q = np.float32(flower.base_power), np.float32(flower.tip_power)
    along = np.clip(u / length, np.float32(1e-3), np.float32(1 - 1e-3))
    widest = (p / (p + q)) ** p * (q / (p + q)) ** q
    half_width = np.exp(p * np.log(along) + q * np.log1p(-along)) * np.float32(flower.half_width / widest)
    slope = half_width * (p / along - q / (1 - along)) / length
    # First order: the value over the length of the gradient. The ends bound it, where the slope blows up.
    aside = (half_width - v) / np.sqrt(1 + slope * slope)
    distance = np.minimum(aside, np.minimum(length - u, u))
    return distance, along, np.minimum(v / half_width, 1)


def _lay_disc(flower: Flower, image: np.ndarray, radius, angle, pixel: np.float32) -> None:
    rim = np.float32(flower.disc_radius)
    place = radius / rim
    image[:3] *= 1 - np.clip(np.float32(1.35) - place, 0, np.float32(0.35))  # its shadow on the petals
    # Two families of spirals cross, as seeds do; only where there are pixels enough to show them.
    fine = max(0.0, 1 - float(pixel) / (0.12 * flower.disc_radius))
    turn = np.float32(7) * np.sqrt(place)
    seeds = np.cos(13 * angle + turn) * np.cos(8 * angle - turn)
    share = np.minimum(place * place, 1)
    colour = _mix(flower.disc_colours, share) * (1 + np.float32(0.16 * fine) * seeds)
    _lay(image, colour, _cover(rim - radius, pixel))


class FlowersDataset(ImageDataset):
    """The flowers 0 .. num_items-1 of a seed.

    Args:
        size: height and width in px.
        channels: 3 = RGB, 1 = luma, both on the ground; 4 and 2 = the same with an alpha, and no ground.
        labelled: one-hot number of petals, or no label.
    """

    def __init__(self, *, seed: int, num_items: int, size: tuple[int, int], channels: int, labelled: bool):
        self.seed = seed
        self.num_items = num_items
        self.size = size
        self.channels = channels
        if labelled:
            self.label_width, self.label_kind = NUM_CLASSES, "classes"
            self.label_names = [f"{petals} petals" for petals in range(MIN_PETALS, MAX_PETALS + 1)]

    def __len__(self) -> int:
        return self.num_items

    def image(self, index: int) -> torch.Tensor:
        draw = cut_out if self.channels in (2, 4) else paint
        image = draw(grow(self.seed, index), self.size)
        if self.channels <= 2:
            # Rec. 601 luma in 16-bit fixed point; the weights sum to 2^16, so white stays white.
            red, green, blue = image[:3].astype(np.uint32)
            luma = ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)
            image = np.concatenate([luma[None], image[3:]])
        return torch.from_numpy(image)

    def labels(self, indices: torch.Tensor) -> torch.Tensor:
        if not self.label_width:
            return super().labels(indices)
        classes = petals_of(indices) - MIN_PETALS
        return torch.nn.functional.one_hot(classes, NUM_CLASSES).to(torch.float32)

    def fingerprint(self) -> str:
        """Of the numbers that flowers are drawn by, the same at every size."""
        grown = [vars(grow(self.seed, index)).values() for index in range(min(self.num_items, 64))]
        # Rounded: the last digits of tan() and similar functions are each machine's own.
        numbers = [[np.round(value, 5).tolist() for value in flower] for flower in grown]
        text = repr(["flowers", self.seed, self.num_items, self.label_width, numbers])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def content_digest(self) -> str:
        """Of the numbers, the size, and some images, which show a change in how all are painted."""
        digest = hashlib.blake2b(f"{self.fingerprint()} {self.size}".encode(), digest_size=16)
        for index in range(min(self.num_items, 16)):
            digest.update(self.image(index).numpy().tobytes())
        return digest.hexdigest()
