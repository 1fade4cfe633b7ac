"""User code: values of a wrong type are reported by their key, before anything is built; right ones pass."""

import pathlib
import typing

import pytest
from omegaconf import OmegaConf

from stylegan.cli.generate import generate
from stylegan.configuration.command_line import quote_free_text
from stylegan.configuration.complete import check
from stylegan.configuration.compose import composed
from stylegan.configuration.user_code import mistyped, nonsense_in
from stylegan.errors import UserError


class Part:
    """A part with one argument of every kind."""

    def __init__(
        self,
        unannotated=None,
        *,
        count: int = 1,
        share: float | None = 0.5,
        flag: bool = False,
        title: str = "",
        place: str | pathlib.Path = ".",
        rates: typing.Sequence[float] = (),
        choice: typing.Literal["a", "b"] = "a",
        by_name: dict[str, int] | None = None,
        maker: typing.Callable = print,
        other: "pathlib.PurePath | Part | None" = None,
        free: typing.Any = "auto",
    ):
        pass


def takes_anything(**arguments):
    pass


def faults_of(**values) -> list[str]:
    return mistyped(OmegaConf.create({"part": {"_target_": f"{__name__}.Part", **values}}))


@pytest.mark.parametrize(
    "values",
    [
        {"count": 3, "share": 1, "flag": True, "title": "x", "place": "a/b"},
        {"share": None, "rates": [0, 0.5], "choice": "b", "by_name": {"x": 1}},
        {"unannotated": {"anything": [1, "two"]}, "other": {"_target_": f"{__name__}.Part"}},
        *({"free": value} for value in (None, True, "x", [1])),
        {"count": "???"},
        {"_target_": f"{__name__}.takes_anything", "no_such_argument": 1},
        {"_target_": "nowhere.Part", "count": "reported when it is built"},
        {},
    ],
)
def test_right_values_pass(values):
    assert faults_of(**values) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", 2.5, "a whole number, got 2.5"),
        ("count", True, "a whole number, got true"),
        ("count", None, "a whole number, got null"),
        ("share", "high", "a number or null, got 'high'"),
        ("flag", 1, "true or false, got 1"),
        ("title", 3, "text, got 3"),
        ("place", 3, "text or a path, got 3"),
        ("rates", 0.5, "a list of a number, got 0.5"),
        ("rates", ["x"], "a list of a number, got ['x']"),
        ("choice", "c", "a or b, got 'c'"),
        ("maker", None, "Callable, got null"),
        ("by_name", 4, "a set of keys or null, got 4"),
    ],
)
def test_a_wrong_value_is_reported_by_its_key(name, value, expected):
    assert faults_of(**{name: value}) == [f"part.{name} must be {expected}"]


def test_a_key_that_the_constructor_does_not_take_is_reported_with_the_nearest():
    assert faults_of(cuont=3) == ["there is no key part.cuont; did you mean part.count?"]
    (line,) = faults_of(qqq=3)
    assert line.startswith("there is no key part.qqq; part takes by_name, choice, count,")


def test_a_part_inside_a_part_is_looked_at():
    inner = {"_target_": f"{__name__}.Part", "count": "x"}
    assert faults_of(other=inner) == ["part.other.count must be a whole number, got 'x'"]


def test_a_value_that_follows_a_key_is_reported_once_and_by_that_key():
    part = {"_target_": f"{__name__}.Part", "count": "${data.channels}"}
    config = OmegaConf.create({"data": {"channels": "x"}, "one": part, "two": part})
    assert mistyped(config) == ["data.channels must be a whole number, got 'x'"]
    assert mistyped(config, later=["data.channels"]) == []


def test_a_training_reports_all_wrong_values_at_once():
    composition = composed(
        "train", ["generator.z_dim=abc", "callbacks.snapshots.columns=1.5", "ada.p_init=high"]
    )
    with pytest.raises(UserError) as caught:
        check(composition)
    assert str(caught.value).splitlines() == [
        "generator.z_dim must be a whole number, got 'abc'",
        "ada.p_init must be a number, got 'high'",
        "callbacks.snapshots.columns must be a whole number, got 1.5",
    ]


def test_generating_reports_them_too():
    with pytest.raises(UserError, match=r"^truncation must be a number, got 'abc'$"):
        generate(composed("generate", ["truncation=abc"]))


def test_a_range_with_the_dash_of_a_text_is_answered_with_that_of_a_keyboard():
    def faults(seeds: str) -> list[str]:
        config = composed("generate", quote_free_text([f"seeds={seeds}"])).config
        return list(nonsense_in(config, list(config)))

    assert faults("0–15") == ["seeds=0–15: – is no sign of a range; write seeds=0-15"]
    assert faults("0 — 3, 7") == ["seeds=0 — 3, 7: — is no sign of a range; write 'seeds=0 - 3, 7'"]
    assert faults("0-15") == faults("me–you.npz") == []
