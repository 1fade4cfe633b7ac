"""VGG16 and LPIPS against the libraries that have them, on random weights in the published layouts."""

import hashlib

import pytest
import torch
import torchvision

from stylegan.features import HasEmbedding, open_detector
from stylegan.features.vgg import LPIPS_FILE, VGG16_FILE

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both files under other names' digits; the large matrices share few numbers, to be small on the disk."""
    folder = tmp_path_factory.mktemp("vgg")
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: values.shape for name, values in torchvision.models.vgg16().state_dict().items()}
    tensors = {}
    for name, shape in shapes.items():
        if len(shape) == 2:  # each row is the one above, moved by one place
            numbers = torch.randn(sum(shape), generator=generator) / shape[1] ** 0.5
            tensors[name] = numbers.as_strided(shape, (1, 1))
        else:
            fan_in = shape[1:].numel() if len(shape) == 4 else 100
            tensors[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
    torch.save(tensors, folder / "vgg16.pth")
    channels = (64, 128, 256, 512, 512)
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for i, c in enumerate(channels)
    }
    torch.save(heads, folder / "lpips.pth")
    return folder


@pytest.fixture(scope="module")
def published(folder, tmp_path_factory):
    """The same under the published names, with these files' digits taken for the published ones."""
    named = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        for stored, file in (("vgg16.pth", VGG16_FILE), ("lpips.pth", LPIPS_FILE)):
            content = (folder / stored).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            name = file.name.replace(file.name.split("-")[-1], f"{digest[:8]}.pth")
            (named / name).write_bytes(content)
            patch.setitem(vars(file), "name", name)
            patch.setitem(vars(file), "sha256", digest[:8])
        yield named


@pytest.fixture(scope="module")
def lpips(published):
    return open_detector("lpips-vgg16", path=published)


def random_images(count, height, width):
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("height", "width"), [(48, 33), (300, 250)])
def test_features_are_those_of_torch_fidelity(lpips, folder, height, width):
    extractor = pytest.importorskip("torch_fidelity.feature_extractor_vgg16").FeatureExtractorVGG16
    reference = extractor("vgg16", ["fc2_relu"], str(folder / "vgg16.pth"))
    images = random_images(1, height, width)
    features = lpips.features(images)
    (expected,) = reference(images)
    assert features.shape == (1, lpips.num_features)
    assert expected.std() > 0.01
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_the_embeddings_distance_is_that_of_torchmetrics(lpips, folder):
    reference_class = pytest.importorskip("torchmetrics.functional.image.lpips")._LPIPS
    with torch.random.fork_rng(devices=[]):
        reference = reference_class(pretrained=False, net="vgg", pnet_rand=True, use_dropout=True).eval()
    backbone = torch.load(folder / "vgg16.pth", weights_only=True)
    slices = {name: values for name, values in reference.net.state_dict().items()}
    for name in slices:
        slices[name] = backbone["features." + name.split(".", 1)[1]]
    reference.net.load_state_dict(slices)
    reference.load_state_dict(torch.load(folder / "lpips.pth", weights_only=True), strict=False)
    first, second = (
        torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(s)) * 2 - 1 for s in (1, 2)
    )
    with torch.no_grad():
        expected = reference(first, second).flatten()
    assert isinstance(lpips, HasEmbedding)
    distance = (lpips.embedding(first) - lpips.embedding(second)).square().sum(1)
    assert expected.min() > 0.01
    torch.testing.assert_close(distance, expected, rtol=1e-4, atol=1e-6)


def test_a_flat_image_has_an_embedding_with_a_gradient(lpips):
    flat = torch.zeros(1, 3, 16, 16, requires_grad=True)
    lpips.embedding(flat).square().sum().backward()
    assert flat.grad.isfinite().all()
    with pytest.raises(ValueError, match="from 16x16 px on, got 8x16"):
        lpips.embedding(torch.zeros(1, 3, 8, 16))


def test_names_and_checksums_tell_the_published_files_from_others(lpips, folder):
    digests = [
        hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("vgg16.pth", "lpips.pth")
    ]
    assert lpips.protocol()["detector"] == "lpips-vgg16"
    assert lpips.checksum == "+".join(digests)
    other = open_detector("vgg16", path=folder / "vgg16.pth")
    assert other.protocol() == {
        "detector": "vgg16-torchvision",
        "detector_checksum": digests[0],
        "resize": "224x224 px, TF1 bilinear without antialiasing",
    }


def test_opening_draws_no_random_number(lpips, published):
    before = torch.random.get_rng_state()
    network = open_detector("vgg16", path=published).network
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not network.training and not any(values.requires_grad for values in network.parameters())


@pytest.mark.parametrize("content", [{}, {"lin0.model.1.weight": -torch.ones(1, 64, 1, 1)}])
def test_what_are_no_heads_is_one_line(published, tmp_path, content):
    torch.save(content, tmp_path / "heads.pth")
    with pytest.raises(ValueError, match="no heads of LPIPS") as refused:
        (tmp_path / VGG16_FILE.name).symlink_to(published / VGG16_FILE.name)
        open_detector("lpips-vgg16", path=tmp_path / "heads.pth")
    assert "\n" not in str(refused.value)
