"""Alignment of faces as in FFHQ: a turned square around eyes and mouth is cut out, with mirrored borders."""

import hashlib
import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from stylegan.latents.projection.detection import detect_face
from stylegan.latents.projection.landmarks import Face, face_for, read_landmarks
from stylegan.latents.projection.pictures import Decode
from stylegan.machine.files import expanded
from stylegan.machine.text import printable
from stylegan.sizes import Size

_SCHEME = "ffhq"
# Of the side of the square: what is mirrored at most, what may be beyond the square, and the blur of what is mirrored.
_MIRRORED, _BORDER, _BLUR = 0.3, 0.1, 0.02
# The square is warped at so many times the side that is wanted, and averaged down.
_OVERSAMPLING = 4
_MOST_WARPED_PX = 4096


class Alignment:
    """`ffhq:landmarks.json` or `ffhq:detector.onnx`: how faces are cut out.

    Raises: ValueError that names the value, the file and the right form.
    """

    def __init__(self, text: str):
        scheme, _, rest = str(text).partition(":")
        if scheme.strip().lower() != _SCHEME or not rest.strip():
            raise ValueError(
                f"align={printable(str(text))}: write ffhq: and a file of landmarks, or an ONNX face detector, as in"
                " align=ffhq:landmarks.json"
            )
        self.path = expanded(rest.strip(), key="align")
        if not self.path.is_file():
            raise ValueError(f"align={printable(str(text))}: there is no file {printable(str(self.path))}")
        self._faces = None if self.path.suffix.lower() == ".onnx" else read_landmarks(self.path)

    def face(self, picture: Path, pixels: np.ndarray) -> Face:
        """The face in a picture. Args: pixels: uint8 [H,W,3], upright.

        Raises: ValueError that names the picture where there is none.
        """
        if self._faces is not None:
            return face_for(self._faces, picture, str(self.path))
        face = detect_face(self.path, pixels)
        if face is None:
            raise ValueError(
                f"align={printable(str(self.path))}: no face was found in {printable(picture.name)}"
            )
        return face

    def cut(self, picture: Path, data: bytes, decode: Decode, *, size: Size, channels: int) -> np.ndarray:
        """The face of an encoded picture as the network takes it: uint8 [channels, *size].

        Raises: ValueError that says what is wrong.
        """
        upright = _upright(decode, data)
        square = warp(Image.fromarray(upright), face_quad(self.face(picture, upright)), max(size))
        return decode(_png_of(square), size=size, channels=channels)

    def cut_mask(self, picture: Path, mask: bytes, decode: Decode, *, size: Size) -> np.ndarray:
        """What lies over the face in an encoded mask of the whole picture: uint8 [1, *size].

        Raises: ValueError that says what is wrong.
        """
        try:
            upright = _upright(decode, picture.read_bytes())
        except OSError as error:
            raise ValueError(f"{printable(str(picture))} cannot be read") from error
        height, width = upright.shape[:2]
        over = Image.fromarray(_upright(decode, mask)).resize((width, height), Image.Resampling.BILINEAR)
        square = warp(over, face_quad(self.face(picture, upright)), max(size))
        return decode(_png_of(square), size=size, channels=1)

    def text(self, picture: Path) -> str:
        """What decides where the face of a picture is: the file's name, and a digest of its landmarks or the detector.

        Raises: ValueError where it has none.
        """
        if self._faces is None:
            digest = _digest_of(self.path)
        else:
            points = np.stack([*vars(face_for(self._faces, picture, str(self.path))).values()])
            digest = hashlib.sha256(points.astype("<f8").tobytes()).hexdigest()
        return f"{_SCHEME}:{self.path.name} {digest[:16]}"


def _upright(decode: Decode, data: bytes) -> np.ndarray:
    """The whole of an encoded picture, uint8 [H,W,3]."""
    return np.ascontiguousarray(decode(data, size=None, channels=3).transpose(1, 2, 0))


def _png_of(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    return encoded.getvalue()


@lru_cache(maxsize=1)
def _digest_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def face_quad(face: Face) -> np.ndarray:
    """The corners of the square that is cut out, [4,2] in px: top left, bottom left, bottom right, top right.

    Source: Karras et al. 2019 (StyleGAN), appendix C, after Karras et al. 2018 (progressive growing), appendix C.
    """
    eyes = (face.left_eye + face.right_eye) / 2
    across = face.right_eye - face.left_eye
    down = (face.left_mouth + face.right_mouth) / 2 - eyes
    x = across - np.array([-down[1], down[0]])
    x /= max(np.hypot(*x), 1e-12)
    x *= max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    y = np.array([-x[1], x[0]])
    center = eyes + 0.1 * down
    return np.stack([center - x - y, center - x + y, center + x + y, center + x - y])


def warp(image: Image.Image, quad: np.ndarray, side: int) -> Image.Image:
    """The square `quad` [4,2] of an RGB image → an upright one of `side` px.

    What is beyond the picture's border is its mirror image, blurred and fading to the picture's median.
    """
    length = float(np.hypot(*(quad[3] - quad[0])))
    image, quad, length = _shrunk(image, quad, length, side)
    image, quad = _cropped(image, quad, length)
    image, quad = _padded(image, quad, length)
    fine = min(_MOST_WARPED_PX, side * _OVERSAMPLING)
    corners = tuple((quad + 0.5).flatten())
    warped = image.transform((fine, fine), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    return warped if fine == side else warped.resize((side, side), Image.Resampling.LANCZOS)


def _shrunk(image: Image.Image, quad: np.ndarray, length: float, side: int):
    """Where the square is many times larger than what is wanted, bilinear sampling would skip pixels."""
    factor = int(np.floor(length / side * 0.5))
    if factor <= 1:
        return image, quad, length
    smaller = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
    scale = np.array([smaller[0] / image.width, smaller[1] / image.height])
    return image.resize(smaller, Image.Resampling.LANCZOS), quad * scale, length / factor


def _cropped(image: Image.Image, quad: np.ndarray, length: float):
    border = max(3, round(length * _BORDER))
    low = np.floor(quad.min(0)).astype(int) - border
    high = np.ceil(quad.max(0)).astype(int) + border
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(high, image.size)
    if right - left < 2 or bottom - top < 2:
        raise ValueError("the landmarks are outside of the picture")
    return image.crop((left, top, right, bottom)), quad - (left, top)


def _padded(image: Image.Image, quad: np.ndarray, length: float):
    """Mirrored where the square is beyond the border; the further from it, the more blurred, and nearer the median."""
    border = max(3, round(length * _BORDER))
    low = np.floor(quad.min(0)).astype(int) - border
    high = np.ceil(quad.max(0)).astype(int) + border
    before = np.maximum(-low, 0)
    after = np.maximum(high - np.array(image.size), 0)
    if max(*before, *after) <= border:
        return image, quad
    least = round(length * _MIRRORED)
    before, after = np.maximum(before, least), np.maximum(after, least)
    pixels = np.asarray(image, dtype=np.float32)
    widths = ((before[1], after[1]), (before[0], after[0]))
    padded = np.pad(pixels, (*widths, (0, 0)), mode="reflect" if min(pixels.shape[:2]) > 1 else "edge")
    height, width = padded.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    # 0 at the border of the picture, 1 at that of what was added; inside, below 0.
    outside = (
        1
        - np.minimum(
            np.minimum(_share(columns, before[0]), _share(width - 1 - columns, after[0])),
            np.minimum(_share(rows, before[1]), _share(height - 1 - rows, after[1])),
        )[..., None]
    )
    blur = ImageFilter.GaussianBlur(length * _BLUR)
    blurred = np.asarray(Image.fromarray(padded.round().astype(np.uint8)).filter(blur), dtype=np.float32)
    padded += (blurred - padded) * np.clip(outside * 3 + 1, 0, 1)
    padded += (np.median(padded, axis=(0, 1)) - padded) * np.clip(outside, 0, 1)
    return Image.fromarray(np.clip(np.rint(padded), 0, 255).astype(np.uint8)), quad + before


def _share(distance: np.ndarray, width: int) -> np.ndarray:
    """How far a place is from the outer border, in widths of what was added there; above 1 = in the picture."""
    return distance / max(1, width)
