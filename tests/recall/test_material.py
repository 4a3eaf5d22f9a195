"""Texts: apart from each other, from the tokenizer's own tokens."""

from collections.abc import Sequence
from typing import Any

import pytest

from burnish.base.errors import InputError, SettingError
from burnish.data.corpora import Document
from burnish.recall import material as module
from burnish.recall.material import Material, draw_material, encode
from burnish.recall.separators import separator_id


class Books:
    """Numbered books that share no number, or one that repeats itself."""

    def __init__(self, num: int, words: int, *, same: bool = False) -> None:
        self.texts = [
            " ".join(str((0 if same else 10_000 * book) + word) for word in range(words))
            for book in range(1, num + 1)
        ]

    def documents(self) -> Sequence[Document]:
        return [Document(name=t[:5], read=lambda t=t: t) for t in self.texts]


def runs(tokens: Sequence[int], size: int = 16) -> set[tuple[int, ...]]:
    return {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}


def check_apart(found: Material) -> None:
    for target in found.targets:
        assert not runs(found.irrelevant) & runs(target)


def draw(tokenizer: Any, corpus: Any, **settings: Any) -> Material:
    return draw_material(
        tokenizer, corpus, **{"length": 100, "trials": 5, "separator": 0, **settings}
    )


def test_prefix_and_targets_share_no_run(tiny_tokenizer: Any) -> None:
    for seed in range(3):
        found = draw(tiny_tokenizer, Books(6, 400), seed=seed)
        check_apart(found)
        assert len(found.irrelevant) == 100
        assert [len(target) for target in found.targets] == [100] * 5
        assert not found.overlapping


def test_planted_prefix_from_the_targets_book(tiny_tokenizer: Any, monkeypatch: Any) -> None:
    """One book that is read again and again: the draw must refuse it, or the check goes red."""
    with pytest.raises(InputError, match="shares runs of 16"):
        draw(tiny_tokenizer, Books(6, 60, same=True))
    monkeypatch.setattr(module, "_runs", lambda tokens: set())
    with pytest.raises(AssertionError):
        check_apart(draw(tiny_tokenizer, Books(6, 60, same=True)))


def test_targets_do_not_overlap(tiny_tokenizer: Any) -> None:
    found = draw(tiny_tokenizer, Books(9, 300), trials=6)
    for i, one in enumerate(found.targets):
        for other in found.targets[:i]:
            assert not runs(one, 40) & runs(other, 40)


def test_the_same_seed_gives_the_same_texts(tiny_tokenizer: Any) -> None:
    one, again, other = (draw(tiny_tokenizer, Books(6, 400), seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.targets != other.targets


def test_targets_are_pieces_of_the_corpus(tiny_tokenizer: Any) -> None:
    books = Books(6, 400)
    whole = "".join(map(str, [encode(tiny_tokenizer, text) for text in books.texts]))
    for target in draw(tiny_tokenizer, books).targets:
        assert str(list(target[:30]))[1:-1] in whole


def test_one_book_serves_both_sides(tiny_tokenizer: Any) -> None:
    found = draw(tiny_tokenizer, Books(1, 900), trials=3)
    check_apart(found)
    short = draw(tiny_tokenizer, Books(1, 100), trials=5)
    assert short.overlapping
    with pytest.raises(InputError, match="must contain 200 tokens"):
        draw(tiny_tokenizer, Books(1, 20))


def test_controls(tiny_tokenizer: Any) -> None:
    plain = draw(tiny_tokenizer, Books(6, 400))
    shuffled = draw(tiny_tokenizer, Books(6, 400), control="shuffled")
    assert shuffled.targets != plain.targets
    assert list(map(sorted, shuffled.targets)) == list(map(sorted, plain.targets))
    random = draw(tiny_tokenizer, Books(6, 400), control="random")
    tokens = {token for text in (random.irrelevant, *random.targets) for token in text}
    assert not tokens & {0, 1, 2}  # the tokenizer's special tokens
    assert len(tokens) > 200
    with pytest.raises(SettingError, match="control must be"):
        draw(tiny_tokenizer, Books(6, 400), control="both")


def test_separators_of_the_tokenizer(tiny_tokenizer: Any) -> None:
    assert separator_id(tiny_tokenizer) == tiny_tokenizer.bos_token_id == 0
    assert separator_id(tiny_tokenizer, "eos") == tiny_tokenizer.eos_token_id == 2
    assert separator_id(tiny_tokenizer, "<|im_start|>") == 1
    newline = tiny_tokenizer("\n")["input_ids"]
    assert [separator_id(tiny_tokenizer, "newline")] == newline

    class Bare:
        bos_token_id = eos_token_id = None

        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": list(text.encode())}

    assert separator_id(Bare()) == ord("\n")
    with pytest.raises(SettingError, match="not in this tokenizer"):
        separator_id(Bare(), "bos")
    with pytest.raises(SettingError, match="must be one token, is 3"):
        separator_id(Bare(), "abc")
