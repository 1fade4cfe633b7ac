"""The augmentation pipe against the reference: values, gradients, statistics."""

import pytest
import torch

from stylegan.augment import AugmentPipe
from stylegan.augment.geometry import inverse_map
from stylegan.augment.options import STRENGTHS
from tests.golden.golden import fixture, json_fixture, json_params, params, relative_error

VALUES = ("augment.npz", "augment_more.npz")
IMAGE_TOLERANCE = 2e-5
GRADIENT_TOLERANCE = 5e-5


def value_cases(z, file):
    for case in z.meta["cases"]:
        for image in case["images"]:
            for percentile in case["percentiles"]:
                yield f"{case['id']}/{image}/{percentile}", (file, case, image, percentile)


def deterministic(z, case, image, percentile, images):
    noise = z.tensor(f"noise/{image}") if case["kwargs"].get("noise") else None
    return AugmentPipe(**case["kwargs"])(images, percentile=percentile, noise=noise)


def assert_near(actual, expected):
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= IMAGE_TOLERANCE


@pytest.mark.parametrize(
    "case", [p for file in VALUES for p in params(file, lambda z, file=file: value_cases(z, file))]
)
def test_values(case):
    file, case, image, percentile = case
    z, key = fixture(file), f"{case['id']}/{image}/{percentile}"
    out = deterministic(z, case, image, percentile, z.tensor(f"img/{image}"))
    if f"out/{key}" in z or f"out/{key}/grid" not in z:
        assert_near(out, z.tensor(f"out/{key}"))
        return
    assert_near(out[:, :, 1::3, 2::3], z.tensor(f"out/{key}/grid"))
    edges = torch.stack([out[:, :, 0], out[:, :, -1], out[:, :, :, 0], out[:, :, :, -1]])
    assert_near(edges, z.tensor(f"out/{key}/edges"))


def gradient_cases(z):
    return [
        (key, case[1:])
        for key, case in value_cases(z, z.path.name)
        if case[1].get("grad") and f"dx/{key}" in z
    ]


@pytest.mark.parametrize("case", params("augment_more.npz", gradient_cases))
def test_gradients(case):
    case, image, percentile = case
    z, key = fixture("augment_more.npz"), f"{case['id']}/{image}/{percentile}"
    images, cotangent = z.tensor(f"img/{image}").requires_grad_(), z.tensor(f"cot/{image}").requires_grad_()
    out = deterministic(z, case, image, percentile, images)
    (dx,) = torch.autograd.grad((out * cotangent).sum(), images, create_graph=True)
    (dcot,) = torch.autograd.grad((dx * z.tensor(f"cot2/{image}")).sum(), cotangent)
    assert relative_error(dx, z.tensor(f"dx/{key}")) <= GRADIENT_TOLERANCE
    assert relative_error(dcot, z.tensor(f"dcot/{key}")) <= GRADIENT_TOLERANCE


def pair_cases(z):
    """Presets on two images at once: `batch2/out_<preset>_<percentile>`."""
    for key in z.keys("batch2/out_"):
        preset, percentile = key.removeprefix("batch2/out_").rsplit("_", 1)
        yield key, (key, {name: 1 for name in z.meta["presets"][preset]}, float(percentile))


@pytest.mark.parametrize("case", params("augment.npz", pair_cases))
def test_two_images(case):
    key, options, percentile = case
    z = fixture("augment.npz")
    assert_near(AugmentPipe(**options)(z.tensor("batch2/img"), percentile=percentile), z.tensor(key))


@pytest.mark.parametrize(
    "name", params("augment.npz", lambda z: [(k, k) for k in z.meta.get("buffers_registered", [])])
)
def test_buffers(name):
    buffer = dict(AugmentPipe().named_buffers())[name]
    if name != "p":
        assert (buffer - fixture("augment.npz").tensor(f"buffers/{name}")).abs().max() <= 1e-6


def moments(pipe, image, probe, n, generator):
    """Mean picture, its standard error, the probes [n, K], and which draws left the picture as it was."""
    total, square, probes, largest = 0.0, 0.0, [], []
    for start in range(0, n, 40):
        count = min(40, n - start)
        out = pipe(image.expand(count, -1, -1, -1), draws=pipe.draw(count, image.shape[1:], generator))
        largest.append((out - image).flatten(1).abs().amax(1))
        out = out.double()
        total, square = total + out.sum(0), square + out.square().sum(0)
        probes.append(out.flatten(1) @ probe.double().T)
    mean = total / n
    return (
        mean,
        (square / n - mean.square()).clamp_min(0).div(n).sqrt(),
        torch.cat(probes),
        torch.cat(largest),
    )


def assert_within_errors(actual, actual_error, expected, expected_error):
    error = torch.hypot(torch.as_tensor(actual_error), torch.as_tensor(expected_error))
    # 1e-6: the rounding of pixels that no draw changes.
    assert ((torch.as_tensor(actual) - torch.as_tensor(expected)).abs() <= 5 * error + 1e-6).all()


@pytest.mark.parametrize(
    "case", params("augment_moments.npz", lambda z: [(c["id"], c) for c in z.meta["cases"]])
)
def test_moments(case):
    """Whole pipes with their gates. Only the pipe of everything gets all its draws; the tolerance knows."""
    z, key = fixture("augment_moments.npz"), case["id"]
    pipe = AugmentPipe(**case["kwargs"])
    pipe.p = case["p"]
    n = case["draws"] if len(case["kwargs"]) == len(STRENGTHS) else 4000
    (image,) = [z.tensor(key) for key in z.keys("img/")]
    mean, error, probes, largest = moments(
        pipe, image, z.tensor("probe"), n, torch.Generator().manual_seed(1)
    )
    assert_within_errors(mean, error, z.tensor(f"mean/{key}_f64"), z.tensor(f"mean_se/{key}_f64"))

    centered = probes - probes.mean(0)
    products = centered[:, :, None] * centered[:, None, :]
    covariance, error = products.mean(0), products.std(0) / n**0.5
    assert_within_errors(covariance, error, z.tensor(f"cov/{key}_f64"), z.tensor(f"cov_se/{key}_f64"))

    share = (largest < z.meta["unchanged_below"]).double().mean()
    error = (share * (1 - share) / n).sqrt()
    assert_within_errors(share, error, case["unchanged"], case["unchanged_se"])


def assert_same_distribution(values, expected, levels):
    """Moments and quantiles of two random samples, within 4.5 standard errors of their difference."""
    values = values.double().flatten()
    n = 1 / (1 / values.numel() + 1 / expected["n"])
    mean, deviation = values.mean(), values.std(correction=0)
    assert abs(mean - expected["mean"]) <= 4.5 * deviation / n**0.5 + 1e-6
    assert abs(values.abs().mean() - expected["abs_mean"]) <= 4.5 * values.abs().std() / n**0.5 + 1e-6
    # The variance is the mean of the squared deviations.
    squares = (values - mean).square()
    assert abs(deviation**2 - expected["std"] ** 2) <= 4.5 * squares.std() / n**0.5 + 1e-6
    if deviation == 0:
        assert expected["min"] == expected["max"] == values[0]
    elif values.unique().numel() > 100:
        for level, quantile in zip(levels, expected["quantiles"], strict=True):
            below = (values <= quantile).double().mean()
            assert abs(below - level) <= 4.5 * (level * (1 - level) / n) ** 0.5


def assert_share(actual, expected, n):
    """The share of a boolean tensor against that of n other draws."""
    share = actual.double().mean().item()
    n = 1 / (1 / actual.numel() + 1 / n)
    assert abs(share - expected) <= 4.5 * (expected * (1 - expected) / n) ** 0.5 + 1e-9


def correlation(x, y):
    return torch.corrcoef(torch.stack([x, y]).double())[0, 1].item()


@pytest.fixture(scope="module")
def tables():
    """20,000 draws that all cases look at."""
    return AugmentPipe().draw(20000, (3, 64, 64), torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    "case", json_params("augment_stats.json", lambda s: [(f"{r['aug']}-p{r['p']}", r) for r in s["stats"]])
)
def test_distribution_of_the_draws(case, tables):
    name, n = case["aug"], case["draws"]
    pipe = AugmentPipe(**{name: 1})
    pipe.p = case["p"]
    levels = json_fixture("augment_stats.json")["quantile_levels"]
    gates, parameters = pipe.gates(tables)[name], pipe.parameters_of(tables)
    values = getattr(parameters, name)

    for j, chance in enumerate(case["expected_applied"]):
        share = gates[:, j].double().mean().item()
        assert abs(share - chance) <= 4 * (chance * (1 - chance) / len(gates)) ** 0.5
        assert_share(
            values.reshape(len(gates), len(case["expected_applied"]), -1)[:, j].any(1),
            case["non_identity_fraction"][j],
            n,
        )
    if "any_applied_fraction" in case:
        assert_share(gates.any(1), case["any_applied_fraction"], n)
    for j, expected in enumerate(case["given_applied"]):
        applied = values[:, j][gates[:, j]] if gates.shape[1] > 1 else values[gates[:, 0]]
        assert_same_distribution(applied, expected, levels)
    for j, counts in enumerate(case.get("value_counts_given_applied", [])):
        applied = values[:, j][gates[:, j]]
        for value, count in enumerate(counts):
            assert_share(applied == value, count / sum(counts), sum(counts))

    if "xy_correlation_given_applied" in case:
        x, y = values[gates[:, 0]].unbind(1)
        assert abs(correlation(x, y)) <= 4 / x.numel() ** 0.5
    if "band_apply_correlation_01" in case:
        assert abs(correlation(gates[:, 0], gates[:, 1])) <= 4 / n**0.5
    for j, axis in enumerate("xy"):
        if f"pixel_shift_{axis}_all_draws" in case:
            expected = case[f"pixel_shift_{axis}_all_draws"]
            shift = inverse_map(parameters, *[case["image_size"]] * 2)[:, j, 2]
            assert_same_distribution(shift, expected, levels)
            assert [shift.min(), shift.max()] == [expected["min"], expected["max"]]
    if "center_all_draws" in case:
        assert_same_distribution(parameters.cutout_center, case["center_all_draws"], levels)
