"""Batches that a loader of one's own gives: right ones pass, wrong ones are one line with what is wanted."""

from types import SimpleNamespace

import pytest
import torch

from stylegan.training.batch_check import BatchCheck, images_and_labels

IMAGES = torch.randint(0, 256, (4, 3, 8, 16), dtype=torch.uint8)
ONE_HOT = torch.eye(5)[:4]


def check(c_dim=0):
    return BatchCheck(SimpleNamespace(channels=3, size=(8, 16)), SimpleNamespace(c_dim=c_dim), batch_size=4)


@pytest.mark.parametrize(
    ("images", "labels", "c_dim"),
    [
        (IMAGES, None, 0),
        (IMAGES, torch.zeros(4, 0), 0),
        (IMAGES, torch.arange(4), 0),  # unused
        (IMAGES, ONE_HOT, 5),
        (IMAGES.double() / 127.5 - 1, None, 0),
        (torch.full((4, 3, 8, 16), 1.3), None, 0),
    ],
)
def test_right_batches_pass_in_silence(images, labels, c_dim, capsys):
    check(c_dim)(images, labels)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("images", "labels", "c_dim", "message"),
    [
        (IMAGES[:3], None, 0, "^the data gave 3 images, batch_size is 4; .*drop_last=True$"),
        (IMAGES.repeat(2, 1, 1, 1), None, 0, "^the data gave 8 images, batch_size is 4$"),
        (
            IMAGES.movedim(1, -1),
            None,
            0,
            r"must be \[n,3,8,16\] for .* 3 channels and .*, got \[4, 8, 16, 3\]",
        ),
        (IMAGES[:, :1], None, 0, r"got \[4, 1, 8, 16\]"),
        (IMAGES.float(), None, 0, "floats must be in -1 to 1, got 0 to 255; or give uint8$"),
        (IMAGES.long(), None, 0, "uint8 in 0 to 255, or floats in -1 to 1, got torch.int64"),
        (IMAGES, None, 5, r"^labels must be \[n,5\], got none"),
        (IMAGES, torch.arange(4), 5, r"got \[4\]; .*one_hot\(numbers, 5\)"),
        (IMAGES, ONE_HOT[:, :4], 5, r"got \[4, 4\]"),
    ],
)
def test_wrong_batches_are_named_with_what_is_wanted(images, labels, c_dim, message):
    with pytest.raises(ValueError, match=message):
        check(c_dim)(images, labels)


def test_floats_from_0_to_1_are_reported_once(capsys):
    one = check()
    for _ in range(2):
        one(IMAGES / 255, None)
    assert capsys.readouterr().out.count("they should be in -1 to 1") == 1


@pytest.mark.parametrize("batch", [IMAGES, [IMAGES], (IMAGES,), (IMAGES, ONE_HOT), [IMAGES, ONE_HOT]])
def test_a_batch_is_images_with_labels_or_alone(batch):
    images, labels = images_and_labels(batch)
    assert images is IMAGES and (labels is None or labels is ONE_HOT)


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        ({"image": IMAGES, "label": ONE_HOT}, "a dict with image, label$"),
        ((IMAGES, ONE_HOT, ONE_HOT), "a tuple$"),
        ([], "a list$"),
        (["a", "b"], "a list$"),
        (None, "a NoneType$"),
    ],
)
def test_any_other_batch_is_refused(batch, got):
    with pytest.raises(ValueError, match=rf"^a batch must be \(images, labels\), or images alone, got {got}"):
        images_and_labels(batch)
