"""Text that can be stored and tokenised: no half of a surrogate pair stands alone in it."""

# Values of any type are walked, so what is inside them is unknown.
# pyright: reportUnknownVariableType=false

from typing import Any

from burnish.base.errors import InputError


def is_well_formed(text: str) -> bool:
    """Whether `text` has a UTF-8 form."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def well_formed(value: Any) -> Any:
    """`value` with the replacement character for every lone surrogate, in all its texts.

    JSON files may hold them as escapes, and servers may send them; halves that belong together
    become the character that they mean.
    """
    if isinstance(value, str):
        if is_well_formed(value):
            return value
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {well_formed(key): well_formed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [well_formed(item) for item in value]
    return value


def checked_text(name: str, text: str | bytes) -> str:
    """A text that a user gave. Raises: InputError, where it is not valid UTF-8."""
    try:
        given = text if isinstance(text, str) else text.decode()
        given.encode()
    except UnicodeError as error:
        assert isinstance(error, UnicodeDecodeError | UnicodeEncodeError)
        got = error.object[max(error.start - 20, 0) : error.end + 20]
        remedy = "Convert it, for example with iconv"
        raise InputError(name, got, "must be valid UTF-8", remedy=remedy) from None
    return given
