"""Keys: what is looked up in the schema, and which key a value follows."""

from dataclasses import fields

import pytest

from stylegan.configuration.keys import Command, Filled, Key, Resume, Section, followed
from stylegan.configuration.schema import EVALUATE, GENERATE, TRAIN


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("${loss.r1_gamma}", "loss.r1_gamma"),
        ("${oc.select:batch_size,1}", "batch_size"),
        ("${oc.select:callbacks.checkpoint.every_kimg,null}", "callbacks.checkpoint.every_kimg"),
        ("${runs_dir}/.multirun", None),
        ("\\${seed}", None),
        ("${oc.env:HOME}", None),
        ("seed", None),
        (3, None),
        (None, None),
        (["${seed}"], None),
    ],
)
def test_followed_is_the_key_that_a_whole_value_takes(value, key):
    assert followed(value) == key


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("loss.r1_gamma", Resume.RISKY),
        ("loss.of_the_users", Resume.RISKY),
        ("total_kimg", Resume.HARMLESS),
        ("callbacks.mine.every_kimg", Resume.HARMLESS),
        ("generator.conv_clamp", Resume.RISKY),
        ("generator.of_the_users", Resume.FIXED),
        ("data.seed", Resume.RISKY),
        ("data.channels", Resume.FIXED),
        ("module.seed", Resume.RISKY),
        ("of_the_users", Resume.FIXED),
    ],
)
def test_a_key_without_a_line_is_as_its_section(key, kind):
    assert TRAIN.resume_of(key) is kind


def test_a_key_that_only_another_command_has_is_not_there():
    assert "loss.r1_gamma" not in {**GENERATE.keys, **EVALUATE.keys}
    assert GENERATE.called("gamma") == [] and GENERATE.called("outdir") == ["out"]


def test_called_takes_keys_and_groups_in_order():
    assert TRAIN.called("lr") == ["optim.generator_lr", "optim.discriminator_lr"]
    assert TRAIN.called("cfg") == ["preset"]
    assert TRAIN.called("nhwc") == []


SMALL = Command(
    "small",
    "Does little.",
    (),
    (),
    (
        Section("Run", "", keys=(Key("size", int | str | None, "px"), Key("seed", int, "of draws"))),
        Section("Loss", "loss", keys=(Key("loss.weight", float | None, "of it"),), closed=True),
        Section("Data", "data", keys=(Key("data.path", str, "of it"),), filled=Filled.DATA),
    ),
)


def test_the_structured_configuration_has_a_field_a_root_key_and_one_a_prefix():
    made = SMALL.structured()
    assert [field.name for field in fields(made)] == ["size", "seed", "loss", "data"]
    types = {field.name: field.type for field in fields(made)}
    # OmegaConf knows no union of two types.
    assert str(types["size"]) == "typing.Any" and types["seed"] is int
    assert [(field.name, field.type) for field in fields(types["loss"])] == [("weight", float | None)]
    empty = made()
    assert (empty.size, empty.seed, empty.loss.weight, empty.data) == (None, "???", None, {})


def test_a_key_is_filled_by_whom_its_section_says():
    assert SMALL.filled_by(Filled.DATA) == ["data.path"]
    assert SMALL.filled_by(Filled.USER) == ["size", "seed", "loss.weight"]
