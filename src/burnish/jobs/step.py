"""A step is one file: settings, what it reads and writes, its cost, its work, what it tells."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from burnish.base.canonical import content_hash
from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Cost, Told

Verification = Literal["again", "files"]
ITSELF = ""  # among the names that a step guards
METERED = "metered"  # entry of every output: what making the step was metered at


class Value:
    """What steps read. `key` is the same exactly when the content is; `open` gives the content.

    Both may be functions, which are called when they are needed, once.
    """

    def __init__(self, key: str | Callable[[], str], open: Callable[[], Any]) -> None:
        self._key = key
        self._open = open

    @cached_property
    def key(self) -> str:
        """What stands for the content in the keys of stages."""
        return self._key() if callable(self._key) else self._key

    @cached_property
    def content(self) -> Any:
        """The content."""
        return self._open()


def constant(content: Any, key: str = "") -> Value:
    """A value that is there from the start. An empty key: it changes no result."""
    return Value(key, lambda: content)


class Given:
    """The values that a step declared, by name; any other name is refused.

    Source: ours. Oracle: tests/jobs/test_runner.py::test_an_undeclared_value_is_refused
    """

    def __init__(self, who: str, values: Mapping[str, Value], names: Sequence[str]) -> None:
        self._who, self._values, self._names = who, values, tuple(names)

    def __getitem__(self, name: str) -> Any:
        """The content of a declared value. Raises: SettingError, for any other."""
        if name not in self._names:
            remedy = f"Add it to what the step declares ({', '.join(self._names) or 'nothing'})"
            raise SettingError(
                f"step {self._who}", name, "reads an undeclared value", remedy=remedy
            )
        return self._values[name].content

    def keys(self) -> dict[str, str]:
        """The key of every declared value."""
        return {name: self._values[name].key for name in self._names}


class Step(ABC):
    """One stage of a job. Subclasses are frozen dataclasses, whose fields are the settings.

    The stage's key is made of the class, all fields and the keys of what `reads` names, so no
    input can be forgotten: `make` is handed nothing else.
    """

    name: str  # of the stage's folder
    together = False  # whether all processes of a team make it, as training needs
    timed: tuple[str, ...] = ()  # entries of the output that are measured times or speeds
    guards: tuple[str, ...] = ()  # steps: once one has begun, what this one reads is fixed
    verified: Verification = "files"  # "again": `burnish verify` makes it again and compares

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the values that `make` uses."""
        return ()

    @property
    def shows(self) -> tuple[str, ...]:
        """Names of further values that only `tell` uses; they are no input of the stage."""
        return ()

    @property
    def writes(self) -> Mapping[str, str]:
        """Values by name: a file or folder of the stage, or "" for that entry of its output."""
        return {}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """What the step is expected to take, for the plan."""
        return Cost()

    @abstractmethod
    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Do the work in `stage.path`; returns the output, as JSON."""

    def open(self, name: str, done: StageResult, given: Given) -> Any:
        """The content of a written value: the output's entry, or the path of the file."""
        path = self.writes[name]
        return done.path / path if path else done.output[name]

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Numbers, gates, claims and blocks; `given` also holds what `shows` and `writes` name."""
        return ()

    def recheck(self, done: StageResult, given: Given) -> str:
        """What does not follow from what the stage left, checked without making it again."""
        return ""

    def differences(self, old: StageResult, new: StageResult) -> str:
        """What differs between two makings, but for times, for `burnish verify`; "" if nothing."""
        told = [name for name in old.output if name not in (METERED, *self.timed)]
        names = [name for name in told if old.output[name] != new.output.get(name)]
        files = {a.path: a.sha256 for a in new.artefacts}
        names += [a.path for a in old.artefacts if files.get(a.path) != a.sha256]
        return ", ".join(names)

    def key_of(self, name: str, done: StageResult) -> str:
        """The key of a written value: a hash of its content."""
        path = self.writes[name]
        if not path:
            return content_hash(done.output[name])
        under = [a for a in done.artefacts if a.path == path or a.path.startswith(f"{path}/")]
        return content_hash([(artefact.path, artefact.sha256) for artefact in under])


class Composite(ABC):
    """Steps whose number depends on what they find, such as rounds that stop early."""

    name: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the values that its steps need from outside."""
        return ()

    @property
    def shows(self) -> tuple[str, ...]:
        """Names of the values that `steps`, `close` and `tell` look at."""
        return ()

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the values that `close` gives."""
        return ()

    @abstractmethod
    def planned(self) -> Sequence[Step]:
        """All steps that may run, for the plan."""

    @abstractmethod
    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """The steps one after another; `look` opens what the earlier ones wrote."""

    def close(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """The values that the composite writes, from those that its steps wrote."""
        return {}

    def tell(self, look: Callable[[str], Any]) -> Sequence[Told]:
        """As `Step.tell`."""
        return ()


Part = Step | Composite
