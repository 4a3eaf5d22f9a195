"""The border between two processes: stubs on one side, the objects on the other, data between.

Runs inside the sandbox, without burnish; `inside.py` loads it by its path.
"""

import builtins
import json
import os
import runpy
import struct
import types

CROSSING = types.SimpleNamespace(
    **runpy.run_path(os.path.join(os.path.dirname(__file__), "crossing.py"))
)
SHARING = types.SimpleNamespace(
    **runpy.run_path(os.path.join(os.path.dirname(__file__), "sharing.py"))
)
SCRIPT = "__main__"  # the module name of what the asserts define
FORWARDED = (
    *("len", "iter", "next", "getitem", "setitem", "delitem", "contains", "add", "radd", "sub"),
    *("rsub", "mul", "rmul", "truediv", "floordiv", "mod", "pow", "neg", "abs", "bool", "str"),
    *("repr", "int", "float", "index", "hash", "enter", "exit"),
)
ORDERED = ("lt", "le", "gt", "ge")
AHEAD = 4  # an iterator that gave n items is asked for n / AHEAD more at once
MAX_AHEAD = 4096


class Gone(Exception):
    """The other process has ended."""


class Foreign:
    """A stub for an object of the other process: operations run there, only results come back."""

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
        return peer.ask("call", number, args, kwargs)

    def __mro_entries__(self, bases):
        raise CROSSING.Uncrossable("a class to inherit from")

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


class ForeignIterator(Foreign):
    """An iterator of the other process: what was not asked for is not computed, but for a little.

    The first items come one by one, later ones in blocks, never more than a quarter ahead.
    """

    def __init__(self, peer, number, shown):
        super().__init__(peer, number, shown)
        object.__setattr__(self, "_ahead", [[], None, 0])

    def __iter__(self):
        return self

    def __next__(self):
        ahead = object.__getattribute__(self, "_ahead")
        if not ahead[0] and ahead[1] is None:
            peer, number, _ = self._foreign
            wanted = min(max(ahead[2] // AHEAD, 1), MAX_AHEAD)
            items, ended = peer.ask("take", number, wanted)
            ahead[0], ahead[1] = list(items)[::-1], ended
        if not ahead[0]:
            ended, ahead[1] = ahead[1], ("StopIteration",)
            if ended[0] == "StopIteration":
                raise StopIteration(*ended[1:])
            raise self._foreign[0].error(*ended)
        ahead[2] += 1
        return ahead[0].pop()


def _forward(name):
    def method(self, *args):
        peer, number, _ = self._foreign
        if peer.is_judge:
            peer.strain()  # operators of classes, too, may differ from those of their stubs
        if name in ORDERED and not isinstance(args[0], Foreign):
            plain = peer.ask("plain", number) if peer.is_judge else ()
            return getattr(plain[0], f"__{name}__")(args[0]) if plain else NotImplemented
        told = peer.ask("do", number, name, *args)
        if name == "contains" and told and peer.is_judge and peer.ask("holds all", number):
            peer.tampering.append("an object that contains everything")
        return told

    return method


def forward_operations():
    """Give stubs the operators, which Python looks up on the class only."""
    for operation in (*FORWARDED, *ORDERED):
        if operation not in ("iter", "next"):
            setattr(Foreign, f"__{operation}__", _forward(operation))
    cls: type = Foreign
    cls.__doc__ = property(  # pyright: ignore[reportAttributeAccessIssue] - as it is looked up
        lambda self: self.__getattr__("__doc__")
    )
    cls.__iter__ = lambda self: self._foreign[0].ask("iter", self._foreign[1])
    cls.__next__ = _forward("next")


class Peer:
    """One end of the line: asks the other end, and answers while it waits.

    `report` is called once with "strained", when something crossed that is not the same on both
    sides, and once with "split", when a difference may have been seen, so that even a verdict for
    the code may be wrong. `identities`: the asserts ask for them.
    """

    def __init__(self, reading, writing, is_judge, report=None):
        self.reading, self.writing, self.is_judge = reading, writing, is_judge
        self.objects, self.numbers, self.errors, self.tampering = {}, {}, {}, []
        self.stubs, self.report, self.num_asked = {}, report, 0
        self.reported, self.seen, self.identities = set(), set(), False
        self.shared = SHARING.Shared()
        self.names, self.containers = {}, {}  # of the code's module, and what they hold

    # ---- the line ----

    def send(self, message):
        """Send one message. Raises: Gone."""
        data = json.dumps(message).encode()
        data = struct.pack("=Q", len(data)) + data
        try:
            while data:
                data = data[os.write(self.writing, data) :]
        except OSError:
            raise Gone from None

    def receive(self):
        """Wait for one message. Raises: Gone."""
        return json.loads(self._read(struct.unpack("=Q", self._read(8))[0]))

    def _read(self, size):
        blocks = []
        while size:
            block = os.read(self.reading, min(size, 1 << 16))
            if not block:
                raise Gone
            blocks.append(block)
            size -= len(block)
        return b"".join(blocks)

    def ask(self, what, *values):
        """Ask the other side, and answer meanwhile. Raises: Gone; what was raised there."""
        self.num_asked += 1
        session = CROSSING.Session()
        self.look()
        encoded = [CROSSING.encode(self, session, v) for v in values]
        if self.shared.holds(session.containers):
            self._note("again")
        self.send(["ask", what, encoded])
        while True:
            message = self.receive()
            if message[0] == "ask":
                self.answer(message)
                continue
            kind, *told, kept, words = message
            if kind == "value":
                value = CROSSING.decode(self, session, told[0])
                for number, held in told[1]:
                    CROSSING.fill(self, session, session.containers[number], held)
            self.shared.add(session.containers[number] for number in kept)
            for word in words:
                self._note(word)
            if kind == "value":
                return value
            raise CROSSING.Uncrossable(*told) if kind == "uncrossable" else self.error(*told)

    def strain(self, *more):
        """Report, once, that the two sides may see something differently; `split`: that they do."""
        for word in {"strained", *more} - self.reported:
            self.reported.add(word)
            if self.report:
                self.report(word)

    def _note(self, word):
        """`changed`: what both sides hold is not the same any more; `again`: it crossed again."""
        if not self.is_judge:
            self.seen.add(word)
        elif word == "changed" or self.identities:
            self.strain("split")
        else:
            self.strain()

    def look(self):
        """Note whether what both sides hold was changed here."""
        if self.shared.changed():
            self._note("changed")

    # ---- values ----

    def encode_object(self, value):
        """What is neither plain data nor ours alone; None: it stays here, under a number."""
        if isinstance(value, Foreign):
            return ["yours", value._foreign[1]]
        modules = sys_modules() if self.is_judge else CROSSING.SAFE_MODULES
        if self.is_judge or isinstance(value, type):
            return CROSSING.named(value, modules)
        return None

    def export(self, value):
        """The number under which the other side may speak of an object."""
        kinds = types.FunctionType | types.MethodType | types.BuiltinFunctionType | type
        if self.is_judge and not (
            isinstance(value, kinds) or getattr(type(value), "__module__", "") == SCRIPT
        ):
            raise CROSSING.Uncrossable(f"a {type(value).__name__}")
        key = id(value)
        if key not in self.numbers:
            self.numbers[key] = len(self.objects)
            self.objects[self.numbers[key]] = value
        how = "call" if isinstance(value, kinds) else "object"
        if isinstance(value, CROSSING.LAZY):
            how = "iterator"
        if isinstance(value, types.CoroutineType):
            how = "coroutine"
        return ["mine", self.numbers[key], type(value).__name__, how]

    def decode_object(self, data):
        """The stub of an object over there, or the object that comes back."""
        if data[0] == "yours":
            return self.objects[data[1]]
        if data[0] != "mine":
            raise ValueError(f"no such data: {data[0]!r}")
        _, number, shown, how = data
        if how != "call":
            self.strain()
        if number not in self.stubs:
            kind = ForeignIterator if how == "iterator" else Foreign
            self.stubs[number] = kind(self, number, shown)
        if how == "coroutine":
            return _awaited(self, number)
        return self.stubs[number]

    # ---- answering ----

    def _seen_of(self, containers):
        """Which of a message's containers stay here, and what was seen since the last one."""
        self.look()
        if self.shared.holds(containers):
            self._note("again")
        kept = SHARING.kept(containers)
        self.shared.add(containers[number] for number in kept)
        words, self.seen = sorted(self.seen), set()
        return [kept, words]

    def answer(self, message):
        """Perform a request of the other side, and reply."""
        session, num_known = CROSSING.Session(), 0
        try:
            values = [CROSSING.decode(self, session, v) for v in message[2]]
            num_known = len(session.containers)
            value = self._encoded(session, self._serve(message[1], *values))
            num_known = len(session.containers)
            reply = ["value", value, CROSSING.changes(self, session)]
        except Gone:
            raise
        except CROSSING.Uncrossable as error:
            reply = ["uncrossable", str(error)]
        except (SystemExit, KeyboardInterrupt):
            if not self.is_judge:
                raise
            reply = ["error", ["RuntimeError"], "the asserts ended", None]
        except BaseException as error:
            reply = ["error", *CROSSING.told(error)]
        values = None  # or the code would seem to hold them
        del session.containers[num_known:]  # of a result that did not cross
        reply += self._seen_of(session.containers)
        self.send(reply)

    def _encoded(self, session, result):
        """A result on its way. Raises: Uncrossable, also where its class forbids a question."""
        try:
            return CROSSING.encode(self, session, result)
        except Exception as error:
            raise CROSSING.Uncrossable(CROSSING.text_of(error)) from None

    def _serve(self, what, number, *rest):
        if what == "watch":  # of the code's names, those that the asserts use
            return self._watch(number)
        target = self.objects[number]
        if what == "call":
            args, kwargs = rest
            return target(*args, **kwargs)
        if what in ("get", "set"):
            if self.is_judge and (rest[0].startswith("_") or type(target).__module__ != SCRIPT):
                raise AttributeError(rest[0])
            return getattr(target, rest[0]) if what == "get" else setattr(target, *rest)
        if self.is_judge:
            raise CROSSING.Uncrossable(f"{what} of an object of the asserts")
        if what == "isinstance":
            return isinstance(rest[0], target)
        if what == "iter":
            return iter(target)
        if what == "take":
            return _take(target, *rest)
        if what == "await":
            return CROSSING.run_coroutine(target)
        if what == "plain":  # an object's own word is never taken against plain data
            return CROSSING.plain_of(target)
        if what == "data":
            return CROSSING.data_of(target)
        if what == "flatters":
            return bool(target == object()) and bool(target == object())
        if what == "holds all":
            return CROSSING.holds_all(target)
        return self._operate(target, *rest)

    def _watch(self, names):
        for name in names:
            self.shared.add(self.containers[name])
            self.shared.watch(self.names, name)

    def _operate(self, target, name, *args):
        shortcuts = {f.__name__: f for f in (len, next, bool, str, repr, hash, int, float, abs)}
        if name in shortcuts and not args:
            return shortcuts[name](target)
        if name == "eq":
            return bool(target == args[0])
        if name == "getitem":
            return target[args[0]]  # also of a class: `Stack[int]`
        return getattr(target, f"__{name}__")(*args)

    def error(self, names, text, args=None):
        """The local exception that stands for one raised on the other side."""
        kinds = (self.errors.get(name) or getattr(builtins, name, None) for name in names)
        found = (k for k in kinds if isinstance(k, type) and issubclass(k, Exception))
        cls = next(found, RuntimeError)
        if names[0] in self.errors:
            self.strain()  # it may have more than its message
        made = cls.__new__(cls)
        made.args = (text,) if args is None else tuple(args)
        made.from_code = f"{names[0]}: {text}"  # pyright: ignore[reportAttributeAccessIssue] - new
        return made


def sys_modules():
    """The standard library's modules by name."""
    return CROSSING.sys.stdlib_module_names | {"builtins"}


def _take(iterator, wanted):
    items = []
    try:
        while len(items) < wanted:
            items.append(next(iterator))
    except StopIteration as end:
        return items, ("StopIteration", *end.args)
    except Exception as error:
        return items, tuple(CROSSING.told(error))
    return items, None


async def _awaited(peer, number):
    return peer.ask("await", number)
