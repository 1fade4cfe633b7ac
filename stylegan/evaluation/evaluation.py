"""Evaluation: the work of the evaluate command. One or several networks are scored against one set of images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, Self

from torch import nn

from stylegan.distributed.collectives import join, on_rank_zero, part, rank, world
from stylegan.evaluation.comparison import short_path
from stylegan.evaluation.definitions import Definition, higher_is_better
from stylegan.evaluation.evaluator import Evaluator
from stylegan.evaluation.protocol import in_words, protocol_id, weights_sha256
from stylegan.evaluation.reals import EvaluationData
from stylegan.evaluation.records import Score, append, in_line, record_path, recorded
from stylegan.evaluation.reporting import publish_report, report_on
from stylegan.evaluation.score_history import ranked
from stylegan.evaluation.settings import MetricSettings
from stylegan.evaluation.shared_work import Watch
from stylegan.machine.console import say, say_error
from stylegan.machine.devices import device_named
from stylegan.machine.text import counted
from stylegan.networks.precision import precision_on, set_compute_dtype
from stylegan.report import provenance_of
from stylegan.runs.augmentation import augment_p_of
from stylegan.runs.folder import RunFolder, images_of
from stylegan.runs.network_files import PICKLES
from stylegan.sizes import size_text


class Network(NamedTuple):
    """A network to score.

    Attributes:
        path: its file.
        name: for records, relative to its run.
        images: seen in its training, None = unknown.
    """

    path: Path
    name: str
    images: int | None

    @classmethod
    def at(cls, path: Path) -> Self:
        """The network in a file."""
        in_run = path.absolute().parent == RunFolder(path.absolute().parent.parent).checkpoints
        name = f"{path.absolute().parent.name}/{path.name}" if in_run else path.name
        try:
            return cls(path, name, images_of(path))
        except ValueError:
            return cls(path, name, None)  # the name of the file does not say

    @property
    def title(self) -> str:
        """The run that it is of, or else the file, for people."""
        return self.path.name if self.name == self.path.name else self.path.absolute().parent.parent.name


class Evaluation:
    """Scores networks, prints the results, and adds them to `metric-<name>.jsonl`.

    Args:
        settings: which metrics, of which fakes.
        load: path → generator in evaluation mode.
        networks: files, from old to new.
        folder: for the records.
        process: this one among those that evaluate together.
        precision: as in the generate command.
        device: as in the generate command.
        resume_scores: whether this is one of several evaluations of one command, which continues where it was stopped:
            what the records have of the same weights under the same protocol is not computed, as with several networks.
        again: whether to compute that, too.
        report: whether to write `report.html` about the newest network, too.
        load_discriminator: path → the discriminator in a checkpoint; None = the report does without.
        run: the folder of the networks' training; None = unknown.
        learned_from: fingerprint of the images of that training, as the run's settings hold it; None = unknown.
    Attributes:
        unrecorded: records that could not be written.
        found: the networks' scores, as far as they are known by now.
    Raises: ValueError that names the argument, its value and the way out.
    """

    def __init__(
        self,
        *,
        settings: MetricSettings,
        load: Callable[[Path], nn.Module],
        networks: Sequence[Path],
        folder: Path,
        process: Any,
        precision: str = "auto",
        device: str = "auto",
        resume_scores: bool = False,
        again: bool = False,
        report: bool = False,
        load_discriminator: Callable[[Path], nn.Module] | None = None,
        run: RunFolder | None = None,
        learned_from: str | None = None,
    ):
        if not settings.definitions and not report:
            raise ValueError(
                f"metrics={settings.metrics or 'none'}: there is nothing to do; say metrics=kid, or report=true"
            )
        self.settings = settings
        self.device = device_named(device, process.local_rank)
        precision_on(self.device, precision)
        self.precision = precision
        self.detectors = {
            name: detector.to(self.device) for name, detector in settings.open_detectors().items()
        }
        self.networks = [Network.at(path) for path in networks]
        self.load, self.load_discriminator = load, load_discriminator
        self.folder, self.process, self.of_run = folder, process, run
        self.uses_records = not again and (resume_scores or len(networks) > 1)
        self.report, self.learned_from = report, learned_from
        self.unrecorded: list[Path] = []
        self.found: list[tuple[Network, Score]] = []
        self._printed_protocols: set[str] = set()

    def run(self, datamodule: Any) -> list[Score]:
        """Computes, prints and records.

        Args:
            datamodule: a data module that is set up.
        Returns: the scores, network by network, those that are known from the records included.
        Raises: EvaluationStoppedError; ValueError where network and data do not fit, or the folder cannot be written.
        """
        join(self.process)
        try:
            return self._run(EvaluationData.of(datamodule))
        finally:
            part()

    def _run(self, data: EvaluationData) -> list[Score]:
        evaluator = Evaluator.of(self.settings, self.detectors, data)
        on_rank_zero(lambda: check_writable(self.folder, self.settings.definitions))
        watch = Watch()
        evaluator.prepare(watch)
        for network in self.networks:
            generator = self.load(network.path).to(self.device)
            check_fits(generator, data, network.name)
            precision = set_compute_dtype(generator, self.device, self.precision)
            known = self._known_scores(evaluator, generator, network, precision)
            missing = [one for one in self.settings.definitions if one.name not in known]
            scores = evaluator.scores(generator, precision=precision, watch=watch, definitions=missing)
            self.found += [(network, score) for score in (*known.values(), *scores)]
            if rank() == 0:
                self._publish(network, scores)
        if rank() == 0 and len(self.networks) > 1:
            print_best(self.found)
        if rank() == 0:
            for definition in self.settings.definitions:
                say(f"scores      {short_path(record_path(self.folder, definition.name))}")
        if self.report:
            on_rank_zero(lambda: self._write_report(generator, self.networks[-1], data, precision, watch))
        return [score for _, score in self.found]

    def _write_report(
        self, generator: nn.Module, network: Network, data: EvaluationData, precision: str, watch: Watch
    ) -> None:
        events = None if self.of_run is None else self.of_run.events
        report = report_on(
            generator,
            self._discriminator_of(network),
            data,
            self.settings,
            self.detectors,
            watch=watch,
            provenance=provenance_of(data.fingerprint, self.learned_from, events),
            network=network.name,
            images=network.images,
            precision=precision,
            augment_p=None if self.of_run is None else augment_p_of(self.of_run, network.images),
        )
        publish_report(report, self.folder, network.title)

    def _discriminator_of(self, network: Network) -> nn.Module | None:
        """The discriminator of the same training, where its checkpoint is there, or the file has it, too."""
        if network.path.suffix in PICKLES or network.path.is_dir():
            checkpoint = network.path
        else:
            checkpoint = network.path.with_suffix(".ckpt")
        if self.load_discriminator is None or not checkpoint.exists():
            return None
        try:
            discriminator = self.load_discriminator(checkpoint).to(self.device)
        except ValueError:
            if checkpoint != network.path:
                raise
            return None  # a file of another program, which has given its generator, without one
        set_compute_dtype(discriminator, self.device, self.precision)
        return discriminator

    def _known_scores(
        self, evaluator: Evaluator, generator: nn.Module, network: Network, precision: str
    ) -> dict[str, Score]:
        """What the records answer, by metric: an evaluation of many networks continues where it was stopped."""
        if not self.uses_records:
            return {}

        def look() -> dict[str, Score]:
            found, weights = {}, weights_sha256(generator)
            for definition in self.settings.definitions:
                protocol = evaluator.protocol(definition, generator, precision)
                score = recorded(record_path(self.folder, definition.name), weights, protocol)
                if score is not None:
                    found[definition.name] = score
            return found

        known = on_rank_zero(look)
        for score in known.values() if rank() == 0 else ():
            self._print(network, score, f"  is in {short_path(record_path(self.folder, score.name))} already")
        return known

    def _publish(self, network: Network, scores: Sequence[Score]) -> None:
        """Prints the scores of a network, then records them: hours of work are on the screen, also where the disk is
        full by now.
        """
        for score in scores:
            self._print(network, score)
        for score in scores:
            self._record(network, score)

    def _print(self, network: Network, score: Score, note: str = "") -> None:
        """The number, the network that has it and the protocol on one line; each protocol in words once, after it."""
        name = protocol_id(score.protocol)
        kimg = "" if network.images is None else f"kimg {network.images / 1000:.3f}  "
        say(f"{in_line(score)}  {kimg}{network.path}  protocol {name}{note}")
        if name not in self._printed_protocols:
            self._printed_protocols.add(name)
            say(f"protocol {name}: {score.name}, {in_words(score.protocol)}")

    def _record(self, network: Network, score: Score) -> None:
        try:
            append(self.folder, score, images=network.images, network=network.name, processes=world())
        except OSError as error:
            path = record_path(self.folder, score.name)
            self.unrecorded.append(path)
            say_error(
                f"stylegan-evaluate: {path} could not be written ({error.strerror or error}), and lacks the score of"
                f" {network.name}; make room and run the command again, or name another folder by out=..."
            )


def print_best(scores: Sequence[tuple[Network, Score]]) -> None:
    """Prints the best network at each result; scores of one protocol only are compared."""
    groups: dict[tuple[str, str], list[tuple[float, Network]]] = {}
    for network, score in scores:
        for name, value in ranked(score.results).items():
            if value != value:  # NaN is not a score
                continue
            groups.setdefault((name, protocol_id(score.protocol)), []).append((value, network))
    names = [name for name, _ in groups]
    for (name, protocol), entries in groups.items():
        choose = max if higher_is_better(name) else min
        value, network = choose(entries, key=lambda entry: entry[0])
        under = f" (protocol {protocol})" if names.count(name) > 1 else ""
        say(f"best {name}{under}: {value:.6g}  {network.path}")


def check_writable(folder: Path, definitions: Sequence[Definition]) -> None:
    """Makes the folder, and tries whether records can be added there.  Raises: ValueError where they cannot."""
    records = [record_path(folder, definition.name) for definition in definitions]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"x")
        for path in records:
            if path.exists():
                open(path, "ab").close()
    except OSError as error:
        # Else it is the name of the file that was only a trial.
        place = error.filename if str(error.filename) in map(str, records) else folder
        raise ValueError(
            f"{place} cannot be written ({error.strerror or error}); name another folder by out=..."
        ) from None


def check_fits(generator: nn.Module, data: EvaluationData, name: str) -> None:
    """Whether the images and their classes are those that a network draws.

    Args:
        generator: the network.
        data: to compare with.
        name: of the network, for the message.
    Raises: ValueError where they are not.
    """
    image, label = data.originals[0]
    expected = (generator.channels, *generator.size)
    if tuple(image.shape) != expected:
        raise ValueError(
            f"network={name} draws {expected[0]} channels of {size_text(generator.size)} px, the pictures are"
            f" {image.shape[0]} of {size_text(tuple(image.shape[1:]))}; choose data that fit, or data.channels"
        )
    if generator.c_dim and len(label) != generator.c_dim:
        raise ValueError(
            f"network={name} draws {counted(generator.c_dim, 'class', 'classes')}, the labels of the pictures are"
            f" {len(label)} wide; set data.labels as in its training"
        )
    names = list(generator.label_names)
    for place, (of_network, of_data) in enumerate(zip(names, data.label_names, strict=False)):
        if of_network != of_data:
            raise ValueError(
                f"network={name} draws class {place} as {of_network!r}, of the pictures it is {of_data!r}; choose data"
                f" with the classes of its training, in their order: {_listed(names)}"
            )


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
