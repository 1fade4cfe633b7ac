"""Networks in pickles, state dicts and unpacked zips; what is refused; that nothing is run."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan import load_discriminator, load_generator
from stylegan.interop import build
from stylegan.interop.nvidia_pickle import networks_of, read_pickle
from stylegan.interop.stored_objects import read_bytes
from stylegan.networks import Discriminator, Generator
from tests.interop.pickle_files import (
    D_OPTIONS,
    G_OPTIONS,
    SMALL_G,
    Call,
    Name,
    module_call,
    pickled,
    small_legacy,
    small_networks,
    snapshot,
)

WHOLE = pickled(snapshot(small_networks()[0]))


@pytest.fixture(scope="module")
def networks():
    return small_networks()


def write(folder, value, name="network.pkl", protocol=3):
    path = folder / name
    path.write_bytes(value if isinstance(value, bytes) else pickled(value, protocol))
    return path


def refusal(path, load=load_generator):
    with pytest.raises(ValueError) as refused:
        load(path)
    text = str(refused.value)
    assert "\n" not in text and len(text) < 600 and path.name in text
    return text


def assert_same(loaded, network):
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    state = network.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_snapshot_of_any_protocol_gives_its_networks(tmp_path, networks, protocol):
    path = write(tmp_path, snapshot(*networks), protocol=protocol)
    assert_same(load_generator(path), networks[0])
    assert_same(load_discriminator(path), networks[1])
    content = read_pickle(path)
    assert content.facts["layout"] == "snapshot"
    assert json.loads(content.facts["training_set"]) == {"path": "a.zip", "resolution": 8}
    assert content.networks["generator_ema"].options == G_OPTIONS
    assert content.networks["discriminator"].options == D_OPTIONS


def test_sizes_may_be_numpy_numbers(tmp_path, networks):
    g_options = {**G_OPTIONS, "z_dim": np.int64(4), "w_dim": np.int32(4), "img_resolution": np.uint8(8)}
    assert_same(load_generator(write(tmp_path, snapshot(networks[0], g_options=g_options))), networks[0])


def test_options_by_position(tmp_path, networks):
    g = module_call(
        networks[0],
        "Generator",
        _init_args=(4, 0, 4, 8, 1),
        _init_kwargs={key: G_OPTIONS[key] for key in ("mapping_kwargs", "synthesis_kwargs")},
    )
    assert_same(load_generator(write(tmp_path, {"G_ema": g})), networks[0])


def test_options_of_the_newer_repository(tmp_path, networks):
    synthesis = {**G_OPTIONS["synthesis_kwargs"], "fused_modconv_default": "inference_only"}
    g_options = {**G_OPTIONS, "synthesis_kwargs": synthesis}
    assert_same(load_generator(write(tmp_path, snapshot(networks[0], g_options=g_options))), networks[0])


def test_a_network_alone_and_one_without_the_other(tmp_path, networks):
    g = module_call(networks[0], "Generator", _init_args=(), _init_kwargs=G_OPTIONS)
    path = write(tmp_path, g)
    assert_same(load_generator(path), networks[0])
    assert "has no discriminator, only a generator" in refusal(path, load_discriminator)
    d = module_call(networks[1], "Discriminator", _init_args=(), _init_kwargs=D_OPTIONS)
    path = write(tmp_path, d)
    assert_same(load_discriminator(path), networks[1])
    assert "has no generator, only a discriminator" in refusal(path)


def test_the_random_generator_is_left_as_it_was(tmp_path, networks):
    path, before = write(tmp_path, snapshot(*networks)), torch.get_rng_state()
    load_generator(path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("network", [0, 1], ids=["generator", "discriminator"])
@pytest.mark.parametrize("form", ["zip", "stream", "folder", "folder in a folder", "in a dictionary"])
def test_a_bare_state_dict(tmp_path, networks, network, form):
    state, load = networks[network].state_dict(), (load_generator, load_discriminator)[network]
    path = tmp_path / "network.pt"
    if form == "in a dictionary":
        state = {"iteration": 3, ("g_ema", "d")[network]: state}
    torch.save(state, path, _use_new_zipfile_serialization=form != "stream")
    if form.startswith("folder"):
        zipfile.ZipFile(path).extractall(tmp_path / "unpacked")
        path.unlink()
        path = tmp_path / "unpacked"
        if form == "folder":
            (path,) = path.iterdir()
    assert_same(load(path), networks[network])


@pytest.mark.parametrize(
    "options",
    [
        dict(
            architecture="resnet",
            use_noise=False,
            c_dim=3,
            embed_features=5,
            mapping_layers=3,
            mapping_features=6,
        ),
        dict(architecture="orig", resolution=32, channel_base=100, channel_max=9, channels=4),
        dict(architecture="skip", resolution=32, channel_base=1000, channel_max=5, w_dim=7),
    ],
    ids=["resnet", "orig", "skip"],
)
def test_shapes_say_what_a_generator_is(tmp_path, options):
    network = Generator(**{**SMALL_G, **options})
    torch.save(network.state_dict(), tmp_path / "network.pth")
    loaded = load_generator(tmp_path / "network.pth")
    assert_same(loaded, network)
    z, c = torch.ones(2, 4), torch.eye(3)[:2] if network.c_dim else None
    assert torch.equal(loaded(z, c), network.eval()(z, c))


@pytest.mark.parametrize(
    "options",
    [
        dict(
            architecture="skip", c_dim=3, mapping_layers=2, cmap_dim=5, mapping_features=6, embed_features=4
        ),
        dict(architecture="orig", mbstd_channels=2, channel_base=64, channel_max=8),
    ],
    ids=["skip", "orig"],
)
def test_shapes_say_what_a_discriminator_is(tmp_path, options):
    network = Discriminator(resolution=16, channels=2, channel_base=32, channel_max=4, conv_clamp=None)
    network = Discriminator(**{**network.options, **options})
    torch.save(network.state_dict(), tmp_path / "network.pth")
    loaded = load_discriminator(tmp_path / "network.pth")
    assert_same(loaded, network)
    images, c = torch.ones(4, 2, 16, 16), torch.eye(3)[[0, 1, 2, 0]] if network.c_dim else None
    assert torch.equal(loaded(images, c), network.eval()(images, c))


def test_other_architectures_are_refused_by_their_names(tmp_path, networks):
    old = Call(Name("tfutil", "Network"))
    assert "Progressive GAN" in refusal(write(tmp_path, (old, old, old)))
    first = small_legacy(version=3, builder="training.networks_stylegan.G_style")
    assert "StyleGAN 1" in refusal(write(tmp_path, first))
    assert "format version 2" in refusal(write(tmp_path, small_legacy(version=2)))
    third = module_call(networks[0], "Generator", _init_args=(), _init_kwargs=G_OPTIONS)
    third.args[0]["state"]["_modules"]["synthesis"].args[0]["state"]["_modules"] = {
        "input": module_call(torch.nn.Identity(), "SynthesisInput")
    }
    assert "StyleGAN3" in refusal(write(tmp_path, {"G_ema": third}))
    other = module_call(networks[0], "BigGAN", _init_args=(), _init_kwargs=G_OPTIONS)
    assert "G_ema is BigGAN" in refusal(write(tmp_path, {"G_ema": other}))
    torch.save({"style.1.weight": torch.ones(2)}, tmp_path / "other.pt")
    assert "style.1.weight" in refusal(tmp_path / "other.pt")
    assert "holds no networks" in refusal(write(tmp_path, {"a": 1}))
    assert "holds a list" in refusal(write(tmp_path, [1]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"img_resolution": 1 << 20}, "1048576"),
        ({"z_dim": 1 << 40}, "z_dim has no value that it can have"),
        ({"w_dim": 1 << 30}, "of another shape"),
        ({"z_dim": "many"}, "z_dim has no value"),
        ({"mapping_kwargs": {"num_layers": 1 << 30}}, "mapping layers, which the weights lack"),
        ({"synthesis_kwargs": {"channel_base": 1 << 30, "channel_max": 1 << 30}}, "of another shape"),
        ({"synthesis_kwargs": {"resample_filter": [1] * 60}}, "resample_taps has no value"),
        ({"synthesis_kwargs": {"activation": "os.system"}}, "activation has no value"),
        ({"synthesis_kwargs": {"new_option": 1}}, "new_option = 1 is not known"),
        ({"mapping_kwargs": {"a": {"b": 1}}}, "the option a, which is a dict"),
        ({"z_dim": float("nan")}, "z_dim has no value"),
    ],
)
def test_options_that_the_weights_contradict(tmp_path, networks, change, words):
    changed = {**G_OPTIONS, **change}
    assert words in refusal(write(tmp_path, snapshot(networks[0], g_options=changed)))


def test_weights_that_the_network_has_no_place_for(tmp_path, networks):
    g = module_call(networks[0], "Generator", _init_args=(), _init_kwargs=G_OPTIONS)
    g.args[0]["state"]["_buffers"]["extra"] = torch.ones(3)
    assert "the network has no extra" in refusal(write(tmp_path, {"G_ema": g}))
    del g.args[0]["state"]["_buffers"]["extra"], g.args[0]["state"]["_modules"]["mapping"]
    assert "the weights lack mapping.w_avg, mapping.fc0.weight" in refusal(write(tmp_path, {"G_ema": g}))


@pytest.mark.parametrize("name", ["", "data.pkl", "data/0"])
def test_an_unpacked_zip_that_lacks_a_file(tmp_path, networks, name):
    buffer = io.BytesIO()
    torch.save(networks[0].state_dict(), buffer)
    zipfile.ZipFile(buffer).extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    if name:
        (folder / name).unlink()
    if name == "data.pkl":
        assert "not a run folder" in refusal(folder)
    elif name:
        assert "storage 0 is not there" in refusal(folder)
    else:
        assert_same(load_generator(folder), networks[0])


def test_a_pickle_of_python_is_not_run(tmp_path, capfd):
    assert "builtins.print" in refusal(write(tmp_path, pickle.dumps(Printing())))
    assert "run" not in capfd.readouterr().out


class Printing:
    def __reduce__(self):
        return print, ("run",)


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_mutated_snapshot_gives_networks_or_one_line(data):
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["byte", "copy", "cut"])):
            case "byte":
                content[place] = data.draw(st.integers(0, 255))
            case "copy":
                content[place:place] = content[data.draw(st.integers(0, len(content) - 1)) :][:40]
            case "cut":
                del content[place : place + data.draw(st.integers(1, 20))]
    try:
        found = networks_of(read_bytes(memoryview(bytes(content))), "a.pkl")
        for network in found.networks.values():
            build(network)
    except ValueError as error:
        assert "\n" not in str(error)
