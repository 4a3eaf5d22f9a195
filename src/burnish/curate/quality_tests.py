"""Where the tests of an answer come from: its row, a model, or other answers to its question."""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from burnish.base.meter import Meter
from burnish.contracts.generation import Sampling
from burnish.curate.programs import Definitions
from burnish.curate.quality import RowTests, TestSource, calls_own, is_test
from burnish.curate.samples import Sample
from burnish.curate.settings import BY_MODEL, names_model
from burnish.models.handle import ModelHandle

MAX_QUESTION = 4000  # characters of a question that a model is shown
ANSWER_TOKENS = 512
PROMPT = """\
Write {num} tests for a solution of the programming task below. The solution defines {names}.
Each test is one line of Python that begins with `assert`, calls the function with literal
arguments, and compares the result with the literal value that the task demands. Write nothing
but these lines.

Task:
{question}
"""


def model_of(source: str) -> ModelHandle | None:
    """The model of `model:NAME`, if one is named."""
    return ModelHandle(source.removeprefix(BY_MODEL)) if names_model(source) else None


def source_of(handle: ModelHandle | None, meter: Meter) -> TestSource:
    """What gives the tests of single answers."""
    return RowTests() if handle is None else ModelTests(handle=handle, meter=meter)


def read_tests(text: str, program: Definitions, most: int) -> list[str]:
    """The asserts of a model's text that call the program; prose and fences are left out.

    Source: ours. Oracle: tests/curate/test_quality_tests.py::test_a_model_is_asked_once_an_answer
    """
    lines = (re.sub(r"^[-*\d.)\s]*(?=assert\b)", "", line).strip() for line in text.splitlines())
    asserts = [line for line in lines if line.startswith("assert") and is_test(line)]
    good = [test for test in dict.fromkeys(asserts) if calls_own(test, program)]
    return good[:most]


@dataclass(frozen=True, kw_only=True)
class ModelTests:
    """Asks a model for tests of each answer. It sees the question and the functions' names alone.

    So a test cannot inherit a bug of the answer.
    Source: XCoder, arXiv 2409.03810, section 3.2: a tuned 70B model writes twelve tests.
    Departure: any model, which is not shown the answer.
    Oracle: tests/curate/test_quality_tests.py::test_a_model_is_asked_once_an_answer
    """

    handle: ModelHandle
    meter: Meter

    def of(
        self, samples: Sequence[Sample], programs: Sequence[Definitions | None], most: int
    ) -> list[list[str]]:
        """Tests of every sample; none for one that has no program.

        Raises what `answer_all` raises.
        """
        from burnish.engine.answers import Answering, Prompt, answer_all

        pairs = list(zip(samples, programs, strict=True))
        questions = {i: _question(s, p, most) for i, (s, p) in enumerate(pairs) if p is not None}
        distinct = {text: f"tests-{n}" for n, text in enumerate(dict.fromkeys(questions.values()))}
        sampling = Sampling(max_new_tokens=ANSWER_TOKENS)
        prompts = [
            Prompt(id=id, content=({"role": "user", "content": text},), sampling=sampling)
            for text, id in distinct.items()
        ]
        how = Answering(label="write tests", unit="question")
        done = answer_all(self.handle, prompts, meter=self.meter, how=how)
        texts = {found.id: found.text for found in done}
        return [
            read_tests(texts[distinct[questions[i]]], program, most) if program is not None else []
            for i, (_, program) in enumerate(pairs)
        ]


def _question(sample: Sample, program: Definitions, most: int) -> str:
    names = ", ".join(f"`{name}`" for name in program.functions)
    question = sample.question[:MAX_QUESTION]
    return PROMPT.format(num=most, names=names, question=question)


def call_of(test: str, names: Iterable[str]) -> str:
    """The arguments of a test's call of one of these functions, as source; "" without one.

    Only literal arguments count: what a test computes may depend on the answer.
    """
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            try:
                for value in node.args:
                    ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
            if node.args and not node.keywords:
                return ", ".join(ast.unparse(value) for value in node.args)
    return ""
