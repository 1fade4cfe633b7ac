"""Which network of a file each network of a run begins with, what is refused, and what the report says."""

import json

import pytest
import torch

from stylegan import load_generator
from stylegan.interop import save_generator, save_networks
from stylegan.interop.checkpoint import read_networks
from stylegan.interop.stored import StoredNetwork, StoredNetworks
from stylegan.interop.transfer import Transfer, read_transfer
from stylegan.networks import Discriminator, Generator
from stylegan.version import FORMAT_VERSION
from tests.interop.pickle_files import pickled, small_networks, snapshot
from tests.interop.transfer.networks import discriminator, generator


def stored(**networks) -> StoredNetworks:
    kinds = {
        name: StoredNetwork(network.options, network.state_dict(), False)
        for name, network in networks.items()
    }
    return StoredNetworks("file", kinds)


def transfer(parts="G D EMA", min_matched=0.5, **networks) -> Transfer:
    return Transfer("file", "0" * 64, stored(**networks), tuple(parts.split()), min_matched)


def of_run(**options) -> dict:
    """The networks of a run, the EMA generator as a copy."""
    return {
        "generator": generator(7, **options),
        "generator_ema": generator(7, **options),
        "discriminator": discriminator(7, **options),
    }


ALL = {"generator": generator(1), "generator_ema": generator(2), "discriminator": discriminator(3)}
EMA = {"generator_ema": generator(2)}


def same(one, other) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("parts", "file", "g", "ema", "d"),
    [
        ("G D EMA", ALL, "generator", "generator_ema", "discriminator"),
        ("G D", ALL, "generator", "generator", "discriminator"),
        ("EMA D", ALL, "generator_ema", "generator_ema", "discriminator"),
        ("EMA", ALL, "generator_ema", "generator_ema", None),
        ("D", ALL, None, None, "discriminator"),
        ("G D EMA", EMA, "generator_ema", "generator_ema", None),
        ("G", EMA, "generator_ema", "generator_ema", None),
    ],
)
def test_where_weights_come_from(parts, file, g, ema, d):
    networks, begun = of_run(), of_run()
    report = transfer(parts, **file).apply(networks)
    for kind, source in (("generator", g), ("generator_ema", ema), ("discriminator", d)):
        assert same(networks[kind], file[source] if source else begun[kind]), kind
        assert bool(report.networks[kind].source) == bool(source)
    lines = list(report.lines())
    assert any("left random, no network of the file is for it" in line for line in lines) == (
        None in (g, ema, d)
    )


def test_a_file_of_nothing_that_is_asked_for_is_refused():
    with pytest.raises(ValueError, match=r"holds nothing for transfer.parts=\[D\]"):
        transfer("D", **EMA).apply(of_run())


def test_too_little_is_refused_with_the_reason_and_the_way_out():
    networks = of_run(channel_max=64, channel_base=1024)
    with pytest.raises(ValueError) as refusal:
        transfer(**ALL).apply(networks)
    line = str(refusal.value)
    assert "\n" not in line and "of the generator's parameters come from the file" in line
    assert "16 to 8 feature maps" in line and "64 to 64 feature maps" in line
    assert "set generator.channel_base=128 generator.channel_max=16 as the file has" in line
    report = transfer(min_matched=0, **ALL).apply(networks)
    (note,) = report.notes
    words = [
        f"{section}.channel_{key}"
        for section in ("generator", "discriminator")
        for key in ("base=128", "max=16")
    ]
    assert note.endswith(" ".join(words))
    assert report.networks["generator"].share < 0.5


def test_other_numbers_that_give_the_same_widths_are_no_difference():
    networks = of_run(channel_max=16, channel_base=4096, resolution=8)
    file = {"generator": generator(1, channel_base=8192, resolution=8)}
    assert transfer(**file).apply(networks).notes == ()


def test_the_report_has_every_tensor_with_its_shapes():
    networks = of_run(resolution=32, channels=4)
    report = transfer(**ALL).apply(networks)
    plain = json.loads(json.dumps(report.as_json()))
    rows = {row["name"]: row for row in plain["networks"]["generator"]["tensors"]}
    assert rows["synthesis.b16.torgb.weight"]["status"] == "adapted"
    assert rows["synthesis.b16.torgb.weight"]["before"] == "3x8x1x1"
    assert rows["synthesis.b16.torgb.weight"]["now"] == "4x8x1x1"
    assert rows["synthesis.b16.torgb.weight"]["note"] == "from 3 to 4 channels of the image"
    counted = sum(parameter.numel() for parameter in networks["generator"].parameters()) + 8  # and w_avg
    assert sum(row["parameters"] for row in rows.values()) == counted
    table = report.table()
    assert all(name in table for name in rows) and table.count("\n\n") == 3
    names = [name for name in networks["generator"].state_dict() if not name.endswith("resample_filter")]
    assert set(rows) == set(names)


def test_a_network_of_the_users_own_is_refused():
    networks = of_run() | {"discriminator": torch.nn.Linear(1, 1)}
    with pytest.raises(ValueError, match=r"needs stylegan.networks.Discriminator, and this run has Linear"):
        transfer(**ALL).apply(networks)


def test_weights_that_do_not_fit_their_options_are_one_line():
    broken = stored(generator=generator())
    weights = dict(broken.networks["generator"].weights)
    weights.pop("mapping.fc0.bias")
    networks = {"generator": StoredNetwork(generator().options, weights, False)}
    one = Transfer("file", "0" * 64, StoredNetworks("file", networks), ("G",), 0.5)
    with pytest.raises(
        ValueError, match=r"transfer.path=file: the weights do not fit .* lack mapping.fc0.bias"
    ):
        one.apply(of_run())


# Files


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "kimg0000000.012.ckpt"
    state = {
        f"{kind}.{name}": value
        for kind, network in ALL.items()
        for name, value in network.state_dict().items()
    }
    state["images_seen"] = torch.tensor(12)
    options = {"generator": ALL["generator"].options, "discriminator": ALL["discriminator"].options}
    torch.save({"format_version": FORMAT_VERSION, "state_dict": state, **options}, path)
    return path


def test_a_checkpoint_has_all_three(checkpoint):
    read = read_transfer(checkpoint, parts=["G", "D", "EMA"], min_matched=0.5)
    networks = of_run()
    report = read.apply(networks)
    assert all(same(networks[kind], network) for kind, network in ALL.items())
    assert report.facts == {"kimg": "0.012"} and len(report.sha256) == 64
    assert "kimg 0.012" in next(report.lines())


def test_a_generators_file_has_one(tmp_path):
    save_generator(tmp_path / "g.safetensors", ALL["generator_ema"])
    found = read_networks(tmp_path / "g.safetensors")
    assert list(found.networks) == ["generator_ema"]
    assert same(load_generator(tmp_path / "g.safetensors"), ALL["generator_ema"])


def test_damaged_files_are_named(checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r"^transfer.path=.*nowhere.ckpt: there is no such file or folder"):
        read_transfer(tmp_path / "nowhere.ckpt", parts=["G"], min_matched=0.5)
    checkpoint.with_name(f"{checkpoint.name}.sha256").write_text(f"{'0' * 64}  {checkpoint.name}\n")
    with pytest.raises(ValueError, match=r"^transfer.path=.*cannot be used: its checksum differs"):
        read_transfer(checkpoint, parts=["G"], min_matched=0.5)
    checkpoint.with_name(f"{checkpoint.name}.sha256").unlink()
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"^transfer.path=.*cannot be read, it may be incomplete"):
        read_transfer(checkpoint, parts=["G"], min_matched=0.5)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ValueError, match=r"^transfer.path=.*x.txt is not a network"):
        read_transfer(tmp_path / "x.txt", parts=["G"], min_matched=0.5)


def test_a_pickle_of_another_program_and_a_folder_of_several_files_give_all_they_hold(tmp_path):
    networks = small_networks()
    (tmp_path / "snapshot.pkl").write_bytes(pickled(snapshot(*networks)))
    for kind, network in zip(("generator_ema", "discriminator"), networks, strict=True):
        save_networks(tmp_path / f"{kind}.safetensors", stored(**{kind: network}))
    run = {
        "generator": Generator(**networks[0].options),
        "generator_ema": Generator(**networks[0].options),
        "discriminator": Discriminator(**networks[1].options),
    }
    for path in (tmp_path / "snapshot.pkl", tmp_path):
        began = read_transfer(path, parts=["G", "D", "EMA"], min_matched=1)
        began.apply(run)
        assert same(run["generator_ema"], networks[0]) and same(run["generator"], networks[0])
        assert same(run["discriminator"], networks[1])
        assert len(began.sha256) == 64
