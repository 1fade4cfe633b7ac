"""Sound files for tests, written by the standard library."""

import wave

import numpy as np


def write_wav(path, samples, rate=44_100):
    """Writes samples [n] or [n,channels] in -1..1 as 16-bit PCM."""
    samples = np.atleast_2d(np.asarray(samples, dtype=np.float64).T).T
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).round().clip(-32768, 32767).astype("<i2").tobytes())
    return path


def clicks(at_sec, length_sec, rate=44_100, click_sec=0.004):
    """Silence with short bursts that begin at those times."""
    samples = np.zeros(round(length_sec * rate))
    burst = np.random.RandomState(0).uniform(-0.9, 0.9, round(click_sec * rate))
    for sec in at_sec:
        start = round(sec * rate)
        samples[start : start + len(burst)] = burst[: len(samples) - start]
    return samples


def tone(hertz, length_sec, rate=44_100, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(length_sec * rate)) / rate)
