"""Values as JSON, from one process to another: plain data in full, all else under a number.

Runs inside the sandbox, without burnish; `inside.py` loads it by its path. A list, dictionary or
set keeps its identity within one call: it is sent once, mentioned again by its number, and what
the callee changed in it comes back.
"""

import array
import asyncio
import collections
import datetime
import decimal
import fractions
import importlib
import pathlib
import re
import sys
import types
import uuid

PLAIN = (type(None), bool, float, str)
EXACT = 1 << 60  # larger integers go as hexadecimal digits: Python bounds decimal ones
MAX_DEPTH = 100
SEQUENCES = {list: "l", set: "s", collections.deque: "q"}
MAPPINGS = {
    dict: "d",
    collections.Counter: "C",
    collections.OrderedDict: "O",
    collections.defaultdict: "D",
}
FIXED = {tuple: "t", frozenset: "f"}
VIEWS = {type({}.keys()): "K", type({}.values()): "V", type({}.items()): "I"}
LAZY = (
    types.GeneratorType,
    map,
    zip,
    filter,
    enumerate,
    reversed,
    type(iter([])),
    type(iter(())),
    type(iter("")),
    type(iter({})),
    type(iter(set())),
    type(iter(range(0))),
    type(reversed([])),
)
BUILDERS = {  # types that are rebuilt from a few plain values
    range: lambda v: (v.start, v.stop, v.step),
    slice: lambda v: (v.start, v.stop, v.step),
    complex: lambda v: (v.real, v.imag),
    datetime.date: lambda v: (v.year, v.month, v.day),
    datetime.time: lambda v: (v.hour, v.minute, v.second, v.microsecond, v.tzinfo),
    datetime.datetime: lambda v: (
        v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.tzinfo),
    datetime.timedelta: lambda v: (v.days, v.seconds, v.microseconds),
    datetime.timezone: lambda v: v.__getinitargs__(),
    decimal.Decimal: lambda v: (str(v),),
    fractions.Fraction: lambda v: (v.numerator, v.denominator),
    array.array: lambda v: (v.typecode, v.tolist()),
    uuid.UUID: lambda v: (v.hex,),
    re.Pattern: lambda v: (v.pattern, v.flags),
    pathlib.PurePosixPath: lambda v: (str(v),),
    pathlib.PosixPath: lambda v: (str(v),),
    types.SimpleNamespace: lambda v: (vars(v),),
}  # fmt: skip
MAKERS = {kind.__name__: kind for kind in BUILDERS} | {
    "Pattern": re.compile,
    "SimpleNamespace": lambda found: types.SimpleNamespace(**found),
}
BASES = (int, float, str, bytes, tuple, list, dict, set, frozenset)
SAFE_MODULES = ("builtins", "collections", "datetime", "decimal", "fractions", "array", "uuid")
NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)


class Uncrossable(Exception):
    """A value that only its own process can hold."""


class Session:
    """The containers that one message and its answer speak of, by number on both sides."""

    def __init__(self):
        self.containers, self.numbers, self.sent = [], {}, {}

    def add(self, container):
        """Give a container the next number."""
        self.numbers[id(container)] = len(self.containers)
        self.containers.append(container)
        return len(self.containers) - 1


def encode(peer, session, value, depth=0):
    """A value as JSON. Raises: Uncrossable, for what is nested too deeply."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is int:
        return value if -EXACT < value < EXACT else ["x", hex(value)]
    if depth > MAX_DEPTH:
        raise Uncrossable("data that is nested deeply")
    if kind in SEQUENCES or kind in MAPPINGS or kind is bytearray:
        number = session.numbers.get(id(value))
        if number is not None:
            return ["=", number]
        return [_tag(kind), session.add(value), content(peer, session, value, depth)]
    if kind in FIXED:
        return [FIXED[kind], [encode(peer, session, v, depth + 1) for v in value]]
    if kind in VIEWS:
        return [VIEWS[kind], [encode(peer, session, v, depth + 1) for v in list(value)]]
    if kind is bytes:
        return ["b", value.hex()]
    if kind in BUILDERS:
        return ["T", kind.__name__, encode(peer, session, BUILDERS[kind](value), depth + 1)]
    if value is Ellipsis or value is NotImplemented:
        return ["g", "builtins", repr(value)]
    return peer.encode_object(value) or peer.export(value)


def content(peer, session, value, depth=0):
    """A container's content as JSON."""
    kind = type(value)
    if kind is bytearray:
        return value.hex()
    if kind in SEQUENCES:
        return [encode(peer, session, v, depth + 1) for v in list(value)]
    pairs = [
        [encode(peer, session, k, depth + 1), encode(peer, session, v, depth + 1)]
        for k, v in list(value.items())
    ]
    factory = getattr(value, "default_factory", None)
    return [pairs, encode(peer, session, factory, depth + 1)]


def decode(peer, session, data):
    """The value of JSON that `encode` made on the other side."""
    if not isinstance(data, list):
        return data
    tag = data[0]
    if tag == "x":
        return int(data[1], 16)
    if tag == "=":
        return session.containers[data[1]]
    if tag in EMPTY:
        container = EMPTY[tag]()
        number = session.add(container)
        session.sent[number] = data[2]
        fill(peer, session, container, data[2])
        return container
    if tag in ("t", "f"):
        return (tuple if tag == "t" else frozenset)([decode(peer, session, v) for v in data[1]])
    if tag in "KVI":
        peer.strain()  # of a copy: it does not follow its dictionary
        items = [decode(peer, session, v) for v in data[1]]
        made = dict(items) if tag == "I" else dict(enumerate(items))
        return {"K": dict.fromkeys(items).keys, "V": made.values, "I": made.items}[tag]()
    if tag == "b":
        return bytes.fromhex(data[1])
    if tag == "T":
        return MAKERS[data[1]](*decode(peer, session, data[2]))
    if tag == "g":
        return find(data[1], data[2])
    return peer.decode_object(data)


def fill(peer, session, container, held):
    """Put into a container what it holds on the other side, instead of what it held."""
    kind = type(container)
    if kind is bytearray:
        container[:] = bytes.fromhex(held)
        return
    if kind in SEQUENCES:
        items = [decode(peer, session, v) for v in held]
        container.clear()
        (container.update if kind is set else container.extend)(items)
        return
    pairs = [(decode(peer, session, k), decode(peer, session, v)) for k, v in held[0]]
    container.clear()
    if kind is collections.defaultdict:
        container.default_factory = decode(peer, session, held[1])
    for key, value in pairs:
        container[key] = value


def changes(peer, session):
    """The containers of the message whose content has changed since."""
    found = []
    for number, held in list(session.sent.items()):
        now = content(peer, session, session.containers[number])
        if now != held:
            found.append([number, now])
    return found


def named(value, modules):
    """Module and name of an object of the standard library, or None for any other."""
    module, name = getattr(value, "__module__", None) or "builtins", None
    if isinstance(value, NAMED) and module.partition(".")[0] in modules:
        name = getattr(value, "__qualname__", None)
    try:
        known = name and find(module, name) is value
    except (AttributeError, ImportError):
        known = False
    return ["g", module, name] if known else None


def find(module, name):
    """The object of that module and name. Raises: AttributeError, ImportError."""
    if module.partition(".")[0] not in sys.stdlib_module_names | {"builtins"}:
        raise ImportError(module)
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def run_coroutine(coroutine):
    """Run a coroutine to its end."""
    return asyncio.run(coroutine)


def _tag(kind):
    return SEQUENCES.get(kind) or MAPPINGS.get(kind) or "B"


EMPTY = {tag: kind for kind, tag in (*SEQUENCES.items(), *MAPPINGS.items())} | {"B": bytearray}


def data_of(target):
    """What an object is as plain data, in a tuple; empty where it is none."""
    if type(target).__module__ == "numpy" and hasattr(target, "tolist"):
        return (target.tolist(),)
    is_iterable = hasattr(type(target), "__iter__")
    return plain_of(target) or ((list(target),) if is_iterable else ())


def plain_of(target):
    """An instance of a built-in type's subclass as that type, in a tuple; empty for others."""
    base: type | None = next((b for b in BASES if isinstance(target, b)), None)
    return () if base is None else (base(target),)


def holds_all(target):
    """Whether a class of the code says that an object is in it which nobody put there."""
    own = any("__contains__" in vars(c) for c in type(target).__mro__ if c.__module__ == "main")
    try:
        return own and object() in target and object() in target
    except Exception:
        return False


def told(error):
    """An exception's class names, its message, and its arguments if they are plain data."""
    args = getattr(error, "args", ())
    plain = isinstance(args, tuple) and all(type(a) in (*PLAIN, int) for a in args)
    small = plain and len(repr(args)) < 2000
    return [c.__name__ for c in type(error).__mro__], text_of(error), list(args) if small else None


def text_of(error):
    """The message of an exception, shortened; empty where it has none."""
    try:
        return str(error.args[0] if error.args else "")[:2000]
    except Exception:
        return ""
