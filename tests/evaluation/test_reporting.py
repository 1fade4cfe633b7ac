"""Reporting: what a report on a network is made from."""

import html
from pathlib import Path

import pytest
import torch

from stylegan.evaluation import EvaluationData, EvaluationStoppedError, MetricSettings, Watch, evidence_of
from stylegan.evaluation.evaluation import Network
from stylegan.evaluation.fakes import Fakes
from stylegan.images import to_float
from stylegan.networks import Discriminator
from stylegan.report import Report
from tests.evaluation.small import Averages, Images, small_generator


class Data:
    """A data module that is set up, with or without pictures held out."""

    xflip = True

    def __init__(self, classes=0, held_out=False):
        self.dataset = Images(40, classes)
        self.validation = Images(12, classes, seed=1) if held_out else None


def small_discriminator(c_dim=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Discriminator(resolution=8, c_dim=c_dim, channel_base=64, channel_max=8).eval()


def gathered(data, discriminator=None, c_dim=0, watch=None, provenance="trust", **settings):
    return evidence_of(
        small_generator(c_dim),
        discriminator,
        EvaluationData.of(data),
        MetricSettings(metrics="none", **settings),
        Averages(),
        watch=watch or Watch(say=lambda line: None),
        provenance=provenance,
        num_fakes=40,
    )


def test_fakes_are_those_that_are_scored_and_reals_those_of_training():
    data = Data()
    found = gathered(data, first_seed=3)
    assert torch.equal(
        found.fake.full(7), Fakes(small_generator(), None, num=40, first_seed=3).images(range(7, 8))[0]
    )
    assert torch.equal(found.real.full(5), data.dataset.pixels[5])
    assert found.provenance == "trust" and gathered(data, provenance="other").provenance == "other"
    assert found.xflip and found.held_out is None and found.logits is None
    assert found.real.features.shape == (40, 12) and found.fake.features.shape == (40, 12)


def test_walks_begin_and_end_at_different_fakes_and_change_little_by_little():
    strips = gathered(Data()).strips.float()
    assert strips.shape == (8, 24, 3, 8, 8)
    steps = (strips[:, 1:] - strips[:, :-1]).abs().mean((2, 3, 4))
    whole = (strips[:, -1] - strips[:, 0]).abs().mean((1, 2, 3))
    assert (whole > 1).all() and (steps.max(1).values < whole).all()


@pytest.mark.parametrize("c_dim", [0, 3])
def test_the_discriminator_sees_training_held_out_and_fake_pictures(c_dim):
    data, discriminator = Data(c_dim, held_out=True), small_discriminator(c_dim)
    found = gathered(data, discriminator, c_dim)
    assert len(found.held_out) == 12
    assert [len(side) for side in (found.logits.training, found.logits.held_out, found.logits.fakes)] == [
        12
    ] * 3
    with torch.no_grad():
        labels = data.validation.labels(torch.arange(12)) if c_dim else None
        everything = discriminator(to_float(data.validation.pixels), labels).flatten()
    # In another order, whose groups of the minibatch standard deviation are others: near, not equal.
    assert abs(float(found.logits.held_out.mean() - everything.mean())) < 0.2 * float(everything.abs().mean())


def test_the_discriminator_sees_fakes_as_in_training_under_any_truncation():
    data, discriminator = Data(held_out=True), small_discriminator()
    plain, cut = (gathered(data, discriminator, truncation=psi) for psi in (1.0, 0.2))
    assert torch.equal(plain.logits.fakes, cut.logits.fakes)
    assert not torch.equal(plain.fake.thumbnails, cut.fake.thumbnails) and cut.truncation == 0.2


def test_fakes_are_drawn_with_the_requested_noise():
    plain = Fakes(small_generator(), None, num=40, noise_mode="none").images(range(40))
    assert torch.equal(gathered(Data(), noise_mode="none").fake.thumbnails, plain)


def test_no_more_labels_are_requested_than_there_are_fakes():
    most = 0

    class Counting(Images):
        def labels(self, indices):
            nonlocal most
            most = max(most, len(indices))
            return super().labels(indices)

    data = Data()
    data.dataset = Counting(count=2000, classes=3)
    gathered(data, c_dim=3)
    assert 1 <= most <= 40


def test_without_held_out_pictures_the_discriminator_is_not_asked():
    assert gathered(Data(), small_discriminator()).logits is None


def test_it_can_be_stopped():
    with pytest.raises(EvaluationStoppedError):
        gathered(Data(), watch=Watch(say=lambda line: None, time_limit_sec=0))


def test_the_terminal_says_what_the_page_says_in_the_same_words(tmp_path, capsys):
    from stylegan.evaluation import publish_report
    from stylegan.report import WORDS, examine

    report = examine(gathered(Data()))
    publish_report(report, tmp_path, "n")
    said = [line.removeprefix("report      ") for line in capsys.readouterr().out.splitlines()]
    page = html.unescape((tmp_path / "report.html").read_text())
    assert said[0] == report.head and f'<p class="head">{report.head}</p>' in page
    for finding in report.findings:
        assert f"{WORDS[finding.verdict]:<13}{finding.title} {finding.result}" in said
        assert f'<span class="badge {finding.verdict}">{WORDS[finding.verdict]}</span>' in page
        assert finding.title in page and finding.result in page
    assert said[-1] == str(tmp_path / "report.html")


def test_the_page_is_titled_by_its_run_and_rounds_what_comes_from_float32(tmp_path):
    from stylegan.evaluation import publish_report, report_on

    report = report_on(
        small_generator(),
        None,
        EvaluationData.of(Data()),
        MetricSettings(metrics="none"),
        {"builtin": Averages()},
        watch=Watch(say=lambda line: None),
        provenance="trust",
        network="checkpoints/kimg0000000.224.safetensors",
        images=224,
        precision="fp32",
        augment_p=0.0007680000271648169,
    )
    assert report.about["largest p of augmentation"] == report["colour"].values["largest p"] == 0.000768
    publish_report(report, tmp_path, "flags & co")
    page = (tmp_path / "report.html").read_text()
    assert "<title>Is it learning or copying? flags &amp; co, kimg 0.224</title>" in page
    assert "<td>0.000768</td>" in page and "0.00076800" not in page
    publish_report(Report([]), tmp_path, "lone.safetensors")
    assert "copying? lone.safetensors</title>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("runs/flags/checkpoints/kimg0000000.224.safetensors", "flags"),
        ("runs/flags/checkpoints/kimg0000000.224.ckpt", "flags"),
        ("lone.safetensors", "lone.safetensors"),
        ("elsewhere/kimg0000000.224.safetensors", "kimg0000000.224.safetensors"),
    ],
)
def test_a_network_is_called_by_its_run(tmp_path, monkeypatch, file, title):
    monkeypatch.chdir(tmp_path)
    assert Network.at(Path(file)).title == Network.at(tmp_path / file).title == title


def test_an_image_that_cannot_be_read_is_no_duplicate_of_the_next():
    class Files(Images):
        """Image 3 cannot be read, and image 4 is shown in its place."""

        is_stored = True

        def __getitem__(self, index):
            return super().__getitem__(4 if index == 3 else index)

        def is_shown(self, index):
            return index != 3

        def key(self, index):
            return f"{index}.png"

    data = Data()
    data.dataset = Files(40)
    found = gathered(data)
    assert len(found.real) == 39 and list(found.real.names[:4]) == ["0.png", "1.png", "2.png", "4.png"]
    assert len(found.without_repeats().real) == 39
