"""Landmarks of faces: eyes and mouth from files of 5 or 68 points a picture, in JSON, CSV or plain text."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from stylegan.machine.text import printable

# Of the 68 points of the iBUG scheme, counted from 0.
_LEFT_EYE, _RIGHT_EYE, _LEFT_CORNER, _RIGHT_CORNER = slice(36, 42), slice(42, 48), 48, 54
# What a face may be called in JSON.
_NAMES = ("file", "file_name", "filename", "image", "name", "path")
_POINTS = ("landmarks", "points", "keypoints", "face_landmarks")


@dataclass(frozen=True)
class Face:
    """Four places in an upright picture, (x, y) in px from its top left corner; left and right as one sees them."""

    left_eye: np.ndarray
    right_eye: np.ndarray
    left_mouth: np.ndarray
    right_mouth: np.ndarray


def face_of(points: Sequence[Sequence[float]] | np.ndarray) -> Face:
    """A face from 5 points (left eye, right eye, nose, left and right corner of the mouth) or the 68 of iBUG, [P,2].

    Raises: ValueError for another number of points, what is no number, or a face without extent.
    """
    try:
        places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise ValueError("landmarks must be numbers, x and y of each point") from error
    if not np.isfinite(places).all():
        raise ValueError("landmarks must be finite numbers")
    if len(places) == 68:
        eyes = places[_LEFT_EYE].mean(0), places[_RIGHT_EYE].mean(0)
        face = Face(*eyes, places[_LEFT_CORNER], places[_RIGHT_CORNER])
    elif len(places) == 5:
        face = Face(places[0], places[1], places[3], places[4])
    else:
        raise ValueError(f"a face has 5 or 68 landmarks, got {len(places)}")
    if math.dist(face.left_eye, face.right_eye) < 1e-6:
        raise ValueError("both eyes are in one place")
    return face


def read_landmarks(path: Path) -> dict[str, Face]:
    """The faces of a file, by the name of the picture.

    JSON: `{"fox.jpg": [[x, y], ...]}`, or a list of objects with `file` and `landmarks`. CSV and text: a line a
    picture, its name and x y of each point; a line without numbers is a heading.

    Raises: ValueError that names the file, the line or entry, and what is wrong with it.
    """
    shown = f"align={printable(str(path))}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{shown}: the landmarks cannot be read ({reason})") from error
    rows = (
        _json_rows(text, shown) if path.suffix.lower() == ".json" else _text_rows(text, path.suffix.lower())
    )
    faces = {}
    for where, name, points in rows:
        try:
            faces[_file_name(name)] = face_of(points)
        except ValueError as error:
            raise ValueError(f"{shown}: {where} ({printable(name[:60])}): {error}") from error
    if not faces:
        raise ValueError(f"{shown}: it holds no landmarks")
    return faces


def face_for(faces: Mapping[str, Face], picture: Path, source: str) -> Face:
    """The face of a picture, by its name with or without the ending.

    Raises: ValueError that names the picture where it has none.
    """
    by_stem = {PurePosixPath(name).stem: face for name, face in faces.items()}
    face = faces.get(picture.name) or by_stem.get(picture.stem)
    if face is None:
        raise ValueError(f"align={printable(source)}: it has no landmarks of {printable(picture.name)}")
    return face


def _file_name(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _json_rows(text: str, shown: str) -> Iterable[tuple[str, str, object]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{shown}: this is no JSON ({' '.join(str(error).split())})") from error
    if isinstance(found, dict):
        return [("the entry", str(name), _points_in(value)) for name, value in found.items()]
    if not isinstance(found, list):
        raise ValueError(f"{shown}: expected an object of names, or a list")
    rows = []
    for number, entry in enumerate(found):
        name = next((entry[key] for key in _NAMES if key in entry), None) if isinstance(entry, dict) else None
        if name is None:
            raise ValueError(
                f"{shown}: entry {number} has no name of a picture under {', '.join(_NAMES[:3])}"
            )
        rows.append((f"entry {number}", str(name), _points_in(entry)))
    return rows


def _points_in(value: object) -> object:
    """The points in an entry: the value itself, or what it has under one of the usual names."""
    for _ in range(3):
        if not isinstance(value, dict):
            break
        value = next((value[key] for key in _POINTS if key in value), None)
    return value


def _text_rows(text: str, suffix: str) -> Iterable[tuple[str, str, object]]:
    for number, line in enumerate(text.splitlines(), start=1):
        words = next(csv.reader([line]), []) if suffix == ".csv" or "," in line else line.split()
        words = [word.strip() for word in words if word.strip()]
        if len(words) < 2 or words[0].startswith("#"):
            continue
        # Names may have blanks in them where blanks divide; numbers stand at the end.
        count = next((len(words) - i for i in range(len(words)) if all(map(_is_number, words[i:]))), 0)
        count = _whole_face(count, words)
        if not count:
            if number == 1:
                continue
            yield f"line {number}", " ".join(words), words[1:]
            continue
        yield f"line {number}", " ".join(words[:-count]), [float(word) for word in words[-count:]]


def _whole_face(count: int, words: Sequence[str]) -> int:
    """How many of the numbers at the end are coordinates: a name may be a number, too."""
    for coordinates in (136, 10):
        if count >= coordinates and len(words) > coordinates:
            return coordinates
    return min(count, len(words) - 1)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
