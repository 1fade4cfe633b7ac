"""Is it learning or copying? What a set of fakes, beside the pictures they were learned from, tells about training."""

from stylegan.report.evidence import Evidence, Logits, Pictures, pictures_of
from stylegan.report.examination import examine
from stylegan.report.findings import Finding, Plate, Report
from stylegan.report.page import write_report

__all__ = [
    "Evidence",
    "Finding",
    "Logits",
    "Pictures",
    "Plate",
    "Report",
    "examine",
    "pictures_of",
    "write_report",
]
