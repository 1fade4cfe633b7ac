"""Shared work: it stops when it is asked to and when its time is up, and rows stay in order."""

import pytest
import torch

from stylegan.evaluation import EvaluationStoppedError
from stylegan.evaluation.shared_work import CHUNK, chunks_of, rows_of_all
from tests.evaluation.small import evaluator, quiet, small_generator


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_work_can_be_broken_off_and_leaves_nothing(tmp_path, rounds):
    asked = iter([False] * rounds + [True] * 100)
    with pytest.raises(EvaluationStoppedError) as broken:
        evaluator(cache=tmp_path).scores(
            small_generator(), precision="fp32", watch=quiet(asked_to_stop=lambda: next(asked))
        )
    assert broken.value.by_signal


def test_time_that_is_up_ends_it():
    with pytest.raises(EvaluationStoppedError) as broken:
        evaluator().scores(small_generator(), precision="fp32", watch=quiet(time_limit_sec=0))
    assert not broken.value.by_signal


@pytest.mark.parametrize("total", [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK - 1])
def test_chunks_are_all_numbers_in_order(total):
    chunks = chunks_of(total)
    assert [number for chunk in chunks for number in chunk] == list(range(total))
    assert all(len(chunk) == CHUNK for chunk in chunks[:-1])


def test_rows_are_in_order():
    def rows(numbers):
        return {"numbers": torch.tensor(list(numbers)), "squares": torch.tensor([n * n for n in numbers])}

    found = rows_of_all(70, rows, quiet(), "squares")
    assert torch.equal(found["numbers"], torch.arange(70))
    assert torch.equal(found["squares"], torch.arange(70) ** 2)


def test_an_error_says_why_the_work_stopped():
    assert str(EvaluationStoppedError(by_signal=True)) == "the process was asked to leave"
    assert str(EvaluationStoppedError(by_signal=False)) == "its time was up"
