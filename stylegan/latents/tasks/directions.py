"""The task `directions` of the generate command: finds directions and saves them, and shows what they do."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stylegan.latents.cells import parse_shape
from stylegan.latents.directions.boundary import read_scores
from stylegan.latents.directions.direction import Direction, read_directions, write_directions
from stylegan.latents.directions.finding import (
    METHODS,
    UNITS,
    Found,
    NamedLabel,
    file_name,
    find_boundary_of,
    find_channels,
    find_class_means,
    find_components,
    find_factors,
    kept,
    parse_classes,
)
from stylegan.latents.directions.linear import VARIANTS
from stylegan.latents.directions.movement import parse_directions
from stylegan.latents.directions.showing import DirectionFrames, Moved, parse_strengths, sheet_images
from stylegan.latents.drawer import Drawer
from stylegan.latents.formats import format_of, frames_in
from stylegan.latents.layers import check_layers, describe_layers, parse_layers
from stylegan.latents.outputs import ORIGIN, ImageFormat, Output, write_sidecar
from stylegan.latents.points import parse_points, short_text
from stylegan.latents.sheets import check_size, save_sheet
from stylegan.latents.truncation import number_text
from stylegan.machine.console import say
from stylegan.machine.files import expanded
from stylegan.machine.text import printable
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media

_MOST_DIRECTIONS = 512


class Directions:
    """Finds directions by `find` into an `.npz`, and shows them; without `find`, shows those that were saved.

    Args:
        seeds: of the images that are moved, as in `parse_points`.
        label: as in `parse_labels`; with all the seeds take the classes in turn. With find=class_mean a pair of
            classes, and images of the second one are moved.
        find: one of `METHODS`; None = the directions that the drawer is configured with and that have no strength.
        variant: of sefa. count: of directions. samples: seeds whose w gives sigma, and pca.
        layers: that are moved, as in `parse_layers`; None = all.
        scores: CSV of the boundary. share: at each end, as in `ends_of`.
        orthogonal_to: files of directions that are projected out, as in `parse_directions`.
        unit: of strengths: "sigma", or "absolute" = distances.
        strengths: of the columns of a sheet; a video goes from the least to the largest.
        format: of a sheet or of a video, which decides what is drawn. quality: 1 to 100, of JPEG and WebP.
        duration_sec: of a video. grid: its cells, columns x rows; None = the best shape.
        media: makes the settings of a video.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        seeds: str | int,
        label: str | float | None = None,
        find: str | None = None,
        variant: str = "normalised",
        count: int = 5,
        samples: int = 10_000,
        layers: str | int | None = None,
        scores: str | None = None,
        share: float | None = None,
        orthogonal_to: str | None = None,
        unit: str = "sigma",
        strengths: str | float = "-3,-1.5,0,1.5,3",
        format: str = "png",
        quality: int = 90,
        duration_sec: float = 4,
        grid: str | None = None,
        media: Callable[[], MediaSettings] = MediaSettings,
    ):
        for name, value, choices in (
            ("find", find, (None, *METHODS)),
            ("variant", variant, VARIANTS),
            ("unit", unit, UNITS),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(filter(None, choices))}, got {value!r}")
        for name, number, least, most in (
            ("count", count, 1, _MOST_DIRECTIONS),
            ("samples", samples, 2, 10**7),
        ):
            if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
                raise ValueError(f"{name} must be a whole number from {least} to {most:,}, got {number}")
        if share is not None and not 0 < share <= 0.5:
            raise ValueError(f"share must be above 0 and at most 0.5, got {share}")
        if (find == "boundary") != (scores is not None):
            raise ValueError(
                "scores is missing: find=boundary takes a CSV of seed,score, as in scores=smile.csv"
                if scores is None
                else f"scores={printable(str(scores))} counts with find=boundary alone"
            )
        given = {"layers": layers, "orthogonal_to": orthogonal_to, "share": share}
        for name, value in given.items():
            if value is not None and (find is None or (name == "share" and find != "boundary")):
                with_ = "find=boundary alone" if name == "share" else "find= alone, not with saved directions"
                raise ValueError(f"{name}={printable(str(value))} counts with {with_}")
        check_layers(layers)
        self.points = parse_points(seeds)
        self.label, self.find, self.variant, self.count, self.samples = label, find, variant, count, samples
        self.layers, self.share, self.orthogonal_to, self.unit = layers, share, orthogonal_to, unit
        self.scores = None if scores is None else expanded(scores, key="scores")
        if self.scores is not None:
            if not self.scores.is_file():
                raise ValueError(f"scores={printable(str(scores))}: there is no such file")
            self.scored = read_scores(self.scores)
        self.strengths, self.duration_sec = parse_strengths(strengths), duration_sec
        self.shape = None if grid is None else parse_shape(grid)
        self.format = format_of(format, quality, media)
        self.frames = frames_in(duration_sec, self.format) if isinstance(self.format, MediaSettings) else 0

    def run(self, drawer: Drawer, output: Output) -> None:
        """Find, save, show, and say where.

        Raises: ValueError that names a value or the file in the way; OSError where a file cannot be written.
        """
        output.check_folder("directions")
        drawer.check(self.points)
        if isinstance(self.format, ImageFormat):
            check_size((len(self.strengths), len(self.points)), drawer.size, self.format)
        pairs = parse_classes(self.label, drawer) if self.find == "class_mean" else []
        labels = _labels_of(pairs) if pairs else drawer.labels(self.label)
        directions, text = self._found(drawer, labels, pairs, output) if self.find else self._saved(drawer)
        # Of a pair of classes, those of the second one are led to the first.
        shown = pairs[0][1] if len(pairs) == 1 else labels
        own = [shown[place % len(shown)][1] for place in range(len(self.points))]
        label = None if own[0] is None else torch.stack([one for one in own if one is not None])
        text = text | {
            "seeds": short_text(self.points),
            "classes": ",".join(dict.fromkeys(name for name, _ in shown if name)),
        }
        for direction in directions:
            moved = Moved(
                drawer, self.points, label, direction, steady=None if self.find else self._steady(drawer)
            )
            self._show(moved, direction, text, output)

    def _saved(self, drawer: Drawer) -> tuple[list[Direction], dict[str, str]]:
        shown = [part.direction for part in drawer.movement.parts if part.strength is None]
        if not shown:
            raise ValueError(
                "find is missing: say how directions are found, as in find=sefa, or which saved ones are shown, as in"
                " directions=smile.npz, without a strength"
            )
        return shown, drawer.text | {"unit": "that of the file"}

    def _steady(self, drawer: Drawer) -> Tensor:
        """The strengths of the directions that have one; 0 of those that are shown."""
        return torch.tensor([part.strength or 0.0 for part in drawer.movement.parts])

    def _found(
        self, drawer: Drawer, labels: Sequence[NamedLabel], pairs: Sequence, output: Output
    ) -> tuple[list[Direction], dict[str, str]]:
        generator = drawer.generator
        layers = parse_layers(self.layers, generator)
        others, others_text = self._others(drawer)
        text = self._text(drawer, labels) | others_text
        text |= {"layers": ",".join(map(str, layers))}
        name = self._name(pairs)
        output.folder.mkdir(parents=True, exist_ok=True)
        path = output.folder / f"{name}.npz"
        if not output.claim(path.name, text):
            return read_directions(path), drawer.text | text
        found = self._search(drawer, labels, pairs, layers)
        directions = kept(
            found, method=self.find, layers=layers, num_ws=generator.num_ws, unit=self.unit, others=others
        )
        for number, line in enumerate(found.lines):
            say(f"{name}[{number}]: {line}" if len(found.lines) > 1 else f"{name}: {line}")
        write_directions(path, directions, text)
        write_sidecar(path, text | {"found": found.lines})
        moved = "" if self.find == "channels" else f", moving {describe_layers(layers, generator)}"
        count = f"{len(directions)} direction{'s' * (len(directions) > 1)}"
        say(f"{count} in {path}{moved}")
        return read_directions(path), drawer.text | text

    def _search(
        self, drawer: Drawer, labels: Sequence[NamedLabel], pairs: Sequence, layers: Sequence[int]
    ) -> Found:
        sizes = {"count": self.count, "samples": self.samples}
        if self.find == "sefa":
            return find_factors(drawer, labels, layers, variant=self.variant, **sizes)
        if self.find == "pca":
            return find_components(drawer, labels, **sizes)
        if self.find == "class_mean":
            return find_class_means(drawer, pairs, samples=self.samples)
        if self.find == "channels":
            return find_channels(drawer, labels, layers, **sizes)
        return find_boundary_of(drawer, labels, scored=self.scored, samples=self.samples, share=self.share)

    def _others(self, drawer: Drawer) -> tuple[Tensor | None, dict[str, str]]:
        """What is projected out, [M,W], and its text."""
        if self.orthogonal_to is None:
            return None, {}
        movement = parse_directions(
            self.orthogonal_to, drawer.generator, network=drawer.name, key="orthogonal_to"
        )
        vectors = [part.direction.vector for part in movement.parts]
        if any(vector is None for vector in vectors):
            raise ValueError(
                f"orthogonal_to={printable(self.orthogonal_to)}: a style channel is no direction in w"
            )
        rows = torch.cat([vector for vector in vectors if vector is not None])
        text = movement.text
        return rows, {"orthogonal_to": f"{text['directions']} ({text['directions_sha256']})"}

    def _text(self, drawer: Drawer, labels: Sequence[NamedLabel]) -> dict[str, str]:
        """What a file of directions follows from: not from psi, or what else is of drawing alone."""
        # Gradients are rounded as images are.
        names = (*ORIGIN, "weights", *(["precision"] if self.find == "channels" else []))
        text = {name: drawer.text[name] for name in names if name in drawer.text}
        text |= {"find": str(self.find), "unit": self.unit, "samples": str(self.samples)}
        text |= {"variant": self.variant} if self.find == "sefa" else {}
        text |= {"count": str(self.count)} if self.find in ("sefa", "pca", "channels") else {}
        text |= {"label": str(self.label)} if labels[0][1] is not None else {}
        if self.scores is not None:
            digest = hashlib.sha256(self.scores.read_bytes()).hexdigest()[:16]
            text |= {"scores": f"{self.scores.name} ({digest})", "share": str(self.share)}
        return text

    def _name(self, pairs: Sequence) -> str:
        """The file's name without its ending."""
        if self.find == "boundary":
            return file_name(self.scores.stem)
        if self.find == "class_mean":
            return file_name(f"{pairs[0][0][0][0]}-{pairs[0][1][0][0]}") if len(pairs) == 1 else "classes"
        return "sefa-stacked" if self.find == "sefa" and self.variant == "stacked" else str(self.find)

    def _show(self, moved: Moved, direction: Direction, text: dict[str, str], output: Output) -> None:
        name = file_name(direction.name)
        digest = moved.movement.text["directions_sha256"]
        strengths = ",".join(number_text(strength) for strength in self.strengths)
        text = text | {"direction": direction.name, "direction_sha256": digest, "strengths": strengths}
        if isinstance(self.format, MediaSettings):
            self._write_video(moved, name, self.format, text, output)
        else:
            self._write_sheet(moved, name, self.format, text, output)

    def _write_sheet(
        self, moved: Moved, name: str, file_format: ImageFormat, text: dict[str, str], output: Output
    ) -> None:
        path = output.folder / f"{name}.{file_format.ending}"
        text = text | file_format.text
        if not output.claim(path.name, text):
            return
        pixels = sheet_images(moved, self.strengths, file_format.pixels)
        cells = [
            {"row": row, "column": column, "strength": strength} | point.text
            for row, point in enumerate(self.points)
            for column, strength in enumerate(self.strengths)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (len(self.strengths), len(self.points))
        save_sheet(path, pixels, text, shape=shape, cells=cells, file_format=file_format)
        say(f"{len(self.points)} seeds at strengths {text['strengths']} in {path}")

    def _write_video(
        self, moved: Moved, name: str, media: MediaSettings, text: dict[str, str], output: Output
    ) -> None:
        frames = DirectionFrames(
            moved,
            lowest=min(self.strengths),
            highest=max(self.strengths),
            count=self.frames,
            shape=self.shape,
            fill=media.fill,
        )
        text = text | {
            "duration_sec": number_text(self.duration_sec),
            "grid": "x".join(map(str, frames.shape)),
        }
        if output.claim(media.name_of(f"{name}-loop"), text | dict(media.text)):
            output.folder.mkdir(parents=True, exist_ok=True)
            write_media(frames, output.folder / f"{name}-loop", media, text)


def _labels_of(pairs: Sequence[tuple[Sequence[NamedLabel], Sequence[NamedLabel]]]) -> list[NamedLabel]:
    """Each class of some pairs once."""
    return list({name: (name, label) for pair in pairs for side in pair for name, label in side}.values())
