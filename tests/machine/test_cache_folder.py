"""Where things are kept between runs."""

from pathlib import Path

import pytest

from stylegan.machine.files import cache_folder


def test_it_is_the_users(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder("scans") == Path("/somewhere/stylegan-lightning/scans")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder("scans") == Path("/home/me/.cache/stylegan-lightning/scans")


@pytest.mark.parametrize("value", ["", None])
def test_without_a_home_there_is_none(monkeypatch, value):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder("features") is None
