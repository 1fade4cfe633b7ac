"""The work behind the evaluate command: one or several networks against one set of pictures."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, Self

from torch import nn

from stylegan.distributed.collectives import join, on_rank_zero, part, rank, world
from stylegan.evaluation.course import ranked
from stylegan.evaluation.definitions import Definition, definitions_of, higher_is_better
from stylegan.evaluation.evaluator import Evaluator
from stylegan.evaluation.fakes import check_draws
from stylegan.evaluation.fingerprint import weights_sha256
from stylegan.evaluation.opening import open_detectors, open_reals
from stylegan.evaluation.origin import origin_of
from stylegan.evaluation.protocol import in_words, protocol_id
from stylegan.evaluation.published import check_published
from stylegan.evaluation.records import Score, append, record_path, recorded
from stylegan.evaluation.reporting import report_on, say_report
from stylegan.evaluation.watch import Watch
from stylegan.machine.devices import device_named
from stylegan.networks.precision import precision_on, set_compute_dtype
from stylegan.runs.folder import RunFolder, images_of
from stylegan.sizes import size_text


class Network(NamedTuple):
    """A network to score. name: for records, relative to its run; images: seen in its training, None = unknown."""

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
            return cls(path, name, None)  # a file of another name does not tell


class Evaluation:
    """Scores networks, says the results, and adds them to `metric-<name>.jsonl`.

    Args: load: path → generator in evaluation mode. networks: files, from old to new. folder: for the records.
      process: this one among those that evaluate together. metrics, detector, num_fakes: as in `definitions_of`.
      detector_path: weights; download: fetch those that are nowhere. first_seed: of the first fake. truncation: psi.
      noise_mode: "random", "const" or "none". precision, device: as in the generate command. cache_dir: for features
      of the real pictures. again: compute also what the records have of the same weights under the same protocol.
      report: also write `report.html` about the newest network; load_judge: path → its discriminator, None = it is
      not asked; run: the folder of its training, None = unknown; learned_from: fingerprint of its pictures, as the
      run's settings hold it.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        load: Callable[[Path], nn.Module],
        networks: Sequence[Path],
        folder: Path,
        process: Any,
        metrics: Any,
        detector: str = "builtin",
        detector_path: str | os.PathLike | None = None,
        download: bool = False,
        num_fakes: int = 2000,
        first_seed: int = 0,
        truncation: float = 1.0,
        noise_mode: str = "random",
        precision: str = "auto",
        device: str = "auto",
        cache_dir: str | os.PathLike | None = None,
        again: bool = False,
        report: bool = False,
        load_judge: Callable[[Path], nn.Module] | None = None,
        run: RunFolder | None = None,
        learned_from: str | None = None,
    ):
        self.definitions = definitions_of(metrics, detector=detector, num_fakes=num_fakes)
        if not self.definitions and not report:
            raise ValueError(
                f"metrics={metrics or 'none'}: there is nothing to do; say metrics=kid, or report=true"
            )
        draws = {"truncation": truncation, "noise_mode": noise_mode}
        check_draws(self.definitions, first_seed=first_seed, **draws)
        self.device = device_named(device, process.local_rank)
        precision_on(self.device, precision)
        self.precision = precision
        self.detectors = open_detectors(self.definitions, path=detector_path, download=download)
        check_published(self.definitions, detectors=self.detectors, **draws)
        for opened in self.detectors.values():
            opened.to(self.device)
        self.networks = [Network.at(path) for path in networks]
        self.load, self.folder, self.process = load, folder, process
        self.first_seed, self.truncation, self.noise_mode = first_seed, truncation, noise_mode
        self.cache_dir, self.again = cache_dir, again
        self.report, self.load_judge = report, load_judge
        self.of_run, self.learned_from = run, learned_from
        self.unrecorded: list[Path] = []
        self._told: set[str] = set()  # protocols

    def run(self, data: Any) -> list[Score]:
        """Computes, says and records. Args: data: a data module that is set up.

        Returns: the scores, network by network, those that are known from the records included.
        What could not be added to the records is in `unrecorded`, by their paths.
        Raises: EvaluationStoppedError; ValueError where network and data do not fit, or the folder cannot be written.
        """
        join(self.process)
        try:
            return self._run(data)
        finally:
            part()

    def _run(self, data: Any) -> list[Score]:
        reals = open_reals(data, cache_dir=self.cache_dir)
        evaluator = Evaluator(
            self.definitions,
            self.detectors,
            reals,
            data_fingerprint=getattr(data, "fingerprint", None),
            seed=self.first_seed,
            truncation=self.truncation,
            noise_mode=self.noise_mode,
        )
        on_rank_zero(lambda: check_writable(self.folder, self.definitions))
        watch = Watch()
        all_scores: list[tuple[Network, Score]] = []
        for network in self.networks:
            generator = self.load(network.path).to(self.device)
            check_fits(generator, reals.sets[False], network.name)
            precision = set_compute_dtype(generator, self.device, self.precision)
            known = self._known_scores(evaluator, generator, network, precision)
            evaluator.definitions = [
                definition for definition in self.definitions if definition.name not in known
            ]
            scores = evaluator.scores(generator, precision=precision, watch=watch)
            all_scores += [(network, score) for score in (*known.values(), *scores)]
            if rank() == 0:
                self._tell(network, scores)
        if rank() == 0 and len(self.networks) > 1:
            say_best(all_scores)
        if self.report:
            on_rank_zero(lambda: self._write_report(generator, self.networks[-1], data, precision, watch))
        return [score for _, score in all_scores]

    def _write_report(
        self, generator: nn.Module, network: Network, data: Any, precision: str, watch: Watch
    ) -> None:
        report = report_on(
            generator,
            self._judge(network),
            data,
            self.detectors,
            watch=watch,
            origin=origin_of(data, self.learned_from, self.of_run),
            network=network.name,
            images=network.images,
            first_seed=self.first_seed,
            truncation=self.truncation,
            noise_mode=self.noise_mode,
            precision=precision,
        )
        say_report(report, self.folder, network.name)

    def _judge(self, network: Network) -> nn.Module | None:
        """The discriminator of the same training, where its checkpoint is there."""
        checkpoint = network.path.with_suffix(".ckpt")
        if self.load_judge is None or not checkpoint.exists():
            return None
        judge = self.load_judge(checkpoint).to(self.device)
        set_compute_dtype(judge, self.device, self.precision)
        return judge

    def _known_scores(
        self, evaluator: Evaluator, generator: nn.Module, network: Network, precision: str
    ) -> dict[str, Score]:
        """What the records answer, by metric: an evaluation of many checkpoints goes on where it was stopped."""
        if self.again or len(self.networks) == 1:
            return {}

        def look() -> dict[str, Score]:
            found, weights = {}, weights_sha256(generator)
            for definition in self.definitions:
                protocol = evaluator.protocol(definition, generator, precision)
                score = recorded(record_path(self.folder, definition.name), weights, protocol)
                if score is not None:
                    found[definition.name] = score
            return found

        known = on_rank_zero(look)
        for name in known if rank() == 0 else ():
            print(f"{network.name}  {name} is in {record_path(self.folder, name)} already")
        return known

    def _tell(self, network: Network, scores: Sequence[Score]) -> None:
        """Says the scores of a network on one line, and each protocol once, before its first score; then adds them to
        the records: hours of work are on the screen, also where the disk is full by now.
        """
        for score in scores:
            name = protocol_id(score.protocol)
            if name not in self._told:
                self._told.add(name)
                print(f"protocol {name}  {score.name}: {in_words(score.protocol)}", flush=True)
        numbers = [f"{name} {value:.5g}" for score in scores for name, value in score.results.items()]
        place = network.name if network.images is None else f"kimg {network.images / 1000:.3f}"
        if numbers:
            print("  ".join([place, *numbers]), flush=True)
        for score in scores:
            self._record(network, score)

    def _record(self, network: Network, score: Score) -> None:
        try:
            append(self.folder, score, images=network.images, network=network.name, processes=world())
        except OSError as error:
            path = record_path(self.folder, score.name)
            self.unrecorded.append(path)
            print(
                f"stylegan-evaluate: {path} could not be written ({error.strerror or error}), and lacks the score of"
                f" {network.name}; make room and run the command again, or name another folder by out=...",
                file=sys.stderr,
                flush=True,
            )


def say_best(scores: Sequence[tuple[Network, Score]]) -> None:
    """The best network at each result; scores of one protocol only are compared."""
    groups: dict[tuple[str, str], list[tuple[float, Network]]] = {}
    for network, score in scores:
        for name, value in ranked(score.results).items():
            if value != value:  # NaN is no score
                continue
            groups.setdefault((name, protocol_id(score.protocol)), []).append((value, network))
    names = [name for name, _ in groups]
    for (name, protocol), entries in groups.items():
        choose = max if higher_is_better(name) else min
        value, network = choose(entries, key=lambda entry: entry[0])
        under = f" (protocol {protocol})" if names.count(name) > 1 else ""
        print(f"best {name}{under}: {value:.6g}  {network.path}", flush=True)


def check_writable(folder: Path, definitions: Sequence[Definition]) -> None:
    """Makes the folder, and tries whether records can be added there.  Raises: ValueError where they cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"x")
        for path in (record_path(folder, definition.name) for definition in definitions):
            if path.exists():
                open(path, "ab").close()
    except OSError as error:
        raise ValueError(
            f"{error.filename or folder} cannot be written ({error.strerror or error}); name another folder by out=..."
        ) from None


def check_fits(generator: nn.Module, pictures: Any, name: str) -> None:
    """Raises: ValueError where the pictures or their classes are not those that the network draws."""
    image, label = pictures[0]
    expected = (generator.channels, *generator.size)
    if tuple(image.shape) != expected:
        raise ValueError(
            f"network={name} draws {expected[0]} channels of {size_text(generator.size)} px, the pictures are"
            f" {image.shape[0]} of {size_text(tuple(image.shape[1:]))}; choose data that fit, or data.channels"
        )
    if generator.c_dim and len(label) != generator.c_dim:
        raise ValueError(
            f"network={name} draws {generator.c_dim} classes, the labels of the pictures are {len(label)} wide; set"
            " data.labels as in its training"
        )
    names, theirs = list(generator.label_names), list(getattr(pictures, "label_names", ()))
    for place, (ours, other) in enumerate(zip(names, theirs, strict=False)):
        if ours != other:
            raise ValueError(
                f"network={name} draws class {place} as {ours!r}, of the pictures it is {other!r}; choose data with the"
                f" classes of its training, in their order: {_listed(names)}"
            )


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
