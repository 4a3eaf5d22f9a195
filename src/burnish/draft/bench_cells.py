"""Drafters and plain decoding in turns on the same prompts; every cell is kept."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.items import ItemLog, Keep, finish_items
from burnish.base.records import content_hash, read_records
from burnish.base.rng import stream
from burnish.base.stats import Estimate, bootstrap, wilson
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.data.chat import render_prompt
from burnish.draft.cost import PLAIN
from burnish.draft.distil import read_prompts
from burnish.draft.loop import generate_drafted, make_ready
from burnish.engine.generate import generate
from burnish.models.load import Model

PREFILL = "prefill"
ARMS: Mapping[str, str] = {
    "ngram": "ngram",
    "medusa": "medusa",
    "firp": "firp",
    "firp+ngram": "firp:ngram=6",
}
# ten prompts each: Spec-Bench counts them as one task
MT_BENCH = (
    "writing",
    "roleplay",
    "reasoning",
    "math",
    "coding",
    "extraction",
    "stem",
    "humanities",
)

Arm = Callable[[Request], Completion]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One prompt decoded by one arm: its text, seconds and passes."""

    prompt: str
    arm: str
    repeat: int
    tokens: str  # hash of the ids
    num_tokens: int
    num_passes: int
    seconds: float
    load: float


def stratified(path: Path, limit: int) -> list[str]:
    """`limit` prompts (0: all) with equal shares of the file's categories, in a fixed order."""
    prompts, rows = read_prompts(path), read_records(path)
    groups: dict[str, list[str]] = {}
    for prompt, row in zip(prompts, rows, strict=True):
        name = str(row.get("category", ""))
        groups.setdefault("mt_bench" if name in MT_BENCH else name, []).append(prompt)
    for name, group in groups.items():
        stream(0, "draft", "bench", name).shuffle(group)
    order = [
        group[i] for i in range(max(map(len, groups.values()))) for group in groups.values()
        if i < len(group)
    ]  # fmt: skip
    return order[: limit or None]


def requests_for(model: Model, prompts: Sequence[str], sampling: Sampling) -> list[Request]:
    """Prompts under the chat template. Raises InputError where one leaves no room."""
    found = []
    for prompt in prompts:
        tokens = tuple(render_prompt(model.tokenizer, prompt))
        if len(tokens) + sampling.max_new_tokens > model.max_position:
            rule = f"must leave room for {sampling.max_new_tokens} tokens"
            raise InputError("prompt", prompt[:60], rule, remedy="Leave it out of the file")
        found.append(Request(id=content_hash(prompt)[:16], prompt=tokens, sampling=sampling))
    return found


def make_arms(model: Model, specs: Mapping[str, str]) -> dict[str, Arm]:
    """Plain decoding, its prefill alone, and each drafter, one text at a time; maps load once."""

    def plain(request: Request) -> Completion:
        return generate(model, [request], batch_size=1)[0]

    def prefill(request: Request) -> Completion:
        return plain(replace(request, sampling=replace(request.sampling, max_new_tokens=1)))

    arms: dict[str, Arm] = {PLAIN: plain, PREFILL: prefill}
    for name, spec in specs.items():
        ready = make_ready(spec, model)
        arms[name] = lambda request, ready=ready: generate_drafted(
            model, [request], drafter=ready, batch_size=1
        )[0]
    return arms


def measure_cells(
    arms: Mapping[str, Arm],
    requests: Sequence[Request],
    log_path: Path,
    *,
    repeats: int = 1,
    enough: Callable[[], bool] = lambda: False,
) -> list[Cell]:
    """Measure every arm on every prompt, in turns; cells in the log are not measured again.

    Every arm runs the first prompt once before anything counts. `enough` is asked before each
    prompt; where it says so, the prompts that are left stay unmeasured. Cells come back
    in the order of the turns.
    Source: ours. Oracle: tests/draft/test_bench_cells.py::test_measured_cells_are_kept
    """
    names, by_id = list(arms), {request.id: request for request in requests}
    turns = [
        (request.id, name, repeat)
        for index, request in enumerate(requests)
        for repeat in range(repeats)
        for turn in [(index + repeat) % len(names)]
        for name in names[turn:] + names[:turn]
    ]

    def work(missing: list[tuple[str, str, int]], keep: Keep) -> None:
        warm, begun = False, None
        for prompt, name, repeat in missing:
            if prompt != begun and enough():
                return
            begun = prompt
            if not warm:
                [arm(by_id[prompt]) for arm in arms.values()]
            warm = True
            keep(vars(_measure(name, arms[name], by_id[prompt], repeat)))

    log = ItemLog(log_path, fields=("prompt", "arm", "repeat"))
    rows = finish_items(log, turns, work, label="bench", unit="cell", partial=True)
    return [Cell(**row) for row in rows]


def _measure(name: str, arm: Arm, request: Request, repeat: int) -> Cell:
    started = time.perf_counter()
    found = arm(request)
    return Cell(
        prompt=request.id,
        arm=name,
        repeat=repeat,
        tokens=content_hash(list(found.tokens)),
        num_tokens=len(found.tokens),
        num_passes=found.num_passes,
        seconds=time.perf_counter() - started,
        load=os.getloadavg()[0],
    )


def summarise(
    cells: Sequence[Cell], base: str = PLAIN, prefill: str = PREFILL
) -> dict[str, dict[str, Any]]:
    """For each arm `identical`, `tokens_per_step`, `speedup`, `tokens_per_s`, with intervals.

    Rates are total tokens over total seconds, prefill included; a prompt's time is the median of
    its repeats. `tokens_per_step` leaves out the prefill and its token. `speedup` is total time
    of the base over total time of the arm, per token; `decode_speedup` is the same after each
    prompt's prefill, where an arm measured that. Intervals draw prompts again.
    Source: ours. Oracle: tests/draft/test_bench_cells.py::test_planted_speed_is_found
    """
    table: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        table.setdefault(cell.arm, {}).setdefault(cell.prompt, []).append(cell)
    shared = set.intersection(*(set(by_prompt) for by_prompt in table.values()))
    prompts = sorted(shared)
    columns = {arm: _columns(by_prompt, prompts) for arm, by_prompt in table.items()}
    plain, read = columns[base], columns.pop(prefill, None)
    found = {}
    for arm, own in columns.items():
        same = sum(a == b for a, b in zip(own["texts"], plain["texts"], strict=True))
        per_token = own["seconds"] / own["tokens"], plain["seconds"] / plain["tokens"]
        weights = plain["tokens"]
        found[arm] = {
            "identical": wilson(same, len(prompts)).to_dict(),
            "tokens_per_step": _ratio(own["steps_tokens"], own["steps"]).to_dict(),
            "speedup": _ratio(per_token[1] * weights, per_token[0] * weights).to_dict(),
            "tokens_per_s": _ratio(own["tokens"], own["seconds"]).to_dict(),
        }
        if read is not None:
            times = [part["seconds"] - read["seconds"] for part in (plain, own)]
            found[arm]["decode_speedup"] = _ratio(*times).to_dict()
    return found


def _columns(by_prompt: Mapping[str, list[Cell]], prompts: Sequence[str]) -> dict[str, Any]:
    cells = [by_prompt[prompt] for prompt in prompts]
    first = [some[0] for some in cells]
    return {
        "texts": [one.tokens for one in first],
        "tokens": np.array([max(one.num_tokens, 1) for one in first], dtype=float),
        "seconds": np.array([np.median([one.seconds for one in some]) for some in cells]),
        "steps": np.array([max(one.num_passes - 1, 0) for one in first], dtype=float),
        "steps_tokens": np.array([max(one.num_tokens - 1, 0) for one in first], dtype=float),
    }


def _ratio(above: np.ndarray, below: np.ndarray) -> Estimate:
    """Sum over sum, with a bootstrap over prompts."""
    if len(above) < 2:
        value = float(above.sum() / below.sum())
        return Estimate(value=value, low=value, high=value, n=len(above))

    def statistic(prompts: np.ndarray) -> float:
        chosen = prompts.astype(int)
        return float(above[chosen].sum() / max(below[chosen].sum(), 1e-12))

    rng = stream(0, "draft", "bench", "interval")
    return bootstrap(np.arange(len(above)), rng=rng, statistic=statistic, num_resamples=2000)
