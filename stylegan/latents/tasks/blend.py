"""The task `blend` of the generate command: a network between two of one ancestor, as a file, a sheet or a video."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from stylegan.images import to_uint8
from stylegan.latents.blending import (
    MAPPINGS,
    Relatives,
    blend,
    check_split,
    share_of_high,
    there_and_back,
)
from stylegan.latents.cells import colour_of
from stylegan.latents.drawer import Drawer
from stylegan.latents.formats import format_of, frames_in
from stylegan.latents.layers import level_of
from stylegan.latents.network_track import (
    BetweenNetworks,
    StillFrames,
    drawer_between,
    open_relative,
    text_of_relatives,
)
from stylegan.latents.outputs import ImageFormat, Output, write_sidecar
from stylegan.latents.points import Point, parse_points, short_text
from stylegan.latents.sheets import check_size, save_sheet
from stylegan.latents.style_mixing import drawn, styles_of
from stylegan.latents.truncation import number_text
from stylegan.machine.console import say
from stylegan.machine.progress import with_progress
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media
from stylegan.sizes import size_text


class Blend:
    """Blends the drawer's network, `low`, with another one, `high`.

    With `at`, a network file with the low resolutions of one and the high ones of the other, and a sheet of low, blend
    and high. Without, a sheet of the blends at every split. With the format of a video, one in which all weights pass
    from `low` to `high` (with `at`: to that blend) and back while the points stay.

    Args:
        high: name of the network of the high resolutions.
        seeds: as in `parse_points`, of the images.
        label: of the images; None for networks without labels.
        at: the resolution in px from which `high` counts; None = every one.
        width: octaves below it over which one passes into the other.
        mapping: "low" or "high": whose mapping network a blend has.
        unrelated: also networks without a common ancestor.
        format: of the sheet or of the video, which decides what is made.
        quality: 1 to 100, of JPEG and WebP.
        fill: colour of spare cells in a video.
        duration_sec: of the video; None = 10.
        media: makes the settings of a video.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        high: str | None,
        seeds: str | int = "0-3",
        label: str | float | None = None,
        at: int | None = None,
        width: float = 0.0,
        mapping: str = "low",
        unrelated: bool = False,
        format: str = "png",
        quality: int = 90,
        fill: str = "white",
        duration_sec: float | None = None,
        media: Callable[[], MediaSettings] = MediaSettings,
    ):
        if not high:
            raise ValueError(
                "high is missing: name the network of the high resolutions, as in high=runs/foxes"
            )
        if mapping not in MAPPINGS:
            raise ValueError(f"mapping must be low or high, got {mapping!r}")
        share_of_high(1, at=1, width=width)
        colour_of(fill, 3)
        self.points = parse_points(seeds)
        self.high, self.label, self.at, self.width = high, label, at, width
        self.mapping, self.unrelated, self.fill = mapping, unrelated, fill
        self.format = format_of(format, quality, media)
        self.duration_sec = 10.0 if duration_sec is None else duration_sec
        if isinstance(self.format, MediaSettings):
            frames_in(self.duration_sec, self.format)

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where. Raises: ValueError that names the value or the file in the way; OSError."""
        output.check_folder("networks, sheets and videos")
        self.drawer, self.output = drawer, output
        self.low = drawer.generator
        self.other = open_relative(drawer, self.high, unrelated=self.unrelated)
        self.text = drawer.text | {
            "task": "blend",
            **text_of_relatives(self.low, self.other),
            "seeds": short_text(self.points),
            **({} if self.label is None else {"label": str(self.label)}),
        }
        if self.low.options["conv_clamp"] != self.other.options["conv_clamp"]:
            say("the limits of activations differ (conv_clamp); what is between the networks has low's")
        self.class_label = drawer.label(self.label)
        if isinstance(self.format, ImageFormat):
            columns = 3 if self.at is not None else len(self.low.synthesis.block_names) + 2
            check_size((columns, len(self.points)), drawer.size, self.format)
        if self.at is not None:
            check_split(self.low, at=self.at, width=self.width, mapping=self.mapping)
        drawer.check(self.points)
        if isinstance(self.format, MediaSettings):
            self._write_video(self.format)
        elif self.at is None:
            self._write_splits(self.format)
        else:
            self._write_blend(self.format, self.at)

    def _write_blend(self, file_format: ImageFormat, at: int) -> None:
        """A network file, and a sheet of low, blend and high."""
        name = f"blend-at{at}" + (f"-width{self.width:g}" if self.width else "")
        name += "-mapping-high" if self.mapping == "high" else ""
        blended = self._blended(at)
        self._write_network(name, blended)
        networks = {"low": lambda: self.low, f"at={at}": lambda: blended, "high": lambda: self.other}
        self._write_sheet(name, networks, self._split_text(at), file_format)

    def _write_splits(self, file_format: ImageFormat) -> None:
        """A sheet with a column for each split, from low on the left to high on the right."""
        levels = [level_of(name) for name in self.low.synthesis.block_names]
        splits = {f"at={at}": partial(self._blended, at) for at in reversed(levels)}
        networks = {"low": lambda: self.low, **splits, "high": lambda: self.other}
        say(f"columns: {', '.join(networks)}")
        self._write_sheet("blends", networks, self._split_text(None), file_format)

    def _blended(self, at: int) -> nn.Module:
        # Whether they may be blended was decided once.
        return blend(self.low, self.other, at=at, width=self.width, mapping=self.mapping, unrelated=True)

    def _write_network(self, name: str, blended: nn.Module) -> None:
        if self.drawer.save_network is None:
            raise ValueError("this drawer saves no networks")
        path = self.output.folder / f"{name}.safetensors"
        text = {
            "task": "blend",
            "low": self.drawer.weights,
            "high": self.text["high"],
            "cosine": self.text["cosine"],
            **self._split_text(self.at),
        }
        if not self.output.claim(path.name, text):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Names besides digests, for people; the same weights may have several.
        text |= {"low_network": self.drawer.name, "high_network": str(self.high)}
        text |= {key: self.text[key] for key in ("version",) if key in self.text}
        self.drawer.save_network(path, blended, text)
        write_sidecar(path, text)
        say(f"network: {path}; draw from it by network={path}")

    def _write_sheet(
        self,
        name: str,
        networks: Mapping[str, Callable[[], nn.Module]],
        split: Mapping[str, str],
        file_format: ImageFormat,
    ) -> None:
        """A row for each point, and a column for each network."""
        path = self.output.folder / f"{name}.{file_format.ending}"
        text = {**self.text, **split, **file_format.text}
        if not self.output.claim(path.name, text):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        save_sheet(
            path,
            self._sheet(networks, file_format),
            text,
            shape=(len(networks), len(self.points)),
            cells=[{"network": column} | point.text for point in self.points for column in networks],
            file_format=file_format,
        )
        say(f"{len(self.points)} x {len(networks)} images of {size_text(self.drawer.size)} px in {path}")

    def _sheet(
        self, networks: Mapping[str, Callable[[], nn.Module]], file_format: ImageFormat
    ) -> Sequence[Tensor]:
        def columns() -> Iterator[tuple[int, Tensor]]:
            for network in networks.values():
                images = images_of(self.drawer, network(), self.points, self.class_label, file_format.pixels)
                yield len(images), images

        total = len(networks) * len(self.points)
        by_network = torch.stack(list(with_progress(columns(), total=total)))
        return by_network.transpose(0, 1).flatten(0, 1)

    def _write_video(self, media: MediaSettings) -> None:
        text = {
            **self.text,
            **self._split_text(self.at),
            "duration_sec": number_text(self.duration_sec),
            **media.text,
        }
        if not self.output.claim(media.name_of("blend"), text):
            return
        high = self.other if self.at is None else self._blended(self.at)
        relatives = Relatives(self.low, high, unrelated=True)
        between = drawer_between(self.drawer, relatives)
        count = frames_in(self.duration_sec, media)
        still = StillFrames(between, self.points, label=self.class_label, count=count, fill=self.fill)
        frames = BetweenNetworks(still, between, relatives, lambda frame: there_and_back(frame, count))
        write_media(frames, self.output.folder / "blend", media, text)

    def _split_text(self, at: int | None) -> dict[str, str]:
        return {
            "at": "all" if at is None else str(at),
            "width": number_text(self.width),
            "mapping": self.mapping,
        }


def images_of(
    drawer: Drawer,
    network: nn.Module,
    points: Sequence[Point],
    label: Tensor | None,
    pixels: Callable[[Tensor], Tensor] = to_uint8,
) -> Tensor:
    """Points drawn by another network with a drawer's settings, [N,C,H,W] on the CPU."""
    other = drawer.with_generator(network, name=drawer.name)
    return torch.cat(list(drawn(other, styles_of(other, points, label), pixels)))
