"""Mapping depth: fewer or more layers from z to w, so that w stays what it was as far as that is possible.

More layers: those that are new lie before the last one and pass on what they get, moved up so far that no feature is
below 0, where their activation is linear; the last layer takes the offset off again. Fewer layers: the first ones stay,
and the last one is fitted to the old w by least squares before the activation."""

import torch
from torch import Tensor, nn

from stylegan.interop.transfer.draft import Draft, least_squares
from stylegan.interop.transfer.labels import one_hot
from stylegan.ops import normalize_2nd_moment
from stylegan.ops.bias_act import ACTIVATIONS

_SAMPLES = 4096
_INVERTIBLE = ("lrelu", "linear")
# Above the largest feature seen in the samples, so that hardly any ever falls below 0.
_MARGIN = 1.5


def change_depth(draft: Draft, new_layers: int) -> None:
    """Gives the draft's mapping network another number of layers, in its old widths."""
    mapping = getattr(draft.old, "mapping", None)
    if mapping is None or mapping.num_layers == new_layers:
        return
    layers = [getattr(mapping, f"fc{i}") for i in range(mapping.num_layers)]
    is_square = len(layers) > 1 and layers[-1].weight.shape[1] == layers[0].weight.shape[0]
    if layers[0].activation not in _INVERTIBLE or new_layers > len(layers) and not is_square:
        # The first ones by name; a last one that was an inner one before gives no w.
        kept = min(new_layers, len(layers)) - 1
        draft.drop(lambda name: name.startswith("mapping.fc") and _number(name) >= kept)
    elif new_layers < len(layers):
        _shorten(draft, layers, new_layers)
    else:
        _lengthen(draft, layers, new_layers)


@torch.no_grad()
def _shorten(draft: Draft, layers: list[nn.Module], count: int) -> None:
    features = _inputs(draft.old.mapping)
    for layer in layers[: count - 1]:
        features = layer(features)
    wanted = features
    for layer in layers[count - 1 :]:
        wanted = layer(wanted)
    last = layers[0]
    wanted = _before_activation(wanted, last.activation)
    solution = least_squares(torch.cat([features, torch.ones(len(features), 1)], dim=1), wanted)
    multiplier = last.bias_gain
    weight = solution[:-1].T * features.shape[1] ** 0.5 / multiplier
    residual = (features @ solution[:-1] + solution[-1] - wanted).square().sum()
    explained = 1 - residual / (wanted - wanted.mean(dim=0)).square().sum().clamp(min=1e-12)
    note = f"fitted to the w of {len(layers)} layers, of whose variance it gives {max(0.0, float(explained)):.0%}"
    draft.drop(lambda name: name.startswith("mapping.fc") and _number(name) >= count - 1)
    draft.put(f"mapping.fc{count - 1}.weight", weight, note)
    draft.put(f"mapping.fc{count - 1}.bias", solution[-1] / multiplier, note)
    draft.consumed |= {
        f"mapping.fc{i}.{part}" for i in range(count - 1, len(layers)) for part in ("weight", "bias")
    }


@torch.no_grad()
def _lengthen(draft: Draft, layers: list[nn.Module], count: int) -> None:
    features = _inputs(draft.old.mapping)
    for layer in layers[:-1]:
        features = layer(features)
    offset = _MARGIN * float(features.abs().max()) + 1
    last, final = len(layers) - 1, count - 1
    gain, multiplier = ACTIVATIONS[layers[0].activation].gain, layers[0].bias_gain
    width = features.shape[1]
    identity = torch.eye(width) * width**0.5 / (gain * multiplier)
    weight, bias = (draft.values[f"mapping.fc{last}.{part}"] for part in ("weight", "bias"))
    for place in range(last, final):
        moved = offset / (gain * multiplier) if place == last else 0.0
        note = "passes on what it gets at first"
        draft.put(f"mapping.fc{place}.weight", identity.clone(), note, taken=0)
        draft.put(f"mapping.fc{place}.bias", torch.full((width,), moved), note, taken=0)
    note = f"the old fc{last}, without the offset of the layers before it"
    draft.put(f"mapping.fc{final}.weight", weight, note)
    draft.put(f"mapping.fc{final}.bias", bias - weight.sum(dim=1) * offset / width**0.5, note)


def _number(name: str) -> int:
    return int(name.split(".")[1].removeprefix("fc"))


def _inputs(mapping: nn.Module) -> Tensor:
    """What the first layer gets, of samples that are the same every time."""
    draws = torch.Generator().manual_seed(0)
    parts = []
    if mapping.z_dim:
        parts.append(normalize_2nd_moment(torch.randn(_SAMPLES, mapping.z_dim, generator=draws)))
    labels = one_hot(mapping.c_dim, _SAMPLES, draws)
    if labels is not None:
        parts.append(normalize_2nd_moment(mapping.embed(labels)))
    return torch.cat(parts, dim=1)


def _before_activation(y: Tensor, activation: str) -> Tensor:
    """The input of an activation, from its output."""
    spec = ACTIVATIONS[activation]
    y = y / spec.gain
    return torch.where(y < 0, y / spec.alpha, y) if activation == "lrelu" else y
