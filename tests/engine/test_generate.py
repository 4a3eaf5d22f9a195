"""The decode loop against a naive loop over transformers, and against written-down texts."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.scripted import ScriptedSession
from fixtures.tiny import ADAPTED, DECODERS, EXPERTS, reference_logits, texts

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.engine import generate as generate_module
from burnish.engine import loop as loop_module
from burnish.engine import prefixes
from burnish.engine.generate import generate
from burnish.models.decoder import Decoder
from burnish.models.load import Model

EOS = 2
Generate = Callable[..., list[Completion]]


def requests_of(prompts: Sequence[Sequence[int]], *settings: Sampling) -> list[Request]:
    """One request a prompt; settings go round."""
    return [
        Request(id=f"r{i}", prompt=tuple(prompt), sampling=settings[i % len(settings)])
        for i, prompt in enumerate(prompts)
    ]


def naive(reference: Any, prompt: Sequence[int], num: int, eos_ids: Any = (EOS,)) -> list[int]:
    """Greedy tokens, the whole text computed again for each; transformers only."""
    tokens = list(prompt)
    for _ in range(num):
        token = int(reference_logits(reference, tokens)[-1].argmax())
        if token in eos_ids:
            break
        tokens.append(token)
    return tokens[len(prompt) :]


def check_greedy(generate_texts: Generate, model: Model, reference: Any) -> None:
    prompts = texts([7, 1, 19, 3, 7])
    requests = requests_of(prompts, *(Sampling(max_new_tokens=n) for n in (9, 4, 12)))
    wanted = [naive(reference, r.prompt, r.sampling.max_new_tokens) for r in requests]
    found = generate_texts(model, requests, batch_size=3)
    assert [c.id for c in found] == [r.id for r in requests]
    assert [list(c.tokens) for c in found] == wanted
    decode = model.tokenizer.decode
    assert [c.text for c in found] == [decode(t, skip_special_tokens=True) for t in wanted]


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS, *ADAPTED])
def test_greedy_equals_naive_loop(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    check_greedy(generate, tiny_model(family), tiny_reference(family))


def test_planted_slots_not_moved(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.engine.session import DecoderSession

    monkeypatch.setattr(DecoderSession, "move", lambda self, source, target: None)
    with pytest.raises(AssertionError):
        check_greedy(generate, tiny_model("llama"), tiny_reference("llama"))


def test_planted_last_prompt_token_fed_twice(tiny_model: Any, tiny_reference: Any) -> None:
    def doubled(model: Model, requests: Sequence[Request], **settings: Any) -> list[Completion]:
        longer = [dataclasses.replace(r, prompt=(*r.prompt, r.prompt[-1])) for r in requests]
        return generate(model, longer, **settings)

    with pytest.raises(AssertionError):
        check_greedy(doubled, tiny_model("llama"), tiny_reference("llama"))


MIXED = (
    Sampling(max_new_tokens=11, temperature=1.0, seed=1),
    Sampling(max_new_tokens=5),
    Sampling(max_new_tokens=8, temperature=0.8, top_k=40, top_p=0.9, seed=2),
    Sampling(max_new_tokens=14, temperature=1.2, repetition_penalty=1.3, seed=3),
    Sampling(max_new_tokens=9, temperature=1.0, min_p=0.02, seed=4),
)


def check_batches(generate_texts: Generate, model: Model) -> None:
    """Greedy and sampled texts are the same alone, and in batches of any size and order."""
    lengths = [7, 1, 40, 3, 16, 17, 2]
    requests = requests_of(texts(lengths), *MIXED)
    alone = [generate_texts(model, [request])[0] for request in requests]
    assert len({c.tokens for c in alone}) >= len(alone) - 1
    for batch_size in (1, 2, 3, 4, 5, 16):
        assert generate_texts(model, requests, batch_size=batch_size) == alone
    assert generate_texts(model, requests[::-1], batch_size=3) == alone[::-1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["llama", "llama-wide", "llama-biased", "mistral"])
def test_texts_do_not_depend_on_the_batch(family: str, precision: str, tiny_model: Any) -> None:
    check_batches(generate, tiny_model(family, precision))


@pytest.mark.parametrize("family", ["mamba", "gemma2"])
def test_adapted_texts_do_not_depend_on_the_batch(family: str, tiny_model: Any) -> None:
    check_batches(generate, tiny_model(family))


def test_planted_noise_that_knows_the_batch(tiny_model: Any) -> None:
    def shifted(model: Model, requests: Sequence[Request], **settings: Any) -> list[Completion]:
        seeded = [
            dataclasses.replace(r, sampling=dataclasses.replace(r.sampling, seed=index))
            for index, r in enumerate(requests)
        ]
        return generate(model, seeded, **settings)

    with pytest.raises(AssertionError):
        check_batches(shifted, tiny_model("llama"))


@pytest.mark.parametrize("family", ["llama", "mistral", "mamba"])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_shared_prompts_are_prefilled_once(family: str, batch_size: int, tiny_model: Any) -> None:
    """Samples of one prompt share its prefill, in a batch and across refills."""
    one, two = (tuple(tokens) for tokens in texts([13, 5]))
    prompts = [one, one, two, one, one, two]
    settings = [Sampling(max_new_tokens=4 + i, temperature=1.0, seed=i) for i in range(6)]
    requests = requests_of(prompts, *settings)
    meter = Meter("s")
    found = generate(tiny_model(family), requests, batch_size=batch_size, meter=meter)
    alone = [generate(tiny_model(family), [request])[0] for request in requests]
    assert found == alone
    assert meter.totals()["prefilled"] == len(one) + len(two)


def check_shared_prefix(generate_texts: Generate, model: Model, reference: Any) -> None:
    """Prompts that begin alike: read once as far as they do, and no text is another for it."""
    start, *ends = texts([30, 16, 21, 33, 16])
    prompts = [[*start, *end] for end in ends]
    requests = requests_of(prompts, *MIXED[:2])
    alone = [generate_texts(model, [request])[0] for request in requests]
    for batch_size in (1, 3, 4):
        meter = Meter()
        assert generate_texts(model, requests, batch_size=batch_size, meter=meter) == alone
        read = [*ends, start] if isinstance(model.network, Decoder) else prompts
        assert meter.totals()["prefilled"] == sum(map(len, read))
    if model.dtype == torch.float32:
        for completion, request in zip(alone[1::2], requests[1::2], strict=True):
            assert list(completion.tokens) == naive(reference, request.prompt, 5)


@pytest.mark.parametrize(
    ("family", "precision"),
    [(family, "fp32") for family in ("llama", "mistral", "qwen3", *ADAPTED)]
    + [(family, "bf16") for family in ("llama", "llama-wide", "mistral", "qwen3")],
)
def test_shared_prefix_changes_no_text(
    family: str, precision: str, tiny_model: Any, tiny_reference: Any
) -> None:
    check_shared_prefix(generate, tiny_model(family, precision), tiny_reference(family))


def test_planted_prefix_longer_than_shared(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "shared_prefixes", lambda prompts: [prompts[0][:31]])
    monkeypatch.setattr(prefixes.Beginning, "fits", lambda self, prompt: True)
    with pytest.raises(AssertionError):
        check_shared_prefix(generate, tiny_model("llama"), tiny_reference("llama"))


def test_prefix_leaves_large_pieces() -> None:
    """Every piece has sixteen rows or more, so that its bits are those of the whole prompt."""
    shared = prefixes.shared_prefixes
    head = tuple(range(20))
    tails = [tuple(range(100 * i, 100 * i + n)) for i, n in ((1, 16), (2, 40))]
    assert shared([head + tails[0], head + tails[1]]) == [head]
    assert shared([head + tails[0][:13], head + tails[1]]) == [head[:17]]
    assert shared([head + tails[0][:11], head + tails[1]]) == []  # 15 rows would be left to share
    assert shared([head[:15] + tails[0], head[:15] + tails[1]]) == []
    assert shared([head + tails[0]] * 3) == []  # equal prompts are shared whole
    assert shared([]) == shared([head]) == shared([(1,), (2,)]) == []


def test_groups_have_beginnings_of_their_own() -> None:
    """Groups of prompts with examples of their own: each is read once, what all have, too."""
    shared = prefixes.shared_prefixes
    head, one, two, *tails = (tuple(t) for t in texts([20, 30, 40, 16, 17, 18, 19, 20]))
    first, second = head + one, head + two
    prompts = [first + tails[0], second + tails[1], second + tails[2], first + tails[3]]
    assert shared(prompts) == [head, second, first]  # 3 x 20, 40 and 30 tokens are saved
    assert shared([*prompts, first[:-20]]) == [head, second, first]
    assert shared(prompts[:3]) == [head, second]
    near = head + one[:15]  # no large piece would be left between the two
    assert shared([near + tail for tail in tails] + [second + tails[0]]) == [head]
    many = [tuple(t) for t in texts([16 + i for i in range(12)])]
    kept = shared([start + tail for start in many for tail in tails[:2]])
    assert kept == many[:3:-1]  # the longest eight


def check_groups(generate_texts: Generate, model: Model) -> None:
    """Two groups, in turns: as many tokens are read as there are different ones."""
    head, one, two, *tails = texts([20, 30, 40, 16, 17, 18, 19, 20, 25])
    prompts = [[*head, *(one, two)[i % 2], *tail] for i, tail in enumerate(tails)]
    requests = requests_of(prompts, *MIXED[:2])
    alone = [generate_texts(model, [request])[0] for request in requests]
    for batch_size in (1, 4, 6):
        meter = Meter()
        assert generate_texts(model, requests, batch_size=batch_size, meter=meter) == alone
        assert meter.totals()["prefilled"] == sum(map(len, [head, one, two, *tails]))


def test_groups_of_prompts_are_read_once(tiny_model: Any) -> None:
    for family, precision in (("llama", "fp32"), ("llama-wide", "bf16"), ("mistral", "fp32")):
        check_groups(generate, tiny_model(family, precision))


def test_planted_state_of_another_group(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prefixes.Prefixes._longest_read

    def mixed(self: Any, prompt: Any) -> Any:
        read = [one for one in self._known if one.read]
        return read[-1] if read else first(self, prompt)

    monkeypatch.setattr(prefixes.Prefixes, "_longest_read", mixed)
    with pytest.raises(AssertionError):
        check_groups(generate, tiny_model("llama"))


# ---- what the loop does with tokens: texts written down beforehand ----


class Script:
    """Runs the loop over given texts; keeps the session and the meter for inspection."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model, self.encode = model, model.tokenizer.encode
        self._monkeypatch = monkeypatch
        self.meter = Meter()

    def run(
        self, scripts: Sequence[Sequence[int]], sampling: Sampling, *, batch_size: int = 16,
        **settings: Any,
    ) -> list[Completion]:  # fmt: skip
        prompts = [(3 + i, 4) for i in range(len(scripts))]
        written = dict(zip(prompts, scripts, strict=True))

        def opened(model: Model, *, num_slots: int, capacity_tokens: int) -> ScriptedSession:
            self.session = ScriptedSession(written, num_slots)
            return self.session

        self._monkeypatch.setattr(generate_module, "open_session", opened)
        requests = requests_of(prompts, sampling)
        return generate(self.model, requests, batch_size=batch_size, meter=self.meter, **settings)

    def one(self, tokens: Sequence[int], **settings: Any) -> Completion:
        return self.run([tokens], Sampling(**settings))[0]


@pytest.fixture
def script(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> Script:
    return Script(tiny_model("llama"), monkeypatch)


def test_end_token_at_the_first_position(script: Script) -> None:
    found = script.one([EOS])
    assert (found.tokens, found.text, found.finish, found.num_passes) == ((), "", "eos", 1)
    assert script.session.num_steps == 0
    assert script.meter.totals()["generated"] == 1


def test_a_single_new_token(script: Script) -> None:
    found = script.one([77, 78], max_new_tokens=1)
    assert (found.tokens, found.finish, found.num_passes) == ((77,), "length", 1)
    assert script.session.num_steps == 0


def test_end_token_in_the_last_allowed_position(script: Script) -> None:
    assert script.one([77, 78, EOS], max_new_tokens=3).finish == "eos"
    assert script.one([77, 78, EOS], max_new_tokens=2).finish == "length"


def test_every_end_token_counts(script: Script) -> None:
    script.model = dataclasses.replace(script.model, eos_ids=frozenset({EOS, 80}))
    assert script.one([77, 80, 81], max_new_tokens=3).tokens == (77,)
    script.model = dataclasses.replace(script.model, eos_ids=frozenset())
    assert script.one([77, EOS, 81], max_new_tokens=3).tokens == (77, EOS, 81)


@pytest.mark.parametrize(
    ("text", "stop", "wanted"),
    [
        ("x abc y", ("b",), "x a"),  # inside the token `abc`
        ("x in the y", ("n t",), "x i"),  # across `in` and ` the`
        ("one\n\ntwo", ("\n\n",), "one"),
        ("one two", ("two", "ne t"), "o"),  # the earlier of two that end with the same token
        ("say 🙂 now", ("🙂",), "say "),  # a character of four tokens
        ("a 🙂🙂🙂🙂🙂🙂 z", ("🙂🙂🙂🙂🙂🙂",), "a "),  # 24 tokens for 6 characters
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab!", ("b!",), "a" * 30),
        ("stop at once", ("s",), ""),
    ],
)
def test_stop_strings(script: Script, text: str, stop: tuple[str, ...], wanted: str) -> None:
    found = script.one([*script.encode(text), EOS], stop=stop, max_new_tokens=200)
    assert (found.text, found.finish) == (wanted, "stop")


@pytest.mark.parametrize(
    ("stop", "wanted"),
    [
        (("<|im_start|>",), "ab"),
        (("<|im_start|>user",), "ab"),
        (("b<|im_start|>",), "a"),
        (("b<|im_start|>us", "zz"), "a"),
    ],
)
def test_stop_strings_that_are_or_hold_special_tokens(
    script: Script, stop: tuple[str, ...], wanted: str
) -> None:
    found = script.one([*script.encode("ab<|im_start|>users abab"), EOS], stop=stop)
    assert (found.text, found.finish) == (wanted, "stop")


def test_text_ends_with_the_token_that_completes_a_stop_string(script: Script) -> None:
    tokens = script.encode("go on, stop now")
    found = script.one([*tokens, EOS], stop=("st",))
    assert found.text == "go on, "
    assert script.model.tokenizer.decode(list(found.tokens)) == "go on, st"
    assert found.num_passes == len(found.tokens)


def test_stop_strings_that_do_not_come(script: Script) -> None:
    found = script.one([*script.encode("abc"), EOS], stop=("x", "abcd", "cb"))
    assert (found.text, found.finish) == ("abc", "eos")


def test_stop_wins_over_length(script: Script) -> None:
    assert script.one(script.encode("ab c!"), stop=("!",), max_new_tokens=4).finish == "stop"


def test_special_tokens_are_not_text(script: Script) -> None:
    found = script.one([*script.encode("a<|im_start|>b"), EOS])
    assert (found.text, len(found.tokens)) == ("ab", 3)


def test_accounting(script: Script) -> None:
    """Generated: tokens, and end tokens; passes: one a prefill or step, of all rows together."""
    scripts = [[50] * n + [EOS] for n in (4, 1, 0, 6, 2)]
    found = script.run(scripts, Sampling(max_new_tokens=6), batch_size=2)
    assert [len(c.tokens) for c in found] == [4, 1, 0, 6, 2]
    assert [c.finish for c in found] == ["eos", "eos", "eos", "length", "eos"]
    assert [c.num_passes for c in found] == [5, 2, 1, 6, 3]
    totals = script.meter.totals()
    assert totals["generated"] == sum(c.num_passes for c in found)
    assert totals["prefilled"] == 2 * 5
    assert totals["passes"] == script.session.num_prefills + script.session.num_steps
    assert script.session.num_snapshots == 0  # no prompt comes twice


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 20])
def test_slots_are_refilled(script: Script, batch_size: int) -> None:
    """Whatever ends when: every text is whole, and reported once, as soon as it ends."""
    generator = torch.Generator().manual_seed(batch_size)
    lengths = torch.randint(0, 9, (17,), generator=generator).tolist()
    scripts = [[3 + i, *[60 + i] * n, EOS] for i, n in enumerate(lengths)]
    seen: list[Completion] = []
    found = script.run(
        scripts, Sampling(max_new_tokens=50), batch_size=batch_size, on_done=seen.append
    )
    assert [list(c.tokens) for c in found] == [tokens[:-1] for tokens in scripts]
    assert sorted(c.id for c in seen) == sorted(c.id for c in found)
    if batch_size == 1:
        assert seen == found
    if batch_size == 20:
        assert [len(c.tokens) for c in seen] == sorted(n + 1 for n in lengths)


def test_free_slots_wait_until_a_quarter_is_free(script: Script) -> None:
    """Texts of 1 to 8 tokens end one after another: eight slots are refilled in pairs."""
    scripts = [[50 + i] * (1 + i % 8) + [EOS] for i in range(16)]
    script.run(scripts, Sampling(max_new_tokens=50), batch_size=8)
    assert script.session.num_prefills == 5


def test_snapshots_are_taken_only_where_needed(script: Script, tiny_model: Any) -> None:
    session = ScriptedSession({(3,): [50, EOS], (4,): [51, EOS]}, 2)
    script._monkeypatch.setattr(generate_module, "open_session", lambda *_, **__: session)
    prompts = [(3,), (4,), (3,), (3,)]
    found = generate(script.model, requests_of(prompts, Sampling()), batch_size=2)
    assert [c.tokens for c in found] == [(50,), (51,), (50,), (50,)]
    assert (session.num_snapshots, session.num_prefills) == (1, 1)


def test_penalty_sees_prompt_and_text(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []

    def watched(logits: Any, settings: Any, positions: Any, mask: Any) -> list[int]:
        seen.append(set(mask[0].nonzero()[:, 0].tolist()))
        return exact(logits, settings, positions, mask)

    exact = loop_module.next_tokens
    monkeypatch.setattr(loop_module, "next_tokens", watched)
    script.one([50, 51, EOS], repetition_penalty=1.1)
    assert seen == [{3, 4}, {3, 4, 50}, {3, 4, 50, 51}]


def test_no_requests(tiny_model: Any) -> None:
    assert generate(tiny_model("llama"), []) == []


def test_requests_that_do_not_fit(tiny_model: Any) -> None:
    model = dataclasses.replace(tiny_model("llama"), max_position=20)
    sampling = Sampling(max_new_tokens=8)
    with pytest.raises(SettingError, match="must not be empty"):
        generate(model, requests_of([()], sampling))
    with pytest.raises(SettingError, match="window of 20 tokens, got 13"):
        generate(model, requests_of([[5] * 13], sampling))
    assert generate(model, requests_of([[5] * 12], sampling))[0].num_passes == 8
    with pytest.raises(SettingError, match="batch_size"):
        generate(model, requests_of([[5]], sampling), batch_size=0)


PROMPTS = """The capital of France is|Water boils at|Once upon a time|def fibonacci(n):
2 + 2 =|The opposite of hot is|To make tea, first|My favourite colour is|In 1969, humans
The largest planet is|A triangle has|Dear Sir or Madam,|import numpy as|The cat sat on the
Roses are red,|The sum of 17 and 25 is|Breaking news:|She opened the door and
The quick brown fox|List three fruits:|Photosynthesis is|The year has|SELECT name FROM
An apple a day|Gravity is|The first president of|How are you|Python is a|Mix flour and
The moon orbits|Every even number|I think, therefore|The stock market|When it rains,
A haiku about rain:|The speed of light|Good morning! Today|The old man and|All that glitters
Translate to Spanish: cat|The recipe calls for|x = 3; y = x *|Mount Everest|For example,
The train leaves at|Music is|Let f(x) = x^2. Then|The doctor said|In conclusion,|Question: why"""


@pytest.mark.weights
def test_smollm2_greedy_equals_transformers(smollm2: Any, smollm2_reference: Any) -> None:
    """Fifty prompts, sixteen tokens each: token for token what transformers writes."""
    prompts = [text for line in PROMPTS.splitlines() for text in line.split("|")]
    assert len(prompts) == 50
    encoded = [smollm2.tokenizer.encode(text) for text in prompts]
    found = generate(smollm2, requests_of(encoded, Sampling(max_new_tokens=16)), batch_size=16)
    for completion, tokens in zip(found, encoded, strict=True):
        whole = [*tokens, *completion.tokens]
        chosen = reference_logits(smollm2_reference, whole).argmax(-1).tolist()
        assert chosen[len(tokens) - 1 : len(whole) - 1] == list(completion.tokens)
        assert len(completion.tokens) == 16 or chosen[-1] in smollm2.eos_ids
    for completion, tokens in zip(found[:5], encoded, strict=False):  # slow: its own loop
        wanted = smollm2_reference.generate(
            torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
            do_sample=False, max_new_tokens=16,
        )[0, len(tokens) :].tolist()  # fmt: skip
        assert list(completion.tokens) == [t for t in wanted if t not in smollm2.eos_ids]


@pytest.mark.weights
def test_smollm2_bf16_does_not_depend_on_the_batch() -> None:
    from burnish.models.load import load_model

    model = load_model("smollm2-135m", precision="bf16", device="cpu")
    prompts = [text for line in PROMPTS.splitlines() for text in line.split("|")][:7]
    greedy = Sampling(max_new_tokens=12)
    sampling = [greedy, dataclasses.replace(greedy, temperature=1.0, seed=9)]
    requests = requests_of([model.tokenizer.encode(text) for text in prompts], *sampling)
    alone = [generate(model, [request])[0] for request in requests]
    assert generate(model, requests, batch_size=3) == alone
    assert generate(model, requests, batch_size=7) == alone
