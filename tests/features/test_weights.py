"""Files of weights: found in order, fetched whole or not at all, and never a program that runs."""

import builtins
import hashlib
import os
import pickle
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from torch import nn

from stylegan.features import open_detector
from stylegan.features.weights import (
    WeightFile,
    Weights,
    download_weights,
    file_sha256,
    find_weights,
    fit,
    read_weights,
)
from stylegan.machine.files import cache_folder

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Answering(BaseHTTPRequestHandler):
    """`/whole` sends everything, `/short` breaks off, anything else is an error's web page."""

    def do_GET(self):
        known = self.path in ("/whole", "/short")
        body = CONTENT if known else b"<html>404</html>"
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/short" else body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with HTTPServer(("127.0.0.1", 0), Answering) as httpd:
        thread = threading.Thread(target=partial(httpd.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def file(monkeypatch, tmp_path):
    """A file that is nowhere yet, with the usual folders in `tmp_path`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return WeightFile("net.pth", "https://example.org/net.pth", SHA256[:8])


def put(folder, name="net.pth", content=b"x"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def refusal(call):
    """The one line of the ValueError that a call raises."""
    with pytest.raises(ValueError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_path_comes_before_the_cache_folder_and_that_before_torchs(file, tmp_path):
    hub = put(tmp_path / "torch" / "hub" / "checkpoints")
    assert find_weights(file) == hub
    usual = put(cache_folder("detectors"))
    assert cache_folder("detectors") == tmp_path / "cache" / "stylegan-lightning" / "detectors"
    assert find_weights(file) == usual
    own = put(tmp_path / "own")
    assert find_weights(file, cache_dir=tmp_path / "own") == own
    given = put(tmp_path / "given", "other.pth")
    assert find_weights(file, path=given, cache_dir=tmp_path / "own") == given
    assert find_weights(file, path=str(tmp_path / "own")) == own


def test_a_tilde_is_the_home_folder(file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    own = put(tmp_path / "own")
    assert find_weights(file, path="~/own") == own
    assert find_weights(file, path="~/own/net.pth") == own
    assert find_weights(file, cache_dir="~/own") == own


def test_a_missing_file_is_named_with_its_source_and_place(file, tmp_path):
    message = refusal(lambda: find_weights(file))
    assert file.url in message and str(cache_folder("detectors") / "net.pth") in message
    put(cache_folder("detectors"))
    message = refusal(lambda: find_weights(file, path=tmp_path / "no.pth"))
    assert str(tmp_path / "no.pth") in message and file.url in message, "a path that is given is not replaced"


def test_a_download_is_whole_and_has_the_digits(server, tmp_path):
    file = WeightFile("net.pth", f"{server}/whole", SHA256[:8])
    seen = []
    path = find_weights(file, cache_dir=tmp_path / "new" / "folder", download=True)
    assert path.read_bytes() == CONTENT and file_sha256(path) == SHA256
    again = download_weights(file, tmp_path, progress=lambda *args: seen.append(args))
    assert again == tmp_path / "net.pth"
    assert seen[-1] == ("net.pth", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


@pytest.mark.parametrize(
    ("page", "digits", "words"),
    [
        ("whole", "00000000", "not the published 00000000"),
        ("short", SHA256[:8], "stopped at"),
        ("nothing", SHA256[:8], "404"),
    ],
)
def test_a_download_that_fails_leaves_no_file_of_that_name(server, tmp_path, page, digits, words):
    file = WeightFile("net.pth", f"{server}/{page}", digits)
    message = refusal(lambda: download_weights(file, tmp_path))
    assert words in message and f"save it as {tmp_path / 'net.pth'}" in message
    assert not (tmp_path / "net.pth").exists()


def test_no_network_is_one_line(tmp_path):
    file = WeightFile("net.pth", "http://127.0.0.1:9/net.pth", SHA256[:8])
    assert "by hand" in refusal(lambda: download_weights(file, tmp_path))


def test_nothing_is_fetched_unasked(server, file, tmp_path):
    served = WeightFile("net.pth", f"{server}/whole", SHA256[:8])
    refusal(lambda: find_weights(served, cache_dir=tmp_path))
    unknown = WeightFile("net.pth", f"{server}/whole", "")
    refusal(lambda: find_weights(unknown, cache_dir=tmp_path, download=True))
    assert list(tmp_path.iterdir()) == []


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_read_from_both_of_torchs_formats(file, tmp_path, zipped):
    tensors = {"a": torch.arange(4.0), "b": torch.ones(2, 3, dtype=torch.float16)}
    path = saved(tmp_path / "net.pth", tensors, _use_new_zipfile_serialization=zipped)
    read = read_weights(path, file)
    assert read.tensors.keys() == tensors.keys()
    assert all(torch.equal(read.tensors[name], tensors[name]) for name in tensors)
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and not read.published


@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_that_is_replaced_while_it_is_read_never_lends_its_digest(
    file, tmp_path, monkeypatch, in_place
):
    path = saved(tmp_path / "net.pth", {"a": torch.zeros(4)})
    first, other = file_sha256(path), saved(tmp_path / "other.pth", {"a": torch.ones(4)})
    digest_of = hashlib.file_digest

    def replaced(content, name):
        found = digest_of(content, name)
        if in_place:
            path.write_bytes(other.read_bytes())
            os.utime(path, (1, 1))
        else:
            os.replace(other, path)
        return found

    monkeypatch.setattr(hashlib, "file_digest", replaced)
    if in_place:
        assert "was written to while it was read" in refusal(lambda: read_weights(path, file))
        return
    read = read_weights(path, file)
    assert read.sha256 == first and torch.equal(read.tensors["a"], torch.zeros(4))


def test_digits_in_a_name_are_a_promise(file, tmp_path):
    path = saved(tmp_path / "net.pth", {"a": torch.zeros(1)})
    digest = file_sha256(path)
    kept = path.rename(tmp_path / f"net-{digest[:8]}.pth")
    assert read_weights(kept, WeightFile("net", "url", digest[:8])).published
    broken = kept.rename(tmp_path / "net-01234567.pth")
    message = refusal(lambda: read_weights(broken, file))
    assert digest[:8] in message and "01234567" in message and file.url in message


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["pickle", "torch", "torch, old"])
def test_a_program_in_a_file_of_weights_does_not_run(file, tmp_path, kind):
    path, mark = tmp_path / "net.pth", tmp_path / "exploded"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"a": Bomb(mark)}))
    else:
        saved(path, {"a": Bomb(mark)}, _use_new_zipfile_serialization=kind == "torch")
    message = refusal(lambda: read_weights(path, file))
    assert str(path) in message and not mark.exists()
    if kind == "torch":
        torch.load(path, weights_only=False)
        assert mark.exists(), "the bomb is one"


@pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning", "ignore:Detected pickle protocol")
def test_a_script_is_refused(file, tmp_path):
    path = tmp_path / "net.pth"
    torch.jit.script(nn.Linear(2, 2)).save(path)
    assert str(path) in refusal(lambda: read_weights(path, file))


WHOLE = b"PK\x03\x04"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n<!DOCTYPE html><html>",
        b"version https://git-lfs",
        b"\x80\x02}",
        WHOLE + bytes(99),
        bytes(5000),
        b"\x80",
    ],
)
def test_what_is_not_a_file_of_weights_is_one_line(file, tmp_path, content):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    message = refusal(lambda: read_weights(path, file))
    assert str(path) in message and file.url in message


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_cut_file_is_one_line(file, tmp_path, zipped, share):
    path = saved(tmp_path / "net.pth", {"a": torch.randn(500)}, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert str(path) in refusal(lambda: read_weights(path, file))


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 3, "a": torch.zeros(1)}, torch.zeros(1)])
def test_what_is_not_a_table_of_tensors_is_refused(file, tmp_path, content):
    path = saved(tmp_path / "net.pth", content)
    assert "no table of tensors" in refusal(lambda: read_weights(path, file))


def test_weights_of_another_network_are_refused(tmp_path):
    network = nn.Linear(2, 3)

    def fitted(**tensors):
        fit(network, Weights(tmp_path / "net.pth", tensors, "", False))

    bias, weight = torch.ones(3, dtype=torch.float16), torch.ones(3, 2)
    assert "lacks weight" in refusal(lambda: fitted(bias=bias))
    assert "unknown other" in refusal(lambda: fitted(bias=bias, weight=weight, other=bias))
    assert "another shape of weight" in refusal(lambda: fitted(bias=bias, weight=weight.T))
    fitted(bias=bias, weight=weight)
    assert network.bias.dtype == torch.float32 and (network.bias == 1).all() and (network.weight == 1).all()


def test_the_answer_to_an_unknown_detector_names_the_known_ones():
    assert "builtin | inception" in refusal(lambda: open_detector("incepton"))


@pytest.mark.parametrize("name", ["inception", "vgg16", "lpips-vgg16", "dinov2", "clip"])
def test_a_detector_without_its_file_says_where_to_put_it(file, name, tmp_path):
    message = refusal(lambda: open_detector(name))
    assert "https://" in message and str(cache_folder("detectors")) in message


def test_the_builtin_detector_takes_no_path(tmp_path):
    assert "reads no file" in refusal(lambda: open_detector("builtin", path=tmp_path))


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def without(name, *args):
        if name.startswith("torch_fidelity"):
            raise ImportError(name)
        return real_import(name, *args)

    path = saved(tmp_path / "net.pth", {})
    monkeypatch.setattr(builtins, "__import__", without)
    message = refusal(lambda: open_detector("inception", path=path))
    assert "pip install 'stylegan-lightning[metrics]'" in message
