"""Labels: networks without labels that get some, other classes, and networks that lose them.

A network that gets labels begins without their influence: it draws and says what it did. One that loses them keeps the
mean over its classes. Columns of classes go by name where both sides have names, else by number; a class that is new
begins as the mean of the known ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stylegan.interop.transfer.draft import Draft
from stylegan.ops import normalize_2nd_moment
from stylegan.ops.bias_act import ACTIVATIONS

_UNIT_SLOPE = ("linear", "relu", "lrelu")  # the identity above 0, times the gain
_ADDED = "labels begin without influence"
_LOST = "the mean over the classes, which are no more"


def places_of_classes(
    old_names: Sequence[str], new_names: Sequence[str], old_count: int, new_count: int
) -> list[int | None]:
    """For each new class the old one that it is, None = it is new."""
    if old_names and new_names:
        known = {name: place for place, name in enumerate(old_names)}
        return [known.get(name) for name in new_names]
    return [place if place < old_count else None for place in range(new_count)]


def other_classes(draft: Draft, places: Sequence[int | None], old_count: int) -> None:
    """The columns of the embedding, one a class. Its gain is 1/√classes, which is undone."""
    name = "mapping.embed.weight"
    if list(places) == list(range(old_count)):
        return
    old = draft.values[name]
    columns = [old.mean(dim=1) if place is None else old[:, place] for place in places]
    gain = (len(places) / old_count) ** 0.5
    count = sum(place is not None for place in places)
    note = f"{count} of {len(places)} classes are known to the file"
    draft.put(name, torch.stack(columns, dim=1) * gain, note, taken=count * len(old))


def labels_for_generator(draft: Draft) -> None:
    """A generator that gets labels: the first layer takes nothing from their embedding, and learns to."""
    embedding = draft.first("mapping.embed.weight")
    weight = draft.values["mapping.fc0.weight"]
    width = weight.shape[1] + len(embedding)
    gain = (width / weight.shape[1]) ** 0.5
    nothing = weight.new_zeros(len(weight), len(embedding))
    draft.put("mapping.fc0.weight", torch.cat([weight * gain, nothing], dim=1), _ADDED, taken=weight.numel())


def no_labels_in_generator(draft: Draft, z_dim: int) -> None:
    """A generator that loses its labels: what the mean embedding gave the first layer goes into its bias."""
    old = draft.old.mapping
    with torch.no_grad():
        mean = normalize_2nd_moment(old.embed(torch.eye(old.c_dim))).mean(dim=0)
    weight, bias = draft.values["mapping.fc0.weight"], draft.values["mapping.fc0.bias"]
    width = weight.shape[1]
    # Raw weights count lr/√width, raw biases lr.
    given = weight[:, z_dim:] @ mean / width**0.5
    draft.put("mapping.fc0.weight", weight[:, :z_dim] * (z_dim / width) ** 0.5, _LOST)
    draft.put("mapping.fc0.bias", bias + given, _LOST)
    _forget_embedding(draft)


def labels_for_discriminator(draft: Draft) -> None:
    """A discriminator that gets labels: all classes are projected alike at first.

    The mapped label is 1 in every entry, and the rows of the last layer differ by what sums to 0, so that the logit
    is the old one and each row learns another thing.
    """
    options = draft.new.options
    last = f"mapping.fc{options['mapping_layers'] - 1}"
    if options["mapping_activation"] not in _UNIT_SLOPE:
        draft.drop(lambda name: name.startswith("b4.out."))
        return
    gain = ACTIVATIONS[options["mapping_activation"]].gain
    bias = torch.full_like(draft.first(f"{last}.bias"), 1 / (gain * options["mapping_lr_multiplier"]))
    draft.put(f"{last}.weight", torch.zeros_like(draft.first(f"{last}.weight")), _ADDED, taken=0)
    draft.put(f"{last}.bias", bias, _ADDED, taken=0)
    first = draft.first("b4.out.weight")
    spread = first - first.mean(dim=0)
    share = len(first) ** 0.5
    for name, more in (("b4.out.weight", spread), ("b4.out.bias", 0.0)):
        value = draft.values[name] / share
        taken = value.numel()
        draft.put(name, value.expand_as(draft.first(name)) + more, _ADDED, taken=taken)


def no_labels_in_discriminator(draft: Draft) -> None:
    """A discriminator that loses its labels: the mean of the classes' projections."""
    old = draft.old.mapping
    with torch.no_grad():
        mean = old(None, torch.eye(old.c_dim)).mean(dim=0)
    for name in ("b4.out.weight", "b4.out.bias"):
        value = draft.values[name]
        draft.put(name, (mean @ value).reshape(1, *value.shape[1:]) / len(mean) ** 0.5, _LOST)
    draft.consumed |= {name for name in draft.values if name.startswith("mapping.")}
    draft.drop(lambda name: name.startswith("mapping."))


def _forget_embedding(draft: Draft) -> None:
    draft.consumed |= {name for name in draft.values if name.startswith("mapping.embed.")}
    draft.drop(lambda name: name.startswith("mapping.embed."))


def one_hot(count: int, num: int, draws: torch.Generator) -> Tensor | None:
    """Labels of `num` samples, drawn uniformly from `count` classes; None where there are none."""
    if not count:
        return None
    return nn.functional.one_hot(torch.randint(count, (num,), generator=draws), count).float()
