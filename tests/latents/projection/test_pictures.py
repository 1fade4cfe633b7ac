"""Which files a path means, their masks, and pictures that cannot be read."""

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.cli.generate import decode_picture
from stylegan.latents.projection.pictures import find_pictures, read_mask, read_target


def write(path, color="red", size=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **options)
    return path


def test_a_folder_means_its_pictures_by_name(tmp_path):
    for name in ("b.png", "a.jpg", ".hidden.png", "below/c.png"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("hello")
    assert [picture.name for picture in find_pictures(tmp_path)] == ["a", "b"]
    assert [picture.name for picture in find_pictures(tmp_path / "b.png")] == ["b"]


def test_files_of_one_stem_have_names_of_their_own(tmp_path):
    for name in ("a.jpg", "a.png", "b.png"):
        write(tmp_path / name)
    assert [picture.name for picture in find_pictures(tmp_path)] == ["a-jpg", "a-png", "b"]
    write(tmp_path / "a-png.bmp")
    with pytest.raises(ValueError, match="several pictures would be called a-png"):
        find_pictures(tmp_path)


def test_masks_are_named_as_the_pictures_or_one_for_all(tmp_path):
    for name in ("in/a.jpg", "in/b.png", "masks/a.png", "masks/b.png", "one.png"):
        write(tmp_path / name)
    assert [picture.mask.name for picture in find_pictures(tmp_path / "in", tmp_path / "masks")] == [
        "a.png",
        "b.png",
    ]
    assert {picture.mask.name for picture in find_pictures(tmp_path / "in", tmp_path / "one.png")} == {
        "one.png"
    }
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(ValueError, match=r"masks=.*no mask named as b\.png"):
        find_pictures(tmp_path / "in", tmp_path / "masks")


@pytest.mark.parametrize("path", ["nothing", "empty"])
def test_where_there_are_none_it_is_said(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=f"^target=.*{path}"):
        find_pictures(tmp_path / path)


def test_targets_are_decoded_as_data_are(tmp_path):
    """Turned as EXIF says, cut to the middle, and with as many channels as the network has."""
    image = Image.new("RGB", (16, 8), "red")
    image.paste("blue", (8, 0, 16, 8))
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(tmp_path / "a.png", exif=turned)
    (picture,) = find_pictures(tmp_path / "a.png")
    pixels = read_target(picture, decode_picture, size=(8, 8), channels=3)
    assert pixels.dtype == torch.uint8
    # Turned by 90 degrees to the right, red is above blue.
    assert pixels[:, 0, 4].tolist() == [255, 0, 0] and pixels[:, 7, 4].tolist() == [0, 0, 255]
    assert read_target(picture, decode_picture, size=(8, 8), channels=2)[1].min() == 255
    assert read_target(picture, decode_picture, size=None, channels=1).shape == (1, 16, 8)


def test_masks_are_grey_in_0_to_1(tmp_path):
    write(tmp_path / "a.png")
    Image.fromarray(np.full((8, 8), 51, np.uint8)).save(tmp_path / "mask.png")
    (picture,) = find_pictures(tmp_path / "a.png", tmp_path / "mask.png")
    torch.testing.assert_close(read_mask(picture, decode_picture, size=(4, 4)), torch.full((1, 4, 4), 0.2))
    assert read_mask(find_pictures(tmp_path / "a.png")[0], decode_picture, size=(4, 4)) is None


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    write(tmp_path / "b.png", "black")
    (bad,) = find_pictures(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"^target=.*a\.png: this picture cannot be read") as caught:
        read_target(bad, decode_picture, size=(8, 8), channels=3)
    assert "\n" not in str(caught.value)
    (black,) = find_pictures(tmp_path / "b.png", tmp_path / "b.png")
    with pytest.raises(ValueError, match="nothing of the picture counts"):
        read_mask(black, decode_picture, size=(8, 8))
