"""The token between prefix and repetition: the tokenizer's own, never a number out of a paper."""

from typing import Any

from burnish.base.errors import SettingError

NEWLINE = "\n"


def separator_id(tokenizer: Any, spec: str = "auto") -> int:
    """The one separator token: `auto`, `bos`, `eos`, `newline`, or any text that is one token.

    `auto` is the beginning-of-text token, else the end-of-text token, else a newline.
    Source: the paper separates with BOS. Departure: released code writes ids 1 and 2 whatever the
    tokenizer; here they are read from it.
    Raises SettingError for a token that the tokenizer lacks, or text of several tokens.
    Oracle: tests/recall/test_material.py::test_separators_of_the_tokenizer
    """
    own = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id}
    if spec == "auto":
        found = [token for token in own.values() if token is not None]
        return found[0] if found else separator_id(tokenizer, "newline")
    if spec in own:
        if own[spec] is None:
            rule, remedy = "is not in this tokenizer", "Use auto, newline or a token's text"
            raise SettingError("separator", spec, rule, remedy=remedy)
        return own[spec]
    text = NEWLINE if spec == "newline" else spec
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        rule = f"must be one token, is {len(ids)}"
        raise SettingError("separator", spec, rule, remedy="Use auto, bos, eos or newline")
    return ids[0]
