"""SnapKV of kvpress on given tokens: runs in an interpreter that has kvpress, not burnish.

Reads one JSON object from stdin (model, keep_tokens, threads, texts), prints one.
"""

import contextlib
import json
import sys
import time
from importlib.metadata import version

import torch
from kvpress import SnapKVPress
from transformers import AutoModelForCausalLM, DynamicCache

asked = json.load(sys.stdin)
torch.set_num_threads(asked["threads"])
model = AutoModelForCausalLM.from_pretrained(
    asked["model"], dtype=torch.float32, attn_implementation="sdpa"
)


def answered(text):
    """Read a text once under the press, then ask; what a question added is taken out again."""
    ids, cache = torch.tensor([text["ids"]]), DynamicCache()
    press = SnapKVPress(compression_ratio=1 - asked["keep_tokens"] / ids.shape[1])
    begun = time.perf_counter()
    with press(model):
        model.model(input_ids=ids, past_key_values=cache)
    read_s, kept = time.perf_counter() - begun, cache.get_seq_length()
    found = {"read_s": read_s, "first_s": [], "answers": [], "read_tokens": kept}

    def step(tokens, at):
        places = torch.arange(at, at + len(tokens))[None]
        out = model(
            input_ids=torch.tensor([tokens]), past_key_values=cache, position_ids=places,
            logits_to_keep=1,
        )  # fmt: skip
        return int(out.logits[0, -1].argmax())

    for question, num in text["questions"]:
        begun, at = time.perf_counter(), ids.shape[1]
        tokens = [step(question, at)]
        found["first_s"].append(time.perf_counter() - begun)
        at += len(question)
        while len(tokens) < num:
            tokens.append(step(tokens[-1:], at))
            at += 1
        found["answers"].append(tokens)
        cache.crop(kept - cache.get_seq_length())
    return found


with torch.inference_mode(), contextlib.redirect_stdout(sys.stderr):
    rows = [answered(text) for text in asked["texts"]]
print(json.dumps({"texts": rows, "version": version("kvpress"),
                  "transformers": version("transformers")}))  # fmt: skip
