"""Plan the model and data of a training budget with a published scaling law."""

import json
from pathlib import Path

import burnish

for flops in (1e19, 1e20, 1e21):
    plan = burnish.scaling.plan(flops=flops)
    print(flops, json.loads(Path(plan["plan_file"]).read_text()))
