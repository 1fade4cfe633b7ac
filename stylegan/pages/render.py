"""Rendering of pages: templates, the numbers and images in them, and one stylesheet for all.

A page is one file: its style and its images (as data URIs) are inside, and it runs no script. Templates are in this
folder; each extends `base.html`, which holds `style.css`. Every value is escaped, so that a name of a file or a class
cannot become markup; a template must never mark a value as safe.
"""

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.images import tile

if TYPE_CHECKING:
    import jinja2

# Gap between two images below each other, as a share of their height.
_GAP_SHARE = 1 / 32


def render(template: str, **values: Any) -> str:
    """A page as HTML.

    Args:
        template: a file in this folder, as in "report.html".
        values: what the template asks for. Text is escaped.
    Raises: jinja2.UndefinedError for a value that the template asks for and that is not given.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> "jinja2.Environment":
    # Here, since every command imports this module, and few of them write a page.
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def number(value: float | int | str | None) -> str:
    """A value to be read: three digits of a fraction, thousands apart, "-" for nothing."""
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def exact(value: float | int | str | None) -> str:
    """A value as it was set: all digits that a float has for people, "unknown" for None."""
    if value is None:
        return "unknown"
    return f"{value:,.10g}" if isinstance(value, float) else number(value)


def png_data_uri(image: Tensor) -> str:
    """A PNG inside a page: uint8 [C,H,W], C = 3 RGB or 4 RGBA → `data:image/png;base64,...`."""
    pixels = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    file = io.BytesIO()
    pixels.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def image_column(images: Sequence[Tensor]) -> str:
    """Images below each other as one PNG, with transparent gaps, so that the page's ground shows between them.

    Args:
        images: uint8 [1,H,W] or [3,H,W], all of one shape.
    Returns: a data URI.
    """
    cells = []
    gap_px = max(1, round(_GAP_SHARE * images[0].shape[-2]))
    for image in images:
        opaque = torch.cat([image.expand(3, -1, -1), torch.full_like(image[:1], 255)])
        cells.append(nn_functional.pad(opaque, (0, 0, 0, gap_px), value=0))
    return png_data_uri(tile(torch.stack(cells), 1))
