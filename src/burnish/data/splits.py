"""Training, development and held-out tasks: disjoint by content, and stable as the pool grows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from burnish.base.errors import InputError, SettingError
from burnish.base.rng import derive_seed
from burnish.contracts.task import Task
from burnish.data.canonical import content_key


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Three sets of tasks that share no content. Held-out tasks are read twice: before, after."""

    train: tuple[Task, ...]
    dev: tuple[Task, ...]
    heldout: tuple[Task, ...]


def split_tasks(tasks: Sequence[Task], *, train: int, dev: int, heldout: int, seed: int) -> Splits:
    """Return disjoint splits of exactly these sizes, each with the pool's shares of groups.

    Of tasks with equal `content_key` the first is used. Each task has a fixed place, the hash of
    `seed` and its content, which does not depend on the pool. In each group held-out takes the
    lowest places, training the highest, development those just below training. So while the
    group's number of tasks in each split stays, a growing pool never moves a task between
    held-out and the others (it may leave the splits, or move from training to development).
    The order within a split is that of the places.
    Raises: InputError, where the pool is too small; SettingError, for a negative size.
    Source: ours.
    Oracle: tests/data/test_splits.py::test_splits_are_disjoint_sized_and_stratified
    """
    sizes = {"heldout": heldout, "train": train, "dev": dev}  # in the order they are chosen
    distinct = {content_key(task): task for task in reversed(tasks)}
    _check_sizes(sizes, len(distinct))
    places = {key: derive_seed(seed, "split", key) for key in distinct}
    free: dict[str, list[str]] = defaultdict(list)
    for key in sorted(distinct, key=places.__getitem__):
        free[distinct[key].group].append(key)
    chosen = {}
    for name, size in sizes.items():
        keys = _take(free, size, lowest=name == "heldout")
        chosen[name] = tuple(distinct[key] for key in sorted(keys, key=places.__getitem__))
    return Splits(**chosen)


def check_disjoint(splits: Splits) -> None:
    """Raise InputError if two splits share content; the message shows a shared prompt.

    Source: ours. Oracle: tests/data/test_splits.py::test_planted_random_split_of_duplicates
    """
    keys = {
        name: {content_key(task): task.prompt for task in getattr(splits, name)}
        for name in ("train", "dev", "heldout")
    }
    for a, b in combinations(keys, 2):
        shared = keys[a].keys() & keys[b].keys()
        if shared:
            rule = f"must not share tasks ({len(shared)} shared)"
            example = keys[a][min(shared)]
            remedy = "Split the tasks with burnish.data.splits.split_tasks"
            raise InputError(f"{a} and {b}", example, rule, remedy=remedy)


def check_pool(tasks: Sequence[Task], *, train: int, dev: int, heldout: int) -> None:
    """Raise as `split_tasks` does where a pool is too small for splits of these sizes."""
    sizes = {"heldout": heldout, "train": train, "dev": dev}
    _check_sizes(sizes, len({content_key(task) for task in tasks}))


def fitting_sizes(sizes: Mapping[str, int], num_distinct: int) -> dict[str, int] | None:
    """Sizes in about the same proportions that a pool can fill; None where it is far too small.

    Every split that was asked for keeps a task, held-out two, without which there is no interval.
    Source: ours. Oracle: tests/data/test_splits.py::test_splits_that_fit_are_offered
    """
    least = {name: min(size, 2 if name == "heldout" else 1) for name, size in sizes.items()}
    if num_distinct < sum(least.values()):
        return None
    spare = num_distinct - sum(least.values())
    wanted = {name: size - least[name] for name, size in sizes.items()}
    total = max(sum(wanted.values()), 1)
    return {name: least[name] + spare * more // total for name, more in wanted.items()}


def _check_sizes(sizes: Mapping[str, int], num_distinct: int) -> None:
    for name, size in sizes.items():
        if size < 0:
            raise SettingError(name, size, "must not be negative", remedy="0 leaves it empty")
    if num_distinct < sum(sizes.values()):
        needed = " + ".join(f"{size} {name}" for name, size in sizes.items())
        rule = f"must contain {sum(sizes.values())} tasks of distinct content ({needed})"
        remedy = "Add tasks, or ask for smaller splits"
        if fitting := fitting_sizes(sizes, num_distinct):
            words = " ".join(f"--set split.{name}={size}" for name, size in fitting.items())
            remedy += f" ({words})"
        raise InputError("task pool", num_distinct, rule, remedy=remedy)


def _take(free: dict[str, list[str]], size: int, *, lowest: bool) -> list[str]:
    """Remove `size` keys from one end of the groups' lists, and return them."""
    taken = []
    quotas = _quotas({group: len(keys) for group, keys in free.items()}, size)
    for group, quota in quotas.items():
        keys = free[group]
        cut = quota if lowest else len(keys) - quota
        low, high = keys[:cut], keys[cut:]
        taken += low if lowest else high
        free[group] = high if lowest else low
    return taken


def _quotas(counts: Mapping[str, int], size: int) -> dict[str, int]:
    """Share `size` out in proportion to `counts`, by largest remainders; exact integers."""
    total = sum(counts.values())
    if total == 0:
        return dict.fromkeys(counts, 0)
    quotas = {group: size * count // total for group, count in counts.items()}
    by_remainder = sorted(counts, key=lambda group: (-(size * counts[group] % total), group))
    for group in by_remainder[: size - sum(quotas.values())]:
        quotas[group] += 1
    return quotas
