"""What the tour's jobs work on: drawn with the seed, or taken from Python's standard library."""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.data.corpora import parse_corpus

LEAST_LINES, MOST_LINES = 6, 30  # of a function that is worth comparing
CHUNK_CHARS = 2000
TRIES = 100  # in a row that bring no new prompt
CLASSES = {
    "river": ("water", "fish", "bank", "bridge", "boat"),
    "forest": ("tree", "leaf", "moss", "deer", "path"),
    "city": ("street", "tram", "house", "market", "lamp"),
}
NOISE = tuple(
    [
        "old",
        "new",
        "small",
        "grey",
        "near",
        "far",
        "calm",
        "loud",
        "warm",
        "cold",
        "long",
        "early",
        "late",
        "quiet",
    ]
)
PROMPTS = (
    "Name three things that one finds in a {noun}.",
    "Write the line '{noun} and {other}' five times.",
    "Count from {low} to {high}, separated by commas.",
    "Repeat this sentence twice: The {noun} was older than the {other}.",
)


@dataclass(frozen=True)
class Template:
    """A function of one number: how a task words it, its Python, and what it computes."""

    words: str
    code: str
    value: Callable[[int, int], Any]


TEMPLATES = (
    Template("the sum of x and {a}", "x + {a}", lambda x, a: x + a),
    Template("{a} times x", "{a} * x", lambda x, a: a * x),
    Template("x minus {a}", "x - {a}", lambda x, a: x - a),
    Template("the square of x, plus {a}", "x * x + {a}", lambda x, a: x * x + a),
    Template("the larger of x and {a}", "max(x, {a})", lambda x, a: max(x, a)),
    Template("the remainder of x divided by {a}", "x % {a}", lambda x, a: x % a),
    Template("True if x is larger than {a}, else False", "x > {a}", lambda x, a: x > a),
    Template("the number of digits of x plus {a}", "len(str(x + {a}))",
             lambda x, a: len(str(x + a))),
)  # fmt: skip


def program_rows(num: int, *, seed: int) -> list[dict[str, Any]]:
    """Rows in MBPP's form, each with a right program and three tests.

    Source: ours. Oracle: tests/recipes/test_touring.py::test_reference_programs_pass_their_tests
    """
    rng, rows = stream(seed, "tour", "programs"), list[dict[str, Any]]()
    while len(rows) < num:
        one, a = TEMPLATES[int(rng.integers(len(TEMPLATES)))], int(rng.integers(2, 60))
        name = f"f{len(rows)}"
        values = [int(x) for x in rng.choice(99, 3, replace=False)]
        rows.append(
            {
                "task_id": len(rows),
                "text": f"Write a function {name}(x) that returns {one.words.format(a=a)}.",
                "code": f"def {name}(x):\n    return {one.code.format(a=a)}\n",
                "test_list": [f"assert {name}({x}) == {one.value(x, a)!r}" for x in values],
            }
        )
    return rows


def preference_rows(num: int, *, seed: int) -> list[dict[str, str]]:
    """Right over wrong sums; the right answer is the longer one in three of four rows.

    Source: ours. Oracle: tests/recipes/test_touring.py::test_chosen_answers_are_right_and_longer
    """
    rng, rows = stream(seed, "tour", "pairs"), list[dict[str, str]]()
    for _ in range(num):
        a, b = (int(x) for x in rng.integers(10, 90, 2))
        wrong = a + b + int(rng.choice([-10, -2, -1, 1, 2, 10]))
        long, short = "The sum of {a} and {b} is {c}.", "{c}"
        chosen, rejected = (long, short) if rng.random() < 0.75 else (short, long)
        rows.append(
            {
                "prompt": f"What is {a} + {b}?",
                "chosen": chosen.format(a=a, b=b, c=a + b),
                "rejected": rejected.format(a=a, b=b, c=wrong),
            }
        )
    return rows


def prompt_rows(num: int, *, seed: int) -> list[dict[str, str]]:
    """Different prompts with short and with repetitive answers, in turns.

    Raises SettingError for more prompts than there are.
    """
    rng, drawn = stream(seed, "tour", "prompts"), dict[str, None]()
    index, newest = 0, 0
    while index - newest < TRIES:
        noun, other = rng.choice(sorted(CLASSES), 2, replace=False)
        low = int(rng.integers(1, 50))
        given = {"noun": noun, "other": other, "low": low, "high": low + 12}
        prompt = PROMPTS[index % len(PROMPTS)].format(**given)
        newest = newest if prompt in drawn else index
        drawn[prompt] = None
        if len(drawn) == num:
            return [{"prompt": prompt} for prompt in drawn]
        index += 1
    rule = "must not exceed the prompts that differ"
    raise SettingError("material.prompts", num, rule, remedy="Lower it")


def text_rows(num_chars: int, *, seed: int) -> list[dict[str, str]]:
    """Stretches of the standard library's source, from modules in an order drawn with the seed."""
    rng, rows, total = stream(seed, "tour", "texts"), list[dict[str, str]](), 0
    documents = parse_corpus("stdlib").documents()
    for place in rng.permutation(len(documents)):
        text = documents[place].read()
        for start in range(0, len(text), CHUNK_CHARS):
            rows.append({"text": text[start : start + CHUNK_CHARS]})
            total += len(rows[-1]["text"])
            if total >= num_chars:
                return rows
    return rows


def functions(num: int, *, seed: int) -> list[ast.FunctionDef]:
    """Functions of the standard library with a docstring, of different names."""
    rng, found = stream(seed, "tour", "functions"), dict[str, ast.FunctionDef]()
    documents = parse_corpus("stdlib").documents()
    for place in rng.permutation(len(documents)):
        own = [node for node in _functions_in(documents[place].read()) if node.name not in found]
        found |= {node.name: node for node in own[:4]}
        if len(found) >= num:
            break
    return list(found.values())[:num]


def _functions_in(text: str) -> Iterator[ast.FunctionDef]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # a module for another Python
        return
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
            lines = (node.end_lineno or node.lineno) - node.lineno
            if LEAST_LINES <= lines <= MOST_LINES:
                yield node


def benchmark_row(node: ast.FunctionDef) -> dict[str, str]:
    """A task of a benchmark: say what the function does, have it written."""
    return {
        "id": node.name,
        "prompt": f"Write {node.name}: {ast.get_docstring(node)}",
        "solution": ast.unparse(node),
    }


def pool_row(node: ast.FunctionDef, name: str) -> dict[str, str]:
    """A row of a training pool that holds the function as it is."""
    prompt = f"Explain and write this function. {ast.get_docstring(node)}"
    return {"id": name, "prompt": prompt, "answer": f"```python\n{ast.unparse(node)}\n```"}


def renamed_row(node: ast.FunctionDef, name: str, rng: np.random.Generator) -> dict[str, str]:
    """A row that leaks: the function under other names, without its docstring.

    Source: ours. Oracle: tests/recipes/test_touring.py::test_planted_copies_share_no_name
    """
    copy = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(copy, ast.FunctionDef)
    own = sorted({a.arg for a in ast.walk(copy) if isinstance(a, ast.arg)} | stored_names(copy))
    names = {old: f"v{place}" for old, place in zip(own, rng.permutation(len(own)), strict=True)}
    _Renamer(names | {copy.name: f"g{int(rng.integers(1000))}"}).visit(copy)
    copy.body = copy.body[1:] or [ast.Pass()]
    prompt = "Here is a helper that I once wrote. What does it do?"
    return {"id": name, "prompt": prompt, "answer": f"```python\n{ast.unparse(copy)}\n```"}


def stored_names(node: ast.FunctionDef) -> set[str]:
    """Local variables of a function."""
    return {
        one.id for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }  # fmt: skip


class _Renamer(ast.NodeTransformer):
    """Renames arguments, variables and the function."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self.names.get(node.arg, node.arg)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)


def graph_rows(num: int, *, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Nodes (id, text, label) and edges of a graph whose neighbours mostly share a class.

    One node in two says words of its class; the others can be told by their neighbours only.
    Source: ours. Oracle: tests/recipes/test_touring.py::test_neighbours_share_a_class
    """
    rng = stream(seed, "tour", "graph")
    labels = [sorted(CLASSES)[int(c)] for c in rng.integers(0, len(CLASSES), num)]
    nodes = []
    for index, label in enumerate(labels):
        words = [str(word) for word in rng.choice(NOISE, 5)]
        if index % 2:
            words += [str(word) for word in rng.choice(CLASSES[label], 2)]
        nodes.append([f"n{index:03d}", " ".join(words), label])
    edges = []
    for index, label in enumerate(labels):
        same = [other for other in range(num) if other != index and labels[other] == label]
        others: Sequence[int] = same if rng.random() < 0.85 and same else range(num)
        picked = [int(one) for one in rng.choice(others, 3)]
        edges += [[f"n{index:03d}", f"n{one:03d}"] for one in picked if one != index]
    return nodes, edges
