"""Values over time: keys, pulses and waves, and what follows a sound."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.latents.tracks import AudioTrack, Keys, Moment, Pulse, TrackKey, Wave, parse_audio_tracks


def at(shape, time_sec, **place):
    return shape.at(Moment(time_sec, 10, **place))


def test_keys_are_met_exactly_and_the_ends_stay():
    keys = Keys((TrackKey(1, 0.1), TrackKey(3, 0.7, "in-out-sine"), TrackKey(7, -1)))
    assert [at(keys, t) for t in (0, 1, 3, 7, 9)] == [0.1, 0.1, 0.7, -1, -1]
    assert at(keys, 2) == pytest.approx(0.4)
    assert at(keys, 4) == pytest.approx(0.7 - 1.7 * (1 - math.cos(math.pi / 4)) / 2)


def test_a_step_stays_until_the_next_key():
    keys = Keys((TrackKey(0, 1, "step"), TrackKey(2, 5)))
    assert (at(keys, 1.999), at(keys, 2)) == (1, 5)


def test_a_pulse_goes_from_low_to_high_and_back():
    pulse = Pulse(0.2, 1, period_sec=4)
    assert [at(pulse, t) for t in (0, 1, 2, 4)] == pytest.approx([0.2, 0.6, 1, 0.2])
    by_times = Pulse(0.2, 1, times=2)  # of 10 seconds
    assert [at(by_times, t) for t in (0, 2.5, 5, 10)] == pytest.approx([0.2, 1, 0.2, 0.2])


def test_a_wave_reaches_each_cell_later():
    wave = Wave(0, 1, period_sec=4, along="columns")
    pulse = Pulse(0, 1, period_sec=4)
    for column in range(3):
        late = at(wave, 5 + column * 4 / 3, column=column, columns=3)
        assert late == pytest.approx(at(pulse, 5))
    assert at(wave, 1, row=1, rows=2) == pytest.approx(at(pulse, 1))
    rows = Wave(0, 1, period_sec=4, along="rows")
    assert at(rows, 3, row=1, rows=2, column=2, columns=3) == pytest.approx(at(pulse, 1))
    both = Wave(0, 1, period_sec=4, along="diagonal")
    assert at(both, 2, row=1, rows=2, column=0, columns=2) == pytest.approx(at(pulse, 0))


def test_audio_tracks():
    text = "bass>psi:0.4, onset > speed:2,audio.high>direction.smile.npz:-3,mid>label.red fox:1"
    assert parse_audio_tracks(text) == (
        AudioTrack("bass", "psi", "", 0.4),
        AudioTrack("onset", "speed", "", 2),
        AudioTrack("high", "direction", "smile.npz", -3),
        AudioTrack("mid", "label", "red fox", 1),
    )
    assert parse_audio_tracks(None) == ()
    assert [track.text for track in parse_audio_tracks(text)][2] == "high>direction.smile.npz:-3"


@pytest.mark.parametrize(
    "text",
    [
        "bass",
        "bass>psi",
        "drums>psi:1",
        "bass>colour:1",
        "bass>psi:loud",
        "bass>psi:nan",
        "bass>label:1",
        "bass>psi.x:1",
    ],
)
def test_wrong_audio_tracks_are_one_line(text):
    with pytest.raises(ValueError, match="^audio_tracks=") as caught:
        parse_audio_tracks(text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="bas>psi:.,0 \n\x1b[", max_size=30))
def test_any_text_is_tracks_or_one_line(text):
    try:
        parse_audio_tracks(text)
    except ValueError as error:
        assert str(error).startswith("audio_tracks=") and str(error).isprintable()
