"""Containers that both processes hold: what one side does to them, the other does not see.

Runs inside the sandbox, without burnish; `border.py` loads it by its path. A container that crosses
is a copy on the other side. That shows only if both sides go on holding it and one of them changes
it, or if it crosses again and its identity is asked for. Both are noticed here.
"""

import collections
import gc
import operator
import sys

MOST = 1000  # what is watched at most: containers and their items


class Shared:
    """Containers that crossed and are held on both sides, as they were when they crossed."""

    def __init__(self):
        self.held, self.size, self.is_full = {}, 0, False
        self.names = {}

    def add(self, containers):
        """Watch these; what is too much to be watched counts as changed."""
        for one in containers:
            if self.size + len(one) >= MOST:
                self._forget()
            if self.size + len(one) >= MOST:
                self.is_full = True
            else:
                self._watch(one)

    def watch(self, namespace, name):
        """Watch what a name stands for, too."""
        self.names[name] = (namespace, namespace[name])

    def holds(self, containers):
        """Whether one of these crossed before."""
        return any(id(one) in self.held for one in containers)

    def changed(self):
        """Whether one was changed since it crossed, or since this was asked, or a name was."""
        moved = [one for one, items in self.held.values() if not _are(items, _items(one))]
        for one in moved:
            self._watch(one)
        rebound = [name for name, (all_, one) in self.names.items() if all_.get(name) is not one]
        for name in rebound:
            self.names[name] = (self.names[name][0], self.names[name][0].get(name))
        is_full, self.is_full = self.is_full, False
        return is_full or bool(moved or rebound)

    def _watch(self, one):
        _, before = self.held.get(id(one), (one, ()))
        items = _items(one)
        self.size += len(items) - len(before) + (id(one) not in self.held)
        self.held[id(one)] = (one, items)

    def _forget(self):
        """Leave out what nothing but this holds."""
        containers = [one for one, _ in self.held.values()]
        places = kept(containers, [items for _, items in self.held.values()])
        self.held, self.size = {}, 0
        for place in places:
            self._watch(containers[place])


def _items(one):
    try:
        return [*one, *one.values()] if isinstance(one, dict) else list(one)
    except RuntimeError:  # a thread changes it meanwhile
        return [object()]


def _are(then, now):
    return len(then) == len(now) and all(map(operator.is_, then, now))


def kept(containers, watched=()):
    """The places of the containers that are held by more than the list and one another.

    `watched`: what `Shared` holds of them, which does not count either.
    """
    inner, alone = _inner([*containers, *watched]), ALONE + bool(watched)
    return [
        place
        for place, count in enumerate(_counts(containers))
        if count > alone + inner[id(containers[place])]
    ]


def _inner(containers):
    """How often each object is in one of the containers."""
    found, seen = collections.Counter(), set()
    for one in containers:
        found.update(map(id, _referents(one, seen)))
    return found


def _referents(one, seen):
    """What a container holds, that in its tuples included."""
    for inner in gc.get_referents(one):
        yield inner
        if type(inner) in (tuple, frozenset) and id(inner) not in seen:
            seen.add(id(inner))
            yield from _referents(inner, seen)


def _counts(containers):
    return [sys.getrefcount(containers[place]) for place in range(len(containers))]


ALONE = _counts([[]])[0]  # of a list that nothing else holds; it differs with Python's version
