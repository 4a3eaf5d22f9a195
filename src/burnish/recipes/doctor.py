"""What `burnish doctor` finds out."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from burnish.base.provenance import host, versions

OPTIONAL = {"ray": 'pip install "burnish[ray]"', "vllm": "run it as a server: openai:URL#name"}


def examine() -> dict[str, Any]:
    """Facts about this machine, each a short text or number."""
    import torch

    from burnish.kernels.build import build
    from burnish.models.cache import EMBEDDED, cache_folder, embedded_folder
    from burnish.models.load import choose_device
    from burnish.models.precision import choose_precision, probe

    device = choose_device("auto")
    times = probe()
    dtype, _ = choose_precision("auto", device)
    ratio = times["fp32"] / times["bf16"]
    place = next(p for p in (cache_folder(), *cache_folder().parents) if p.exists())
    facts: dict[str, Any] = {f"host {name}": value for name, value in host().items()}
    facts |= {
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "torch threads": torch.get_num_threads(),
        "precision": f"{str(dtype).removeprefix('torch.')} (bf16 is {ratio:.1f}x fp32 here)",
        "kernels": build().reason,
        "offline": "yes" if os.environ.get("HF_HUB_OFFLINE") == "1" else "no",
        "cache": str(cache_folder()),
        "free disk": f"{shutil.disk_usage(place).free / 1e9:.0f} GB",
    }
    for name, model in EMBEDDED.items():
        cached = embedded_folder(name).exists()
        facts[f"model {name}"] = (
            "cached" if cached else f"not fetched, {model.num_bytes / 1e6:.0f} MB on first use"
        )
    for name, remedy in OPTIONAL.items():
        found = importlib.util.find_spec(name) is not None
        facts[f"optional {name}"] = "installed" if found else f"not installed ({remedy})"
    facts["git"] = shutil.which("git") or "not found: runs record no commit"
    facts["working folder"] = str(Path.cwd())
    return facts | {f"version {name}": text for name, text in versions().items()}
