"""Counts add up over stages and survive a round trip."""

import pytest

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.meter import KINDS, Meter


def test_counts_add_up_by_stage_and_in_total():
    sample, judge = Meter("sample"), Meter("judge")
    sample.add("generated", 5)
    sample.add("generated", 7)
    sample.add("passes", 3)
    judge.add("generated", 11)
    sample.merge(judge)
    assert sample.to_dict() == {
        "sample": {"generated": 12, "passes": 3},
        "judge": {"generated": 11},
    }
    assert sample.totals() == dict.fromkeys(KINDS, 0) | {"generated": 23, "passes": 3}
    assert judge.totals()["generated"] == 11


def test_a_meter_is_rebuilt_from_its_counts():
    meter = Meter("score")
    meter.add("scored", 13)
    again = Meter.from_dict(meter.to_dict())
    assert again.to_dict() == meter.to_dict()


def test_a_meter_may_be_merged_with_itself():
    meter = Meter("a")
    meter.add("passes", 2)
    meter.merge(meter)
    assert meter.totals()["passes"] == 4


def test_unknown_kinds_and_negative_counts_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'generated'") as told:
        Meter().add("generatd", 1)
    assert str(told.value).startswith("meter kind is not counted, got 'generatd'")
    with pytest.raises(SettingError):
        Meter().add("passes", -1)
