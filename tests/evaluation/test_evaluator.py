"""Scores of a network: which pictures they are of, and what must not change them."""

import numpy as np
import pytest
import torch

from stylegan import metrics
from stylegan.evaluation import EvaluationStoppedError, Evaluator, Watch, definitions_of, protocol_id
from stylegan.evaluation.fakes import Fakes, LabelsOfFakes
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.reals import Reals, chosen
from stylegan.images import to_uint8
from stylegan.latents import Sampler, latents_of
from stylegan.networks.precision import compute_in
from tests.evaluation.pictures import NAMES, NUM, Averages, Pictures, evaluator, small_generator
from tests.together import together


def quiet(**options):
    return Watch(say=lambda line: None, **options)


def scores(one, generator=None, **options):
    generator = small_generator() if generator is None else generator
    return one.scores(generator, precision="fp32", watch=quiet(), **options)


def results(names=NAMES, generator=None, **options):
    return {
        name: value
        for score in scores(evaluator(names, **options), generator)
        for name, value in score.results.items()
    }


def test_fake_i_is_the_picture_of_seed_i_with_its_own_noise():
    detector, generator = Averages(), small_generator()
    one = evaluator(["kid"], detector=detector, seed=5)
    one.prepare(quiet())
    detector.shown.clear()
    scores(one, generator)
    seeds = range(5, 5 + NUM)
    sampler = Sampler(generator)
    expected = to_uint8(sampler.draw(sampler.map(latents_of(seeds, 8)), "random", noise_seeds=seeds))
    assert torch.equal(torch.cat(detector.shown), expected)


def test_the_numbers_are_those_of_the_formulas_on_the_features():
    pictures, generator, detector = Pictures(), small_generator(), Averages()
    sampler = Sampler(generator)
    seeds = range(NUM)
    fake = detector.features(
        to_uint8(sampler.draw(sampler.map(latents_of(seeds, 8)), "random", noise_seeds=seeds))
    )
    real = detector.features(pictures.pixels)
    found = results(generator=generator, pictures=pictures)
    assert found["fid_builtin"] == pytest.approx(metrics.fid(real, fake), rel=1e-6)
    assert found["kid_builtin"] == pytest.approx(metrics.kid_interval(real, fake, seed=0).value, rel=1e-6)
    assert (found["pr_builtin_precision"], found["pr_builtin_recall"]) == metrics.precision_recall(
        real, fake, k=3
    )
    assert (found["dc_builtin_density"], found["dc_builtin_coverage"]) == metrics.density_coverage(
        real, fake, k=5
    )
    assert found["fid_builtin_bias"] > 0 and found["kid_builtin_low"] < found["kid_builtin_high"]


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


def test_a_metric_is_the_same_beside_others():
    alone = results(["fid"])
    assert results(["kid", "pr", "fid"])["fid_builtin"] == alone["fid_builtin"]


def test_an_equal_truncation_is_one_protocol_however_it_is_written():
    [one], [other] = (scores(evaluator(["fid"], truncation=psi)) for psi in (1, 1.0))
    assert protocol_id(one.protocol) == protocol_id(other.protocol)


def test_other_pictures_are_another_protocol_also_with_one_fingerprint():
    changed = Pictures()
    changed.pixels[17, 1, 2, 3] ^= 1
    [one], [other] = scores(evaluator(["fid"])), scores(evaluator(["fid"], pictures=changed))
    assert protocol_id(one.protocol) != protocol_id(other.protocol)


def test_half_precision_in_some_resolutions_is_another_protocol_than_in_all():
    generator, ids = small_generator(), set()
    for num_half_res in (None, 1, 0):
        compute_in(generator, torch.bfloat16, num_half_res)
        [score] = evaluator(["fid"]).scores(generator, precision="bf16", watch=quiet())
        ids.add(protocol_id(score.protocol))
    assert len(ids) == 3


@pytest.mark.parametrize("name", ["kid", "ppl"])
def test_pictures_are_drawn_in_full_float32_whatever_a_training_around_chose(monkeypatch, name):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    generator, allowed = small_generator(), []
    hook = lambda *_: allowed.append(torch.backends.cudnn.allow_tf32)  # noqa: E731
    for part in (generator.mapping, generator.synthesis):
        part.register_forward_pre_hook(hook)
    results([name], generator)
    assert allowed and not any(allowed)
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("name", "count"), [("kid", 3), ("pr", 3), ("dc", 5), ("fid", 1)])
def test_too_few_reals_are_told_before_anything_is_drawn(name, count):
    with pytest.raises(ValueError, match=f"metrics={name}_builtin.* {count} pictures"):
        evaluator([name], pictures=Pictures(count=count))


@pytest.mark.parametrize("option", [{"seed": 1}, {"truncation": 0.5}, {"noise_mode": "const"}])
def test_what_changes_the_pictures_changes_number_and_protocol(option):
    [one], [other] = scores(evaluator(["fid"])), scores(evaluator(["fid"], **option))
    assert one.value != other.value
    assert protocol_id(one.protocol) != protocol_id(other.protocol)


def test_a_detector_runs_once_for_all_that_metrics_ask_of_it():
    """FID and the inception score of one network: under a name that has both."""
    detector = Averages()
    definitions = definitions_of(["fid_inception", "is_inception"], detector="builtin", num_fakes=NUM)
    one = Evaluator(
        definitions,
        {"inception": detector},
        Reals(Pictures(), cache=FeatureCache(None)),
        data_fingerprint=None,
    )
    one.prepare(quiet())
    detector.shown.clear()
    fid, inception = scores(one)
    assert sum(map(len, detector.shown)) == NUM
    [alone] = scores(
        Evaluator(
            definitions[1:],
            {"inception": detector},
            Reals(Pictures(), cache=FeatureCache(None)),
            data_fingerprint=None,
        )
    )
    assert inception.results == alone.results and inception.results["is_inception_mean"] > 1


def test_a_protocol_tells_everything_that_decides():
    [score] = scores(evaluator(["pr"], truncation=0.7))
    assert score.protocol == {
        "version": 1,
        "metric": "pr_builtin",
        "detector": "builtin",
        "detector_checksum": "00000000",
        "resize": "none",
        "resolution": "8x8",
        "channels": 3,
        "num_reals": 40,
        "num_fakes": NUM,
        "seed": 0,
        "precision": "fp32",
        "truncation": 0.7,
        "noise_mode": "random",
        "labels": "none",
        "data_fingerprint": "abc",
        "data_content": Pictures().content_digest(),
        "xflip": False,
        "k": 3,
    }


def test_labels_of_fakes_are_as_frequent_as_those_of_reals():
    pictures, generator = Pictures(count=4, classes=3), small_generator(c_dim=3)  # classes 0, 1, 2, 0
    drawn = []
    mapping = generator.mapping.forward
    generator.mapping.forward = lambda z, c, **rest: (drawn.append(c), mapping(z, c, **rest))[1]
    results(["fid"], generator, pictures=pictures, num_fakes=640)
    share = torch.cat(drawn).mean(0)
    assert share.tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.06)


class Counting(Pictures):
    """Knows the most labels that were asked for at once."""

    most = 0

    def labels(self, indices):
        self.most = max(self.most, len(indices))
        return super().labels(indices)


def test_labels_of_fakes_are_those_of_a_table_of_all_and_no_table_is_made():
    """Which real picture each fake has its label of: by the words that were written for a table of all labels."""
    pictures, generator = Counting(count=5000, classes=7), small_generator(c_dim=7)
    table = pictures.labels(torch.arange(5000))
    pictures.most = 0
    places = np.random.default_rng([3, int.from_bytes(b"eval", "big")]).random(NUM)
    expected = table[torch.from_numpy((places * 5000).astype(np.int64))]
    assert torch.equal(LabelsOfFakes(pictures, NUM, 3).of(range(NUM)), expected)
    fakes, drawn = Fakes(generator, pictures, num=NUM, seed=3), []
    mapped = fakes.sampler.map
    fakes.sampler.map = lambda z, c, **rest: (drawn.append(c), mapped(z, c, **rest))[1]
    fakes.images(range(5, 20))
    assert torch.equal(drawn[0], expected[5:20])
    results(["fid"], generator, pictures=pictures, seed=3)
    assert 1 <= pictures.most <= NUM


def test_features_of_reals_are_computed_once(tmp_path):
    pictures = Pictures()
    first = results(["kid"], pictures=pictures, cache=tmp_path)
    assert pictures.reads == len(pictures)
    assert results(["kid", "fid"], pictures=pictures, cache=tmp_path)["kid_builtin"] == first["kid_builtin"]
    assert pictures.reads == len(pictures), "they were read again"


def test_one_other_pixel_is_another_set(tmp_path):
    results(["kid"], cache=tmp_path)
    changed = Pictures()
    changed.pixels[17, 1, 2, 3] ^= 1
    results(["kid"], pictures=changed, cache=tmp_path)
    assert changed.reads == len(changed)


def test_a_damaged_entry_is_made_anew(tmp_path):
    first = results(["kid"], cache=tmp_path)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    pictures = Pictures()
    assert results(["kid"], pictures=pictures, cache=tmp_path) == first
    assert pictures.reads == len(pictures)
    again = Pictures()
    assert results(["kid"], pictures=again, cache=tmp_path) == first and not again.reads


def test_of_too_many_reals_a_choice_that_stays_the_same():
    assert chosen(5, None).tolist() == chosen(5, 5).tolist() == [0, 1, 2, 3, 4]
    some = chosen(1000, 10)
    assert len(set(some.tolist())) == 10 and (some == sorted(some)).all()
    assert (some == chosen(1000, 10)).all()


def test_a_path_length_is_the_same_in_parts_and_of_float32():
    [score] = scores(evaluator(["ppl"]))
    assert score.value > 0 and score.protocol["precision"] == "fp32" and score.protocol["num_reals"] == 0
    generator = small_generator()
    for block in generator.modules():
        if hasattr(block, "compute_dtype"):
            block.compute_dtype = torch.bfloat16
    assert scores(evaluator(["ppl"]), generator)[0].value == score.value


@pytest.mark.parametrize("option", [{"truncation": 0.5}, {"noise_mode": "const"}])
def test_what_a_path_length_takes_no_notice_of_is_no_part_of_its_protocol(option):
    [one], [other] = scores(evaluator(["ppl"])), scores(evaluator(["ppl"], **option))
    assert one.value == other.value and one.protocol["noise_mode"] == "random"
    assert protocol_id(one.protocol) == protocol_id(other.protocol)


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_work_can_be_broken_off_and_leaves_nothing(tmp_path, rounds):
    asked = iter([False] * rounds + [True] * 100)
    with pytest.raises(EvaluationStoppedError) as broken:
        evaluator(cache=tmp_path).scores(
            small_generator(), precision="fp32", watch=quiet(asked_to_stop=lambda: next(asked))
        )
    assert broken.value.by_signal


def test_time_that_is_up_ends_it():
    with pytest.raises(EvaluationStoppedError) as broken:
        evaluator().scores(small_generator(), precision="fp32", watch=quiet(time_limit_sec=0))
    assert not broken.value.by_signal


def of_all_ranks(cache):
    found = scores(
        evaluator([*NAMES, "ppl"], pictures=Pictures(classes=2), cache=cache), small_generator(c_dim=2)
    )
    return {name: value for score in found for name, value in score.results.items()}


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.long)])
def test_the_number_of_processes_changes_nothing(tmp_path, world):
    alone = of_all_ranks(None)
    shared = together(world, of_all_ranks, tmp_path, tmp_path / "cache")
    assert alone and all(one == alone for one in shared)
