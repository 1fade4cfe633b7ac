"""Widths: another number of feature maps, or of entries of z, w and the embedding; cut, or padded with new ones.

A network that becomes wider computes what it did, but for rounding: what is new has no way into what is old, until it
learns. The gain of a layer, 1/√inputs, is undone where the number of inputs changes (equalised learning rate, Karras et
al. 2018, section 4.1); a modulated convolution has none, since it is demodulated."""

from torch import Tensor

from stylegan.interop.transfer.draft import Draft, Inputs, fitted, shape_text

_WITHOUT_GAIN = (".conv0.weight", ".conv1.weight")


def fit_generator(draft: Draft, *, z_dims: tuple[int, int], embeds: tuple[int, int]) -> None:
    """Brings all values of a generator to the new widths.

    Args: z_dims, embeds: width of z and of the label's embedding, (as in the draft, in the new network).
    """
    for name in _of_both(draft):
        if name == "mapping.fc0.weight":
            z = Inputs(*z_dims)
            _put(draft, name, _rescaled(draft, name, (z, _embedding(*embeds)) if any(embeds) else (z,)))
        elif name.startswith("mapping.embed."):
            _pad_with_zeros(draft, name)
        elif name.startswith("synthesis.") and name.endswith(_WITHOUT_GAIN):
            _put(draft, name, ())
        else:
            _put(draft, name, _rescaled(draft, name, ()))


def fit_discriminator(draft: Draft, *, mbstd: tuple[int, int], embeds: tuple[int, int]) -> None:
    """Brings all values of a discriminator to the new widths.

    Args: mbstd: maps of the minibatch standard deviation. embeds: width of the embedding, 0 = no labels.
    """
    for name in _of_both(draft):
        if name == "b4.conv.weight":
            old, new = (shape[1] for shape in (draft.values[name].shape, draft.first(name).shape))
            maps = Inputs(old - mbstd[0], new - mbstd[1])
            _put(draft, name, _rescaled(draft, name, (maps, Inputs(*mbstd))))
        elif name == "b4.fc.weight":
            _fit_flattened(draft, name)
        elif name.startswith("b4.out."):
            _fit_projection(draft, name, is_new=not embeds[0] and bool(embeds[1]))
        elif name.startswith("mapping.embed."):
            _pad_with_zeros(draft, name)
        elif name == "mapping.fc0.weight":
            _put(draft, name, _rescaled(draft, name, (_embedding(*embeds),)))
        else:
            _put(draft, name, _rescaled(draft, name, ()))


def _of_both(draft: Draft) -> list[str]:
    state = draft.new.state_dict()
    return [
        name
        for name, value in draft.values.items()
        if name in state and value.ndim and not name.endswith("noise_const")
    ]


def _rescaled(draft: Draft, name: str, inputs: tuple[Inputs, ...]) -> tuple[Inputs, ...]:
    """The inputs with the ratio of the old layer's gain to the new one's; `scale` of each comes on top."""
    value, first = draft.values[name], draft.first(name)
    if value.ndim == 1 or name.endswith(".const"):
        return ()
    gain = (first.shape[1] / value.shape[1]) ** 0.5
    inputs = inputs or (Inputs(value.shape[1], first.shape[1]),)
    return tuple(part._replace(scale=part.scale * gain) for part in inputs)


def _put(
    draft: Draft,
    name: str,
    inputs: tuple[Inputs, ...],
    *,
    value: Tensor | None = None,
    first: Tensor | None = None,
) -> None:
    value = draft.values[name] if value is None else value
    first = draft.first(name) if first is None else first
    same = value.shape == first.shape and all(part.scale == 1 and part.old == part.new for part in inputs)
    if not same:
        result, taken = fitted(value, first, inputs)
        _note(draft, name, result, taken)


def _note(draft: Draft, name: str, result: Tensor, taken: int) -> None:
    old = draft.values[name]
    taken = min(taken, draft.taken.get(name, taken))
    what = (
        "scaled" if old.shape == result.shape else f"{shape_text(old)} cut or padded to {shape_text(result)}"
    )
    draft.put(name, result, what, taken=taken)


def _embedding(old: int, new: int) -> Inputs:
    """Entries of a normalised embedding. Those that are padded are 0, which makes the others √(new/old) larger."""
    wider = new > old > 0
    return Inputs(old, new, (old / new) ** 0.5 if wider else 1.0, is_open=wider)


def _pad_with_zeros(draft: Draft, name: str) -> None:
    """The embedding [E,K] and its bias: entries that are new are 0, their weights in the next layer are not."""
    value, first = draft.values[name], draft.first(name)
    if len(value) != len(first):
        result, taken = fitted(value, first * 0)
        _note(draft, name, result, taken)


def _fit_flattened(draft: Draft, name: str) -> None:
    """The layer after the last convolution takes channels x height x width as one axis."""
    value, first = draft.values[name], draft.first(name)
    if value.shape == first.shape:
        return
    rows, area = len(value), value.shape[1] // len(value)
    deep, deep_first = value.view(rows, rows, area), first.view(len(first), len(first), area)
    gain = (first.shape[1] / value.shape[1]) ** 0.5
    result, taken = fitted(deep, deep_first, (Inputs(rows, len(first), gain),))
    _note(draft, name, result.flatten(1), taken)


def _fit_projection(draft: Draft, name: str, *, is_new: bool) -> None:
    """The last layer [1 or cmap_dim, channels]: the sum over rows is divided by √cmap_dim.

    Args: is_new: there are no rows of the old network for labels yet; `labels_for_discriminator` makes them.
    """
    value, first = draft.values[name], draft.first(name)
    first = first[:1] if is_new else first
    rows = (len(first) / len(value)) ** 0.5
    inputs = ()
    if value.ndim == 2:
        gain = (first.shape[1] / value.shape[1]) ** 0.5
        inputs = (Inputs(value.shape[1], first.shape[1], gain * rows),)
        if len(first) > len(value):
            first = first * 0
    elif rows != 1:
        value, first = value * rows, first * 0
    _put(draft, name, inputs, value=value, first=first)
