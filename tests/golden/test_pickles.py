"""Pickles of NVIDIA's programs: every tensor, and what the networks draw and say."""

import json

import pytest
import torch

from stylegan import load_discriminator, load_generator
from stylegan.interop import build
from stylegan.interop.nvidia_pickle import read_pickle
from stylegan.interop.pickle_globals import NETWORK_TABLE
from tests.golden.golden import GOLDEN_DIR, fixture, json_fixture, json_params, relative_error

FORMATS = GOLDEN_DIR / "formats"


def files():
    """Each pickle with the record of its numbers, which names it."""
    records = sorted(FORMATS.glob("*_expect.npz"))
    found = []
    for record in records:
        meta = fixture(f"formats/{record.name}").meta
        names = meta.get("files", [meta.get("file")]) if meta.get("kind") in ("snapshot", "legacy") else []
        found += [pytest.param((FORMATS / name, record), id=name) for name in names]
    reason = f"{GOLDEN_DIR} lacks formats/*_expect.npz"
    return found or [pytest.param(None, id="formats", marks=pytest.mark.skip(reason=reason))]


@pytest.fixture(params=files())
def case(request):
    path, record = request.param
    if not path.exists():
        pytest.skip(f"{GOLDEN_DIR} lacks formats/{path.name}")
    return path, fixture(f"formats/{record.name}")


KINDS = {"G_ema": "generator_ema", "G": "generator", "D": "discriminator"}


@pytest.mark.parametrize("name", KINDS)
def test_every_tensor_is_the_same(case, name):
    path, z = case
    prefix = f"state/{name}/"
    expected = {key.removeprefix(prefix): z.tensor(key) for key in z.keys(prefix)}
    if not expected:
        pytest.skip(f"{z.path.name} lacks {prefix}")
    stored = read_pickle(path).networks[KINDS[name]]
    assert stored.weights.keys() == expected.keys()
    built = build(stored).state_dict()
    for key, value in expected.items():
        assert torch.equal(stored.weights[key], value) and torch.equal(built[key], value), key


def test_what_it_draws_and_says(case):
    path, z = case
    generator, discriminator = load_generator(path), load_discriminator(path)
    latents, labels = z.tensor("in/z"), z.tensor("in/c")
    ws = generator.mapping(latents, labels, truncation=0.7)
    assert relative_error(ws, z.tensor("out/ws_psi07")) <= 1e-4
    drawn = generator.synthesis(z.tensor("out/ws_psi07"), noise_mode="const")
    assert relative_error(drawn, z.tensor("out/img_ema_const")) <= 1e-4
    training = build(read_pickle(path).networks["generator"])
    drawn = training(latents, labels, noise_mode="none")
    assert relative_error(drawn, z.tensor("out/img_G_none")) <= 1e-4
    logits = discriminator(z.tensor("in/img"), z.tensor("in/img_c"))
    assert relative_error(logits, z.tensor("out/logits")) <= 1e-4


def test_what_the_file_says_of_itself(case):
    path, z = case
    content = read_pickle(path)
    meta = z.meta
    assert content.networks["generator_ema"].options["c_dim"] == meta["G_ema_init_kwargs"]["c_dim"]
    if content.facts["layout"] == "snapshot":
        names = [name for name in KINDS if name in meta["top_level_keys"]]
        assert list(content.networks) == [KINDS[name] for name in names]
        assert json.loads(content.facts["training_set"]) == meta["training_set_kwargs"]
        pipe = meta["augment_pipe"]
        assert float(content.facts.get("augment_p", "nan")) == pytest.approx(
            pipe["p"] if pipe else float("nan"), nan_ok=True
        )
        for name in names:
            stored = content.networks[KINDS[name]]
            assert json.loads(json.dumps(stored.options)) == meta[f"{name}_init_kwargs"]


@pytest.mark.parametrize(
    "name", json_params("formats/legacy_rejections.json", lambda found: [(name, name) for name in found])
)
def test_what_the_public_programs_refuse_is_refused(name):
    path = FORMATS / f"{name}.pkl"
    if not path.exists():
        pytest.skip(f"{GOLDEN_DIR} lacks formats/{name}.pkl")
    with pytest.raises(ValueError, match=f"{name}.pkl is not read: ") as refused:
        load_generator(path)
    assert "\n" not in str(refused.value)


def test_every_name_that_real_snapshots_hold_is_known():
    allowed = {*NETWORK_TABLE, ("torch.storage", "_load_from_bytes")}
    for file, record in json_fixture("formats/pickle_globals.json").items():
        assert {tuple(pair) for pair in record["globals"]} <= allowed, file
