"""The task `projection` of the generate command: pictures, or folders of them, are found in the network."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import Output
from stylegan.latents.projection.alignment import Alignment
from stylegan.latents.projection.finishing import finish, tune
from stylegan.latents.projection.job import Job, search_missing
from stylegan.latents.projection.losses import LOSSES, PictureLoss, open_loss
from stylegan.latents.projection.pictures import Picture, Reader, find_pictures
from stylegan.latents.projection.results import content_digest, refuse_others
from stylegan.latents.projection.schedule import Schedule
from stylegan.latents.projection.search import SPACES, SearchSettings
from stylegan.latents.projection.starts import Start, Starts, parse_start
from stylegan.latents.projection.tuning import Tuning
from stylegan.machine.console import say
from stylegan.machine.text import some
from stylegan.media.settings import MediaSettings

TUNED = "tuned"
# As published: of the projector, and of the pivots of a tuning.
STEPS, STEPS_OF_PIVOTS = 1000, 450
_MOST_FRAMES = 300


class Projection:
    """Finds the latents of pictures, writes them with what they draw, and says how near that is.

    Of each picture: `latents/fox.npz` (w and noise maps), `fox-target.png`, `fox-projected.png`, `fox-compared.png`,
    and with `video` the search as `fox-search.mp4`; of all, `projection.csv` and `.json`, worst first. In space tuned
    also the tuned generator: `fox-tuned.safetensors`, or with `together` one `tuned.safetensors` for all.

    A picture whose latents are there with the same settings is not sought again; one that cannot be read is named, and
    the others go on.

    Args:
        target: a picture, or a folder of them.
        label: of a network with labels: a class, `all` = each is tried, `find` = a mixture of classes is sought.
        space: "w", "w+" or "tuned".
        steps: of the search; None = 1000, of the pivots of a tuning 450.
        loss, loss_path: as of `open_loss`. start: as of `parse_start`. seed: of the random numbers.
        batch: pictures at a time; None = as many as take about as long as one.
        masks: a picture, or a folder with one named as each target. align: as of `Alignment`.
        tuning_steps, target_loss, locality: as of `Tuning`.
        together: in space tuned: one generator for all pictures.
        video, media: whether the search becomes a video, and of which kind.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        target: str | None,
        label: str | float | None = None,
        space: str = "w",
        steps: int | None = None,
        loss: str = "auto",
        loss_path: str | None = None,
        start: str | int | None = "mean",
        seed: int = 0,
        batch: int | None = None,
        masks: str | None = None,
        align: str | None = None,
        tuning_steps: int = 350,
        target_loss: float | None = None,
        locality: float = 0.1,
        together: bool = False,
        video: bool = False,
        media: MediaSettings | None = None,
    ):
        if space not in (*SPACES, TUNED):
            raise ValueError(f"space must be one of {', '.join(SPACES)}, {TUNED}, got {space!r}")
        if target is None:
            raise ValueError("target is missing: name a picture or a folder of them, as in target=dishes/")
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
        if together and space != TUNED:
            raise ValueError(f"together=true is one tuned generator for all pictures: set space={TUNED}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        steps = (STEPS_OF_PIVOTS if space == TUNED else STEPS) if steps is None else steps
        self.settings = SearchSettings(
            space="w" if space == TUNED else space,
            schedule=Schedule(steps=steps),
            seed=seed,
            group=batch,
            record_every=max(1, -(-steps // _MOST_FRAMES)) if video else None,
        )
        self.tuning = Tuning(steps=tuning_steps, target_loss=target_loss, locality=locality, seed=seed)
        self.label, self.space, self.together = label, space, together
        self.loss, self.loss_path = loss, loss_path
        self.alignment = None if align is None else Alignment(align)
        self.media = (media or MediaSettings()) if video else None
        self.start = parse_start(start)
        self.pictures = find_pictures(target, masks)
        if len(self.start.points) not in (0, 1, len(self.pictures)):
            raise ValueError(
                f"start={start}: these are {len(self.start.points)} latents for {len(self.pictures)} pictures;"
                " give one, or as many as there are pictures"
            )

    def run(self, drawer: Drawer, output: Output) -> None:
        """Search, tune where it is asked for, draw, and write the table.

        Raises: ValueError that names what is wrong; OSError where a file cannot be written.
        """
        job = self._job(drawer, output)
        refuse_others(output, job.names, job.texts)
        missing = job.missing()
        (output.folder / "latents").mkdir(parents=True, exist_ok=True)
        search_missing(job, missing)
        together = self._text_of_all(job.texts) if self.together else None
        finish(job, tune(job, self.tuning, together=together) if self.space == TUNED else None)
        if out := [each.path.name for each in self.pictures if each not in job.pictures]:
            say(f"left out, since they cannot be read: {some(out)}")

    def _job(self, drawer: Drawer, output: Output) -> Job:
        if drawer.decode_picture is None:
            raise ValueError(
                "pictures need a decoder: give the drawer one, Drawer(generator, decode_picture=...)"
            )
        if self.space == TUNED and "tuned" in drawer.text:
            raise ValueError(
                f"space={TUNED} starts from the network itself, and tuned= names another: leave tuned out"
            )
        if output.folder.exists() and not output.folder.is_dir():
            raise ValueError(f"out must be a folder for the results, got {output.folder}, which is a file")
        has_noise = drawer.noise_mode != "none" and bool(drawer.generator.synthesis.noise_layers)
        settings = replace(self.settings, with_noise=has_noise)
        loss = open_loss(self.loss, path=self.loss_path, size=drawer.size, device=drawer.device)
        reader = Reader(
            decode=drawer.decode_picture, size=drawer.size, channels=drawer.channels, cut=self.alignment
        )
        numbers = reader.readable(self.pictures)
        pictures = [self.pictures[number] for number in numbers]
        points = self.start.points
        if len(points) > 1:
            points = tuple(points[number] for number in numbers)
        start = replace(self.start, points=points)
        starts = Starts(drawer, start, loss=loss, settings=settings)
        starts.check(self.label)
        return Job(
            drawer=drawer,
            output=output,
            pictures=pictures,
            texts=self._texts(drawer, loss, pictures, start),
            loss=loss,
            settings=settings,
            starts=starts,
            reader=reader,
            label=self.label,
            media=self.media,
        )

    def _texts(
        self, drawer: Drawer, loss: PictureLoss, pictures: Sequence[Picture], start: Start
    ) -> list[dict[str, str]]:
        """What the files of each picture say of their origin: of files that are used also a digest."""
        shared = drawer.text | {
            "task": "projection",
            "space": self.space,
            "steps": str(self.settings.schedule.steps),
            "loss": loss.name,
            "start": start.text,
            "seed": str(self.settings.seed),
        }
        optional = {"label": self.label, "batch": self.settings.group}
        if self.space == TUNED:
            optional |= {
                "tuning_steps": self.tuning.steps,
                "target_loss": self.tuning.target_loss,
                "locality": f"{self.tuning.locality:.12g}",
            }
        # Also those that are not set: a file of other settings has to differ from this one.
        shared |= {key: "null" if value is None else str(value) for key, value in optional.items()}
        own = [
            {
                "target": picture.path.name,
                "target_sha256": content_digest(picture),
                "align": "null" if self.alignment is None else self.alignment.text(picture.path),
            }
            for picture in pictures
        ]
        if self.together:
            # The weights that draw each picture depend on all of them.
            words = [text["target_sha256"] if self.alignment is None else f"{text}" for text in own]
            shared["together"] = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
        return [shared | text for text in own]

    @staticmethod
    def _text_of_all(texts: Sequence[dict[str, str]]) -> dict[str, str]:
        own = ("target", "target_sha256", "align")
        return {key: value for key, value in texts[0].items() if key not in own}
