"""Networks for other programs: ONNX, and torch's own exported form."""

from stylegan.interop.export.checks import Exported
from stylegan.interop.export.files import export_onnx, export_program

__all__ = ["Exported", "export_onnx", "export_program"]
