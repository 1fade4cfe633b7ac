"""Latent files: every form that public tools write, and hostile ones, which cost neither memory nor code."""

import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from stylegan.latents.latent_files import read_latents, write_latents, write_many_w

W = np.random.RandomState(0).randn(2, 4, 3).astype(np.float32)


def refused(path, match):
    """One line that names the file, and no memory for what it only declares."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match) as caught:
            read_latents(path)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    assert str(path.name) in str(caught.value) and "\n" not in str(caught.value)


def ws_of(path):
    return np.stack([row.w.numpy() for row in read_latents(path)])


@pytest.mark.parametrize("name", ["w", "ws", "latent", "dlatents", "w_plus"])
def test_npz_under_any_usual_name(tmp_path, name):
    np.savez(tmp_path / "a.npz", **{name: W, "names": np.array(["fox", "owl"])})
    np.testing.assert_array_equal(ws_of(tmp_path / "a.npz"), W)
    np.savez_compressed(tmp_path / "b.npz", **{name: W.astype(np.float64)})
    np.testing.assert_array_equal(ws_of(tmp_path / "b.npz"), W)


@pytest.mark.parametrize(
    "array", [W, W[:1], W[0], np.asfortranarray(W), W.astype(">f4"), W.astype(np.float16)]
)
def test_npy_of_any_layout(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    expected = array if array.ndim == 3 else array[None]
    np.testing.assert_array_equal(ws_of(tmp_path / "a.npy"), expected.astype(np.float32))


def test_safetensors_and_pt(tmp_path):
    w = torch.from_numpy(W)
    save_file(
        {"w": w.to(torch.bfloat16), "other": torch.zeros(1, dtype=torch.int64)}, tmp_path / "a.safetensors"
    )
    np.testing.assert_array_equal(ws_of(tmp_path / "a.safetensors"), w.to(torch.bfloat16).float().numpy())
    for content in (
        w,
        w.double(),
        {"latents": w, "seed": 3},
        torch.nn.Parameter(w),
        w.transpose(1, 2).contiguous().mT,
    ):
        torch.save(content, tmp_path / "a.pt")
        np.testing.assert_array_equal(ws_of(tmp_path / "a.pt"), W)


def test_z_and_noise(tmp_path):
    z, noise = torch.from_numpy(W[:, 0]), {"b4.conv1": torch.ones(2, 1, 4, 4)}
    write_latents(tmp_path / "z.npz", z=z)
    assert [row.z.tolist() for row in read_latents(tmp_path / "z.npz")] == z.tolist()
    assert all(row.w is None for row in read_latents(tmp_path / "z.npz"))
    write_latents(tmp_path / "w.npz", w=torch.from_numpy(W), z=z, noise=noise, text={"run": "füchse"})
    for number, row in enumerate(read_latents(tmp_path / "w.npz")):
        np.testing.assert_array_equal(row.w, W[number])
        assert row.noise.keys() == {"b4.conv1"} and row.noise["b4.conv1"].shape == (1, 4, 4)


def test_numpy_reads_what_is_written_and_the_bytes_are_always_the_same(tmp_path):
    w = torch.from_numpy(W)
    write_latents(tmp_path / "a.npz", w=w, text={"run": "a"})
    write_many_w(tmp_path / "b.npz", iter([w[:1], w[1:]]), shape=tuple(w.shape), text={"run": "a"})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["w"], W)
        assert str(archive["provenance"]) == '{"run": "a"}'


def header(shape, descr="<f4", version=(1, 0)):
    file = io.BytesIO()
    write = (
        np.lib.format.write_array_header_1_0 if version == (1, 0) else np.lib.format.write_array_header_2_0
    )
    write(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("shape", [(2**40, 4, 3), (2**62, 2**62, 2**62), (1, 10**9, 512), (10**6, 10**6)])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_a_huge_declared_shape_takes_no_memory(tmp_path, shape, version):
    data = header(shape, version=version) + bytes(100)
    (tmp_path / "a.npy").write_bytes(data)
    refused(tmp_path / "a.npy", "it declares the shape .* and is .* bytes long")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("w.npy", data)
    refused(tmp_path / "a.npz", "it declares the shape .* and is .* bytes long")


def test_a_packed_file_that_would_fill_the_memory_is_refused(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w") as entry,
    ):
        entry.write(header((1, 2**14, 2**11)))
        for _ in range(2**7):
            entry.write(bytes(2**20))
    refused(tmp_path / "a.npz", "w.npy would be 134,217,8.. bytes long when unpacked")


class Executed:
    def __reduce__(self):
        return os.system, ("echo executed > executed.txt",)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([Executed()], dtype=object), allow_pickle=True)
    np.savez("a.npz", w=np.array([Executed()], dtype=object))
    torch.save({"w": torch.zeros(1, 2), "more": Executed()}, "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Executed()))
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Executed()))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Executed()))
    for name in ("a.npy", "a.npz", "a.pt", "b.pt", "b.npy", "b.npz"):
        refused(tmp_path / name, "this is no file of latents")
    assert not (tmp_path / "executed.txt").exists()


def test_hostile_tensors_are_refused(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(torch.zeros(1).expand(2**20, 2**20, 2**10), path)
    refused(path, "it declares the shape .* and holds fewer numbers")
    for content in (
        torch.eye(3).to_sparse(),
        torch.zeros(2, 3, dtype=torch.complex64),
        [torch.zeros(2, 3)],
        "w",
    ):
        torch.save(content, path)
        refused(path, "this is no file of latents")
    torch.save(torch.zeros(2, 3), path, _use_new_zipfile_serialization=False)
    refused(path, "not in the format of today's torch.save")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "it holds neither w nor z, but nothing"),
        ({"x": W}, "it holds neither w nor z, but x"),
        ({"w": np.zeros((2, 3), complex)}, "its numbers are of type complex128"),
        ({"w": np.array(["a"])}, "its numbers are of type <U1"),
        ({"w": np.full((1, 2, 3), np.nan)}, "w holds values that are no finite numbers"),
        ({"z": np.full((1, 3), np.inf)}, "z holds values that are no finite numbers"),
        ({"w": np.zeros(3)}, r"w must have the shape \[L,W\] or \[N,L,W\], got \[3\]"),
        ({"w": np.zeros((0, 2, 3))}, "w must have the shape"),
        ({"w": np.zeros((1, 1, 2, 3))}, "w must have the shape"),
        ({"z": np.zeros((1, 2, 3))}, r"z must have the shape \[Z\] or \[N,Z\]"),
        (
            {"w": W, "noise.b4.conv1": np.zeros((1, 1, 4, 4))},
            r"noise.b4.conv1 must have the shape \[2,1,H,W\]",
        ),
    ],
)
def test_what_is_no_latent_is_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", message)


def test_another_ending_and_a_missing_file(tmp_path):
    (tmp_path / "a.txt").write_text("1 2 3")
    refused(tmp_path / "a.txt", "latents are in .npz, .npy, .safetensors, .pt")
    for suffix in (".npz", ".npy", ".safetensors", ".pt"):
        with pytest.raises(OSError):
            read_latents(tmp_path / f"missing{suffix}")
        (tmp_path / f"empty{suffix}").touch()
        refused(tmp_path / f"empty{suffix}", "this is no file of latents")


def file_bytes(suffix):
    file = io.BytesIO()
    if suffix == ".npz":
        np.savez(file, w=W)
    elif suffix == ".npy":
        np.save(file, W)
    elif suffix == ".pt":
        torch.save({"w": torch.from_numpy(W)}, file)
    else:
        from safetensors.torch import save

        return save({"w": torch.from_numpy(W)})
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors", ".pt"])
@settings(max_examples=80)
@given(data=st.data())
def test_any_damaged_file_is_latents_or_one_line(tmp_path_factory, suffix, data):
    content = bytearray(file_bytes(suffix))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / f"a{suffix}"
    path.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    try:
        rows = read_latents(path)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all(torch.isfinite(row.w if row.w is not None else row.z).all() for row in rows)


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**31))
def test_what_is_written_is_read(tmp_path_factory, number, layers, width, seed):
    w = torch.from_numpy(np.random.RandomState(seed).randn(number, layers, width).astype(np.float32))
    path = tmp_path_factory.mktemp("written") / "a.npz"
    write_latents(path, w=w)
    np.testing.assert_array_equal(ws_of(path), w)
