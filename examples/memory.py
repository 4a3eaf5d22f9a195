"""Measure how far back a model remembers, and what limits it."""

import burnish

curve = burnish.recall.curve("smollm2-135m", lengths="64:512:x2", mode="probe", set={"trials": 4})
for point in curve["points"]:
    print(point["length"], point["copy"]["value"], point["lm"]["value"])
print(burnish.recall.fit(curve["run"]))
