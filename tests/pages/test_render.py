"""Pages: values cannot become markup, images come back from their data URI, and every class of a template is styled."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import numpy as np
import pytest
import torch
from PIL import Image

import stylegan.pages
from stylegan.pages import image_column, png_data_uri, render
from stylegan.pages.render import exact, number

FOLDER = Path(stylegan.pages.__file__).parent
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;"


def finding(**changes):
    return {
        "key": "copies",
        "title": "Does it copy?",
        "verdict": "look",
        "word": "look at this",
        "result": "A few.",
        "grids": [{"title": "Fakes", "columns": [("fake", "data:image/png;base64,AA==")]}],
        "what_it_means": "Little.",
        "what_to_try": ["Add pictures."],
        "numbers": [("share", "0.03")],
    } | changes


def page(**changes):
    values = {
        "title": "Report",
        "counts": [("400", "fakes")],
        "about": [("network", "a.ckpt")],
        "notes": ["Taken on trust."],
        "verdict": "look",
        "head": "Something needs a look.",
        "findings": [finding()],
    }
    return render("report.html", **values | changes)


class Elements(HTMLParser):
    """The elements of a page, that every one is closed, and the text outside of the style."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        assert self.open == [], "an element was not closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": EVIL},
        {"counts": [(EVIL, EVIL)]},
        {"about": [(EVIL, EVIL)]},
        {"notes": [EVIL]},
        {"head": EVIL},
        *({"findings": [finding(**{name: EVIL})]} for name in finding() if isinstance(finding()[name], str)),
        {"findings": [finding(what_to_try=[EVIL])]},
        {"findings": [finding(numbers=[(EVIL, EVIL)])]},
        {"findings": [finding(grids=[{"title": EVIL, "columns": [(EVIL, EVIL)]}])]},
    ],
)
def test_no_value_becomes_markup(changes):
    plain, evil = Elements(page()), Elements(page(**changes))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [set(attributes) for _, attributes in evil.tags] == [set(found) for _, found in plain.tags]
    shown = " ".join([*evil.text, *(str(value) for _, found in evil.tags for value in found.values())])
    assert EVIL in shown, "it is shown as it is"


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render("report.html")


def test_a_page_asks_for_nothing_and_runs_nothing():
    elements = Elements(page())
    assert {tag for tag, _ in elements.tags}.isdisjoint({"script", "link", "iframe", "object", "form"})
    for _, attributes in elements.tags:
        assert all(not name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    style = (FOLDER / "style.css").read_text()
    assert style.strip() in page() and "url(" not in style and "@import" not in style


def test_light_and_dark_have_the_same_colours_by_name():
    style = (FOLDER / "style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    names = [re.findall(r"--([\w-]+):", block) for block in (light, dark)]
    assert names[0] == names[1]
    # A colour outside of these would stay as it is in the dark.
    rest = style.replace(light, "").replace(dark, "")
    assert not re.findall(r"#[0-9a-f]{3,8}\b", rest)
    assert set(re.findall(r"var\(--([\w-]+)\)", rest)) <= {*names[0], "columns"}


@pytest.mark.parametrize(("ground", "inks"), [("card", ["text", "faint", "bad", "look", "fine", "unknown"])])
def test_text_has_a_contrast_that_people_can_read(ground, inks):
    """WCAG 2.1: at least 4.5 to 1."""
    style = (FOLDER / "style.css").read_text()

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL):
        colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6})", block))
        for ink in inks:
            light, dark = sorted((luminance(colours[ground]), luminance(colours[ink])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, block)


def pixels_in(uri):
    kind, _, data = uri.partition(",")
    assert kind == "data:image/png;base64"
    return torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(data))))).permute(2, 0, 1)


@pytest.mark.parametrize("channels", [3, 4])
def test_an_image_comes_back_from_its_data_uri(channels):
    image = torch.randint(256, (channels, 5, 7), dtype=torch.uint8)
    assert torch.equal(pixels_in(png_data_uri(image)), image)


def test_a_column_shows_images_below_each_other_with_transparent_gaps():
    one, other = (torch.full((1, 64, 3), grey, dtype=torch.uint8) for grey in (9, 200))
    column = pixels_in(image_column([one, other]))
    assert column.shape == (4, 132, 3)
    assert column[:3, :64].unique().tolist() == [9] and column[:3, 66:130].unique().tolist() == [200]
    assert column[3, :, 0].tolist() == [255] * 64 + [0] * 2 + [255] * 64 + [0] * 2


@pytest.mark.parametrize(
    ("value", "read", "whole"),
    [
        (None, "-", "unknown"),
        ("bf16", "bf16", "bf16"),
        (1906, "1,906", "1,906"),
        (0.123456, "0.123", "0.123456"),
        (12345.678, "1.23e+04", "12,345.678"),
        (float("nan"), "nan", "nan"),
    ],
)
def test_numbers_are_written_for_people(value, read, whole):
    assert (number(value), exact(value)) == (read, whole)
