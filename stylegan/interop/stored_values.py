"""Values of what the opcode machine describes: options as texts and numbers, and tensors."""

import numpy as np
import torch
from torch import Tensor

from stylegan.interop.opcodes import PickleError, shown
from stylegan.interop.pickle_globals import ArrayData, TensorData

_MAX_OPTIONS = 100
_MAX_LIST = 64
_MAX_TEXT = 200
# Descriptions' types of numbers that networks are made of.
_TENSOR_TYPES = {
    **{"f4": torch.float32, "f2": torch.float16, "f8": torch.float64, "bf2": torch.bfloat16},
    **{"i8": torch.int64, "i4": torch.int32, "i2": torch.int16, "i1": torch.int8},
    **{"u1": torch.uint8, "b1": torch.bool},
}


def plain_options(options: object, *, whose: str) -> dict[str, object]:
    """Options of a file as they may be shown and passed on: texts, numbers, lists of them, and groups of these.

    Raises: PickleError for anything else.
    """
    return _plain_group(options, whose, inner=True)


def _plain_group(options: object, whose: str, *, inner: bool) -> dict[str, object]:
    if type(options) is not dict or len(options) > _MAX_OPTIONS:
        raise PickleError(f"its {whose} has no options in a known form")
    plain = {}
    for name, value in options.items():
        if type(name) is not str or len(name) > _MAX_TEXT:
            raise PickleError(f"its {whose} has an option without a name")
        if type(value) is dict and inner:
            plain[name] = _plain_group(value, whose, inner=False)
        elif type(value) in (list, tuple) and len(value) <= _MAX_LIST and all(map(_is_plain, value)):
            plain[name] = list(value)
        elif _is_plain(value):
            plain[name] = value
        else:
            raise PickleError(f"its {whose} has the option {shown(name)}, which is {shown(value)}")
    return plain


def _is_plain(value: object) -> bool:
    if type(value) is str:
        return len(value) <= _MAX_TEXT and value.isprintable()
    return value is None or type(value) in (bool, int, float)


def tensor_of(data: TensorData | ArrayData) -> Tensor:
    """The tensor of a description. Tensors of one storage share its memory, which is the file's.

    Raises: PickleError where the storage is not there.
    """
    if isinstance(data, ArrayData):
        if data.dtype is None or data.dtype.code not in _TENSOR_TYPES:
            raise PickleError("it has an array of numbers that no weights are made of")
        kind = np.dtype(data.dtype.order + data.dtype.code)
        array = np.ndarray(data.shape, kind, buffer=data.data, order="F" if data.fortran else "C")
        # A copy: with the byte order of this machine, aligned, and of the array's own layout.
        return torch.from_numpy(np.array(array, dtype=kind.newbyteorder("="), order="C"))
    storage = data.storage
    if storage.data is None:
        raise PickleError(f"the data of its tensors is not there (storage {storage.key})")
    if storage.tensor is None:
        numbers = np.frombuffer(storage.data, np.uint8)
        # Copied once, since the numbers of a file may lie at odd places.
        storage.tensor = torch.from_numpy(numbers.copy()).view(_TENSOR_TYPES[storage.code])
    return torch.as_strided(storage.tensor, data.shape, data.stride, data.offset)
