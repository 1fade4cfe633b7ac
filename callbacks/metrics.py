"""Metrics during training: within a budget of time, and without a trace in the training itself."""

import os
import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from callbacks.control import Place, RunCallback, RunControl, TrainingModule, check_every_kimg, maintenance
from callbacks.non_finite_guard import all_finite
from callbacks.scores import BestScores, ScoreReports
from callbacks.snapshots import undisturbed
from stylegan.distributed.collectives import largest_over_ranks, on_rank_zero, rank, world
from stylegan.evaluation import (
    EvaluationData,
    EvaluationStoppedError,
    Evaluator,
    MetricSettings,
    Score,
    ScoreError,
    Watch,
    truncate_records_after,
)
from stylegan.machine.console import say, warn
from stylegan.runs.folder import RunFolder
from stylegan.runs.records import needing_files
from stylegan.training.clock import is_due


class Metrics(RunCallback):
    """Scores the EMA generator, writes `metric-<name>.jsonl`, and tracks the best checkpoint.

    At every multiple of `every_kimg`, and after the last iteration of a run that came by one. An evaluation that
    would cost more than `budget` of the training's time is left out, and one that a signal interrupts is computed
    for when the run continues. Training notices nothing: no global random number is drawn, and modes and buffers stay.

    Args:
        names: metrics as in `MetricSettings`, or "none".
        folder: the run folder.
        every_kimg: cadence in thousands of images, > 0.
        detector: of the project's own metrics. detector_path: its weights, None = where they usually are.
        download: fetch weights that are missing.
        num_fakes: images drawn for the project's own metrics.
        first_seed: of the first image. truncation: psi.
        at_start: also before the first iteration.
        budget: largest share of the training's time, from 0 (exclusive) to 1.
        max_minutes: an evaluation that takes longer is given up, None = never.
        plateau_kimg: kimg without a clear gain in a result after which a line reports that, None = never.
        stop_on_plateau: the run ends where that is so of all results.
        report: after the last iteration, also `report.html`: is it learning or copying?
        cache_dir: for features of the real images, None = the user's cache folder.
    Raises: ValueError, before training starts, for what cannot be computed here.
    """

    place = Place.SCORES

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
        self.every_kimg = check_every_kimg("every_kimg", every_kimg)
        _check(budget=budget, max_minutes=max_minutes, plateau_kimg=plateau_kimg, stop=stop_on_plateau)
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
        self.report = report
        self.best = BestScores(plateau_kimg=plateau_kimg, stop_on_plateau=stop_on_plateau)
        self.reports = ScoreReports(self.folder, self.settings)
        self._owed = False  # an evaluation that was interrupted
        self._cost_sec = 0.0
        self._last_end_sec = time.monotonic()
        self._evaluator: Evaluator | None = None

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        RunControl.of(trainer).keep(self.best.kept_images)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._last_end_sec = time.monotonic()
        RunControl.of(trainer).verify_folder()
        if trainer.is_global_zero:
            # Also with metrics=none: scores of what is trained again now would stand next to other weights.
            with needing_files():
                truncate_records_after(self.folder.path, module.images)
        if not self.settings.definitions or trainer.datamodule is None:
            return
        try:
            self._evaluator = self._make_evaluator(trainer, module)
        except ValueError as error:
            # Too few images, or a data module of the user's own: no reason not to train.
            if trainer.is_global_zero:
                warn(f"no metrics: {error}")
            return
        if self._owed or (self.at_start and module.images == 0):
            self._evaluate(trainer, module)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if self._evaluator is None:
            return
        before = module.images - module.batch_size
        due = is_due(self.every_kimg, before_images=before, after_images=module.images)
        last = module.is_last and module.images > self.every_kimg * 1000
        if (due and (module.is_last or self._is_within_budget(module))) or last:
            self._evaluate(trainer, module)
            if self._owed and not module.is_last:
                # Now, also where the vote of this iteration is over: what is owed must be in its own checkpoint.
                RunControl.of(trainer).vote_to_leave()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero and (module.is_last or self.best.ends_run):
            for line in self.best.lines():
                say(f"metrics     {line}")

    def state_dict(self) -> dict[str, Any]:
        return {**self.best.state_dict(), "owed": self._owed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best.load_state_dict(state_dict)
        self._owed = state_dict["owed"]

    def _make_evaluator(self, trainer: pl.Trainer, module: pl.LightningModule) -> Evaluator:
        for detector in self.detectors.values():
            detector.to(module.device)
        return Evaluator.of(self.settings, self.detectors, EvaluationData.of(trainer.datamodule))

    def _is_within_budget(self, module: TrainingModule) -> bool:
        trained_sec = time.monotonic() - self._last_end_sec
        short = rank() == 0 and self._cost_sec > self.budget * trained_sec
        if not largest_over_ranks(int(short)):
            return True
        if rank() == 0:
            warn(
                f"no metrics at kimg {module.kimg:.3f}: the last took {self._cost_sec:.0f} s, more than"
                f" {self.budget:.0%} of {trained_sec:.0f} s of training; a larger callbacks.metrics.every_kimg or"
                " budget helps"
            )
        return False

    def _evaluate(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """One evaluation, and all that follows from its scores; on all processes."""
        if largest_over_ranks(int(not all_finite(module.generator_ema))):
            # A run that goes back to an older checkpoint reaches this iteration again.
            if rank() == 0:
                warn(f"no metrics at kimg {module.kimg:.3f}: weights are not finite")
            return
        control = RunControl.of(trainer)
        began_sec = time.monotonic()
        watch = Watch(
            asked_to_stop=lambda: control.asked_to_leave,
            time_limit_sec=None if self.max_minutes is None else 60 * self.max_minutes,
        )
        scores = self._score(module, watch)
        self._cost_sec, self._last_end_sec = time.monotonic() - began_sec, time.monotonic()
        control.verify_folder()
        better, lines = self.best.add(scores, module.images)
        if any(better):
            control.want_checkpoint(module)
        if self.best.ends_run:
            control.stop()
        if trainer.is_global_zero:
            for score, names in zip(scores, better, strict=True):
                self.reports.publish(trainer, module, score, names)
            for line in lines:
                warn(line)
        if self.report and (module.is_last or self.best.ends_run):
            on_rank_zero(lambda: self.reports.write_page(trainer, module, self.detectors, watch))

    def _score(self, module: TrainingModule, watch: Watch) -> Sequence[Score]:
        """The scores; none where they were interrupted, which is owed then, or cannot be computed."""
        self._owed = False
        try:
            with maintenance(module), undisturbed(module.generator_ema):
                return self._evaluator.scores(
                    module.generator_ema, precision=module.precision or "fp32", watch=watch
                )
        except EvaluationStoppedError as stopped:
            self._owed = stopped.by_signal
            if rank() == 0:
                warn(f"the metrics at kimg {module.kimg:.3f} were not finished: {self._reason(module)}")
        except ValueError as error:
            # What one process alone has met keeps the others waiting for it.
            if world() > 1 and not isinstance(error, ScoreError):
                raise
            if rank() == 0:
                warn(f"no metrics at kimg {module.kimg:.3f}: {error}")
        return []

    def _reason(self, module: TrainingModule) -> str:
        if not self._owed:
            return f"they took more than callbacks.metrics.max_minutes={self.max_minutes:g}"
        if module.is_last:
            return "asked to leave; stylegan-evaluate computes them"
        return "asked to leave; they are computed when the run continues"


def _check(*, budget: float, max_minutes: float | None, plateau_kimg: float | None, stop: bool) -> None:
    """Raises: ValueError for values out of range."""
    if not 0 < budget <= 1:
        raise ValueError(
            f"budget must be a share of the training's time, above 0 and at most 1, got {budget}; metrics=none turns"
            " metrics off"
        )
    if max_minutes is not None and not max_minutes > 0:
        raise ValueError(f"max_minutes must be above 0, or null, got {max_minutes}")
    if plateau_kimg is not None:
        check_every_kimg("plateau_kimg", plateau_kimg)
    if stop and plateau_kimg is None:
        raise ValueError("stop_on_plateau=true needs a plateau_kimg, as in 400")
