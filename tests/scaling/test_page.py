"""What pages say."""

from burnish.scaling.page import ends_text, percent


def test_words_for_what_is_not_known():
    assert percent(None) == "none" and percent(0.0123) == "1.2%"
    told = {"intervals": {"a": [0.1, 0.2]}, "confidence": 0.9}
    assert ends_text(told, "b") == "no interval"
    assert ends_text(told, "a") == "90% interval 0.1 to 0.2"
