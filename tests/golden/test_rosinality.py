"""The fixtures' networks in rosinality's layout: another program draws what the reference drew; back is exact."""

import json

import pytest
import torch
from safetensors import safe_open

from stylegan.interop.checkpoint import build, read_networks
from stylegan.interop.native import save_networks
from stylegan.interop.rosinality_layout import from_layout, to_layout
from stylegan.interop.stored import StoredNetwork, StoredNetworks
from tests.golden.golden import GOLDEN_DIR, fixture, relative_error
from tests.interop.rosinality_oracle import drawn, judged, mapped


def has_the_layout(options):
    """Whether a fixture's network is of a kind that the layout has, whatever its widths."""
    synthesis = options.get("synthesis_kwargs", options)
    plain = options["img_channels"] == 3 and options["c_dim"] == 0
    is_generator = "z_dim" in options
    architecture = synthesis.get("architecture", "skip" if is_generator else "resnet")
    statistics = options.get("epilogue_kwargs", {}).get("mbstd_num_channels", 1)
    same = options.get("z_dim") == options.get("w_dim") and synthesis.get("use_noise", True)
    return plain and architecture == ("skip" if is_generator else "resnet") and same and statistics == 1


def cases(letter):
    found = []
    for path in sorted(GOLDEN_DIR.glob(f"networks_*_{letter}.safetensors")):
        with safe_open(path, "pt") as archive:
            if has_the_layout(json.loads(archive.metadata()["config"])):
                found.append(pytest.param(path, id=path.stem))
    reason = f"{GOLDEN_DIR} lacks networks_*_{letter}.safetensors of a kind that the layout has"
    return found or [pytest.param(None, id=letter, marks=pytest.mark.skip(reason=reason))]


def native(path, tmp_path):
    """The fixture written as a file of ours, and read again."""
    (kind, stored), *_ = read_networks(path).networks.items()
    network = build(stored)
    ours = StoredNetworks(str(path), {kind: StoredNetwork(network.options, network.state_dict())})
    save_networks(tmp_path / "network.safetensors", ours)
    return read_networks(tmp_path / "network.safetensors").networks[kind]


@pytest.mark.parametrize("path", cases("G"))
def test_another_program_draws_from_the_layout_what_the_reference_drew(path, tmp_path):
    z, weights = fixture(f"{path.stem[:-2]}_io.npz"), to_layout(native(path, tmp_path))
    assert relative_error(drawn(weights, z.tensor("in/ws")), z.tensor("out/img_const")) <= 1e-4
    assert relative_error(mapped(weights, z.tensor("in/z")), z.tensor("out/w")[:, 0]) <= 1e-4


@pytest.mark.parametrize("path", cases("D"))
def test_another_program_says_from_the_layout_what_the_reference_said(path, tmp_path):
    z, weights = fixture(f"{path.stem[:-2]}_io.npz"), to_layout(native(path, tmp_path))
    assert relative_error(judged(weights, z.tensor("in/img")[:4]), z.tensor("out/logits_n4")) <= 1e-4


@pytest.mark.parametrize("path", cases("G") + cases("D"))
def test_native_to_the_layout_and_back_is_the_same_to_the_bit(path, tmp_path):
    stored = native(path, tmp_path)
    back = from_layout(to_layout(stored), stored.options, stored.weights.get("mapping.w_avg"))
    with safe_open(path, "pt") as archive:
        assert set(archive.keys()) == set(back.weights)
        assert all(torch.equal(archive.get_tensor(name), back.weights[name]) for name in archive.keys())
