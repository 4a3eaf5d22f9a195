"""Improve a model on the tasks of tasks.jsonl, and say whether it got better.

A row: {"prompt": "What is 12 + 30?", "answer": "42", "checker": "number"}. Repeat the script after
an interruption: finished stages are kept.
"""

import sys

import burnish

settings = dict(setting.split("=", 1) for setting in sys.argv[1:])  # for example rounds=1
result = burnish.improve("smollm2-135m", tasks="tasks.jsonl", set=settings)
for gate in result["gates"]:
    print(gate["name"], gate["outcome"])
print("model:", result["model"])
print("report:", result["run"] + "/report/index.html")
