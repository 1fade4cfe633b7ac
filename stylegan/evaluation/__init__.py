"""Scores of networks: which metrics, under which protocol, computed together, recorded, and compared."""

from stylegan.evaluation.course import Best, Course
from stylegan.evaluation.definitions import Definition, definitions_of
from stylegan.evaluation.evaluator import Evaluator
from stylegan.evaluation.fakes import check_draws
from stylegan.evaluation.gathering import evidence_of
from stylegan.evaluation.opening import open_detectors, open_reals
from stylegan.evaluation.origin import pictures_were_changed
from stylegan.evaluation.plateau import Plateau
from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.published import check_published
from stylegan.evaluation.records import Score, in_line, read_records
from stylegan.evaluation.records import append as append_record
from stylegan.evaluation.records import truncate_after as truncate_records_after
from stylegan.evaluation.reporting import report_on, say_report
from stylegan.evaluation.scores import ScoreError
from stylegan.evaluation.watch import EvaluationStoppedError, Watch

__all__ = [
    "Best",
    "EvaluationStoppedError",
    "Course",
    "Definition",
    "Evaluator",
    "ScoreError",
    "Plateau",
    "Score",
    "Watch",
    "append_record",
    "check_draws",
    "check_published",
    "definitions_of",
    "evidence_of",
    "in_line",
    "open_detectors",
    "open_reals",
    "pictures_were_changed",
    "protocol_id",
    "read_records",
    "report_on",
    "say_report",
    "truncate_records_after",
]
