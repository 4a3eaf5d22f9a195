"""Models behind the sandbox's advice, and program tasks by their spec."""

import json

from burnish.contracts.generation import Completion
from burnish.data.sources import load_tasks
from burnish.recipes import answers
from burnish.recipes.programs import ask_model, problem_of


class Parrot:
    """A writer that repeats what it is asked."""

    def check_chat(self):
        """It has a template."""

    def chat(self, messages, sampling):
        """Say the last message again."""
        text = messages[-1]["content"]
        return Completion(id="text", tokens=(), text=text, finish="stop", num_passes=1)


def test_a_model_answers_what_it_is_asked(monkeypatch):
    monkeypatch.setattr(answers, "load", lambda spec: Parrot())
    ask = ask_model("anything")
    assert ask("hello") == "hello"


def test_tasks_by_their_spec(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"prompt": "Print 1.", "tests": [{"stdin": "", "stdout": "1\n"}], "limits": {"cpu_s": 3}}
    path.write_text(json.dumps(row) + "\n")
    (task,) = load_tasks(f"programs:{path}?language=lua", seed=0)
    assert task.checker == "programs"
    problem = problem_of(task, "print(1)")
    assert (problem.language, problem.limits.cpu_s) == ("lua", 3)


def test_what_an_answer_leaves_out_is_put_before_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"query": "q", "prompt": "import math\n", "completion": "def f():\n    return 1\n"}
    path.write_text(json.dumps(row | {"test": "def check(f): ...", "entry_point": "f"}) + "\n")
    (task,) = load_tasks(f"programs:{path}", seed=0)
    assert problem_of(task, "x = 1").code == "import math\n\nx = 1"
    assert problem_of(task, "import math\nx = 1").code == "import math\nx = 1"
