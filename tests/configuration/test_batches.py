"""Batch = devices x micro-batch x accumulation, and the minibatch-std group that a part can form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stylegan.configuration.batches import (
    accumulation,
    count_devices,
    devices_of_run,
    effective_group,
    refuse_more_than_there_are,
)
from stylegan.configuration.schema import LARGEST_SEED, scalar_faults
from stylegan.distributed.processes import Process


@given(devices=st.integers(1, 8), micro_batch=st.integers(1, 16), rounds=st.integers(1, 16))
def test_accumulation_undoes_the_product(devices, micro_batch, rounds):
    batch_size = devices * micro_batch * rounds
    assert accumulation(batch_size=batch_size, micro_batch=micro_batch, devices=devices) == rounds


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "devices", "word"),
    [(10, 4, 1, "1, 2, 5, 10"), (9, 3, 2, "trainer.devices"), (4, 8, 1, "micro_batch 8")],
)
def test_a_batch_that_does_not_come_out_even_is_refused(batch_size, micro_batch, devices, word):
    with pytest.raises(ValueError, match=word):
        accumulation(batch_size=batch_size, micro_batch=micro_batch, devices=devices)


@given(part=st.integers(1, 64), group=st.integers(1, 64))
def test_the_group_is_the_largest_divisor_that_was_not_asked_too_much(part, group):
    found = effective_group(part, group)
    assert part % found == 0 and found <= group
    assert all(part % larger for larger in range(found + 1, min(part, group) + 1))


NOTHING_SET = {"batch_size": None, "micro_batch": None, "total_kimg": None, "seed": 0}


@pytest.mark.parametrize("key", ["batch_size", "total_kimg"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_counts_are_above_zero(key, value):
    assert scalar_faults(**NOTHING_SET) == []
    (line,) = scalar_faults(**{**NOTHING_SET, key: value})
    assert line.startswith(f"{key} must be above 0") and line.endswith(f"got {value}")


@pytest.mark.parametrize("value", [0, -1, float("nan"), 4.0, True, "four", "4", [4]])
def test_a_micro_batch_is_a_number_or_auto(value):
    for good in (1, 64, "auto", None):
        assert scalar_faults(**{**NOTHING_SET, "micro_batch": good}) == []
    (line,) = scalar_faults(**{**NOTHING_SET, "micro_batch": value})
    assert line == f"micro_batch must be a whole number above 0, auto or null, got {value}"


@pytest.mark.parametrize(
    ("seed", "good"), [(0, True), (LARGEST_SEED, True), (-1, False), (LARGEST_SEED + 1, False)]
)
def test_a_seed_fits_into_63_bits(seed, good):
    assert (scalar_faults(**{**NOTHING_SET, "seed": seed}) == []) is good


def test_several_faults_are_reported_together():
    lines = scalar_faults(batch_size=0, micro_batch=-2, total_kimg=None, seed=-1)
    assert [line.split()[0] for line in lines] == ["batch_size", "micro_batch", "seed"]


def test_devices_are_counted():
    assert count_devices(2) == 2
    assert count_devices("2") == 2
    assert count_devices([0, 3], num_nodes=2) == 4


@pytest.mark.parametrize("devices", ["auto", -1, 0])
def test_devices_must_be_known(devices):
    with pytest.raises(ValueError, match="trainer.devices"):
        count_devices(devices)


def test_processes_that_only_left_over_variables_speak_of_are_unset():
    with pytest.raises(
        ValueError, match="torchrun started 2 processes.*; where nothing started them, unset RANK"
    ):
        devices_of_run(OmegaConf.create({"devices": 1}), Process(world=2, local_world=2, starter="torchrun"))


@pytest.mark.parametrize(
    ("batch_size", "num_items", "choice", "line"),
    [
        (64, 40, {}, "more than the 40 pictures there are; set batch_size=40 or less, or add pictures"),
        (64, 6, {}, "more than the 6 pictures there are; add pictures"),
        (4, 1, {}, "more than the 1 picture there is; add pictures"),
        (64, 20, {"num_found": 61, "chosen_by": ["data.include", "data.exclude"]},
         "more than the 20 pictures there are (of 61; data.include and data.exclude leave 20); set batch_size=20 or"
         " less, choose more of them, or add pictures"),
        (64, 1, {"num_found": 61, "chosen_by": ["data.subset"]},
         "more than the 1 picture there is (of 61; data.subset leaves 1); choose more of them, or add pictures"),
        (64, 6, {"num_found": 6, "chosen_by": ["data.include"]}, "more than the 6 pictures there are; add pictures"),
        (64, 6, {"num_found": 61}, "more than the 6 pictures there are; add pictures"),  # the rest cannot be read
    ],
)  # fmt: skip
def test_a_batch_of_more_than_there_are_is_refused(batch_size, num_items, choice, line):
    with pytest.raises(ValueError) as caught:
        refuse_more_than_there_are(batch_size, num_items, **choice)
    assert str(caught.value) == f"batch_size={batch_size} is {line}"
    assert refuse_more_than_there_are(num_items, num_items, **choice) is None
