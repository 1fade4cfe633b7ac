"""Reals: what is read of a data module, and features that are kept: by content, whole, never believed when damaged."""

import threading

import pytest
import torch

from stylegan.evaluation import EvaluationData
from stylegan.evaluation.reals import FeatureCache, chosen
from tests.evaluation.small import Images, results

KEY = {"content": "abc", "detector": "builtin", "checksum": "12", "resize": "none", "count": 3}
FEATURES = torch.arange(12, dtype=torch.float32).view(3, 4)


def test_what_was_saved_is_found_again(tmp_path):
    assert FeatureCache(tmp_path / "cache").save(KEY, FEATURES) is None
    assert torch.equal(FeatureCache(tmp_path / "cache").load(KEY), FEATURES)


@pytest.mark.parametrize("field", KEY)
def test_any_other_key_is_a_miss(tmp_path, field):
    cache = FeatureCache(tmp_path)
    cache.save(KEY, FEATURES)
    assert cache.load(KEY | {field: "other"}) is None


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_flipped_bit_is_a_miss_and_is_mended(tmp_path, place):
    cache = FeatureCache(tmp_path)
    cache.save(KEY, FEATURES)
    [path] = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    found = cache.load(KEY)
    # A bit of the header's padding or names may not matter; the numbers always do.
    assert found is None or torch.equal(found, FEATURES)
    assert place != -1 or found is None
    cache.save(KEY, FEATURES)
    assert torch.equal(cache.load(KEY), FEATURES)


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", b"\xff" * 200])
def test_rubbish_is_a_miss(tmp_path, content):
    cache = FeatureCache(tmp_path)
    cache.save(KEY, FEATURES)
    [path] = tmp_path.glob("*.safetensors")
    path.write_bytes(content)
    assert cache.load(KEY) is None


def test_half_a_file_is_a_miss(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.save(KEY, FEATURES)
    [path] = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    assert cache.load(KEY) is None


def test_a_folder_that_cannot_be_made_costs_the_cache_alone(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "cache")
    assert "not kept" in cache.save(KEY, FEATURES)
    assert cache.load(KEY) is None


def test_without_a_folder_nothing_is_kept():
    assert FeatureCache(None).save(KEY, FEATURES) is None
    assert FeatureCache(None).load(KEY) is None


def test_many_writers_leave_one_whole_file(tmp_path):
    def write():
        for _ in range(5):
            FeatureCache(tmp_path).save(KEY, FEATURES)
            found = FeatureCache(tmp_path).load(KEY)
            faults.append(found is None or not torch.equal(found, FEATURES))

    faults: list[bool] = []
    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(faults) == 20 and not any(faults)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_features_of_reals_are_computed_once(tmp_path):
    images = Images()
    first = results(["kid"], images=images, cache=tmp_path)
    assert images.reads == len(images)
    assert results(["kid", "fid"], images=images, cache=tmp_path)["kid_builtin"] == first["kid_builtin"]
    assert images.reads == len(images), "they were read again"


def test_one_other_pixel_is_another_set(tmp_path):
    results(["kid"], cache=tmp_path)
    changed = Images()
    changed.pixels[17, 1, 2, 3] ^= 1
    results(["kid"], images=changed, cache=tmp_path)
    assert changed.reads == len(changed)


def test_a_damaged_entry_is_computed_again(tmp_path):
    first = results(["kid"], cache=tmp_path)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    images = Images()
    assert results(["kid"], images=images, cache=tmp_path) == first
    assert images.reads == len(images)
    again = Images()
    assert results(["kid"], images=again, cache=tmp_path) == first and not again.reads


def test_of_too_many_reals_a_choice_that_stays_the_same():
    assert chosen(5, None).tolist() == chosen(5, 5).tolist() == [0, 1, 2, 3, 4]
    some = chosen(1000, 10)
    assert len(set(some.tolist())) == 10 and (some == sorted(some)).all()
    assert (some == chosen(1000, 10)).all()


class Data:
    """A data module of the user's own: it has nothing but a set of images."""

    def __init__(self, dataset):
        self.dataset = dataset


def test_a_data_module_needs_nothing_but_a_set():
    images = Images()
    found = EvaluationData.of(Data(images))
    assert found == EvaluationData(dataset=images, originals=images, label_names=[])
    images.label_names = ("a", "b")
    whole = Data(images)
    whole.originals, whole.validation, whole.fingerprint, whole.xflip = Images(3), Images(4), "abc", True
    found = EvaluationData.of(whole)
    assert (found.originals, found.validation) == (whole.originals, whole.validation)
    assert (found.fingerprint, found.xflip, found.label_names) == ("abc", True, ["a", "b"])


@pytest.mark.parametrize("module", [Data(None), Data([1, 2, 3]), object()])
def test_data_that_cannot_be_scored_are_refused(module):
    with pytest.raises(ValueError, match=f"^{type(module).__name__} has no `dataset` .*; set metrics=none$"):
        EvaluationData.of(module)
