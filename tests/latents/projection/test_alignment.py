"""Alignment of faces: landmarks from files, the square around a face in closed form, and pixels where they belong."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stylegan.cli.generate import decode_picture
from stylegan.latents.projection.alignment import Alignment, face_quad, warp
from stylegan.latents.projection.detection import best_points, detect_face, letterbox
from stylegan.latents.projection.landmarks import face_for, face_of, read_landmarks

# Eyes 20 px apart, the mouth 24 px below them: x, y.
FIVE = [(40, 30), (60, 30), (50, 40), (42, 54), (58, 54)]


def turned(points, degrees, about=(50, 42)):
    angle = math.radians(degrees)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (np.array(points, dtype=float) - about) @ rotation.T + about


def test_the_square_of_an_upright_face_in_closed_form():
    quad = face_quad(face_of(FIVE))
    # Half a side is the larger of 2.0 x 20 and 1.8 x 24; the centre a tenth of 24 below the eyes.
    half = 43.2
    expected = [
        (50 - half, 32.4 - half),
        (50 - half, 32.4 + half),
        (50 + half, 32.4 + half),
        (50 + half, 32.4 - half),
    ]
    np.testing.assert_allclose(quad, expected)


@pytest.mark.parametrize("degrees", [-120, 30, 180])
def test_a_turned_face_has_a_turned_square(degrees):
    expected = turned(face_quad(face_of(FIVE)), degrees)
    np.testing.assert_allclose(face_quad(face_of(turned(FIVE, degrees))), expected, atol=1e-9)


def test_68_points_mean_the_same_face():
    points = np.zeros((68, 2))
    points[36:42] = np.array(FIVE[0]) + [(-2, 0), (-1, -1), (1, -1), (2, 0), (1, 1), (-1, 1)]
    points[42:48] = np.array(FIVE[1]) + [(-2, 0), (-1, -1), (1, -1), (2, 0), (1, 1), (-1, 1)]
    points[48], points[54] = FIVE[3], FIVE[4]
    np.testing.assert_allclose(face_quad(face_of(points)), face_quad(face_of(FIVE)))


@pytest.mark.parametrize("degrees", [25, 90])
def test_pixels_come_from_where_the_square_is(degrees):
    """A plane of colour is a plane of colour after the warp: each pixel's value is the place it came from."""
    side = 300
    rows, columns = np.mgrid[:side, :side]
    image = Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], 2).clip(0, 255).astype(np.uint8))
    quad = face_quad(face_of(turned(np.array(FIVE) + 70, degrees, about=(120, 112))))
    found = np.asarray(warp(image, quad, 32), dtype=float)[..., :2]
    across, down = (quad[3] - quad[0]) / 32, (quad[1] - quad[0]) / 32
    places = np.arange(32) + 0.5
    expected = quad[0] + places[None, :, None] * across + places[:, None, None] * down
    assert np.abs(found - expected).max() < 1.5


def test_beyond_the_border_lies_the_mirror_image():
    """No black corners: what is added has the colours of the picture."""
    image = Image.new("RGB", (100, 80), (200, 100, 50))
    pixels = np.asarray(warp(image, face_quad(face_of(np.array(FIVE) - (35, 25))), 32), dtype=int)
    assert np.abs(pixels - (200, 100, 50)).max() <= 2


def test_a_small_square_of_a_large_picture_is_averaged():
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    quad = face_quad(face_of(np.array(FIVE) * 4 - (0, 20)))
    pixels = np.asarray(warp(Image.fromarray(noise), quad, 8), dtype=float)
    assert pixels.std() < 15


def test_landmarks_in_every_format(tmp_path):
    flat = [value for point in FIVE for value in point]
    (tmp_path / "a.json").write_text(json.dumps({"faces/fox.jpg": FIVE, "dog.png": {"landmarks": FIVE}}))
    (tmp_path / "b.json").write_text(
        json.dumps([{"file": "fox.jpg", "points": FIVE}, {"name": "dog.png", "points": FIVE}])
    )
    numbers = ",".join(map(str, flat))
    (tmp_path / "a.csv").write_text(f"file,x0,y0\nfox.jpg,{numbers}\n\n" + f"dog.png,{numbers}\n")
    blanks = " ".join(map(str, flat))
    (tmp_path / "a.txt").write_text(f"# comment\nfox.jpg {blanks}\ndog.png {blanks}\n")
    for name in ("a.json", "b.json", "a.csv", "a.txt"):
        faces = read_landmarks(tmp_path / name)
        assert set(faces) == {"fox.jpg", "dog.png"}, name
        np.testing.assert_array_equal(faces["fox.jpg"].right_mouth, FIVE[4])


def test_a_name_may_have_blanks_and_be_a_number(tmp_path):
    flat = " ".join(str(value) for point in FIVE for value in point)
    (tmp_path / "a.txt").write_text(f"my fox 1.jpg {flat}\n0042 {flat}\n")
    assert set(read_landmarks(tmp_path / "a.txt")) == {"my fox 1.jpg", "0042"}


def test_a_face_is_found_by_name_with_or_without_ending(tmp_path):
    faces = {"fox.jpg": face_of(FIVE)}
    assert face_for(faces, tmp_path / "fox.png", "x.json") is faces["fox.jpg"]
    with pytest.raises(ValueError, match=r"no landmarks of dog\.png"):
        face_for(faces, tmp_path / "dog.png", "x.json")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "no JSON"),
        ("a.json", "3", "an object of names"),
        ("a.json", "[1]", "entry 0 has no name"),
        ("a.json", '{"a": [[1, 2]]}', "5 or 68 landmarks, got 1"),
        ("a.json", '{"a": {"landmarks": "x"}}', "must be numbers"),
        ("a.json", '{"a": [[1,1],[1,1],[1,1],[1,1],[1,1]]}', "both eyes are in one place"),
        ("a.json", '{"a": [[NaN,1],[2,1],[1,1],[1,1],[1,1]]}', "finite"),
        ("a.csv", "file,x\n", "holds no landmarks"),
        ("a.txt", "fox.jpg 1 2 3 4", "line 1"),
        ("a.txt", "h\nfox.jpg nothing here", "line 2"),
    ],
)
def test_landmarks_that_are_none_are_one_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        read_landmarks(tmp_path / name)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("align=")


@given(text=st.text(max_size=200), suffix=st.sampled_from([".json", ".csv", ".txt"]))
def test_any_text_is_landmarks_or_one_line(tmp_path_factory, text, suffix):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert read_landmarks(path)
    except ValueError as error:
        assert str(error).startswith("align=")


@pytest.mark.parametrize("text", ["ffhq", "ffhq:", "faces:a.json", "ffhq:nothing.json"])
def test_align_has_one_form(text):
    with pytest.raises(ValueError, match="^align="):
        Alignment(text)


def test_a_face_comes_out_upright_with_the_channels_of_the_network(tmp_path):
    """Eyes red and blue in a picture that is turned: the red one is at the left afterwards."""
    points = turned(np.array(FIVE) + 70, 90, about=(120, 112))
    pixels = np.full((240, 240, 3), 255, dtype=np.uint8)
    for (x, y), color in zip(points[:2], [(255, 0, 0), (0, 0, 255)], strict=True):
        pixels[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6] = color
    Image.fromarray(pixels).save(tmp_path / "fox.png")
    (tmp_path / "a.json").write_text(json.dumps({"fox.png": points.tolist()}))
    path = tmp_path / "fox.png"
    alignment = Alignment(f"ffhq:{tmp_path / 'a.json'}")
    found = alignment.cut(path, path.read_bytes(), decode_picture, size=(32, 32), channels=3)
    rows, columns = np.nonzero(found[2] < 100)
    left = rows.mean(), columns.mean()
    rows, columns = np.nonzero(found[0] < 100)
    right = rows.mean(), columns.mean()
    # 20 px between the eyes of a square of 86.4 px, in 32 px.
    assert right[1] - left[1] == pytest.approx(20 / 86.4 * 32, abs=1)
    assert right[0] == pytest.approx(left[0], abs=1)
    assert alignment.cut(path, path.read_bytes(), decode_picture, size=(64, 32), channels=4).shape == (
        4,
        64,
        32,
    )


def outputs_of(size, faces):
    """What a detector says: at (stride, row, column) a score, and the offsets of five points in strides."""
    found = {}
    for stride in (8, 16, 32):
        count = (size[0] // stride) * (size[1] // stride)
        found |= {f"cls_{stride}": np.zeros((1, count, 1)), f"obj_{stride}": np.zeros((1, count, 1))}
        found |= {f"kps_{stride}": np.zeros((1, count, 10)), f"bbox_{stride}": np.zeros((1, count, 4))}
    for stride, row, column, score, points in faces:
        place = row * (size[1] // stride) + column
        found[f"cls_{stride}"][0, place] = score
        found[f"obj_{stride}"][0, place] = 1
        found[f"kps_{stride}"][0, place] = (np.array(points) / stride - (column, row)).flatten()
    return found


def test_the_face_of_the_highest_score_is_taken():
    size = (64, 96)
    other = np.array(FIVE) + 3
    outputs = outputs_of(size, [(8, 3, 4, 0.5, other), (16, 2, 3, 0.9, FIVE), (32, 0, 1, 0.7, other)])
    np.testing.assert_allclose(best_points(outputs, size, "x.onnx"), FIVE)
    mirrored = [FIVE[1], FIVE[0], FIVE[2], FIVE[4], FIVE[3]]
    np.testing.assert_allclose(
        best_points(outputs_of(size, [(16, 2, 3, 0.9, mirrored)]), size, "x.onnx"), FIVE
    )
    assert best_points(outputs_of(size, [(8, 1, 1, 0.1, FIVE)]), size, "x.onnx") is None


def test_another_network_is_no_detector():
    with pytest.raises(ValueError, match="no face detector of the YuNet kind"):
        best_points({"logits": np.zeros((1, 1000))}, (64, 64), "x.onnx")


def test_a_picture_is_laid_into_the_input_in_blue_green_red():
    pixels = np.zeros((10, 40, 3), dtype=np.uint8)
    pixels[..., 0] = 200
    batch, scale = letterbox(pixels, (32, 20))
    assert batch.shape == (1, 3, 32, 20) and scale == 0.5
    assert batch[0, :, 4, 10].tolist() == [0, 0, 200] and batch[0, :, 5:].max() == 0


def test_a_detector_gives_places_in_the_picture(monkeypatch, tmp_path):
    class Named:
        def __init__(self, name, shape=None):
            self.name, self.shape = name, shape

    class Session:
        found = outputs_of((64, 96), [(16, 2, 3, 0.9, FIVE)])

        def get_inputs(self):
            return [Named("input", [1, 3, 64, 96])]

        def get_outputs(self):
            return [Named(name) for name in self.found]

        def run(self, names, feed):
            assert feed["input"].shape == (1, 3, 64, 96)
            return [self.found[name] for name in names]

    monkeypatch.setattr("stylegan.latents.projection.detection._session", lambda path: Session())
    face = detect_face(tmp_path / "x.onnx", np.zeros((128, 192, 3), dtype=np.uint8))
    np.testing.assert_allclose(face.left_eye, np.array(FIVE[0]) * 2)


def test_without_onnxruntime_it_says_so(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="needs the package onnxruntime"):
        Alignment(f"ffhq:{tmp_path / 'x.onnx'}").face(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
