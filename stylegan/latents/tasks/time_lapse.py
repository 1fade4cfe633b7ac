"""The task `time_lapse` of the generate command: a video of how a run's network learned to draw."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torch import Tensor

from stylegan.images import read_png, to_uint8, visible
from stylegan.latents.cells import Sheet, best_shape, parse_shape
from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import Output
from stylegan.latents.points import parse_points, short_text
from stylegan.latents.time_lapse import TimeLapse, frames_of, of_one_size, strip_height, with_caption
from stylegan.latents.truncation import number_text
from stylegan.machine.console import say
from stylegan.machine.text import printable
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media
from stylegan.sizes import Size, size_text

KINDS = ("all", "snapshots")


class TimeLapseVideo:
    """Draws the same latents through a run's kept networks, oldest first, or shows the run's snapshots.

    Each is shown for `hold_sec` and fades into the next for `fade_sec`. Networks are opened one at a time.

    Args:
        seeds: as in `parse_points`; for networks alone.
        label: as in `Drawer.label`; None for a network without labels.
        checkpoints: "all" = the kept networks of the run | "snapshots" = its pictures.
        hold_sec, fade_sec: in seconds.
        caption: whether a strip below the picture says how long the network was trained.
        grid: columns x rows of the seeds; None = the best shape.
        media: of the video.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        seeds: str | int = "0-8",
        label: str | float | None = None,
        checkpoints: str = "all",
        hold_sec: float = 0.4,
        fade_sec: float = 0.2,
        caption: bool = True,
        grid: str | None = None,
        media: MediaSettings,
    ):
        if checkpoints not in KINDS:
            raise ValueError(f"checkpoints must be one of {', '.join(KINDS)}, got {checkpoints!r}")
        self.points = parse_points(seeds)
        self.columns, self.rows = best_shape(len(self.points)) if grid is None else parse_shape(grid)
        if self.columns * self.rows < len(self.points):
            raise ValueError(f"grid={grid}: it has fewer cells than there are seeds, {len(self.points)}")
        self.label, self.checkpoints, self.caption, self.media = label, checkpoints, caption, media
        self.hold_sec, self.fade_sec = hold_sec, fade_sec
        self.hold_frames = frames_of(hold_sec, float(media.rate), key="hold_sec", least=1)
        self.fade_frames = frames_of(fade_sec, float(media.rate), key="fade_sec")

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw and write.

        Raises: ValueError where there are no networks or snapshots, or one cannot be read; OSError where the file
          cannot be written.
        """
        output.check_folder("the video")
        if drawer.kept is None or drawer.open_other is None:
            raise ValueError(f"checkpoints={self.checkpoints}: {drawer.name} does not belong to a run")
        kept = drawer.kept(self.checkpoints)
        if self.checkpoints == "all" and "tuned" in drawer.text:
            raise ValueError(
                f"tuned={printable(drawer.text['tuned'])}: it belongs to one network, and here all that the run kept"
                " are drawn; leave it out"
            )
        if self.checkpoints == "all":
            picture, size, channels = self._of_networks(drawer, kept)
        else:
            kept, size, channels = _of_equal_size(kept)
            picture = _snapshots(kept)
        kimgs = [kimg for kimg, _ in kept]
        strip = strip_height(size) if self.caption else 0
        if self.caption:
            picture = _captioned(picture, kimgs)
            size = (size[0] + strip, size[1])
        text = self._text(drawer, kimgs)
        name = "time_lapse" if self.checkpoints == "all" else "snapshots"
        if not output.claim(self.media.name_of(name), text):
            return
        what = "networks" if self.checkpoints == "all" else "snapshots"
        say(f"{len(kept)} {what}, of {kimgs[0]:,.6g} to {kimgs[-1]:,.6g} kimg")
        frames = TimeLapse(
            picture,
            len(kept),
            size=size,
            channels=channels,
            hold_frames=self.hold_frames,
            fade_frames=self.fade_frames,
            caption_px=strip,
        )
        write_media(frames, output.folder / name, self.media, text)

    def _of_networks(
        self, drawer: Drawer, kept: list[tuple[float, Path]]
    ) -> tuple[Callable[[int], Tensor], Size, int]:
        """(number → picture of all seeds, its size, its channels)."""
        sheet = Sheet(self.columns, self.rows, len(self.points), self.media.fill)
        label = drawer.label(self.label)
        drawer.check(self.points)
        newest = drawer.generator
        shape = (newest.size, newest.channels, newest.c_dim)

        def picture(number: int) -> Tensor:
            _, path = kept[number]
            generator = drawer.open_other(str(path), "network")
            if (generator.size, generator.channels, generator.c_dim) != shape:
                raise ValueError(
                    f"network={path}: it draws {size_text(generator.size)} px, and the newest of the run"
                    f" {size_text(drawer.size)}, or they differ in channels or labels; a video needs equal ones"
                )
            other = drawer.with_generator(generator, name=str(path))
            images = visible(to_uint8(other.floats_of(self.points, label)))
            return sheet.frames(images[None])[0].cpu()

        return picture, sheet.size(drawer.size), drawer.channels if drawer.channels <= 4 else 3

    def _text(self, drawer: Drawer, kimgs: list[float]) -> dict[str, str]:
        """What the video says of itself besides the settings of its file."""
        own = {
            "checkpoints": self.checkpoints,
            "kimgs": ",".join(number_text(kimg) for kimg in kimgs),
            "hold_sec": number_text(self.hold_sec),
            "fade_sec": number_text(self.fade_sec),
            "caption": str(self.caption).lower(),
        }
        if self.checkpoints == "snapshots":
            origin = {key: drawer.text[key] for key in ("run", "version") if key in drawer.text}
            return origin | own | dict(self.media.text)
        points = {
            "seeds": short_text(self.points),
            "grid": f"{self.columns}x{self.rows}",
        }
        label = {} if self.label is None else {"label": str(self.label)}
        return drawer.text | label | points | own | dict(self.media.text)


def _of_equal_size(kept: list[tuple[float, Path]]) -> tuple[list[tuple[float, Path]], Size, int]:
    """The snapshots that have the size of the newest, their size and channels."""
    sizes = []
    for kimg, path in kept:
        with Image.open(path, formats=("PNG",)) as image:
            sizes.append((kimg, (image.height, image.width)))
    chosen = of_one_size(sizes)
    if len(chosen) < len(kept):
        say(
            f"{len(kept) - len(chosen)} snapshots have another size than the newest, {size_text(sizes[-1][1])} px, and"
            " are left out"
        )
    found = [kept[place] for place in chosen]
    return found, sizes[-1][1], len(read_png(found[-1][1]))


def _snapshots(kept: list[tuple[float, Path]]) -> Callable[[int], Tensor]:
    return lambda number: read_png(kept[number][1])


def _captioned(picture: Callable[[int], Tensor], kimgs: list[float]) -> Callable[[int], Tensor]:
    return lambda number: with_caption(picture(number), f"{kimgs[number]:,.6g} kimg")
