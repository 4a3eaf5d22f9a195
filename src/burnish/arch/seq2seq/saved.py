"""Folders of encoder-decoder models: widths, weights, tokenizer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from burnish.arch.plan import Shape
from burnish.arch.seq2seq.beam import Hypothesis
from burnish.arch.seq2seq.decoding import decode_sources
from burnish.arch.seq2seq.forward import TokenPair
from burnish.arch.seq2seq.pairs import TextPair
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.arch.seq2seq.shapes import Shapes, make_seq2seq
from burnish.arch.tokenizer import encoder
from burnish.base.errors import InputError, MissingFileError, ModelError
from burnish.base.files import nearest_paths, read_json, write_json
from burnish.models.load import choose_device, read_tokenizer
from burnish.models.seq2seq import Seq2Seq

SHAPES, WEIGHTS, FORM = "seq2seq.json", "model.safetensors", 1


@dataclass(frozen=True, kw_only=True)
class Translator:
    """An encoder-decoder model in memory, with its tokenizer."""

    network: Seq2Seq
    tokenizer: Any
    end: int

    def encode(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Tokens of texts, without marks."""
        return [tuple(ids) for ids in encoder(self.tokenizer)(texts)]

    def encode_pairs(self, pairs: Sequence[TextPair]) -> list[TokenPair]:
        """Tokens of both sides."""
        sides = [self.encode([getattr(p, side) for p in pairs]) for side in ("source", "target")]
        return [TokenPair(source=s, target=t) for s, t in zip(*sides, strict=True)]

    def translate(self, texts: Sequence[str], search: BeamSettings) -> list[tuple[str, Hypothesis]]:
        """The best translation of each text."""
        found = decode_sources(self.network, self.encode(texts), search, end=self.end)
        return [(self.tokenizer.decode(one.tokens), one) for one in found]


def save_translator(translator: Translator, shapes: Shapes, folder: Path) -> None:
    """Write a folder that `open_translator` reads.

    Source: ours. Oracle: tests/arch/seq2seq/test_saved.py::test_opened_equals_saved
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    named = translator.network.named_parameters()  # each once, however often it is shared
    save_file({n: p.detach().cpu().contiguous() for n, p in named}, folder / WEIGHTS)
    translator.tokenizer.save_pretrained(folder)
    halves = {"encoder": asdict(shapes.encoder), "decoder": asdict(shapes.decoder)}
    write_json(folder / SHAPES, {"form": FORM, "end": translator.end, **halves})


def resolve_translator(spec: Path | str) -> Path:
    """The folder of a model, or that inside a run. Raises MissingFileError, ModelError."""
    path = Path(spec)
    if not path.exists():
        rule = "does not exist"
        raise MissingFileError("model", str(spec), rule, remedy=nearest_paths(path))
    for folder in (path, path / "model"):
        if (folder / SHAPES).is_file():
            return folder
    rule, remedy = f"must contain {SHAPES}", "Train one with burnish arch train"
    raise ModelError("model folder", str(spec), rule, remedy=remedy)


def open_translator(spec: Path | str, *, device: str = "auto") -> Translator:
    """Read a folder or a run. Raises ModelError where weights and widths do not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = resolve_translator(spec)
    told = read_json(folder / SHAPES)
    try:
        if told["form"] != FORM:
            raise ValueError(f"form {told['form']}")
        shapes = Shapes(encoder=Shape(**told["encoder"]), decoder=Shape(**told["decoder"]))
        network = make_seq2seq(shapes, told["end"])
        weights = load_file(folder / WEIGHTS)
        named = dict(network.named_parameters())
        if named.keys() != weights.keys():
            raise ValueError(f"weights of {len(weights)} names instead of {len(named)}")
        for name, parameter in named.items():
            parameter.data.copy_(weights[name])
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        got = str(error).splitlines()[0][:120]
        rule = "must be complete, and written by this version"
        remedy = "Train it again"
        raise ModelError(f"model folder {folder}", got, rule, remedy=remedy) from error
    network = network.to(choose_device(device)).eval().requires_grad_(False)
    return Translator(network=network, tokenizer=read_tokenizer(folder), end=told["end"])


def check_texts(texts: Sequence[str]) -> None:
    """Raise InputError for a text that says nothing."""
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise InputError(f"text {number}", text, "must not be empty", remedy="Write a text")
