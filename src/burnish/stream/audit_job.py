"""`burnish stream audit`: policies side by side under one budget, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import SettingError
from burnish.base.items import ItemLog
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.rng import stream
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import bootstrap, paired_difference
from burnish.contracts.step import Told
from burnish.data.corpora import corpus_key, parse_corpus
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value, Verification
from burnish.models.handle import ModelHandle
from burnish.stream.needles import Kind, draw_haystack
from burnish.stream.page import audit_page
from burnish.stream.policy_audit import Frame, audit_text, split_policies, under_budget
from burnish.stream.reading import check_decoder

WHAT = "stream-audit"
LEAST_TEXTS = 5  # from which intervals are over texts; below, they hold for these texts only
MEASURES = {
    "evidence": "evidence_recall",
    "mass": "mass_recall",
    "right": "answers_right",
    "bound": "bound",
    "missed": "missed",
    "adaptive_tokens": "adaptive_tokens",
    "read_frac": "read_frac",
}


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Settings of `burnish stream audit`: the policies and the texts that compare them.

    `length` [tokens] of each of `texts` texts, with `needles` planted sentences each; the last
    `tail` tokens hold none. `budget` far tokens, `local_tokens` and `num_sinks` are the same for
    all. `kind` of needles: single, facts, multikey, multivalue or variables. `bound`: the missed
    attention that the adaptive budget must certify. `answers`: also let the model answer.
    """

    model: str = "smollm2-135m"
    policies: str = "triangle-dp,blocks"
    length: int = 4096
    budget: int = 1024
    local_tokens: int = 512
    num_sinks: int = 4
    needles: int = 20
    texts: int = 5
    tail: int = 1024
    bound: float = 0.1
    answers: bool = True
    corpus: str = "stdlib"
    kind: Kind = "single"
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("budget", 1), ("local_tokens", 1), ("num_sinks", 0), ("needles", 1),
                            ("texts", 1), ("tail", 0), ("length", 2)):  # fmt: skip
            value = getattr(self, name)
            if value < least:
                raise SettingError(name, value, f"must be at least {least}", remedy="Raise it")
        if self.needles * self.texts < 2:
            raise SettingError("needles", self.needles, "must be at least 2 in all texts",
                               remedy="One sentence gives no interval")  # fmt: skip
        if not 0 < self.bound < 1:
            raise SettingError("bound", self.bound, "must lie in (0, 1)", remedy="0.1 is usual")
        specs = self.specs()
        if not specs or len(set(specs)) < len(specs):
            rule, remedy = "must name different policies", "For example triangle-dp,blocks"
            raise SettingError("policies", self.policies, rule, remedy=remedy)
        for spec in specs:
            self.policy(spec)

    def specs(self) -> list[str]:
        """The policies' specs."""
        return split_policies(self.policies)

    def policy(self, spec: str) -> Any:
        """A policy under the common budget."""
        return under_budget(
            spec,
            far_tokens=self.budget,
            local_tokens=self.local_tokens,
            num_sinks=self.num_sinks,
        )


def audit_policies(
    settings: AuditSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure each policy; interrupted, a repeated call goes on with the texts that are missing.

    Source: ours. Oracle: tests/stream/test_audit_job.py::test_resumed_equals_straight
    """
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(audit_job(settings), place)


def audit_job(settings: AuditSettings) -> Job:
    """The job of `stream audit`. Raises what `parse_corpus` and `ModelHandle.key` raise."""
    parse_corpus(settings.corpus)
    handle = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    key = handle.key
    steps = [
        PolicyStep(settings=settings, spec=spec, name=f"policy-{i}")
        for i, spec in enumerate(settings.specs())
    ]
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[*steps, CompareStep(settings=settings)],
        given={
            "model": Value(key, lambda: handle),
            "corpus": Value(lambda: corpus_key(settings.corpus), lambda: settings.corpus),
        },
        header=Header(
            title=f"burnish stream audit: {settings.model}",
            numbers={n: getattr(settings, n) for n in ("model", "length", "budget", "corpus")},
        ),
        base=settings.model,
    )


@dataclass(frozen=True, kw_only=True)
class PolicyStep(Step):
    """All texts under one policy; interrupted, it resumes with the texts that it has.

    Source: ours. Oracle: tests/stream/test_audit_job.py::test_resumed_equals_straight
    """

    settings: AuditSettings
    spec: str
    name: str
    verified: Verification = "again"

    guards = (ITSELF,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The model, and the text that is read."""
        return ("model", "corpus")

    @property
    def writes(self) -> Mapping[str, str]:
        """The rows of the needles."""
        return {f"rows of {self.spec}": ""}

    def open(self, name: str, done: StageResult, given: Given) -> Any:
        """The rows."""
        return done.output["rows"]

    def key_of(self, name: str, done: StageResult) -> str:
        """The key of the rows."""
        from burnish.base.canonical import content_hash

        return content_hash(done.output["rows"])

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Read each text once, and ask for all its needles."""
        settings, log = self.settings, ItemLog(stage.path / "texts.jsonl")
        missing = [number for number in range(settings.texts) if number not in log.done]
        frame = Frame(
            num_sinks=settings.num_sinks,
            local_tokens=settings.local_tokens,
            bound=settings.bound,
            answers=settings.answers,
        )
        for number in missing:
            model = given["model"].model
            check_decoder(model)
            text = draw_haystack(model.tokenizer, settings, number, settings.kind)
            rows = audit_text(model, settings.policy(self.spec), text, frame)
            meter.add("prefilled", settings.length)
            log.keep({"id": number, "rows": rows})
            say(f"{self.spec}: text {number + 1} of {settings.texts}")
        rows = [log.done[number]["rows"] for number in range(settings.texts)]
        return {"spec": self.spec, "rows": rows}


@dataclass(frozen=True, kw_only=True)
class CompareStep(Step):
    """Estimates of all policies, and each against the first.

    Source: ours. Oracle: tests/stream/test_audit_job.py::test_numbers_are_means_over_needles
    """

    settings: AuditSettings
    name: str = "compare"
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The rows of all policies."""
        return tuple(f"rows of {spec}" for spec in self.settings.specs())

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Means with intervals; needles of one text are drawn together."""
        specs, seed = self.settings.specs(), self.settings.seed
        all_rows = {spec: given[f"rows of {spec}"] for spec in specs}
        policies = {spec: estimates(rows, seed) for spec, rows in all_rows.items()}
        first = specs[0]
        differences = {
            spec: {
                MEASURES[name]: difference(all_rows[spec], all_rows[first], name, seed)
                for name in ("evidence", "mass")
            }
            for spec in specs[1:]
        }
        return {"policies": policies, "first": first, "differences": differences}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Numbers and page."""
        names = ("policies", "first", "differences")
        numbers = {name: done.output[name] for name in names}
        return (Told.of_page(audit_page(numbers, to_dict(self.settings)), numbers),)


def estimates(texts: Sequence[Sequence[Mapping[str, Any]]], seed: int) -> dict[str, Any]:
    """Mean of each measure over needles; intervals over texts, of few texts over their needles."""
    found = {}
    for name, title in MEASURES.items():
        if name in texts[0][0]:
            values, groups = _column(texts, name)
            rng = stream(seed, "audit", name)
            found[title] = bootstrap(values, rng=rng, groups=groups).to_dict()
    found["by_depth"] = _by_depth(texts)
    return found


def difference(
    before: Sequence[Sequence[Mapping[str, Any]]],
    after: Sequence[Sequence[Mapping[str, Any]]],
    name: str,
    seed: int,
) -> dict[str, Any]:
    """The first policy's measure minus another's, paired by needle."""
    (old, groups), (new, _) = _column(before, name), _column(after, name)
    rng = stream(seed, "difference", name)
    return paired_difference(old, new, rng=rng, groups=groups).to_dict()


def _column(
    texts: Sequence[Sequence[Mapping[str, Any]]], name: str
) -> tuple[np.ndarray, list[int] | None]:
    values = np.array([row[name] for rows in texts for row in rows], dtype=float)
    groups = [number for number, rows in enumerate(texts) for _ in rows]
    return values, groups if len(texts) >= LEAST_TEXTS else None


def _by_depth(texts: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, float]]:
    rows = [row for own in texts for row in own]
    found = []
    for tenth in range(10):
        inside = [r for r in rows if tenth <= 10 * r["depth"] < tenth + 1]
        if inside:
            values = {n: float(np.mean([r[n] for r in inside])) for n in ("evidence", "mass")}
            found.append({"depth": tenth / 10, "n": len(inside), **values})
    return found
