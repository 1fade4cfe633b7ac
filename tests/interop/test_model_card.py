"""Model cards: front matter that YAML reads, names that stay text, and nothing that is not known."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stylegan.interop.model_card import CardFile, CardScore, ModelCard, escaped, license_fields

FILE = CardFile("generator_ema.safetensors", "EMA generator", 1234567, "0f" * 32)


def card(**changes):
    given = dict(title="foxes", files=[FILE], network={"size": "32x32 px"}) | changes
    return ModelCard(**given).text()


def front_matter(text):
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.S)[1])


def test_what_is_unknown_is_said_to_be_unknown_and_nothing_is_guessed():
    text = card()
    assert front_matter(text)["license"] == "unknown" and "is not stated" in text
    assert "No score of these weights is recorded." in text
    assert "What the network learned from is not recorded." in text
    assert "preview" not in text and "Classes" not in text and "hf://" not in text


def test_what_is_known_is_all_there():
    text = card(
        license="CC-BY-4.0",
        data={"fingerprint": "ab12"},
        training={"length": "12.800 kimg"},
        has_labels=True,
        label_names=["cat", "dog"],
        scores=[CardScore("kid", "kid_builtin 0.083 (0.053 to 0.112)", "12.800", "builtin, seed 0")],
        repository="ann/foxes",
        preview="preview.png",
        preview_text="Seeds 0 to 31",
    )
    assert front_matter(text) == {
        "license": "cc-by-4.0",
        "library_name": "stylegan-lightning",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["stylegan2-ada", "stylegan2", "gan", "image-generation"],
    }
    for part in (
        "ab12",
        "12.800 kimg",
        "cat, dog",
        "0.083",
        "builtin, seed 0",
        "(preview.png)",
        "1,234,567",
        "0f" * 32,
    ):
        assert part in text
    assert 'stylegan.load_generator("hf://ann/foxes")' in text and "stylegan-lightning[hub]" in text
    assert "c = torch.eye" in text and "network=hf://ann/foxes seeds=0-15" in text


def test_a_licence_of_ones_own_has_its_name():
    assert license_fields("MIT") == {"license": "mit"}
    assert license_fields("NVIDIA Source Code License-NC") == {
        "license": "other",
        "license_name": "NVIDIA Source Code License-NC",
    }
    nasty = "own\n---\nlicense: mit"
    assert front_matter(card(license=nasty)) | {"tags": 0} == {
        "license": "other",
        "license_name": r"own\n---\nlicense: mit",
        "library_name": "stylegan-lightning",
        "pipeline_tag": "unconditional-image-generation",
        "tags": 0,
    }


NASTY = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "a|b",
    "a\n# heading",
    "`code`",
    "\x1b[2J",
    "![x](http://example.com/x.png)",
    "\u202egnp",
    "http://example.com",
]


@pytest.mark.parametrize("name", NASTY)
def test_a_name_from_outside_stays_text(name):
    text = card(title=name, label_names=[name], data={"labels": name}, license=name)
    shown = text.partition("\n---\n")[2]
    assert "<script" not in shown and "](javascript" not in shown and "](http" not in shown
    assert "\n# heading" not in shown and "\x1b" not in shown and "\u202e" not in shown
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 5) for line in rows)


@given(st.text())
def test_escaping_gives_one_line_and_loses_nothing(text):
    shown = escaped(text)
    assert "\n" not in shown and "<" not in shown and ">" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[`|\[\]*_#]", shown)


def test_many_classes_are_not_all_listed():
    assert "and 50 more" in card(label_names=[f"c{number}" for number in range(100)])
