"""Free text reaches us as the shell gave it: through Hydra's real parsers, single runs and sweeps."""

import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stylegan.cli.command import Result, run_command
from stylegan.configuration.command_line import CommandLine, literal, quote, quote_free_text
from stylegan.configuration.complete import check
from stylegan.configuration.compose import composed
from stylegan.configuration.schema import FREE_TEXT_KEYS, GENERATE
from stylegan.errors import UserError

NASTY = [
    *("a,b", "a b", " a ", "a=b", "=", "[1,2]", "[", "{a: 1}", "}", "(x)", "f(x", "choice(a,b)", "range(3)"),
    *("it's", 'say "hi"', "'", '"', "''x", "'a' b 'c'", "a'", "\\", "a\\", "a\\\\", "\\'", "a\\'b\\"),
    *("${x}", "${oc.env:HOME}", "\\${x}", "\\\\${x}", "${", "$", "${x", "a${b}\\", "C:\\new\\", "~/x", "@"),
    *("true", "1", "1e3", "-1", "NULL", "nan", "a#b", "#", "x: y", "- a", "*", "?", "|", ";", "a\tb"),
    *("a\nb", "", "é漢字 🌸"),
]

pieces = st.sampled_from(
    [*"\\'\"${}()[]=,: ab~@*.#\t\n", "${x}", "\\${", "\\'", "null", "choice(", "é", "漢"]
)
texts = st.lists(pieces, max_size=12).map("".join)
KEPT = ("null", "???")


def is_taken_as_it_is(text: str) -> bool:
    return quote_free_text([f"name={text}"]) == [f"name={text}"]


def test_a_tilde_in_runs_dir_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("USERPROFILE", "/home/ada")
    seen = []

    def task(composition):
        seen.append(check(composition).config.runs_dir)
        return Result(0)

    for words in (["runs_dir=~/a ${b}"], ["runs_dir=a/~"], ["-m", "runs_dir=~/c", "seed=1,2"]):
        assert run_command("train", task, words, program="stylegan-train") == 0
    assert seen == ["/home/ada/a ${b}", "a/~", "/home/ada/c", "/home/ada/c"]


@settings(max_examples=500)
@given(text=texts)
def test_any_text_comes_through_hydra_and_omegaconf(text):
    if is_taken_as_it_is(text):
        return
    parser = OverridesParser.create()
    (argument,) = quote_free_text([f"name={text}"])
    override = parser.parse_override(argument)
    assert not override.is_sweep_override()
    # A sweep writes its jobs' overrides again and reads them.
    again = parser.parse_override(f"{override.get_key_element()}={override.get_value_element_as_str()}")
    for value in (override.value(), again.value()):
        config = OmegaConf.create({"name": value, "x": "wrong", "other": "${name}"})
        assert config.name == config.other == text


@pytest.mark.parametrize("first", range(0, len(NASTY), 3))
def test_nasty_text_comes_through_a_whole_composition(first):
    name, runs_dir, path = texts = (NASTY[first:] + NASTY[:2])[:3]
    assert not any(is_taken_as_it_is(text) for text in texts), "these are meant to be quoted"
    arguments = quote_free_text([f"name={name}", f"runs_dir={runs_dir}", "data=folder", f"data.path={path}"])
    config = composed("train", arguments).config
    assert (config.name, config.runs_dir, config.data.path) == (name, runs_dir, path)
    resolved = OmegaConf.to_container(config, resolve=True)
    assert (resolved["name"], resolved["runs_dir"], resolved["data"]["path"]) == (name, runs_dir, path)


def swept_values(arguments, capture) -> list:
    seen = []

    def job(composition):
        seen.append(capture(composition))
        return Result(0)

    assert run_command("train", job, ["--multirun", *arguments], program="test") == 0
    return seen


@pytest.mark.long
def test_nasty_text_comes_through_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["runs_dir=runs", "data=folder", "seed=1,2"]
    for text in ("a, b=[c] (d)", "it's \\", "'\\${x} é"):
        seen = swept_values(
            [*arguments, f"name={text}", f"data.path={text}"],
            lambda job: (job.config.seed, job.config.name, job.config.data.path, dict(job.swept)),
        )
        assert seen == [(seed, text, text, {"seed": str(seed)}) for seed in (1, 2)]
    assert list(tmp_path.iterdir()) == []


def test_a_choice_sweeps_free_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = swept_values(["name=choice('a, b',c)"], lambda job: (job.config.name, dict(job.swept)))
    assert seen == [("a, b", {"name": "a, b"}), ("c", {"name": "c"})]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ('a,"b ${seed}"', ["a", "b ${seed}"]),
        ("'${seed}, ${x',c", ["${seed}, ${x", "c"]),
        ("a,${seed}", ["a", "${seed}"]),
        ("b ${seed} ,a", ["b ${seed}", "a"]),
        (r"'\${seed}',a", ["${seed}", "a"]),
    ],
)
def test_what_looks_like_a_reference_is_text_in_a_choice(tmp_path, monkeypatch, choice, names):
    monkeypatch.chdir(tmp_path)
    assert swept_values([f"name=choice({choice})"], lambda job: job.config.name) == names


@pytest.mark.parametrize(
    "argument",
    [
        "name=null",
        "name='a b'",
        'name="a, b"',
        "name='it\\'s'",
        "seed=1,2",
        "loss.r1_gamma=${seed}",
        "~name",
        "-m",
    ],
)
def test_these_arguments_stay_as_they_are(argument):
    assert quote_free_text([argument]) == [argument]


def test_a_choice_is_text_without_multirun():
    assert quote_free_text(["name=choice(a,b)"]) == ["name='choice(a,b)'"]
    assert quote_free_text(["name=choice(a,b)"], multirun=True) == ["name=choice(a,b)"]


@pytest.mark.parametrize("plus", ["", "+", "++"])
@pytest.mark.parametrize("key", sorted(FREE_TEXT_KEYS))
def test_every_key_is_known_with_and_without_plus(plus, key):
    assert quote_free_text([f"{plus}{key}=a, b"]) == [f"{plus}{key}='a, b'"]


@given(text=texts)
@example("${x}\\")
def test_literal_text_is_not_an_interpolation(text):
    if text not in KEPT:
        assert OmegaConf.create({"value": literal(text)}).value == text


def test_quoting_what_was_quoted_brings_through_the_quotes():
    value = OverridesParser.create().parse_override(f"name={quote(quote('a'))}").value()
    assert value == "'a'"


@pytest.mark.skipif(sys.platform == "win32", reason="file names are bytes elsewhere")
def test_names_that_are_no_unicode_come_through():
    text = b"caf\xe9 \x80".decode(errors="surrogateescape")
    assert composed("train", quote_free_text([f"name={text}"])).config.name == text


@pytest.mark.parametrize(
    "words",
    [
        ["seed=1", "-m", "name=a, b", "--config-dir", "my conf", "resolution=8"],
        ["--config-dir=my conf", "seed=1", "name=a, b", "resolution=8", "--multirun"],
        ["seed=1", "-cd", "my conf", "name='a, b'", "-m", "resolution=8"],
    ],
)
def test_flags_may_stand_anywhere(words):
    line = CommandLine(words)
    assert (line.multirun, line.for_hydra, line.config_dir) == (True, True, "my conf")
    assert line.overrides == ["seed=1", "name='a, b'", "resolution=8"]
    assert line.for_parser[-3:] == line.overrides and "my conf" in line.for_parser[:3]


def test_only_what_needs_hydras_own_program_goes_there():
    assert not CommandLine(["seed=1", "--config-dir", "x"]).for_hydra
    for flags in (
        ["--cfg", "job"],
        ["--cfg=job"],
        ["--hydra-help"],
        ["-m"],
        ["--info", "searchpath"],
        ["--info"],
    ):
        line = CommandLine([*flags, "seed=1"])
        assert line.for_hydra and line.overrides == ["seed=1"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--multrun"], "--multrun: there is no such flag; did you mean --multirun?"),
        (["--cfg"], "--cfg: a word is missing, as in --cfg job"),
        (
            ["--seeds", "0-3"],
            "seeds: there is no such flag; the whole command here: python generate.py seeds=0-3",
        ),
        (["--quux", "3"], "--quux 3: nothing here is called so"),
    ],
)
def test_a_flag_that_there_is_not_is_one_line(words, line):
    with pytest.raises(UserError) as caught:
        CommandLine(words, GENERATE)
    assert str(caught.value).endswith(line) and "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_the_version_is_the_commands_own(words):
    line = CommandLine(words)
    assert line.version and not line.for_hydra


def test_help_is_the_commands_own():
    line = CommandLine(["preset=tiny", "--help"])
    assert line.help and not line.for_hydra and line.overrides == ["preset=tiny"]
