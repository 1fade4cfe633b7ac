"""What a transfer sets where the user sets nothing, and which of its keys make no sense."""

import pytest

from stylegan.configuration.complete import check, complete
from stylegan.configuration.compose import composed
from stylegan.errors import UserError

FROM = "transfer.path=runs/cats"


def of(*words: str) -> dict[str, tuple]:
    """(value, origin) of the two keys."""
    found = complete(check(composed("train", list(words))))
    config = found.config
    return {
        "ada.kimg": (config.ada.kimg, found.origins["ada.kimg"]),
        "ema.ramp_up": (config.ema.ramp_up, found.origins["ema.ramp_up"]),
    }


@pytest.mark.parametrize(
    ("words", "kimg", "ramp_up"),
    [
        ([], (500, "default"), (0.05, "preset auto")),
        ([FROM], (100, "transfer"), (None, "transfer")),
        ([FROM, "preset=tiny", "batch_size=4"], (100, "transfer"), (None, "transfer")),
        ([FROM, "ada.kimg=500"], (500, "command line"), (None, "transfer")),
        ([FROM, "ema.ramp_up=0.05"], (100, "transfer"), (0.05, "command line")),
        # The preset has no ramp-up anyway.
        ([FROM, "preset=paper256", "resolution=256"], (100, "transfer"), (None, "preset paper256")),
    ],
)
def test_what_the_user_leaves_open_follows_the_transfer(words, kimg, ramp_up):
    assert of(*words) == {"ada.kimg": kimg, "ema.ramp_up": ramp_up}


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("transfer.min_matched=-0.1", "transfer.min_matched must be from 0 to 1, got -0.1"),
        ("transfer.min_matched=nan", "transfer.min_matched must be from 0 to 1, got nan"),
        (
            "transfer.parts=[]",
            "transfer.parts must be some of G, D, EMA, as in transfer.parts=[G,D]; got none",
        ),
        (
            "transfer.parts=[g,EMA]",
            "transfer.parts must be some of G, D, EMA, as in transfer.parts=[G,D]; got g",
        ),
        (
            "transfer.path=''",
            "transfer.path is empty; leave it out for a run that begins with random weights",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(word, line):
    with pytest.raises(UserError) as refusal:
        check(composed("train", [word]))
    assert str(refusal.value) == line
