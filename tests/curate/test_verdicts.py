"""The verdict as a table of what is known of a row."""

import pytest
from fixtures.curating import GCD, ODD

from burnish.contracts.executor import RunState
from burnish.curate import verdicts
from burnish.curate.behaviour import Evidence
from burnish.curate.programs import target_of
from burnish.curate.verdicts import Found, LeakVerdict, counts, decide

PASSED, FAILED = RunState.PASSED, RunState.FAILED
NOT = RunState.NOT_EXECUTABLE
TABLE = [  # item, views of copies, above the threshold, q, behaviour, verdict
    (ODD, ["characters"], False, None, None, LeakVerdict.LEAK),
    (ODD, ["translation"], False, None, NOT, LeakVerdict.LEAK),
    (ODD, [], True, 0.001, None, LeakVerdict.LEAK),
    (ODD, [], True, 0.5, None, LeakVerdict.SUSPECT),
    (ODD, [], True, 0.5, FAILED, LeakVerdict.SUSPECT),
    (ODD, [], True, 0.5, NOT, LeakVerdict.SUSPECT),
    (ODD, [], True, 0.5, PASSED, LeakVerdict.LEAK),
    (ODD, [], False, 0.9, PASSED, LeakVerdict.LEAK),
    (ODD, [], False, 0.9, FAILED, None),
    (ODD, [], False, 0.9, NOT, None),
    (GCD, [], False, 0.9, PASSED, LeakVerdict.COMMON),
    (GCD, [], True, 0.5, PASSED, LeakVerdict.SUSPECT),
    (GCD, [], True, 0.001, PASSED, LeakVerdict.LEAK),
    (GCD, ["code"], False, None, None, LeakVerdict.SUSPECT),
    (GCD, ["characters", "code"], False, None, None, LeakVerdict.LEAK),
]


def check_table():
    for item, views, above, q, state, wanted in TABLE:
        found = Found(0, 0, 1.0, list(views), q=q)
        evidence = None if state is None else Evidence(state)
        decide(found, evidence, item, target_of(item), above=above)
        assert found.verdict == wanted, (item.id, views, above, q, state)


def test_truth_table():
    check_table()


def test_planted_textbook_functions_as_leaks(monkeypatch):
    monkeypatch.setattr(verdicts, "is_common", lambda item, target: False)
    with pytest.raises(AssertionError):
        check_table()


def test_counts():
    rows = [{"verdict": "leak"}, {"verdict": "leak"}, {"verdict": "suspect"}]
    assert counts(rows) == {"leak": 2, "suspect": 1, "common_knowledge": 0}
