from stylegan.features.detector import Detector, HasEmbedding, HasProbabilities
from stylegan.features.registry import open_detector

__all__ = ["Detector", "HasEmbedding", "HasProbabilities", "open_detector"]
