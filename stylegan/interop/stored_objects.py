"""Files of pickles and tensors: a plain pickle, and torch's zip, stream and unpacked zip.

- A plain pickle carries each storage as bytes that are a stream of torch's.
- A stream (torch before 1.6, and each storage inside a pickle): the pickles of a magic number, a version, the machine,
  the object and the keys of its storages; then each storage, with its count before it.
- A zip (`.pt`, `.pth` of today): `NAME/data.pkl`, and each storage as `NAME/data/KEY`, not compressed. Some systems
  unpack it while they download it: then it is a folder with the same files.
"""

import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from stylegan.interop.opcodes import Allowed, Budget, OpcodeMachine, PickleError, Table
from stylegan.interop.pickle_globals import (
    NETWORK_TABLE,
    STORAGE_TABLE,
    StorageData,
    refusal,
    storage_of_id,
)

_STREAM_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_BEGIN = b"\x80\x02\x8a\x0a" + _STREAM_MAGIC.to_bytes(10, "little") + b"."
_STREAM_VERSION = 1001
_ZIP_BEGIN = b"PK\x03\x04"
_KEY = re.compile(r"[0-9]{1,20}")
# A directory of ten times as many entries as a large network has.
_MAX_DIRECTORY_BYTES = 4 << 20


def read_objects(path: Path) -> object:
    """What a file, or an unpacked zip, holds, as `OpcodeMachine` describes it. Nothing in it is run.

    The file is read into memory once, and storages are slices of that.
    Raises: PickleError, without the file's name. OSError where the system does not give the file.
    """
    if path.is_dir():
        return _read_folder(path)
    if _content(path, limit=4) == _ZIP_BEGIN:
        return _read_zip(path, path.stat().st_size)
    return read_bytes(_content(path))


def read_bytes(data: memoryview) -> object:
    """The same, of a plain pickle or a stream that is in memory."""
    if not data:
        raise PickleError("it is empty")
    begin = bytes(data[:64]).lstrip().lower()
    if begin.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise PickleError(
            "it is a web page that was saved instead of the file; open it in a browser to see why"
        )
    if begin.startswith(b"version https://git-lfs"):
        raise PickleError("it is a pointer of Git LFS and not the file; git lfs pull fetches that")
    budget = Budget(len(data))
    if data[: len(_STREAM_BEGIN)] == _STREAM_BEGIN:
        return _read_stream(data, NETWORK_TABLE, budget)
    return _read_pickle(data, budget)


def _content(path: Path, limit: int = -1) -> memoryview:
    if not path.is_file():
        raise PickleError("it is no file")
    with open(path, "rb") as file:
        return memoryview(file.read(limit))


def _read_pickle(data: memoryview, budget: Budget, persistent: Callable | None = None) -> object:
    table: Table = {
        **NETWORK_TABLE,
        ("torch.storage", "_load_from_bytes"): Allowed(
            "torch.storage._load_from_bytes", call=lambda args: _storage_of_bytes(args, budget)
        ),
    }
    machine = OpcodeMachine(data, table=table, refusal=refusal, budget=budget, persistent=persistent)
    return machine.read()[0]


def _storage_of_bytes(args: tuple, budget: Budget) -> StorageData:
    """The storage in the bytes that a plain pickle has for it: a stream, which holds none in turn."""
    if len(args) != 1 or type(args[0]) is not memoryview:
        raise PickleError("it has a storage in an unknown form")
    if args[0][: len(_STREAM_BEGIN)] != _STREAM_BEGIN:
        raise PickleError("it has a storage that is not in torch's form")
    storage = _read_stream(args[0], STORAGE_TABLE, budget)
    if type(storage) is not StorageData:
        raise PickleError("it has a storage in an unknown form")
    return storage


def _read_stream(data: memoryview, table: Table, budget: Budget) -> object:
    found: dict[str, StorageData] = {}

    def persistent(persistent_id: object) -> StorageData:
        storage = storage_of_id(persistent_id)
        if (known := found.setdefault(storage.key, storage)) != storage:
            raise PickleError(f"it declares the storage {storage.key} twice")
        return known

    def read(place: int, **persistent: Callable) -> tuple[object, int]:
        return OpcodeMachine(data, place, table=table, refusal=refusal, budget=budget, **persistent).read()

    version, place = read(len(_STREAM_BEGIN))
    machine, place = read(place)
    if version != _STREAM_VERSION or type(machine) is not dict or machine.get("little_endian") is not True:
        raise PickleError("it has tensors of an unknown version, or of a machine of another byte order")
    value, place = read(place, persistent=persistent)
    keys, place = read(place)
    if type(keys) is not list or not all(type(key) is str and key in found for key in keys):
        raise PickleError("it has tensors in an unknown form")
    for key in keys:
        storage = found[key]
        if len(data) - place < 8 + storage.size:
            raise PickleError(
                f"it is cut short: a storage declares {storage.size:,} bytes, which do not follow"
            )
        if struct.unpack_from("<q", data, place)[0] != storage.count:
            raise PickleError(f"it has two counts of numbers for the storage {key}")
        storage.data = data[place + 8 : place + 8 + storage.size]
        place += 8 + storage.size
    return value


def _read_zip(path: Path, size: int) -> object:
    """A zip is read entry by entry, never unpacked: a name in it is no path."""
    with open(path, "rb") as file:
        file.seek(max(0, size - 65_557))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise PickleError("it is cut short: a zip without its directory")
    if struct.unpack_from("<I", tail, end + 12)[0] > _MAX_DIRECTORY_BYTES:
        raise PickleError("it is a zip of far more entries than a network has")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            # What unpacks to more, or shares its bytes with others, would take more memory than the file.
            stored = all(info.compress_type == zipfile.ZIP_STORED for info in entries.values())
            if not stored or sum(info.file_size for info in entries.values()) > size:
                raise PickleError("it is a compressed zip; unpack it, and name what it holds")
            mains = [name for name in entries if name.count("/") <= 1 and name.split("/")[-1] == "data.pkl"]
            if len(mains) != 1:
                raise PickleError("it is a zip of something else than tensors (torch's have one data.pkl)")
            prefix = mains[0].removesuffix("data.pkl")

            def read(name: str) -> memoryview | None:
                return memoryview(archive.read(entries[prefix + name])) if prefix + name in entries else None

            return _read_parts(read, size)
    except PickleError:
        raise
    except (
        ValueError,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        struct.error,
    ) as error:
        raise PickleError(
            f"it is a damaged zip: {str(error).splitlines()[0] if str(error) else 'no reason'}"
        ) from None


def _read_folder(folder: Path) -> object:
    """The files of a zip that was unpacked. Links are not followed: they lead where the zip did not."""
    if (folder / "data").is_symlink():
        raise PickleError("its folder data is a link")
    size = sum(file.stat().st_size for file in folder.glob("data/*") if file.is_file())

    def read(name: str) -> memoryview | None:
        file = folder / name
        return None if file.is_symlink() or not file.is_file() else _content(file)

    return _read_parts(read, size)


def _read_parts(read: Callable[[str], memoryview | None], size: int) -> object:
    """`data.pkl` and the storages that it names. Args: read: name → content, None = not there."""
    order, main = read("byteorder"), read("data.pkl")
    if main is None:
        raise PickleError("it has no data.pkl")
    if order is not None and bytes(order[:8]) != b"little":
        raise PickleError("it has tensors of a machine of another byte order")
    found: dict[str, StorageData] = {}

    def persistent(persistent_id: object) -> StorageData:
        storage = storage_of_id(persistent_id)
        if storage.key in found:
            if (found[storage.key].code, found[storage.key].count) != (storage.code, storage.count):
                raise PickleError(f"it declares the storage {storage.key} twice")
            return found[storage.key]
        if not _KEY.fullmatch(storage.key):
            raise PickleError("it has a storage whose key is no number")
        data = read(f"data/{storage.key}")
        if data is None or len(data) != storage.size:
            held = "is not there" if data is None else f"has {len(data):,} bytes"
            raise PickleError(f"its storage {storage.key} {held} instead of {storage.size:,} bytes")
        storage.data = data
        return found.setdefault(storage.key, storage)

    return _read_pickle(main, Budget(size), persistent)
