"""Chains of sums: verified line by line, with errors planted at known lines."""

import numpy as np
import pytest

from burnish.base.errors import InputError, SettingError
from burnish.data import chains
from burnish.data.chains import (
    KINDS,
    Chain,
    chain_of,
    chain_task,
    draw_chain,
    plant,
    verify,
    worked,
)
from burnish.data.sources import load_tasks
from burnish.data.sources.chain import ChainSource


def drawn(num, steps=5, labels=False):
    rng = np.random.default_rng(0)
    return [draw_chain(rng, num_steps=steps, low=1, high=100, labels=labels) for _ in range(num)]


def check_planted(labels=False):
    rng = np.random.default_rng(1)
    for chain in drawn(40, labels=labels):
        assert verify(chain, worked(chain.steps())).right
        for at in range(5):
            for kind in KINDS:
                text = worked(plant(chain, at, kind, rng))
                found = verify(chain, text)
                if found.right:  # two moves that undo each other may be skipped unseen
                    assert kind == "skipped" and not labels
                    continue
                assert found.first_error == at and not found.right, (text, kind)
                values = [line.partition("=")[0] for line in text.split("\n")[:-1]]
                followed = [line.rpartition("=")[2] for line in text.split("\n")[:-1]]
                for later in range(at + 1, len(values)):  # consequences are computed again
                    assert values[later].startswith(followed[later - 1])


@pytest.mark.parametrize("labels", [False, True])
def test_planted_errors_are_found_where_they_are(labels):
    check_planted(labels)


def test_lines_repeat_the_labels_of_their_moves():
    chain = Chain(start=17, moves=(("+", 25), ("-", 9)), labels=True)
    assert chain.prompt == "17a+25b-9="
    assert worked(chain.steps()) == "17a+25=42\n42b-9=33\n#### 33"
    assert verify(chain, "17 a + 25 = 42\n42 b - 9 = 33\n#### 33").right


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        ("17+25=42", "form"),  # no label
        ("17A+25=42", "form"),
        ("17ab+25=42", "form"),
        ("17b+25=42", "label"),  # the right move under the label of another
        ("17c+25=42", "label"),
        ("17b-9=8", "skipped"),
        ("17a-9=8", "operand"),  # the next move under the label of this one
        ("17a-25=-8", "sign"),
        ("16a+25=41", "copy"),
        ("17a+25=43", "calculation"),
    ],
)
def test_a_label_is_verified_with_its_line(first, kind):
    chain = Chain(start=17, moves=(("+", 25), ("-", 9)), labels=True)
    found = verify(chain, f"{first}\n42b-9=33\n#### 33")
    assert (found.first_error, found.kind, found.right) == (0, kind, False)


def test_a_label_where_there_are_none_is_no_step():
    chain = Chain(start=17, moves=(("+", 25),))
    assert verify(chain, "17a+25=42\n#### 42").kind == "form"


def test_planted_verifier_that_looks_at_results_only(monkeypatch):
    monkeypatch.setattr(chains, "_wrong", lambda chain, step, index, value: "")
    with pytest.raises(AssertionError):
        check_planted()


def test_results_equal_pythons_own():
    for chain in drawn(20):
        assert chain.result == eval(chain.prompt.rstrip("="))  # our own text


def test_a_task_survives_its_metadata():
    for chain in (drawn(1)[0], drawn(1, labels=True)[0]):
        task = chain_task(chain)
        assert chain_of(task) == chain and task.answer == str(chain.result)
    bad = type(task)(**{**vars(task), "metadata": {"chain": {"start": "x"}}})
    with pytest.raises(InputError, match="must contain start and moves"):
        chain_of(bad)


@pytest.mark.parametrize("text", ["", "17+25", "1+1=3\n#### x", "a\nb\n#### 3"])
def test_what_is_no_answer_is_wrong(text):
    assert not verify(drawn(1)[0], text).right


def test_numbers_of_a_chain_may_be_distinct():
    for task in load_tasks("chain:sums?size=40&steps=5&low=1&high=7&distinct=1", seed=2):
        chain = chain_of(task)
        assert sorted([chain.start, *(number for _, number in chain.moves)]) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(SettingError, match="high must be above 6"):
        load_tasks("chain:sums?size=4&steps=5&low=1&high=6&distinct=1", seed=2)
    with pytest.raises(SettingError, match="distinct must be 0 or 1"):
        load_tasks("chain:sums?distinct=2", seed=2)


def test_labels_come_with_the_source():
    tasks = load_tasks("chain:sums?size=5&steps=3&labels=1", seed=2)
    assert all(chain_of(task).labels for task in tasks)
    with pytest.raises(SettingError, match="steps must be at most 26 where moves have labels"):
        load_tasks("chain:sums?steps=27&labels=1", seed=2)
    with pytest.raises(SettingError, match="labels must be 0 or 1"):
        load_tasks("chain:sums?labels=2", seed=2)


def test_the_source_makes_distinct_tasks():
    tasks = load_tasks("chain:sums?size=30&steps=4", seed=1)
    assert len({task.id for task in tasks}) == 30
    assert all(len(chain_of(task).moves) == 4 for task in tasks)
    assert tasks == load_tasks("chain:sums?size=30&steps=4", seed=1)
    with pytest.raises(SettingError):
        load_tasks("chain:sums?colour=3", seed=1)
    with pytest.raises(SettingError):
        load_tasks("chain:products", seed=1)


def test_a_range_of_one_number_is_refused():
    assert ChainSource(low=5, high=6).load(0)
    with pytest.raises(SettingError, match="high must be above low"):
        ChainSource(low=5, high=5)
