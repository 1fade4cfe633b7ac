"""Files of torch.save: rosinality's, bare state dicts, lucidrains' refused, and nothing executed."""

import argparse
import json
import os
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from stylegan.interop import load_discriminator, load_generator, read_networks, rosinality, save_generator
from stylegan.interop.stored import StoredNetwork, StoredNetworks
from stylegan.networks import Discriminator, Generator
from tests.interop.rosinality_oracle import drawn, judged, mapped
from tests.interop.test_checkpoint import assert_same, filled

# As the layout has them, with few channels: `small` lets them pass for its own.
G = dict(resolution=16, z_dim=6, w_dim=6, mapping_layers=2, channel_base=64, channel_max=8, conv_clamp=7)
D = dict(resolution=16, channel_base=64, channel_max=8, conv_clamp=None, mbstd_group=2)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(rosinality, "_CHANNEL_MAX", 8)
    monkeypatch.setattr(rosinality, "_CHANNEL_BASES", (64, 32))


@pytest.fixture
def networks():
    found = {
        "generator_ema": filled(Generator(**G), 2),
        "generator": filled(Generator(**G), 1),
        "discriminator": filled(Discriminator(**D), 3),
    }
    for network in found.values():
        filters = {n: v for n, v in type(network)(**network.options).state_dict().items() if "filter" in n}
        network.load_state_dict(filters, strict=False)
    return found


def stored_of(networks, facts=None):
    return StoredNetworks(
        "memory",
        {kind: StoredNetwork(n.options, n.state_dict()) for kind, n in networks.items()},
        facts or {},
    )


def saved(path, networks, **changes):
    content = rosinality.content_of(stored_of(networks, {"kimg": "12.800"})) | changes
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def complaint(path, load=load_generator):
    with pytest.raises(ValueError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_all_comes_back_from_rosinalitys_layout(tmp_path, small, networks):
    path = saved(tmp_path / "networks.pt", networks)
    assert_same(load_generator(path), networks["generator_ema"])
    assert_same(load_discriminator(path), networks["discriminator"])
    found = read_networks(path)
    assert found.facts == {"kimg": "12.800", "layout": "rosinality"}
    state = networks["generator"].state_dict()
    assert all(torch.equal(v, state[n]) for n, v in found.networks["generator"].weights.items())


def test_a_file_of_another_program_is_known_by_its_shapes(tmp_path, small, networks):
    """As its training saves it: options in a Namespace, optimisers, nothing of ours, no mean w."""
    args = argparse.Namespace(size=16, channel_multiplier=2)
    extra = dict(args=args, g_optim={"state": {}}, ada_aug_p=0.25, latent_avg=None, stylegan_lightning=None)
    path = saved(tmp_path / "000100.pt", networks, **extra)
    generator, discriminator = load_generator(path), load_discriminator(path)
    assert generator.options["conv_clamp"] is None and generator.options["mapping_layers"] == 2
    layout = torch.load(path, weights_only=False)
    ws, images = torch.randn(3, generator.num_ws, 6), torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(generator.synthesis(ws), drawn(layout["g_ema"], ws), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(discriminator(images), judged(layout["d"], images), rtol=1e-4, atol=1e-4)
    z = torch.randn(20_000, 6, generator=torch.Generator().manual_seed(9))
    w = mapped(layout["g_ema"], z)
    error = (generator.mapping.w_avg - w.mean(0)).abs() / (w.std(0) / 100)
    assert error.max() < 5  # two means over ten thousand and more
    assert "mean over 10,000 latents" in read_networks(path).facts["w_avg"]


def test_the_mean_w_of_a_file_is_taken_also_where_each_layer_has_it(tmp_path, small, networks):
    mean = networks["generator_ema"].mapping.w_avg
    path = saved(tmp_path / "a.pt", networks, latent_avg=mean.repeat(6, 1), stylegan_lightning=None)
    assert torch.equal(load_generator(path).mapping.w_avg, mean)
    path = saved(tmp_path / "b.pt", networks, latent_avg=torch.randn(6, 6), stylegan_lightning=None)
    assert "differs from layer to layer" in complaint(path)
    path = saved(tmp_path / "c.pt", networks, latent_avg=torch.randn(5), stylegan_lightning=None)
    assert "latent_avg has the shape [5]" in complaint(path)


def test_an_older_file_without_noise_maps_has_drawn_ones(tmp_path, small, networks):
    content = rosinality.content_of(stored_of(networks))
    content["g_ema"] = {n: v for n, v in content["g_ema"].items() if "noises" not in n and "kernel" not in n}
    torch.save({"g_ema": content["g_ema"], "latent_avg": content["latent_avg"]}, tmp_path / "old.pt")
    first, second = load_generator(tmp_path / "old.pt"), load_generator(tmp_path / "old.pt")
    assert torch.equal(first.synthesis.b8.conv0.noise_const, second.synthesis.b8.conv0.noise_const)
    assert 0.7 < first.synthesis.b16.conv1.noise_const.std() < 1.3
    assert torch.equal(first.synthesis.b4.const, networks["generator_ema"].synthesis.b4.const)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda g: g.pop("conv1.activate.bias"), "it is incomplete: it lacks 'conv1.activate.bias'"),
        (lambda g: g.pop("convs.1.noise.weight"), "it lacks convs.1.noise.weight"),
        (lambda g: g.update({"label.weight": torch.zeros(1)}), "it has label.weight, which no square RGB"),
        (lambda g: g.update({"to_rgb1.bias": torch.zeros(1, 4, 1, 1)}), "to_rgb1.bias has the shape"),
        (lambda g: g.update({"convs.0.conv.blur.kernel": torch.ones(4, 4)}), "another one than [1, 3, 3, 1]"),
        (lambda g: g.update({"convs.2.conv.weight": torch.zeros(1, 5, 8, 3, 3)}), "16: 5} channels"),
    ],
)
def test_what_is_not_of_the_layout_is_named(tmp_path, small, networks, change, said):
    content = rosinality.content_of(stored_of(networks))
    change(content["g_ema"])
    torch.save({"g_ema": content["g_ema"]}, tmp_path / "bad.pt")
    assert said in complaint(tmp_path / "bad.pt")


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("generator_ema", dict(G, architecture="resnet"), "architecture=resnet (it has skip)"),
        ("generator_ema", dict(G, channels=4), "channels=4 (it has 3)"),
        ("generator_ema", dict(G, c_dim=2), "c_dim=2 (it has 0)"),
        ("generator_ema", dict(G, resolution=[16, 32]), "resolution=16x32"),
        ("generator_ema", dict(G, resolution=48), "resolution=48"),
        ("generator_ema", dict(G, z_dim=5), "z_dim=5 with w_dim=6"),
        ("generator_ema", dict(G, use_noise=False), "use_noise=False"),
        (
            "generator_ema",
            dict(G, channel_base=48),
            "channel_base=48 with channel_max=8 (it has 32 or 64 with 8)",
        ),
        ("discriminator", dict(D, architecture="skip"), "architecture=skip (it has resnet)"),
        ("discriminator", dict(D, mbstd_channels=0), "mbstd_channels=0 (it has 1)"),
    ],
)
def test_options_that_the_layout_lacks_are_named(small, kind, options, named):
    network = (Generator if kind == "generator_ema" else Discriminator)(**options)
    with pytest.raises(ValueError) as caught:
        rosinality.content_of(stored_of({kind: network}))
    assert named in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [7, {"resolution": 16, "z_dim": 4, "magic": 1}, {"z_dim": 4, "resolution": 4}]
)
def test_damaged_options_of_our_own_are_one_line(tmp_path, small, networks, options):
    kept = rosinality.content_of(stored_of(networks))["stylegan_lightning"]
    kept = kept | {"generator_ema": {"options": options}}
    path = saved(tmp_path / "kept.pt", networks, stylegan_lightning=kept)
    if options == 7:  # passed over
        assert load_generator(path).options["conv_clamp"] is None
    else:
        complaint(path)


def test_what_its_programs_do_otherwise_is_said(networks):
    lost = {kind: rosinality.lost_options(network) for kind, network in stored_of(networks).networks.items()}
    assert "conv_clamp 7" in lost["generator"][0] and "mbstd_group 2" in lost["discriminator"][0]


GENERATORS = [
    dict(resolution=16, z_dim=5, w_dim=6, mapping_layers=3, channel_base=100, channel_max=9),
    dict(resolution=[8, 16], z_dim=5, c_dim=3, w_dim=6, mapping_layers=1, channel_base=64, channel_max=4),
    dict(resolution=16, channels=4, z_dim=4, w_dim=4, architecture="resnet", channel_base=64, channel_max=8),
    dict(resolution=8, channels=1, z_dim=4, w_dim=4, architecture="orig", channel_base=32, channel_max=16),
    dict(resolution=8, z_dim=4, w_dim=4, use_noise=False, mapping_features=7, channel_base=32, channel_max=4),
    dict(resolution=8, z_dim=4, w_dim=4, resample_taps=[1, 2, 1], channel_base=32, channel_max=4),
]
DISCRIMINATORS = [
    dict(resolution=16, channel_base=100, channel_max=9),
    dict(resolution=16, c_dim=3, cmap_dim=5, mapping_layers=2, channel_base=64, channel_max=8),
    dict(resolution=8, channels=4, architecture="skip", channel_base=32, channel_max=4, mbstd_channels=2),
    dict(resolution=8, architecture="orig", channel_base=32, channel_max=4, mbstd_channels=0),
]


@pytest.mark.parametrize("options", GENERATORS)
@pytest.mark.parametrize("wrap", ["bare", "state_dict", "G_ema", "module."])
def test_a_state_dict_of_a_generator_tells_its_options(tmp_path, options, wrap):
    network = Generator(**options).eval()
    weights = network.state_dict()
    if wrap == "module.":
        weights = {f"module.{name}": value for name, value in weights.items()}
    torch.save(weights if wrap in ("bare", "module.") else {wrap: weights, "epoch": 7}, tmp_path / "g.pth")
    loaded = load_generator(tmp_path / "g.pth")
    z, c = torch.randn(2, network.z_dim), torch.eye(max(1, network.c_dim))[:1].expand(2, -1)
    c = c if network.c_dim else None
    assert loaded.size == network.size and loaded.c_dim == network.c_dim
    assert torch.equal(loaded(z, c), network(z, c))


@pytest.mark.parametrize("options", DISCRIMINATORS)
def test_a_state_dict_of_a_discriminator_tells_its_options(tmp_path, options):
    network = Discriminator(**options).eval()
    torch.save({"D": network.state_dict()}, tmp_path / "d.pt")
    loaded = load_discriminator(tmp_path / "d.pt")
    images = torch.randn(4, network.channels, *network.size)
    c = torch.eye(3)[[0, 1, 2, 0]] if network.c_dim else None
    assert torch.equal(loaded(images, c), network(images, c))
    assert "mbstd_group 4" in read_networks(tmp_path / "d.pt").facts["assumed"]


def test_lucidrains_networks_are_refused_and_why(tmp_path):
    weights = {"G.blocks.0.to_style1.weight": torch.zeros(4, 4), "S.net.0.weight": torch.zeros(4, 4)}
    torch.save({"GAN": weights, "version": "1.8.9"}, tmp_path / "model_1.pt")
    assert "lucidrains/stylegan2-pytorch, whose generator is another function" in complaint(
        tmp_path / "model_1.pt"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3}, "it holds no networks under a known name (it has epoch)"),
        ([torch.zeros(1)], "it holds a list"),
        ({"layer.weight": torch.zeros(1)}, "names of no StyleGAN2 network that is known here: layer.weight"),
        ({"g_ema": {"conv1.conv.weight": torch.zeros(1)}}, "it is incomplete"),
        ({"b4.out.weight": torch.zeros(1), "b4.conv.weight": torch.zeros(1)}, "it has one block alone"),
        (
            dict.fromkeys(
                ["b4.out.weight", "b4.conv.weight", "b4.conv.bias", "b8.conv0.bias"], torch.zeros([])
            ),
            "shapes are those of no network",
        ),
        (
            {"g_ema": {"conv1.conv.weight": torch.zeros(1).expand(10**6, 10**6)}},
            "a tensor of the shape [1000000, 1000000] in a storage of 1 numbers",
        ),
        ({"g": {"b4.out.weight": torch.zeros(1)}}, "names of no StyleGAN2"),
        ({"format_version": 1}, "give it its ending .ckpt"),
    ],
)
def test_other_content_is_one_line(tmp_path, content, said):
    torch.save(content, tmp_path / "x.pt")
    assert said in complaint(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"z_dim": 10**9}, "do not fit the generator"),
        ({"mapping_layers": 10**9}, "1,000,000,000 mapping layers, which the weights lack"),
        ({"channel_base": 10**12}, "channel_base has no value that it can have: 1000000000000"),
        ({"channel_base": 10**9}, "do not fit the generator"),
        ({"magic": 1}, "the generator has no option magic in this version"),
    ],
)
def test_options_larger_than_the_weights_take_no_memory(tmp_path, small, networks, options, said):
    network = networks["generator_ema"]
    config = json.dumps(network.options | {"channel_max": 10**9} | options)
    header = {"format_version": "1", "config": config}
    save_file(network.state_dict(), tmp_path / "x.safetensors", metadata=header)
    assert said in complaint(tmp_path / "x.safetensors")


def test_one_weight_under_many_names_takes_no_memory(tmp_path):
    """A file of 1 MB, whose network would have 300 MB."""
    network = Generator(resolution=8, z_dim=512, w_dim=512, mapping_layers=2, channel_base=16, channel_max=4)
    weights = {name: value for name, value in network.state_dict().items() if ".fc" not in name}
    wide, bias = torch.zeros(512, 512), torch.zeros(512)
    for index in range(300):
        weights |= {f"mapping.fc{index}.weight": wide, f"mapping.fc{index}.bias": bias}
    torch.save({"g_ema": weights}, tmp_path / "many.pt")
    assert (tmp_path / "many.pt").stat().st_size < 3e6
    with pytest.raises(ValueError, match="many of them are the same numbers"):
        load_generator(tmp_path / "many.pt")


def test_a_dictionary_that_holds_itself_has_an_end(tmp_path):
    content = {"G": torch.zeros(1)}
    content |= {"g_ema": content, "model": {"d": content}}
    torch.save(content, tmp_path / "x.pt")
    assert "it holds no networks under a known name" in complaint(tmp_path / "x.pt")


def test_nothing_in_a_file_is_executed(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    torch.save({"g_ema": Harmful()}, tmp_path / "x.pt")
    torch.save(
        {"args": argparse.Namespace(x=Harmful())}, tmp_path / "y.pt", _use_new_zipfile_serialization=False
    )
    for name in ("x.pt", "y.pt"):
        assert (
            "is not read: it names posix.mkdir, which no StyleGAN2 network needs; nothing in it was run"
            in complaint(tmp_path / name)
        )
    assert not (tmp_path / "harmed").exists()


@pytest.fixture(scope="module")
def bytes_of_files(tmp_path_factory):
    """A small network as a `.pt` of both layouts of torch and as a `.safetensors`; where its table of contents is."""
    folder = tmp_path_factory.mktemp("files")
    network = filled(
        Generator(resolution=8, z_dim=2, w_dim=2, mapping_layers=1, channel_base=8, channel_max=2), 1
    )
    torch.save({"G_ema": network.state_dict()}, folder / "zip.pt")
    torch.save({"G_ema": network.state_dict()}, folder / "old.pt", _use_new_zipfile_serialization=False)
    save_generator(folder / "x.safetensors", network)
    with zipfile.ZipFile(folder / "zip.pt") as archive:
        table = next(entry for entry in archive.infolist() if entry.filename.endswith("data.pkl"))
    places = {
        "zip.pt": (table.header_offset, table.file_size),
        "old.pt": (0, 3000),
        "x.safetensors": (0, 3000),
    }
    return {name: ((folder / name).read_bytes(), place) for name, place in places.items()}


@pytest.mark.parametrize("name", ["zip.pt", "old.pt", "x.safetensors"])
@given(data=st.data())
def test_any_damage_is_one_line_or_none(bytes_of_files, name, data):
    content, (start, length) = bytes_of_files[name]
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(start, min(start + length, len(content) - 1)))
        damaged[place] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(damaged)
        try:
            load_generator(path)
        except ValueError as error:
            assert "\n" not in str(error) and str(path) in str(error)


@pytest.mark.parametrize("kept", [0, 20, -100])
def test_a_file_cut_short_is_one_line(tmp_path, small, networks, kept):
    path = saved(tmp_path / "networks.pt", networks)
    path.write_bytes(path.read_bytes()[:kept])
    assert "is not read: it is" in complaint(path)
