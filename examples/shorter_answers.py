"""Find how much of pairs.jsonl (prompt, chosen, rejected) is length; align without that part."""

import sys

import burnish

settings = dict(setting.split("=", 1) for setting in sys.argv[1:])
print(burnish.prefer.audit("pairs.jsonl")["intervals"])
curve = burnish.prefer.curve("pairs.jsonl")
alpha = min(max(curve["intervals"]["length_neutral_alpha"]["value"], 0.0), 1.0)
result = burnish.prefer.train("smollm2-135m", "pairs.jsonl", alpha=alpha, set=settings)
print("model:", result["model"])
