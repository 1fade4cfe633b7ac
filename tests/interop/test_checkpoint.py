"""Networks from run folders, checkpoints and safetensors, and what is reported where there is none."""

import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import stylegan
from stylegan.interop.checkpoint import load_discriminator, load_generator, save_generator
from stylegan.networks import Discriminator, Generator

G = dict(resolution=8, z_dim=4, c_dim=2, w_dim=6, mapping_layers=1, channel_base=32, channel_max=4)
D = dict(resolution=8, c_dim=2, channel_base=32, channel_max=4, mapping_layers=1, mbstd_group=None)


def filled(network, seed):
    """Every tensor of its own, buffers too."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(torch.randn(value.shape, generator=random))
    return network


@pytest.fixture
def networks():
    return filled(Generator(**G), 1), filled(Generator(**G), 2), filled(Discriminator(**D), 3)


def save_checkpoint(path, networks, **changes):
    generator, average, discriminator = networks
    named = {"generator": generator, "generator_ema": average, "discriminator": discriminator}
    state_dict = {f"{n}.{k}": v for n, network in named.items() for k, v in network.state_dict().items()}
    content = {
        "format_version": 1,
        "state_dict": state_dict | {"images_seen": torch.tensor(12800)},
        "generator": generator.options,
        "discriminator": discriminator.options,
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}],
    } | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: value for key, value in content.items() if value is not None}, path)


def assert_same(loaded, network):
    assert type(loaded) is type(network) and loaded.options == network.options
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    state = network.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


def test_a_checkpoint_gives_the_average_generator_and_the_discriminator(tmp_path, networks):
    path = tmp_path / "kimg0000012.800.ckpt"
    save_checkpoint(path, networks)
    assert_same(load_generator(path), networks[1])
    assert_same(load_discriminator(str(path)), networks[2])


def test_a_run_folder_gives_its_newest_checkpoint_by_name(tmp_path, networks):
    old = (networks[0], filled(Generator(**G), 9), networks[2])
    save_checkpoint(tmp_path / "checkpoints" / "kimg0000100.000.ckpt", networks)
    save_checkpoint(tmp_path / "checkpoints" / "kimg0000099.968.ckpt", old)
    os.utime(tmp_path / "checkpoints" / "kimg0000100.000.ckpt", (0, 0))
    assert_same(load_generator(tmp_path), networks[1])
    assert_same(load_discriminator(tmp_path), networks[2])


def test_loaded_weights_do_not_follow_the_file(tmp_path, networks):
    path = tmp_path / "network.ckpt"
    save_checkpoint(path, networks)
    loaded = load_generator(path)
    save_checkpoint(path, (networks[0], filled(Generator(**G), 9), networks[2]))
    assert_same(loaded, networks[1])


def test_safetensors_there_and_back_with_metadata(tmp_path, networks):
    path = tmp_path / "network.safetensors"
    save_generator(path, networks[1], {"images": "12800"})
    assert_same(load_generator(path), networks[1])
    with safe_open(path, "pt") as archive:
        metadata = archive.metadata()
    assert metadata["format_version"] == "1" and metadata["images"] == "12800"
    assert json.loads(metadata["config"]) == networks[1].options


def test_a_generator_of_channels_last_memory_is_saved(tmp_path, networks):
    path = tmp_path / "network.safetensors"
    save_generator(path, networks[1].to(memory_format=torch.channels_last))
    assert_same(load_generator(path), networks[1])


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
def test_others_may_read_it_where_the_umask_lets_them(tmp_path, networks):
    path, before = tmp_path / "network.safetensors", os.umask(0o022)
    try:
        save_generator(path, networks[1])
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_metadata_may_not_replace_our_own(tmp_path, networks):
    with pytest.raises(ValueError, match="may not hold config"):
        save_generator(tmp_path / "network.safetensors", networks[1], {"config": "{}"})


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, networks, monkeypatch):
    path = tmp_path / "network.safetensors"
    save_generator(path, networks[1])

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_generator(path, networks[0])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert_same(load_generator(path), networks[1])


def test_loading_does_not_move_the_global_random_generator(tmp_path, networks):
    path = tmp_path / "network.safetensors"
    save_generator(path, networks[1])
    state = torch.get_rng_state()
    load_generator(path)
    assert torch.equal(torch.get_rng_state(), state)


def complaint(load, path):
    with pytest.raises(ValueError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_a_file_without_discriminator_says_so(tmp_path, networks):
    path = tmp_path / "network.safetensors"
    save_generator(path, networks[1])
    assert "has no discriminator, only a generator" in complaint(load_discriminator, path)
    save_checkpoint(tmp_path / "network.ckpt", networks, discriminator=None)
    assert "has no discriminator" in complaint(load_discriminator, tmp_path / "network.ckpt")


def test_an_absent_file_and_an_empty_run_are_named(tmp_path):
    assert "there is no such file or folder" in complaint(load_generator, tmp_path / "nothing.ckpt")
    assert "it is not a run folder" in complaint(load_generator, tmp_path)


@pytest.mark.parametrize("name", ["network.onnx", "network", "network.ckpt.bad"])
def test_another_kind_of_file_is_not_a_network(tmp_path, name):
    (tmp_path / name).touch()
    assert "is not a network" in complaint(load_generator, tmp_path / name)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 1000, -100])
def test_a_file_cut_short_cannot_be_read(tmp_path, networks, suffix, kept):
    path = tmp_path / f"network{suffix}"
    save_checkpoint(path, networks) if suffix == ".ckpt" else save_generator(path, networks[1])
    path.write_bytes(path.read_bytes()[:kept])
    assert "cannot be read, it may be incomplete" in complaint(load_generator, path)


def test_a_checkpoint_with_code_in_it_is_not_executed(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    torch.save({"format_version": 1, "generator": Harmful()}, tmp_path / "network.ckpt")
    assert "cannot be read" in complaint(load_generator, tmp_path / "network.ckpt")
    assert not (tmp_path / "harmed").exists()


def test_a_foreign_checkpoint_is_known_by_its_missing_version(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "network.ckpt")
    assert "has no format_version" in complaint(load_generator, tmp_path / "network.ckpt")


def test_an_unknown_version_is_named(tmp_path, networks):
    path = tmp_path / "network.ckpt"
    save_checkpoint(path, networks, format_version=7)
    assert f"has format_version 7, which version {stylegan.__version__}" in complaint(load_generator, path)
    path = tmp_path / "network.safetensors"
    save_file(networks[1].state_dict(), path, metadata={"format_version": "0.3", "config": "{}"})
    assert "has format_version 0.3" in complaint(load_generator, path)


def test_weights_that_do_not_fit_are_named_with_the_file(tmp_path, networks):
    path = tmp_path / "network.ckpt"
    save_checkpoint(path, networks, generator=dict(networks[0].options, w_dim=5))
    assert "of another shape: mapping.embed.weight [6, 2] instead of [5, 2]" in complaint(
        load_generator, path
    )


def test_an_option_of_a_later_version_is_named(tmp_path, networks):
    path = tmp_path / "network.ckpt"
    save_checkpoint(path, networks, generator=dict(networks[0].options, magic=1))
    assert "the generator has no option magic" in complaint(load_generator, path)


def test_safetensors_without_options_cannot_be_built(tmp_path):
    path = tmp_path / "network.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    assert "has no config" in complaint(load_generator, path)
    save_file({"weight": torch.zeros(1)}, path, metadata={"config": "{"})
    assert "is not JSON" in complaint(load_generator, path)


def test_the_package_offers_the_names_a_notebook_needs():
    assert stylegan.load_generator is load_generator and stylegan.load_discriminator is load_discriminator
    assert stylegan.Generator is Generator and stylegan.Discriminator is Discriminator
    assert set(stylegan.__all__) <= set(dir(stylegan))
    with pytest.raises(AttributeError, match="no attribute 'Generatr'"):
        stylegan.Generatr  # noqa: B018
