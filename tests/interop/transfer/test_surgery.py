"""Surgery: what both networks have is the same bit for bit, and functions stay where they can."""

import pytest
import torch
from torch.testing import assert_close

from stylegan.interop.transfer import transfer_discriminator, transfer_generator
from stylegan.interop.transfer.draft import is_constant
from stylegan.ops import downsample2d, upsample2d
from tests.interop.transfer.networks import (
    discriminator,
    flat,
    generator,
    images,
    latents,
    one_hot,
)

ARCHITECTURES = ["resnet", "skip", "orig"]
LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
TAPS = generator().synthesis.b8.resample_filter


def moved(old, new, **names):
    """The report, and the two state dicts."""
    transfer = transfer_generator if hasattr(old, "synthesis") else transfer_discriminator
    before = {name: value.clone() for name, value in old.state_dict().items()}
    report = transfer(old, new, **names)
    # The old network is only read.
    assert all(torch.equal(value, before[name]) for name, value in old.state_dict().items())
    return report, before, new.state_dict()


def statuses(report) -> dict[str, str]:
    return {row.name: row.status for row in report.rows}


CHANGES = {
    "up": {"resolution": 32},
    "down": {"resolution": 8},
    "wide": {"resolution": [16, 24]},
    "grey": {"channels": 1},
    "rgba": {"channels": 4},
    "labels": {"c_dim": 3},
    "narrow": {"channel_max": 8},
    "channels": {"channel_base": 256, "channel_max": 24},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("make", [generator, discriminator])
def test_a_matched_tensor_is_bit_for_bit_that_of_the_file_and_a_random_one_that_of_the_run(make, change):
    old, new = make(), make(seed=1, **change)
    first = {name: value.clone() for name, value in new.state_dict().items()}
    report, before, after = moved(old, new)
    seen = statuses(report)
    assert {name for name in after if not is_constant(name)} == {n for n, s in seen.items() if s != "ignored"}
    for name, status in seen.items():
        if status == "matched":
            assert torch.equal(after[name], before[name]), name
        elif status == "random":
            assert torch.equal(after[name], first[name]), name
        elif status == "ignored":
            assert name in before and name not in after
        else:
            assert name not in before or not torch.equal(after[name], before[name]), name
    kept = [row for row in report.rows if row.status in ("matched", "adapted")]
    assert sum(row.taken for row in kept) <= sum(row.parameters for row in kept) and 0 < report.share <= 1


@pytest.mark.parametrize("make", [generator, discriminator])
def test_the_same_shape_is_taken_over_whole(make):
    report, before, after = moved(make(c_dim=3), make(seed=1, c_dim=3))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert report.share == 1 and set(statuses(report).values()) == {"matched"}


def test_shared_layers_of_another_resolution_are_the_same():
    for resolution, kept in ((64, "b4. b8. b16."), (8, "b4. b8.")):
        report, before, after = moved(generator(), generator(seed=1, resolution=resolution))
        shared = [name for name in before if name.startswith(tuple(f"synthesis.{b}" for b in kept.split()))]
        shared += [name for name in before if name.startswith("mapping.")]
        assert all(torch.equal(before[name], after[name]) for name in shared) and len(shared) > 20
        assert {statuses(report)[name] for name in shared if not is_constant(name)} == {"matched"}


@pytest.mark.parametrize("doublings", [1, 2])
def test_a_generator_that_grows_draws_the_upsampled_image_exactly(doublings):
    old, new = generator(), generator(seed=1, resolution=16 << doublings)
    moved(old, new)
    expected = old(latents())
    for _ in range(doublings):
        expected = upsample2d(expected, TAPS)
    assert torch.equal(new(latents()), expected)


def test_new_blocks_of_a_generator_learn_from_the_first_step():
    new = generator(seed=1, resolution=32)
    moved(generator(), new)
    new.requires_grad_(True)
    new(latents()).square().sum().backward()
    assert new.synthesis.b32.torgb.weight.grad.abs().sum() > 0


def test_a_discriminator_that_grows_sees_the_downsampled_image():
    """Of skip exactly; of resnet features of flat colours, away from borders, which the old one had not there."""
    big = images(3, 32, 32)
    old, new = discriminator(architecture="skip"), discriminator(seed=1, architecture="skip", resolution=32)
    moved(old, new)
    assert torch.equal(new(big), old(downsample2d(big, TAPS)))
    options = {"channel_max": 8, "channel_base": 1024}  # as many features as the old one
    old, new = discriminator(**options), discriminator(seed=1, resolution=64, **options)
    moved(old, new)
    features, _ = new.b64(None, flat(3, 64))
    features, _ = new.b32(features, None)
    assert_close(features[:, :, 8, 8], old.b16.fromrgb(flat(3, 16))[:, :, 8, 8], rtol=1e-4, atol=1e-5)


def test_fewer_features_of_a_growing_discriminator_come_near_those_of_the_old_one():
    options = {"channel_max": 16, "channel_base": 256}  # 16 features at 16 px, 8 at 32
    old, new = discriminator(**options), discriminator(seed=1, resolution=32, **options)
    moved(old, new)
    got = new.b32(None, flat(3, 32, 64))[0][:, :, 8, 8]
    wanted = old.b16.fromrgb(flat(3, 16, 64))[:, :, 8, 8]
    unexplained = (got - wanted).square().sum() / (wanted - wanted.mean(dim=0)).square().sum()
    assert unexplained < 0.1, unexplained


def test_a_discriminator_that_shrinks_sees_flat_colours_as_before():
    old, new = discriminator(resolution=32), discriminator(seed=1)
    built = new.b16.fromrgb(flat(3, 16, 64))[:, :, 8, 8]
    report, *_ = moved(old, new)
    wanted = old.b32(None, flat(3, 48, 64))[0][:, :, 12, 12]
    got = new.b16.fromrgb(flat(3, 16, 64))[:, :, 8, 8]
    errors = [(one - wanted).square().sum() for one in (got, built)]
    assert errors[0] < 0.4 * (wanted - wanted.mean(dim=0)).square().sum() and errors[0] < 0.2 * errors[1]
    assert statuses(report)["b16.fromrgb.weight"] == "adapted"


@pytest.mark.parametrize("architecture", ["resnet", "orig"])
def test_other_generators_keep_the_lower_blocks_and_say_that_the_last_torgb_is_random(architecture):
    old, new = (
        generator(architecture=architecture),
        generator(seed=1, architecture=architecture, resolution=32),
    )
    seen = statuses(moved(old, new)[0])
    assert seen["synthesis.b32.torgb.weight"] == "random" and seen["synthesis.b16.torgb.weight"] == "ignored"
    assert seen["synthesis.b16.conv1.weight"] == "matched"


def test_grey_and_alpha_are_those_of_the_old_image():
    old, image = generator(), generator()(latents())
    alike = {"rtol": 1e-5, "atol": 1e-5}
    new = generator(seed=1, channels=4)
    moved(old, new)
    drawn = new(latents())
    assert_close(drawn[:, :3], image, **alike)
    assert torch.equal(drawn[:, 3], torch.ones_like(drawn[:, 3]))
    new = generator(seed=1, channels=1)
    moved(old, new)
    assert_close(new(latents()), (image * LUMA).sum(dim=1, keepdim=True), **alike)
    new = generator(seed=1, channels=4, resolution=32)
    moved(old, new)
    assert_close(new(latents())[:, :3], upsample2d(image, TAPS), **alike)
    assert torch.equal(new(latents())[:, 3], torch.ones(6, 32, 32))
    old, new = generator(channels=1), generator(seed=1, channels=3)
    moved(old, new)
    assert_close(new(latents()), old(latents()).expand(-1, 3, -1, -1), **alike)
    old, new = generator(channels=4), generator(seed=1, channels=3)
    moved(old, new)
    assert_close(new(latents()), old(latents())[:, :3], **alike)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_discriminator_of_other_channels_sees_the_converted_image(architecture):
    rgb, grey, alpha = images(), images(1), torch.full((4, 1, 16, 16), 0.3)
    cases = [
        (3, 4, rgb, torch.cat([rgb, alpha], dim=1)),
        (3, 1, grey.expand(-1, 3, -1, -1), grey),
        (1, 3, (rgb * LUMA).sum(dim=1, keepdim=True), rgb),
        (4, 3, torch.cat([rgb, torch.ones_like(alpha)], dim=1), rgb),
    ]
    for before, now, seen, shown in cases:
        old = discriminator(architecture=architecture, channels=before)
        new = discriminator(seed=1, architecture=architecture, channels=now)
        moved(old, new)
        if (architecture, before) == ("skip", 4):
            continue  # smaller copies of an opaque plane fade at their borders
        assert_close(new(shown), old(seen), rtol=1e-4, atol=1e-5)


def test_other_planes_keep_their_places():
    old, new = generator(channels=5), generator(seed=1, channels=7)
    moved(old, new)
    drawn = new(latents())
    assert_close(drawn[:, :5], old(latents()), rtol=1e-5, atol=1e-5)
    assert not drawn[:, 5:].any()


@pytest.mark.parametrize("options", [{}, {"channel_max": 24, "w_dim": 12}], ids=["same", "wider"])
def test_labels_begin_without_influence(options):
    old, new = generator(), generator(seed=1, c_dim=3, **options)
    moved(old, new)
    for label in range(3):
        drawn = new(latents(), one_hot(3, *[label] * 6))
        assert_close(drawn, old(latents()), rtol=1e-4, atol=2e-5)
    options.pop("w_dim", None)
    # Its statistic of the batch is a mean over all features, so new ones change it.
    plain = {"mbstd_channels": 0}
    old, new = discriminator(**plain), discriminator(seed=1, c_dim=3, **plain, **options)
    moved(old, new)
    for label in range(3):
        assert_close(new(images(), one_hot(3, *[label] * 4)), old(images()), rtol=1e-4, atol=1e-5)
    new.requires_grad_(True)
    new(images(), one_hot(3, 0, 1, 2, 0)).sum().backward()
    # Each entry of the projection learns another thing.
    gradient = new.mapping.fc7.weight.grad
    assert torch.linalg.matrix_rank(new.b4.out.weight.detach()) > 1 and gradient.abs().sum() > 0


def test_classes_go_by_name():
    old = generator(c_dim=3, label_names=["fox", "cat", "dog"])
    new = generator(seed=1, c_dim=4, label_names=["owl", "dog", "fox", "cat"])
    moved(old, new)
    assert_close(
        new(latents(3), one_hot(4, 1, 2, 3)), old(latents(3), one_hot(3, 2, 0, 1)), rtol=1e-4, atol=1e-5
    )
    # One that is new begins as the mean of the known ones.
    columns = new.mapping.embed.weight / 4**0.5
    assert_close(columns[:, 0], columns[:, 1:].mean(dim=1))
    names = {"old_names": ("fox", "cat"), "new_names": ("cat", "fox", "owl")}
    old, new = discriminator(c_dim=2), discriminator(seed=1, c_dim=3)
    moved(old, new, **names)
    assert_close(
        new(images(), one_hot(3, 0, 1, 0, 1)), old(images(), one_hot(2, 1, 0, 1, 0)), rtol=1e-4, atol=1e-5
    )


def test_classes_without_names_go_by_number():
    old, new = generator(c_dim=3), generator(seed=1, c_dim=2, label_names=["a", "b"])
    moved(old, new)
    assert_close(new(latents(2), one_hot(2, 0, 1)), old(latents(2), one_hot(3, 0, 1)), rtol=1e-4, atol=1e-5)


def test_what_loses_its_labels_keeps_the_mean_of_the_classes():
    old, new = discriminator(c_dim=3), discriminator(seed=1)
    moved(old, new)
    mean = torch.stack([old(images(), one_hot(3, *[k] * 4)) for k in range(3)]).mean(dim=0)
    assert_close(new(images()), mean, rtol=1e-4, atol=1e-5)
    old, new = (
        generator(c_dim=3, mapping_layers=1, mapping_activation="linear"),
        generator(seed=1, mapping_layers=1, mapping_activation="linear"),
    )
    moved(old, new)
    mean = torch.stack([old.mapping(latents(), one_hot(3, *[k] * 6)) for k in range(3)]).mean(dim=0)
    assert_close(new.mapping(latents()), mean, rtol=1e-4, atol=1e-5)


def test_a_wider_network_computes_what_it_did():
    options = {"w_dim": 12, "channel_max": 24, "channel_base": 256}
    old, new = generator(c_dim=3), generator(seed=1, c_dim=3, **options)
    labels = one_hot(3, 0, 1, 2, 0, 1, 2)
    moved(old, new)
    assert_close(new(latents(), labels), old(latents(), labels), rtol=1e-4, atol=1e-4)
    assert_close(
        new(latents(), labels, truncation=0.3), old(latents(), labels, truncation=0.3), rtol=1e-4, atol=1e-4
    )
    options = {"channel_max": 24, "channel_base": 256}
    for architecture in ARCHITECTURES:
        plain = {"mbstd_channels": 0, "architecture": architecture, "c_dim": 3}
        old, new = discriminator(**plain), discriminator(seed=1, **plain, **options)
        moved(old, new)
        assert_close(new(images(), labels[:4]), old(images(), labels[:4]), rtol=1e-4, atol=1e-4)


def test_the_statistic_of_the_batch_stays_the_last_input_of_a_wider_discriminator():
    old, new = discriminator(mbstd_channels=2), discriminator(seed=1, channel_max=24)
    _, before, after = moved(old, new)
    gain = (25 / 18) ** 0.5
    assert_close(after["b4.conv.weight"][:16, 24], before["b4.conv.weight"][:, 16] * gain)
    assert not after["b4.conv.weight"][:16, 16:24].any()


def test_a_narrower_network_keeps_the_first_features():
    _, before, after = moved(generator(), generator(seed=1, channel_max=8))
    assert torch.equal(after["synthesis.b8.conv1.weight"], before["synthesis.b8.conv1.weight"][:8, :8])
    assert torch.equal(after["synthesis.b4.const"], before["synthesis.b4.const"][:8])


@pytest.mark.parametrize("classes", [0, 3])
def test_a_deeper_mapping_gives_the_same_w(classes):
    labels = one_hot(3, 0, 1, 2, 0, 1, 2) if classes else None
    old, new = generator(c_dim=classes), generator(seed=1, c_dim=classes, mapping_layers=5)
    moved(old, new)
    assert_close(new.mapping(latents(), labels), old.mapping(latents(), labels), rtol=1e-3, atol=1e-4)
    assert torch.equal(new.mapping.w_avg, old.mapping.w_avg)


def test_a_shallower_mapping_is_fitted_to_w():
    """Better than the first layers alone, by which names would go."""
    old, new, named = generator(mapping_layers=6), generator(seed=1), generator(seed=1)
    report, *_ = moved(old, new)
    named.mapping.load_state_dict(old.mapping.state_dict(), strict=False)
    many = torch.randn(512, 8, generator=torch.Generator().manual_seed(3))
    wanted = old.mapping(many)[:, 0]
    errors = [(network.mapping(many)[:, 0] - wanted).square().mean() for network in (new, named)]
    assert errors[0] < 0.5 * errors[1] and errors[0] < wanted.var(dim=0).mean()
    (note,) = {row.note for row in report.rows if row.name == "mapping.fc1.weight"}
    assert note.startswith("fitted to the w of 6 layers, of whose variance it gives ")


@pytest.mark.parametrize("layers", [1, 3])
def test_a_mapping_that_cannot_be_fitted_begins_as_it_was_built(layers):
    options = {"mapping_activation": "sigmoid"}
    seen = statuses(moved(generator(**options), generator(seed=1, mapping_layers=layers, **options))[0])
    assert seen[f"mapping.fc{layers - 1}.weight"] == "random"


def test_a_rectangle_takes_the_middle_of_a_square_and_back():
    old, new = generator(), generator(seed=1, resolution=[16, 32])
    _, before, after = moved(old, new)
    name = "synthesis.b4.const"
    assert torch.equal(after[name][:, :, 2:6], before[name]) and torch.equal(
        after[name][:, :, :2], before[name][:, :, 2:]
    )
    noise = "synthesis.b16.conv1.noise_const"
    assert torch.equal(after[noise][:, 8:24], before[noise])
    back = generator(seed=2)
    moved(new, back)
    assert all(torch.equal(value, before[name]) for name, value in back.state_dict().items())
    # Where no border reaches, the images are the same.
    plain, wide = (
        network.synthesis.b4(None, None, network.mapping(latents()), {})[0] for network in (old, new)
    )
    assert_close(wide[:, :, 1:-1, 3:5], plain[:, :, 1:-1, 1:3])


def test_a_discriminator_of_a_rectangle_weighs_flat_features_alike():
    old, new = discriminator(), discriminator(seed=1, resolution=[16, 32])
    moved(old, new)
    features = images(16, 1, 1)
    seen = [
        network.b4.fc(features.expand(-1, -1, *size).flatten(1))
        for network, size in ((old, (4, 4)), (new, (4, 8)))
    ]
    assert_close(seen[1], seen[0], rtol=1e-4, atol=1e-5)
