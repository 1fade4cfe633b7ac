"""Score history of a run: which checkpoint is the best at what, whether anything still improves, and its reports.

The two parts of `callbacks.metrics.Metrics` besides the evaluation itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from callbacks.control import RunControl, TrainingModule, maintenance
from callbacks.snapshots import undisturbed
from stylegan.distributed.collectives import world
from stylegan.evaluation import (
    EvaluationData,
    EvaluationStoppedError,
    MetricSettings,
    Plateau,
    Score,
    ScoreHistory,
    Watch,
    append_record,
    images_were_changed,
    in_line,
    protocol_id,
    publish_report,
    report_on,
)
from stylegan.loggers import log_means
from stylegan.loggers.rows import RowLogger
from stylegan.machine.console import say, surviving_lost_file, warn
from stylegan.runs.augmentation import augment_p_of
from stylegan.runs.folder import RunFolder, checkpoint_name


class BestScores:
    """Keeps the best score of each result, and notices where nothing improves any more.

    Args:
        plateau_kimg: kimg without a clear gain in a result after which a line reports that; None = never.
        stop_on_plateau: whether the run ends where that is so of all results.
    Attributes:
        ends_run: whether the last scores end the run.
    """

    def __init__(self, *, plateau_kimg: float | None, stop_on_plateau: bool) -> None:
        self._history = ScoreHistory()
        self._plateau = Plateau(plateau_kimg, ends_run=stop_on_plateau)
        self.ends_run = False

    def add(self, scores: Sequence[Score], images: int) -> tuple[list[list[str]], list[str]]:
        """Takes in what one evaluation found.

        Args:
            images: seen by the network that has the scores; 0, before the first iteration, is never the best, as
                there is no checkpoint of it.
        Returns: for each score the results, by name, that are now the best; lines for the user about a plateau.
        """
        better = [self._history.add(score, images) if images else [] for score in scores]
        lines = self._plateau.look(self._history, scores, images)
        self.ends_run = self._plateau.reached and self._plateau.ends_run
        return better, lines

    def kept_images(self) -> set[int]:
        """Images seen at the checkpoints that are the best at something."""
        return self._history.kept_images

    def values(self) -> dict[str, float]:
        """The best value of each result."""
        return {name: self._history.best(name).value for name in self._history.names}

    def lines(self) -> list[str]:
        """What is the best at what, in words."""
        return self._history.lines()

    def state_dict(self) -> dict[str, Any]:
        return {"course": self._history.state_dict(), "told_plateau": self._plateau.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._history.load_state_dict(state_dict["course"])
        self._plateau.load_state_dict(state_dict["told_plateau"], self._history.names)


class ScoreReports:
    """Writes scores to `metric-<name>.jsonl`, the loggers and the console; and `report.html`. Of rank 0 alone.

    Args:
        folder: the run folder.
        settings: of the metrics; the fakes of the report are drawn by them.
    """

    def __init__(self, folder: RunFolder, settings: MetricSettings) -> None:
        self.folder, self.settings = folder, settings

    def publish(
        self, trainer: pl.Trainer, module: TrainingModule, score: Score, better: Sequence[str]
    ) -> None:
        """Writes one score. Args: better: its results that are now the best."""
        network = self._network_file(trainer, module)
        with surviving_lost_file(f"metric-{score.name}.jsonl"):
            append_record(self.folder.path, score, images=module.images, network=network, processes=world())
        # The protocol is part of the chart's name, so that no curve joins scores that do not compare.
        tag = protocol_id(score.protocol)
        means = {f"Metrics/{name}/{tag}": value for name, value in score.results.items()}
        for logger in trainer.loggers:
            if not isinstance(logger, RowLogger):
                with surviving_lost_file(f"the scores in {type(logger).__name__}"):
                    log_means(logger, means, module.images)
        say(
            f"metrics     {in_line(score, better)}  kimg {module.kimg:.3f}  protocol {tag}  in {score.seconds:.0f} s"
        )

    def _network_file(self, trainer: pl.Trainer, module: TrainingModule) -> str | None:
        """The generator's file of this iteration, which is written after its scores; None where none will be."""
        path = self.folder.checkpoints / f"{checkpoint_name(module.images)}.safetensors"
        # It is there where the run continues from it, and makes up for its scores.
        there = path.exists() or RunControl.of(trainer).will_save(module)
        return f"{path.parent.name}/{path.name}" if there else None

    def write_page(
        self, trainer: pl.Trainer, module: TrainingModule, detectors: Mapping[str, Any], watch: Watch
    ) -> None:
        """Writes `report.html`: is the network learning or copying? Args: detectors: those that are open, by name."""
        try:
            with (
                maintenance(module),
                undisturbed(module.generator_ema),
                undisturbed(module.discriminator),
            ):
                report = report_on(
                    module.generator_ema,
                    module.discriminator,
                    EvaluationData.of(trainer.datamodule),
                    self.settings,
                    detectors,
                    watch=watch,
                    provenance="changed" if images_were_changed(self.folder.events) else "training",
                    network=f"{self.folder.checkpoints.name}/{checkpoint_name(module.images)}.safetensors",
                    images=module.images,
                    precision=module.precision or "fp32",
                    augment_p=max(augment_p_of(self.folder, module.images) or 0.0, float(module.ada.p)),
                )
        except (EvaluationStoppedError, ValueError) as error:
            warn(f"the report was not finished ({error}); stylegan-evaluate report=true writes it")
            return
        RunControl.of(trainer).folder_guard()
        with surviving_lost_file("report.html"):
            publish_report(report, self.folder.path, self.folder.path.name)
