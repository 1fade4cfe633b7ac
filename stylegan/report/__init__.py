"""Is it learning or copying? What a set of fakes, next to the images they were learned from, tells about training."""

from stylegan.report.evidence import Evidence, Logits, ReportImages, report_images
from stylegan.report.examination import examine
from stylegan.report.findings import VERDICTS, WORDS, Finding, ImageGrid, Report
from stylegan.report.page import write_report
from stylegan.report.provenance import Provenance, images_were_changed, provenance_of

__all__ = [
    "VERDICTS",
    "WORDS",
    "Evidence",
    "Finding",
    "ImageGrid",
    "Logits",
    "Provenance",
    "Report",
    "ReportImages",
    "examine",
    "images_were_changed",
    "provenance_of",
    "report_images",
    "write_report",
]
