"""Making tasks: ids by content, the default checker, no checker that is not there."""

import pytest

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.records import content_hash
from burnish.data import tasks as tasks_module
from burnish.data.tasks import distinct_tasks, make_task


def check_ids() -> None:
    """Prompt and answer decide; group, checker and metadata do not."""
    one = make_task("1 + 1", "2", group="a")
    assert one.id == content_hash({"prompt": "1 + 1", "answer": "2"})
    same = make_task("1 + 1", "2", group="b", checker="exact", metadata={"worked": "x"})
    assert same.id == one.id
    assert len({one.id, make_task("1 + 1", "3", group="a").id, make_task("2", "2", group="a").id,
                make_task("2", "1 + 1", group="a").id}) == 4  # fmt: skip


def test_ids_are_hashes_of_the_content() -> None:
    check_ids()


def test_planted_id_of_the_prompt_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_module, "content_hash", lambda row: content_hash(row["prompt"]))
    with pytest.raises(AssertionError):
        check_ids()


@pytest.mark.parametrize(
    ("answer", "checker"),
    [("42", "number"), ("-3.5", "number"), ("1,000", "number"), ("four", "exact"), ("", "exact"),
     ("4 apples", "exact"), ("x = 4", "exact")],
)  # fmt: skip
def test_the_default_checker(answer: str, checker: str) -> None:
    assert make_task("p", answer, group="g").checker == checker


def test_a_named_checker_is_kept_and_must_exist() -> None:
    assert make_task("p", "4", group="g", checker="exact").checker == "exact"
    assert make_task("p", "4", group="g").metadata == {}
    with pytest.raises(UnknownNameError, match="number"):
        make_task("p", "4", group="g", checker="numbr")
    with pytest.raises(SettingError):
        make_task("p", "4", group="g", checker="exact:ignore_cas=true")


def test_the_first_of_equal_tasks_is_kept_in_its_place() -> None:
    a, b, c = (make_task(prompt, "1", group="g") for prompt in "abc")
    again = make_task("a", "1", group="later")
    found = distinct_tasks([a, b, again, c, b])
    assert [(task.prompt, task.group) for task in found] == [("a", "g"), ("b", "g"), ("c", "g")]
    assert distinct_tasks([]) == []
