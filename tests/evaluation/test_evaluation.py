"""Evaluation: networks and images that do not fit together, what there is nothing to do for, and the best network."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from stylegan.evaluation import EvaluationData, MetricSettings, Score, evaluation, protocol_id
from stylegan.evaluation.evaluation import Evaluation, Network, check_fits, print_best
from tests.evaluation.small import Images, small_generator


def data_of(images):
    return EvaluationData.of(SimpleNamespace(dataset=images))


def with_classes(thing, *names):
    thing.label_names = list(names)
    return thing


@pytest.mark.parametrize("theirs", [("dog", "cat"), ("cat", "bird")])
def test_other_classes_or_another_order_are_reported(theirs):
    generator = with_classes(small_generator(c_dim=2), "cat", "dog")
    with pytest.raises(ValueError, match="network=n draws class") as caught:
        check_fits(generator, data_of(with_classes(Images(classes=2), *theirs)), "n")
    message = str(caught.value)
    place = [one != other for one, other in zip(("cat", "dog"), theirs, strict=True)].index(True)
    assert f"class {place} as {('cat', 'dog')[place]!r}, of the pictures it is {theirs[place]!r}" in message
    assert message.endswith("in their order: cat, dog") and "\n" not in message


@pytest.mark.parametrize(("ours", "theirs"), [((), ("a", "b")), (("a", "b"), ()), (("a", "b"), ("a", "b"))])
def test_names_that_one_side_lacks_or_that_agree_pass(ours, theirs):
    generator = with_classes(small_generator(c_dim=2), *ours)
    check_fits(generator, data_of(with_classes(Images(classes=2), *theirs)), "n")
    check_fits(generator, data_of(Images(classes=2)), "n")


def test_of_many_classes_the_first_are_listed():
    names = [f"class-{i}" for i in range(30)]
    generator = with_classes(small_generator(c_dim=30), *names)
    with pytest.raises(ValueError, match="class-7, and 22 more$"):
        check_fits(generator, data_of(with_classes(Images(classes=30), *reversed(names))), "n")


def test_the_best_of_two_protocols_are_printed_apart(capsys):
    def found(value, num_fakes):
        protocol = {"num_fakes": num_fakes}
        network = Network(Path(f"{value}.safetensors"), "x", None)
        return network, Score("fid_builtin", {"fid_builtin": value}, protocol, 0.0)

    print_best([found(2.0, 10), found(1.0, 10)])
    assert capsys.readouterr().out == "best fid_builtin: 1  1.0.safetensors\n"
    print_best([found(2.0, 10), found(1.0, 10), found(0.5, 20)])
    lines = capsys.readouterr().out.splitlines()
    ids = [protocol_id({"num_fakes": count}) for count in (10, 20)]
    assert lines == [
        f"best fid_builtin (protocol {ids[0]}): 1  1.0.safetensors",
        f"best fid_builtin (protocol {ids[1]}): 0.5  0.5.safetensors",
    ]


def test_nothing_to_do_is_an_error(tmp_path):
    process = SimpleNamespace(local_rank=0)
    with pytest.raises(
        ValueError, match="^metrics=none: there is nothing to do; say metrics=kid, or report=true$"
    ):
        Evaluation(
            settings=MetricSettings(metrics=None),
            load=small_generator,
            networks=[],
            folder=tmp_path,
            process=process,
            device="cpu",
        )


def test_a_folder_that_cannot_be_written_is_named_and_not_the_trial(tmp_path, monkeypatch):
    def refuses(dir):
        raise PermissionError(13, "Permission denied", f"{dir}/tmpjisezffg")

    monkeypatch.setattr(evaluation, "TemporaryFile", refuses)
    with pytest.raises(
        ValueError, match=rf"^{tmp_path} cannot be written \(Permission denied\); name another"
    ):
        evaluation.check_writable(tmp_path, [])
