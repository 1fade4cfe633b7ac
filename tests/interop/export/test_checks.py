"""Exporters are quiet, their errors one line; a file that draws otherwise is found."""

import logging
import sys
import warnings
from pathlib import Path

import pytest

from stylegan.interop.export.checks import Exported, check_limits, compare, description, quietly
from stylegan.interop.export.parts import ExportedPart
from tests.interop.export.networks import make_generator

FILE = Path("foxes.onnx")


def test_what_exporters_say_is_held_back(capsys, caplog):
    with quietly("never"):
        print("a graph of 200 lines")
        print("progress", file=sys.stderr)
        logging.getLogger("torch.onnx").error("an opinion")
        warnings.warn("deprecated", stacklevel=1)
    assert capsys.readouterr() == ("", "") and not caplog.records
    logging.getLogger("torch.onnx").error("heard again")
    assert [record.message for record in caplog.records] == ["heard again"]


def test_an_error_becomes_the_first_line_of_its_cause():
    with pytest.raises(ValueError) as error, quietly("foxes.onnx: torch cannot"):
        try:
            raise KeyError("no operator\n\nand 300 lines of a graph")
        except KeyError as cause:
            raise RuntimeError("\x1b[96mplease write to the makers\x1b[0m") from cause
    assert (
        str(error.value) == "foxes.onnx: torch cannot: KeyError: 'no operator\\n\\nand 300 lines of a graph'"
    )
    with pytest.raises(ValueError, match="^it: RuntimeError: first$"), quietly("it"):
        raise RuntimeError("\n\x1b[1mfirst\x1b[0m\nsecond")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_what_is_no_exporters_error_passes(kind):
    with pytest.raises(kind), quietly("it"):
        raise kind


def part():
    return ExportedPart(make_generator(c_dim=3), part="mapping")


def compared(run, limit=2e-5):
    return compare(part(), run, path=FILE, engine="onnxruntime", batches=(1, 4), max_difference=limit)


def test_the_difference_is_relative_to_the_largest_number():
    whole = part()
    assert compared(lambda values: whole(**values)) == 0
    found = compared(lambda values: whole(**values) * (1 + 1e-5))
    assert found == pytest.approx(1e-5, rel=0.05)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda ws: ws + 1, "foxes.onnx: what onnxruntime draws differs from the network by "),
        (lambda ws: ws * float("nan"), "foxes.onnx: what onnxruntime draws differs from the network by nan "),
        (lambda ws: ws[:1, :, :4], "foxes.onnx: onnxruntime gives the shape [1, 4, 4], not [1, 4, 8]"),
    ],
)
def test_other_numbers_are_refused(spoiled, message):
    whole = part()
    with pytest.raises(ValueError) as error:
        compared(lambda values: spoiled(whole(**values)))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_difference_in_one_image_of_the_batch_is_found():
    whole = part()

    def run(values):
        ws = whole(**values)
        ws[-1, -1, -1] += 1
        return ws

    with pytest.raises(ValueError, match="in a batch of 1"):
        compared(run)


def test_metadata_of_the_caller_come_first_and_take_no_name():
    about = description(part(), weights="ab", further={"licence": "CC0"})
    assert about["licence"] == "CC0" and about["weights"] == "ab" and about["c_dim"] == "3"
    with pytest.raises(ValueError, match="may not hold weights, width"):
        description(part(), weights="ab", further={"width": "1", "weights": "cd"})


@pytest.mark.parametrize("batches", [(), (0,), (True,), (2.0,)])
def test_batches_are_numbers_of_images(batches):
    with pytest.raises(ValueError, match="batches must be numbers of images from 1 on"):
        check_limits(batches, 1e-5)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_above_0(limit):
    with pytest.raises(ValueError, match="max_difference must be above 0"):
        check_limits((1,), limit)


def test_the_line_of_a_file():
    exported = Exported(FILE, "whole", 1_810_000, 3.14e-6, (1, 3), "onnxruntime")
    assert exported.line == (
        "foxes.onnx: whole network, 1.8 MB; onnxruntime is within 3e-06 of the largest pixel in batches of 1, 3"
    )
    exact = Exported(Path("m.pt2"), "mapping", 2_000_000, 0.0, (2,), "torch")
    assert exact.line == "m.pt2: mapping network, 2.0 MB; torch is equal bit for bit in batches of 2"
    assert "of the largest number in" in exact._replace(difference=1e-6).line
