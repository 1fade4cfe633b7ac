"""The Hugging Face Hub, as a server on this machine: loading, uploading, and what is said where it refuses."""

import importlib.util
import sys

import pytest

from stylegan.interop import hub, load_discriminator, load_generator, save_networks
from stylegan.interop.stored import StoredNetwork, StoredNetworks
from stylegan.networks import Discriminator, Generator
from tests.interop.hub_server import FakeHub, serving
from tests.interop.test_checkpoint import D, G, assert_same, filled

with_package = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed (extra hub)"
)


def ours():
    return [name for name in sys.modules if name.split(".")[0] == "huggingface_hub"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The package reads its environment once, when it is imported: it is imported again, for this server alone."""
    with serving(FakeHub()) as fake:
        values = {
            "HF_ENDPOINT": fake.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
            "HF_TOKEN": fake.token,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        for name in ("HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        before = {name: sys.modules.pop(name) for name in ours()}
        yield fake
        for name in ours():
            del sys.modules[name]
        sys.modules.update(before)


@pytest.fixture
def networks(tmp_path):
    """The files of a folder that is shared, and the networks in them."""
    made = {"generator_ema": filled(Generator(**G), 2), "discriminator": filled(Discriminator(**D), 3)}
    files = {}
    for kind, network in made.items():
        stored = StoredNetwork(network.options, network.state_dict())
        save_networks(tmp_path / "x.safetensors", StoredNetworks("memory", {kind: stored}))
        files[f"{kind}.safetensors"] = (tmp_path / "x.safetensors").read_bytes()
    return made, files | {"README.md": b"# foxes"}


def complaint(call, *arguments, **keywords):
    with pytest.raises(ValueError) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@with_package
def test_each_network_is_loaded_from_a_file_of_its_own(server, networks):
    made, server.repositories["ann/foxes"] = networks
    assert_same(load_generator("hf://ann/foxes"), made["generator_ema"])
    assert server.downloads == ["generator_ema.safetensors"]  # and not the discriminator
    assert_same(load_discriminator("hf://ann/foxes"), made["discriminator"])
    assert_same(load_generator("hf://ann/foxes@main/generator_ema.safetensors"), made["generator_ema"])
    assert server.downloads == ["generator_ema.safetensors", "discriminator.safetensors"]  # the rest is kept


@with_package
def test_what_was_loaded_once_is_there_without_the_hub(server, networks, tmp_path):
    made, server.repositories["ann/foxes"] = networks
    with_server = hub.fetch("hf://ann/foxes", ("generator_ema",))
    server.repositories.clear()
    assert hub.fetch("hf://ann/foxes", ("generator_ema",)) == with_server


@with_package
def test_the_one_file_of_another_name_is_taken_and_several_are_named(server, networks):
    made, files = networks
    server.repositories["ann/one"] = {"fox.safetensors": files["generator_ema.safetensors"]}
    assert_same(load_generator("hf://ann/one"), made["generator_ema"])
    server.repositories["ann/two"] = {"a.safetensors": b"1", "b.pt": b"2"}
    said = complaint(load_generator, "hf://ann/two")
    assert "holds 2 networks, a.safetensors, b.pt; name one: hf://ann/two/a.safetensors" in said
    server.repositories["ann/none"] = {"README.md": b"nothing"}
    assert "hf://ann/none holds no network" in complaint(load_generator, "hf://ann/none")


@with_package
def test_what_the_hub_refuses_is_one_line(server, networks):
    server.repositories["ann/foxes"] = networks[1]
    assert "there is no such repository, or it is private" in complaint(load_generator, "hf://ann/wolves")
    assert "no such revision" in complaint(load_generator, "hf://ann/foxes@v2")
    assert "no such file" in complaint(load_generator, "hf://ann/foxes/wolf.pt")
    server.repositories["ann/gated"] = networks[1]
    server.gated.add("ann/gated")
    assert "its owner must give you access" in complaint(
        load_generator, "hf://ann/gated/generator_ema.safetensors"
    )


@with_package
def test_a_damaged_file_of_the_hub_is_one_line_with_its_place(server, networks):
    files = networks[1]
    server.repositories["ann/foxes"] = {
        **files,
        "generator_ema.safetensors": files["generator_ema.safetensors"][:500],
    }
    assert "cannot be read, it may be incomplete" in complaint(load_generator, "hf://ann/foxes")


@with_package
def test_a_folder_is_uploaded_and_loaded_again(server, networks, tmp_path):
    made, files = networks
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "secret.txt").write_text("not of the card")
    url = hub.push(tmp_path, "ann/foxes", list(files), private=True, overwrite=False)
    assert url == f"{server.url}/ann/foxes" and server.private == {"ann/foxes"}
    assert {n: c for n, c in server.repositories["ann/foxes"].items() if n != ".gitattributes"} == files
    assert_same(load_generator("hf://ann/foxes"), made["generator_ema"])
    said = complaint(hub.push, tmp_path, "ann/foxes", list(files), private=False, overwrite=False)
    assert "has README.md, discriminator.safetensors, generator_ema.safetensors already; --overwrite" in said
    (tmp_path / "README.md").write_bytes(b"# better")
    hub.push(tmp_path, "ann/foxes", list(files), private=False, overwrite=True)
    assert server.repositories["ann/foxes"]["README.md"] == b"# better"


@with_package
def test_a_token_that_may_not_write_is_one_line(server, tmp_path, networks):
    server.token = "hf_another"
    (tmp_path / "README.md").write_text("x")
    said = complaint(hub.push, tmp_path, "ann/foxes", ["README.md"], private=False, overwrite=False)
    assert "log in with a token that may write" in said


@with_package
def test_a_hub_that_cannot_be_reached_is_one_line(server):
    server_url = server.url
    assert server_url.startswith("http://127.0.0.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
        for name in ours():
            patch.delitem(sys.modules, name)
        assert "the Hub cannot be reached" in complaint(load_generator, "hf://ann/foxes")


@pytest.mark.parametrize(
    "address", ["hf://", "hf://foxes", "hf://a/b@", "hf://a b/c", "hf://a/b/../../etc/passwd"]
)
def test_another_form_of_address_is_one_line(address):
    assert "must be hf://user/name" in complaint(load_generator, address)


@pytest.mark.parametrize("name", ["foxes", "a/b/c", "a b/c", "a/é", ""])
def test_another_form_of_repository_is_one_line(name):
    assert "a repository is named user/name" in complaint(hub.check_repository, name)


def test_without_the_package_one_line_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'stylegan-lightning[hub]'" in complaint(load_generator, "hf://ann/foxes")
    said = complaint(hub.push, tmp_path, "ann/foxes", [], private=False, overwrite=False)
    assert "--push ann/foxes needs the package huggingface_hub" in said
