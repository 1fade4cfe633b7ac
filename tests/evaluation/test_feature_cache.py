"""Feature cache: features are found again by their key, whole, and never believed when damaged."""

import threading

import pytest
import torch

from stylegan.evaluation.feature_cache import FeatureCache

KEY = {
    "content": "abc",
    "detector": "builtin",
    "checksum": "12",
    "resize": "none",
    "count": 3,
    "readers": ("a 1",),
}
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
