"""Writing: every format read back by another reader, interruptions, the same bytes, memory, full disks."""

import hashlib
import json
import os
import resource
import signal
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.images import read_png, read_png_text
from stylegan.machine.sidecars import read_sidecar
from stylegan.media.settings import FORMATS, MediaSettings
from stylegan.media.write import write_media
from tests.forked import run_command
from tests.media.numbered import Numbered, number_in

TEXT = {"weights": "abc", "seeds": "0-5", "timeline": "psi: {0: 0.7}\n# é"}


def write(tmp_path, frames, name="walk", text=TEXT, **settings):
    return write_media(frames, tmp_path / name, MediaSettings(**settings), text)


def of_opencv(path):
    """(frames [H,W,3] as RGB, declared count, rate)."""
    video = cv2.VideoCapture(str(path))
    count, rate = video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)
    frames = []
    while True:
        there, frame = video.read()
        if not there:
            return frames, count, rate
        frames.append(frame[..., ::-1])


def of_pillow(path):
    """(frames [H,W,C], their times in ms)."""
    frames, times = [], []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGBA")))
            times.append(image.info["duration"])
    return frames, times


@pytest.mark.parametrize("form", ["mp4", "webm"])
@pytest.mark.parametrize(("fps", "rate"), [(30, 30), (23.976, 24_000 / 1001), (12.5, 12.5)])
def test_another_reader_finds_every_frame_and_the_rate(tmp_path, form, fps, rate):
    frames = Numbered(50)
    path = write(tmp_path, frames, format=form, fps=fps, segment_frames=20)
    found, count, declared = of_opencv(path)
    assert [number_in(frame) for frame in found] == list(range(50))
    assert found[0].shape == (48, 64, 3)
    assert declared == pytest.approx(rate, rel=2e-3)
    if form == "mp4":
        assert count == 50
    assert path == tmp_path / f"walk.{form}" and not list(tmp_path.glob(".*"))


def test_an_mp4_is_what_platforms_take(tmp_path):
    path = write(tmp_path, Numbered(50), segment_frames=20, fps=30)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 30)
        assert stream.codec_context.colorspace == stream.codec_context.color_primaries == 1
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [packet.pts * packet.time_base * 30 for packet in packets] == list(range(50))
        assert all(packet.pts == packet.dts for packet in packets)
        assert {0, 20, 40} <= {number for number, packet in enumerate(packets) if packet.is_keyframe}
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the table of contents comes first"


@pytest.mark.parametrize("form", ["mp4", "webm", "gif", "webp", "apng", "png", "png16"])
def test_every_file_says_how_it_was_made(tmp_path, form):
    path = write(tmp_path, Numbered(3), format=form)
    wanted = TEXT | dict(MediaSettings(format=form).text)
    assert read_sidecar(path) == wanted
    if form in ("mp4", "webm"):
        with av.open(str(path)) as container:
            metadata = {key.lower(): value for key, value in container.metadata.items()}
            assert json.loads(metadata["comment"]) == wanted
    elif form in ("png", "png16"):
        assert read_png_text(path / "frame000002.png") == wanted | {"frame": "2"}
    else:
        with Image.open(path) as image:
            said = image.info.get("comment") if form == "gif" else image.getexif().get(0x010E)
            assert (dict(image.text) if form == "apng" else json.loads(said)) == wanted


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colours_survive_an_mp4(tmp_path, channels):
    """To within what chroma at half the size and BT.709 at quality 100 cost."""
    frames = Numbered(2, channels=channels)
    path = write(tmp_path, frames, quality=100)
    with av.open(str(path)) as container:
        found = next(container.decode(video=0)).to_ndarray(format="rgb24", src_colorspace="ITU709")
    expected = frames.frame(0)[:3].expand(3, -1, -1).movedim(0, -1).numpy().astype(int)
    smooth = np.s_[:, 20:]
    assert np.abs(found[smooth].astype(int) - expected[smooth]).mean() < 2.5


@pytest.mark.parametrize("form", ["webp", "apng"])
def test_lossless_animations_are_the_frames_bit_for_bit(tmp_path, form):
    frames = Numbered(30, channels=4, opaque=100)
    path = write(tmp_path, frames, format=form, quality=100, fps=24, segment_frames=12)
    found, times = of_pillow(path)
    assert len(found) == 30
    for number, frame in enumerate(found):
        np.testing.assert_array_equal(frame, frames.frame(number).movedim(0, -1))
    assert sum(times) == pytest.approx(30_000 / 24, abs=1) and max(times) - min(times) <= 1


@pytest.mark.parametrize("form", ["gif", "webp", "apng"])
def test_no_frame_of_an_animation_is_lost_or_merged(tmp_path, form):
    """The frames 0 to 9 twice each, so that neighbours are equal."""
    frames = Numbered(20)
    plain = frames.frame
    frames.frame = lambda number: plain(number // 2)
    path = write(tmp_path, frames, format=form, fps=25, segment_frames=7)
    content = path.read_bytes()
    counts = {
        "gif": content.count(b"!\xf9\x04"),
        "webp": content.count(b"ANMF"),
        "apng": content.count(b"fcTL"),
    }
    assert counts[form] == 20
    found, times = of_pillow(path)
    assert sum(times) == 800
    assert {number_in(frame) for frame in found} == set(range(10))
    with Image.open(path) as image:
        assert image.info["loop"] == 0


def test_a_gif_has_a_palette_a_frame_and_says_its_rate(tmp_path, capfd):
    frames = Numbered(12)
    path = write(tmp_path, frames, format="gif", fps=30)
    found, times = of_pillow(path)
    assert set(times) == {30}
    assert "33.33" in capfd.readouterr().out
    assert [number_in(frame) for frame in found] == list(range(12))
    expected = frames.frame(3).movedim(0, -1).numpy().astype(int)
    assert np.abs(found[3][..., :3].astype(int) - expected).mean() < 6


def test_frames_are_files(tmp_path):
    frames = Numbered(5, channels=4, opaque=7)
    folder = write(tmp_path, frames, format="png")
    assert sorted(path.name for path in folder.iterdir()) == [f"frame{number:06d}.png" for number in range(5)]
    for number in range(5):
        assert (read_png(folder / f"frame{number:06d}.png") == frames.frame(number)).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_frames_of_16_bits_are_read_exactly(tmp_path, channels):
    frames = Numbered(2, channels=channels, opaque=100, floats=True)
    folder = write(tmp_path, frames, format="png16")
    found = cv2.imread(str(folder / "frame000001.png"), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    expected = ((frames.frame(1).double() + 1) * 32767.5).round().movedim(0, -1).numpy()
    if channels == 1:
        np.testing.assert_array_equal(found, expected[..., 0])
    elif channels == 2:  # OpenCV shows grey with alpha as colours
        np.testing.assert_array_equal(found[..., [0, 3]], expected)
    else:
        np.testing.assert_array_equal(found, expected[..., [2, 1, 0, 3][:channels]])


def test_webm_keeps_alpha(tmp_path):
    path = write(tmp_path, Numbered(25, channels=4, opaque=60), format="webm", segment_frames=10)
    with av.open(str(path)) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        found = [frame for packet in container.demux(video=0) for frame in decoder.decode(packet)]
    assert len(found) == 25
    for frame in found[::6]:
        assert frame.format.name == "yuva420p"
        alpha = frame.to_ndarray(format="rgba")[..., 3].astype(int)
        assert np.abs(alpha[:, 4:28] - 60).max() < 12 and np.abs(alpha[:, 36:] - 255).max() < 12


def test_odd_sizes_and_transparency_are_said(tmp_path, capfd):
    path = write(tmp_path, Numbered(3, (47, 63), channels=4), fill="navy")
    lines = capfd.readouterr().out.splitlines()
    assert any("even sides: the last line of 47 px" in line for line in lines)
    assert any("even sides: the last column of 63 px" in line for line in lines)
    assert any("composited on fill=navy" in line for line in lines)
    assert of_opencv(path)[0][0].shape == (48, 64, 3)


def test_the_file_has_the_size_asked_for(tmp_path):
    path = write(tmp_path, Numbered(4), size="108x192", fit="blur", scale=2)
    found, _, _ = of_opencv(path)
    assert found[0].shape == (192, 108, 3) and len(found) == 4
    # 64 x 48 twice as large is 128 x 96, which fits in as 108 x 81, in the middle.
    assert [number_in(frame[55:136]) for frame in found] == [0, 1, 2, 3]


@pytest.mark.parametrize("form", FORMATS)
def test_an_interrupted_rendering_continues_and_ends_in_the_same_bytes(tmp_path, capfd, form):
    settings = dict(format=form, segment_frames=8)
    whole = write(tmp_path, Numbered(30), name="whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Numbered(30, stop_at=21), name="walk", **settings)
    assert not (tmp_path / MediaSettings(format=form).name_of("walk")).exists()
    capfd.readouterr()
    again = Numbered(30, chunk=4)
    part = write(tmp_path, again, name="walk", **settings)
    first = 21 if form.startswith("png") else 16
    assert again.drawn == list(range(first, 30))
    assert f"continuing from frame {first}" in capfd.readouterr().out
    assert digest(whole) == digest(part)
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_drawn_where_only_joining_is_left(tmp_path, monkeypatch):
    from stylegan.media.video import Video

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Video, "join", killed)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, Numbered(30), segment_frames=8)
    again = Numbered(30)
    assert len(of_opencv(write(tmp_path, again, segment_frames=8))[0]) == 30
    assert again.drawn == []


@pytest.mark.parametrize(
    "change", [dict(text=TEXT | {"seeds": "7"}), dict(quality=50), dict(segment_frames=9)]
)
def test_parts_of_other_settings_are_not_used(tmp_path, capfd, change):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Numbered(30, stop_at=21), segment_frames=8)
    again = Numbered(30)
    write(tmp_path, again, **({"segment_frames": 8} | change))
    assert again.drawn == list(range(30))
    assert "parts of a rendering with other settings" in capfd.readouterr().out


def test_a_damaged_part_is_made_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Numbered(30, chunk=1, stop_at=26), segment_frames=8)
    (part,) = tmp_path.glob(".walk.mp4.parts/segments/000001.mp4")
    part.write_bytes(part.read_bytes()[:500])
    again = Numbered(30)
    path = write(tmp_path, again, segment_frames=8)
    assert again.drawn == [*range(8, 16), *range(24, 30)]
    assert [number_in(frame) for frame in of_opencv(path)[0]] == list(range(30))


def test_a_rendering_that_runs_elsewhere_is_left_alone(tmp_path):
    from stylegan.machine.folder_lock import lock_folder

    folder = tmp_path / ".walk.mp4.parts"
    folder.mkdir()
    lock = lock_folder(folder)
    said = run_command(rendering, [], tmp_path)
    lock.release()
    assert said.returncode == 2
    assert said.stdout.strip() == "walk.mp4: another process renders this file; wait for it, or set out=..."


def rendering(words):
    """A command for a process of its own. Args: words: nothing, `killed` in frame 150, or `full` in frame 50."""
    frames = Numbered(200, (48, 64) if "full" not in words else (240, 320))
    plain = frames.frame

    def frame(number):
        if words == ["killed"] and number == 150:
            os.kill(os.getpid(), signal.SIGKILL)
        if words == ["full"] and number == 50:
            # A limit of the size of files stands for the disk.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
        if words == ["full"] and number >= 20:
            return torch.randint(0, 256, (3, 240, 320), dtype=torch.uint8)
        return plain(number)

    frames.frame = frame
    try:
        write(Path(), frames, segment_frames=10)
    except (OSError, ValueError) as error:
        print(error)
        return 2
    return 0


def test_frames_of_an_older_rendering_are_replaced(tmp_path):
    write(tmp_path, Numbered(9), format="png")
    (tmp_path / "walk" / "mine.txt").write_text("kept")
    folder = write(tmp_path, Numbered(4, (24, 24)), format="png")
    assert sorted(path.name for path in folder.iterdir()) == [f"frame{n:06d}.png" for n in range(4)] + [
        "mine.txt"
    ]
    assert read_png(folder / "frame000000.png").shape == (3, 24, 24)


def test_a_folder_whose_frames_are_being_replaced_does_not_count_as_finished(tmp_path, monkeypatch):
    """As after a kill between two of them."""
    write(tmp_path, Numbered(9), format="png")
    replace, left = os.replace, [3]

    def killed(source, target):
        if Path(target).parent == tmp_path / "walk":
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, Numbered(6), format="png", text=TEXT | {"seeds": "7"})
    assert read_sidecar(tmp_path / "walk") is None
    again = Numbered(6)
    folder = write(tmp_path, again, format="png", text=TEXT | {"seeds": "7"})
    assert again.drawn == [0, 1, 2]
    assert len(list(folder.iterdir())) == 6 and read_sidecar(folder)["seeds"] == "7"


@pytest.mark.parametrize(("fps", "count"), [(0.5, 3), (59.94, 7), (119.88, 3), (30, 2)])
def test_a_short_webm_says_its_rate(tmp_path, fps, count):
    """Its times are whole milliseconds, from which a reader would guess another one."""
    found, declared_count, declared = of_opencv(write(tmp_path, Numbered(count), format="webm", fps=fps))
    assert len(found) == declared_count == count
    assert declared == pytest.approx(fps, rel=1e-4)


def test_a_full_disk_keeps_the_parts_and_says_so(tmp_path):
    said = run_command(rendering, ["full"], tmp_path)
    assert said.returncode == 2, said.stderr
    line = said.stdout.strip().splitlines()[-1]
    kept = "the frames that are done are kept in .walk.mp4.parts, from which the same command continues"
    assert line == f"walk.mp4: the disk is full; {kept}"
    assert len(list(tmp_path.glob(".walk.mp4.parts/segments/*.mp4"))) >= 3
    assert not (tmp_path / "walk.mp4").exists()


def test_an_unwritable_folder_is_an_oserror(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write(tmp_path / "file", Numbered(3))


@pytest.mark.parametrize("form", ["mp4", "png"])
def test_a_folder_where_a_file_should_be_is_refused_before_drawing(tmp_path, form):
    target = tmp_path / MediaSettings(format=form).name_of("walk")
    target.write_text("mine") if form == "png" else target.mkdir()
    frames = Numbered(3)
    with pytest.raises(ValueError, match=rf"^{target} is a f.*, and format={form} writes a .*out="):
        write(tmp_path, frames, format=form)
    assert frames.drawn == [] and target.exists()


def test_errors_of_drawing_come_out_as_they_are(tmp_path):
    frames = Numbered(9)

    def broken(number):
        raise ValueError("w has another width")

    frames.frame = broken
    with pytest.raises(ValueError, match="w has another width"):
        write(tmp_path, frames)


def test_names_are_no_protocols(tmp_path):
    """FFmpeg reads `concat:` and `http:` before a name as ways to open it."""
    path = write(tmp_path, Numbered(3), name="concat:a|b %d 'é")
    assert path.name == "concat:a|b %d 'é.mp4" and path.stat().st_size > 0


def test_the_name_of_the_missing_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError) as error:
        write(tmp_path, Numbered(3))
    assert "format=mp4 needs PyAV: pip install 'stylegan-lightning[video]'" in str(error.value)
    assert write(tmp_path, Numbered(3), format="gif").exists()


def test_killed_and_continued_ends_in_the_same_bytes(tmp_path):
    assert run_command(rendering, ["killed"], tmp_path).returncode == -signal.SIGKILL
    again = Numbered(200)
    path = write(tmp_path, again, segment_frames=10)
    assert 100 <= again.drawn[0] <= 150 and again.drawn[-1] == 199
    assert digest(path) == digest(write(tmp_path, Numbered(200), name="whole", segment_frames=10))


def rendering_few_and_many(words):
    """A command for a process of its own: prints its largest memory in KiB after 100 frames, and after 2,000."""
    for count in (100, 2000):
        write(Path(str(count)), Numbered(count, (96, 128)), format=words[0])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return 0


@pytest.mark.long
@pytest.mark.parametrize("form", FORMATS)
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, form):
    said = run_command(rendering_few_and_many, [form], tmp_path, timeout_sec=1800)
    few, many = (int(line) for line in said.stdout.splitlines() if line.isdigit())
    assert many < few * 1.03, (few, many)


def digest(path: Path) -> str:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return " ".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
