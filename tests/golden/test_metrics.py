"""FID, KID, precision and recall, inception score and path length against the reference, on given features."""

import numpy as np
import pytest
import torch

from stylegan import metrics
from stylegan.interop.nvidia_names import build_generator
from tests.golden.golden import fixture, params, relative_error

FILE = "metrics.npz"


def cases(kind):
    return params(FILE, lambda z: [(f"{kind}-{case['id']}", case) for case in z.meta[kind]])


def close(value, z, key, tolerance=1e-4):
    return value == pytest.approx(float(z.numpy(key)), rel=tolerance)


def pair(z, kind, case):
    return tuple(z.tensor(f"{kind}/{case['id']}/{name}") for name in ("real", "gen"))


@pytest.mark.parametrize("case", cases("fid"))
def test_fid(case):
    z = fixture(FILE)
    real, fake = pair(z, "fid", case)
    real, fake = real[: case["max_real"]], fake[: case["num_gen"]]
    tolerance = 1e-3 if case["rank_deficient"] else 1e-4
    assert close(metrics.fid(real, fake), z, f"fid/{case['id']}/fid_f64", tolerance)


@pytest.mark.parametrize("name", ["real", "gen"])
@pytest.mark.parametrize("case", cases("fid"))
def test_moments(case, name):
    z = fixture(FILE)
    rows = z.tensor(f"fid/{case['id']}/{name}")
    moments = metrics.moments_of(rows[: case["max_real"] if name == "real" else case["num_gen"]])
    for value, key in ((moments.mean, "mu"), (moments.covariance, "sigma")):
        assert relative_error(torch.from_numpy(value), z.tensor(f"fid/{case['id']}/{key}_{name}_f64")) <= 1e-6


@pytest.mark.parametrize("case", cases("kid"))
def test_kid(case):
    z = fixture(FILE)
    real, fake = pair(z, "kid", case)
    rng = np.random.RandomState(case["numpy_seed"])
    value = metrics.kid(real, fake, subsets=case["num_subsets"], subset_size=case["max_subset_size"], rng=rng)
    assert close(value, z, f"kid/{case['id']}/kid_f64")


@pytest.mark.parametrize("key", ["precision_recall_f64", "precision_recall_exact_f64"])
@pytest.mark.parametrize("case", cases("pr"))
def test_precision_recall(case, key):
    z = fixture(FILE)
    real, fake = pair(z, "pr", case)
    expected = z.numpy(f"pr/{case['id']}/{key}")
    for block in {case["row_batch_size"], case["col_batch_size"]}:
        precision, recall = metrics.precision_recall(real, fake, k=case["nhood_size"], block=block)
        assert abs(precision - expected[0]) <= 1.5 / len(fake)
        assert abs(recall - expected[1]) <= 1.5 / len(real)


@pytest.mark.parametrize("case", cases("is"))
def test_inception_score(case):
    z = fixture(FILE)
    score = metrics.inception_score(z.tensor(f"is/{case['id']}/probs"), splits=case["num_splits"])
    assert score == pytest.approx(z.numpy(f"is/{case['id']}/mean_std_f64").tolist(), rel=1e-4)


def stand_in(z):
    """The file's distance: cells of 4 x 4 px, projected to a few numbers."""

    def features(images):
        cells = torch.nn.functional.avg_pool2d((images + 1) * (255 / 2), 4).flatten(1) / 255
        return cells @ z.tensor("ppl/proj")[: cells.shape[1]]

    return lambda a, b: (features(a) - features(b)).square().sum(dim=1)


def weights(z):
    """The generator's tensors; the file keeps single numbers as arrays of one."""
    tensors = {key.removeprefix("ppl/G/"): z.tensor(key) for key in z.keys("ppl/G/")}
    return {key: value[0] if key.endswith("noise_strength") else value for key, value in tensors.items()}


def fresh_noise(z, num):
    """{layer: [N,1,H,W]} from the reference's buffers, of which all samples have the same."""
    noise = {}
    for key in z.meta["ppl_noise_keys"]:
        layer = key.removeprefix("synthesis.").removesuffix(".noise_const")
        values = z.tensor(f"ppl/noise/{key}")
        noise[layer] = values.expand(num, 1, *values.shape)
    return noise


@pytest.mark.parametrize("case", cases("ppl"))
def test_path_distances(case):
    z = fixture(FILE)
    expected = z.tensor(f"ppl/{case['id']}/dist")
    generator = build_generator(z.meta["ppl_G_kwargs"], weights(z)).eval()
    z0, z1 = z.tensor("ppl/z").chunk(2)
    labels = z.tensor("ppl/c") if generator.c_dim else None
    distances = metrics.path_distances(
        generator,
        z0,
        z1,
        labels,
        z.tensor("ppl/t"),
        distance=stand_in(z),
        epsilon=case["epsilon"],
        space=case["space"],
        sampling=case["sampling"],
        crop=case["crop"],
        noise=fresh_noise(z, len(z0)),
    )
    # The smaller the step, the more of the difference is the rounding of the pictures.
    tolerance = 1e-2 if case["epsilon"] >= 1e-2 else 3e-2
    torch.testing.assert_close(distances, expected, rtol=tolerance, atol=0)


@pytest.mark.parametrize("case", cases("ppl_trim"))
def test_trimmed_mean(case):
    z = fixture(FILE)
    value = metrics.trimmed_mean(z.tensor(f"ppl_trim/{case['id']}/dist"))
    assert close(value, z, f"ppl_trim/{case['id']}/ppl_f64")


def test_slerp():
    z = fixture(FILE)
    out = metrics.slerp(z.tensor("slerp/a"), z.tensor("slerp/b"), z.tensor("slerp/t"))
    assert relative_error(out, z.tensor("slerp/out")) <= 1e-5
