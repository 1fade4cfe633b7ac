"""A run that was killed and repeated ends in exactly the bits of one that was not."""

from pathlib import Path

import pytest

from stylegan.cli.train import main
from tests.chaos.comparing import differences, num_compared
from tests.forked import run_command

SMALL = [
    *("preset=tiny", "resolution=16", "batch_size=8", "trainer=cpu", "ada.p_init=0.5", "ada.kimg=1"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("data.num_items=30", "callbacks.snapshots=null", "logger=default", "total_kimg=0.24"),
    *("callbacks.checkpoint.every_kimg=0.064", "callbacks.stats.every_kimg=0.04"),
]
KINDS = {
    "unconditional": [],
    "conditional, style mixing": ["data.labels=own", "loss.style_mixing_prob=1"],
    "bgcfnc": ["augpipe=bgcfnc"],
    "workers": ["data.workers=2"],
    "micro-batches": ["micro_batch=4"],
    "schedules, freezing": [
        *("ada=fixed", "schedules.ada.p_init={kind: linear, points: [[0,0.2],[0.2,0.8]]}"),
        "schedules={loss.r1_gamma: {kind: steps, points: [[0,0],[0.1,2]]}}",
        "schedules.optim.generator_lr={kind: cosine, points: [[0,0.002],[0.24,0]]}",
        "transfer.freeze=[{names: mapping, until_kimg: 0.16},{discriminator_layers: 2, from_kimg: 0.1}]",
    ],
    "cifar": ["preset=cifar", "generator.channel_max=8", "discriminator.mbstd_group=4"],
}


def train(place: Path, *arguments: str) -> int:
    done = run_command(main, [*SMALL, *arguments], place, path=[Path(__file__).parent])
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


@pytest.mark.parametrize(
    "kind",
    [
        # All of them take minutes; the one that covers most is run every time.
        kind if kind == "conditional, style mixing" else pytest.param(kind, marks=pytest.mark.long)
        for kind in KINDS
    ],
)
def test_killed_and_repeated_equals_never_killed(tmp_path, kind):
    arguments = KINDS[kind]
    assert train(tmp_path, "name=whole", *arguments) == 0
    # Between two checkpoints and two rows: iterations are lost, and trained again.
    kill = [
        "+callbacks.kill._target_=killing.KillAt",
        "+callbacks.kill.at_images=152",
        f"+callbacks.kill.marker={tmp_path / 'killed'}",
    ]
    assert train(tmp_path, "name=halves", *arguments, *kill) == -9
    assert train(tmp_path, "name=halves", *arguments, *kill) == 0
    whole, halves = tmp_path / "runs" / "whole", tmp_path / "runs" / "halves"
    assert num_compared(whole) > 100
    assert differences(whole, halves) == []
    assert not (halves / "run.lock").exists()


@pytest.mark.long
def test_the_comparison_can_fail(tmp_path):
    """Another seed gives other bits nearly everywhere: the comparison above is no empty one."""
    for seed in (1, 2):
        assert train(tmp_path, f"name=seed{seed}", f"seed={seed}", "total_kimg=0.016") == 0
    found = differences(tmp_path / "runs" / "seed1", tmp_path / "runs" / "seed2")
    assert len(found) > 100
