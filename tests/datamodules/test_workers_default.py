"""How many processes read pictures where nobody says."""

import pytest

from datamodules import image_datamodule
from datamodules.flowers_data import FlowersData


@pytest.mark.parametrize(
    "beside_gpu, cores, expected", [(False, 8, 0), (True, 8, 3), (True, 2, 2), (True, 1, 1)]
)
def test_three_beside_a_gpu_and_no_more_than_cores(beside_gpu, cores, expected, monkeypatch):
    monkeypatch.setattr(image_datamodule, "usable_cores", lambda: cores)
    data = FlowersData(resolution=8, batch_size=4)
    monkeypatch.setattr(data, "_beside_gpu", lambda: beside_gpu)
    assert data._num_workers() == expected
