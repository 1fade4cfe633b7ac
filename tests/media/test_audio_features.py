"""Features of sound: right in frequency, in time, and as loops over single windows say."""

import numpy as np
import pytest
from scipy.ndimage import median_filter
from scipy.signal import stft

from stylegan.media import audio_features
from stylegan.media.audio_features import KINDS, RATE, track
from tests.media.sounds import clicks, tone, write_wav


@pytest.fixture
def song(tmp_path):
    def make(samples, rate=44_100):
        return write_wav(tmp_path / "song.wav", samples, rate)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_0_to_1_with_the_loudest_at_1(song, kind):
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, 44_100) * np.linspace(0.1, 1, 44_100)
    found = track(song(noise), kind, 30, 0.0, 45)
    assert found.shape == (45,) and found.dtype == np.float64
    assert found.min() >= 0 and found.max() == 1
    assert (found[32:] < 0.35).all(), "the sound is over after a second"


@pytest.mark.parametrize("kind", KINDS)
def test_silence_is_0(song, kind):
    assert (track(song(np.zeros(44_100)), kind, 30, 0.0, 30) == 0).all()


@pytest.mark.parametrize(("kind", "hertz"), [("bass", 100), ("mid", 1000), ("high", 8000)])
def test_each_band_hears_its_tone_alone(song, kind, hertz):
    """Three tones, a second each, of equal level."""
    order = (100, 1000, 8000)
    path = song(np.concatenate([tone(f, 1) for f in order]))
    found = track(path, kind, 20, 0.0, 60).reshape(3, 20)[:, 3:-3]
    place = order.index(hertz)
    assert found[place].min() > 0.9
    assert np.delete(found, place, axis=0).max() < 0.02


def test_rms_is_the_root_mean_square_of_each_frame(song):
    level = np.repeat([0.1, 0.8, 0.4, 0.0], 11_025)
    found = track(song(level * np.sign(tone(441, 1))), "rms", 4, 0.0, 4)
    np.testing.assert_allclose(found, [0.125, 1, 0.5, 0], atol=0.02)


def test_percussive_and_harmonic_are_told_apart(song):
    """A held tone for two seconds, then clicks for two."""
    strokes = clicks(np.arange(0.1, 2, 0.25), 2)
    path = song(np.concatenate([tone(440, 2), strokes]))
    percussive, harmonic = (track(path, kind, 20, 0.0, 80) for kind in ("percussive", "harmonic"))
    # The end of the tone is an attack, too.
    assert percussive[4:36].mean() < 0.1 * percussive[44:].mean()
    assert harmonic[44:].mean() < 0.1 * harmonic[4:36].mean()


@pytest.mark.parametrize("kind", ["percussive", "harmonic"])
def test_separation_in_blocks_is_that_of_all_at_once(kind):
    spectra = np.random.RandomState(0).rand(700, 65).astype(np.float32)
    lines, columns = (median_filter(spectra, size=size) ** 2 for size in ((17, 1), (1, 17)))
    expected = spectra * (columns if kind == "percussive" else lines) / (lines + columns)
    for cuts in ([700], [512], [100, 117, 118, 119, 400, 690]):
        blocks = (block for block in np.split(spectra, cuts) if len(block))
        found = np.concatenate(list(audio_features._separated(blocks, percussive=kind == "percussive")))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_spectra_are_those_of_scipy(song):
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, 3 * RATE)
    path = song(noise, RATE)
    excerpt = audio_features._Excerpt(path, 0.0, 2)
    window = audio_features._SPECTRUM
    found = np.concatenate(list(excerpt.spectra(window)))
    _, _, expected = stft(noise, nperseg=window.samples, noverlap=window.samples - window.hop)
    count = min(len(found), 150)
    np.testing.assert_allclose(found[:count], np.abs(expected.T[:count]), atol=2e-5)


@pytest.mark.parametrize("fps", [24, 60])
@pytest.mark.parametrize("kind", ["onset", "percussive", "rms"])
def test_a_click_is_in_its_frame(song, kind, fps):
    """Clicks in the middle of a frame are loudest in that frame, with any start."""
    frames = np.array([3, 20, 41, 70])
    path = song(clicks((frames + 0.5) / fps + 1.3, 6, click_sec=0.002))
    found = track(path, kind, fps, 1.3, 90)
    assert sorted(np.argsort(found)[-4:]) == frames.tolist()


@pytest.mark.long
@pytest.mark.parametrize(("fps", "rate"), [(23.976, 48_000), (30, 44_100), (60, 44_100)])
@pytest.mark.parametrize("kind", ["onset", "percussive", "rms"])
def test_clicks_of_ten_minutes_are_within_half_a_frame(song, kind, fps, rate):
    exact = float(audio_features.rate_of(fps))
    at = np.arange(1.0, 599) + np.random.RandomState(0).uniform(0, 0.3, 598)
    path = song(clicks(at, 600, rate, click_sec=0.002), rate)
    found = track(path, kind, fps, 0.0, round(600 * exact))
    for sec in at:
        near = np.arange(int((sec - 0.3) * exact), int((sec + 0.3) * exact))
        loudest = near[np.argmax(found[near])]
        assert abs((loudest + 0.5) / exact - sec) <= 0.5 / exact + 0.003, (sec, loudest)


def test_an_excerpt_is_the_same_wherever_the_file_begins(song, tmp_path):
    """Cutting off what lies a second before the start changes nothing but the resampler's rounding."""
    noise = np.random.RandomState(1).uniform(-0.5, 0.5, 5 * RATE)
    whole, cut = (
        write_wav(tmp_path / name, part, RATE)
        for name, part in (("whole.wav", noise), ("cut.wav", noise[RATE:]))
    )
    for kind in KINDS:
        one, two = track(whole, kind, 30, 3.0, 30), track(cut, kind, 30, 2.0, 30)
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            dict(kind="loud"),
            "kind must be one of rms, bass, mid, high, onset, percussive, harmonic, got 'loud'",
        ),
        (dict(frames=0), "frames must be at least 1, got 0"),
        (dict(start_sec=9.0), "lasts 1 s"),
    ],
)
def test_mistakes_are_one_line(song, values, line):
    with pytest.raises(ValueError) as error:
        track(**(dict(path=song(tone(440, 1)), kind="rms", fps=30, start_sec=0.0, frames=10) | values))
    assert line in str(error.value) and "\n" not in str(error.value)
