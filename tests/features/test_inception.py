"""Inception: the port's own numbers, on random weights in the published layout."""

import pytest
import torch

from stylegan.features import HasProbabilities, open_detector
from stylegan.features.weights import file_sha256

pytestmark = pytest.mark.long
port = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file in the layout of the published one, whose name promises its own digits."""

    class Random(port.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_, **__):
            pass

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "nothing.pth")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Random("inception-v3-compat", ["2048"], folder / "nothing.pth")
        for name, values in network.state_dict().items():
            if name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bn.bias", "fc.bias")):
                values.normal_(0, 0.2)
    torch.save(network.state_dict(), folder / "net.pth")
    return (folder / "net.pth").rename(
        folder / f"weights-inception-{file_sha256(folder / 'net.pth')[:8]}.pth"
    )


@pytest.fixture(scope="module")
def detector(weights):
    return open_detector("inception", path=weights)


@pytest.fixture(scope="module")
def images():
    return torch.randint(
        0, 256, (3, 3, 40, 52), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def test_features_and_probabilities_are_those_of_the_port(detector, weights, images):
    reference = port.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], str(weights)
    )
    pool, logits = reference(images)
    features = detector.features(images)
    assert features.shape == (3, detector.num_features) and torch.equal(features, pool)
    assert isinstance(detector, HasProbabilities)
    probabilities = detector.probabilities(images)
    assert probabilities.shape == (3, 1008) and torch.equal(probabilities, logits.softmax(1))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))
    bias = torch.load(weights, weights_only=True)["fc.bias"]
    assert bias.abs().max() > 0.1, "leaving the bias out is no accident of the weights"
    biased = (logits + bias).softmax(1)
    assert (probabilities - biased).abs().max() > 1e-5


def test_grey_and_transparent_images_are_shown_as_rgb(detector, images):
    grey = images[:1, :1]
    assert torch.equal(detector.probabilities(grey), detector.probabilities(grey.expand(-1, 3, -1, -1)))
    opaque = torch.cat([images[:1], torch.full_like(grey, 255)], 1)
    assert torch.equal(detector.features(opaque), detector.features(images[:1]))


def test_other_weights_are_not_called_the_published_ones(detector, weights):
    protocol = detector.protocol()
    assert protocol["detector"] == "inception with other weights"
    assert protocol["detector_checksum"] == file_sha256(weights)
    assert protocol["resize"] == "299x299 px, TF1 bilinear without antialiasing"


def test_opening_draws_no_random_number_and_leaves_nothing_to_train(weights):
    before = torch.random.get_rng_state()
    network = open_detector("inception", path=weights).network
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not network.training and not any(values.requires_grad for values in network.parameters())


def test_weights_of_another_network_are_one_line(tmp_path):
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="another network") as refused:
        open_detector("inception", path=tmp_path / "net.pth")
    assert "\n" not in str(refused.value)
