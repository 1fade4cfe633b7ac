"""Flipped bits: what decoding makes of a file in which one bit is another."""

from collections.abc import Iterable

import numpy as np

from datamodules.datasets.decoding import UNREADABLE, decode_image


def count_refused(data: bytes, places: Iterable[int], *, bit: int, pixels: np.ndarray) -> int:
    """Of all copies with `bit` flipped at one of the places, how many are refused; the others show `pixels`.

    Args: pixels: [H,W,3].
    """
    refused = 0
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= bit
        try:
            result = decode_image(bytes(damaged), size=pixels.shape[:2], channels=3).transpose(1, 2, 0)
        except UNREADABLE:
            refused += 1
        else:
            np.testing.assert_array_equal(result, pixels, err_msg=f"byte {place}")
    return refused
