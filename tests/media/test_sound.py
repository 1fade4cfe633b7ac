"""Sound: read from any format, and beside a video at the right time."""

import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import scipy.io.wavfile

from stylegan.media.audio_features import track
from stylegan.media.settings import MediaSettings
from stylegan.media.sound import samples, sound_sec
from stylegan.media.write import write_media
from tests.media.numbered import Numbered
from tests.media.sounds import clicks, tone, write_wav


def heard(path, rate=48_000):
    """The sound of a file as [n] by PyAV's own resampler, placed by its times."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        frames = [done for frame in container.decode(audio=0) for done in resampler.resample(frame)]
        start = round(float(frames[0].pts * frames[0].time_base) * rate)
    found = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return np.concatenate([np.zeros(max(0, start)), found[max(0, -start) :]])


def starts(sound, rate=48_000, level=0.1):
    """When clicks begin, in seconds: where it is loud for the first time in a tenth of a second."""
    loud = np.flatnonzero(np.abs(sound) > level)
    return loud[np.diff(loud, prepend=-rate) > rate / 10] / rate


@pytest.mark.parametrize("form", ["mp4", "webm"])
def test_clicks_are_heard_when_they_are_due(tmp_path, form):
    at = np.array([0.5, 1.25, 2.0, 3.7])
    song = write_wav(tmp_path / "song.wav", clicks(at + 1.5, 8))
    settings = MediaSettings(format=form, fps=25, audio=str(song), start_sec=1.5, segment_frames=30)
    path = write_media(Numbered(100), tmp_path / "walk", settings, {})
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == {"mp4": "aac", "webm": "opus"}[form]
    found = heard(path)
    assert len(found) / 48_000 == pytest.approx(4, abs=0.03)
    np.testing.assert_allclose(starts(found), at, atol=0.005)


def test_the_same_bytes_again(tmp_path):
    song = write_wav(tmp_path / "song.wav", tone(440, 2))
    settings = MediaSettings(audio=str(song))
    one, two = (write_media(Numbered(40), tmp_path / name, settings, {}) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_end_of_sound_or_video_is_told(tmp_path, capfd):
    song = write_wav(tmp_path / "song.wav", tone(440, 2))
    path = write_media(Numbered(90), tmp_path / "long", MediaSettings(audio=str(song), fps=30), {})
    assert f"{song} ends 1 s before the video, whose rest is silent" in capfd.readouterr().out
    found = heard(path)
    assert np.abs(found[48_000:90_000]).max() > 0.4 and np.abs(found[100_000:]).max() < 0.01
    path = write_media(Numbered(30), tmp_path / "short", MediaSettings(audio=str(song), fps=30), {})
    assert f"{song} is longer than the video, and ends with it" in capfd.readouterr().out
    assert len(heard(path)) / 48_000 == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("form", ["gif", "png"])
def test_formats_without_sound_say_so(tmp_path, capfd, form):
    song = write_wav(tmp_path / "song.wav", tone(440, 1))
    write_media(Numbered(3), tmp_path / "walk", MediaSettings(audio=str(song), format=form), {})
    assert f"format={form} holds no sound" in capfd.readouterr().out


def refused(**settings):
    with pytest.raises(ValueError) as error:
        MediaSettings(**settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_sound_is_one_line(tmp_path):
    text, picture, empty = tmp_path / "song.txt", tmp_path / "song.png", tmp_path / "empty.wav"
    text.write_text("la la la")
    empty.write_bytes(b"")
    write_media(Numbered(1), tmp_path / "frames", MediaSettings(format="png"), {})
    (tmp_path / "frames" / "frame000000.png").rename(picture)
    for path in (text, empty):
        assert refused(audio=str(path)) == f"audio={path}: this is no sound file, or none that FFmpeg reads"
    assert refused(audio=str(picture)) == f"audio={picture}: there is no sound in this file"
    assert refused(audio=str(tmp_path)) == f"audio={tmp_path}: this is a folder, and a sound file is needed"
    silent = write_media(Numbered(3), tmp_path / "silent", MediaSettings(), {})
    assert refused(audio=str(silent)) == f"audio={silent}: there is no sound in this file"


def test_a_list_of_other_files_opens_none_of_them(tmp_path):
    song = write_wav(tmp_path / "song.wav", tone(440, 1))
    for name, content in (
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{song.name}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", f"ffconcat version 1.0\nfile '{song.name}'\n"),
        ("far.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{song}\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(content)
        assert "sound" in refused(audio=str(tmp_path / name))


def test_a_start_after_the_end_is_refused_before_anything_is_drawn(tmp_path):
    song = write_wav(tmp_path / "song.wav", tone(440, 2))
    frames = Numbered(9)
    with pytest.raises(ValueError, match=rf"^start_sec=2.5: {song} lasts 2 s$"):
        write_media(frames, tmp_path / "walk", MediaSettings(audio=str(song), start_sec=2.5), {})
    assert frames.drawn == []


def test_numbers_that_are_no_sound_are_silence(tmp_path):
    """Files of floats may hold them; else the encoder would refuse when all frames are drawn."""
    sound = tone(440, 1).astype(np.float32)
    sound[2000], sound[3000], sound[4000] = np.nan, np.inf, -1e30
    path = tmp_path / "song.wav"
    scipy.io.wavfile.write(path, 44_100, sound)
    found = np.concatenate(list(samples(path, rate=44_100, channels=1)), axis=1)[0]
    assert np.isfinite(found).all() and np.abs(found).max() <= 8
    np.testing.assert_allclose(found[5000:], sound[5000:], atol=1e-6)
    loud = track(path, "rms", 30, 0.5, 15)
    assert loud.min() > 0.9 and loud.max() == 1
    film = write_media(Numbered(20), tmp_path / "walk", MediaSettings(audio=str(path)), {})
    assert np.abs(heard(film)[10_000:]).max() > 0.3


def test_a_file_without_a_single_sample_says_so(tmp_path):
    path = write_wav(tmp_path / "song.wav", np.zeros(0))
    with pytest.raises(ValueError, match=rf"^audio={path}: there is no sound in this file$"):
        list(samples(path, rate=48_000, channels=1))


def test_samples_are_those_of_the_file(tmp_path):
    stereo = np.stack([tone(440, 1.5), tone(1000, 1.5, level=0.25)], axis=1)
    song = write_wav(tmp_path / "song.wav", stereo)
    found = np.concatenate(list(samples(song, rate=44_100, channels=2)), axis=1)
    np.testing.assert_allclose(found, stereo.T, atol=2e-4)
    part = np.concatenate(list(samples(song, rate=44_100, channels=2, start_sec=0.5, count=1000)), axis=1)
    np.testing.assert_array_equal(part, found[:, 22_050:23_050])
    mono = np.concatenate(list(samples(song, rate=44_100, channels=1)), axis=1)[0]
    np.testing.assert_allclose(mono, stereo.mean(axis=1), atol=2e-4)
    assert sound_sec(song) == pytest.approx(1.5, abs=1e-3)
    assert sound_sec(song, 0.5) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("mp3", "libmp3lame"), ("flac", "flac"), ("m4a", "aac"), ("opus", "libopus")],
)
def test_clicks_of_other_formats_are_where_they_were(tmp_path, ending, codec):
    at = np.array([0.5, 1.25, 2.0])
    path = tmp_path / f"song.{ending}"
    sound = clicks(at, 3, rate=48_000).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=48_000)
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        fifo = [*resampler.resample(frame), *resampler.resample(None)]
        for done in fifo:
            container.mux(stream.encode(done))
        container.mux(stream.encode(None))
    found = np.concatenate(list(samples(path, rate=48_000, channels=1)), axis=1)[0]
    np.testing.assert_allclose(starts(found), at, atol=0.006)


def test_the_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert refused(audio="song.wav") == "audio=song.wav needs PyAV: pip install 'stylegan-lightning[video]'"
