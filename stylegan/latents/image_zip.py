"""A zip of many images: stored, in order, and continued after a kill to the same bytes."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from torch import Tensor

from stylegan.latents.latent_files import latents_of_image
from stylegan.latents.outputs import Output
from stylegan.latents.point_images import Cell, PointImages
from stylegan.latents.points import short_text
from stylegan.latents.provenance import differing, refuse
from stylegan.machine.console import say
from stylegan.machine.progress import with_progress
from stylegan.machine.sidecars import read_sidecar, sidecar_of, write_sidecar
from stylegan.machine.text import printable
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text

# PKWARE APPNOTE 6.3.10, section 4.3.7: the header before each file.
_HEADER = struct.Struct("<4s5H3L2H")
_SIGNATURE = b"PK\3\4"
# The same bytes at any time, on any system.
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX, _READABLE = 3, 0o644 << 16


def draw_zip(images: PointImages, output: Output) -> None:
    """Draws all images into one stored zip, `output.folder`, with its provenance in a JSON next to it.

    Of more than 4 channels the image shows three, and an `.npy` [H,W,C] after it holds all; after the image of a
    latent comes the latent, `fox.png.npz`. What is written so far is in `fakes.zip.partial`; the same command continues
    there after its last whole image, and ends in the same bytes as without an interruption. Memory holds a few images,
    and the list of the names.

    Raises: ValueError where a zip of other settings is in the way, unless the output says overwrite, or another process
        writes it; OSError.
    """
    path = output.folder
    text = images.text_of_all | {"seeds": short_text(images.points)}
    if not Output(path.parent, output.overwrite).claim(path.name, text):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    cells = [*images.cells()]
    with _opened_alone(partial) as file:
        if os.fstat(file.fileno()).st_size and (other := differing(read_sidecar(partial), text)) != []:
            if not output.overwrite:
                refuse([(partial, other)])
            file.truncate(0)
        write_sidecar(partial, text)
        entries, done = _whole_entries(file, images, cells)
        if done:
            say(f"continuing from image {done:,} of {len(cells):,} in {partial}")
        _write(file, entries, images, cells[done:], done)
        file.flush()
        os.fsync(file.fileno())
        write_sidecar(path, text)
        # While it is locked, where the system allows it: then no other process begins with what is whole.
        if os.name == "posix":
            os.replace(partial, path)
    if os.name != "posix":
        os.replace(partial, path)
    sidecar_of(partial).unlink(missing_ok=True)
    say(f"{len(cells):,} image{'s' * (len(cells) > 1)} of {size_text(images.drawer.size)} px in {path}")


def _opened_alone(partial: Path) -> BinaryIO:
    """A file to read and write, new or with what is in it, that no other process writes.

    Raises: ValueError where one does.
    """
    # Here, not above: commands that lock nothing start faster without it.
    from filelock import has_fcntl, lock_descriptor

    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    file = os.fdopen(descriptor, "r+b")
    try:
        is_ours = not has_fcntl or lock_descriptor(descriptor, blocking=False)
        # Between being opened and being locked it may have become another process's whole zip.
        is_ours = is_ours and os.path.samestat(os.fstat(descriptor), os.stat(partial))
    except FileNotFoundError:
        is_ours = False
    except OSError:
        is_ours = True  # a mount that locks nothing
    if not is_ours:
        file.close()
        raise ValueError(
            f"{printable(str(partial))}: another process writes this zip; wait for it, or set out=... for another one"
        )
    return file


def _write(
    file: BinaryIO, entries: list[zipfile.ZipInfo], images: PointImages, cells: list[Cell], done: int
) -> None:
    """Appends the images of `cells` to the `entries` that are there, and the list of all at the end."""
    # In this mode nothing of the file is read, and writing begins where it stands.
    with zipfile.ZipFile(file, "w") as archive:
        for entry in entries:
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
        with prepared(images.drawer.sampler.synthesis):
            chunks = ((len(some), (some, pixels)) for some, pixels in images.draw(cells))
            for some, pixels in with_progress(chunks, total=done + len(cells), done=done):
                for cell, image in zip(some, pixels, strict=True):
                    for name, content in _files(images, cell, image):
                        archive.writestr(_entry(name), content)
                file.flush()


def _files(images: PointImages, cell: Cell, image: Tensor) -> Iterator[tuple[str, bytes]]:
    yield images.name(cell), images.format.encode(image, images.text(cell))
    if (latent := images.latent_file(cell)) is not None:
        yield latents_of_image(Path(images.name(cell))).name, latent
    if not images.is_visible:
        content = io.BytesIO()
        np.save(content, image.movedim(0, -1).numpy())
        yield f"{images.stem(cell)}.npy", content.getvalue()


def _names(images: PointImages, cell: Cell) -> list[str]:
    name = images.name(cell)
    latent = [] if images.points[cell.place].seed is not None else [latents_of_image(Path(name)).name]
    return [name, *latent, *([] if images.is_visible else [f"{images.stem(cell)}.npy"])]


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_DATE)
    entry.create_system, entry.external_attr = _UNIX, _READABLE
    return entry


def _whole_entries(
    file: BinaryIO, images: PointImages, cells: Sequence[Cell]
) -> tuple[list[zipfile.ZipInfo], int]:
    """The files that a killed program has left whole, in order; what stands behind them is cut off.

    Returns: the files, and how many images they are.
    """
    entries: list[zipfile.ZipInfo] = []
    done = end = 0
    for cell in cells:
        found = [_read_entry(file, name) for name in _names(images, cell)]
        whole = [entry for entry in found if entry is not None]
        if len(whole) < len(found):
            break
        entries += whole
        done, end = done + 1, file.tell()
    file.truncate(end)
    file.seek(end)
    return entries, done


def _read_entry(file: BinaryIO, name: str) -> zipfile.ZipInfo | None:
    """The file that begins here, where it is called so and its content is whole; else None."""
    entry = _entry(name)
    entry.header_offset = file.tell()
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    signature, *_, crc, packed, size, name_length, extra_length = _HEADER.unpack(header)
    called = file.read(name_length)
    content = file.read(size)
    expected = (_SIGNATURE, name.encode(), size, 0)
    if (
        (signature, called, packed, extra_length) != expected
        or len(content) < size
        or zlib.crc32(content) != crc
    ):
        return None
    entry.CRC, entry.compress_size, entry.file_size = crc, size, size
    return entry
