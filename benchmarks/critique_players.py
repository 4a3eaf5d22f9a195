"""The players of `critique_learning.py`: small transformers as actor and as critic.

Both are made by `arch pretrain` and trained on labelled chains of five moves. The critic's start
reads worked chains, critiques and revisions, and is then trained on planted errors. The actor has
seldom read moves of `RARE` numbers, so it fails where a task contains them; the critic knows them.
An actor has to take from a critique what it does not know. It practises that on moves, rare ones
and ones outside the tasks' range, whose results are made up: nothing but the critique tells them.
Then comes the paper's initialisation, `critique train --role actor`: answers, and revisions after a
critique.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from burnish.arch.pretrain_job import pretrain
from burnish.arch.settings import PretrainSettings
from burnish.base.canonical import content_hash
from burnish.base.records import write_records
from burnish.base.rng import stream
from burnish.contracts.task import Task
from burnish.critique.annotate import annotate
from burnish.critique.build_job import build_critiques
from burnish.critique.flaws import FlawSettings
from burnish.critique.grammar import Critique, StepVerdict, render
from burnish.critique.planted import planted_solutions
from burnish.critique.settings import CritiqueBuildSettings, PlaceSettings
from burnish.critique.triples import Solution, Triple
from burnish.critique.wording import Wording
from burnish.data.chains import LABELS, Chain, chain_of, draw_chain, moved, worked
from burnish.data.sources import load_tasks
from burnish.data.tasks import make_task
from burnish.jobs.job import Place
from burnish.recipes.critic_settings import CriticTrainSettings
from burnish.recipes.critic_training import train_critic, worked_answer
from burnish.train.settings import TrainSettings

BUILD = Path(__file__).parents[1] / "build" / "critique"
RUNS = Place(runs=BUILD / "runs")
WORDING = Wording(form="compact")
CHAIN = "chain:sums?size={size}&steps=5&low=1&high=13&distinct=1&labels=1"
PLACE = PlaceSettings(batch_size=64, precision="fp32")
OWN_ANSWERS = (1, 3)  # phases in which the critic reads answers of its start, then of the actor
RARE, RARE_FRAC = (10, 11, 12), 0.02  # numbers of moves, and the share kept of the chains with them
MADE_UP, UNSEEN = (10, 25), (13, 25)  # numbers of moves whose results are made up: rare ones too


def sizes(quick: bool) -> dict[str, Any]:
    """How much of everything; `quick` is for a look at whether it runs. Steps, not minutes."""
    if quick:
        return {"docs": (400, 130), "steps": (3, 3), "width": 32, "train": 30, "dev": 10,
                "actor": {"worked": 900, "made_up": (30, 20), "planted": 90, "steps": (3, 3)},
                "critic_tasks": 30, "critic_steps": (3,), "k": 2, "levels": 2,
                "tasks": 6}  # fmt: skip
    return {"docs": (12_000, 6000), "steps": (400, 200), "width": 128, "train": 200, "dev": 150,
            "actor": {"worked": 30_000, "made_up": (8000, 6000), "planted": 6000,
                      "steps": (600, 300)},
            "critic_tasks": 5000, "critic_steps": (300, 300, 300, 400, 400), "k": 64, "levels": 8,
            "tasks": 50}  # fmt: skip


def move_tokenizer() -> Path:
    """A byte-level tokenizer with a token for each number and each labelled move.

    A move of the problem is one token, so a small model looks it up in one step.
    """
    folder = BUILD / "tokenizer"
    if (folder / "tokenizer.json").is_file():
        return folder
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    moves = [f"{label}{op}{n}" for label in LABELS[:5] for op in "+-" for n in range(25)]
    words = ["####", "check", "again", "answer", " ok", " no", " > "]
    words += [*map(str, range(10, 100)), *moves]
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    end = "<|endoftext|>"
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=end, pad_token=end,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    wrapped.save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def worked_chains(num: int) -> list[str]:
    """Documents of the first phase: tasks and their worked answers."""
    tasks = load_tasks(CHAIN.format(size=num), seed=1000)
    return [f"{task.prompt}\n{worked_task(task)}" for task in tasks]


def worked_task(task: Task) -> str:
    """The right answer to a chain."""
    chain = chain_of(task)
    assert chain is not None
    return worked(chain.steps())


def mixed_documents(num: int) -> list[str]:
    """Documents of the second phase: worked chains, critiques, and revisions of what is wrong."""
    rows: list[str] = []
    for one in planted_triples(load_tasks(CHAIN.format(size=num), seed=1001), 1001, right_frac=0.5):
        problem = one.solution.task.prompt
        rows.append(f"{problem}\n{worked_task(one.solution.task)}")
        rows.append(f"{WORDING.critique_prompt(problem, one.solution.text)}\n{one.critique}")
        if not one.solution.right:
            rows.append(document(one))
    return [rows[i] for i in stream(1001, "corpus").permutation(len(rows))]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model's folder, and what it took to make, its base included."""

    model: str
    minutes: float


def pretrained(documents: Sequence[str], steps: int, base: Made | None, quick: bool) -> Made:
    """A model that has read documents."""
    path = BUILD / f"corpus-{content_hash(documents)[:12]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in documents))
    width = sizes(quick)["width"]
    shape = {"depth": 4, "width": width, "num_heads": 4, "num_kv_heads": 4, "ffn_width": 3 * width,
             "tokenizer": str(move_tokenizer())}  # fmt: skip
    settings = PretrainSettings(
        corpus=str(path), base=base.model if base else None, steps=steps, context=256,
        batch_tokens=2048, learning_rate=0.006, warmup_frac=0.05, sample_tokens=0,
        num_evaluations=2, evaluation_tokens=1024, precision="fp32", seed=1 if base else 0,
        **({} if base else shape),
    )  # fmt: skip
    found = pretrain(settings, runs=BUILD / "runs")
    return Made(model=found["model"], minutes=taken(found) + (base.minutes if base else 0))


def taken(*results: Mapping[str, Any]) -> float:
    """Minutes of runs; what a run had finished before counts."""
    return float(sum(result["cost"]["actual_minutes"] for result in results))


def start(quick: bool) -> Made:
    """The critic's start, in two phases."""
    size, model = sizes(quick), None
    for phase, make in enumerate((worked_chains, mixed_documents)):
        model = pretrained(make(size["docs"][phase]), size["steps"][phase], model, quick)
    assert model is not None
    return model


def trained_phase(model: str, steps: int, rate: float, quick: bool, **given: Any) -> dict[str, Any]:
    """A model after supervised training on triples, as a critic or as an actor."""
    settings = CriticTrainSettings(
        model=model, wording=WORDING, place=PLACE, max_new_tokens=100,
        num_measured=10 if quick else 300,
        train=TrainSettings(
            method="full", optimizer="muon", learning_rate=rate, schedule="linear",
            num_steps=steps, examples_per_step=32, pass_tokens=8192,
        ),
        **given,
    )  # fmt: skip
    return train_critic(settings, RUNS)


def critic(quick: bool) -> dict[str, Any]:
    """A critic trained from the start on planted errors, measured on unseen chains.

    In phases, each on chains of its own; the last one is measured. In two of them it learns from
    answers of its start and of the actor too; it is measured on planted errors all the same.
    """
    size, begun = sizes(quick), start(quick)
    model, minutes, found = begun.model, begun.minutes, dict[str, Any]()
    writers = dict(zip(OWN_ANSWERS, (start, actor), strict=True))
    for phase, steps in enumerate(size["critic_steps"]):
        own = phase in writers
        built = build_critiques(
            CritiqueBuildSettings(
                tasks=(CHAIN.format(size=size["critic_tasks"]),), wording=WORDING, seed=7 + phase,
                model=writers[phase](quick).model if own else "", place=PLACE,
                flaws=FlawSettings(
                    num_inserted=1, num_samples=int(own), num_located=0, right_frac=0.3,
                    max_new_tokens=60,
                ),
            ),
            RUNS,
        )  # fmt: skip
        rate = 0.003 if phase else 0.005
        trained = trained_phase(
            model, steps, rate, quick, triples=built["run"], heldout_frac=0.1
        )  # fmt: skip
        found = {**trained, "before": found.get("before", trained["before"]),
                 "phases": [*found.get("phases", []), trained["after"]]}  # fmt: skip
        model, minutes = trained["model"], minutes + taken(built, trained)
    return {**found, "minutes": minutes}


def thinned(num: int, seed: int, share: float) -> list[Task]:
    """Of `num` chains those without a rare move, and a share of the others."""
    rng = stream(seed, "thin")
    return [
        task
        for task in load_tasks(CHAIN.format(size=num), seed=seed)
        if num_rare(task) == 0 or rng.random() < share
    ]


def num_rare(task: Task) -> int:
    """Moves of a chain that the actor has seldom read."""
    chain = chain_of(task)
    return sum(number in RARE for _, number in chain.moves) if chain else 0


def made_up(num: int, seed: int, numbers: tuple[int, int]) -> list[Triple]:
    """Triples in which one move has a made-up result, which the critique tells."""
    rng = stream(seed, "made-up")
    found: list[Triple] = []
    while len(found) < num:
        chain = draw_chain(rng, num_steps=5, low=1, high=min(RARE), distinct=True, labels=True)
        at, moves = int(rng.integers(5)), list(chain.moves)
        moves[at] = (str(rng.choice(["+", "-"])), int(rng.integers(*numbers)))
        chain = Chain(start=chain.start, moves=tuple(moves), labels=True)
        good, bad = (lines_with(chain, at, int(value)) for value in rng.choice(60, 2, False))
        if any("=-" in line for line in [*good, *bad]):
            continue
        task = make_task(
            chain.prompt, good[-1].rpartition("=")[2], group="made up", checker="number",
            metadata={"worked": worked(good)},
        )  # fmt: skip
        verdicts = [StepVerdict(sentence=line, right=True) for line in bad[:at]]
        verdicts.append(StepVerdict(sentence=bad[at], right=False, why=good[at]))
        text = render(Critique(steps=tuple(verdicts), right=False), WORDING.form)
        solution = Solution(task=task, text=worked(bad), right=False, origin="inserted",
                            first_error=at, kind="calculation")  # fmt: skip
        found.append(Triple(id=f"made-up-{len(found)}", solution=solution, critique=text))
    return found


def lines_with(chain: Chain, at: int, result: int) -> list[str]:
    """The lines of a chain in which move `at` has a result that is given."""
    lines, value = list[str](), chain.start
    for index, move in enumerate(chain.moves):
        after = result if index == at else moved(value, *move)
        lines.append(chain.line(index, value, move, after))
        value = after
    return lines


def document(triple: Triple) -> str:
    """Task, answer and critique as a document, and behind a wrong answer the right one."""
    problem, text = triple.solution.task.prompt, triple.solution.text
    if triple.solution.right:
        return f"{WORDING.critique_prompt(problem, text)}\n{triple.critique}"
    return f"{WORDING.refine_prompt(problem, text, triple.critique)}\n{worked_answer(triple)}"


def planted_triples(tasks: Sequence[Task], seed: int, right_frac: float) -> list[Triple]:
    """Planted errors in chains, with the program's critiques."""
    solutions = planted_solutions(tasks, right_frac=right_frac, seed=seed)
    critiques = annotate(solutions, None, WORDING, name="critiques")
    return [
        Triple(id=f"planted-{i}", solution=one, critique=critique.text)
        for i, (one, critique) in enumerate(zip(solutions, critiques, strict=True))
        if critique is not None
    ]


def actor(quick: bool) -> Made:
    """The actor: pretrained, then initialised on answers and revisions."""
    size = sizes(quick)["actor"]
    rows = [
        f"{task.prompt}\n{worked_task(task)}" for task in thinned(size["worked"], 1000, RARE_FRAC)
    ]
    rows += [document(one) for one in made_up(size["made_up"][0], 1006, MADE_UP)]
    rows += [
        document(one)
        for one in planted_triples(thinned(size["planted"], 1008, 0.0), 1008, right_frac=0.3)
    ]
    rows = [rows[i] for i in stream(1001, "corpus").permutation(len(rows))]
    base = pretrained(rows, size["steps"][0], None, quick)
    triples = planted_triples(thinned(size["worked"] // 2, 1002, RARE_FRAC), 1002, right_frac=0.1)
    triples += made_up(size["made_up"][1], 1002, UNSEEN)
    path = BUILD / f"triples-{content_hash([one.to_row() for one in triples])[:12]}.jsonl"
    write_records(path, [one.to_row() for one in triples])
    found = trained_phase(
        base.model, size["steps"][1], 0.003, quick, triples=str(path), role="actor",
        heldout_frac=0.02,
    )  # fmt: skip
    return Made(model=found["model"], minutes=base.minutes + taken(found))
