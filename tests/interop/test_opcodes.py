"""The opcode machine: hostile files run nothing, take little memory, and end in one line."""

import io
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stylegan.interop.nvidia_pickle import read_pickle
from stylegan.interop.opcodes import Budget, OpcodeMachine, PickleError
from stylegan.interop.pickle_globals import refusal
from stylegan.interop.stored_objects import read_bytes
from tests.interop.pickle_files import Call, Name, New, pickled, small_files

SMALL = small_files()


def read(content):
    return read_bytes(memoryview(content))


def complaint(content):
    with pytest.raises(PickleError) as refused:
        read(content)
    text = str(refused.value)
    assert "\n" not in text and len(text) < 400
    return text


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(plain, st.integers(2, 5))
@settings(deadline=None, max_examples=50)
def test_plain_values_are_read_as_python_reads_them(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@given(st.binary(max_size=300), st.integers(3, 5))
@settings(deadline=None)
def test_bytes_stay_in_the_file(value, protocol):
    found = read(pickle.dumps(value, protocol))
    assert isinstance(found, memoryview) and bytes(found) == value


def test_sets_and_objects_that_hold_themselves():
    assert read(pickle.dumps({1, "a", None}, 4)) == {1, "a", None}
    loop = []
    loop.append(loop)
    found = read(pickle.dumps(loop))
    assert found[0] is found


class Reducing:
    def __init__(self, *reduction):
        self.reduction = reduction

    def __reduce__(self):
        return self.reduction


def mark_file(path):
    return f"import pathlib; pathlib.Path({str(path)!r}).touch()"


HOSTILE = [
    (lambda mark: Reducing(__import__("os").system, (f"touch {mark}",)), r"posix.system|nt.system"),
    (lambda mark: {"G": [Reducing(exec, (mark_file(mark),))]}, "builtins.exec"),
    (lambda mark: Reducing(eval, (f"open({str(mark)!r}, 'w')",)), "builtins.eval"),
    (lambda mark: Reducing(getattr, (str, "upper")), "builtins.getattr"),
    (lambda mark: Reducing(subprocess.Popen, (["touch", str(mark)],)), "subprocess.Popen"),
    (lambda mark: Reducing(__import__, ("os",)), "builtins.__import__"),
    (lambda mark: Reducing(np.load, (str(mark),)), "numpy.load"),
    (lambda mark: Reducing(np.ndarray, ((1 << 40,),)), "numpy.ndarray"),
    (lambda mark: Reducing(torch.load, (str(mark),)), "torch.*load"),
    (lambda mark: Reducing(torch.hub.load, ("a/b", "c")), "torch.hub"),
    (lambda mark: Reducing(bytearray, (1 << 40,)), "builtins.bytearray"),
    (lambda mark: [{1: (Reducing(exec, (mark_file(mark),)),)}], "builtins.exec"),
]


@pytest.mark.parametrize(("make", "words"), HOSTILE, ids=[words for _, words in HOSTILE])
@pytest.mark.parametrize("place", ["alone", "in a storage", "in a zip"])
@pytest.mark.parametrize("protocol", [3, 4])
def test_what_a_file_names_is_never_run(tmp_path, make, words, place, protocol):
    mark = tmp_path / "mark"
    content = pickle.dumps(make(mark), protocol)
    path = tmp_path / "network.pkl"
    if place == "in a storage":
        stream = SMALL["stream.pt"]
        begin = stream.index(b"\x80\x02}", 15)  # after magic number and version
        content = pickled(Call(Name("torch.storage", "_load_from_bytes"), stream[:begin] + content))
    if place == "in a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("network/data.pkl", content)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_pickle(path)
    assert not mark.exists()


def test_source_in_a_snapshot_is_text(tmp_path):
    record = {
        "type": "class",
        "version": 6,
        "module_src": mark_file(tmp_path / "mark"),
        "class_name": "Generator",
    }
    record |= {"state": {"_init_kwargs": {}, "_modules": {}, "_parameters": {}, "_buffers": {}}}
    call = Call(Name("torch_utils.persistence", "_reconstruct_persistent_obj"), record)
    found = read(pickled({"G_ema": call}))
    assert found["G_ema"].class_name == "Generator" and not (tmp_path / "mark").exists()


DECLARED = {
    "long memo index": b"Nr\x00\x00\x00\x10.",
    "bytes": b"\x8e" + struct.pack("<Q", 8 << 30),
    "bytes of 4 GB": b"B\xff\xff\xff\xff",
    "text": b"\x8d" + struct.pack("<Q", 8 << 30),
    "bytearray": b"\x96" + struct.pack("<Q", 8 << 30),
    "frame": b"\x95" + struct.pack("<Q", 8 << 30),
    "integer": b"\x8b\xff\xff\xff\x7f",
    "short integer": b"\x8a\xff" + b"\x01" * 255 + b".",
    "negative": b"\x8e" + b"\xff" * 8 + b".",
}


@pytest.mark.parametrize("content", DECLARED.values(), ids=DECLARED)
def test_a_declared_size_takes_no_memory(content):
    if content.endswith(b"\x10."):
        assert read(content) is None
    else:
        complaint(content)


def bombs():
    """Files that are small and mean much: name, content, words of the refusal."""
    sets = b"(" + b"\x8f" * 200_000 + b"l."
    doubled = b"]" + b"".join(
        b"q" + bytes([i]) + b"]h" + bytes([i]) + b"ah" + bytes([i]) + b"a" for i in range(60)
    )
    table = (
        b"cbuiltins\nset\nq\x01](" + b"".join(b"M" + struct.pack("<H", i) for i in range(20_000)) + b"eq\x02"
    )
    table += b"h\x01h\x02\x85R" * 1_000 + b"."
    storage = Call(Name("torch.storage", "_load_from_bytes"), SMALL_STORAGE)
    wide = Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, 0, (1 << 30,), (0,), False, {})
    beyond = Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, 1 << 40, (1,), (1,), False, {})
    state = (1, (1 << 40,), Call(Name("numpy", "dtype"), "f4", False, True), False, b"abcd")
    array = Call(
        Name("numpy.core.multiarray", "_reconstruct"), Name("numpy", "ndarray"), (0,), b"b", state=state
    )
    return [
        ("sets", sets, "objects"),
        ("lists in two places", doubled + b".", "unfinished"),
        ("one list as many sets", table, "objects"),
        ("marks", b"(" * 5_000 + b".", "nested"),
        ("a tensor without a stride", pickled(wide), "storage of"),
        ("a tensor outside", pickled(beyond), "storage of"),
        ("an array of few bytes", pickled(array), "bytes for the shape"),
        (
            "an array without numbers",
            pickled(Call(Name("numpy", "dtype"), "O", False, True)),
            "numbers of the type",
        ),
        ("a tuple for a key", pickle.dumps({(1, 2): 3}), "for a key"),
        ("a web page", b"\n<!DOCTYPE html><title>Drive</title>", "web page"),
        ("a pointer", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("another file", b"N\x80\x02K\x01Q.", "another file"),
        ("an extension", b"\x82\x01.", "no opcode"),
        ("an instance", b"(ios\nsystem\n.", "no opcode"),
        ("made with arguments", b"cdnnlib.util\nEasyDict\n(K\x01t\x81.", "in a way"),
        ("a class called", b"cnumpy\nndarray\n)R.", "not called"),
        ("no name", b"\x8c\x02osK\x01\x93.", "no text"),
        ("a name without end", b"c" + b"a" * 600, "no end"),
        ("nothing after the mark", b"t.", "has not begun"),
        ("two objects", b"NN.", "unfinished"),
        ("an empty stack", b"0.", "not there"),
        ("a future protocol", b"\x80\x09N.", "protocol 9"),
        ("no text", b"X\x02\x00\x00\x00\xff\xfe.", "UTF-8"),
        ("a number completed", b"K\x01K\x02b.", "which is complete"),
        ("a network of text", pickled(New(Name("dnnlib.tflib.network", "Network"), "text")), "unknown form"),
    ]


def _small_storage():
    stream = io.BytesIO()
    torch.save(torch.ones(4)._typed_storage(), stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


SMALL_STORAGE = _small_storage()
BOMBS = bombs()


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in BOMBS], ids=[case[0] for case in BOMBS])
def test_bombs_end_in_one_line(content, words):
    assert words in complaint(content)


def test_names_of_a_file_are_shown_on_one_line():
    assert "\\x1b" in complaint(b"ca\x1b[31m\nb\n.")
    assert len(refusal("a" * 500, "b")) < 300


@pytest.mark.parametrize("name", SMALL)
def test_a_file_that_is_cut_short_says_so(name):
    content = SMALL[name]
    for length in range(0, len(content), 7):
        assert "\n" not in complaint(content[:length])


@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.data_too_large])
def test_a_mutated_file_is_read_or_refused(data):
    content = bytearray(SMALL[data.draw(st.sampled_from(sorted(SMALL)))])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["byte", "cut", "copy", "insert"])):
            case "byte":
                content[place] = data.draw(st.integers(0, 255))
            case "cut":
                del content[place : place + data.draw(st.integers(1, 40))]
            case "copy":
                content[place:place] = content[data.draw(st.integers(0, len(content) - 1)) :][:60]
            case "insert":
                content[place:place] = data.draw(st.binary(max_size=12))
        if not content:
            break
    try:
        read(bytes(content))
    except PickleError as error:
        assert "\n" not in str(error)


@given(st.binary(max_size=64))
@example(b"\x8d")
@settings(deadline=None)
def test_garbage_is_read_or_refused_in_one_line(content):
    try:
        read(content)
    except PickleError as error:
        assert "\n" not in str(error)


def test_a_budget_counts_all_pickles_of_a_file():
    budget = Budget(10)
    machine = OpcodeMachine(memoryview(b"]."), table={}, refusal=refusal, budget=budget)
    before = budget.bytes_left
    assert machine.read() == ([], 2) and budget.bytes_left < before


# Without torch, which the package's __init__ would load: the machine does not need it.
UNDER_A_LIMIT = """
import resource, sys, types
package = types.ModuleType("stylegan.interop")
package.__path__ = ["stylegan/interop"]
sys.modules["stylegan.interop"] = package
from stylegan.interop.stored_objects import read_bytes
contents = [bytes.fromhex(line) for line in sys.stdin]
with open("/proc/self/statm") as file:
    held = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (24 << 20),) * 2)
for content in contents:
    try:
        read_bytes(memoryview(content))
    except ValueError:
        pass
print("all read")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the address space is read from /proc")
def test_no_file_takes_memory_beyond_a_limit():
    contents = [*DECLARED.values(), *(case[1] for case in BOMBS)]
    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT],
        input="\n".join(content.hex() for content in contents),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "all read\n", done.stderr[-600:]


def corpus():
    with zipfile.ZipFile(Path(__file__).with_name("fuzzed.zip")) as archive:
        return [archive.read(name) for name in archive.namelist()]


def test_what_the_fuzzer_found_is_read_or_refused():
    for content in corpus():
        try:
            read(content)
        except PickleError as error:
            assert "\n" not in str(error) and len(str(error)) < 400


def zipped(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def tensor_pickle(key):
    storage = PersistentStorage(key)
    return storage.pickled()


class PersistentStorage:
    """A tensor of four numbers in a storage of the zip."""

    def __init__(self, key):
        self.key = key

    def pickled(self):
        id_of = ("storage", Name("torch", "FloatStorage"), self.key, "cpu", 4)
        begin = pickled(id_of, 2)[:-1]
        return begin + b"Q."


@pytest.mark.parametrize("key", ["../../secret", "/etc/passwd", "a/b", "..", "0\x00"])
def test_no_storage_is_read_from_outside(tmp_path, key):
    (tmp_path / "secret").write_bytes(b"0123456789abcdef")
    content = tensor_pickle(key)
    folder = tmp_path / "a" / "network"
    (folder / "data").mkdir(parents=True)
    (folder / "data.pkl").write_bytes(content)
    for place in (
        folder,
        zipped(tmp_path / "a.pt", {"n/data.pkl": content, f"n/data/{key}": b"0123456789abcdef"}),
    ):
        with pytest.raises(ValueError, match="key is no number"):
            read_pickle(place)


@pytest.mark.parametrize("what", ["storage", "data", "data.pkl"])
def test_links_of_an_unpacked_zip_are_not_followed(tmp_path, what):
    outside, folder = tmp_path / "outside", tmp_path / "network"
    outside.mkdir()
    (outside / "0").write_bytes(b"0123456789abcdef")
    (outside / "data.pkl").write_bytes(tensor_pickle("0"))
    folder.mkdir()
    if what == "data.pkl":
        (folder / "data.pkl").symlink_to(outside / "data.pkl")
    else:
        (folder / "data.pkl").write_bytes(tensor_pickle("0"))
    if what == "data":
        (folder / "data").symlink_to(outside)
    else:
        (folder / "data").mkdir()
        (folder / "data" / "0").symlink_to(outside / "0")
    with pytest.raises(ValueError, match="is a link|is not there|has no data.pkl"):
        read_pickle(folder)


def test_zips_that_are_bombs_or_damaged(tmp_path):
    compressed = zipped(tmp_path / "a.pt", {"n/data.pkl": b"\0" * 10_000_000}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed zip"):
        read_pickle(compressed)
    with pytest.raises(ValueError, match="something else than tensors"):
        read_pickle(zipped(tmp_path / "b.pt", {"images/0.png": b""}))
    with pytest.raises(ValueError, match="has 3 bytes instead of 16 bytes"):
        read_pickle(zipped(tmp_path / "c.pt", {"n/data.pkl": tensor_pickle("0"), "n/data/0": b"abc"}))
    whole = (tmp_path / "c.pt").read_bytes()
    for length in range(4, len(whole), 5):
        (tmp_path / "d.pt").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="d.pt is not read: it is"):
            read_pickle(tmp_path / "d.pt")


@given(st.data())
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_zip_is_read_or_refused(tmp_path, data):
    path = zipped(tmp_path / "a.pt", {"n/data.pkl": tensor_pickle("0"), "n/data/0": b"0123456789abcdef"})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with pytest.raises(ValueError) as refused:  # a storage alone is no network
        read_pickle(path)
    assert "\n" not in str(refused.value)
