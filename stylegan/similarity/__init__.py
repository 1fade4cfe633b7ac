"""Similarity of images: nearest neighbours, near duplicates, blends, and the thumbnails they are found on."""

from stylegan.similarity.blends import Pairs, best_pairs
from stylegan.similarity.duplicates import (
    are_twins,
    closest_pairs,
    first_of_equals,
    groups_of_equals,
    nearest_others,
)
from stylegan.similarity.neighbours import Neighbours, nearest, nearest_features
from stylegan.similarity.thumbnails import as_seen, blurred, shrunk, thumbnails

__all__ = [
    "Neighbours",
    "Pairs",
    "are_twins",
    "as_seen",
    "best_pairs",
    "blurred",
    "closest_pairs",
    "first_of_equals",
    "groups_of_equals",
    "nearest",
    "nearest_features",
    "nearest_others",
    "shrunk",
    "thumbnails",
]
