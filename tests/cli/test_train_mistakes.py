"""A user's mistake is one line and code 2; a bug keeps its traceback."""

import pytest
from hydra.utils import instantiate

from stylegan.cli.mistakes import UserMistake, exit_code_of, explain, from_input


class Part:
    """A part as users name one by `_target_`."""

    def __init__(self, *, size: int = 1):
        if size < 0:
            raise ValueError(f"part.size must be above 0,\n got {size}")
        if size == 13:
            int(None)  # a bug of ours: a TypeError from inside
        if size == 14:
            raise KeyError("a bug of ours")


def error_of(**node) -> Exception:
    with pytest.raises(Exception) as caught:
        instantiate({"_target_": f"{__name__}.Part", **node})
    return caught.value


def test_a_refused_value_is_a_mistake():
    assert explain(error_of(size=-1)) == "part.size must be above 0, got -1"


def test_an_unknown_argument_is_a_mistake():
    assert "'sise'" in explain(error_of(sise=1))


@pytest.mark.parametrize("target", ["nowhere.Part", f"{__name__}.Prat"])
def test_an_unknown_target_is_a_mistake(target):
    assert target in explain(error_of(_target_=target))


@pytest.mark.parametrize("size", [13, 14])
def test_an_error_from_inside_a_constructor_is_a_bug(size):
    assert explain(error_of(size=size)) is None


def test_a_target_that_fails_while_it_is_imported_is_a_bug(tmp_path, monkeypatch):
    (tmp_path / "broken_room.py").write_text("import nowhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert explain(error_of(_target_="broken_room.Part")) is None


@pytest.mark.parametrize("error", [ValueError("a\nb"), FileNotFoundError("a\nb")])
def test_what_is_read_from_the_user_is_the_users(error):
    with pytest.raises(UserMistake, match="^a b$"), from_input():
        raise error


def test_other_errors_are_bugs_even_there():
    with pytest.raises(KeyError), from_input():
        raise KeyError("x")
    assert explain(ValueError("x")) is None


def raising(error: BaseException):
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (UserMistake("no"), 2, "test: no\n"),
        (KeyboardInterrupt(), 130, "test: interrupted\n"),
        (SystemExit(143), 143, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_exit_codes(error, code, lines, capsys):
    assert exit_code_of(raising(error), program="test") == code
    assert capsys.readouterr().err == lines


def test_a_bug_comes_through():
    with pytest.raises(ZeroDivisionError):
        exit_code_of(raising(ZeroDivisionError()), program="test")
