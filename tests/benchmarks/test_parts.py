"""Every operation has a kind, and a work's parts are all of it."""

import json
import time

import pytest
import torch

from benchmarks.parts import KINDS, _watched, kind_of, main, parts_of
from benchmarks.settings import Setting
from stylegan.ops import setup_filter, upsample2d

SMALL = Setting("small", resolution=8, preset="tiny", batch=4, precision="fp32")


def kinds_in(work):
    with torch.profiler.profile(record_shapes=True) as profiler:
        work()
    events = profiler.key_averages(group_by_input_shape=True)
    return {kind_of(event.key, event.input_shapes) for event in events}


@pytest.mark.parametrize("transposed", [False, True])
def test_dense_convolutions_are_no_filters_forwards_and_backwards(transposed):
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    w = torch.randn(8, 8, 3, 3, requires_grad=True)
    convolution = torch.conv_transpose2d if transposed else torch.conv2d
    found = kinds_in(lambda: convolution(x, w).sum().backward())
    assert "convolutions" in found and "filters" not in found


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_without_onednn_are_convolutions(transposed):
    x, w = torch.randn(2, 8, 6, 6, requires_grad=True), torch.randn(8, 8, 3, 3, requires_grad=True)
    convolution = torch.conv_transpose2d if transposed else torch.conv2d
    with torch.backends.mkldnn.flags(enabled=False), torch.profiler.profile(record_shapes=True) as profiler:
        convolution(x, w).sum().backward()
    events = profiler.key_averages(group_by_input_shape=True)
    # By their time, under any names that torch gives them here: the outer `aten::conv2d` is not where it is spent.
    named = [event for event in events if "slow_conv" in event.key]
    assert named, "torch computes small convolutions by another name now"
    assert {kind_of(event.key, event.input_shapes) for event in named} == {"convolutions"}


def test_filters_are_no_convolutions_forwards_and_backwards():
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    found = kinds_in(lambda: upsample2d(x, setup_filter([1, 3, 3, 1])).sum().backward())
    assert "filters" in found and "convolutions" not in found


def test_a_image_of_one_channel_is_convolved():
    assert "convolutions" in kinds_in(lambda: torch.conv2d(torch.randn(2, 1, 6, 6), torch.randn(8, 1, 3, 3)))


def test_products_adam_and_sampling_are_distinguished():
    p = torch.randn(4, 4, requires_grad=True)
    adam = torch.optim.Adam([p], fused=True)
    p.grad = torch.randn(4, 4)
    assert "Adam" in kinds_in(adam.step)
    assert "matrix products" in kinds_in(lambda: torch.addmm(torch.zeros(4), p, p))
    image, where = torch.randn(1, 1, 4, 4), torch.zeros(1, 4, 4, 2)
    found = kinds_in(lambda: torch.nn.functional.grid_sample(image, where, align_corners=False))
    assert "augmentation's sampling" in found


def test_what_no_operation_takes_is_all_else():
    x = torch.randn(64, 64)

    def work():
        torch.mm(x, x)
        time.sleep(0.02)

    ms = _watched(work, repeats=3)
    assert ms["matrix products"] > 0 == ms["convolutions"]
    # The operation is not counted twice: both make the whole, which nothing but the sleep keeps below.
    assert 20 <= sum(ms.values()) and ms["all else"] >= 20 - ms["matrix products"]
    assert tuple(ms) == KINDS


def test_the_parts_of_each_work_are_measured():
    parts = parts_of(SMALL, torch.device("cpu"), repeats=1)
    assert set(parts) == {"Gmain", "Greg", "Dmain", "Dreg", "generate"}
    for name, ms in parts.items():
        assert tuple(ms) == KINDS
        assert ms["convolutions"] > 0 and ms["filters"] > 0 and ms["all else"] > 0
        assert (ms["Adam"] > 0) == (name != "generate")
    # Only where fakes or reals are shown to the discriminator are they augmented; R1 looks at reals.
    assert {n for n, ms in parts.items() if ms["augmentation's sampling"] > 0} == {"Gmain", "Dmain", "Dreg"}


@pytest.mark.long
def test_the_command_writes_what_it_shows(capsys, tmp_path):
    file = tmp_path / "parts.json"
    words = ["--setting", "resolution=8,preset=tiny,batch=4", "--repeats", "1", "--json", str(file)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    result = json.loads(file.read_text())
    assert set(result["milliseconds"]) == {"Gmain", "Greg", "Dmain", "Dreg", "generate"}
    for kind in KINDS:
        assert kind in shown


@pytest.mark.parametrize("words", [["--repeats", "0"], ["--setting", "C"]])
def test_a_mistake_is_said_in_one_line(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and words[-1] in capsys.readouterr().err
