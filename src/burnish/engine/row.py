"""A text that is being generated: its tokens, and why it ends."""

from collections.abc import Callable

from burnish.contracts.generation import Completion, Finish, Request, TokenLogprobs

TextOf = Callable[..., str]  # of tokens; with `special=True` special tokens are in it


class Row:
    """A text that is being generated: its request, and the tokens so far.

    `guessed` are the positions of accepted draft tokens; `logprobs` are kept on request,
    that of the end token in `end`.
    """

    def __init__(self, index: int, request: Request, text_of: TextOf) -> None:
        self.index, self.request, self._text_of = index, request, text_of
        self.tokens: list[int] = []
        self.guessed: list[int] = []
        self.logprobs: list[TokenLogprobs] = []
        self.end: tuple[int, TokenLogprobs] | None = None
        self.matcher = request.grammar.open() if request.grammar else None
        self.num_passes = 1  # the prefill gives the first token

    @property
    def whole(self) -> list[int]:
        """Prompt and answer."""
        return [*self.request.prompt, *self.tokens]

    def add(self, token: int, eos_ids: frozenset[int]) -> Finish | None:
        """Append a token; why the text ends here, or None."""
        if token in eos_ids:
            return "eos"
        if self.matcher is not None and not self.matcher.take(token):
            return "grammar"
        self.tokens.append(token)
        if self._stopped():
            return "stop"
        return "length" if len(self.tokens) == self.request.sampling.max_new_tokens else None

    def _stopped(self) -> bool:
        stop = self.request.sampling.stop
        if not stop:
            return False
        tail = max(len(word.encode()) for word in stop) + 8  # a token may hold a single byte
        last = self.tokens[-tail:]
        texts = {self._text_of(last), self._text_of(last, special=True)}
        return any(word in text for word in stop for text in texts)

    def completion(self, finish: Finish) -> Completion:
        """The completion, when the text has ended."""
        return Completion(
            id=self.request.id,
            tokens=tuple(self.tokens),
            text=self._text(finish),
            finish=finish,
            num_passes=self.num_passes,
            end=self.end,
        )

    def _text(self, finish: Finish) -> str:
        """The text before the first stop string, which may be or hold a special token."""
        text, stop = self._text_of(self.tokens), self.request.sampling.stop
        ends = [text.find(word) for word in stop if word in text]
        if ends:
            return text[: min(ends)]
        if finish != "stop":
            return text
        word = next(w for w in stop if w in self._text_of(self.tokens, special=True))
        for token in set(self.tokens):  # what of the stop string is text stands at the end
            if not self._text_of([token]) and (name := self._text_of([token], special=True)):
                word = word.replace(name, "")
        return text[: text.rfind(word)] if word else text
