"""Where a run's numbers go: row files of our own, and Lightning's loggers on the kimg axis."""

from stylegan.loggers.kimg_axis import TensorBoardEvents, define_kimg_axis, forget_after, log_image, log_means
from stylegan.loggers.rows import CsvLogger, JsonlLogger, RowLogger

__all__ = [
    "CsvLogger",
    "JsonlLogger",
    "RowLogger",
    "TensorBoardEvents",
    "define_kimg_axis",
    "forget_after",
    "log_image",
    "log_means",
]
