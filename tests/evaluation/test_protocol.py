"""Protocols in words: what differs is said, and what is the best under which."""

from dataclasses import replace
from pathlib import Path

import pytest

from stylegan.evaluation import Score, protocol_id
from stylegan.evaluation.networks import Network, say_best
from stylegan.evaluation.protocol import in_words
from tests.evaluation.pictures import NUM, Pictures, evaluator, small_generator


@pytest.mark.parametrize(
    "option",
    [
        {"seed": 1},
        {"truncation": 0.5},
        {"noise_mode": "const"},
        {"pictures": Pictures(seed=1)},
        {"pictures": Pictures(count=39)},
        {"num_fakes": NUM + 1},
        {"data_fingerprint": "abd"},
    ],
)
def test_two_protocols_differ_in_words_too(option):
    generator = small_generator()

    def words(options):
        one = evaluator(["fid"], **options)
        return in_words(one.protocol(one.definitions[0], generator, "fp32"))

    assert words(option) != words({})
    assert words({}).startswith(
        "builtin 00000000, 70 fakes against 40 reals, 8x8, fp32, seed 0, noise random"
    )


def test_words_tell_mirrored_reals():
    one = evaluator(["fid"])
    protocols = [
        one.protocol(replace(one.definitions[0], with_flips=flips), small_generator(), "fp32")
        for flips in (False, True)
    ]
    plain, mirrored = map(in_words, protocols)
    assert "mirrored" not in plain and "against 80 reals, mirrored ones among them" in mirrored


def test_the_best_of_two_protocols_are_told_apart(capsys):
    def found(value, num_fakes):
        protocol = {"num_fakes": num_fakes}
        network = Network(Path(f"{value}.safetensors"), "x", None)
        return network, Score("fid_builtin", {"fid_builtin": value}, protocol, 0.0)

    say_best([found(2.0, 10), found(1.0, 10)])
    assert capsys.readouterr().out == "best fid_builtin: 1  1.0.safetensors\n"
    say_best([found(2.0, 10), found(1.0, 10), found(0.5, 20)])
    lines = capsys.readouterr().out.splitlines()
    ids = [protocol_id({"num_fakes": count}) for count in (10, 20)]
    assert lines == [
        f"best fid_builtin (protocol {ids[0]}): 1  1.0.safetensors",
        f"best fid_builtin (protocol {ids[1]}): 0.5  0.5.safetensors",
    ]
