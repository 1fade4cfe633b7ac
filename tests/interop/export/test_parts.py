"""The exported module computes what the generator does, from named inputs, and touches nothing of the caller's."""

import pytest
import torch

from stylegan.interop.export.parts import ExportedPart, standing_alone
from stylegan.networks.precision import compute_in
from stylegan.networks.synthesis import prepared
from tests.interop.export.networks import make_generator


def random():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("cutoff", [None, 1, 3, 4])
def test_psi_as_an_input_is_the_truncation_of_the_mapping(cutoff):
    generator = make_generator(c_dim=3)
    part = ExportedPart(generator, part="mapping", truncation_cutoff=cutoff)
    values = part.values(4, truncation=0.6, random=random())
    expected = generator.mapping(values["z"], values["label"], truncation=0.6, truncation_cutoff=cutoff)
    assert not torch.allclose(expected, generator.mapping(values["z"], values["label"]))
    torch.testing.assert_close(part(**values), expected)


def test_the_whole_is_its_two_halves():
    generator = make_generator(c_dim=3, resolution=(8, 12), channels=4)
    whole, mapping, synthesis = (ExportedPart(generator, part=p) for p in ("whole", "mapping", "synthesis"))
    values = whole.values(3, truncation=0.7, random=random())
    assert torch.equal(synthesis(ws=mapping(**values)), whole(**values))
    assert torch.equal(synthesis.values(3, truncation=0.7, random=random())["ws"], mapping(**values))


def test_noise_is_what_the_inputs_say():
    generator = make_generator()
    part = ExportedPart(generator, part="synthesis", noise="input")
    values = part.values(2, truncation=1.0, random=random())
    own = {layer: generator.get_submodule(f"synthesis.{layer}").noise_const for layer, _ in part.noise_layers}
    as_const = {"ws": values["ws"], "noise": {layer: m.expand(2, 1, *m.shape) for layer, m in own.items()}}
    torch.testing.assert_close(part(**as_const), generator.synthesis(values["ws"]))
    without = ExportedPart(generator, part="synthesis", noise="none")
    assert torch.equal(without(ws=values["ws"]), generator.synthesis(values["ws"], noise_mode="none"))


def test_values_and_ports_agree():
    part = ExportedPart(make_generator(c_dim=3), noise="input")
    named = part.named(part.values(5, truncation=0.7, random=random()))
    assert [port.name for port in part.inputs] == list(named)
    for port in part.inputs:
        assert [5 if axis == "batch" else axis for axis in port.shape] == list(named[port.name].shape)
    assert list(named)[:5] == ["z", "label", "truncation", "noise.b4.conv1", "noise.b8.conv0"]
    assert part.output.shape == ("batch", 3, 8, 8)


def test_no_state_of_the_callers_is_taken_over_or_changed():
    generator = make_generator().train()
    compute_in(generator, torch.bfloat16)
    with prepared(generator), torch.inference_mode():
        ready = generator.synthesis.b4.conv1.ready
        copy = standing_alone(generator)
        assert ready is not None and generator.synthesis.b4.conv1.ready is ready
    assert generator.training and generator.synthesis.b8.compute_dtype == torch.bfloat16
    assert not copy.training and copy.synthesis.b4.conv1.ready is None
    assert copy.synthesis.b8.compute_dtype is None


def test_weights_in_half_precision_are_exported_in_float32():
    assert {p.dtype for p in standing_alone(make_generator().to(torch.bfloat16)).parameters()} == {
        torch.float32
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"part": "image"}, "part must be whole, mapping or synthesis, got 'image'"),
        ({"noise": "random"}, "noise must be const, input or none, got 'random'"),
        ({"truncation_cutoff": 0}, "truncation_cutoff must be from 1 to the network's 4 layers, got 0"),
        ({"truncation_cutoff": 5}, "truncation_cutoff must be from 1 to the network's 4 layers, got 5"),
        ({"truncation_cutoff": True}, "truncation_cutoff must be from 1 to the network's 4 layers, got True"),
        (
            {"part": "synthesis", "truncation_cutoff": 2},
            "truncation_cutoff belongs to the mapping, and part=synthesis has none",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError) as error:
        ExportedPart(make_generator(), **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        (
            {"c_dim": 2, "label_names": ["fox", "owl"]},
            "label, 1 for the image's class and 0 for the others: fox, owl",
        ),
        ({"c_dim": 1, "label_names": ["age"]}, "label, a number: age"),
        ({"c_dim": 1}, "label, a number"),
    ],
)
def test_a_label_says_what_its_columns_are(options, meaning):
    ports = ExportedPart(make_generator(**options), part="mapping").inputs
    assert [port.meaning for port in ports if port.name == "label"] == [meaning]
