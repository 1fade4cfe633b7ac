"""Pictures kept in memory: the same bits, each decoded once, no more memory than counted, a line where it is short."""

import gc
import pickle
import shutil
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datamodules import FlowersData, FolderData
from datamodules.datasets import ImageDataset, file_dataset, pixel_memory
from datamodules.datasets.pixel_memory import PixelMemory, check_cache, pixel_memory_for
from stylegan.errors import BadImageError
from stylegan.machine.memory import Room, promised_bytes
from tests.datamodules.test_image_datamodule import assert_same_batches, fit

COUNT, BATCH = 24, 4
SHAPE = (3, 8, 8)
PIXELS = COUNT * 3 * 8 * 8


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """Pictures of noise, in two classes, that must be cut and resized."""
    root = tmp_path_factory.mktemp("noise")
    for number in range(COUNT):
        folder = root / ("cats", "dogs")[number % 3 > 0]
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return root


def opened(path, **options) -> FolderData:
    data = FolderData(path=path, **{"resolution": 8, "batch_size": BATCH, "workers": 0, **options})
    data.setup("fit")
    return data


def sampled(data, batches: int) -> list:
    return list(islice(data.train_dataloader(), batches))


@pytest.fixture
def decoded(monkeypatch) -> torch.Tensor:
    """How often anything was decoded, by this process and by workers."""
    count, decode = torch.zeros((), dtype=torch.int64).share_memory_(), file_dataset.decode_image

    def counting(data, **options):
        count.add_(1)
        return decode(data, **options)

    monkeypatch.setattr(file_dataset, "decode_image", counting)
    return count


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"xflip": True, "labels": "folders"},
        {"balanced": True, "labels": "folders", "seed": 3},
        {"val_fraction": 0.3, "channels": 1},
        {"subset": 9, "channels": 4, "resolution": [8, 16]},
    ],
    ids=str,
)
def test_every_batch_has_the_same_bits(noise, options, workers):
    plain = opened(noise, cache=False, **options)
    kept = opened(noise, cache=True, workers=workers, **options)
    assert kept.fingerprint == plain.fingerprint and kept.notes == plain.notes
    assert_same_batches([kept.preview(5)], [plain.preview(5)])
    assert_same_batches(sampled(kept, 30), sampled(plain, 30))


def test_flowers_are_kept_too():
    options = dict(resolution=8, batch_size=BATCH, num_items=10, labels="own", xflip=True)
    plain, kept = FlowersData(**options, cache=False), FlowersData(**options)
    for data in (plain, kept):
        data.setup("fit")
    assert_same_batches(sampled(kept, 15), sampled(plain, 15))
    kept.dataset.dataset.image = None  # nothing is drawn any more
    assert_same_batches(sampled(kept, 15), sampled(plain, 15))


def test_each_image_is_decoded_once(noise, decoded):
    """Four epochs, and both sides of a flip."""
    kept = opened(noise, xflip=True)
    sampled(kept, 4 * 2 * COUNT // BATCH)
    kept.preview(3)
    assert int(decoded) == COUNT
    decoded.zero_()
    sampled(opened(noise, xflip=True, cache=False), 4 * 2 * COUNT // BATCH)
    assert int(decoded) == 4 * 2 * COUNT


def test_what_is_not_shown_is_not_decoded(noise, decoded):
    sampled(opened(noise), 2)
    assert int(decoded) == 2 * BATCH


@pytest.mark.skipif(not pixel_memory.forks(), reason="workers are no copies here")
def test_workers_and_the_main_process_share_what_one_of_them_has_decoded(noise, decoded):
    kept = opened(noise, workers=2)
    batches = iter(kept.train_dataloader())
    list(islice(batches, 2 * COUNT // BATCH))
    # Where one epoch ends and the next begins two workers may meet the same picture, within what they read ahead.
    assert COUNT <= int(decoded) <= COUNT + 2 * 2 * BATCH
    decoded.zero_()
    list(islice(batches, 2 * COUNT // BATCH))
    batches.close()
    sampled(kept, 3)  # by new workers
    kept.preview(COUNT)
    assert int(decoded) == 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_continues_in_the_middle_gets_the_same(noise, tmp_path, workers):
    whole, _ = fit(opened(noise, cache=False), steps=20)
    begun, trainer = fit(opened(noise, workers=workers), steps=9)
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed, _ = fit(opened(noise, workers=workers), steps=11, ckpt_path=tmp_path / "stopped.ckpt")
    assert_same_batches(begun + resumed, whole)


@pytest.fixture
def headers_alone(monkeypatch):
    """As of large sets, only headers are read before training, so that damage shows during it."""
    monkeypatch.setattr("datamodules.folder.MOST_DECODED", 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_fails_while_training_is_replaced_as_without_cache(
    noise, tmp_path, capfd, workers, headers_alone
):
    said = {}
    batches = {}
    for cache in (False, True):
        root = tmp_path / str(cache)
        shutil.copytree(noise, root)
        for name in sorted(root.rglob("*.png"))[4:6]:
            name.write_bytes(name.read_bytes()[:-30])
        data = opened(root, cache=cache, workers=workers, labels="folders", max_bad=2)
        batches[cache] = sampled(data, 30)
        said[cache] = capfd.readouterr().err.replace(str(root), "")
    assert_same_batches(batches[True], batches[False])
    assert said[True] == said[False] and said[True].count("another is shown in its place") == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_that_fail_end_the_run_as_without_cache(noise, tmp_path, workers, headers_alone):
    root = tmp_path / "set"
    shutil.copytree(noise, root)
    path = sorted(root.rglob("*.png"))[4]
    path.write_bytes(path.read_bytes()[:-30])
    data = opened(root, cache=True, workers=workers, max_bad=0)
    with pytest.raises(BadImageError, match="data.max_bad=1"):
        sampled(data, 10)


def test_what_has_been_read_is_not_missed(noise, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(noise, root)
    expected = sampled(opened(noise, cache=False), 30)
    kept = opened(root)
    received = sampled(kept, COUNT // BATCH)
    shutil.rmtree(root)
    assert_same_batches(received, expected[: COUNT // BATCH])
    assert_same_batches(sampled(kept, 30), expected)


class Stripes(ImageDataset):
    """Item i shows i, but item j of `replaced` shows and is labelled as another."""

    label_width, label_kind = 1, "vector"

    def __init__(self, count: int, replaced: dict[int, int]):
        self.count, self.replaced, self.read_items = count, replaced, []

    def __len__(self):
        return self.count

    def image(self, index):
        return torch.full(SHAPE, index, dtype=torch.uint8)

    def read(self, index):
        shown = self.replaced.get(index, index)
        self.read_items.append(index)
        return self.image(shown), shown

    def labels(self, indices):
        return indices[:, None].to(torch.float32)


@given(
    st.lists(st.integers(0, 19), max_size=60),
    st.dictionaries(st.integers(0, 19), st.integers(0, 19), max_size=5),
)
def test_any_order_of_reading_gives_the_items_of_the_set(order, pairs):
    # An image that replaces another is shown in its own place, too.
    replaced = {index: shown for index, shown in pairs.items() if shown not in pairs}
    plain, under = Stripes(20, replaced), Stripes(20, replaced)
    under.memory = PixelMemory(20, SHAPE)
    for index in order:
        image, label = under[index]
        assert torch.equal(image, plain[index][0]) and torch.equal(label, plain[index][1])
        image.zero_()  # a change to what was given changes nothing that is kept
    assert len(under.read_items) == len(set(order)) - _spared(order, replaced)
    with pytest.raises(IndexError):
        under[20]


def _spared(order: list[int], replaced: dict[int, int]) -> int:
    """Items that were kept already when they were first requested, since they had replaced another."""
    first = {index: order.index(index) for index in set(order)}
    stood_in = {}
    for index, shown in replaced.items():
        if index in first:
            stood_in[shown] = min(stood_in.get(shown, len(order)), first[index])
    return sum(stood_in.get(index, len(order)) < place for index, place in first.items())


def shared_bytes() -> int:
    """What this process has in shared memory that is really there."""
    line = next(line for line in open("/proc/self/status") if line.startswith("RssShmem"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_what_was_not_read_yet_is_promised(noise):
    """Of what is free, by the system's own count."""
    before = promised_bytes()
    data = opened(noise, cache=True, xflip=True)
    assert promised_bytes() - before == PIXELS
    data.dataset[0], data.dataset[0], data.dataset[COUNT], data.dataset[1]
    assert promised_bytes() - before == PIXELS - 2 * 3 * 8 * 8
    assert pickle.loads(pickle.dumps(data.originals.memory)).promised_bytes == 0
    del data
    gc.collect()
    assert promised_bytes() == before


@pytest.mark.parametrize("xflip", [False, True])
def test_only_what_was_shown_takes_memory_and_flips_take_none(xflip):
    options = dict(resolution=128, batch_size=10, num_items=100, cache=True, xflip=xflip, workers=0)
    whole = 100 * 3 * 128 * 128
    before = shared_bytes()
    data = FlowersData(**options)
    data.setup("fit")
    assert shared_bytes() - before < whole / 20
    sampled(data, 2)
    assert abs(shared_bytes() - before - whole / 5) < whole / 20
    sampled(data, 20 if xflip else 10)
    assert abs(shared_bytes() - before - whole) < whole / 20


@pytest.mark.parametrize(("devices", "share"), [(1, 4), (2, 8), ([0, 3], 8), ("2", 8)])
def test_auto_takes_a_quarter_of_what_is_free_at_most_all_devices_together(
    noise, monkeypatch, devices, share
):
    monkeypatch.setattr(pixel_memory, "room_of_machine", lambda: Room(10**41, share * PIXELS))
    data = opened(noise, devices=devices)
    assert data.dataset.memory and data.notes == opened(noise, cache=False).notes
    monkeypatch.setattr(pixel_memory, "room_of_machine", lambda: Room(10**41, share * PIXELS - 4))
    data = opened(noise, devices=devices)
    (note,) = [note for note in data.notes if "data.cache" in note]
    assert data.dataset.memory is None
    needed = "4.6 kB" if share == 4 else "9.2 kB"
    assert f"take {needed} of memory" in note and "a quarter" in note and "\n" not in note


def test_true_takes_all_that_is_free_and_else_says_how_much_is_needed(noise, monkeypatch):
    monkeypatch.setattr(pixel_memory, "room_of_machine", lambda: Room(10**41, PIXELS))
    assert opened(noise, cache=True).dataset.memory
    monkeypatch.setattr(pixel_memory, "room_of_machine", lambda: Room(10**41, PIXELS - 1))
    with pytest.raises(ValueError) as caught:
        opened(noise, cache=True)
    words = ("data.cache=true", "24 pictures of 8x8 take 4.6 kB", "4.6 kB are free", "data.cache=auto")
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)
    monkeypatch.setattr(pixel_memory, "room_of_machine", lambda: Room(10**41, 2 * PIXELS - 1))
    with pytest.raises(ValueError, match="on each of 2 devices, take 9.2 kB"):
        opened(noise, cache=True, devices=2)


def test_false_keeps_nothing_and_says_nothing(noise):
    data = opened(noise, cache=False)
    assert data.dataset.memory is None and not any("cache" in note for note in data.notes)


def test_where_it_is_unknown_what_is_free_only_true_tries(noise, monkeypatch):
    monkeypatch.setattr(pixel_memory, "room_of_machine", lambda: None)
    assert opened(noise, cache=True).dataset.memory
    data = opened(noise)
    assert data.dataset.memory is None
    assert any("does not report how much memory is free" in note for note in data.notes)


@pytest.mark.parametrize("side", [2**20, 2**40])
def test_memory_that_the_system_refuses_is_done_without(monkeypatch, side):
    """No address space has room for the first; the second is no number of bytes that the system could accept."""
    monkeypatch.setattr(pixel_memory, "room_of_machine", lambda: Room(10**41, 10**40))
    ask = dict(count=100, shape=(3, side, side), devices=1, workers=0)
    memory, (note,) = pixel_memory_for(cache="auto", **ask)
    assert memory is None and "cannot be allocated" in note
    with pytest.raises(ValueError, match="data.cache=true: .* cannot be allocated"):
        pixel_memory_for(cache=True, **ask)


def test_workers_that_are_no_copies_share_nothing(noise, monkeypatch):
    monkeypatch.setattr(pixel_memory.multiprocessing, "get_start_method", lambda allow_none: "spawn")
    assert opened(noise).dataset.memory
    data = opened(noise, workers=1)
    assert data.dataset.memory is None and any("data.workers=0" in note for note in data.notes)
    with pytest.raises(ValueError, match="data.cache=true: .*data.workers=0"):
        opened(noise, workers=1, cache=True)


def test_a_copy_by_pickle_keeps_nothing_and_shows_the_same(noise):
    kept = opened(noise).dataset
    kept[3]
    copy = pickle.loads(pickle.dumps(kept))
    assert len(pickle.dumps(kept)) < PIXELS * 4
    for index in (3, 4, 3):
        assert torch.equal(copy[index][0], kept[index][0])


@given(
    st.one_of(
        st.text(max_size=20), st.none(), st.integers(), st.floats(), st.just("/a/b,c"), st.just(r"C:\scans")
    )
)
def test_any_other_value_is_refused_with_key_value_and_way_out(value):
    if value == "auto":
        assert check_cache(value) == "auto"
        return
    with pytest.raises(ValueError) as caught:
        check_cache(value)
    message = str(caught.value)
    assert message.startswith("cache must be auto, true or false") and "try auto" in message
    assert ("null" if value is None else repr(value)) in message
    was_a_folder = value is None or isinstance(value, str)
    place = "null" if value is None else value
    assert message.endswith(f"data.cache_dir={place}") == was_a_folder


@pytest.mark.parametrize("value", [True, False, "auto"])
def test_the_three_values(value):
    assert check_cache(value) is value


@pytest.mark.parametrize("devices", [0, -1, "many", True, 1.5])
def test_devices_are_counted(devices):
    with pytest.raises(ValueError, match="^devices must be "):
        FlowersData(resolution=8, batch_size=1, devices=devices)
