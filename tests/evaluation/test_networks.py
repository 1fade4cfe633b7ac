"""Networks and pictures that do not fit together, which are told before anything is drawn."""

import pytest

from stylegan.evaluation.networks import check_fits
from tests.evaluation.pictures import Pictures, small_generator


def with_classes(thing, *names):
    thing.label_names = list(names)
    return thing


@pytest.mark.parametrize("theirs", [("dog", "cat"), ("cat", "bird")])
def test_other_classes_or_another_order_are_told(theirs):
    generator = with_classes(small_generator(c_dim=2), "cat", "dog")
    with pytest.raises(ValueError, match="network=n draws class") as caught:
        check_fits(generator, with_classes(Pictures(classes=2), *theirs), "n")
    message = str(caught.value)
    place = [one != other for one, other in zip(("cat", "dog"), theirs, strict=True)].index(True)
    assert f"class {place} as {('cat', 'dog')[place]!r}, of the pictures it is {theirs[place]!r}" in message
    assert message.endswith("in their order: cat, dog") and "\n" not in message


@pytest.mark.parametrize(("ours", "theirs"), [((), ("a", "b")), (("a", "b"), ()), (("a", "b"), ("a", "b"))])
def test_names_that_one_side_lacks_or_that_agree_pass(ours, theirs):
    generator = with_classes(small_generator(c_dim=2), *ours)
    check_fits(generator, with_classes(Pictures(classes=2), *theirs), "n")
    check_fits(generator, Pictures(classes=2), "n")


def test_of_many_classes_the_first_are_listed():
    names = [f"class-{i}" for i in range(30)]
    generator = with_classes(small_generator(c_dim=30), *names)
    with pytest.raises(ValueError, match="class-7, and 22 more$"):
        check_fits(generator, with_classes(Pictures(classes=30), *reversed(names)), "n")
