"""Evaluator: what a score is computed from, and what must not change it."""

import pytest
import torch

import stylegan.evaluation.scores
from stylegan import metrics
from stylegan.evaluation import Evaluator, MetricSettings, definitions, protocol_id
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.reals import Reals
from stylegan.images import to_uint8
from stylegan.latents import Sampler, latents_of
from tests.evaluation.small import (
    NAMES,
    NUM,
    Averages,
    Images,
    evaluator,
    quiet,
    results,
    scores,
    small_generator,
)
from tests.together import together


def test_the_numbers_are_those_of_the_formulas_on_the_features():
    images, generator, detector = Images(), small_generator(), Averages()
    sampler = Sampler(generator)
    seeds = range(NUM)
    fake = detector.features(
        to_uint8(sampler.draw(sampler.map(latents_of(seeds, 8)), "random", noise_seeds=seeds))
    )
    real = detector.features(images.pixels)
    found = results(generator=generator, images=images)
    assert found["fid_builtin"] == pytest.approx(metrics.fid(real, fake), rel=1e-6)
    assert found["kid_builtin"] == pytest.approx(metrics.kid_interval(real, fake, seed=0).value, rel=1e-6)
    assert (found["pr_builtin_precision"], found["pr_builtin_recall"]) == metrics.precision_recall(
        real, fake, k=3
    )
    assert (found["dc_builtin_density"], found["dc_builtin_coverage"]) == metrics.density_coverage(
        real, fake, k=5
    )
    assert found["fid_builtin_bias"] > 0 and found["kid_builtin_low"] < found["kid_builtin_high"]


def test_a_metric_of_ones_own_is_two_entries(monkeypatch):
    def gap(definition, real, fake, seed):
        return {definition.name: float((real.mean() - fake.mean()).abs())}

    monkeypatch.setitem(definitions._OWN, "gap", ("gap", {}))
    monkeypatch.setitem(stylegan.evaluation.scores._COMPARING, "gap", gap)
    detector, images = Averages(), Images()
    found = results(["gap"], detector=detector, images=images)
    fakes = torch.cat(detector.shown[-3:])
    real, fake = detector.features(images.pixels), detector.features(fakes)
    assert len(fakes) == NUM
    assert found == {"gap_builtin": pytest.approx(float((real.mean() - fake.mean()).abs()), rel=1e-6)}


def test_the_same_weights_give_the_same_bits():
    assert results() == results()


def test_neither_the_global_generator_nor_the_network_notices():
    generator = small_generator()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    results(["kid", "ppl"], generator)
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_a_metric_is_the_same_among_others():
    alone = results(["fid"])
    assert results(["kid", "pr", "fid"])["fid_builtin"] == alone["fid_builtin"]


@pytest.mark.parametrize("name", ["kid", "ppl"])
def test_images_are_drawn_in_full_float32_inside_a_training_too(monkeypatch, name):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    generator, allowed = small_generator(), []
    hook = lambda *_: allowed.append(torch.backends.cudnn.allow_tf32)  # noqa: E731
    for part in (generator.mapping, generator.synthesis):
        part.register_forward_pre_hook(hook)
    results([name], generator)
    assert allowed and not any(allowed)
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("name", "count"), [("kid", 3), ("pr", 3), ("dc", 5), ("fid", 1)])
def test_too_few_reals_are_reported_before_anything_is_drawn(name, count):
    with pytest.raises(ValueError, match=f"metrics={name}_builtin.* {count} pictures? "):
        evaluator([name], images=Images(count=count))


@pytest.mark.parametrize("option", [{"first_seed": 1}, {"truncation": 0.5}, {"noise_mode": "const"}])
def test_what_changes_the_images_changes_number_and_protocol(option):
    [one], [other] = scores(evaluator(["fid"])), scores(evaluator(["fid"], **option))
    assert one.value != other.value
    assert protocol_id(one.protocol) != protocol_id(other.protocol)


def test_a_detector_runs_once_for_all_that_metrics_ask_of_it():
    """FID and the inception score of one network: under a name that has both."""

    def with_detector(*metrics):
        reals = Reals(Images(), cache=FeatureCache(None))
        settings = MetricSettings(metrics=metrics, num_fakes=NUM)
        return Evaluator(settings, {"inception": detector}, reals, data_fingerprint=None)

    detector = Averages()
    one = with_detector("fid_inception", "is_inception")
    one.prepare(quiet())
    detector.shown.clear()
    fid, inception = scores(one)
    assert sum(map(len, detector.shown)) == NUM
    [alone] = scores(with_detector("is_inception"))
    assert inception.results == alone.results and inception.results["is_inception_mean"] > 1


def of_all_ranks(cache):
    found = scores(
        evaluator([*NAMES, "ppl"], images=Images(classes=2), cache=cache), small_generator(c_dim=2)
    )
    return {name: value for score in found for name, value in score.results.items()}


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.long)])
def test_the_number_of_processes_changes_nothing(tmp_path, world):
    alone = of_all_ranks(None)
    shared = together(world, of_all_ranks, tmp_path, tmp_path / "cache")
    assert alone and all(one == alone for one in shared)
