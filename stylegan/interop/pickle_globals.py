"""The names that pickles of networks may hold, and what each describes. All others are refused by name.

None of these classes and functions is imported or called for a file: an entry says what its arguments mean. Tensors and
arrays stay slices of the file until somebody wants them (`stylegan.interop.stored_values`).
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from stylegan.interop.opcodes import Allowed, PickleError, shown

_MAX_DIMENSIONS = 8
# numpy's codes of numbers, and what `struct` calls them. Storages of torch use the same codes, and one of their own.
_STRUCT_CODES = {
    **{"f2": "e", "f4": "f", "f8": "d", "b1": "?"},
    **{"i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"},
}
_STORAGES = {
    **{"FloatStorage": "f4", "HalfStorage": "f2", "DoubleStorage": "f8", "BFloat16Storage": "bf2"},
    **{"LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1"},
    **{"ByteStorage": "u1", "BoolStorage": "b1", "UntypedStorage": "u1"},
}


@dataclass
class StorageData:
    """A storage of torch: `count` numbers of one type, in a slice of the file or, until it is found, under `key`.

    `tensor` is what somebody has made of it, so that all tensors in it share one.
    """

    code: str
    count: int
    key: str = ""
    data: memoryview | None = None
    tensor: object = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * int(self.code[-1])


@dataclass(frozen=True)
class TensorData:
    """A tensor of torch: a view of a storage, all of it inside."""

    storage: StorageData
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass
class NumberType:
    """A type of numpy's: its code without byte order, and the order."""

    code: str
    order: str = "<"

    def build(self, state: object) -> None:
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise PickleError("it has a numpy dtype in an unknown form")
        self.order = ">" if state[1] == ">" else "<"


@dataclass
class ArrayData:
    """An array of numpy's, C order unless `fortran`."""

    shape: tuple[int, ...] = ()
    dtype: NumberType | None = None
    data: memoryview = field(default_factory=lambda: memoryview(b""))
    fortran: bool = False

    def build(self, state: object) -> None:
        if type(state) is not tuple or len(state) != 5:
            raise PickleError("it has a numpy array in an unknown form")
        self._fill(state[1], state[2], state[4], fortran=state[3] is True)

    def _fill(self, shape: object, dtype: object, data: object, *, fortran: bool) -> "ArrayData":
        if type(dtype) is not NumberType or type(data) is not memoryview:
            raise PickleError(f"it has a numpy array of something else than numbers: {shown(data)}")
        self.shape, self.dtype, self.data, self.fortran = _lengths(shape), dtype, data, fortran
        if math.prod(self.shape) * int(dtype.code[1:]) != len(data):
            raise PickleError(f"it has a numpy array of {len(data):,} bytes for the shape {list(self.shape)}")
        return self


@dataclass(frozen=True)
class ModuleData:
    """A network or a part of one as the public implementation pickles it: class name and attributes.

    The source code that lies beside it is read over as text, and dropped.
    """

    class_name: str
    attributes: dict


@dataclass
class TensorFlowNetwork:
    """A network as the TensorFlow versions pickle it: its fields, source code among them as text."""

    fields: dict = field(default_factory=dict)

    def build(self, state: object) -> None:
        if type(state) is not dict:
            raise PickleError("it has a TensorFlow network in an unknown form")
        self.fields = state


@dataclass
class Attributes:
    """A plain object of named values, such as the options that a training program keeps."""

    values: dict = field(default_factory=dict)

    def build(self, state: object) -> None:
        if type(state) is not dict:
            raise PickleError("it has an object in an unknown form")
        self.values = state


def _lengths(value: object) -> tuple[int, ...]:
    """A shape, of a tuple or list of numbers."""
    if type(value) not in (tuple, list) or len(value) > _MAX_DIMENSIONS:
        raise PickleError(f"it has {shown(value)} for a shape")
    if not all(type(length) is int and 0 <= length < 1 << 48 for length in value):
        raise PickleError("it has a shape that is none")
    return tuple(value)


def _shaped(function: Callable[..., object], name: str, least: int, most: int) -> Allowed:
    """A function that takes so many arguments; more or fewer are refused."""

    def call(args: tuple) -> object:
        if not least <= len(args) <= most:
            raise PickleError(f"it has {len(args)} arguments for {name}")
        return function(*args)

    return Allowed(name, call=call)


def _ordered(items: object = ()) -> dict:
    if type(items) not in (list, tuple) or items:
        raise PickleError("it has an ordered dictionary in an unknown form")
    return {}


def _set_of(items: object = ()) -> set:
    if type(items) not in (list, tuple):
        raise PickleError("it has a set in an unknown form")
    if not all(item is None or type(item) in (str, int, float, bool) for item in items):
        raise PickleError("it has a set of something else than texts and numbers")
    return set(items)


def _number_type(code: object, align: object = False, copy: object = False) -> NumberType:
    bare = code.lstrip("<>|=") if type(code) is str else ""
    if bare not in _STRUCT_CODES:
        raise PickleError(f"it has numpy numbers of the type {shown(code)}")
    return NumberType(bare, ">" if code[0] == ">" else "<")


def _scalar(dtype: object, data: object) -> bool | int | float:
    if type(dtype) is not NumberType or type(data) is not memoryview or len(data) != int(dtype.code[1:]):
        raise PickleError("it has a numpy number in an unknown form")
    return struct.unpack(dtype.order + _STRUCT_CODES[dtype.code], data)[0]


def _empty_array(kind: object, shape: object, code: object) -> ArrayData:
    if type(kind) is not Allowed or kind.name != "numpy.ndarray":
        raise PickleError("it has an array of a class that is not numpy's")
    return ArrayData()


def _array_of_buffer(data: object, dtype: object, shape: object, order: object) -> ArrayData:
    return ArrayData()._fill(shape, dtype, data, fortran=order == "F")


def _encoded(text: object, encoding: object) -> memoryview:
    """How protocol 2 writes bytes: as text of the characters 0 to 255."""
    if type(text) is not str or encoding != "latin1":
        raise PickleError("it has bytes in an unknown form")
    try:
        return memoryview(text.encode("latin1"))
    except UnicodeEncodeError:
        raise PickleError("it has bytes in an unknown form") from None


def _tensor(
    storage: object, offset: object, shape: object, stride: object, *_requires_grad_hooks_metadata: object
) -> TensorData:
    shape, stride = _lengths(shape), _lengths(stride)
    if type(storage) is not StorageData or type(offset) is not int or len(shape) != len(stride):
        raise PickleError("it has a tensor in an unknown form")
    numbers = math.prod(shape)
    last = offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
    # A stride of 0 makes a small storage a tensor of any size.
    if numbers and not (0 <= offset and last < storage.count and numbers <= storage.count):
        raise PickleError(
            f"it has a tensor of the shape {list(shape)} in a storage of {storage.count:,} numbers"
        )
    return TensorData(storage, offset if numbers else 0, shape, stride)


def _parameter(data: object, *_requires_grad_hooks_state: object) -> TensorData:
    if type(data) is not TensorData:
        raise PickleError("it has a parameter that is no tensor")
    return data


def _module(record: object) -> ModuleData:
    if type(record) is not dict or record.get("type") != "class":
        raise PickleError("it has a network in an unknown form")
    name, attributes = record.get("class_name"), record.get("state")
    if type(name) is not str or type(attributes) is not dict:
        raise PickleError("it has a network in an unknown form")
    return ModuleData(name, attributes)


def storage_of_id(persistent_id: object) -> StorageData:
    """The storage that a persistent id of torch's declares: ("storage", type, key, device, numbers[, view])."""
    match persistent_id:
        case ("storage", Allowed(name=name), str(key), str(), int(count), *view) if (
            name.startswith("torch.") and name[6:] in _STORAGES and len(key) < 64 and 0 <= count < 1 << 48
        ):
            if view in ([], [None]):
                return StorageData(_STORAGES[name[6:]], count, key)
    raise PickleError("it refers to data in an unknown form")


# What torch puts around the numbers of one storage.
STORAGE_TABLE = {("torch", name): Allowed(f"torch.{name}") for name in _STORAGES}

_CALLS = {
    ("collections", "OrderedDict"): (_ordered, 0, 1),
    ("builtins", "set"): (_set_of, 0, 1),
    ("__builtin__", "set"): (_set_of, 0, 1),
    ("numpy", "dtype"): (_number_type, 1, 3),
    ("_codecs", "encode"): (_encoded, 2, 2),
    ("torch._utils", "_rebuild_tensor_v2"): (_tensor, 4, 7),
    ("torch._utils", "_rebuild_parameter"): (_parameter, 1, 3),
    ("torch._utils", "_rebuild_parameter_with_state"): (_parameter, 1, 4),
    ("torch", "Size"): (lambda lengths=(): _lengths(lengths), 0, 1),
    ("torch", "device"): (lambda *names: None, 1, 2),
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): (_module, 1, 1),
    **{
        (f"numpy.{home}", name): entry
        for home in ("core.multiarray", "_core.multiarray")
        for name, entry in (("scalar", (_scalar, 2, 2)), ("_reconstruct", (_empty_array, 3, 3)))
    },
    ("numpy.core.numeric", "_frombuffer"): (_array_of_buffer, 4, 4),
    ("numpy._core.numeric", "_frombuffer"): (_array_of_buffer, 4, 4),
}
_NEW: dict[tuple[str, str], Callable[[], object]] = {
    ("dnnlib.util", "EasyDict"): dict,
    ("dnnlib", "EasyDict"): dict,
    ("dnnlib.tflib.network", "Network"): TensorFlowNetwork,
    ("argparse", "Namespace"): Attributes,
}

# A whole file: also what torch writes in files of its own, whose table has no names besides.
NETWORK_TABLE = {
    **STORAGE_TABLE,
    ("numpy", "ndarray"): Allowed("numpy.ndarray"),
    **{key: _shaped(function, ".".join(key), least, most) for key, (function, least, most) in _CALLS.items()},
    **{key: Allowed(".".join(key), new=new) for key, new in _NEW.items()},
}

# What the files of Progressive GAN name first.
_PROGRESSIVE_GAN = ("tfutil", "Network")


def refusal(module: str, name: str) -> str:
    """Why a name is refused, in one line."""
    if (module, name) == _PROGRESSIVE_GAN:
        return "it holds a Progressive GAN, which is another architecture; a StyleGAN2 network is needed"
    return f"it names {shown(f'{module}.{name}')}, which no StyleGAN2 network needs; nothing in it was run"
