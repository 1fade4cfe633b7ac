"""Protocols: all that decides is in them, in words, too; and the digest of a network's weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from stylegan import load_generator
from stylegan.evaluation import protocol_id
from stylegan.evaluation.protocol import in_words, weights_sha256
from stylegan.interop.checkpoint import save_generator
from stylegan.networks.precision import compute_in
from tests.evaluation.small import NUM, Images, evaluator, quiet, scores, small_generator


def test_an_equal_truncation_is_one_protocol_however_it_is_written():
    [one], [other] = (scores(evaluator(["fid"], truncation=psi)) for psi in (1, 1.0))
    assert protocol_id(one.protocol) == protocol_id(other.protocol)


def test_other_images_are_another_protocol_also_with_one_fingerprint():
    changed = Images()
    changed.pixels[17, 1, 2, 3] ^= 1
    [one], [other] = scores(evaluator(["fid"])), scores(evaluator(["fid"], images=changed))
    assert protocol_id(one.protocol) != protocol_id(other.protocol)


def test_half_precision_in_some_resolutions_is_another_protocol_than_in_all():
    generator, ids = small_generator(), set()
    for num_half_res in (None, 1, 0):
        compute_in(generator, torch.bfloat16, num_half_res)
        [score] = evaluator(["fid"]).scores(generator, precision="bf16", watch=quiet())
        ids.add(protocol_id(score.protocol))
    assert len(ids) == 3


def test_a_protocol_holds_everything_that_decides():
    [score] = scores(evaluator(["pr"], truncation=0.7))
    assert score.protocol == {
        "version": 1,
        "metric": "pr_builtin",
        "detector": "builtin",
        "detector_checksum": "00000000",
        "resize": "none",
        "resolution": "8x8",
        "channels": 3,
        "num_reals": 40,
        "num_fakes": NUM,
        "seed": 0,
        "precision": "fp32",
        "truncation": 0.7,
        "noise_mode": "random",
        "labels": "none",
        "data_fingerprint": "abc",
        "data_content": Images().content_digest(),
        "xflip": False,
        "k": 3,
    }


@pytest.mark.parametrize("option", [{"truncation": 0.5}, {"noise_mode": "const"}])
def test_what_a_path_length_takes_no_notice_of_is_not_part_of_its_protocol(option):
    [one], [other] = scores(evaluator(["ppl"])), scores(evaluator(["ppl"], **option))
    assert one.value == other.value and one.protocol["noise_mode"] == "random"
    assert protocol_id(one.protocol) == protocol_id(other.protocol)


@pytest.mark.parametrize(
    "option",
    [
        {"first_seed": 1},
        {"truncation": 0.5},
        {"noise_mode": "const"},
        {"images": Images(seed=1)},
        {"images": Images(count=39)},
        {"num_fakes": NUM + 1},
        {"data_fingerprint": "abd"},
    ],
)
def test_two_protocols_differ_in_words_too(option):
    generator = small_generator()

    def words(options):
        one = evaluator(["fid"], **options)
        return in_words(one.protocol(one.settings.definitions[0], generator, "fp32"))

    assert words(option) != words({})
    assert words({}).startswith(
        "builtin 00000000, 70 fakes against 40 reals, 8x8, fp32, seed 0, noise random"
    )


def test_words_tell_mirrored_reals():
    one = evaluator(["fid"])
    protocols = [
        one.protocol(replace(one.settings.definitions[0], with_flips=flips), small_generator(), "fp32")
        for flips in (False, True)
    ]
    plain, mirrored = map(in_words, protocols)
    assert "mirrored" not in plain and "against 80 reals, mirrored ones among them" in mirrored


def made(**changes):
    network = nn.Module()
    network.weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))
    network.register_buffer("average", torch.zeros(3))
    network.register_buffer("taps", torch.ones(2), persistent=False)
    for name, value in changes.items():
        setattr(network, name, value)
    return network


@pytest.mark.parametrize(
    "change",
    [
        {"weight": nn.Parameter(torch.arange(6.0).reshape(2, 3) + torch.eye(2, 3) * 1e-6)},
        {"weight": nn.Parameter(torch.arange(6.0).reshape(3, 2))},
        {"weight": nn.Parameter(torch.arange(6.0, dtype=torch.float64).reshape(2, 3))},
        {"average": torch.tensor([0.0, 0.0, 1.0])},
        {"average": torch.tensor([0.0, 0.0, -0.0])},
        {"taps": torch.tensor([1.0, 2.0])},
        {"other": nn.Parameter(torch.zeros(()))},
    ],
)
def test_any_change_is_another_one(change):
    assert weights_sha256(made(**change)) != weights_sha256(made())


def test_values_that_change_places_are_others():
    one, other = made(), made()
    one.average, one.more = torch.zeros(3), nn.Parameter(torch.ones(3))
    other.average, other.more = torch.ones(3), nn.Parameter(torch.zeros(3))
    assert weights_sha256(one) != weights_sha256(other)


def test_neither_the_order_nor_the_layout_in_memory_counts():
    turned = made(weight=nn.Parameter(torch.arange(6.0).reshape(2, 3).T.contiguous().T))
    assert not turned.weight.is_contiguous()
    del turned.average
    turned.register_buffer("average", torch.zeros(3))
    assert weights_sha256(turned) == weights_sha256(made())


def test_a_network_keeps_it_in_a_file(tmp_path):
    save_generator(tmp_path / "a.safetensors", small_generator())
    assert weights_sha256(load_generator(tmp_path / "a.safetensors")) == weights_sha256(small_generator())
    assert weights_sha256(small_generator(seed=1)) != weights_sha256(small_generator())
