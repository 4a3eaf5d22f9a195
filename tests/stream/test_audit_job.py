"""`stream audit` as a job: resumed, and its numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.base.errors import SettingError
from burnish.stream import audit_job as module
from burnish.stream.audit_job import AuditSettings, audit_policies, difference, estimates


@pytest.fixture
def settings(tiny_folder: Any) -> AuditSettings:
    return AuditSettings(
        model=str(tiny_folder()), policies="blocks:size=16,window", length=360, budget=48,
        local_tokens=24, needles=2, texts=2, tail=80, precision="fp32",
    )  # fmt: skip


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("policies", "differences", "first")}


def test_resumed_equals_straight(
    settings: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = audit_policies(settings, runs=tmp_path / "a")
    count, exact = [0], module.audit_text

    def dying(*given: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            raise KeyboardInterrupt
        return exact(*given)

    monkeypatch.setattr(module, "audit_text", dying)
    with pytest.raises(KeyboardInterrupt):
        audit_policies(settings, runs=tmp_path / "b")
    resumed = audit_policies(settings, runs=tmp_path / "b")
    assert count[0] == 5  # one text was kept, the second was begun twice
    assert numbers(resumed) == numbers(straight)
    told = resumed["policies"]["blocks:size=16"]
    assert {"evidence_recall", "mass_recall", "bound"} <= told.keys()
    assert told["evidence_recall"]["n"] == 4
    assert (Path(resumed["run"]) / "report" / "index.html").is_file()


def test_a_changed_corpus_is_refused(
    settings: AuditSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between an interrupted run and its resuming: neither mixed nor begun anew."""
    corpus, exact = tmp_path / "corpus.txt", module.audit_text
    corpus.write_text("the sea rose and boats left before dawn\n" * 200)
    settings = replace(settings, corpus=str(corpus), policies="blocks:size=16")
    calls: list[Any] = []

    def dying(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return exact(*given)

    monkeypatch.setattr(module, "audit_text", dying)
    with pytest.raises(KeyboardInterrupt):
        audit_policies(settings, runs=tmp_path)
    old = corpus.read_text()
    corpus.write_text("a harbour slept while the tide came\n" * 200)
    with pytest.raises(SettingError, match=r"'policy-0' has begun with other corpus"):
        audit_policies(settings, runs=tmp_path)
    corpus.write_text(old)
    audit_policies(settings, runs=tmp_path)
    assert len(calls) == 3  # the first text was kept


TEXTS = [
    [{"evidence": 0.5, "mass": 0.2, "right": 0.0, "depth": 0.1}] * 3,
    [{"evidence": 1.0, "mass": 0.4, "right": 1.0, "depth": 0.9}] * 3,
    [{"evidence": 0.0, "mass": 0.3, "right": 1.0, "depth": 0.5}] * 3,
]


def test_numbers_are_means_over_needles() -> None:
    told = estimates(TEXTS, 0)
    assert told["evidence_recall"]["value"] == pytest.approx(0.5)
    assert told["evidence_recall"]["n"] == 9 and "bound" not in told
    assert [row["depth"] for row in told["by_depth"]] == [0.1, 0.5, 0.9]
    moved = [[row | {"mass": row["mass"] + 0.1 * (i + 1)} for row in rows] for i, rows in
             enumerate(TEXTS)]  # fmt: skip
    found = difference(TEXTS, moved, "mass", 0)
    assert found["value"] == pytest.approx(0.2) and found["low"] > 0
    one = estimates(TEXTS[:1], 0)["evidence_recall"]
    assert np.isclose(one["value"], 0.5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"policies": ""}, "must name different policies"),
        ({"policies": "full,full"}, "must name different policies"),
        ({"policies": "trangle"}, "Did you mean"),
        ({"bound": 1.0}, "must lie in (0, 1)"),
        ({"budget": 0}, "must be at least 1"),
        ({"needles": 1, "texts": 1}, "must be at least 2"),
    ],
)
def test_refusals(given: dict[str, Any], says: str) -> None:
    with pytest.raises((SettingError, LookupError)) as error:
        AuditSettings(**given)
    assert says in str(error.value)
