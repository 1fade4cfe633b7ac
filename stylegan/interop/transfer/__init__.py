"""Transfer: a run begins with the weights of another network, of the same shape or another one."""

from stylegan.interop.transfer.plan import Transfer, read_transfer
from stylegan.interop.transfer.report import NetworkReport, Row, TransferReport
from stylegan.interop.transfer.surgery import transfer_discriminator, transfer_generator

__all__ = [
    "NetworkReport",
    "Row",
    "Transfer",
    "TransferReport",
    "read_transfer",
    "transfer_discriminator",
    "transfer_generator",
]
