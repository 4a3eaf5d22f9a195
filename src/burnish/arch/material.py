"""The steps before training: corpus, tokenizer, shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.arch.plan import choose_vocab, is_own
from burnish.arch.settings import PretrainSettings
from burnish.arch.tokenizer import encoder, learn_tokenizer, marks_of
from burnish.base.files import read_json, write_json
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Table
from burnish.contracts.step import Told
from burnish.data.heldout import document_key, survey
from burnish.data.mixtures import Part, Reading, Skipped, read_mixture
from burnish.data.shards import Build, build_shards
from burnish.jobs.step import Given, Step

MANIFEST = "manifest.json"
MOST_FILES = 100  # rows of the page's table
TRAINING = ("train", "compare")  # the steps that take long
ENLARGED = 1.5  # times what was asked for: said, as whole documents never fit exactly


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The sources of the corpus, and how they are read."""

    parts: Sequence[Part]
    reading: Reading


@dataclass(frozen=True, kw_only=True)
class SurveyStep(Step):
    """Reads all documents once, counts them, and chooses the held-out ones.

    Source: ours. Oracle: tests/arch/test_material.py::test_manifest_by_hand
    """

    reading: Reading
    heldout_frac: float
    seed: int
    name: str = "corpus"
    guards = TRAINING

    @property
    def reads(self) -> tuple[str, ...]:
        """The texts."""
        return ("texts",)

    @property
    def writes(self) -> dict[str, str]:
        """Keys of the held-out documents."""
        return {"heldout": "heldout.json"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Survey the corpus. Raises what `read_mixture` and `survey` do."""
        mixture, skipped = given["texts"], Skipped()
        texts = read_mixture(mixture.parts, mixture.reading, skipped)
        found = survey(texts, skipped, heldout_frac=self.heldout_frac, seed=self.seed)
        write_json(stage.path / "heldout.json", sorted(found.heldout))
        facts = found.facts()
        say(_in_words(facts))
        if facts["num_heldout_bytes"] > ENLARGED * self.heldout_frac * facts["num_bytes"]:
            say(_enlarged(facts, self.heldout_frac))
        return facts

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the counts."""
        facts = {name: value for name, value in done.output.items() if name != "metered"}
        return (Told(section="notes", numbers={"corpus": facts}),)


@dataclass(frozen=True, kw_only=True)
class TokenizerStep(Step):
    """Learns a tokenizer from the training documents, or takes another model's.

    Source: ours. Oracle: tests/arch/test_material.py::test_manifest_by_hand
    """

    vocab: int | None  # None: that of the model "tokenizer_source"
    exact: bool
    reading: Reading
    seed: int
    name: str = "tokenizer"
    guards = TRAINING

    @property
    def reads(self) -> tuple[str, ...]:
        """The training documents, or the other model."""
        return ("texts", "heldout") if self.vocab is not None else ("tokenizer_source",)

    @property
    def writes(self) -> dict[str, str]:
        """A folder that transformers reads."""
        return {"tokenizer": "tokenizer"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Learn or copy. Raises SettingError for a vocabulary that the text does not support."""
        folder = stage.path / "tokenizer"
        if self.vocab is None:
            from burnish.models.load import read_tokenizer, resolve_folder

            tokenizer = read_tokenizer(resolve_folder(given["tokenizer_source"]))
            tokenizer.save_pretrained(folder)
            return {"vocab": len(tokenizer), "wanted_vocab": len(tokenizer)}
        heldout = set(read_json(given["heldout"]))
        texts = read_mixture(given["texts"].parts, given["texts"].reading)
        own = (t.text for t in texts if document_key(t.text, self.seed) not in heldout)
        return learn_tokenizer(own, folder, vocab=self.vocab, exact=self.exact)


@dataclass(frozen=True, kw_only=True)
class ShardsStep(Step):
    """Tokenizes all documents into memory-mapped shards; an interrupted call resumes when repeated.

    Source: ours. Oracle: tests/arch/test_resume.py::test_killed_and_resumed_equals_straight
    """

    reading: Reading
    shard_tokens: int
    seed: int
    name: str = "shards"

    @property
    def reads(self) -> tuple[str, ...]:
        """Texts, tokenizer, and who is held out."""
        return ("texts", "heldout", "tokenizer")

    @property
    def writes(self) -> dict[str, str]:
        """A folder of shards with its manifest."""
        return {"shards": "shards"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Build the shards. Raises StorageError."""
        from burnish.models.load import read_tokenizer

        tokenizer = read_tokenizer(given["tokenizer"])
        build = Build(
            encode=encoder(tokenizer),
            marks=marks_of(tokenizer),
            vocab_size=len(tokenizer),
            heldout=frozenset(read_json(given["heldout"])),
            seed=self.seed,
            shard_tokens=self.shard_tokens,
        )
        mixture, folder = given["texts"], stage.path / "shards"
        folder.mkdir(exist_ok=True)
        texts = read_mixture(mixture.parts, mixture.reading)
        manifest = build_shards(folder, texts, build)
        write_json(folder / MANIFEST, manifest)
        return {n: v for n, v in manifest.items() if n.startswith("num_") or n == "vocab_size"}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Tokens by file."""
        manifest = read_json(Path(given["shards"]) / MANIFEST)
        sides = ("num_train_documents", "num_heldout_documents", "num_train_tokens")
        rows = [[n, *(c.get(s, 0) for s in sides)] for n, c in manifest["files"].items()]
        more = len(rows) - MOST_FILES
        columns = ["file", "training documents", "held-out documents", "training tokens"]
        table = Table(
            title="Corpus",
            columns=columns,
            rows=rows[:MOST_FILES],
            caption=f"{more} more files are in the manifest of the shards." if more > 0 else "",
        )
        numbers = {n: v for n, v in done.output.items() if n != "metered"}
        return (Told(section="notes", numbers={"corpus": numbers}, blocks=(table,)),)


def material_steps(settings: PretrainSettings) -> list[Step]:
    """The steps before training."""
    shared: dict[str, Any] = {"reading": settings.reading(), "seed": settings.seed}
    own = is_own(settings)
    return [
        SurveyStep(heldout_frac=settings.heldout_frac, **shared),
        TokenizerStep(
            vocab=choose_vocab(settings) if own else None,
            exact=settings.vocab is not None,
            **shared,
        ),
        ShardsStep(shard_tokens=settings.shard_tokens, **shared),
    ]


def _enlarged(facts: dict[str, Any], wanted: float) -> str:
    share = facts["num_heldout_bytes"] / facts["num_bytes"]
    told = f"the held-out part has {share:.1%} of the bytes, not heldout_frac={wanted:g}: "
    return f"{told}a corpus this small gives more, so that its loss can be measured"


def _in_words(facts: dict[str, Any]) -> str:
    told = f"corpus: {facts['num_files']} files, {facts['num_documents']:,} documents, "
    told += f"{facts['num_bytes']:,} bytes; held out: {facts['num_heldout_documents']:,} documents"
    notes = [
        (facts["num_duplicates"], "duplicates, each on the side of its first"),
        (facts["num_empty"], "empty documents left out"),
        (facts["num_line_ends"], "line ends CRLF read as LF"),
        (len(facts["skipped_files"]), "files left out that are no text"),
    ]
    return "; ".join([told, *(f"{num:,} {what}" for num, what in notes if num)])
