"""Free text comes through composing, building, `config.yaml` and the message to workers as it is."""

import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stylegan.cli.plan import Plan
from stylegan.configuration.command_line import CommandLine, literal, refers, unescaped
from stylegan.configuration.complete import check, with_values
from stylegan.configuration.compose import composed
from stylegan.configuration.hydra_errors import instantiate_part
from stylegan.runs.config_diff import changes
from stylegan.runs.folder import RunFolder
from stylegan.runs.records import write_config
from stylegan.runs.resume import stored_config

# With what OmegaConf, YAML and Hydra's grammar read in their own ways.
TEXTS = [
    "a ${seed}",
    "x${y}",
    "${oc.env:HOME}",
    r"\${seed}",
    r"a\\${b}",
    "${",
    'it\'s "quoted"',
    r"back\slash\\",
    "null ",
    "1e3",
    "0x1f",
    "1_000",
    "12:30",
    "2026-12-01",
    "true",
    " blanks ",
    "a=b,c",
    "[a]",
    "{a: b}",
    "#x",
    "é",
]


class Kept(SimpleNamespace):
    """A part that keeps what it is built with."""


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_reaches_constructors_the_folder_and_workers(text, tmp_path):
    line = CommandLine(["data=folder", f"data.path={text}", f"data.labels_path={text}", "name=run"])
    config = composed("train", line.overrides).config
    config = with_values(config, {"run_dir": literal(f"{tmp_path}/{text.replace('/', '_')}")})
    config.generator.label_names = [literal(text)]
    config.data._target_ = f"{__name__}.Kept"
    assert instantiate_part(config, "data").path == text
    folder = RunFolder(config.run_dir)
    assert folder.path.name == text
    plan = Plan(config, folder)
    far = Plan.from_message(plan.message())
    assert far.folder.path == folder.path and instantiate_part(far.config, "data").path == text
    write_config(config, folder)
    stored = stored_config(folder)
    assert stored["data"]["path"] == stored["data"]["labels_path"] == text
    assert stored["generator"]["label_names"] == [text]
    # The same command again has changed nothing, another text has.
    assert not changes(stored, far.config)
    other = with_values(config, {"data.labels_path": literal(f"{text}.csv")})
    assert [change.key for change in changes(stored, other)] == ["data.labels_path"]


def test_nothing_is_looked_up_in_a_name(tmp_path):
    line = CommandLine(["name=a ${oc.env:HOME}", f"runs_dir={tmp_path}/${{seed}}"])
    config = check(composed("train", line.overrides)).config
    assert config.run_dir == os.path.join(tmp_path, "${seed}", "a ${oc.env:HOME}")
    config.callbacks.checkpoint._target_ = f"{__name__}.Kept"
    assert vars(instantiate_part(config, "callbacks.checkpoint"))["folder"] == config.run_dir


def test_parts_of_a_part_and_lists_in_it_are_built_with_texts_as_they_are():
    config = OmegaConf.create(
        {
            "one": {
                "_target_": f"{__name__}.Kept",
                "inner": {"_target_": f"{__name__}.Kept", "text": literal("${x}"), "follows": "${seed}"},
                "texts": [literal("${a} and ${b}")],
                "whole": {"_target_": f"{__name__}.Kept", "_convert_": "all", "texts": [literal("${c}")]},
            },
            "seed": 5,
        }
    )
    built = instantiate_part(config, "one", further=1)
    assert (built.inner.text, built.inner.follows, built.further) == ("${x}", 5, 1)
    assert list(built.texts) == ["${a} and ${b}"] and built.whole.texts == ["${c}"]


@given(st.text(alphabet="\\${}a", max_size=12))
def test_what_is_escaped_is_read_as_it_was(text):
    written = literal(text)
    assert unescaped(written) == text and not refers(written)
    assert OmegaConf.create({"text": written}).text == text
    assert OmegaConf.create({"text": literal(written)}).text == written


@pytest.mark.parametrize("written", ["${seed}", r"\\${seed}", r"\${a} and ${seed}"])
def test_a_reference_stays_one(written):
    assert refers(written) and "${seed}" in unescaped(written)
