"""Load a model once, and write several texts with it."""

import burnish

model = burnish.load("smollm2-135m")
print(model.generate("The capital of France is", max_new_tokens=8, greedy=True).text)
print(model.generate("Name a river in Europe.", chat=True, max_new_tokens=16, seed=1).text)
