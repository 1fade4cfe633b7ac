"""Scores during training, within a budget of time, and without a trace in the training itself."""

import os
import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import nn

from callbacks.cadence import check_every_kimg
from callbacks.maintenance import maintenance
from callbacks.non_finite_guard import all_finite
from callbacks.snapshots import undisturbed
from stylegan.distributed.collectives import largest_over_ranks, on_rank_zero, rank, world
from stylegan.evaluation import (
    EvaluationData,
    EvaluationStoppedError,
    Evaluator,
    MetricSettings,
    Plateau,
    Score,
    ScoreError,
    ScoreHistory,
    Watch,
    append_record,
    images_were_changed,
    in_line,
    protocol_id,
    publish_report,
    report_on,
    truncate_records_after,
)
from stylegan.loggers import log_means
from stylegan.loggers.rows import RowLogger
from stylegan.machine.console import going_on_without, say
from stylegan.runs.folder import RunFolder, checkpoint_name
from stylegan.training.clock import is_due


class Metrics(pl.Callback):
    """Scores the EMA generator, writes `metric-<name>.jsonl`, and knows the best checkpoint.

    At every multiple of `every_kimg`, and after the last iteration of a run that came by one. An evaluation that
    would cost more than `budget` of the training's time is left out, and one that a signal interrupts is made up
    for when the run goes on. Training notices nothing: no global random number is drawn, and modes and buffers stay.

    Args: names: metrics as in `MetricSettings`, or "none". folder: the run folder. every_kimg: cadence in thousands
      of images, > 0. detector: of the project's own metrics; detector_path: its weights, None = where they usually
      are; download: fetch those that are nowhere. num_fakes: pictures drawn for the project's own metrics.
      first_seed: of the first one. truncation: psi. at_start: also before the first iteration. budget: largest share
      of the training's time, from 0 (exclusive) to 1. max_minutes: an evaluation that takes longer is given up,
      None = never. plateau_kimg: after so long without a clear gain in any result a line says so, None = never;
      stop_on_plateau: the run ends where that is so of all. report: after the last iteration, also `report.html`: is it
      learning or copying? cache_dir: for features of the real pictures, None = the user's cache folder.
    Raises: ValueError, before training starts, for what cannot be computed here.
    """

    def __init__(
        self,
        *,
        names: Any,
        folder: str | os.PathLike,
        every_kimg: float = 20.0,
        detector: str = "builtin",
        detector_path: str | os.PathLike | None = None,
        download: bool = False,
        num_fakes: int = 2000,
        first_seed: int = 0,
        truncation: float = 1.0,
        at_start: bool = False,
        budget: float = 0.1,
        max_minutes: float | None = 30.0,
        plateau_kimg: float | None = 400.0,
        stop_on_plateau: bool = False,
        report: bool = True,
        cache_dir: str | os.PathLike | None = None,
    ) -> None:
        self.every_kimg = check_every_kimg("callbacks.metrics.every_kimg", every_kimg)
        if not 0 < budget <= 1:
            raise ValueError(
                f"callbacks.metrics.budget is a share of the training's time, above 0 and at most 1, got {budget};"
                " metrics=none turns them off"
            )
        if max_minutes is not None and not max_minutes > 0:
            raise ValueError(f"callbacks.metrics.max_minutes must be above 0, or null, got {max_minutes}")
        if plateau_kimg is not None:
            check_every_kimg("callbacks.metrics.plateau_kimg", plateau_kimg)
        if stop_on_plateau and plateau_kimg is None:
            raise ValueError("callbacks.metrics.stop_on_plateau needs a plateau_kimg, as in 400")
        self.settings = MetricSettings(
            metrics=names,
            detector=detector,
            detector_path=detector_path,
            download=download,
            num_fakes=num_fakes,
            first_seed=first_seed,
            truncation=truncation,
            cache_dir=cache_dir,
        )
        # Weights that are missing are an error before training starts, and not hours later.
        self.detectors = self.settings.open_detectors()
        self.folder = RunFolder(folder)
        self.at_start, self.budget, self.max_minutes = at_start, budget, max_minutes
        self.plateau = Plateau(plateau_kimg, ends_run=stop_on_plateau)
        self.report = report
        self.course = ScoreHistory()
        self.wants_checkpoint = False
        self._owed = False  # an evaluation that was interrupted
        self._ends = False  # by a plateau
        self._cost_sec = 0.0
        self._last_end = time.monotonic()
        self._evaluator: Evaluator | None = None

    @property
    def kept_images(self) -> set[int]:
        """Images seen at checkpoints that no policy may thin out."""
        return self.course.kept_images

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        # Before the one who asks for a last checkpoint: what a signal interrupts here is owed in that checkpoint.
        rest = [other for other in trainer.callbacks if other is not self]
        place = next((i for i, other in enumerate(rest) if hasattr(other, "asked")), len(rest))
        trainer.callbacks = [*rest[:place], self, *rest[place:]]

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._last_end = time.monotonic()
        if trainer.is_global_zero:
            # Also with metrics=none: scores of what is trained again now would stand beside other weights.
            truncate_records_after(self.folder.path, module.images)
        if not self.settings.definitions or trainer.datamodule is None:
            return
        try:
            self._evaluator = self._made(trainer, module)
        except ValueError as error:
            # Too few pictures, or a data module of the user's own: no reason not to train.
            if trainer.is_global_zero:
                say(f"no metrics: {error}")
            return
        if self._owed or (self.at_start and module.images == 0):
            self._evaluate(trainer, module)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.wants_checkpoint = False
        if self._evaluator is None:
            return
        before = module.images - module.batch_size
        due = is_due(self.every_kimg, before_images=before, after_images=module.images)
        last = module.is_last and module.images > self.every_kimg * 1000
        if (due and (module.is_last or self._within_budget(module))) or last:
            self._evaluate(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero and (module.is_last or self._ends):
            for line in self.course.lines():
                print(f"metrics     {line}", flush=True)

    def state_dict(self) -> dict[str, Any]:
        return {
            "course": self.course.state_dict(),
            "owed": self._owed,
            "told_plateau": self.plateau.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.course.load_state_dict(state_dict["course"])
        self._owed = state_dict["owed"]
        self.plateau.load_state_dict(state_dict["told_plateau"], self.course.names)

    def _made(self, trainer: pl.Trainer, module: pl.LightningModule) -> Evaluator:
        for detector in self.detectors.values():
            detector.to(module.device)
        return Evaluator.of(self.settings, self.detectors, EvaluationData.of(trainer.datamodule))

    def _within_budget(self, module: pl.LightningModule) -> bool:
        trained_sec = time.monotonic() - self._last_end
        short = rank() == 0 and self._cost_sec > self.budget * trained_sec
        if not largest_over_ranks(int(short)):
            return True
        if rank() == 0:
            say(
                f"no metrics at kimg {module.kimg:.3f}: the last took {self._cost_sec:.0f} s, more than"
                f" {self.budget:.0%} of {trained_sec:.0f} s of training; a larger callbacks.metrics.every_kimg or"
                " budget helps"
            )
        return False

    def _evaluate(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if largest_over_ranks(int(not all_finite(module.generator_ema))):
            # Whoever goes back to an older checkpoint then comes by here again.
            if rank() == 0:
                say(f"no metrics at kimg {module.kimg:.3f}: weights are not finite")
            return
        began = time.monotonic()
        watch = Watch(
            asked_to_stop=lambda: any(getattr(other, "asked", False) for other in trainer.callbacks),
            time_limit_sec=None if self.max_minutes is None else 60 * self.max_minutes,
        )
        self._owed = False
        try:
            with maintenance(module), undisturbed(module.generator_ema):
                scores = self._evaluator.scores(
                    module.generator_ema, precision=getattr(module, "precision", "fp32"), watch=watch
                )
        except EvaluationStoppedError as broken:
            self._owed = broken.by_signal
            if rank() == 0:
                say(f"the metrics at kimg {module.kimg:.3f} were not finished: {self._why(module)}")
            scores = []
        except ValueError as error:
            # What one process alone has met keeps the others waiting for it.
            if world() > 1 and not isinstance(error, ScoreError):
                raise
            if rank() == 0:
                say(f"no metrics at kimg {module.kimg:.3f}: {error}")
            scores = []
        self._cost_sec, self._last_end = time.monotonic() - began, time.monotonic()
        self._take(trainer, module, scores)
        if self.report and (module.is_last or self._ends):
            on_rank_zero(lambda: self._write_report(trainer, module, watch))

    def _write_report(self, trainer: pl.Trainer, module: pl.LightningModule, watch: Watch) -> None:
        judge = getattr(module, "discriminator", None)
        try:
            with maintenance(module), undisturbed(module.generator_ema), undisturbed(judge or nn.Identity()):
                report = report_on(
                    module.generator_ema,
                    judge,
                    EvaluationData.of(trainer.datamodule),
                    self.settings,
                    self.detectors,
                    watch=watch,
                    provenance="changed" if images_were_changed(self.folder.events) else "training",
                    network=f"{self.folder.checkpoints.name}/{checkpoint_name(module.images)}.safetensors",
                    images=module.images,
                    precision=getattr(module, "precision", "fp32"),
                )
        except (EvaluationStoppedError, ValueError) as error:
            say(f"the report was not finished ({error}); stylegan-evaluate report=true writes it")
            return
        with going_on_without("report.html"):
            publish_report(report, self.folder.path, self.folder.path.name)

    def _why(self, module: pl.LightningModule) -> str:
        if not self._owed:
            return f"they took more than callbacks.metrics.max_minutes={self.max_minutes:g}"
        if module.is_last:
            return "asked to leave; stylegan-evaluate computes them"
        return "asked to leave; they are made up for when the run goes on"

    def _take(self, trainer: pl.Trainer, module: pl.LightningModule, scores: Sequence[Score]) -> None:
        # Before the first iteration there is no checkpoint that could be the best.
        better = [self.course.add(score, module.images) if module.images else [] for score in scores]
        self.wants_checkpoint = any(better)
        lines = self.plateau.look(self.course, scores, module.images)
        if self.plateau.reached and self.plateau.ends_run:
            self._ends = trainer.should_stop = True
        if trainer.is_global_zero:
            network = self._file_to_come(trainer, module)
            for score, best in zip(scores, better, strict=True):
                self._publish(trainer, module, score, best, network)
            for line in lines:
                say(line)

    def _file_to_come(self, trainer: pl.Trainer, module: pl.LightningModule) -> str | None:
        """The generator's file of this iteration, which is written after its scores; None where none will be."""
        path = self.folder.checkpoints / f"{checkpoint_name(module.images)}.safetensors"
        writers = [other for other in trainer.callbacks if hasattr(other, "will_save")]
        # It is there where the run goes on from it, and makes up for its scores.
        there = path.exists() or any(writer.will_save(trainer, module) for writer in writers)
        return f"{path.parent.name}/{path.name}" if there else None

    def _publish(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        score: Score,
        better: Sequence[str],
        network: str | None,
    ) -> None:
        with going_on_without(f"metric-{score.name}.jsonl"):
            append_record(self.folder.path, score, images=module.images, network=network, processes=world())
        # The protocol is part of the chart's name, so that no curve joins scores that do not compare.
        tag = protocol_id(score.protocol)
        means = {f"Metrics/{name}/{tag}": value for name, value in score.results.items()}
        for logger in trainer.loggers:
            if not isinstance(logger, RowLogger):
                with going_on_without(f"the scores in {type(logger).__name__}"):
                    log_means(logger, means, module.images)
        print(f"metrics     kimg {module.kimg:.3f}  {in_line(score, better)}", flush=True)
