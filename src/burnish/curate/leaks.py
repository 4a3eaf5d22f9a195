"""Find the rows of a pool that leak a benchmark, with evidence: views, calibration, behaviour."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from burnish.base.progress import say
from burnish.contracts.executor import Executor, RunState
from burnish.contracts.launcher import Launcher
from burnish.curate.behaviour import Asked, Evidence, run_asked
from burnish.curate.calibrate import LEAST_ROWS
from burnish.curate.embedding import Cosines, Embedder, EmbeddingView, embed_pool
from burnish.curate.evidence import spans_of
from burnish.curate.passes import FirstPass, Scored, first_pass, score_rows, second_pass
from burnish.curate.pool import PoolReport, check_some, read_pool
from burnish.curate.programs import Definitions, Target, program_of, target_of
from burnish.curate.samples import Sample
from burnish.curate.scan import Compared, Shares
from burnish.curate.settings import LeakageSettings
from burnish.curate.tli import TestLeakage
from burnish.curate.verdicts import Found, LeakVerdict, as_row, copies, counts, decide
from burnish.curate.views import View, static_views
from burnish.data.benchmarks import BenchmarkItem

SIGNIFICANT = 0.025
MARGIN = 2.0  # times the declared rate: the tail of the null is fitted, not known
NOT_RUN = "not_run"  # beyond the limit of runs, or runs are off


@dataclass
class Scan:
    """A pool read once against the items of some benchmarks."""

    items: Sequence[BenchmarkItem]
    views: Sequence[View]
    tli: TestLeakage
    first: FirstPass
    shares: Sequence[Shares]
    scored: Scored
    targets: Mapping[int, Target] = field(default_factory=dict)
    cosines: Cosines | None = None  # of the embedding view

    @property
    def compared(self) -> list[Compared]:
        """How like the references the rows are, in all views."""
        return joined(self.shares, self.cosines)

    @property
    def untestable(self) -> list[int]:
        """Items that no view can compare."""
        known = {int(i) for view in self.views for i in view.owners}
        return [i for i in range(len(self.items)) if i not in known and i not in self.targets]


def scan_pool(
    items: Sequence[BenchmarkItem],
    settings: LeakageSettings,
    *,
    launcher: Launcher,
    folder: Path | None = None,
    embedder: Embedder | None = None,
) -> Scan:
    """Read the pool and score every row against every item, without running anything.

    An `embedder` adds the embedding view, in pools that are large enough to calibrate on: a cosine
    says nothing without those of other rows.
    """
    views = static_views(items)
    targets = {i: t for i, item in enumerate(items) if (t := target_of(item)) is not None}
    testable = {int(i) for view in views for i in view.owners} | set(targets)
    tli = TestLeakage([x.prompt if i in testable else "" for i, x in enumerate(items)])
    first = first_pass(settings.pool, views, tli, launcher=launcher, folder=folder)
    check_some(settings.pool, first.report)
    shares = [Shares(v, h, first.num_rows) for v, h in zip(views, first.hits, strict=True)]
    cosines = None
    if embedder is not None and first.num_rows >= LEAST_ROWS:
        view = EmbeddingView.of(items, views, embedder)
        cosines = Cosines(view, embed_pool(settings.pool, embedder, folder))
    elif embedder is not None:
        say(f"note: the embedding view needs {LEAST_ROWS} rows; it is left out")
    scored = score_rows(joined(shares, cosines), len(items), first.num_rows, settings.fpr)
    return Scan(items, views, tli, first, shares, scored, targets, cosines)


def joined(shares: Sequence[Shares], cosines: Cosines | None) -> list[Compared]:
    """All views of a scan."""
    return [*shares] if cosines is None else [*shares, cosines]


def find_leaks(scan: Scan, settings: LeakageSettings, executor: Executor | None) -> dict[str, Any]:
    """Run the programs, decide on every row, and record the evidence.

    Source: XCoder, arXiv 2409.03810, section 3.1, for TLI; the rest is ours.
    Oracle: tests/curate/test_leaks.py::test_planted_leaks_are_found_and_others_are_not
    """
    programs = _programs(scan, settings) if executor is not None and settings.run else {}
    evidence = _evidence(scan, programs, settings, executor) if executor and programs else {}
    rows = list(_decided(scan, settings, evidence))
    spans = _ledger(scan, rows, settings)  # also says what could not be run
    dicts: list[dict[str, Any]] = [
        as_row(found, scan.first.ids, scan.items, len(settings.benchmarks)) | {"evidence": spans[i]}
        for i, found in enumerate(rows)
    ]
    for row, found in zip(dicts, rows, strict=True):
        row["row"] = found.row
    flagged = [row for row in dicts if row["verdict"] != LeakVerdict.COMMON.value]
    flagged.sort(key=lambda row: (row["verdict"] != LeakVerdict.LEAK.value, -(row["score"] or 0)))
    common = [row for row in dicts if row["verdict"] == LeakVerdict.COMMON.value]
    return summary(scan, settings, flagged, common, evidence)


def summary(
    scan: Scan,
    settings: LeakageSettings,
    flagged: Sequence[Mapping[str, Any]],
    common: Sequence[Mapping[str, Any]],
    evidence: Mapping[Asked, Evidence],
) -> dict[str, Any]:
    """The numbers of a scan."""
    first, scored = scan.first, scan.scored
    states = [found.state.value for found in evidence.values()]
    above = int((scored.scores[:, 0] > scored.threshold).sum()) if scored.threshold else 0
    return {
        "tli": scan.tli.value,
        "tli_by_benchmark": _tli_by_benchmark(scan),
        "num_rows": first.num_rows,
        "num_items": len(scan.items),
        "num_flagged": len(flagged),
        "num_common_knowledge": len(common),
        "verdicts": counts([*flagged, *common]),
        "fpr": settings.fpr if scored.threshold is not None else None,
        "threshold": scored.threshold,
        "num_empty": sum(first.empty),
        "num_tli_filtered": _tli_filtered(first, settings.tli_frac),
        "check": leak_check(flagged, above, first.num_rows, settings.fpr),
        "untestable": [scan.items[i].id for i in scan.untestable],
        "num_runs": len(states),
        "runs": {state: states.count(state) for state in sorted(set(states))},
        "pool": first.report.to_dict(),
        "flagged": list(flagged),
        "common_knowledge": list(common),
    }


def leak_check(
    flagged: Sequence[Mapping[str, Any]], num_above: int, num_rows: int, fpr: float
) -> dict[str, Any]:
    """Whether a pool may be trained on: no leak, and no more suspects than chance explains.

    Source: ours; a one-sided binomial test against twice the declared rate.
    Oracle: tests/curate/test_leaks.py::test_the_check_fails_on_planted_leaks_alone
    """
    num_leaks = counts(flagged)[LeakVerdict.LEAK.value]
    chance = (
        float(stats.binom.sf(num_above - 1, num_rows, min(MARGIN * fpr, 1))) if num_above else 1.0
    )
    passed = num_leaks == 0 and chance >= SIGNIFICANT
    return {
        "outcome": "pass" if passed else "fail",
        "num_leaks": num_leaks,
        "num_above_threshold": num_above,
        "expected_by_chance": round(fpr * num_rows, 2) if num_above else 0.0,
        "chance_of_so_many": chance,
    }


def clean_rows(settings: LeakageSettings, dropped: set[int]) -> Iterator[Mapping[str, Any]]:
    """The pool's rows unchanged, without the dropped and the empty ones."""
    for number, sample in enumerate(read_pool(settings.pool, PoolReport())):
        if number not in dropped and not sample.is_empty:
            yield sample.row


def _tli_by_benchmark(scan: Scan) -> dict[str, float]:
    names = [scan.items[i].benchmark for i in scan.tli.kept]
    return {
        name: float(np.mean([b for b, n in zip(scan.tli.best, names, strict=True) if n == name]))
        for name in dict.fromkeys(names)
    }


def _tli_filtered(first: FirstPass, least: float) -> int:
    shares = np.concatenate(first.tli_shares) if first.tli_shares else np.zeros(0)
    return int((shares >= least).sum())


def _programs(scan: Scan, settings: LeakageSettings) -> dict[int, Definitions]:
    """Programs of the rows nearest to some item, at most `max_runs`."""
    if not scan.targets or not scan.scored.scores.size:
        return {}
    order = np.argsort(-scan.scored.scores[:, 0], kind="stable")[: settings.max_runs]
    found: dict[int, Definitions] = {}

    def use(number: int, sample: Sample) -> None:
        if (program := program_of(sample)) is not None:
            found[number] = program

    second_pass(settings.pool, {int(row) for row in order}, use)
    return found


def _evidence(
    scan: Scan, programs: Mapping[int, Definitions], settings: LeakageSettings, executor: Executor
) -> dict[Asked, Evidence]:
    """Run rows nearest first, each on its nearest item, and on the next one if it fails.

    So the runs that there are go to what is likeliest first.
    """
    fitting = {row: _fitting(scan, row, programs[row])[: settings.candidates] for row in programs}
    best = scan.scored.scores
    waiting = sorted(programs, key=lambda row: (-best[row, 0], row))
    found: dict[Asked, Evidence] = {}
    for number in range(settings.candidates):
        asked = [Asked(row, fitting[row][number]) for row in waiting if number < len(fitting[row])]
        room = settings.max_runs - len(found)
        if len(asked) > room:
            say(f"note: {settings.max_runs} runs are the limit; --set max_runs=N raises it")
        asked = asked[:room]
        found |= run_asked(asked, programs, scan.items, scan.targets, executor)
        passed = {pair.row for pair in asked if found[pair].state is RunState.PASSED}
        waiting = [row for row in waiting if row not in passed]
    return found


def _fitting(scan: Scan, row: int, program: Definitions) -> list[int]:
    """The row's nearest items whose tests call a function with as many arguments."""
    arities = program.functions.values()
    return [
        int(item)
        for item in scan.scored.items[row]
        if (target := scan.targets.get(int(item))) is not None
        and any(least <= target.num_arguments <= most for least, most in arities)
    ]


def _decided(
    scan: Scan, settings: LeakageSettings, evidence: Mapping[Asked, Evidence]
) -> Iterator[Found]:
    """Every row with a verdict; the item is the one that the evidence is strongest for."""
    row = 0
    by_row: dict[int, dict[int, Evidence]] = {}
    for pair, found in evidence.items():
        by_row.setdefault(pair.row, {})[pair.item] = found
    num_blocks = len(scan.first.hits[0].blocks) if scan.first.hits else 0
    for block in range(num_blocks):
        copied = copies(scan.shares, block, len(scan.items), settings)
        plain = {one.view.name: one.plain(block) for one in scan.compared}
        size = scan.first.hits[0].blocks[block].shape[0]
        for at in range(size):
            if found := _decide_row(scan, row, at, copied, by_row.get(row, {})):
                found.shares = _shares_of(scan, plain, at, found.item)
                if scan.cosines is not None:
                    own = plain[scan.cosines.view.name][at]
                    found.embedding = scan.cosines.nearest(own, found.item)
                yield found
            row += 1


def _decide_row(
    scan: Scan,
    row: int,
    at: int,
    copied: Mapping[str, np.ndarray],
    tried: Mapping[int, Evidence],
) -> Found | None:
    scored = scan.scored
    if scan.first.empty[row] or not scored.items.shape[1]:
        return None
    nearest = int(scored.items[row, 0])
    places = {int(i): p for p, i in reversed(list(enumerate(scored.items[row])))}
    same = {int(i) for hit in copied.values() for i in np.flatnonzero(hit[at])}
    passing = [i for i, found in tried.items() if found.state.value == "passed"]
    above = scored.threshold is not None and bool(scored.scores[row, 0] > scored.threshold)
    options = sorted(same, key=lambda i: places.get(i, 99)) + passing + [nearest] * above
    best: Found | None = None
    for item in dict.fromkeys(options):
        views = [name for name, hit in copied.items() if hit[at, item]]
        score = float(scored.scores[row, places[item]]) if item in places else None
        found = Found(row, item, score if score is not None and np.isfinite(score) else None, views)
        if item == nearest and scored.q is not None and scored.chances is not None:
            found.chance, found.q = float(scored.chances[row]), float(scored.q[row])
        target = scan.targets.get(item)
        decide(found, tried.get(item), scan.items[item], target, above=above and item == nearest)
        if found.verdict is not None and (best is None or _rank(found) < _rank(best)):
            best = found
    return best


def _rank(found: Found) -> tuple[int, int]:
    order = [LeakVerdict.LEAK, LeakVerdict.SUSPECT, LeakVerdict.COMMON, None]
    return order.index(found.verdict), -len(found.views)


def _shares_of(scan: Scan, plain: Mapping[str, np.ndarray], at: int, item: int) -> dict[str, float]:
    """The largest plain share of the item's references in each view."""
    found = {}
    for one in scan.compared:
        view = one.view
        mine = np.flatnonzero(view.owners == item)
        if len(mine):
            found[view.name] = round(float(plain[view.name][at, mine].max()), 3)
    return found


def _ledger(
    scan: Scan, rows: Sequence[Found], settings: LeakageSettings
) -> list[list[dict[str, Any]]]:
    """Spans of every decided row, in the order of `rows`."""
    wanted = {found.row: i for i, found in enumerate(rows)}
    spans: list[list[dict[str, Any]]] = [[] for _ in rows]

    def use(number: int, sample: Sample) -> None:
        found = rows[wanted[number]]
        if not found.behaviour:
            runs = program_of(sample) is not None and found.item in scan.targets
            found.behaviour = NOT_RUN if runs else RunState.NOT_EXECUTABLE.value
        for view in scan.views:
            spans[wanted[number]] += spans_of(sample, view, found.item)

    second_pass(settings.pool, set(wanted), use)
    return spans
