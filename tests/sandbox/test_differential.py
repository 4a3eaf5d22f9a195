"""Verdicts against a bare run of the tool chain: what it prints, and how it ends, is what counts.

The bare run shares nothing with the sandbox: a folder, the usual command line, a time limit.
"""

import shutil
import subprocess

import pytest
from fixtures.programs import DIALECTS, random_tree, write

from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import find_chain

COMMANDS = {  # the file, how a user compiles it, how a user runs it
    "bash": ("main.sh", "", "bash main.sh"),
    "c": ("main.c", "gcc -O2 -o main main.c -lm", "./main"),
    "cpp": ("main.cpp", "g++ -O2 -o main main.cpp", "./main"),
    "csharp": ("main.cs", "mcs -r:System.Core.dll main.cs", "mono main.exe"),
    "go": ("main.go", "go build -o main main.go", "./main"),
    "java": ("Main.java", "javac Main.java", "java Main"),
    "javascript": ("main.js", "", "node main.js"),
    "lua": ("main.lua", "", "lua5.4 main.lua"),
    "perl": ("main.pl", "", "perl main.pl"),
    "php": ("main.php", "", "php -d display_errors=stderr main.php"),
    "python": ("main.py", "", "python3 main.py"),
    "r": ("main.R", "", "Rscript main.R"),
    "ruby": ("main.rb", "", "ruby main.rb"),
    "rust": ("main.rs", "rustc -o main main.rs", "./main"),
    "typescript": ("main.ts", "", ""),  # no bare command runs it: its programs are JavaScript's
}
ENDS = {  # programs that end in other ways than by printing: exit codes, crashes, no program
    "bash": ["exit 3", "echo a; kill -SEGV $$", "if then fi ("],
    "c": ["int main(void) { return 3; }", "int main(void) { volatile int *p = 0; return *p; }",
          "int main(void) { return x; }", "#include <stdlib.h>\nint main(void) { abort(); }"],
    "cpp": ["int main() { return 3; }", "#include <vector>\nint main() { std::vector<int> v;"
            " return v.at(1); }", "int main() { return x; }"],
    "csharp": ["class A { static int Main() { return 3; } }", "class A { int x = ; }",
               "class A { static void Main() { throw new System.Exception(); } }"],
    "go": ["package main\nimport \"os\"\nfunc main() { os.Exit(3) }",
           "package main\nfunc main() { panic(1) }", "package main\nfunc main() { x := 1 }"],
    "java": ["class Main { public static void main(String[] a) { System.exit(3); } }",
             "class Main { public static void main(String[] a) { throw new RuntimeException(); } }",
             "class Main { int x = ; }"],
    "javascript": ["process.exit(3)", "throw new Error('x')", "let let = ;", "console.log(x)"],
    "lua": ["os.exit(3)", "error('x')", "x = = 1"],
    "perl": ["exit 3;", "die 'x';", "my $x = ;"],
    "php": ["<?php exit(3);", "<?php throw new Exception('x');", "<?php echo 1 echo 2;"],
    "python": ["exit(3)", "1 / 0", "def f(:", "import no_such_module", "print('é')"],
    "r": ["quit(status = 3)", "stop('x')", "x <- (("],
    "ruby": ["exit 3", "raise 'x'", "def ("],
    "rust": ["fn main() { std::process::exit(3) }", "fn main() { panic!() }",
             "fn main() { let x: i32 = \"a\"; }"],
}  # fmt: skip
QUICK = ("bash", "c", "python", "perl")


def bare(language, code, folder):
    """Exit code (1 for a compiler that refuses) and output of a run without any sandbox."""
    name, compiling, running = COMMANDS[language]
    (folder / name).write_text(code)
    options = {"cwd": folder, "capture_output": True, "timeout": 60, "check": False}
    if compiling and subprocess.run(compiling.split(), **options).returncode:
        return 1, ""
    done = subprocess.run(running.split(), stdin=subprocess.DEVNULL, **options)
    return done.returncode, done.stdout.decode()


def check_agreement(language, codes, folder, judged):
    for number, code in enumerate(codes):
        place = folder / str(number)
        place.mkdir()
        exit_code, output = bare(language, code, place)
        verdict = judged(code, output)
        assert (verdict == "accepted") == (exit_code == 0), (language, code, verdict, exit_code)
        if exit_code == 0:
            assert judged(code, output + "more") == "wrong_answer", (language, code)


@pytest.mark.parametrize(
    "language",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.scheduled) for n in sorted(ENDS)],
)
def test_verdicts_agree_with_a_bare_run(language, namespaces, tmp_path):
    check_agreement(language, programs(language), tmp_path, judge_as(language))


def programs(language):
    """Generated programs, and those that end in other ways."""
    if isinstance(chain := find_chain(find_language(language)), MissingToolChain):
        pytest.skip(chain.reason)
    if not shutil.which(COMMANDS[language][2].split()[0]) and COMMANDS[language][2][0] != ".":
        pytest.skip(f"{COMMANDS[language][2].split()[0]} is not on the path")
    seeds = (1, 2) if language in DIALECTS else ()
    made = [write(random_tree(seed), language).code for seed in seeds]
    return [*made, *ENDS[language]]


def judge_as(language):
    """The verdict on a program of a language whose output is known."""

    def judged(code, output):
        tests = [{"stdin": "", "stdout": output}]
        return judge(read_problem({"code": code, "language": language, "tests": tests})).verdict

    return judged


def test_all_languages_are_run_bare():
    assert sorted(COMMANDS) == sorted([*ENDS, "typescript"])


def test_planted_judge_that_ignores_exit_codes(namespaces, tmp_path):
    def careless(code, output):
        found = judge_as("bash")(code, output)
        return "accepted" if found == "runtime_error" else found

    with pytest.raises(AssertionError):
        check_agreement("bash", ENDS["bash"], tmp_path, careless)
