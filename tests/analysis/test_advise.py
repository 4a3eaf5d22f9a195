"""What a model proposes counts only if the tests pass; the model is a plain function here."""

import dataclasses

from burnish.analysis.advise import correct, correct_repeatedly, refine, translate
from burnish.analysis.analyze import analyze
from burnish.sandbox.judging import judge
from burnish.sandbox.problem import Problem, StdioTest

# The program and the refinement that the paper's Fig. 7 prints, comments left out.
FIGURE_7 = """\
def find_interesting_numbers():
    T = int(input())
    for _ in range(T):
        M = int(input())
        interesting_nums = []
        for A in range(1, M + 1):
            for B in range(A, M + 1):
                if (A * B) % M == 0:
                    if (A * B) // M == A + B:
                        interesting_nums.append(A)
                        break
        interesting_nums = sorted(set(interesting_nums))
        print(len(interesting_nums))
        for num in interesting_nums:
            print(num)
find_interesting_numbers()
"""
REFINED = """\
def find_interesting_numbers():
    T = int(input("Enter the number of test cases: "))
    for _ in range(T):
        divisor = int(input("Enter a positive integer M: "))
        interesting_nums = set()
        for interesting_num in range(1, divisor + 1):
            if (divisor % interesting_num) == 0:
                multiplier = (divisor // interesting_num) + interesting_num
                if (interesting_num * multiplier) % divisor == 0:
                    interesting_nums.add(interesting_num)
        interesting_nums = sorted(interesting_nums)
        print(len(interesting_nums))
        for num in interesting_nums:
            print(num)
find_interesting_numbers()
"""
TESTS = (StdioTest(stdin="2\n1\n2\n", stdout="0\n0\n"),)
DOUBLE = Problem(
    code="print(int(input()))\n",
    language="python",
    tests=(StdioTest(stdin="3\n", stdout="6\n"),),
)


def fenced(code, language="python"):
    return f"I changed this:\n```{language}\n{code}```\n"


def test_the_papers_own_refinement_is_refused(sandbox_cache):
    problem = Problem(code=FIGURE_7, language="python", tests=TESTS)
    assert judge(problem).verdict == "accepted"
    analysis = analyze(FIGURE_7, "python", run=False)
    proposal = refine("Interesting numbers.", problem, analysis, lambda prompt: fenced(REFINED))
    assert not proposal.kept
    assert proposal.code == FIGURE_7
    assert proposal.proposed == REFINED


def test_a_refinement_that_keeps_the_tests_is_kept(sandbox_cache):
    problem = Problem(code=FIGURE_7, language="python", tests=TESTS)
    better = FIGURE_7.replace("interesting_nums", "found")
    analysis = analyze(FIGURE_7, "python", run=False)
    proposal = refine("Interesting numbers.", problem, analysis, lambda prompt: fenced(better))
    assert proposal.kept and proposal.code == better


def test_a_correction_sees_the_verdict(sandbox_cache):
    seen = []

    def ask(prompt):
        seen.append(prompt)
        return fenced("print(2 * int(input()))\n")

    proposal = correct("Double it.", DOUBLE, judge(DOUBLE), ask)
    assert proposal.kept and "wrong_answer" in seen[0]


def test_corrections_end_when_it_is_right(sandbox_cache):
    tries = iter(["print(1)\n", "print(2 * int(input()))\n", "never asked"])
    proposals = correct_repeatedly("Double it.", DOUBLE, lambda prompt: fenced(next(tries)))
    assert [p.kept for p in proposals] == [False, True]


def test_a_translation_is_judged_in_its_language(sandbox_cache):
    right = dataclasses.replace(DOUBLE, code="print(2 * int(input()))\n")
    analysis = analyze(right.code, "python", run=False)
    answer = fenced("read n\necho $((2 * n))\n", "bash")
    proposal = translate("Double it.", right, analysis, lambda prompt: answer, target="bash")
    assert proposal.kept and proposal.judged.language == "bash"
