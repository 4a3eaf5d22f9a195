"""Tasks that are unlike those that were trained on: one more digit, one more term."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from burnish.base.rng import stream
from burnish.contracts.task import Task
from burnish.data.sources import load_tasks

AUTO = "auto"
STEPS = "steps"
SPANS = (("min_terms", "max_terms"), ("min_digits", "max_digits"))  # the first that varies grows


def shifted_specs(tasks: Sequence[str], wanted: Sequence[str], num: int) -> tuple[str, ...]:
    """The sources of `num` shifted tasks in all: the wanted ones, or made from those of training.

    Source: ours. Oracle: tests/recipes/test_shifting.py::test_specs_by_hand
    """
    if not num:
        return ()
    if tuple(wanted) != (AUTO,):
        return tuple(wanted)
    made = [spec for one in tasks if (spec := _shifted(one))]
    share = -(-num // max(1, len(made)))
    return tuple(f"{spec}&size={share}" for spec in dict.fromkeys(made))


def _shifted(spec: str) -> str:
    """A source one step harder in one respect, without its size; "" where none is known."""
    name, mark, query = spec.partition("?")
    options = {key: value for key, value in parse_qsl(query) if key != "size"}
    if name.startswith("chain:"):
        options[STEPS] = str(int(options.get(STEPS, "5")) + 1)
    elif name.startswith("reasoning-gym:"):
        known = [span for span in SPANS if all(options.get(end, "").isdecimal() for end in span)]
        if not known:
            return ""
        varied = [span for span in known if options[span[0]] != options[span[1]]]
        low, high = (varied or known[-1:])[0]
        options[low] = options[high] = str(int(options[high]) + 1)
    else:
        return ""
    return f"{name}{mark or '?'}" + "&".join(f"{key}={value}" for key, value in options.items())


def draw_shifted(specs: Sequence[str], known: Sequence[Task], num: int, *, seed: int) -> list[Task]:
    """At most `num` tasks of these sources, an equal share of each, none of them known already.

    Source: ours. Oracle: tests/recipes/test_shifting.py::test_known_tasks_are_left_out
    """
    taken, found = {task.id for task in known}, list[Task]()
    for place, spec in enumerate(specs):
        own = [task for task in load_tasks(spec, seed=seed) if task.id not in taken]
        share = -(-(num - len(found)) // (len(specs) - place))
        order = stream(seed, "shifted", place).permutation(len(own))[:share]
        found += [own[at] for at in sorted(order)]
        taken |= {task.id for task in found}
    return found
