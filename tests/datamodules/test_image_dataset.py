"""Which pictures are used, which are held out, and that neither moves when others come or go."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import FlowersData, FolderData

NAMES = [
    f"{kind}/{number}.{end}" for kind in ("cats", "dogs [big]") for number, end in enumerate(("png", "jpg"))
]


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "set"
    for number, name in enumerate([*NAMES, "top.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(root / name)
    return root


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """400 pictures, of one pixel each for speed."""
    root = tmp_path_factory.mktemp("many")
    for number in range(400):
        Image.new("L", (1, 1), number % 256).save(root / f"{number:03}.bmp")
    return root


def opened(path: Path, **options) -> FolderData:
    data = FolderData(path=path, **{"resolution": 8, "channels": 1, "batch_size": 4, **options})
    data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": ["cats"]}, NAMES[:2]),
        ({"include": "cats"}, NAMES[:2]),
        ({"include": ["dogs [big]", "top.png"]}, [*NAMES[2:], "top.png"]),
        ({"include": ["*.png"]}, [NAMES[0], NAMES[2], "top.png"]),
        ({"exclude": ["*/0.*"]}, [NAMES[1], NAMES[3], "top.png"]),
        ({"include": ["cats"], "exclude": ["*.jpg"]}, NAMES[:1]),
        ({"exclude": ["top.png"], "labels": "folders"}, NAMES),
    ],
    ids=str,
)
def test_include_and_exclude(folder, options, expected):
    assert opened(folder, **options).dataset.names == expected


def test_classes_of_a_table_can_be_chosen(folder, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "file,kind\n" + "\n".join(f"{n},{'xyx'[i % 3]}" for i, n in enumerate([*NAMES, "top.png"]))
    )
    data = opened(folder, labels="csv", labels_path=table, include=["y"])
    assert data.dataset.names == [NAMES[1], "top.png"] and data.label_names == ["y"]


def test_patterns_that_fit_nothing(folder):
    with pytest.raises(
        ValueError, match=r"data.include: nothing is called katzen; the classes are cats, dogs \[big\]"
    ):
        opened(folder, include=["cats", "katzen"])
    with pytest.raises(ValueError, match=r"data.exclude=\[\*\] leaves no picture of 5"):
        opened(folder, exclude=["*"])
    assert "data.exclude: nothing is called birds" in opened(folder, exclude=["birds"]).notes


def test_a_subset_follows_from_the_seed_and_grows_with_its_number(many):
    names = {n: set(opened(many, subset=n).dataset.names) for n in (50, 100)}
    assert len(names[50]) == 50 and len(names[100]) == 100 and names[50] < names[100]
    assert opened(many, subset=50).dataset.names == sorted(names[50])
    assert set(opened(many, subset=50, seed=1).dataset.names) != names[50]


def test_a_subset_has_as_many_readable_ones_as_it_says(many, tmp_path):
    for path in many.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() if int(path.stem) % 4 else b"damaged")
    data = opened(tmp_path, subset=60, max_bad=100)
    assert data.num_items == 60 and not any(int(name[:3]) % 4 == 0 for name in data.dataset.names)


def test_a_subset_of_more_than_there_are(folder):
    data = opened(folder, subset=9)
    assert data.num_items == 5 and any("data.subset=9" in note for note in data.notes)


def test_held_out_pictures_are_never_trained_on(many):
    data = opened(many, val_fraction=0.25, xflip=True)
    training, held_out = set(data.dataset.dataset.names), set(data.validation.names)
    assert training.isdisjoint(held_out) and len(training | held_out) == 400
    assert data.num_items == 2 * len(training) and 70 < len(held_out) < 130  # 100 ± 3.5 sigma
    assert any(f"{len(held_out)} of 400" in note for note in data.notes)


def test_more_pictures_move_none_across(many, tmp_path):
    before = set(opened(many, val_fraction=0.25).validation.names)
    for path in many.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for number in range(100):
        Image.new("L", (1, 1)).save(tmp_path / f"aa{number}.bmp")
    after = set(opened(tmp_path, val_fraction=0.25).validation.names)
    assert {name for name in after if not name.startswith("aa")} == before
    assert set(opened(many, val_fraction=0.25, seed=1).validation.names) != before
    assert before < set(opened(many, val_fraction=0.5).validation.names)


def test_held_out_items_keep_their_labels():
    data = FlowersData(resolution=8, num_items=60, labels="own", val_fraction=0.3, batch_size=4)
    data.setup()
    whole = FlowersData(resolution=8, num_items=60, labels="own", batch_size=4)
    whole.setup()
    known = {item[0].numpy().tobytes(): item[1] for item in whole.dataset}
    for part in (data.dataset, data.validation):
        for image, label in part:
            assert torch.equal(known.pop(image.numpy().tobytes()), label)
    assert not known and data.fingerprint != whole.fingerprint


def test_nothing_held_out_or_nothing_left(folder):
    assert opened(folder, val_fraction=1e-9).validation is None
    with pytest.raises(ValueError, match="data.val_fraction=0.999999999 leaves none of 5"):
        opened(folder, val_fraction=0.999999999)


def test_few_images_are_reported(folder, many):
    assert any(
        "5 pictures are fewer than 1000" in note and "data.xflip" in note for note in opened(folder).notes
    )
    assert not any("data.xflip" in note for note in opened(folder, xflip=True).notes)
    large = FlowersData(resolution=8, batch_size=4, num_items=1000)
    large.setup()
    assert large.notes == []


def test_held_out_shares_are_about_right_in_every_class():
    """Chance alone, class by class: 1000 each, 4.5 sigma."""
    data = FlowersData(resolution=8, num_items=6000, labels="own", val_fraction=0.2, batch_size=4)
    data.setup()
    counts = data.validation.labels(torch.arange(len(data.validation))).sum(0).numpy()
    assert np.abs(counts - 200).max() < 4.5 * np.sqrt(1000 * 0.2 * 0.8)
