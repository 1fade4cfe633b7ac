"""stylegan-convert: from run folders and files to files, cards and the Hub, and its mistakes in one line."""

import json
import re

import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stylegan import load_discriminator, load_generator
from stylegan.cli.convert import main
from stylegan.interop.export import Exported
from stylegan.networks import Discriminator, Generator
from stylegan.networks.digest import weights_sha256
from tests.interop.test_checkpoint import D, G, assert_same, filled, save_checkpoint
from tests.interop.test_hub import server, with_package  # noqa: F401

NAMED = dict(G, label_names=["red | fox", "<b>wolf</b>"])
PROTOCOL = {
    "detector": "builtin",
    "detector_checksum": "20288c23ff",
    "num_reals": 40,
    "num_fakes": 50,
    "xflip": False,
    "resolution": "8x8",
    "precision": "fp32",
    "seed": 0,
    "noise_mode": "random",
    "truncation": 1.0,
    "data_content": None,
    "data_fingerprint": "f00d",
}


@pytest.fixture
def networks():
    return filled(Generator(**NAMED), 1), filled(Generator(**NAMED), 2), filled(Discriminator(**D), 3)


@pytest.fixture
def run(tmp_path, networks):
    """A run folder with one checkpoint, and scores of it and of another."""
    folder = tmp_path / "runs" / "foxes"
    save_checkpoint(folder / "checkpoints" / "kimg0000012.800.ckpt", networks)
    config = {
        "generator": {},
        "data_fingerprint": "f00dfeed",
        "batch_size": 16,
        "loss": {"r1_gamma": 0.4},
        "ada": {"mode": "adaptive"},
        "data": {"labels": "folders", "path": "/home/ann/private", "xflip": True},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    lines = [
        {"results": {"kid_builtin": 0.0825}, "metric": "kid", "kimg": 12.8, "protocol_id": "1"}
        | {"weights_sha256": weights_sha256(networks[1]), "protocol": PROTOCOL},
        {"results": {"kid_builtin": 0.0123}, "metric": "kid", "kimg": 25.6, "protocol_id": "1"}
        | {"weights_sha256": "of another", "protocol": PROTOCOL},
        {"results": {"kid_builtin": 0.0456}, "metric": "kid", "weights_sha256": weights_sha256(networks[1])},
    ]
    (folder / "metric-kid.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def done(capsys, *words):
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("done ") for line in out) == 1
    return out


def mistake(capsys, *words):
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and said.err.startswith("stylegan-convert: ")
    assert "done " not in said.out
    return said.err


def test_a_run_becomes_a_folder_with_a_card(tmp_path, capsys, run, networks):
    out = done(capsys, run, tmp_path / "shared", "--license", "cc-by-4.0")
    folder = tmp_path / "shared"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "generator_ema.safetensors",
        "preview.png",
    ]
    assert "EMA; 8x8 px, 3 channels, kimg 12.800" in out[0]
    assert_same(load_generator(folder), networks[1])
    text = (folder / "README.md").read_text()
    assert yaml.safe_load(text.split("---")[1])["license"] == "cc-by-4.0"
    for part in (
        "# foxes",
        "f00dfeed",
        "12.800 kimg",
        "0.4",
        "kid\\_builtin 0.0825",
        "builtin 20288c23",
        "folders",
    ):
        assert part in text, part
    assert "0.0123" not in text and "0.0456" not in text  # of other weights; without a protocol
    assert "/home/ann" not in text and "<b>" not in text and "red \\| fox" in text
    assert weights_sha256(networks[1]) in text
    with Image.open(folder / "preview.png") as image:
        assert image.size == (8 * 8, 4 * 8) and image.text["seeds"] == "0-31"
    with safe_open(folder / "generator_ema.safetensors", "pt") as archive:
        header = archive.metadata()
    assert (
        header["data_fingerprint"] == "f00dfeed"
        and header["kimg"] == "12.800"
        and header["license"] == "cc-by-4.0"
    )
    assert json.loads(header["label_names"]) == NAMED["label_names"]


def test_the_preview_is_what_the_seeds_draw(tmp_path, capsys, run, networks):
    from stylegan.images import read_png, to_uint8
    from stylegan.latents.sampling import Sampler

    done(capsys, run, tmp_path / "shared")
    (_, images), *_ = Sampler(networks[1].eval()).of_seeds([0], label=torch.tensor([1.0, 0]), truncation=0.7)
    assert torch.equal(read_png(tmp_path / "shared" / "preview.png")[:, :8, :8], to_uint8(images[0]))


def test_all_networks_go_into_one_file_or_one_each(tmp_path, capsys, run, networks):
    one = tmp_path / "all.safetensors"
    done(capsys, run, one)
    assert_same(load_generator(one), networks[1])
    assert_same(load_discriminator(one), networks[2])
    done(capsys, one, tmp_path / "each", "--to", "safetensors", "--parts", "d,ema")
    names = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert names == ["discriminator.safetensors", "generator_ema.safetensors"]
    assert_same(load_discriminator(tmp_path / "each"), networks[2])
    with safe_open(tmp_path / "each" / "discriminator.safetensors", "pt") as archive:
        assert archive.metadata()["kimg"] == "12.800"  # the facts went along


def test_nothing_is_replaced_unasked(tmp_path, capsys, run, networks):
    path = tmp_path / "ema.safetensors"
    path.write_text("mine")
    assert "is there already; --overwrite" in mistake(capsys, run, path, "--parts", "EMA")
    assert path.read_text() == "mine"
    done(capsys, run, path, "--parts", "EMA", "--overwrite")
    assert_same(load_generator(path), networks[1])
    assert "is the source itself" in mistake(capsys, path, path, "--overwrite")
    done(capsys, run, tmp_path / "card")
    assert "are there already" in mistake(capsys, run, tmp_path / "card")


PUBLIC_G = {
    **{"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 8, "img_channels": 3},
    "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 16384, "channel_max": 512, "conv_clamp": 256},
}
PUBLIC_D = {"c_dim": 0, "img_resolution": 8, "img_channels": 3, "channel_base": 16384, "conv_clamp": 256}


@pytest.mark.parametrize("options", [PUBLIC_G, PUBLIC_D], ids=["G", "D"])
def test_nvidia_to_native_to_rosinality_to_native_is_exact(tmp_path, capsys, options):
    if "z_dim" in options:
        network = Generator(resolution=8, z_dim=8, w_dim=8, mapping_layers=2, channel_base=16384)
        for name, value in network.state_dict().items():
            if name.endswith(("noise_strength", "w_avg", "bias")):
                value.copy_(torch.randn(value.shape))
    else:
        network = Discriminator(resolution=8, channel_base=16384)
    weights = network.state_dict()
    save_file(weights, tmp_path / "nvidia.safetensors", metadata={"config": json.dumps(options)})
    done(capsys, tmp_path / "nvidia.safetensors", tmp_path / "native.safetensors")
    out = done(capsys, tmp_path / "native.safetensors", tmp_path / "their.pt")
    assert any("conv_clamp 256: its programs do not limit" in line for line in out)
    done(capsys, tmp_path / "their.pt", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "native.safetensors").read_bytes()
    back = load_file(tmp_path / "again.safetensors")
    back = {name.removeprefix("discriminator."): value for name, value in back.items()}
    assert back.keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in back.items())


@pytest.mark.parametrize(
    ("to", "ending", "name"), [("onnx", ".onnx", "export_onnx"), ("exported", ".pt2", "export_program")]
)
def test_exports_get_the_generator_the_file_and_the_part(
    tmp_path, capsys, monkeypatch, run, networks, to, ending, name
):
    asked = []

    def export(generator, path, *, part="whole", metadata=None, say=None):
        asked.append((generator, part))
        assert metadata == {"kimg": "12.800", "data_fingerprint": "f00dfeed"}
        path.write_bytes(b"x")
        return Exported(path, part, 1, 2e-6, (1, 3), "onnxruntime")

    monkeypatch.setattr(f"stylegan.interop.export.{name}", export)
    said = done(capsys, run, tmp_path / f"network{ending}", "--subnetwork", "mapping")
    assert any("mapping network" in line and "within 2e-06 of the largest" in line for line in said)
    ((generator, part),) = asked
    assert_same(generator, networks[1])
    assert part == "mapping"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN"], "dest; stylegan-convert --help"),
        (["RUN", "x.zip"], "its ending says nothing; use .safetensors, .pt, .onnx, .pt2"),
        (["RUN", "x.onnx", "--to", "rosinality"], "writes a file that ends in .pt"),
        (["RUN", "x", "--to", "tensorflow"], "invalid choice: 'tensorflow'"),
        (["RUN", "x.safetensors", "--parts", "E"], "--parts E: E is none of EMA, G, D, all"),
        (["RUN", "x.safetensors", "--part", "EMA"], "unrecognized arguments: --part EMA"),
        (["RUN", "x.pt"], "rosinality's layout has no"),
        (["RUN", "x.onnx", "--parts", "D"], "draws with a generator"),
        (["RUN", "x.pt", "--push", "ann/foxes"], "--push ann/foxes takes --to card"),
        (["RUN", "x", "--push", "foxes"], "a repository is named user/name"),
        (["RUN", "x", "--private"], "--private is of the repository"),
        (["nothing.ckpt", "x.pt"], "nothing.ckpt: there is no such file or folder"),
        (["hf://foxes", "x.pt"], "must be hf://user/name"),
        (["RUN", "RUN/config.yaml", "--to", "card"], "is a file, and --to card writes a folder"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, monkeypatch, run, words, said):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert said in mistake(capsys, *(word.replace("RUN", str(run)) for word in words))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_part_that_is_not_there_is_named(tmp_path, capsys, run):
    done(capsys, run, tmp_path / "ema.safetensors", "--parts", "EMA")
    said = mistake(capsys, tmp_path / "ema.safetensors", tmp_path / "d.safetensors", "--parts", "D")
    assert "has no D (--parts); it has EMA" in said


def test_help_and_version_are_shown(capsys):
    assert main(["--help"]) == 0
    assert "--parts" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert re.match(r"stylegan-lightning \d", capsys.readouterr().out)


def test_scores_of_a_network_on_the_hub_need_a_folder(capsys):
    from stylegan.cli.evaluate import main as evaluate

    assert evaluate(["network=hf://ann/foxes"]) == 2
    assert "network=hf://ann/foxes: say by out=..." in capsys.readouterr().err


@with_package
def test_a_card_is_pushed_and_its_command_draws(tmp_path, capsys, run, networks, server, monkeypatch):  # noqa: F811
    out = done(capsys, run, tmp_path / "shared", "--push", "ann/foxes", "--parts", "EMA,D", "--private")
    assert any(line.startswith("pushed ") and "hf://ann/foxes" in line for line in out)
    assert server.private == {"ann/foxes"}
    assert sorted(server.repositories["ann/foxes"]) == [
        *(
            ".gitattributes",
            "README.md",
            "discriminator.safetensors",
            "generator_ema.safetensors",
            "preview.png",
        )
    ]
    assert_same(load_generator("hf://ann/foxes"), networks[1])
    assert "hf://ann/foxes" in server.repositories["ann/foxes"]["README.md"].decode()
    from stylegan.cli.generate import main as generate

    monkeypatch.chdir(tmp_path)
    assert generate(["network=hf://ann/foxes", "seeds=3", "label=red | fox"]) == 0, capsys.readouterr().err
    assert (tmp_path / "generated" / "seed0003.png").exists()
