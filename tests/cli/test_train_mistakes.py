"""A user's mistake is one line and code 2; a bug keeps its traceback."""

import os
import re
import subprocess
import sys

import pytest
from hydra.utils import instantiate

from stylegan.cli.command import exit_code_of, run_command
from stylegan.configuration.hydra_errors import explain, from_input
from stylegan.errors import UserError


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


def part_without_a_device():
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    raise MisconfigurationException("No supported gpu backend found!")


def test_a_device_that_is_not_there_is_a_mistake_with_a_way_out():
    line = explain(error_of(_target_=f"{__name__}.part_without_a_device"))
    assert line == "No supported gpu backend found! trainer=auto takes the device that there is"


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
    with pytest.raises(UserError, match="^a b$"), from_input():
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
        (UserError("no"), 2, "test: no\n"),
        (KeyboardInterrupt(), 130, "test: interrupted\n"),
        (SystemExit(143), 143, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_exit_codes(error, code, lines, capsys):
    assert exit_code_of(raising(error), program="test") == code
    assert capsys.readouterr().err == lines


def test_pictures_in_the_place_of_a_kind_of_data_are_answered_with_their_key(capsys, tmp_path):
    (reported,) = lines_of(capsys, f"data={tmp_path}")
    assert reported.endswith(f"for images of your own: data=folder data.path={tmp_path}")


@pytest.mark.parametrize("words", [["--help"], pytest.param(["explain=true"], marks=pytest.mark.long)])
def test_a_reader_that_has_seen_enough_ends_it_in_silence(words):
    """As `| head` does; the other end is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "stylegan.cli.train", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_bug_comes_through():
    with pytest.raises(ZeroDivisionError):
        exit_code_of(raising(ZeroDivisionError()), program="test")


def test_a_pipe_that_is_not_the_output_is_not_a_reader_that_has_seen_enough():
    with pytest.raises(BrokenPipeError):
        exit_code_of(raising(BrokenPipeError(32, "a worker is gone")), program="test")


def lines_of(capsys, *words: str, config_name: str = "train") -> list[str]:
    """What a command answers to words that do not even compose."""

    def task(composition):
        raise AssertionError("it composes")

    assert run_command(config_name, task, list(words), program="test") == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    return [line.removeprefix("test: ") for line in streams.err.splitlines()]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("ada=null", "ada=null: choose one of adaptive, fixed, none, or leave it out"),
        ("~seed", "~seed: this key is always there; leave the word out, and it has its default"),
        ("~loss.r1_gamma=1", "~loss.r1_gamma: this key is always there; leave the word out"),
        ("data={path:3}", "choose one of flowers, folder, and set its keys one by one, as in data=flowers"),
        ("pretrained=x", "there is no key pretrained; here it is transfer.path"),
        ("data=flower", "there are flowers, folder; did you mean flowers?"),
        ("loss.r1_gama=1", "there is no key loss.r1_gama; did you mean loss.r1_gamma?"),
        ("lss.r1_gamma=1", "there is no key lss.r1_gamma; did you mean loss.r1_gamma?"),
        ("r1_gamma=1", "there is no key r1_gamma; here it is loss.r1_gamma=1"),
        ("data.path=x", "there is no key data.path here; it comes with data=folder"),
        ("data.pth=x", "there is no key data.pth; did you mean data.path, which comes with data=folder?"),
        ("data=folder data.pth=x", "there is no key data.pth; did you mean data.path?"),
        (
            "callbacks.quux=1",
            "callbacks.quux; callbacks has checkpoint, machine, metrics, non_finite_guard, preemption, progress,"
            " snapshots, stats",
        ),
        ("seed=abc", "seed must be a whole number, got 'abc'"),
        ("optim.betas=[0,abc]", "optim.betas[1] must be a number, got 'abc'"),
        ("optim.betas=3", "optim.betas must be a list, as in 'optim.betas=[0.0,0.99]'"),
        ("runs_dir=null", "runs_dir cannot be null; leave it out for the default"),
        (
            "seed=1,2",
            "seed=1,2: these are several values; --multirun takes them one by one",
        ),
        ("loss.r1_gamma=0,5", "one by one; a fraction has a point, as in loss.r1_gamma=0.5"),
        ("allow_change=foo", "allow_change must be a list, as in 'allow_change=[loss.r1_gamma]'"),
        ("loss=5", "loss=5: loss is a group of keys; set one of them, as in loss.KEY=5"),
        ("kimg=3", "there is no key kimg; here it is total_kimg"),
        ("gamma=10", "there is no key gamma; here it is loss.r1_gamma"),
        ("lr=0.001", "there is no key lr; here it is optim.generator_lr=0.001 optim.discriminator_lr=0.001"),
        ("epochs=10", "there is no key epochs; the length here is total_kimg, in thousands of images shown"),
        ("pictures", "pictures: every word is key=value"),
        ("=3", "=3: the key before = is missing"),
        ("loss.r1_gamma=[1", "loss.r1_gamma=[1: [ is not closed; loss.r1_gamma must be a number"),
        ("resolution=48×32", "resolution=48×32: × cannot be read here; write resolution=48x32"),
        ("—seed=3", "—seed=3: — cannot be read here; write --seed=3"),
        ("–data F", "–data: – cannot be read here; write --data"),
        (
            "data.labels=é",
            """é cannot be read here; a value with such a sign needs quotes, as in 'data.labels="é"'""",
        ),
        (
            "data.include=[été,b]",
            """é cannot be read here; a list is written 'data.include=["été",b]'""",
        ),
        (
            "data.labels='a",
            """the quote that ' begins must be closed; a value with such a sign needs quotes""",
        ),
        ("data.é=1", "data.é=1: no key has é (latin small letter e with acute) in its name"),
        ("resolution = 64", "resolution = 64: write it without blanks around =: resolution=64"),
        ("resolution= 64", "resolution= 64: write it without blanks around =: resolution=64"),
        ("resolution =64", "resolution =64: write it without blanks around =: resolution=64"),
        ("help", "help: python train.py --help shows all that can be set"),
        ("~sed", "~sed: there is no key sed; did you mean seed?"),
        ("--config-dr=x", "--config-dr: there is no such flag; did you mean --config-dir?"),
        ("--name=x", "--name: there is no such flag; the whole command here: python train.py name=x"),
        (
            "--batch-size 8",
            "--batch-size: there is no such flag; the whole command here: python train.py batch_size=8",
        ),
        ("--config-dir", "--config-dir: a word is missing, as in --config-dir my_conf"),
        ("--config-dir=nowhere", "--config-dir nowhere: there is no such folder"),
        ("--cfg", "--cfg: a word is missing, as in --cfg job"),
    ],
)
def test_words_that_do_not_compose_are_one_line(capsys, words, line):
    (reported,) = lines_of(capsys, *words.split(" "))
    assert line in reported


@pytest.mark.parametrize(
    "word",
    [
        "resolution=48×32",
        "data.labels=é",
        "seed=choice()",
        "seed=int(a)",
        "seed=range(a)",
        "seed=[1",
        "seed=${x",
    ],
)
def test_no_line_names_an_exception_of_pythons(capsys, word):
    (line,) = lines_of(capsys, word)
    assert line.startswith(f"{word}: ") and not re.search(r"Error|Exception|hydra\.", line)


def test_blanks_around_equals_signs_are_a_line_each_and_part_no_flag_from_its_value(capsys):
    assert lines_of(capsys, "seed", "=", "3", "--batch", "=", "8", "name=", "my run") == [
        "seed = 3: write it without blanks around =: seed=3",
        "--batch = 8: write it without blanks around =: --batch=8",
        "name= my run: write it without blanks around =: 'name=my run'",
        "--batch: there is no such flag; the whole command here: python train.py seed=3 batch_size=8 'name=my run'",
    ]


def test_all_words_that_do_not_compose_are_reported_at_once(capsys):
    words = ["resolutoin=64", "data.path=a b", "loss.r1_gama=1", "total_kimg=much", "data=folder"]
    assert lines_of(capsys, *words) == [
        "there is no key resolutoin; did you mean resolution?",
        "there is no key loss.r1_gama; did you mean loss.r1_gamma?",
        "total_kimg must be a number, got 'much'",
    ]
    assert lines_of(capsys, "ada.targt=1", "generator.z_dim=abc", "data.xflip=often", "name=x") == [
        "there is no key ada.targt; did you mean ada.target?",
        "generator.z_dim must be a whole number, got 'abc'",
        "data.xflip must be true or false, got 'often'",
    ]
    assert lines_of(capsys, "data=null", "preset=null", "seed=abc") == [
        "data=null: choose one of flowers, folder, or leave it out",
        "preset=null: choose one of auto, cifar, paper1024, paper256, paper512, stylegan2, tiny, or leave it out",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# @package _global_\nresolutoin: 16\n", "in experiment/mine.yaml: there is no key resolutoin;"),
        ("# @package _global_\nseed: abc\n", "seed must be a whole number, got 'abc'"),
        ("seed: 16\n", "in experiment/mine.yaml: a recipe begins with the line `# @package _global_`"),
        ("seed: [1\n", "mine.yaml, line 2: this is not YAML"),
        ("# @package _global_\n\tseed: 1\n", "mine.yaml, line 2: this is not YAML"),
        (
            "# @package _global_\ndefaults:\n  - override /prest: tiny\n",
            "no group prest; did you mean preset?",
        ),
        ("# @package _global_\ndefaults:\n  - override /preset: tinny\n", "preset=tinny: there is no such"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line(capsys, tmp_path, text, line):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    (reported,) = lines_of(capsys, "--config-dir", str(tmp_path), "experiment=mine")
    assert line in reported


def test_null_cannot_be_one_of_several(capsys):
    (line,) = lines_of(capsys, "-m", "experiment=flowers32,null")
    assert line == (
        "experiment=flowers32,null: null cannot be one of several; run without experiment in a command of its own"
    )


@pytest.mark.parametrize("name", ["conf.py", "callbacks.py", "datamodules/__init__.py"])
def test_a_package_of_the_users_that_hides_ours_is_named(name, tmp_path, monkeypatch, capsys):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    package = name.removesuffix(".py").partition("/")[0]
    for module in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    (line,) = lines_of(capsys, "seed=1")
    assert line.startswith(f"{path} hides the package {package} of this program: rename it")
