"""The clock counts images and answers when something is due."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stylegan.training.clock import ImageClock, images_of_kimg, is_due, keep_clock_at_top


def clock_of(batch_size=32, total_kimg=1.0):
    return ImageClock(batch_size=batch_size, total_kimg=total_kimg)


@given(batch=st.integers(1, 97), every=st.integers(1, 400), steps=st.integers(1, 200))
def test_due_once_for_each_multiple_that_is_reached_or_passed(batch, every, steps):
    due = [is_due(every / 1000, before_images=i * batch, after_images=(i + 1) * batch) for i in range(steps)]
    reached = {(i + 1) * batch // every for i in range(steps)} - {0}
    # Several multiples passed in one step are one event.
    assert sum(due) == len(reached)
    for i, is_due_now in enumerate(due):
        multiples = [m for m in range(i * batch + 1, (i + 1) * batch + 1) if m % every == 0]
        assert is_due_now == bool(multiples)


@pytest.mark.parametrize(("kimg", "images"), [(1.6, 1600), (0.0005, 0), (12.8, 12800), (25_000, 25_000_000)])
def test_kimg_to_images(kimg, images):
    assert images_of_kimg(kimg) == images


def test_it_counts_beyond_what_float32_can():
    clock = clock_of(batch_size=1, total_kimg=20_000)
    clock.images_seen.fill_(2**24)
    clock.advance()
    clock.advance()
    assert clock.images == 2**24 + 2 == int(clock.images_seen)


def test_the_last_iteration_is_due_for_everything():
    clock = clock_of(batch_size=300, total_kimg=0.5)
    clock.advance()
    assert not clock.is_last and not clock.due(10)
    clock.advance()
    assert clock.is_last and clock.due(10) and clock.iteration == 2


def test_a_restored_clock_forgets_what_it_had_counted():
    clock, saved = clock_of(), clock_of()
    for _ in range(3):
        saved.advance()
    assert clock.images == 0
    clock.load_state_dict(saved.state_dict())
    assert clock.images == 96 and clock.iteration == 3
    assert clock.images_seen.dtype == torch.int64


@pytest.mark.parametrize("bad", [dict(batch_size=0), dict(total_kimg=0), dict(total_kimg=-1)])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        clock_of(**bad)


def test_a_cadence_must_be_positive():
    with pytest.raises(ValueError, match="every_kimg must be above 0"):
        is_due(0, before_images=0, after_images=1)


def test_a_state_has_the_clock_at_its_top_and_all_else_in_its_place():
    class Timed(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.clock, self.after = nn.Linear(1, 1), clock_of(), nn.Linear(1, 1)
            keep_clock_at_top(self)

    first, then = nn.ModuleDict({"a": Timed()}), nn.ModuleDict({"a": Timed()})
    first["a"].clock.advance()
    state = first.state_dict()
    names = ["before.weight", "before.bias", "images_seen", "rollbacks", "after.weight", "after.bias"]
    assert list(state) == [f"a.{name}" for name in names]
    then.load_state_dict(state)
    assert then["a"].clock.images == 32
    with pytest.raises(RuntimeError, match="images_seen"):
        then.load_state_dict({name: value for name, value in state.items() if name != "a.images_seen"})
