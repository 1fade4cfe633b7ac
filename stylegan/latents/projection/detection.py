"""Detection of a face by an ONNX network of the YuNet family, whose file the user has: its five landmarks."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan.latents.projection.landmarks import Face, face_of
from stylegan.machine.text import printable

_STRIDES_PX = (8, 16, 32)
_LEAST_SCORE = 0.6
_DEFAULT_SIDE_PX = 640


def detect_face(path: Path, pixels: np.ndarray) -> Face | None:
    """The face of the highest score; None where none is found.

    Args: path: `.onnx` with outputs cls_8, obj_8, kps_8, ... of strides 8, 16 and 32, as YuNet has (OpenCV's model
      zoo). pixels: uint8 [H,W,3] RGB.
    Raises: ValueError, of one line, where onnxruntime is missing, or the file is no such network.
    """
    session = _session(path)
    entrance = session.get_inputs()[0]
    sides = [size if isinstance(size, int) else _DEFAULT_SIDE_PX for size in entrance.shape[2:]]
    batch, scale = letterbox(pixels, (sides[0], sides[1]))
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {entrance.name: batch}), strict=True))
    points = best_points(outputs, (sides[0], sides[1]), str(path))
    return None if points is None else face_of(points / scale)


def letterbox(pixels: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """uint8 [H,W,3] RGB → float32 [1,3,*size] BGR in 0..255, in the top left corner on black, and its scale."""
    height, width = pixels.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = np.asarray(Image.fromarray(pixels).resize(inner, Image.Resampling.BILINEAR))
    canvas = np.zeros((*size, 3), dtype=np.float32)
    canvas[: inner[1], : inner[0]] = resized[..., ::-1]
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]), scale


def best_points(outputs: Mapping[str, np.ndarray], size: tuple[int, int], name: str) -> np.ndarray | None:
    """The landmarks [5,2] in px of the anchor with the highest score, left first as one sees it; None below 0.6.

    Each place of a grid of `stride` px has a score, the root of class times objectness, and five offsets in strides.

    Args: outputs: {cls_8: [1,A,1], obj_8: [1,A,1], kps_8: [1,A,10], ...}. size: (height, width) of the input.
    Raises: ValueError where an output is missing or has another shape.
    """
    best, best_score = None, _LEAST_SCORE
    for stride in _STRIDES_PX:
        rows, columns = size[0] // stride, size[1] // stride
        try:
            scores = [
                np.asarray(outputs[f"{kind}_{stride}"], dtype=np.float64).reshape(-1)
                for kind in ("cls", "obj")
            ]
            offsets = np.asarray(outputs[f"kps_{stride}"], dtype=np.float64).reshape(rows * columns, 5, 2)
            score = np.sqrt(np.clip(scores[0], 0, 1) * np.clip(scores[1], 0, 1)).reshape(rows * columns)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"align={printable(name)}: this is no face detector of the YuNet kind (outputs cls_8, obj_8, kps_8 and"
                " those of 16 and 32 px)"
            ) from error
        place = int(score.argmax())
        if score[place] >= best_score:
            best_score = float(score[place])
            best = (offsets[place] + (place % columns, place // columns)) * stride
    if best is None:
        return None
    # Right and left are the face's own there.
    return best if best[0, 0] <= best[1, 0] else best[[1, 0, 2, 4, 3]]


@lru_cache(maxsize=1)
def _session(path: Path):
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            f"align={printable(str(path))}: a detector needs the package onnxruntime (pip install onnxruntime);"
            " or give a file of landmarks"
        ) from error
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        # Its errors share no class of their own.
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"align={printable(str(path))}: this network cannot be opened ({printable(reason)})"
        ) from error
