"""Metrics of images by their features: pure functions on matrices, and on a generator for path length."""

from stylegan.metrics.fid import fid, fid_bias, fid_infinity, frechet_distance
from stylegan.metrics.inception_score import inception_score
from stylegan.metrics.kid import kid, kid_full
from stylegan.metrics.kid_interval import KidScore, kid_interval
from stylegan.metrics.moments import Moments, moments_of
from stylegan.metrics.neighbours import density_coverage, precision_recall
from stylegan.metrics.path_length import path_distances, slerp, trimmed_mean

__all__ = [
    "KidScore",
    "Moments",
    "density_coverage",
    "fid",
    "fid_bias",
    "fid_infinity",
    "frechet_distance",
    "inception_score",
    "kid",
    "kid_full",
    "kid_interval",
    "moments_of",
    "path_distances",
    "precision_recall",
    "slerp",
    "trimmed_mean",
]
