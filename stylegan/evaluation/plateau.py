"""Whether a run still gets better at anything that is scored."""

from collections.abc import Iterable, Sequence
from typing import Any

from stylegan.evaluation.course import Course, ranked
from stylegan.evaluation.records import Score


class Plateau:
    """Looks at all scores of an evaluation together: a run is on a plateau where no result of any metric has clearly
    improved for `kimg` thousand images. Which results stand still is said of each once, until it improves again.

    Args: kimg: above 0; None = never. ends_run: whether the run ends then, for the words.
    Attributes: reached: whether the last evaluation found one.
    """

    def __init__(self, kimg: float | None, *, ends_run: bool):
        self.kimg, self.ends_run = kimg, ends_run
        self.reached = False
        self._told: set[str] = set()

    def look(self, course: Course, scores: Sequence[Score], images: int) -> list[str]:
        """Args: course: which has taken the scores in. images: seen by the network that has them.

        Returns: lines for the user, none where there is nothing new.
        """
        names = [name for score in scores for name in ranked(score.results) if course.best(name)]
        still = [name for name in names if self._stands_still(course, name, images)]
        new = [name for name in still if name not in self._told]
        self._told = (self._told - set(names)) | set(still)
        self.reached = bool(still) and still == names
        lines = [self._line(course, name, images) for name in new]
        if self.reached and self.ends_run:
            lines.append("nothing that is scored still gets better: the run ends")
        elif self.reached and new:
            lines.append(
                "nothing that is scored still gets better; callbacks.metrics.stop_on_plateau=true would end here"
            )
        return lines

    def _stands_still(self, course: Course, name: str, images: int) -> bool:
        return self.kimg is not None and course.images_without_gain(name, images) >= 1000 * self.kimg

    @staticmethod
    def _line(course: Course, name: str, images: int) -> str:
        still, best = course.images_without_gain(name, images) / 1000, course.best(name)
        return (
            f"{name} has not clearly improved for {still:.0f} kimg; the best is {best.value:.4g} at kimg"
            f" {best.images / 1000:.3f}"
        )

    def state_dict(self) -> list[str]:
        return sorted(self._told)

    def load_state_dict(self, told: Any, names: Iterable[str]) -> None:
        """Args: told: of `state_dict`; older checkpoints have one bool for all results. names: of these results."""
        self._told = set(names if told is True else told or ())
