"""Large draws: a stored zip that ends in the same bytes, whatever interrupted it."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.interop.checkpoint import save_generator
from stylegan.latents.latent_files import write_latents
from stylegan.latents.like import likeness_of
from stylegan.latents.outputs import ImageFormat
from stylegan.latents.point_images import PointImages
from stylegan.latents.provenance import read_sidecar
from tests.latents.tasks.drawing import content, job, make_generator, pixels

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def draw(tmp_path, generator=None, *, name="fakes.zip", **values):
    job(tmp_path, generator, out=tmp_path / name, **{"seeds": "0-40", **values}).run()
    return tmp_path / name


def test_the_images_are_those_of_the_folder_in_order_and_stored(tmp_path):
    generator = make_generator(noise=True)
    values = dict(truncation=0.7, noise_mode="random")
    path = draw(tmp_path, generator, **values)
    job(tmp_path, generator, seeds="0-40", out=tmp_path / "folder", **values).run()
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"seed{seed:04d}.png" for seed in range(41)]
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert archive.read(entry) == (tmp_path / "folder" / entry.filename).read_bytes()
    sidecar = read_sidecar(path)
    assert (sidecar["seeds"], sidecar["truncation"]) == ("0-40", "0.7")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fakes.zip", "fakes.zip.json", "folder"]


@pytest.mark.parametrize(
    "options", [{"channels": 5}, {"channels": 1, "resolution": (24, 40)}, {"c_dim": 2, "channels": 4}]
)
def test_other_networks(tmp_path, options):
    generator = make_generator(noise=True, **options)
    path = draw(tmp_path, generator, seeds="0-2", label="all" if "c_dim" in options else None)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if options["channels"] == 5:
            assert names == [f"seed000{seed}.{ending}" for seed in range(3) for ending in ("png", "npy")]
            array = np.load(io.BytesIO(archive.read("seed0001.npy")))
            assert array.shape == (16, 16, 5)
        elif "c_dim" in options:
            assert names == [f"seed000{seed}-class{row}.png" for row in range(2) for seed in range(3)]
        shown = np.asarray(Image.open(io.BytesIO(archive.read(names[0]))))
        assert shown.shape[:2] == generator.size


class Killed(Exception):
    pass


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("stop", [0, 1, 16, 17, 30])
def test_what_was_interrupted_ends_in_the_same_bytes(tmp_path, monkeypatch, capsys, channels, stop):
    generator = make_generator(channels=channels)
    whole = draw(tmp_path, generator, name="whole.zip").read_bytes()
    encode, calls = ImageFormat.encode, []

    def failing(self, image, text):
        calls.append(text["seed"])
        if len(calls) > stop:
            raise Killed
        return encode(self, image, text)

    monkeypatch.setattr(ImageFormat, "encode", failing)
    with pytest.raises(Killed):
        draw(tmp_path, generator)
    assert not (tmp_path / "fakes.zip").exists()
    monkeypatch.undo()
    capsys.readouterr()
    assert draw(tmp_path, generator).read_bytes() == whole
    if stop:
        assert f"continuing from image {stop} of 41" in capsys.readouterr().out


def test_a_tail_that_is_cut_anywhere_is_drawn_again(tmp_path, monkeypatch):
    """As a kill leaves it: any number of bytes, or bytes that were never written."""
    generator = make_generator()
    whole = draw(tmp_path, generator, seeds="0-5", name="whole.zip").read_bytes()
    sidecar = (tmp_path / "whole.zip.json").read_bytes()
    partial, beside = tmp_path / "fakes.zip.partial", tmp_path / "fakes.zip.partial.json"
    random = np.random.RandomState(0)
    for place in [0, 1, 29, 30, 31, *random.randint(0, len(whole), 12), len(whole)]:
        for damage in (b"", b"\0" * 50):
            partial.write_bytes(whole[:place] + damage)
            beside.write_bytes(sidecar)
            assert draw(tmp_path, generator, seeds="0-5").read_bytes() == whole
            (tmp_path / "fakes.zip").unlink()
            (tmp_path / "fakes.zip.json").unlink()
    assert not partial.exists() and not beside.exists()


def test_a_zip_or_a_part_of_other_settings_is_refused(tmp_path, monkeypatch, capsys):
    generator = make_generator()
    path = draw(tmp_path, generator, seeds="0-2")
    before = content(tmp_path)
    draw(tmp_path, generator, seeds="0-2")
    assert "fakes.zip is there already, and stays as it is" in capsys.readouterr().out
    for values in ({"seeds": "0-3"}, {"truncation": 0.5}, {"truncation_cutoff": 2}):
        with pytest.raises(ValueError, match="fakes.zip is there already, made with .*overwrite=true"):
            draw(tmp_path, generator, **{"seeds": "0-2", **values})
    assert content(tmp_path) == before
    path.rename(tmp_path / "fakes.zip.partial")
    (tmp_path / "fakes.zip.json").rename(tmp_path / "fakes.zip.partial.json")
    with pytest.raises(ValueError, match="fakes.zip.partial is there already, drawn with seeds=0-2"):
        draw(tmp_path, generator, seeds="0-3")
    (tmp_path / "fakes.zip.partial.json").unlink()
    with pytest.raises(ValueError, match="fakes.zip.partial is there already, and does not say how"):
        draw(tmp_path, generator, seeds="0-2")
    draw(tmp_path, generator, seeds="0-3", overwrite=True)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 4


def test_a_users_own_zip_is_not_replaced(tmp_path):
    (tmp_path / "fakes.zip").write_bytes(b"mine")
    with pytest.raises(ValueError, match="fakes.zip is there already, and does not say how it was made"):
        draw(tmp_path)
    assert (tmp_path / "fakes.zip").read_bytes() == b"mine"


def test_its_latents_lie_next_to_it(tmp_path):
    draw(tmp_path, seeds="0-2", save_latents=True, truncation=0.5)
    with np.load(tmp_path / "fakes.zip.npz", allow_pickle=False) as archive:
        assert archive["w"].shape == (3, 6, 8)


def test_in_another_format(tmp_path):
    path = draw(tmp_path, seeds="0-1", format="jpeg")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["seed0000.jpg", "seed0001.jpg"]
    (tmp_path / "a.jpg").write_bytes(zipfile.ZipFile(path).read("seed0000.jpg"))
    assert pixels(tmp_path / "a.jpg").shape == (16, 16, 3)


@pytest.mark.long
def test_a_killed_command_continues_to_the_same_bytes(tmp_path):
    """kill -9 at several moments, the process itself and not a function of it."""
    save_generator(tmp_path / "a.safetensors", make_generator(resolution=32))
    words = ["network=a.safetensors", "seeds=0-599", "device=cpu", "precision=fp32"]
    command = [sys.executable, os.path.join(ROOT, "generate.py"), *words]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    subprocess.run(
        [*command, "out=whole.zip"], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    partial, kills = tmp_path / "fakes.zip.partial", 0
    for part in (0.1, 0.4, 0.8):
        size = int(part * (tmp_path / "whole.zip").stat().st_size)
        process = subprocess.Popen(
            [*command, "out=fakes.zip"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None and not (partial.exists() and partial.stat().st_size > size):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL and not (tmp_path / "fakes.zip").exists()
    assert kills >= 2
    last = subprocess.run(
        [*command, "out=fakes.zip"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert last.returncode == 0 and "continuing from image" in last.stdout
    assert (tmp_path / "fakes.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_latents_lie_in_the_zip_next_to_their_images(tmp_path):
    generator = make_generator(noise=True)
    write_latents(tmp_path / "fox.npz", w=torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(1)))
    seeds = f"7,{tmp_path / 'fox.npz'}"
    path = draw(tmp_path, generator, seeds=seeds)
    whole = path.read_bytes()
    names = ["seed0007.png", "fox-000.png", "fox-000.png.npz", "fox-001.png", "fox-001.png.npz"]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == names
        archive.extractall(tmp_path / "unpacked")
    again = likeness_of(tmp_path / "unpacked" / "fox-001.png").seeds
    job(tmp_path, generator, seeds=again, out=tmp_path / "again").run()
    np.testing.assert_array_equal(
        pixels(tmp_path / "again" / "fox-001.png"), pixels(tmp_path / "unpacked" / "fox-001.png")
    )
    for cut in (len(whole) // 3, len(whole) // 2):
        path.unlink()
        (tmp_path / "fakes.zip.partial").write_bytes(whole[:cut])
        os.replace(tmp_path / "fakes.zip.json", tmp_path / "fakes.zip.partial.json")
        assert draw(tmp_path, generator, seeds=seeds).read_bytes() == whole


def test_two_processes_do_not_write_one_zip(tmp_path, monkeypatch):
    generator = make_generator()
    values = {"seeds": "0-3", "overwrite": True}

    def second(images, cells):
        with pytest.raises(
            ValueError, match="fakes.zip.partial: another process writes this zip; wait for it"
        ):
            draw(tmp_path, generator, **values)
        return draw_images(images, cells)

    draw_images = PointImages.draw
    monkeypatch.setattr(PointImages, "draw", second)
    path = draw(tmp_path, generator, **values)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 4
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fakes.zip", "fakes.zip.json"]


def test_a_part_of_another_format_is_not_continued(tmp_path):
    path = draw(tmp_path, seeds="0-2", format="png16")
    path.rename(tmp_path / "fakes.zip.partial")
    (tmp_path / "fakes.zip.json").rename(tmp_path / "fakes.zip.partial.json")
    with pytest.raises(ValueError, match="fakes.zip.partial is there already, drawn with format=png16"):
        draw(tmp_path, seeds="0-2")


def test_more_files_and_bytes_than_the_old_format_counts_continue_to_the_same_bytes(tmp_path, monkeypatch):
    """As of 65,535 files or 4 GB: here of 10 files or 5,000 bytes."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 5000)
    path = draw(tmp_path, seeds="0-20")
    whole = path.read_bytes()
    assert b"PK\x06\x06" in whole, "the end record of zip64"
    os.replace(tmp_path / "fakes.zip.json", tmp_path / "fakes.zip.partial.json")
    (tmp_path / "fakes.zip.partial").write_bytes(whole[:15_000])
    path.unlink()
    assert draw(tmp_path, seeds="0-20").read_bytes() == whole
    monkeypatch.undo()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 21
