"""Whatever two networks are like, a transfer between them ends in a network that draws, and in a whole report."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.interop.transfer import transfer_discriminator, transfer_generator
from stylegan.interop.transfer.draft import is_constant
from tests.interop.transfer.networks import discriminator, generator

SIZES = st.sampled_from([8, 12, 16, [16, 24], [24, 16], 32])
ACTIVATIONS = st.sampled_from(["lrelu", "linear", "relu"])
SHARED = {
    "resolution": SIZES,
    "channels": st.integers(1, 5),
    "c_dim": st.integers(0, 3),
    "channel_base": st.sampled_from([64, 128, 256]),
    "channel_max": st.sampled_from([4, 8, 12]),
    "architecture": st.sampled_from(["skip", "resnet", "orig"]),
    "activation": ACTIVATIONS,
    "mapping_layers": st.integers(1, 4),
    "mapping_activation": ACTIVATIONS,
    "mapping_features": st.sampled_from([None, 6]),
    "embed_features": st.sampled_from([None, 5]),
}
GENERATORS = st.fixed_dictionaries(
    {
        **SHARED,
        "z_dim": st.sampled_from([4, 8]),
        "w_dim": st.sampled_from([4, 8]),
        "use_noise": st.booleans(),
    }
)
DISCRIMINATORS = st.fixed_dictionaries(
    {**SHARED, "mbstd_channels": st.integers(0, 2), "freeze_layers": st.integers(0, 3)}
)


def check(report, new, old) -> None:
    names = {name for name in new.state_dict() if not is_constant(name)}
    assert {row.name for row in report.rows if row.status != "ignored"} == names
    assert len(report.rows) == len({row.name for row in report.rows})
    assert all(0 <= row.taken <= row.parameters for row in report.rows)
    assert all(row.taken == row.parameters for row in report.rows if row.status == "matched")
    assert all(row.note for row in report.rows if row.status == "adapted")
    assert all(value.isfinite().all() for value in new.state_dict().values())
    if old.options == new.options:
        assert all(torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items())


@given(before=GENERATORS, now=GENERATORS)
def test_generators(before, now):
    old, new = generator(**before), generator(seed=1, **now)
    check(transfer_generator(old, new), new, old)
    image = new(torch.ones(2, now["z_dim"]), torch.eye(2, now["c_dim"]) if now["c_dim"] else None)
    assert image.isfinite().all()


@given(before=DISCRIMINATORS, now=DISCRIMINATORS)
def test_discriminators(before, now):
    old, new = discriminator(**before), discriminator(seed=1, **now)
    check(transfer_discriminator(old, new), new, old)
    image = torch.ones(2, now["channels"], *new.size)
    assert new(image, torch.eye(2, now["c_dim"]) if now["c_dim"] else None).isfinite().all()
