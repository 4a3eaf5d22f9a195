"""Values as JSON: what comes back is what was sent, of its own type; what is too deep stays."""

import array
import collections
import datetime
import decimal
import fractions
import json
import types
import uuid

import pytest

from burnish.sandbox.guard.border import Peer
from burnish.sandbox.guard.crossing import MAX_DEPTH, Session, Uncrossable, decode, encode

VALUES = [
    None, True, 0, -(1 << 70), 1.5, "a\ud800", b"\x00\xff", (1, (2,)), [1, [2]], {1, 2},
    frozenset({1}), {"a": [1]}, {(1, 2): None}, bytearray(b"ab"), collections.deque([1]),
    collections.Counter("aab"), collections.OrderedDict(b=1, a=2), range(1, 9, 2), slice(1, None),
    1 + 2j, datetime.date(2020, 2, 29), datetime.time(1, 2, tzinfo=datetime.UTC),
    datetime.datetime(2020, 1, 1, 3), datetime.timedelta(1, 2, 3), decimal.Decimal("1.10"),
    fractions.Fraction(1, 3), array.array("d", [1.5]), uuid.UUID(int=3), ..., NotImplemented,
]  # fmt: skip


def crossed(value):
    peer = Peer(0, 0, True)
    data = json.loads(json.dumps(encode(peer, Session(), value)))
    return decode(peer, Session(), data)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_were(value):
    found = crossed(value)
    assert type(found) is type(value) and found == value


def test_views_and_factories_come_back():
    found = crossed({"a": 1, "b": 2}.items())
    assert list(found) == [("a", 1), ("b", 2)]
    assert crossed({"a": 1}.keys()) == {"a"} and list(crossed({"a": 1}.values())) == [1]
    held = crossed(collections.defaultdict(list, a=[1]))
    assert held["a"] == [1] and held["b"] == []


def test_a_container_keeps_its_identity_within_a_message():
    inner: list = []
    found = crossed([inner, inner, (inner,)])
    assert found[0] is found[1] is found[2][0]
    inner.append(inner)
    loop = crossed(inner)
    assert loop[0] is loop


def nested(num, wrap):
    found = 0
    for _ in range(num):
        found = wrap(found)
    return found


@pytest.mark.parametrize(
    ("wrap", "levels"),
    [
        (lambda v: [v], 1),
        (lambda v: (v,), 1),
        (lambda v: {"a": v}, 1),
        (lambda v: types.SimpleNamespace(a=v), 3),  # its values are a tuple with a dictionary
    ],
)
def test_the_bound_of_depth(wrap, levels):
    fits = MAX_DEPTH // levels
    assert crossed(nested(fits, wrap)) == nested(fits, wrap)
    with pytest.raises(Uncrossable, match="nested deeply"):
        crossed(nested(fits + 2, wrap))


def test_data_of_no_kind_are_refused():
    with pytest.raises(ValueError, match="no such data: 'other'"):
        decode(Peer(0, 0, True), Session(), ["other", 5])
