"""Programs and texts that people bring: every row of ../shared/cases/sandbox.jsonl, and detect/."""

import functools

import pytest
from fixtures.cases import ABSENT, CASES, read_cases

from burnish.sandbox.detection import detect
from burnish.sandbox.files import detect_files
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import find_chain

SLOW = {"java", "typescript", "csharp", "go", "cpp"}  # seconds to compile or to start
IDS = {
    "bash": "16k-unicode-bash",
    "c": "01b-nan-c 16d-c-mpi",
    "cpp": "02a-nonutf8-cpp 10b-cpp-bss-untouched 16g-cpp-int128 21a-cpp-reserve",
    "csharp": "23h-csharp-linq",
    "go": "09c-go-32m 19d-go-unused 22p-go-asserts",
    "java": (
        "05e-java-deep 08a-java-escaped-newline 08b-java-any-name 08d-java-char-brace "
        "08f-java-package 08g-java-interface-first 08h-java-apostrophe-comment 09b-java-64m "
        "10c-java-oom"
    ),
    "javascript": "04d-node-dev-stdin 04e-node-fd0 14e-js-exit 22k-js-deep-equal",
    "lua": "16m-lua-numbers 22q-lua-assert",
    "perl": "16j-unicode-perl",
    "php": "04g-php-stdin 16a-php-warning 16b-php-ctype 22n-php-assert",
    "python": (
        "01c-overflow-big-ints 02b-nonutf8-equals-replacement "
        "03b-guard-in-solution-reads-input 03c-guard-in-solution-unittest "
        "03d-guard-in-tests-skipped 03f-tests-are-unittest-right 04a-stdin-buffer 04b-open0 "
        "05b-py-recursion-endless 05c-py-lru-cache-deep 05f-py-thread-stack "
        "05h-asserts-segfault 06a-permuted-lines 07a-raise-none 07b-none-is-none "
        "07d-int-off-by-one-big 07e-int-huge 07f-class-solution-call 10e-py-oom "
        "11a-empty-vs-list 11c-float-rounding 13a-range 13c-endless-generator "
        "13e-date-argument 13f-array 13g-namedtuple-dataclass 13i-mutates-nested "
        "13j-bom-asserts 14b-exit-in-function 14c-exit-after-answer 15a-trailing 15c-lone-cr "
        "15d-empty 17a-thread-after-main 17c-multiprocessing 17d-file-in-cwd 17f-input-eof "
        "17g-sleep-beyond 19a-checker-any-order 19b-checker-crash 22a-numpy-assert "
        "22b-big-list 22g-async 22h-enum 22j-tree-arg 25b-type-argument 25d-int-vs-float-call "
        "25e-partial-output-time-limit 25f-iter-class 25h-pytest-raises "
        "26b-stderr-with-exit-0"
    ),
    "ruby": "04h-ruby-gets-nil 16c-ruby-prime 16h-unicode-all-ruby 22m-ruby-asserts",
    "typescript": "19e-ts 23a-ts-array-at 23d-ts-top-await 23e-ts-type-error",
}
TEXTS = ("Makefile", "letter", "main.hs", "main.jl", "main.swift", "obj.json")
ROWS = [
    pytest.param(language, name, id=name, marks=[pytest.mark.scheduled] * (language in SLOW))
    for language, names in IDS.items()
    for name in names.split()
]


@functools.cache
def row_of(name):
    return {row["id"]: row for row in read_cases("sandbox.jsonl")}[name]


@pytest.mark.parametrize(("language", "name"), ROWS)
def test_the_row_is_judged_as_expected(language, name, namespaces):
    row = row_of(name)
    assert row["problem"]["language"] == language
    if isinstance(chain := find_chain(find_language(language)), MissingToolChain):
        pytest.skip(f"{name}: {chain.reason}")
    result = judge(read_problem(row["problem"]))
    if "numpy" in row["problem"]["code"] and "No module named 'numpy'" in result.reason:
        pytest.skip(f"{name}: numpy is not installed for the interpreter that judges")
    found = result.verdict.value, result.reason, result.tests[0].stderr
    assert found[0] in row["expected"].split("|"), found


def test_every_row_has_a_test():
    names = [row["id"] for row in read_cases("sandbox.jsonl")]
    assert len(names) == len(set(names))
    assert set(names) == {name for ids in IDS.values() for name in ids.split()}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_has_no_language(name):
    path = CASES / "detect" / f"{name}.txt"
    if not path.exists():
        pytest.skip(ABSENT)
    assert detect_files([path])[0]["language"] is None
    assert detect(path.read_text("utf-8")).language is None


def test_every_text_has_a_test():
    if not CASES.exists():
        pytest.skip(ABSENT)
    assert {path.name for path in (CASES / "detect").iterdir()} == {f"{t}.txt" for t in TEXTS}
