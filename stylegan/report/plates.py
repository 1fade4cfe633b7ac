"""Plates as PNGs inside the page."""

import base64
import io

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.images import tile
from stylegan.report.findings import Plate
from stylegan.report.thumbnails import shown, small

# Pictures of a plate have at most this many pixels a side; the page enlarges smaller ones.
SHOWN_PX = 96
_GAP_PX = 2


def data_uri(picture: Tensor) -> str:
    """uint8 [4,H,W] → a PNG that an HTML page can hold."""
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def columns_of(plate: Plate) -> list[Tensor]:
    """Each column of a plate as one picture, uint8 [4,H,W]: its pictures below each other, the gaps transparent."""
    return [
        tile(torch.stack([_cell(row[column]) for row in plate.rows]), 1)
        for column in range(len(plate.columns))
    ]


def _cell(picture: Tensor) -> Tensor:
    picture = small(shown(picture)[None], SHOWN_PX)[0]
    opaque = torch.cat([picture.expand(3, -1, -1), torch.full_like(picture[:1], 255)])
    return nn_functional.pad(opaque, (0, 0, 0, _GAP_PX), value=0)
