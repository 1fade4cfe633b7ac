"""Around an export: exporters kept quiet, the file's numbers compared with the network's, and what the file says."""

import io
import json
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stylegan.interop.export.parts import ExportedPart, Values
from stylegan.version import __version__

# Of the largest pixel. Float32 on two engines was seen to differ by 1e-6 to 1e-5.
MAX_DIFFERENCE = 2e-5
BATCHES = (1, 3)
# 0 and 1 are the ends, where a formula may be exact by chance.
_PSIS = (0.7, 1.0, 0.5)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

Run = Callable[[Values], Tensor]


class Exported(NamedTuple):
    """A file that was written, and how near its numbers are to the network's.

    difference: the largest difference of an output over the largest output. batches: those compared. engine: what
    ran the file.
    """

    path: Path
    part: str
    size_bytes: int
    difference: float
    batches: tuple[int, ...]
    engine: str

    @property
    def line(self) -> str:
        """`foxes.onnx: whole network, 1.8 MB; onnxruntime is within 3e-06 of the largest pixel in batches of 1, 3`"""
        what = "whole network" if self.part == "whole" else f"{self.part} network"
        largest = "largest number" if self.part == "mapping" else "largest pixel"
        within = f"within {self.difference:.1g} of the {largest}" if self.difference else "equal bit for bit"
        batches = ", ".join(map(str, self.batches))
        return f"{self.path}: {what}, {self.size_bytes / 1e6:.1f} MB; {self.engine} is {within} in batches of {batches}"


@contextmanager
def quietly(failed: str) -> Iterator[None]:
    """Nothing that exporters print, warn or log comes through; what they raise becomes one line after `failed`.

    Output is held back in the whole process while it lasts.
    Raises: ValueError; MemoryError and whatever interrupts pass.
    """
    logs = logging.root.manager.disable
    held = io.StringIO()
    try:
        logging.disable(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(held), redirect_stderr(held):
            warnings.simplefilter("ignore")
            yield
    except MemoryError:
        raise
    except Exception as error:
        # Exporters raise classes of many packages, public and private, down to AssertionError.
        raise ValueError(f"{failed}: {_cause(error)}") from error
    finally:
        logging.disable(logs)


def _cause(error: BaseException) -> str:
    """One line of the error at the bottom: those above it are an exporter's advice to write to its makers."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def compare(
    part: ExportedPart,
    run: Run,
    *,
    path: Path,
    engine: str,
    batches: Sequence[int],
    max_difference: float,
) -> float:
    """The largest difference between a file's outputs and the part's, over the largest output.

    Args:
        run: values as the part's `forward` takes them → the file's output.
        path, engine: for the message.
        batches: sizes to compare at, with a psi of its own each.
    Raises: ValueError where it is above `max_difference`, or not a number.
    """
    random = torch.Generator("cpu").manual_seed(0)
    largest = 0.0
    for place, batch in enumerate(batches):
        values = part.values(batch, truncation=_PSIS[place % len(_PSIS)], random=random)
        with quietly(f"{path}: {engine} cannot run it"):
            got = run(values)
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            expected = part(**values)
        if got.shape != expected.shape:
            raise ValueError(
                f"{path}: {engine} gives the shape {list(got.shape)}, not {list(expected.shape)}"
            )
        scale = float(expected.abs().max()) or 1.0
        difference = float((got - expected).abs().max()) / scale
        if not difference <= max_difference:
            at_most = f"at most {max_difference:.2g} is allowed; the file was not kept"
            raise ValueError(
                f"{path}: what {engine} draws differs from the network by {difference:.2g} of the largest number in a"
                f" batch of {batch}, and {at_most}"
            )
        largest = max(largest, difference)
    return largest


def description(
    part: ExportedPart, *, weights: str, further: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a file says of itself, all as text; lists and tables as JSON.

    Args:
        weights: SHA-256 of the network, as in images and records.
        further: text of the caller's, as a licence.
    Raises: ValueError where `further` has a name that is taken.
    """
    g = part.generator
    height, width = g.size
    own = {
        "made_by": f"stylegan-lightning {__version__}",
        "weights": weights,
        "part": part.part,
        "height": str(height),
        "width": str(width),
        "channels": str(g.channels),
        "z_dim": str(g.z_dim),
        "w_dim": str(g.w_dim),
        "num_ws": str(g.num_ws),
        "c_dim": str(g.c_dim),
        "label_names": json.dumps(g.label_names),
        "inputs": json.dumps({port.name: port.meaning for port in part.inputs}),
        "outputs": json.dumps({part.output.name: part.output.meaning}),
        "noise": part.noise if part.part != "mapping" else "none",
        # Of the largest number of the output; known once the file was run.
        "largest_difference": "",
    }
    if part.truncation_cutoff is not None:
        own["truncation_cutoff"] = str(part.truncation_cutoff)
    if taken := sorted(own.keys() & (further or {}).keys()):
        raise ValueError(f"metadata of an exported file may not hold {', '.join(taken)}")
    return {**(further or {}), **own}


def check_limits(batches: Sequence[int], max_difference: float) -> tuple[int, ...]:
    """The batches as a tuple. Raises: ValueError for none, one below 1, or a limit that is no positive number."""
    batches = tuple(batches)
    if not batches or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in batches):
        raise ValueError(f"batches must be numbers of images from 1 on, got {list(batches)}")
    if not (math.isfinite(max_difference) and max_difference > 0):
        raise ValueError(f"max_difference must be above 0, got {max_difference}")
    return batches
