"""Run a program in the sandbox, then judge one by its tests."""

import json
from pathlib import Path

import burnish

ran = burnish.sandbox.run("program.py", limit=["cpu_s=2", "memory_bytes=200000000"])
print(ran["status"], ran["stdout"], ran["attestation"])

tests = [{"stdin": "1 2", "stdout": "3"}, {"stdin": "2 2", "stdout": "5"}]
problem = {"code": "print(sum(map(int, input().split())))", "language": "python", "tests": tests}
Path("problem.json").write_text(json.dumps(problem))
judged = burnish.sandbox.judge("problem.json")
print(judged["verdict"], judged["passed"], "of", judged["total"])
