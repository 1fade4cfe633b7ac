"""Native files of several networks: what they hold, who can read them, and what is refused by name."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stylegan.interop import load_discriminator, load_generator, read_networks, save_generator, save_networks
from stylegan.interop.stored import StoredNetwork, StoredNetworks
from stylegan.networks import Discriminator, Generator
from stylegan.networks.digest import weights_sha256
from tests.interop.test_checkpoint import D, G, assert_same, filled

FACTS = {"kimg": "12.800", "data_fingerprint": "0f1e", "label_names": '["cat", "dög"]', "license": "CC0"}


@pytest.fixture
def networks():
    return {
        "generator_ema": filled(Generator(**G), 2),
        "generator": filled(Generator(**G), 1),
        "discriminator": filled(Discriminator(**D), 3),
    }


def stored_of(networks, facts=FACTS):
    return StoredNetworks(
        "memory", {kind: StoredNetwork(n.options, n.state_dict()) for kind, n in networks.items()}, facts
    )


def header_of(path):
    with safe_open(path, "pt") as archive:
        return archive.metadata()


def test_all_networks_and_facts_come_back_from_one_file(tmp_path, networks):
    path = tmp_path / "all.safetensors"
    save_networks(path, stored_of(networks))
    assert_same(load_generator(path), networks["generator_ema"])
    assert_same(load_discriminator(path), networks["discriminator"])
    found = read_networks(path)
    assert set(found.networks) == set(networks) and FACTS.items() <= found.facts.items()
    assert json.loads(found.facts["sha256"]) == {kind: weights_sha256(n) for kind, n in networks.items()}
    for kind, network in networks.items():
        state = network.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in found.networks[kind].weights.items())


def test_the_same_networks_and_facts_are_the_same_bytes(tmp_path, networks):
    facts = {f"fact {number}": "é" * number for number in range(20)}
    for name in ("a.safetensors", "b.safetensors"):
        save_networks(tmp_path / name, stored_of(networks, facts))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert facts.items() <= header_of(tmp_path / "a.safetensors").items()


def test_the_ema_generator_alone_is_a_file_that_older_versions_read(tmp_path, networks):
    path = tmp_path / "ema.safetensors"
    save_networks(path, stored_of({"generator_ema": networks["generator_ema"]}))
    header = header_of(path)
    assert header["format_version"] == "1"
    assert json.loads(header["config"]) == networks["generator_ema"].options
    assert load_file(path).keys() == networks["generator_ema"].state_dict().keys()


def test_a_file_of_several_has_another_version_than_one_of_a_generator(tmp_path, networks):
    save_networks(tmp_path / "d.safetensors", stored_of({"discriminator": networks["discriminator"]}))
    assert header_of(tmp_path / "d.safetensors")["format_version"] == "2"


def test_files_of_one_network_each_are_read_by_their_folder(tmp_path, networks):
    for kind, network in networks.items():
        save_networks(tmp_path / f"{kind}.safetensors", stored_of({kind: network}))
    assert_same(load_generator(tmp_path), networks["generator_ema"])
    assert_same(load_discriminator(tmp_path), networks["discriminator"])
    assert list(read_networks(tmp_path).networks) == list(networks)
    (tmp_path / "generator_ema.safetensors").unlink()
    assert_same(load_generator(tmp_path), networks["generator"])


def test_an_old_file_says_its_kimg(tmp_path, networks):
    path = tmp_path / "old.safetensors"
    generator = networks["generator_ema"]
    header = {"format_version": "1", "config": json.dumps(generator.options), "images": "12800"}
    save_file(generator.state_dict(), path, metadata=header)
    assert read_networks(path).facts["kimg"] == "12.800"
    assert_same(load_generator(path), generator)


@pytest.mark.parametrize("several", [False, True])
def test_weights_that_are_not_those_of_the_digest_are_refused(tmp_path, networks, several):
    path = tmp_path / "network.safetensors"
    save_networks(path, stored_of(networks if several else {"generator_ema": networks["generator_ema"]}))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="are not those that it was written with") as caught:
        load_generator(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_checkpoint_of_training_gives_all_three(tmp_path, networks):
    from tests.interop.test_checkpoint import save_checkpoint

    path = tmp_path / "kimg0000012.800.ckpt"
    save_checkpoint(path, (networks["generator"], networks["generator_ema"], networks["discriminator"]))
    state = {f"generator.{name}": value for name, value in networks["generator"].state_dict().items()}
    content = torch.load(path, weights_only=True)
    assert state.keys() <= content["state_dict"].keys()
    found = read_networks(path)
    assert set(found.networks) == set(networks) and found.facts["kimg"] == "12.800"


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ({"format_version": "3", "config": "{}"}, "has format_version 3"),
        ({"format_version": "2", "config": "[]"}, "no JSON object"),
        ({"format_version": "2", "config": '{"critic": {}}'}, "unknown kind: critic"),
        ({"format_version": "2", "config": '{"discriminator": {}}'}, "belongs to no network"),
        (
            {"format_version": "2", "config": '{"generator": 7}'},
            "options of its generator are no JSON object",
        ),
        ({"format_version": "1", "config": "[" * 100_000}, "is not JSON"),
    ],
)
def test_a_header_that_cannot_be_used_is_one_line(tmp_path, header, complaint):
    path = tmp_path / "network.safetensors"
    save_file({"generator.weight": torch.zeros(1)}, path, metadata=header)
    with pytest.raises(ValueError, match=complaint) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_facts_may_not_replace_the_layout(tmp_path, networks):
    with pytest.raises(ValueError, match="may not hold format_version"):
        save_networks(tmp_path / "network.safetensors", stored_of(networks, {"format_version": "9"}))
    with pytest.raises(ValueError, match="may not hold config"):
        save_generator(tmp_path / "network.safetensors", networks["generator"], {"config": "{}"})
