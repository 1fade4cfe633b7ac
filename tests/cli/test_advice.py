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


def in_few_commands(words):
    """Words by the command that has them, each of several values of a key in a command line of its own."""
    lines: list[tuple[str, dict[str, str]]] = []
    for word in words:
        name = "evaluate" if word.startswith("truncation=") else "train"
        key, _, value = word.partition("=")
        line = next((line for known, line in lines if known == name and key not in line), None)
        if line is None:
            line = {}
            lines.append((name, line))
        line[key] = value
    return lines


@pytest.mark.parametrize(("name", "line"), in_few_commands(found(_WORD)))
def test_words_change_what_they_name(name, line):
    composition = composed(name, [f"{key}={value}" for key, value in line.items()])
    for key, value in line.items():
        # A group that is chosen, or a value that is set.
        chosen = composition.choices.get(key, OmegaConf.select(composition.config, key))
        assert chosen == yaml.safe_load(value), key


def test_a_key_is_there():
    keys = keys_of("train", ["data=folder"])
    assert found(_KEY) and set(found(_KEY)) <= set(keys)
