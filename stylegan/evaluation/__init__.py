"""Evaluation: which metrics of a network, under which protocol, computed together, recorded, and compared."""

from stylegan.evaluation.definitions import Definition
from stylegan.evaluation.evaluator import Evaluator
from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.reals import EvaluationData
from stylegan.evaluation.records import Score, in_line, read_records
from stylegan.evaluation.records import append as append_record
from stylegan.evaluation.records import truncate_after as truncate_records_after
from stylegan.evaluation.reporting import evidence_of, publish_report, report_on
from stylegan.evaluation.score_history import Best, Plateau, ScoreHistory
from stylegan.evaluation.scores import ScoreError
from stylegan.evaluation.settings import MetricSettings
from stylegan.evaluation.shared_work import EvaluationStoppedError, Watch
from stylegan.report import images_were_changed

__all__ = [
    "Best",
    "Definition",
    "EvaluationData",
    "EvaluationStoppedError",
    "Evaluator",
    "MetricSettings",
    "Plateau",
    "Score",
    "ScoreError",
    "ScoreHistory",
    "Watch",
    "append_record",
    "evidence_of",
    "images_were_changed",
    "in_line",
    "protocol_id",
    "publish_report",
    "read_records",
    "report_on",
    "truncate_records_after",
]
