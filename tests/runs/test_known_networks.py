"""Published networks by short name, and addresses: which file of the cache folder is meant."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stylegan.interop import load_generator
from stylegan.runs.folder import RunFolder
from stylegan.runs.known_networks import KNOWN_NETWORKS, URL_VARIABLE, is_known, known_network
from stylegan.runs.network_files import find_network, network_file, networks_named
from stylegan.runs.resume import find_checkpoint
from tests.interop.pickle_files import pickled, small_networks, snapshot


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "stylegan-lightning" / "networks"


@pytest.fixture
def served(tmp_path):
    """A folder on a server of this machine, with one network."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / KNOWN_NETWORKS["ffhq256"].file).write_bytes(pickled(snapshot(small_networks()[0])))
    handler = partial(
        type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None}), directory=folder
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=partial(httpd.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_each_network_has_a_file_of_its_own_and_a_licence():
    files = [known.file for known in KNOWN_NETWORKS.values()]
    assert len(set(files)) == len(files) >= 17
    assert all(
        Path(known.file).suffix == ".pkl" and "licence" in known.licence for known in KNOWN_NETWORKS.values()
    )


def test_without_a_source_one_line_says_which_file_to_put_where(cache):
    with pytest.raises(
        ValueError, match="^network=ffhq256: fetch stylegan2-ffhq-256x256.pkl from NVIDIA"
    ) as refused:
        find_network("ffhq256", runs_dir="runs")
    assert str(cache / "stylegan2-ffhq-256x256.pkl") in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_was_put_there_is_found(cache):
    cache.mkdir(parents=True)
    (cache / "stylegan2-ffhq-256x256.pkl").write_bytes(pickled(snapshot(small_networks()[0])))
    assert find_network("ffhq256", runs_dir="runs") == cache / "stylegan2-ffhq-256x256.pkl"
    assert load_generator("ffhq256").z_dim == 4


def test_a_name_is_fetched_from_the_stated_folder(cache, served, monkeypatch, capsys):
    monkeypatch.setenv(URL_VARIABLE, f"{served}/")
    path = network_file("ffhq256")
    assert path == cache / "stylegan2-ffhq-256x256.pkl" and path.is_file()
    assert "stylegan2-ffhq-256x256.pkl: " in capsys.readouterr().err
    with pytest.raises(
        ValueError, match="^ffhq512: .*404.*fetch stylegan2-ffhq-512x512.pkl from NVIDIA"
    ) as refused:
        known_network("ffhq512")
    assert "\n" not in str(refused.value)


def test_an_address_is_fetched_once(cache, served):
    url = f"{served}/{KNOWN_NETWORKS['ffhq256'].file}"
    first = load_generator(url)
    (cache.parent.parent.parent / "served" / KNOWN_NETWORKS["ffhq256"].file).unlink()
    assert load_generator(url).options == first.options
    assert networks_named(f"{url},ffhq256") == [url, "ffhq256"]


@pytest.mark.parametrize("url", ["https://host/", "https://host/a.exe", "https://host/.pkl"])
def test_an_address_without_a_network_s_name_is_refused(url):
    with pytest.raises(ValueError, match="the address of a network ends in the name of its file"):
        known_network(url)


def test_a_run_of_the_same_name_goes_first(tmp_path):
    assert is_known("ffhq256")
    (tmp_path / "ffhq256").mkdir()
    assert not is_known("ffhq256") and not is_known("ffhq") and not is_known(None)
    assert is_known("https://host/a.pkl")


def test_a_published_network_is_nothing_to_resume_but_to_begin_with(tmp_path):
    with pytest.raises(ValueError, match="resume=ffhq256: .* transfer.path=ffhq256 begins a new run"):
        find_checkpoint("ffhq256", RunFolder(tmp_path / "new"), overwrite=False)
