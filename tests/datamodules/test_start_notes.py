"""What the start says of a set: channels, crop, classes, and what is not used."""

import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datamodules import FlowersData, FolderData
from datamodules.start_notes import about_crop, about_sizes
from stylegan.sizes import parse_size


def encoded(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def noise(mode: str, height: int = 16, width: int = 16, seed: int = 0) -> Image.Image:
    shape = (height, width, len(mode)) if len(mode) > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode)


@pytest.fixture
def fill(tmp_path):
    def write(*names: str, image: Image.Image | None = None):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(encoded(noise("RGB") if image is None else image))
        return tmp_path

    return write


def notes(path, **options) -> list[str]:
    data = FolderData(path=path, **{"resolution": 16, "batch_size": 2, "cache": False, **options})
    data.setup()
    return [note for note in data.notes if "fewer than 1000" not in note]


def test_nothing_is_said_of_plain_pictures(fill):
    assert notes(fill("a.png", "b.png")) == []


@pytest.mark.parametrize(("channels", "kept"), [(1, 2), (3, 4)])
def test_transparency_on_white_and_the_key_that_keeps_it(fill, channels, kept):
    fill("a.png")
    root = fill("b.png", "c.png", image=noise("RGBA"))
    said = (
        f"transparency, which 2 of 3 pictures looked at have, is put on white; data.channels={kept} keeps it"
    )
    assert notes(root, channels=channels) == [said]
    assert notes(root, channels=kept) == []


def test_alpha_that_is_opaque_everywhere(fill):
    solid = noise("RGB")
    solid.putalpha(255)
    root = fill("a.png", "b.png", image=solid)
    assert notes(root) == []
    assert notes(root, channels=4) == [
        "no transparency in 2 pictures looked at; data.channels=3 leaves alpha out"
    ]


def test_one_picture_is_not_several(fill):
    root = fill("a.png", image=noise("L"))
    assert notes(root) == ["no colour in 1 picture looked at; data.channels=1 is grey"]
    half = noise("RGB")
    half.putalpha(128)
    fill("b.png", image=half)
    assert notes(root) == [
        "transparency, which 1 of 2 pictures looked at has, is put on white; data.channels=4 keeps it"
    ]


def test_what_is_enlarged_is_one_picture_or_several():
    sizes = {"a.png": (8, 8), "b.png": (64, 64), "c.png": (16, 16)}
    assert about_sizes(sizes, (32, 32)) == [
        "2 of 3 pictures are smaller than 32x32 (height x width) and are enlarged, a.png (8x8) the most"
    ]
    assert about_sizes(sizes, (16, 16)) == [
        "1 of 3 pictures is smaller than 16x16 (height x width) and is enlarged, a.png (8x8)"
    ]


def test_neither_alpha_nor_colour_is_one_line(fill):
    grey = noise("L").convert("RGBA")
    root = fill("a.png", "b.png", image=grey)
    assert notes(root, channels=4) == [
        "neither transparency nor colour in 2 pictures looked at; data.channels=1 is grey alone"
    ]
    assert notes(root, channels=1) == []


def test_shares_of_a_set_that_were_taken_for_classes(fill):
    root = fill(*[f"{share}/{kind}/1.png" for share in ("train", "val") for kind in "ab"], "train/a/2.png")
    said = (
        "the classes train, val look like shares of one set; 'data.include=[train]' takes the folders below"
    )
    assert any(line.startswith(said) for line in notes(root, labels="folders"))
    chosen = notes(root, labels="folders", include=["train"])
    assert "data.labels=folders: 2 classes: a (2), b (1)" in chosen and not any("share" in n for n in chosen)


@pytest.mark.parametrize(
    ("folders", "hint"), [(("test", "images"), True), (("0001", "0002"), False), (("train", "cats"), False)]
)
def test_shares_without_folders_below_them(fill, folders, hint):
    said = notes(fill(*[f"{folder}/1.png" for folder in folders]), labels="folders")
    assert any("shares of one set; data.labels=none does without classes" in line for line in said) == hint


def test_pictures_without_colour(fill):
    root = fill("a.png", "b.png", image=noise("L"))
    assert notes(root) == ["no colour in 2 pictures looked at; data.channels=1 is grey"]
    assert notes(root, channels=1) == []
    assert notes(fill("c.png")) == []


def test_what_the_crop_cuts_of_flags():
    said = about_crop([(67, 100)] * 9, (48, 32))
    assert said == [
        "the crop to 48x32 (height x width) cuts 55 % of the width of a typical picture (67x100); "
        "did you mean resolution=32x48?"
    ]
    assert about_crop([(67, 100)] * 9, (32, 48)) == []
    assert (
        "cuts 55 % of the height of a typical picture (100x67); did you mean resolution=48x32?"
        in (about_crop([(100, 67)], (32, 48))[0])
    )


def test_what_a_square_cuts_of_photographs():
    """Of 640x480, 160 columns; none in a size of the same shape."""
    assert about_crop([(480, 640)] * 3 + [(500, 500)], (256, 256)) == [
        "the crop to 256x256 (height x width) cuts 25 % of the width of a typical picture (480x640); "
        "resolution=192x256 cuts 0 %"
    ]
    # As many upright ones as others: no size is better than a square.
    assert about_crop([(480, 640), (640, 480)] * 3, (256, 256)) == [
        "the crop to 256x256 (height x width) cuts 25 % of the height of a typical picture (640x480)"
    ]
    assert about_crop([(500, 500)] * 5 + [(100, 900)] * 4, (64, 64)) == []


side = st.integers(1, 4000)


@given(
    st.lists(st.tuples(side, side), min_size=1, max_size=9), st.sampled_from(["64", "48x32", "96x160", "256"])
)
def test_only_sizes_that_networks_draw_are_proposed_and_only_better_ones(sizes, target):
    for line in about_crop(sizes, parse_size(target)):
        if "resolution=" in line:
            proposed = parse_size(line.split("resolution=")[1].split()[0].rstrip("?"))
            assert not any(
                "height" in more and proposed == parse_size(target) for more in about_crop(sizes, proposed)
            )


def test_sub_folders_that_look_like_classes(fill):
    root = fill(*[f"set/{kind}/{n}.png" for kind in ("fox", "wolf") for n in range(3)])
    said = "2 sub-folders are not used as classes: fox (3), wolf (3); data.labels=folders does so"
    assert notes(root) == [said]
    assert notes(root, include=["fox"]) == []
    assert said not in notes(root, labels="folders")
    fill("set/outside.png")
    assert notes(root) == []


@pytest.mark.parametrize("folders", [("00000", "00001"), ("train", "val"), ("images", "test")])
def test_sub_folders_that_share_pictures_out(fill, folders):
    assert notes(fill(*[f"{folder}/{n}.png" for folder in folders for n in range(3)])) == []


def test_a_table_that_is_not_used(fill):
    root = fill("a.png", "b.png")
    (root / "dataset.json").write_text(json.dumps({"labels": None}))
    assert notes(root) == []
    (root / "dataset.json").write_text(json.dumps({"labels": [["a.png", 0], ["b.png", 1]]}))
    assert notes(root) == [f"{root}/dataset.json is not used; data.labels=json reads labels from it"]
    assert notes(root, labels="json") == ["data.labels=json: 2 classes: 0 (1), 1 (1)"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["x", "y", "x"], "data.labels=json: 2 classes: x (2), y (1)"),
        ([2020, 2020, 1990], "data.labels=json: 2021 classes, 2 with pictures: 1990 (1), 2020 (2)"),
        ([[1, 1], [0, 1], [0, 0]], "data.labels=json: any number of 2 classes: 0 (1), 1 (2)"),
        ([[0.5, 2.0], [1, 1], [3, 1]], "data.labels=json: vectors of 2 numbers, as 0.5, 2 for 0.png"),
        ([0.25, 2.0, 1.0], "data.labels=json: one number each, as 0.25 for 0.png"),
        ([[0], [1], [1]], "data.labels=json: one column of 0 and 1, 1 for 2 of 3 pictures"),
    ],
)
def test_what_labels_were_taken_for(fill, labels, said):
    root = fill("0.png", "1.png", "2.png")
    (root / "dataset.json").write_text(
        json.dumps({"labels": [[f"{n}.png", c] for n, c in enumerate(labels)]})
    )
    assert said in notes(root, labels="json")


def test_a_class_of_which_all_pictures_are_held_out(fill):
    root = fill(*[f"common/{n}.png" for n in range(20)], "rare/0.png")
    for options in ({"val_fraction": 0.4, "seed": 1}, {"subset": 6, "seed": 1}):
        said = notes(root, labels="folders", **options)
        assert "classes without a picture: rare" in said
        assert ("data.val_fraction holds out all pictures of rare" in said) == ("val_fraction" in options)


def test_drawn_flowers_say_their_classes():
    data = FlowersData(resolution=16, labels="own", num_items=40, batch_size=4)
    data.setup()
    counts = np.bincount(data.labels(torch.arange(40)).argmax(1).numpy())
    listed = ", ".join(f"{name} ({count})" for name, count in zip(data.label_names, counts, strict=True))
    assert f"data.labels=own: {len(counts)} classes: {listed}" in data.notes


@pytest.mark.parametrize(("value", "word"), [(0, "1 for 0 of"), (1, "1 for")])
def test_a_column_that_is_the_same_for_all_that_is_trained_on(fill, value, word):
    """With the others held out, or without any others."""
    names = [f"{number:02}.png" for number in range(20)]
    root = fill(*names)
    whole = FolderData(path=root, resolution=16, batch_size=2, cache=False, val_fraction=0.2)
    whole.setup()
    held_out = whole.validation.names
    assert 0 < len(held_out) < 20
    nothing = f"all pictures to train on have {value}, from which the network learns nothing"
    for others in (held_out, held_out[:1], []):
        table = "".join(f"{name},{1.0 - value if name in others else float(value)}\n" for name in names)
        (root / "labels.csv").write_text(f"file,glasses\n{table}")
        said = notes(root, labels="csv", val_fraction=0.2)
        assert any(word in line for line in said) and nothing in said
        assert (f"data.val_fraction holds out all pictures with {1 - value}" in said) == bool(others)
    (root / "labels.csv").write_text(
        "file,glasses\n" + "".join(f"{name},{number % 2}.0\n" for number, name in enumerate(names))
    )
    assert not any("learns nothing" in line for line in notes(root, labels="csv", val_fraction=0.2))
