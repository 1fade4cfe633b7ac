"""Files for other programs: the network's numbers in every batch, what they say of themselves, and what is refused."""

import ast
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from stylegan.images import to_uint8
from stylegan.interop.export import export_onnx, export_program, files
from stylegan.networks.digest import weights_sha256
from stylegan.networks.precision import compute_in
from stylegan.networks.synthesis import prepared
from tests.interop.export.networks import make_generator

DRAW = Path(__file__).parents[3] / "docs" / "onnx" / "draw.py"
# Each as a network of 16 px, and how it is exported.
TABLE = [
    pytest.param({"architecture": "skip"}, {}, id="skip"),
    pytest.param({"architecture": "resnet"}, {}, id="resnet"),
    pytest.param({"architecture": "orig"}, {}, id="orig"),
    pytest.param({"c_dim": 3}, {"truncation_cutoff": 2}, id="conditional"),
    pytest.param({"channels": 4, "resolution": (24, 40)}, {"noise": "input"}, id="rgba-rectangle-noise"),
    pytest.param(
        {"architecture": "resnet", "c_dim": 3}, {"part": "synthesis", "noise": "none"}, id="synthesis"
    ),
    pytest.param({"c_dim": 3, "mapping_layers": 8}, {"part": "mapping"}, id="mapping"),
]
LARGER = dict(resolution=16, z_dim=64, w_dim=64, mapping_layers=4, channel_base=1024, channel_max=64)


def labels_of(rows):
    return torch.eye(3)[torch.arange(rows) % 3]


@pytest.fixture(scope="module")
def generator():
    return make_generator(c_dim=3, label_names=["fox", "owl", "crow"])


@pytest.fixture(scope="module")
def onnx_file(generator, tmp_path_factory):
    """Written in the middle of drawing: prepared, in half precision, in inference mode."""
    path = tmp_path_factory.mktemp("onnx") / "birds.onnx"
    compute_in(generator, torch.bfloat16)
    said = []
    with prepared(generator), torch.inference_mode():
        exported = export_onnx(generator, path, metadata={"licence": "CC0"}, say=said.append)
    compute_in(generator, None)
    assert len(said) == 3 and exported.path == path and exported.size_bytes == path.stat().st_size
    assert 0 < exported.difference <= 2e-5 and exported.batches == (1, 3)
    return path


@pytest.mark.parametrize(("batch", "psi"), [(1, 1.0), (5, 0.6), (64, 0.0)])
def test_onnxruntime_draws_what_the_network_draws(generator, onnx_file, batch, psi):
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    z = torch.randn(batch, 8, generator=torch.Generator().manual_seed(batch))
    feed = {"z": z.numpy(), "label": labels_of(batch).numpy(), "truncation": np.array(psi, np.float32)}
    (image,) = session.run(["image"], feed)
    expected = generator(z, labels_of(batch), truncation=psi).numpy()
    assert image.shape == (batch, 3, 8, 8) and np.abs(expected).max() > 0.1
    assert np.abs(image - expected).max() <= 2e-5 * np.abs(expected).max()


def test_an_onnx_file_says_what_it_is(generator, onnx_file):
    model = onnx.load(onnx_file)
    ports = {
        port.name: [axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim]
        for port in (*model.graph.input, *model.graph.output)
    }
    assert ports == {"z": ["batch", 8], "label": ["batch", 3], "truncation": [], "image": ["batch", 3, 8, 8]}
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["weights"] == weights_sha256(generator) and about["licence"] == "CC0"
    assert (about["height"], about["width"], about["channels"]) == ("8", "8", "3")
    assert json.loads(about["label_names"]) == ["fox", "owl", "crow"]
    assert list(json.loads(about["inputs"])) == ["z", "label", "truncation"]
    assert 0 < float(about["largest_difference"]) <= 2e-5


def test_a_file_holds_no_path_of_this_machine(onnx_file):
    content = onnx_file.read_bytes()
    assert b".py" not in content and str(onnx_file.parent).encode() not in content


def test_a_program_without_this_project_draws_the_same_seeds(generator, onnx_file, tmp_path, monkeypatch):
    arguments = [str(onnx_file), "--seeds", "0", "7", "--truncation", "0.7", "--label", "owl"]
    monkeypatch.setattr(sys, "argv", ["draw.py", *arguments, "--out", str(tmp_path)])
    runpy.run_path(str(DRAW), run_name="__main__")
    for seed in (0, 7):
        z = torch.from_numpy(np.random.RandomState(seed).randn(1, 8)).float()
        expected = to_uint8(generator(z, torch.eye(3)[[1]], truncation=0.7))[0].permute(1, 2, 0).numpy()
        drawn = np.asarray(Image.open(tmp_path / f"seed{seed:04d}.png"))
        assert expected.std() > 10 and np.abs(drawn.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("label", "answer"),
    [
        ([], "this network has labels: --label is one of fox, owl, crow"),
        (["--label", "cat"], "--label cat: --label is one of fox, owl, crow"),
        (["--label", "3"], "--label 3: --label is one of fox, owl, crow"),
    ],
)
def test_that_program_says_which_labels_there_are(label, answer, onnx_file, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["draw.py", str(onnx_file), *label, "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(DRAW), run_name="__main__")
    assert left.value.code == answer


def test_that_program_imports_nothing_of_ours():
    tree = ast.walk(ast.parse(DRAW.read_text(encoding="utf-8")))
    imports = [node for node in tree if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in imports for alias in node.names if isinstance(node, ast.Import)}
    names |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert names == {"argparse", "json", "sys", "pathlib", "numpy", "onnxruntime", "PIL"}


def test_a_program_of_torch_is_exact_and_leaves_random_numbers_alone(tmp_path):
    generator = make_generator()
    state = torch.random.get_rng_state()
    exported = export_program(generator, tmp_path / "foxes.pt2", noise="input", batches=(1, 5))
    assert exported.difference == 0 and torch.equal(torch.random.get_rng_state(), state)
    extra = {"metadata.json": ""}
    module = torch.export.load(tmp_path / "foxes.pt2", extra_files=extra).module()
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    noise = {layer: torch.full((4, 1, *size), 0.5) for layer, size in generator.synthesis.noise_layers}
    image = module(z=z, truncation=torch.tensor(1.0), noise=noise)
    expected = generator.synthesis(generator.mapping(z), noise_mode="random", noise=noise)
    assert torch.equal(image, expected)
    about = json.loads(extra["metadata.json"])
    assert about["noise"] == "input" and about["weights"] == weights_sha256(generator)


def test_a_file_that_draws_otherwise_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "foxes.pt2"
    path.write_bytes(b"an older one")
    monkeypatch.setattr(
        files, "_traced", lambda *_: torch.export.export(torch.nn.Identity(), (torch.ones(1),))
    )
    monkeypatch.setattr(files, "_read_back", lambda *_: lambda values: torch.ones(len(values["z"]), 3, 8, 8))
    with pytest.raises(ValueError, match="differs from the network by .* the file was not kept"):
        export_program(make_generator(), path)
    assert path.read_bytes() == b"an older one" and list(tmp_path.iterdir()) == [path]


def test_a_network_that_cannot_be_traced_is_one_line(tmp_path, capsys):
    generator = make_generator()
    generator.synthesis.register_forward_hook(lambda _, __, image: image * float(image.mean()))
    with pytest.raises(ValueError) as error:
        export_program(generator, tmp_path / "foxes.pt2")
    assert "foxes.pt2: torch cannot export this network: " in str(error.value)
    assert "\n" not in str(error.value) and capsys.readouterr() == ("", "") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_one_line_that_names_the_extra(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError) as error:
        export_onnx(make_generator(), tmp_path / "foxes.onnx")
    assert str(error.value) == f"export to ONNX needs {package}: pip install 'stylegan-lightning[export]'"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foxes.pb", "must end in .onnx"),
        ("foxes", "must end in .onnx"),
        ("folder.onnx", "is a folder"),
        ("nowhere/foxes.onnx", "there is no folder"),
    ],
)
def test_a_path_that_cannot_be_is_refused_before_the_work(name, message, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ValueError, match=message):
        export_onnx(make_generator(), tmp_path / name)


@pytest.mark.long
@pytest.mark.parametrize(("options", "settings"), TABLE)
def test_onnx_parity(options, settings, tmp_path, capsys):
    generator = make_generator(**(LARGER | options))
    exported = export_onnx(generator, tmp_path / "network.onnx", batches=(1, 5, 64), **settings)
    with capsys.disabled():
        print(f"\n{exported.line}")
    assert exported.difference <= 2e-5


@pytest.mark.long
@pytest.mark.parametrize(("options", "settings"), TABLE)
def test_programs_of_torch_are_exact(options, settings, tmp_path):
    generator = make_generator(**(LARGER | options))
    several = export_program(generator, tmp_path / "network.pt2", batches=(2, 5, 64), **settings)
    assert several.difference == 0
    module = torch.export.load(tmp_path / "network.pt2").module()
    part = files.ExportedPart(generator, **settings)
    values = part.values(1, truncation=0.7, random=torch.Generator().manual_seed(3))
    torch.testing.assert_close(module(**values), part(**values), rtol=1e-5, atol=1e-5)
