"""What all steps told, as one result and one page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from burnish.base.meter import Meter
from burnish.base.provenance import command_line
from burnish.contracts.page import Block, Page, Table
from burnish.contracts.step import SECTIONS, Told
from burnish.jobs.runner import Done
from burnish.jobs.step import METERED

COST_TITLE = "Cost"
PLAN_TITLE = "What was planned"
METERED_AS = {"generated": "generated_tokens", "prefilled": "prefilled_tokens",
              "trained_on": "trained_tokens"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a job says of itself: the page's title, and entries at the head of the result.

    A `plan` among the numbers' `cost` is set beside what the steps took.
    """

    title: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def stage_costs(done: Sequence[Done]) -> dict[str, Any]:
    """Seconds by stage, and every kind of token that was metered."""
    stages = [one.stage for one in done if one.stage is not None]
    meter = Meter()
    for stage in stages:
        meter.merge(Meter.from_dict(stage.output.get(METERED, {})))
    seconds = {stage.name: stage.seconds for stage in stages}
    return {
        "actual_minutes": round(sum(seconds.values()) / 60, 2),
        "peak_memory_bytes": max((stage.peak_memory_bytes for stage in stages), default=0),
        "stage_seconds": seconds,
        "metered": meter.totals(),
    }


def make_result(
    what: str, header: Header, done: Sequence[Done], *, info: Mapping[str, Any]
) -> dict[str, Any]:
    """What `result.json` holds, but for where the run and its model lie.

    Between reruns only times vary: `cost`, and the seconds of `claims`.
    Source: ours.
    Oracle: tests/jobs/test_job.py::test_a_step_in_one_file_reaches_plan_result_and_page
    """
    told = in_sections([one for part in done for one in part.tell()])
    result: dict[str, Any] = {"what": what, "cost": stage_costs(done)}
    for numbers in (header.numbers, *(one.numbers for one in told)):
        merge(result, numbers)
    gates = [asdict(gate) for one in told for gate in one.gates]
    claims = [asdict(claim) for one in told for claim in one.claims]
    if gates:
        result["gates"] = gates
    if claims:
        result["claims"] = claims
    return result | {"page": asdict(make_page(header, told, result, info=info))}


def make_page(
    header: Header, told: Sequence[Told], result: Mapping[str, Any], *, info: Mapping[str, Any]
) -> Page:
    """Verdict first, then tiles, gates, blocks by section, costs, provenance."""
    verdicts = [one.verdict for one in told if one.verdict is not None]
    sentence, good = verdicts[0] if verdicts else ("The job is complete.", "measured")
    blocks = joined_tables([block for one in told for block in one.blocks])
    before_notes = sum(len(one.blocks) for one in told if one.section != "notes")
    num_notes = sum(len(one.blocks) for one in told) - before_notes
    place = len(blocks) - num_notes
    kept = ("created", "key", "git", "code_hash", "host", "versions", "seed")
    return Page(
        title=header.title,
        verdict=sentence,
        good=good,
        headline=[*(tile for one in told for tile in one.headline), *time_tile(result["cost"])],
        gates=result.get("gates", ()),
        blocks=[*blocks[:place], *cost_tables(result["cost"]), *blocks[place:]],
        command=command_line(info.get("command") or ()),
        provenance={name: info[name] for name in kept if name in info} | dict(header.provenance),
    )


def in_sections(told: Sequence[Told]) -> list[Told]:
    """By section; within one as they came."""
    return sorted(told, key=lambda one: SECTIONS.index(one.section))


def joined_tables(blocks: Sequence[Block]) -> list[Block]:
    """Tables with one title become one, at the first one's place; its caption is the last given."""
    found: list[Block] = []
    places: dict[str, int] = {}
    for block in blocks:
        if not isinstance(block, Table):
            found.append(block)
        elif block.title not in places:
            places[block.title] = len(found)
            found.append(block)
        else:
            at = places[block.title]
            first = cast("Table", found[at])
            rows, caption = [*first.rows, *block.rows], block.caption or first.caption
            found[at] = replace(first, rows=rows, caption=caption)
    return found


def cost_table(cost: Mapping[str, Any]) -> Table:
    """Seconds by stage, beside what was planned if it was."""
    rows: list[list[Any]] = [[name, seconds] for name, seconds in cost["stage_seconds"].items()]
    rows.append(["all stages", sum(cost["stage_seconds"].values())])
    plan = cost.get("plan")
    if plan is not None:
        rows.append(["planned", 60 * plan["minutes"]])
    return Table(
        title="Plan and actual" if plan is not None else COST_TITLE,
        columns=["stage", "seconds"],
        rows=rows,
        caption="An interrupted stage counts its last attempt only.",
    )


def cost_tables(cost: Mapping[str, Any]) -> list[Table]:
    """Seconds by stage; and, of a plan that foresaw more than minutes, that beside what it took."""
    plan, taken = cost.get("plan", {}), cost["metered"]
    if not set(METERED_AS.values()) <= set(plan):
        return [cost_table(cost)]
    rows: list[list[Any]] = [["minutes", plan["minutes"], cost["actual_minutes"]]]
    sizes = (plan["memory_bytes"] / 1e9, cost.get("peak_memory_bytes", 0) / 1e9)
    rows.append(["memory, GB", *(round(size, 2) for size in sizes)])
    rows += [[f"tokens {kind.replace('_', ' ')}", plan[name], taken[kind]]
             for kind, name in METERED_AS.items()]  # fmt: skip
    caption = "Plans count rounds that may not be needed, and every task as hard."
    if "smallest_gain" in plan:
        caption += f" The smallest gain to be shown was planned as {plan['smallest_gain']:.3f}."
    columns = ["what", "planned", "taken"]
    return [cost_table(cost), Table(title=PLAN_TITLE, columns=columns, rows=rows, caption=caption)]


def time_tile(cost: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Minutes that the steps took beside those that were planned; none without a plan."""
    if "plan" not in cost:
        return []
    taken, planned = f"{cost['actual_minutes']:.1f} min", f"{cost['plan']['minutes']:.1f} min"
    return [("Time", taken, f"planned {planned}")]


def merge(target: dict[str, Any], numbers: Mapping[str, Any]) -> None:
    """Put nested numbers into nested numbers; a list is continued, any other value replaced."""
    for name, value in numbers.items():
        old = target.get(name)
        if isinstance(old, dict) and isinstance(value, Mapping):
            merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            target[name] = old + value
        else:
            target[name] = dict(value) if isinstance(value, Mapping) else value
