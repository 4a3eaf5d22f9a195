"""Tasks from files and from reasoning-gym."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from burnish.base.errors import InputError, MissingFileError, SettingError, UnknownNameError
from burnish.base.records import write_records
from burnish.contracts.task import Verdict
from burnish.data.checkers import judge
from burnish.data.gym import datasets
from burnish.data.sources import load_tasks, parse_source, sources

GSM8K = Path(__file__).parents[2].parent / "shared/data/gsm8k/train.jsonl"
ONE_DIGIT = "chain_sum?min_terms=2&max_terms=2&min_digits=1&max_digits=1"
ROWS = [
    {"prompt": "2 + 2?", "answer": 4},
    {"prompt": "Capital of France?", "answer": "Paris", "checker": "exact:ignore_case=true"},
    {"prompt": "A or B?", "answer": "B", "checker": "choice", "metadata": {"choices": ["A", "B"]}},
    {"prompt": "3 + 3?", "answer": "6", "group": "sums"},
    {"prompt": "2 + 2?", "answer": "4"},
]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "json", "parquet"])
def test_rows_become_tasks(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    keys = ("prompt", "answer", "checker", "group", "metadata")
    columns = [{key: row.get(key) for key in keys} | {"answer": str(row["answer"])} for row in ROWS]
    write_records(path, columns if suffix == "parquet" else ROWS)
    tasks = {t.prompt: t for t in load_tasks(str(path), seed=0)}
    assert len(tasks) == 4
    assert [tasks[p].checker for p in sorted(tasks)] == [
        "number", "number", "choice", "exact:ignore_case=true",
    ]  # fmt: skip
    assert tasks["2 + 2?"].answer == "4" and tasks["2 + 2?"].group == "mine"
    assert tasks["3 + 3?"].group == "sums"
    assert judge("paris", tasks["Capital of France?"]).verdict == Verdict.RIGHT
    assert judge("(B)", tasks["A or B?"]).verdict == Verdict.RIGHT


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x"}, "answer must be a text or a number, got None"),
        ({"prompt": "x", "answer": " "}, "answer must be a text or a number, got ' '"),
        ({"prompt": "x", "answer": True}, "answer must be a text or a number, got True"),
        ({"answer": "5"}, r"prompt must be a text, got None.*the row has \['answer'\]"),
        ({"zeta": 1, "answer": "5"}, r"prompt must be a text.*the row has \['answer', 'zeta'\]"),
        ({"prompt": "x", "answer": "5", "checker": "numbr"}, "Did you mean 'number'"),
        ({"prompt": "x", "answer": "5", "checker": "exact:case=1"}, "no such field"),
        ({"prompt": "x", "answer": "5", "checker": 3}, "checker must be a string, got 3"),
        ({"prompt": "x", "answer": "5", "metadata": [1]}, "metadata must be an object"),
        ({"question": "x", "answer": "5"}, "must end in '####' and a number, got '5'"),
        ({"question": "x", "answer": None}, "must end in '####' and a number"),
    ],
)
def test_bad_rows_are_named_by_line(tmp_path, row, message):
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"prompt": "a", "answer": "1"}\n\n' + json.dumps(row) + "\n")
    with pytest.raises(InputError, match=rf"tasks\.jsonl:3: .*{message}"):
        load_tasks(str(path), seed=0)


def test_gsm8k_rows_are_recognised(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps({"question": "How many?", "answer": "4*270=1080\n#### 1,080"}))
    (task,) = load_tasks(str(path), seed=0)
    assert load_tasks(f"gsm8k:{path}", seed=5) == [task]
    assert (task.prompt, task.answer, task.group) == ("How many?", "1080", "gsm8k")


def test_every_gsm8k_reference_is_right_in_its_own_solution():
    if not GSM8K.exists():
        pytest.skip(f"needs the data file {GSM8K}")
    tasks = load_tasks(str(GSM8K), seed=0)
    assert len(tasks) == 7473
    assert Counter(judge(t.metadata["worked"], t).verdict for t in tasks) == {Verdict.RIGHT: 7473}
    shifted = itertools.pairwise(tasks)
    chance = sum(judge(b.metadata["worked"], a).verdict == Verdict.RIGHT for a, b in shifted)
    assert chance < 200  # a neighbour's solution is right only by coincidence


def check_sizes(load):
    space = load(f"reasoning-gym:{ONE_DIGIT}&size=500", seed=0)
    assert len({t.prompt for t in space}) == len(space) == 10 * 10 * 2  # a, b and the sign
    tasks = load(f"reasoning-gym:{ONE_DIGIT}&size=150", seed=1)
    assert len({t.prompt for t in tasks}) == len(tasks) == 150


def test_gym_size_counts_distinct_tasks():
    check_sizes(load_tasks)


def test_planted_draws_are_not_distinct():
    def plain(spec, *, seed):
        datasets()  # imports reasoning-gym without the warnings of what it needs
        from reasoning_gym import create_dataset

        source = parse_source(spec)
        options = {key: int(text) for key, text in source.options.items()}
        data = create_dataset(source.dataset, size=source.size, seed=seed, **options)
        return [source._task(entry) for entry in data]

    with pytest.raises(AssertionError):
        check_sizes(plain)


def test_gym_depends_on_the_seed_only():
    spec = "reasoning-gym:chain_sum?size=20"
    assert load_tasks(spec, seed=1) == load_tasks(spec, seed=1)
    ids = [{t.id for t in load_tasks(spec, seed=seed)} for seed in (1, 2, 3)]
    assert not ids[0] & ids[1] and not ids[1] & ids[2]
    assert load_tasks(spec, seed=1, limit=5) == load_tasks(spec, seed=1)[:5]


def test_gym_tasks_know_their_scorer():
    for task in load_tasks("reasoning-gym:chain_sum?size=20&max_digits=2", seed=3):
        assert task.metadata["entry"]["metadata"]["expression"] in task.prompt
        assert eval(task.metadata["entry"]["metadata"]["expression"]) == int(task.answer)
        json.dumps(task.metadata)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("nosuch.jsonl", MissingFileError, "must be a file or a source"),
        ("gsm8k:nosuch.jsonl", MissingFileError, "does not exist"),
        ("reasoning-gym", SettingError, "must say which"),
        ("gsm9k:x", UnknownNameError, "Did you mean 'gsm8k'"),
        ("reasoning-gym:chain_sum?size=0", SettingError, "size must be at least 1"),
        ("reasoning-gym:chain_sum?size=x", SettingError, "size must be a whole number"),
        ("reasoning-gym:chain_sum?size", SettingError, "options must be key=value"),
        ("reasoning-gym:chain_sum?size=1&size=2", SettingError, "each key once"),
        ("reasoning-gym:chain_sum?seed=1", SettingError, "Give --seed"),
    ],
)
def test_bad_specs_say_what_to_do(spec, error, message):
    with pytest.raises(error, match=message):
        load_tasks(spec, seed=0)


def test_empty_files_and_limits(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(InputError, match="at least one task"):
        load_tasks(str(tmp_path / "a.jsonl"), seed=0)
    with pytest.raises(SettingError, match="limit must be at least 1"):
        load_tasks(str(tmp_path / "a.jsonl"), seed=0, limit=0)


def test_every_source_is_rebuilt_from_its_fields():
    for name in sources.names():
        own = {"reasoning-gym": ONE_DIGIT, "chain": "sums?size=3"}
        source = sources.get(name).from_text(own.get(name, "x.jsonl"))
        fields = {key: getattr(source, key) for key in source.__dataclass_fields__}
        assert sources.build(name, **fields) == source
