"""The opcode machine: reads a pickle as data. It runs nothing, imports nothing, and takes no memory on a file's word.

Python's `Unpickler` calls what a file names, and takes memory for what a file declares before it looks whether the
file holds it: seven bytes can ask for 4 GB. This machine knows the opcodes that files of networks use. A name of a
class or function is looked up in a table of the caller's, as text, and what the table gives describes the object
instead of making it. What an opcode adds is charged to a budget, and nothing here calls itself: depth costs no stack.

Source: the opcodes and their layout are documented in Python's module `pickletools`.
"""

import struct
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

# Files of networks have some ten thousand opcodes.
_MAX_OPCODES = 5_000_000
_MAX_OPEN_MARKS = 2_000
_MAX_NAME_BYTES = 512
_MAX_INTEGER_BYTES = 16
# Source code that snapshots carry is a tenth of it. One character can make a text four times as large in memory.
_MAX_TEXT_BYTES = 1 << 20
_FREE_BYTES = 8 << 20

# What CPython takes for an object of each kind, rounded up; `_SLOT` for each place in it.
_SLOT, _PAIR, _NUMBER, _SEQUENCE, _SLICE, _SET = 16, 128, 32, 72, 200, 232


class PickleError(ValueError):
    """A pickle that is not read, in one line that says why. It is the only error that reading raises."""


class Budget:
    """How much memory the objects of one file may take, and how many opcodes it may have.

    Args: file_bytes: the size of the file. Objects may take as much as the file, and 8 MiB; tensors and arrays do
        not count, since they stay slices of it.
    """

    def __init__(self, file_bytes: int):
        self.file_bytes = file_bytes
        self.bytes_left = file_bytes + _FREE_BYTES
        self.opcodes_left = _MAX_OPCODES

    def charge(self, size: int) -> None:
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise PickleError(f"it makes far more objects than a network of {self.file_bytes:,} bytes would")


@dataclass(frozen=True)
class Allowed:
    """What a table gives for a name: how an object of it is described. Nothing of that name is ever called.

    Args:
        name: for messages.
        call: arguments → description; None = the file may not call it.
        new: → description of an empty object; None = the file may not make one.
    A description may have a method `build(state)`, which the opcode BUILD calls to complete it.
    """

    name: str
    call: Callable[[tuple], object] | None = None
    new: Callable[[], object] | None = None


Table = Mapping[tuple[str, str], Allowed]
# What to say of a name that the table lacks.
Refusal = Callable[[str, str], str]


def shown(value: object, length: int = 80) -> str:
    """Text of a file's for a message: short, on one line, without control characters."""
    text = value if isinstance(value, str) else "nothing" if value is None else f"a {type(value).__name__}"
    return ascii(text[:length])[1:-1] + ("..." if len(text) > length else "")


class OpcodeMachine:
    """Reads the pickle that begins at `start` of `data`: `value, end = OpcodeMachine(...).read()`.

    Args:
        table: the names that may occur. refusal: what to say of any other.
        persistent: persistent id → value; None = the file may have none.
        budget: shared by all pickles of one file.
    Returns: the value, of None, bool, int, float, str, memoryview (for bytes), list, tuple, dict, set, and what the
        table describes; and where the next pickle begins. Keys are texts, numbers or None. Lists and dictionaries may
        hold themselves, and one object may have many places: whoever walks a value must count its steps.
    Raises: PickleError.
    """

    def __init__(
        self,
        data: memoryview,
        start: int = 0,
        *,
        table: Table,
        refusal: Refusal,
        budget: Budget,
        persistent: Callable[[object], object] | None = None,
    ):
        self.data, self.place = data, start
        self.table, self.refusal, self.persistent, self.budget = table, refusal, persistent, budget
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def read(self) -> tuple[object, int]:
        while True:
            opcode = self._bytes(1)[0]
            self.budget.opcodes_left -= 1
            if self.budget.opcodes_left < 0:
                raise PickleError(f"it has more than {_MAX_OPCODES:,} opcodes")
            if opcode == _STOP:
                if self.marks or len(self.stack) != 1:
                    raise PickleError("it ends with unfinished objects")
                return self.stack[0], self.place
            operation = _OPERATIONS.get(opcode)
            if operation is None:
                raise self._wrong(f"is no opcode that files of networks use ({opcode:#04x})")
            operation(self)

    def _wrong(self, what: str) -> PickleError:
        return PickleError(f"byte {self.place - 1:,} {what}")

    def _bytes(self, count: int) -> memoryview:
        end = self.place + count
        if end > len(self.data):
            left = len(self.data) - self.place
            raise PickleError(
                f"it is cut short: byte {self.place:,} declares {count:,} bytes, and {left:,} follow"
            )
        taken = self.data[self.place : end]
        self.place = end
        return taken

    def _number(self, form: struct.Struct) -> int:
        return form.unpack(self._bytes(form.size))[0]

    def _line(self) -> str:
        limit = min(len(self.data), self.place + _MAX_NAME_BYTES)
        line = bytes(self.data[self.place : limit])
        length = line.find(b"\n")
        if length < 0:
            raise PickleError(f"the name at byte {self.place:,} has no end")
        self.place += length + 1
        return _decoded(line[:length])

    def _push(self, value: object, size: int) -> None:
        self.budget.charge(size + _SLOT)
        self.stack.append(value)

    def _pop(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self._wrong("needs an object that is not there")
        return self.stack.pop()

    def _peek(self) -> object:
        value = self._pop()
        self.stack.append(value)
        return value

    def _top(self, kind: type) -> object:
        value = self._peek()
        if type(value) is not kind:
            raise self._wrong(f"adds to {shown(value)}, which is no {kind.__name__}")
        return value

    def _since_mark(self) -> list[object]:
        if not self.marks:
            raise self._wrong("ends what has not begun")
        begin = self.marks.pop()
        items = self.stack[begin:]
        del self.stack[begin:]
        return items

    def _key(self, value: object) -> Hashable:
        # A tuple that holds itself in many places takes for ever to hash.
        if value is None or type(value) in (str, int, float, bool):
            return value
        raise self._wrong(f"has {shown(value)} for a key, which must be text or a number")

    def _integer(self, length: int) -> None:
        if length > _MAX_INTEGER_BYTES:
            raise PickleError(f"byte {self.place:,} declares an integer of {length:,} bytes")
        self._push(int.from_bytes(self._bytes(length), "little", signed=True), _NUMBER)

    def _text(self, length: int) -> None:
        if length > _MAX_TEXT_BYTES:
            raise PickleError(f"byte {self.place:,} declares a text of {length:,} bytes")
        text = _decoded(self._bytes(length))
        self._push(text, sys.getsizeof(text))

    def _blob(self, length: int) -> None:
        self._push(self._bytes(length), _SLICE)

    def _mark(self) -> None:
        if len(self.marks) >= _MAX_OPEN_MARKS:
            raise PickleError(f"it is nested more than {_MAX_OPEN_MARKS:,} deep")
        self.marks.append(len(self.stack))

    def _pop_one(self) -> None:
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()
        else:
            self._pop()

    def _tuple(self, items: list[object]) -> None:
        self._push(tuple(items), _SEQUENCE + _SLOT * len(items))

    def _short_tuple(self, count: int) -> None:
        self._tuple([self._pop() for _ in range(count)][::-1])

    def _append(self, items: list[object]) -> None:
        self.budget.charge(_SLOT * len(items))
        self._top(list).extend(items)

    def _add(self) -> None:
        items = self._since_mark()
        self.budget.charge(_PAIR * len(items))
        self._top(set).update([self._key(item) for item in items])

    def _set_items(self, items: list[object]) -> None:
        if len(items) % 2:
            raise self._wrong("has a key without a value")
        self.budget.charge(_PAIR * len(items) // 2)
        keys = [self._key(key) for key in items[::2]]
        self._top(dict).update(zip(keys, items[1::2], strict=True))

    def _put(self, index: int) -> None:
        self.budget.charge(_PAIR)
        self.memo[index] = self._peek()

    def _get(self, index: int) -> None:
        if index not in self.memo:
            raise self._wrong(f"means object {index:,}, which is not there")
        self._push(self.memo[index], 0)

    def _name(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            raise self._wrong("names a class by something that is no text")
        allowed = self.table.get((module, name))
        if allowed is None:
            raise PickleError(self.refusal(module, name))
        self._push(allowed, 0)

    def _stack_name(self) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _allowed(self, value: object, args: object) -> Allowed:
        if type(value) is not Allowed or type(args) is not tuple:
            raise self._wrong(f"calls {shown(value)}, which is no function")
        return value

    def _reduce(self) -> None:
        args, function = self._pop(), self._pop()
        allowed = self._allowed(function, args)
        if allowed.call is None:
            raise PickleError(f"it calls {allowed.name}, which is not called in files of networks")
        value = allowed.call(args)
        # What is made from an object that has many places is made as often.
        self._push(value, _SLICE + _PAIR * (len(value) if type(value) in (set, memoryview) else 0))

    def _new(self) -> None:
        args, kind = self._pop(), self._pop()
        allowed = self._allowed(kind, args)
        if allowed.new is None or args:
            raise PickleError(f"it makes {allowed.name} in a way in which files of networks do not")
        self._push(allowed.new(), _SLICE)

    def _build(self) -> None:
        state, value = self._pop(), self._peek()
        if hasattr(value, "build"):
            value.build(state)
        elif type(value) is not dict:  # the attributes of a dictionary are none of its items
            raise self._wrong(f"completes {shown(value)}, which is complete")

    def _persistent(self) -> None:
        if self.persistent is None:
            raise self._wrong("refers to data of another file")
        self._push(self.persistent(self._pop()), 0)


def _decoded(text: bytes | memoryview) -> str:
    try:
        return str(text, "utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise PickleError("it holds text that is not UTF-8") from None


def _skip_frame(machine: OpcodeMachine) -> None:
    """A frame says how much to read ahead, which is of no use here, but must be there."""
    length = machine._number(_U8)
    if length > len(machine.data) - machine.place:
        raise PickleError("it is cut short: it declares a frame that is longer than the file")


def _protocol(machine: OpcodeMachine) -> None:
    if (protocol := machine._bytes(1)[0]) > 5:
        raise machine._wrong(f"declares the pickle protocol {protocol}, and 5 is the last known")


_U1, _U2, _I4, _U4, _U8, _F8 = (struct.Struct(form) for form in ("<B", "<H", "<i", "<I", "<Q", ">d"))
_STOP = ord(".")
_OPERATIONS: dict[int, Callable[[OpcodeMachine], None]] = {
    0x80: _protocol,
    0x95: _skip_frame,
    ord("N"): lambda m: m._push(None, 0),
    0x88: lambda m: m._push(True, 0),
    0x89: lambda m: m._push(False, 0),
    ord("K"): lambda m: m._push(m._number(_U1), 0),
    ord("M"): lambda m: m._push(m._number(_U2), _NUMBER),
    ord("J"): lambda m: m._push(m._number(_I4), _NUMBER),
    0x8A: lambda m: m._integer(m._number(_U1)),
    ord("G"): lambda m: m._push(m._number(_F8), _NUMBER),
    0x8C: lambda m: m._text(m._number(_U1)),
    ord("X"): lambda m: m._text(m._number(_U4)),
    0x8D: lambda m: m._text(m._number(_U8)),
    ord("C"): lambda m: m._blob(m._number(_U1)),
    ord("B"): lambda m: m._blob(m._number(_U4)),
    0x8E: lambda m: m._blob(m._number(_U8)),
    0x96: lambda m: m._blob(m._number(_U8)),
    ord("("): OpcodeMachine._mark,
    ord("0"): OpcodeMachine._pop_one,
    ord("1"): lambda m: m._since_mark() and None,
    ord(")"): lambda m: m._push((), 0),
    0x85: lambda m: m._short_tuple(1),
    0x86: lambda m: m._short_tuple(2),
    0x87: lambda m: m._short_tuple(3),
    ord("t"): lambda m: m._tuple(m._since_mark()),
    ord("]"): lambda m: m._push([], _SEQUENCE),
    ord("a"): lambda m: m._append([m._pop()]),
    ord("e"): lambda m: m._append(m._since_mark()),
    ord("}"): lambda m: m._push({}, _SEQUENCE),
    ord("s"): lambda m: m._set_items([m._pop(), m._pop()][::-1]),
    ord("u"): lambda m: m._set_items(m._since_mark()),
    0x8F: lambda m: m._push(set(), _SET),
    0x90: OpcodeMachine._add,
    ord("q"): lambda m: m._put(m._number(_U1)),
    ord("r"): lambda m: m._put(m._number(_U4)),
    0x94: lambda m: m._put(len(m.memo)),
    ord("h"): lambda m: m._get(m._number(_U1)),
    ord("j"): lambda m: m._get(m._number(_U4)),
    ord("c"): lambda m: m._name(m._line(), m._line()),
    0x93: OpcodeMachine._stack_name,
    ord("R"): OpcodeMachine._reduce,
    0x81: OpcodeMachine._new,
    ord("b"): OpcodeMachine._build,
    ord("Q"): OpcodeMachine._persistent,
}
