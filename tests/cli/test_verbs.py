"""The Python front door: every command of the shell, under the same names, with the same result."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from fixtures.recalling import planted_curve

import burnish as door
from burnish.base.errors import IncompleteError, SettingError, UnknownNameError
from burnish.cli.main import make_app
from burnish.cli.verbs import keyword_names

Function = Callable[..., Any]


def leaves() -> dict[tuple[str, ...], Any]:
    """Every command of the shell, by its words."""

    def below(words: tuple[str, ...], command: Any) -> dict[tuple[str, ...], Any]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return {words: command}
        return {k: v for name, c in inner.items() for k, v in below((*words, name), c).items()}

    return below((), typer.main.get_command(make_app()))


LEAVES = leaves()


def verb_of(words: tuple[str, ...]) -> Any:
    """What Python finds under a command's words."""
    found: Any = door
    for word in words:
        found = getattr(found, word)
    return found


@pytest.fixture(scope="module", autouse=True)
def _every_submodule() -> None:
    """Import every module of the package: each becomes an attribute of its parent."""
    for module in pkgutil.walk_packages(door.__path__, "burnish."):
        importlib.import_module(module.name)


def check_coexist(words: tuple[str, ...]) -> None:
    """The verb is there, and it is what answers."""
    with pytest.raises(UnknownNameError, match=rf"burnish\.{'.'.join(words)} is not known"):
        verb_of(words)(no_such_option=1)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_verbs_and_submodules_coexist(words: tuple[str, ...]) -> None:
    check_coexist(words)


def test_planted_module_of_a_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(door.recall), "curve", ModuleType("burnish.recall.curve"))
    with pytest.raises(TypeError, match="not callable"):
        check_coexist(("recall", "curve"))


def test_no_module_has_a_verbs_name() -> None:
    package = Path(door.__file__).parent
    taken = [w for w in LEAVES if (package.joinpath(*w[:-1]) / f"{w[-1]}.py").exists()]
    assert taken == []
    assert [w for w in LEAVES if len(w) == 1 and (package / w[0]).is_dir()] == []


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_options_are_keyword_arguments(words: tuple[str, ...]) -> None:
    """Each option names an argument; each argument stands under its option's name."""
    own = inspect.signature(inspect.unwrap(verb_of(words))).parameters.values()
    accepted = {name for parameter in own for name in keyword_names(parameter)}
    options = {o for p in LEAVES[words].params for o in p.opts if o.startswith("--")}
    named = {o.strip("-").replace("-", "_") for o in options - {"--json", "--help"}}
    assert {"from_" if name == "from" else name for name in named} <= accepted
    assert all(p.name in keyword_names(p) for p in own)


def test_importing_is_instant_and_loads_nothing() -> None:
    code = "import sys; old = {*sys.modules}; import burnish; print(*({*sys.modules} - old))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("burnish")} == {"burnish"}
    assert {name.partition(".")[0] for name in loaded} <= sys.stdlib_module_names | {"burnish"}
    assert len(loaded) < 40
    code = (
        "import sys, burnish; burnish.recall.curve, burnish.improve; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_name_that_is_not_there() -> None:
    for owner in (door, door.recall):
        with pytest.raises(AttributeError, match="has no attribute 'curvy'"):
            owner.curvy  # noqa: B018
    assert {"improve", "recall", "load"} <= {*dir(door)}
    assert {"curve", "fit", "limits"} <= {*dir(door.recall)}


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Path]:
    """Small inputs."""
    curve = planted_curve([[1.0, 0.5, 0.2, 0.1]] * 3, [[0.1] * 4] * 3, [64, 128, 256, 512])
    pairs = [
        {"prompt": f"say {i}", "chosen": "yes " * (1 + i % 4), "rejected": "no " * (1 + i % 3)}
        for i in range(8)
    ]
    texts = {
        "curve.json": json.dumps(curve),
        "pairs.jsonl": "".join(json.dumps(row) + "\n" for row in pairs),
        "program.py": "def main():\n    print(input())\n\n\nmain()\n",
        "nodes.csv": "id,text,label\na,red,x\nb,blue,y\n",
        "edges.csv": "source,target\na,b\n",
        "problem.json": json.dumps({"code": "print(1)", "language": "python", "tests": [
            {"stdin": "", "stdout": "1\n"}]}),
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name.partition(".")[0]: tmp_path / name for name in texts}


def check_same(verb: Function, result: Any, done: Any) -> None:
    """Python's result is the shell's one JSON object."""
    assert json.loads(json.dumps(result)) == done.json, verb


def test_python_returns_what_json_prints(
    made: dict[str, Path], tiny_folder: Any, burnish: Any, tmp_path: Path
) -> None:
    model = tiny_folder()
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
        (door.critique.grade, (), {"gold": "1/2", "answer": 0.5}, "--gold 1/2 --answer 0.5"),
        (door.recall.fit, (made["curve"],), {}, f"{made['curve']}"),
        (door.arch.show, (model,), {}, f"{model}"),
        (door.models.show, (str(model),), {}, f"{model}"),
        (door.models.list, (), {}, ""),
        (door.models.get, (model,), {}, f"{model}"),
        (door.scaling.count, (model,), {"seq": 64}, f"{model} --seq 64"),
        (door.sandbox.detect, ([made["program"]],), {}, f"{made['program']}"),
        (door.prefer.audit, (made["pairs"],), {"model": model, "set": {"max_length_tokens": 40}},
         f"{made['pairs']} --model {model} --set max_length_tokens=40"),
        (door.graph.ingest, (tmp_path,), {"out": tmp_path / "graph"},
         f"{tmp_path} --out {tmp_path / 'graph'}"),
    ]  # fmt: skip
    for verb, words, options, line in calls:
        done = burnish(*verb.__qualname__.split("."), *line.split(), "--json")
        check_same(verb, verb(*words, **options), done)
    judged = door.sandbox.judge(made["problem"])
    assert judged["verdict"] == "accepted"
    assert door.sandbox.run(made["program"], stdin=made["curve"])["status"] == "accepted"


def test_planted_other_result(burnish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.critique import grading

    exact = grading.graded
    monkeypatch.setattr(grading, "graded", lambda *a, **k: exact(*a, **k) | {"reason": "other"})
    result = door.critique.grade(gold="1", answer="1")
    monkeypatch.setattr(grading, "graded", exact)
    done = burnish("critique", "grade", "--gold", "1", "--answer", "1", "--json")
    with pytest.raises(AssertionError):
        check_same(door.critique.grade, result, done)


def test_a_run_says_which_call_made_it(tiny_folder: Any, tmp_path: Path) -> None:
    books = tmp_path / "books.txt"
    books.write_text("".join(chr(97 + i * i % 26) + " " * (i % 5 == 0) for i in range(4000)))
    given = {"corpus": str(books), "cue_tokens": 4, "least_tokens": 20, "trials": 2}
    result = door.recall.curve(
        tiny_folder(), lengths="20,30", set=given, precision="fp32", runs=tmp_path / "runs"
    )
    assert "page" not in result and result["num_failed_lengths"] == 0
    info = json.loads((Path(result["run"]) / "run.json").read_text())
    (call,) = info["command"]
    assert call.startswith("burnish.recall.curve(") and "lengths='20,30'" in call
    assert door.report.show(result["run"])["points"] == result["points"]


def test_a_loaded_model_generates(tiny_folder: Any) -> None:
    model = door.load(str(tiny_folder()), precision="fp32")
    done = model.generate("abc", max_new_tokens=5, greedy=True)
    shell = door.generate(tiny_folder(), "abc", max_new_tokens=5, greedy=True, precision="fp32")
    assert (done.text, len(done.tokens)) == (shell["text"], shell["tokens"])
    with pytest.raises(SettingError, match="Did you mean 'top_p'"):
        model.generate("abc", top_pp=1)
    with pytest.raises(SettingError, match="prompt must not be empty"):
        model.generate(" ")


def test_wrong_arguments_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'lengths'"):
        door.recall.curve("m", lenghts="64")
    with pytest.raises(SettingError, match="argument lengths must be str"):
        door.recall.curve("m", lengths=True)
    with pytest.raises(SettingError, match="argument set must contain JSON values"):
        door.recall.curve("m", set={"trials": object()})
    with pytest.raises(SettingError, match="setting trils is not known"):
        door.recall.curve("m", set={"trils": 2})
    with pytest.raises(TypeError, match="model"):
        door.recall.curve()
    with pytest.raises(TypeError, match="two names of one argument"):
        door.arch.pretrain(params="3M", depth=2)
    path = tmp_path / "none.jsonl"
    path.write_text("")
    with pytest.raises(IncompleteError):
        door.prefer.audit(path)
