"""What a report says to try can be typed."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

import stylegan.report
from stylegan.configuration.compose import composed, keys_of

FINDINGS = ("copy_findings", "examination", "leaks", "overfitting", "provenance", "variety")
_WORD = re.compile(r"\b[a-z][\w.]*=[\w.]*\w")
_KEY = re.compile(r"\b(?:ada|augpipe|data|loss|module)\.\w+")


def texts():
    folder = Path(stylegan.report.__file__).parent
    for name in FINDINGS:
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def found(pattern):
    return sorted({word for text in texts() for word in pattern.findall(text)})


def test_there_is_advice_to_look_at():
    assert {"data.val_fraction=0.1", "augpipe=bg"} <= set(found(_WORD))


@pytest.mark.parametrize("word", found(_WORD))
def test_a_word_changes_what_it_names(word):
    name = "evaluate" if word.startswith("truncation=") else "train"
    key, _, value = word.partition("=")
    composition = composed(name, [word])
    # A group that is chosen, or a value that is set.
    now = (
        composition.choices[key] if key in composition.choices else OmegaConf.select(composition.config, key)
    )
    assert now == yaml.safe_load(value)


def test_a_key_is_there():
    keys = keys_of("train", ["data=folder"])
    assert found(_KEY) and set(found(_KEY)) <= set(keys)
