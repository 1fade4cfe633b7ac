"""Reals: what is read of a data module, features under what was read, and images that cannot be read."""

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from datamodules.datasets import FileDataset, FolderFiles, XFlipped, ZipFiles
from stylegan.errors import ImagesAwayError
from stylegan.evaluation import EvaluationData, ScoreError
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.reals import Reals, chosen
from tests.evaluation.small import Averages, Images, evaluator, quiet, results, scores


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


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(40):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:02d}.bmp")
    return tmp_path / "photos"


@pytest.fixture
def archive(folder):
    """Stored, not compressed, so that the bytes of an entry are where a test can spoil them."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for image in sorted(folder.iterdir()):
            file.write(image, image.name)
    return path


def dataset(files, **options):
    return FileDataset(files, size=(8, 8), channels=3, max_bad=20, **options)


def kid(images, cache, **options):
    [score] = scores(evaluator(["kid"], images=images, cache=cache, **options))
    return score


def spoil(archive, names):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        for name in names:
            entry = file.getinfo(name)
            place = entry.header_offset + 30 + len(name) + entry.file_size - 20
            content[place] ^= 0xFF
    archive.write_bytes(content)


def test_rotten_bytes_under_a_good_directory_are_another_protocol_and_spoil_no_later_score(archive, tmp_path):
    cache, whole = tmp_path / "cache", archive.read_bytes()
    before = kid(dataset(ZipFiles(archive)), tmp_path / "another cache")
    spoil(archive, [f"{number:02d}.bmp" for number in range(10)])
    rotten = kid(dataset(ZipFiles(archive)), cache)
    assert rotten.protocol["num_reals"] == 30 and rotten.protocol["num_unreadable"] == 10
    assert rotten.left_out == 10 and rotten.protocol != before.protocol
    archive.write_bytes(whole)
    assert kid(dataset(ZipFiles(archive)), cache)[1:3] == before[1:3]
    assert "num_unreadable" not in before.protocol and before.left_out == 0


def test_what_is_left_out_is_left_out_and_no_other_image_counts_twice(archive, folder, tmp_path):
    spoil(archive, ["05.bmp", "06.bmp"])
    for name in ("05.bmp", "06.bmp"):
        (folder / name).unlink()
    without = kid(dataset(FolderFiles(folder)), tmp_path / "cache")
    assert kid(dataset(ZipFiles(archive)), tmp_path / "cache").results == without.results


def test_a_kept_entry_says_how_many_were_left_out(archive, tmp_path):
    spoil(archive, ["05.bmp"])
    first, second = (kid(dataset(ZipFiles(archive)), tmp_path / "cache") for _ in range(2))
    assert (
        first[1:3] == second[1:3] and second.left_out == 1 and len(list((tmp_path / "cache").iterdir())) == 1
    )


def test_an_image_replaced_under_its_size_and_time_is_another_set(folder, tmp_path):
    images = dataset(FolderFiles(folder), checksums=np.zeros(40, dtype=np.int64))
    before = kid(images, tmp_path / "cache")
    path = folder / "03.bmp"
    content, times = bytearray(path.read_bytes()), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    content[-1] ^= 0x80
    path.write_bytes(content)
    os.utime(path, ns=times)
    after = kid(images, tmp_path / "cache")
    assert before.protocol["data_fingerprint"] == after.protocol["data_fingerprint"]
    assert before.protocol["data_content"] != after.protocol["data_content"]
    assert before.results != after.results


def test_a_training_that_keeps_older_pixels_in_memory_scores_what_is_there_now(folder, tmp_path):
    from datamodules.datasets.pixel_memory import PixelMemory

    images = dataset(FolderFiles(folder))
    images.memory = PixelMemory(40, (3, 8, 8))
    for index in range(40):
        images[index]
    path = folder / "03.bmp"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    fresh = dataset(FolderFiles(folder))
    assert kid(images, tmp_path / "one")[1:3] == kid(fresh, tmp_path / "two")[1:3]


@pytest.mark.parametrize("xflip", [False, True])
def test_features_of_another_reader_of_the_same_bytes_are_not_believed(folder, tmp_path, monkeypatch, xflip):
    """A later version of Pillow, say, which turns pictures that an earlier one did not."""
    from datamodules.datasets import file_dataset

    def averages():
        plain = dataset(FolderFiles(folder))
        reals = Reals(plain, XFlipped(plain), cache=FeatureCache(tmp_path / "cache"))
        return reals.features(Averages(), None, with_flips=xflip, watch=quiet())

    first, decode = averages(), file_dataset.decode_image
    monkeypatch.setattr(file_dataset, "decode_image", lambda *args, **options: 255 - decode(*args, **options))
    assert averages().features.equal(first.features), "the same readers, and the cache is not asked"
    monkeypatch.setattr(file_dataset, "readers", lambda: ["pillow 99"])
    second = averages()
    assert second.content == first.content and not second.features.equal(first.features)


class Changing(Averages):
    """Changes an image once the look at all of them is over, which the first one that it gets means."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def features(self, images):
        self.change()
        return super().features(images)


def test_what_is_replaced_between_the_look_and_the_reading_is_kept_under_what_was_read(folder, tmp_path):
    last, first = folder / "39.bmp", folder / "00.bmp"
    detector = Changing(lambda: last.write_bytes(first.read_bytes()))
    changed = kid(dataset(FolderFiles(folder)), tmp_path / "cache", detector=detector)
    fresh = kid(dataset(FolderFiles(folder)), tmp_path / "fresh")
    assert fresh[1:3] == changed[1:3] and changed.left_out == 0


def test_what_vanishes_between_the_look_and_the_reading_stops_the_score(folder, tmp_path):
    """It may be a disk that is away for a moment, so it is not left out of the score as a damaged image is."""
    detector = Changing(lambda: (folder / "39.bmp").unlink(missing_ok=True))
    with pytest.raises(ImagesAwayError, match="39.bmp .*the same command continues"):
        kid(dataset(FolderFiles(folder)), tmp_path / "cache", detector=detector)


def test_more_than_may_be_bad_is_one_line_that_names_them(archive, tmp_path):
    spoil(archive, [f"{number:02d}.bmp" for number in range(21)])
    with pytest.raises(
        ScoreError, match=r"^21 of 40 real pictures cannot be read \(00\.bmp, .* and 16 more\); .*"
    ):
        kid(dataset(ZipFiles(archive)), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    # Those that were left out before count as well.
    with pytest.raises(ScoreError, match="data.max_bad=24"):
        kid(dataset(ZipFiles(archive), left_out=3), tmp_path / "cache")


def test_protocols_of_older_versions_stay_what_they_were(folder, archive, tmp_path):
    """The digest was of CRC-32 and length, of a zip as its directory has them."""
    import hashlib
    import zlib

    digest = hashlib.blake2b(b"(8, 8) 3", digest_size=16)
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        digest.update(zlib.crc32(data).to_bytes(8, "little") + len(data).to_bytes(8, "little"))
    for files in (FolderFiles(folder), ZipFiles(archive)):
        score = kid(dataset(files), tmp_path / "cache")
        assert score.protocol["data_content"] == digest.hexdigest()
        assert set(score.protocol) >= {"num_reals"} and "num_unreadable" not in score.protocol


def test_mirrored_copies_are_read_as_their_originals_are(archive, tmp_path):
    spoil(archive, ["05.bmp"])
    plain = dataset(ZipFiles(archive))
    reals = Reals(plain, XFlipped(plain), cache=FeatureCache(tmp_path))
    detector = Averages()
    once = reals.features(detector, None, with_flips=False, watch=quiet())
    both = reals.features(detector, None, with_flips=True, watch=quiet())
    assert len(once.features) == 39 and len(both.features) == 78 and once.content == both.content
    assert once.features.equal(both.features[:39]) and (once.num_unreadable, both.num_unreadable) == (1, 2)
