"""Downloads: whole or not at all, continued, of https alone; against a server on this machine."""

import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stylegan.machine.downloads import DownloadError, download, is_url

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Answering(BaseHTTPRequestHandler):
    """Files by the first part of their path; `server.asked` has the range and mark of each request."""

    def do_GET(self):
        self.server.asked.append((self.headers["Range"], self.headers["If-Range"]))
        getattr(self, f"do_{self.path.split('/')[1].split('?')[0]}")()

    def answer(self, body, code=200, cut=None, **headers):
        self.send_response(code)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:cut])

    def do_whole(self):
        self.answer(CONTENT)

    def do_cut(self):
        """Half at first, with a mark; then what is asked for, if the mark is the same still."""
        begin = self.headers["Range"]
        if begin and self.headers["If-Range"] == self.server.etag:
            start = int(begin.removeprefix("bytes=").removesuffix("-"))
            span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
            self.answer(CONTENT[start:], 206, Content_Range=span, ETag=self.server.etag)
        else:
            self.answer(CONTENT, cut=4_000 if not self.server.is_whole else None, ETag=self.server.etag)
            self.close_connection = True

    def do_page(self):
        self.answer(b"<!DOCTYPE html><title>Sign in</title>", Content_Type="text/html; charset=utf-8")

    def do_hidden(self):
        self.answer(b"\n <!DOCTYPE html><title>Confirm</title>", Content_Type="application/octet-stream")

    def do_large(self):
        self.answer(b"", Content_Length=str(10**12))

    def do_endless(self):
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(CONTENT)

    def do_missing(self):
        self.answer(b"", 404)

    def do_moved(self):
        self.answer(b"", 302, Location="/whole/a.pkl")

    def do_away(self):
        self.answer(b"", 302, Location=self.server.away)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as httpd:
        httpd.asked, httpd.etag, httpd.is_whole, httpd.away = [], '"one"', False, ""
        thread = threading.Thread(target=partial(httpd.serve_forever, poll_interval=0.01))
        thread.start()
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        yield httpd
        httpd.shutdown()
        thread.join()


def fetch(server, path, target, **options):
    return download(f"{server.url}/{path}", target, **{"largest_bytes": 1 << 20, **options})


def refusal(*args, **options):
    with pytest.raises(DownloadError) as refused:
        fetch(*args, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("path", ["whole/a.pkl", "moved/a.pkl"])
def test_a_file_is_fetched_with_progress(server, tmp_path, path):
    told = []
    target = tmp_path / "made" / "a.pkl"
    assert fetch(server, path, target, sha256=SHA256, progress=lambda *said: told.append(said)) == target
    assert target.read_bytes() == CONTENT
    assert told[-1] == ("a.pkl", len(CONTENT), len(CONTENT))
    assert {path.name for path in target.parent.iterdir()} <= {"a.pkl", ".a.pkl.lock"}


def test_a_file_that_is_there_is_not_fetched(server, tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"mine")
    assert fetch(server, "whole", tmp_path / "a.pkl").read_bytes() == b"mine"
    assert not server.asked


def test_an_interrupted_download_continues(server, tmp_path):
    target = tmp_path / "a.pkl"
    assert "stopped at 4,000 of 10,240 bytes" in refusal(server, "cut", target)
    assert not target.exists()
    assert fetch(server, "cut", target, sha256=SHA256[:12]).read_bytes() == CONTENT
    assert server.asked == [(None, None), ("bytes=4000-", '"one"')]


def test_another_version_on_the_server_begins_anew(server, tmp_path):
    target = tmp_path / "a.pkl"
    refusal(server, "cut", target)
    server.etag, server.is_whole = '"two"', True
    assert fetch(server, "cut", target).read_bytes() == CONTENT
    assert server.asked[-1] == ("bytes=4000-", '"one"')


@pytest.mark.parametrize("damage", ["no note", "another address", "weak mark"])
def test_what_cannot_be_continued_begins_anew(server, tmp_path, damage):
    target, path = tmp_path / "a.pkl", "cut"
    if damage == "weak mark":
        server.etag = 'W/"one"'
    refusal(server, "cut", target)
    if damage == "no note":
        (tmp_path / ".a.pkl.partial.json").write_text("{")
    server.is_whole = True
    path = "cut?again" if damage == "another address" else path
    assert fetch(server, path, target).read_bytes() == CONTENT
    assert server.asked[-1] == (None, None)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("page", "a web page and no file"),
        ("hidden", "a web page and no file"),
        ("large", "1,000,000,000,000 bytes"),
        ("endless", "does not end after 1,048,576"),
        ("missing", "404"),
    ],
)
def test_what_is_no_file_leaves_none(server, tmp_path, path, words):
    if path == "endless":
        assert "does not end after 100,000" in refusal(
            server, path, tmp_path / "a.pkl", largest_bytes=100_000
        )
    else:
        assert words in refusal(server, path, tmp_path / "a.pkl")
    assert not (tmp_path / "a.pkl").exists()


def test_other_digits_are_no_published_file(server, tmp_path):
    assert "not the published 0123" in refusal(server, "whole", tmp_path / "a.pkl", sha256="0123456789")
    assert not list(tmp_path.glob("*a.pkl*.partial")) and not (tmp_path / "a.pkl").exists()


@pytest.mark.parametrize(
    "away", ["file:///etc/passwd", "http://example.org/a.pkl", "ftp://example.org/a.pkl"]
)
def test_a_redirect_leads_to_https_alone(server, tmp_path, away):
    server.away = away
    text = refusal(server, "away", tmp_path / "a.pkl")
    assert "only https" in text or "not allowed" in text


@pytest.mark.parametrize(
    "url", ["http://example.org/a", "file:///etc/passwd", "ftp://a/b", "https:///a", "https://[a", ""]
)
def test_only_https_is_fetched(tmp_path, url):
    with pytest.raises(DownloadError, match="only https|no address"):
        download(url, tmp_path / "a.pkl", largest_bytes=10)
    assert not list(tmp_path.iterdir())


def test_no_network_is_one_line(tmp_path):
    with pytest.raises(DownloadError, match="cannot fetch http://127.0.0.1:9/a: .*refused"):
        download("http://127.0.0.1:9/a", tmp_path / "a.pkl", largest_bytes=10)


def test_an_address_is_told_from_a_path():
    assert (
        is_url("https://host/a.pkl")
        and is_url("HTTP://host")
        and not is_url("https.pkl")
        and not is_url(None)
    )
