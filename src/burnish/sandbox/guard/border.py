"""The border between two processes: stubs on one side, the objects on the other, data between.

Runs inside the sandbox, without burnish; `inside.py` loads it by its path.
"""

import builtins
import collections
import importlib
import json
import os
import struct
import types

SCRIPT = "asserts"  # the module name of what the asserts define
PLAIN = (type(None), bool, int, float, str)
SEQUENCES = {"l": list, "t": tuple, "s": set, "f": frozenset, "q": collections.deque, "i": iter}
MAPPINGS = {"d": dict, "C": collections.Counter, "O": collections.OrderedDict, "D": dict}
TAGS = {
    list: "l",
    tuple: "t",
    set: "s",
    frozenset: "f",
    collections.deque: "q",
    dict: "d",
    collections.Counter: "C",
    collections.OrderedDict: "O",
    collections.defaultdict: "D",
}
ITERATORS = (
    types.GeneratorType,
    map,
    zip,
    filter,
    range,
    reversed,
    type(iter([])),
    type(iter(())),
    type(iter("")),
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
BASES = (int, float, str, bytes, tuple, list, dict, set, frozenset)
FORWARDED = [
    "len",
    "iter",
    "next",
    "getitem",
    "setitem",
    "delitem",
    "contains",
    "add",
    "radd",
    "sub",
    "rsub",
    "mul",
    "rmul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "neg",
    "abs",
    "bool",
    "str",
    "repr",
    "int",
    "float",
    "index",
    "hash",
    "enter",
    "exit",
]
ORDERED = ("lt", "le", "gt", "ge")


class Gone(Exception):
    """The other process is no more."""


class Foreign:
    """An object of the other process: operations go there, only their results come back."""

    def __init__(self, peer, number, shown):
        object.__setattr__(self, "_foreign", (peer, number, shown))

    def __getattr__(self, name):
        peer, number, _ = object.__getattribute__(self, "_foreign")
        return peer.ask("get", number, name)

    def __setattr__(self, name, value):
        peer, number, _ = self._foreign
        peer.ask("set", number, name, value)

    def __call__(self, *args, **kwargs):  # noqa: D102
        peer, number, _ = self._foreign
        return peer._call(number, args, kwargs)

    def __instancecheck__(self, value):
        peer, number, _ = self._foreign
        return isinstance(value, Foreign) and bool(peer.ask("isinstance", number, value))

    def __eq__(self, other):
        peer, number, _ = self._foreign
        if isinstance(other, Foreign):
            return self is other or bool(peer.ask("do", number, "eq", other))
        plain = peer.ask("plain", number) if peer.is_judge else ()
        if plain and plain[0] == other:
            return True
        if peer.is_judge and peer.ask("flatters", number):
            peer.tampering.append("an object whose equality agrees with everything")
        return False

    def __ne__(self, other):
        return not self == other


def _forward(name):
    def method(self, *args):
        peer, number, _ = self._foreign
        if name in ORDERED and not isinstance(args[0], Foreign):
            plain = peer.ask("plain", number) if peer.is_judge else ()
            return getattr(plain[0], f"__{name}__")(args[0]) if plain else NotImplemented
        return peer.ask("do", number, name, *args)

    return method


def forward_operations():
    """Give stubs the operators, which Python looks up on the class alone."""
    for operation in (*FORWARDED, *ORDERED):
        setattr(Foreign, f"__{operation}__", _forward(operation))


class Peer:
    """One end of the line: asks the other end, and answers while it waits."""

    def __init__(self, reading, writing, is_judge):
        self.reading, self.writing, self.is_judge = reading, writing, is_judge
        self.objects, self.numbers, self.errors, self.tampering = {}, {}, {}, []
        self.stubs = {}

    # ---- the line ----

    def send(self, message):
        """Send one message. Raises: Gone."""
        data = json.dumps(message).encode()
        data = struct.pack("=I", len(data)) + data
        try:
            while data:
                data = data[os.write(self.writing, data) :]
        except OSError:
            raise Gone from None

    def receive(self):
        """Wait for one message. Raises: Gone."""
        return json.loads(self._read(struct.unpack("=I", self._read(4))[0]))

    def _read(self, size):
        data = b""
        while len(data) < size:
            block = os.read(self.reading, min(size - len(data), 1 << 16))
            if not block:
                raise Gone
            data += block
        return data

    def ask(self, what, *values):
        """Ask the other side, and answer meanwhile. Raises: Gone; what was raised there."""
        self.send(["ask", what, [self.encode(v) for v in values]])
        while True:
            message = self.receive()
            if message[0] == "ask":
                self.answer(message)
            elif message[0] == "value":
                return self.decode(message[1])
            else:
                raise self._error(*message[1:])

    def _call(self, number, args, kwargs):
        """Call by value, as far as can be: what the callee changed is changed here, too."""
        value, after = self.ask("call", number, list(args), dict(kwargs))
        for ours, theirs in zip(args, after, strict=False):
            if type(ours) in (list, dict, set) and type(theirs) is type(ours) and ours != theirs:
                ours.clear()
                (ours.extend if type(ours) is list else ours.update)(theirs)
        return value

    # ---- values ----

    def encode(self, value, depth=0):
        """A value as JSON: plain data, or the number of an object that stays here."""
        kind = type(value)
        if depth > 500:
            raise RecursionError("data is nested too deeply to cross the border")
        if kind in PLAIN:
            return value
        if kind in TAGS:
            items = value.items() if issubclass(kind, dict) else value
            return [
                TAGS[kind],
                [self.encode(list(i) if issubclass(kind, dict) else i, depth + 1) for i in items],
            ]
        if kind in (bytes, bytearray):
            return ["b" if kind is bytes else "B", value.hex()]
        if kind is complex:
            return ["c", [value.real, value.imag]]
        if kind is Foreign:
            return ["yours", value._foreign[1]]
        if kind in ITERATORS:
            return ["i", [self.encode(i, depth + 1) for i in value]]
        if kind.__module__ in ("decimal", "fractions"):
            return ["n", [kind.__name__, str(value)]]
        if kind.__module__ == "numpy":
            return self.encode(value.tolist(), depth + 1)
        return self.export(value)

    def export(self, value):
        """The number under which the other side may speak of an object."""
        if self.is_judge and not (
            isinstance(
                value, types.FunctionType | types.MethodType | types.BuiltinFunctionType | type
            )
            or type(value).__module__ == SCRIPT
        ):
            raise TypeError(f"a {type(value).__name__} cannot be handed to the code")
        key = id(value)
        if key not in self.numbers:
            self.numbers[key] = len(self.objects)
            self.objects[self.numbers[key]] = value
        return ["mine", self.numbers[key], type(value).__name__]

    def decode(self, data):
        """The value of JSON that `encode` made on the other side."""
        if not isinstance(data, list):
            return data
        tag, content = data[0], data[1]
        if tag in SEQUENCES:
            return SEQUENCES[tag]([self.decode(i) for i in content])
        if tag in MAPPINGS:
            return MAPPINGS[tag](dict(tuple(self.decode(i)) for i in content))
        if tag in ("b", "B"):
            return (bytes if tag == "b" else bytearray).fromhex(content)
        if tag == "c":
            return complex(*content)
        if tag == "n":
            module = importlib.import_module({"Decimal": "decimal"}.get(content[0], "fractions"))
            return (module.Decimal if content[0] == "Decimal" else module.Fraction)(content[1])
        if tag == "yours":
            return self.objects[content]
        if tag == "mine":
            if content not in self.stubs:
                self.stubs[content] = Foreign(self, content, data[2])
            return self.stubs[content]
        raise ValueError(f"no such data: {tag!r}")

    # ---- answering ----

    def answer(self, message):
        """Do what the other side asks, and reply."""
        try:
            values = [self.decode(v) for v in message[2]]
            reply = ["value", self.encode(self._serve(message[1], *values))]
        except Gone:
            raise
        except (SystemExit, KeyboardInterrupt):
            if not self.is_judge:
                raise
            reply = ["error", ["RuntimeError"], "the asserts ended"]
        except BaseException as error:
            reply = ["error", [c.__name__ for c in type(error).__mro__], text_of(error)]
        self.send(reply)

    def _serve(self, what, number, *rest):
        target = self.objects[number]
        if what == "call":
            args, kwargs = rest
            return target(*args, **kwargs), args
        if what in ("get", "set"):
            if self.is_judge and (rest[0].startswith("_") or type(target).__module__ != SCRIPT):
                raise AttributeError(rest[0])
            return getattr(target, rest[0]) if what == "get" else setattr(target, *rest)
        if self.is_judge:
            raise TypeError("not served by the judge")
        if what == "isinstance":
            return isinstance(rest[0], target)
        if what == "plain":  # an object's own word is never taken against plain data
            base = next((b for b in BASES if isinstance(target, b)), None)
            return () if base is None else (base(target),)
        if what == "flatters":
            return bool(target == object()) and bool(target == object())
        return self._operate(target, *rest)

    def _operate(self, target, name, *args):
        shortcuts = {
            "len": len,
            "iter": iter,
            "next": next,
            "bool": bool,
            "str": str,
            "repr": repr,
            "hash": hash,
            "int": int,
            "float": float,
            "abs": abs,
        }
        if name == "iter":
            made = iter(target)
            return made if type(made).__module__ != "builtins" else list(made)
        if name in shortcuts and not args:
            return shortcuts[name](target)
        if name == "eq":
            return bool(target == args[0])
        return getattr(target, f"__{name}__")(*args)

    def _error(self, names, text):
        for name in names:
            cls = self.errors.get(name) or getattr(builtins, name, None)
            if isinstance(cls, type) and issubclass(cls, Exception):
                made = cls.__new__(cls)
                made.args = (text,)
                made.from_code = f"{names[0]}: {text}"
                return made
        return RuntimeError(text)


def text_of(error):
    """The message of an exception, shortened; empty where it has none."""
    try:
        return str(error.args[0] if error.args else "")[:2000]
    except Exception:
        return ""
