"""A projection of many pictures: what belongs to it, and its first stage, the search for latents, group by group."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import LatentRow
from stylegan.latents.outputs import Output, read_sidecar
from stylegan.latents.projection.losses import PictureLoss
from stylegan.latents.projection.pictures import Picture, Reader
from stylegan.latents.projection.results import Latents, Names, SearchFrames, read_found, write_found
from stylegan.latents.projection.search import Found, SearchSettings, group_size, searching
from stylegan.latents.projection.starts import Starts
from stylegan.machine.console import say
from stylegan.machine.progress import with_progress
from stylegan.machine.text import printable
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media

Labels = Sequence[tuple[str, Tensor | None]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the stages of a projection share.

    Args:
        names, texts: the files of each picture, and what they say of their origin.
        reader: of the pictures. label: as the user wrote it. media: of the video of a search; None = there is none.
    """

    drawer: Drawer
    output: Output
    pictures: Sequence[Picture]
    texts: Sequence[Mapping[str, str]]
    loss: PictureLoss
    settings: SearchSettings
    starts: Starts
    reader: Reader
    label: str | float | None = None
    media: MediaSettings | None = None

    @property
    def names(self) -> list[Names]:
        """The files of each picture."""
        return [Names.of(picture) for picture in self.pictures]

    def read(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Pixels uint8 [N,C,H,W] of some pictures, and their masks [N,1,H,W] in 0..1, or None.

        Raises: ValueError that names the file and what is wrong with it.
        """
        return self.reader.read([self.pictures[number] for number in numbers])

    def found(self, number: int) -> Latents:
        """The latents of a picture that was sought.  Raises: ValueError where they are not whole any more."""
        found = read_found(self.output, self.names[number])
        if found is None or found.row.w is None:
            raise ValueError(
                f"{self.output.folder / self.names[number].latents} was changed while it was in use"
            )
        return found

    def is_there(self, file: str, text: Mapping[str, str]) -> bool:
        """Whether a file is there with the same settings; as `Output.claim`, without a line for each of many.

        Raises: ValueError where another file is in the way, unless the output says overwrite.
        """
        path = self.output.folder / file
        there = read_sidecar(path) or {}
        if path.exists() and all(there.get(key) == value for key, value in text.items()):
            return True
        return not self.output.claim(file, text)

    def missing(self) -> list[int]:
        """The numbers of the pictures that are still to be sought, also for a video of it.  Raises: as `is_there`."""
        missing = []
        for number, (name, text) in enumerate(zip(self.names, self.texts, strict=True)):
            is_shown = self.media is None or self.video_is_there(number)
            if not (self.is_there(name.latents, text) and read_found(self.output, name) and is_shown):
                missing.append(number)
        return missing

    def video_is_there(self, number: int) -> bool:
        """Whether the video of a search is there with the same settings.  Raises: as `is_there`."""
        assert self.media is not None
        video = self.media.name_of(self.names[number].video)
        return self.is_there(video, {**self.texts[number], **self.media.text})


def search_missing(job: Job, missing: Sequence[int]) -> None:
    """Seeks the latents of some pictures, and writes those of each group before the next one begins.

    Raises: ValueError that names a picture that cannot be read; OSError where a file cannot be written.
    """
    if there := len(job.pictures) - len(missing):
        say(
            f"{there:,} of {len(job.pictures):,} pictures were found before, and their latents stay as they are"
        )
    size = job.settings.group or group_size(job.drawer.size)
    for first in range(0, len(missing), size):
        _search_group(job, list(missing[first : first + size]), before=first, of=len(missing))


def _search_group(job: Job, numbers: Sequence[int], *, before: int, of: int) -> None:
    """Args: before, of: how many pictures there were before these, and how many there are."""
    targets, masks = job.read(numbers)
    labels = job.starts.labels(job.label, targets, masks)
    starts = job.starts.first_ws(targets, [label for _, label in labels], masks, numbers)
    spread = torch.tensor([job.starts.statistics(label).spread for _, label in labels])
    search = searching(
        job.drawer.generator, targets, starts, spread, loss=job.loss, settings=job.settings, masks=masks
    )
    steps = job.settings.schedule.steps
    progress = with_progress(
        _with_result(search),
        total=of * steps,
        what="steps of all pictures",
        doing="searching",
        done=before * steps,
    )
    # The last of them is the result; the bar has ended when it is written, and writing has one of its own.
    found = list(progress)[-1]
    assert found is not None
    _write_group(job, numbers, found, labels)


def _with_result(search: Generator[int, None, Found]) -> Iterator[tuple[int, Found | None]]:
    """Steps as pairs for progress, and at last what was found."""
    found = None
    while found is None:
        try:
            yield next(search), None
        except StopIteration as end:
            found = end.value
    yield 0, found


def _write_group(job: Job, numbers: Sequence[int], found: Found, labels: Labels) -> None:
    for row, number in enumerate(numbers):
        name, text = job.names[number], job.texts[number]
        noise = {layer: maps[row].cpu() for layer, maps in found.noise.items()}
        label_name, label = labels[row]
        latents = Latents(
            LatentRow(w=found.ws[row].cpu(), noise=noise or None),
            float(found.loss[row]),
            int(found.best_step[row]),
            label_name,
            () if label is None else tuple(label.tolist()),
        )
        if job.media is not None and found.path is not None:
            # Before the latents, which say that all is there.
            targets, _ = job.read([number])
            frames = SearchFrames(job.drawer, targets[0], found.path[:, row], noise)
            if not job.video_is_there(number):
                write_media(frames, job.output.folder / name.video, job.media, text)
        write_found(job.output, name, latents, text)
        far = float(job.starts.statistics(label).distance(found.ws[row : row + 1]))
        file = printable(job.pictures[number].path.name)
        say(
            f"{file}: {job.loss.name} {latents.loss:.4f} at step {latents.best_step},"
            f" {far:.2f} from the mean (a seed is near 1)" + (f", label {label_name}" if label_name else "")
        )
