"""What the names of metrics stand for, against the table of the public implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.evaluation.definitions import PUBLISHED, definitions_of, higher_is_better
from stylegan.features.registry import DETECTORS


def names_of(metrics, detector="builtin", num_fakes=100):
    return [definition.name for definition in definitions_of(metrics, detector=detector, num_fakes=num_fakes)]


@pytest.mark.parametrize(
    ("name", "score", "detector", "max_reals", "with_flips"),
    [
        ("fid50k_full", "fid", "inception", None, False),
        ("kid50k_full", "kid_subsets", "inception", 1_000_000, False),
        ("pr50k3_full", "pr", "vgg16", 200_000, False),
        ("is50k", "is", "inception", 0, False),
        ("ppl2_wend", "ppl", "lpips-vgg16", 0, False),
        ("fid50k", "fid", "inception", 50_000, True),
        ("kid50k", "kid_subsets", "inception", 50_000, True),
        ("pr50k3", "pr", "vgg16", 50_000, True),
    ],
)
def test_published_names_mean_what_they_mean_elsewhere(name, score, detector, max_reals, with_flips):
    [found] = definitions_of(name, detector="builtin", num_fakes=100)
    assert (found.name, found.score, found.detector) == (name, score, detector)
    assert (found.num_fakes, found.max_reals, found.with_flips) == (50_000, max_reals, with_flips)


def test_path_lengths():
    options = {name: PUBLISHED[name].options for name in PUBLISHED if name.startswith("ppl")}
    assert options["ppl2_wend"] == {"epsilon": 1e-4, "space": "w", "sampling": "end", "crop": False}
    for space in "zw":
        for sampling in ("full", "end"):
            found = options[f"ppl_{space}{sampling}"]
            assert (found["space"], found["sampling"], found["crop"]) == (space, sampling, True)


def test_ones_of_the_project_carry_their_detector_and_never_a_published_name():
    for detector in DETECTORS:
        found = names_of(["kid", "fid", "fid_infinity", "pr", "dc"], detector)
        assert found == [f"{name}_{detector}" for name in ("kid", "fid", "fid_infinity", "pr", "dc")]
        assert not set(found) & set(PUBLISHED)


def test_a_name_may_say_its_detector():
    [found] = definitions_of("kid_inception", detector="builtin", num_fakes=100)
    assert (found.name, found.detector) == ("kid_inception", "inception")
    assert names_of(["kid", "kid_builtin"]) == ["kid_builtin"]


@pytest.mark.parametrize("metrics", ["none", ["none"], [], None])
def test_none_is_nothing(metrics):
    assert names_of(metrics) == []


@pytest.mark.parametrize(
    ("metrics", "detector", "reported"),
    [
        ("fid50k_ful", "builtin", "did you mean fid50k_full?"),
        ("banana", "builtin", "choose among kid, fid"),
        (["kid", "none"], "builtin", "none alone"),
        ("is", "builtin", "use is50k"),
        ("ppl", "inception", "choose the detector lpips-vgg16"),
        ("kid", "resnet", "got resnet"),
        (True, "builtin", "a list of names"),
        (5, "builtin", "a list of names"),
        ({"kid": 1}, "builtin", "a list of names"),
        ([None], "builtin", "metrics must be names, got null in the list"),
        (["kid", 5], "builtin", "metrics must be names, got 5 in the list"),
        ("KID", "builtin", "did you mean kid?"),
        ("FID50k_Full", "builtin", "did you mean fid50k_full?"),
        ("Kid_Incepton", "builtin", "did you mean kid_inception?"),
    ],
)
def test_mistakes_are_reported_with_a_way_out(metrics, detector, reported):
    with pytest.raises(ValueError, match=reported) as caught:
        definitions_of(metrics, detector=detector, num_fakes=100)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("num_fakes", [1, 0, -5, True])
def test_too_few_fakes(num_fakes):
    with pytest.raises(ValueError, match="num_fakes"):
        definitions_of("kid", detector="builtin", num_fakes=num_fakes)


@pytest.mark.parametrize(
    ("metric", "fewest"), [("kid", 4), ("fid_infinity", 16), ("pr", 4), ("dc", 6), ("is_inception", 10)]
)
def test_each_metric_has_its_own_fewest_fakes(metric, fewest):
    names_of(metric, num_fakes=fewest)
    with pytest.raises(
        ValueError, match=f"^num_fakes must be at least {fewest} for metrics=.*, got {fewest - 1};"
    ):
        names_of(metric, num_fakes=fewest - 1)


@given(st.text(max_size=30))
def test_any_text_is_a_metric_or_one_line(text):
    try:
        found = definitions_of(text, detector="builtin", num_fakes=10)
    except ValueError as error:
        assert "metrics" in str(error)
    else:
        assert text in ("none", *PUBLISHED) or found[0].name.rpartition("_")[2] in DETECTORS


def test_which_way_is_better():
    higher = ["pr50k3_full_recall", "pr_builtin_precision", "dc_builtin_coverage", "is50k_mean"]
    lower = ["fid50k_full", "kid_builtin", "ppl2_wend", "fid_builtin"]
    assert all(map(higher_is_better, higher)) and not any(map(higher_is_better, lower))
