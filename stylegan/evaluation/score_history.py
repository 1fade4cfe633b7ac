"""Score history: which checkpoint of a run is the best at what, and whether anything still improves."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from stylegan.evaluation.definitions import higher_is_better
from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.records import Score, ranked


class Best(NamedTuple):
    """The best score so far under one protocol.

    Attributes:
        value: of the result.
        images: seen in training by the network that has it.
        protocol: its id.
    """

    value: float
    images: int
    protocol: str


class ScoreHistory:
    """The best score of a run under each name, and since when none was clearly better.

    A score of another protocol than the one before starts again: the two are never ranked together.
    Clearly better is what leads by more than half of its own interval, where results have `_low` and `_high`.
    """

    def __init__(self) -> None:
        self._best: dict[str, Best] = {}
        self._gain: dict[str, Best] = {}  # the score that was last clearly better than the one before it

    def add(self, score: Score, images: int) -> list[str]:
        """Takes in a score.

        Args:
            score: of one metric.
            images: seen in training by the network that has it.
        Returns: the names of the results that are now the best.
        """
        protocol = protocol_id(score.protocol)
        better = []
        for name, value in ranked(score.results).items():
            found = Best(value, images, protocol)
            if value != value:  # NaN is not a score
                continue
            if self._is_better(self._best.get(name), found, name):
                self._best[name] = found
                better.append(name)
            margin = _half_width(score.results, name)
            if self._is_better(self._gain.get(name), found, name, by=margin):
                self._gain[name] = found
        return better

    def best(self, name: str) -> Best | None:
        """The best of a result, None where there is no number yet."""
        return self._best.get(name)

    @property
    def names(self) -> list[str]:
        """The results that were a number at least once."""
        return list(self._best)

    @property
    def kept_images(self) -> set[int]:
        """The images seen at the checkpoints that are the best at something."""
        return {best.images for best in self._best.values()}

    def lines(self) -> list[str]:
        """What is the best at what, in words."""
        return [
            f"best {name}: {best.value:.4g} at kimg {best.images / 1000:.3f}"
            for name, best in self._best.items()
        ]

    def images_without_gain(self, name: str, images: int) -> int:
        """Images seen since a result was last clearly better than before; 0 where it is not known."""
        gain = self._gain.get(name)
        return 0 if gain is None else images - gain.images

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": {name: list(best) for name, best in self._best.items()},
            "gain": {name: list(best) for name, best in self._gain.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._best = {name: Best(*values) for name, values in state["best"].items()}
        self._gain = {name: Best(*values) for name, values in state["gain"].items()}

    @staticmethod
    def _is_better(before: Best | None, now: Best, name: str, by: float = 0.0) -> bool:
        if before is None or before.protocol != now.protocol:
            return True
        if higher_is_better(name):
            return now.value > before.value + by
        return now.value < before.value - by


def _half_width(results: Mapping[str, float], name: str) -> float:
    low, high = results.get(f"{name}_low"), results.get(f"{name}_high")
    return 0.0 if low is None or high is None else (high - low) / 2


class Plateau:
    """A plateau: no result of any metric has clearly improved for `kimg` thousand images.

    A line reports once each result that has stopped improving, until it improves again.

    Args:
        kimg: above 0; None = never.
        ends_run: whether the run ends then, for the lines.
    Attributes:
        reached: whether the last evaluation found one.
    """

    def __init__(self, kimg: float | None, *, ends_run: bool):
        self.kimg, self.ends_run = kimg, ends_run
        self.reached = False
        self._reported: set[str] = set()

    def look(self, history: ScoreHistory, scores: Sequence[Score], images: int) -> list[str]:
        """Looks at all scores of an evaluation together.

        Args:
            history: which has taken the scores in.
            scores: of the evaluation.
            images: seen in training by the network that has them.
        Returns: lines for the user, none where there is nothing new.
        """
        names = [name for score in scores for name in ranked(score.results) if history.best(name)]
        still = [name for name in names if self._stands_still(history, name, images)]
        new = [name for name in still if name not in self._reported]
        self._reported = (self._reported - set(names)) | set(still)
        self.reached = bool(still) and still == names
        lines = [self._line(history, name, images) for name in new]
        if self.reached and self.ends_run:
            lines.append("no score improves any more: the run ends")
        elif self.reached and new:
            lines.append(
                "no score improves any more; callbacks.metrics.stop_on_plateau=true would end the run here"
            )
        return lines

    def _stands_still(self, history: ScoreHistory, name: str, images: int) -> bool:
        return self.kimg is not None and history.images_without_gain(name, images) >= 1000 * self.kimg

    @staticmethod
    def _line(history: ScoreHistory, name: str, images: int) -> str:
        still, best = history.images_without_gain(name, images) / 1000, history.best(name)
        return (
            f"{name} has not clearly improved for {still:.0f} kimg; the best is {best.value:.4g} at kimg"
            f" {best.images / 1000:.3f}"
        )

    def state_dict(self) -> list[str]:
        return sorted(self._reported)

    def load_state_dict(self, reported: Any, names: Iterable[str]) -> None:
        """Restores which results were reported.

        Args:
            reported: of `state_dict`; older checkpoints have one bool for all results.
            names: of these results.
        """
        self._reported = set(names if reported is True else reported or ())
