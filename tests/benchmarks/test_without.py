"""What is left out changes how something is computed, and not what."""

import pytest
import torch

from benchmarks import without
from benchmarks.settings import Setting
from benchmarks.training import SHARES, Training
from benchmarks.without import LEFT_OUT, PREPARED, compared, main

CPU = torch.device("cpu")
SMALL = Setting("small", resolution=8, preset="tiny", batch=4, precision="fp32")


def after_all_phases(name):
    training = Training(SMALL, CPU)
    with LEFT_OUT[name]():
        for phase in SHARES:
            training.phase(phase)
    networks = training.module.generator, training.module.discriminator
    return torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])


@pytest.mark.parametrize("name", LEFT_OUT)
def test_the_same_is_learned_without_it(name):
    start = Training(SMALL, CPU).module
    before = torch.cat(
        [p.detach().flatten() for q in (start.generator, start.discriminator) for p in q.parameters()]
    )
    whole, without = after_all_phases("nothing"), after_all_phases(name)
    moved = (whole - before).abs().max()
    # Adam's first steps have one size; a gradient near 0 that rounds to the other side moves twice that.
    assert moved > 1e-3 and ((whole - without).abs() > 1e-5).float().mean() < 0.01


def test_a_setting_without_path_length_has_three_phases(monkeypatch):
    def interleaved(works, device, *, rounds):
        for work in works.values():
            work()
        return dict.fromkeys(works, 1.0)

    monkeypatch.setattr(without, "interleaved", interleaved)
    monkeypatch.setattr(without, "LEFT_OUT", {"nothing": LEFT_OUT["nothing"]})
    seconds = compared(
        Setting("cifar", resolution=8, preset="cifar", batch=4, precision="fp32"), CPU, rounds=1
    )
    assert set(seconds["nothing"]) == {"Gmain", "Dmain", "Dreg", "iteration", "generate"}
    shares = sum(SHARES[name] for name in ("Gmain", "Dmain", "Dreg"))
    assert seconds["nothing"]["iteration"] == pytest.approx(shares)


@pytest.mark.parametrize("rounds", ["0", "-1"])
def test_no_rounds_are_refused(capsys, rounds):
    with pytest.raises(SystemExit) as ended:
        main(["--setting", "B", "--rounds", rounds])
    assert ended.value.code == 2
    assert f"--rounds must be at least 1, got {rounds}" in capsys.readouterr().err


@pytest.mark.long
def test_all_is_compared_with_the_whole(capsys, tmp_path):
    seconds = compared(SMALL, CPU, rounds=1)
    assert set(seconds) == {*LEFT_OUT, PREPARED}
    assert set(seconds["nothing"]) == {*SHARES, "iteration", "generate"}
    assert set(seconds[PREPARED]) == {"generate"}
    assert all(value > 0 for works in seconds.values() for value in works.values())
    with pytest.raises(SystemExit) as ended:
        main(["--setting", "C"])
    assert ended.value.code == 2 and "C is neither one of A, B" in capsys.readouterr().err
