"""What pages say."""

from burnish.scaling.page import ends_text, percent, plan_against_actual


def test_plan_stands_beside_actual():
    plan = {"n": 1e6, "d_tokens": 2e7, "loss": 3.5, "loss_low": 3.4, "loss_high": 3.6}
    table = plan_against_actual(plan, {"n": 1.1e6, "d_tokens": 2e7, "loss": 3.7})
    rows = {row[0]: row[1:] for row in table.rows}
    assert [round(x, 6) for x in rows["n"]] == [1e6, 1.1e6, 10.0]
    assert rows["lr"] == [None, None, None] and "outside" in table.caption
    inside = plan_against_actual(plan, {"loss": 3.45})
    assert "inside" in inside.caption
    assert plan_against_actual({"n": 1.0}, {"loss": 3.0}).caption == ""


def test_words_for_what_is_not_known():
    assert percent(None) == "none" and percent(0.0123) == "1.2%"
    told = {"intervals": {"a": [0.1, 0.2]}, "confidence": 0.9}
    assert ends_text(told, "b") == "no interval"
    assert ends_text(told, "a") == "90% interval 0.1 to 0.2"
