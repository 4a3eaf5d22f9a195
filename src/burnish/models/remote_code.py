"""Folders of models with a solver, which contain code for transformers.

`config.json` names the class by `auto_map`; the code is that of `solver` and `modeling_pcformer`,
without what only burnish has. Burnish itself never runs a folder's code.
"""

import ast
import importlib.util
from pathlib import Path
from typing import Any

from burnish.base.errors import ModelError
from burnish.base.files import read_json, write_json
from burnish.models.config import SOLVER, DecoderConfig

PREFIX = "pcformer_"
MODULES = ("solver_config", "solver", "modeling_pcformer")
CODE = "modeling_pcformer"
CLASSES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "mixtral": "Mixtral",
    "qwen2_moe": "Qwen2Moe",
    "qwen3_moe": "Qwen3Moe",
}


def write_remote_code(shape: DecoderConfig, folder: Path) -> None:
    """Make a saved folder one that `AutoModelForCausalLM` loads with `trust_remote_code=True`.

    Source: transformers, "Customizing models". Departure: none.
    Oracle: tests/models/test_remote_code.py::test_transformers_gives_the_same_logits
    """
    name = CLASSES[shape.family]
    config = read_json(folder / "config.json")
    config |= {
        "model_type": PREFIX + shape.family,
        "architectures": [f"PCformer{name}ForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{CODE}.PCformer{name}Config",
            "AutoModelForCausalLM": f"{CODE}.PCformer{name}ForCausalLM",
        },
    }
    write_json(folder / "config.json", config)
    for module in MODULES:
        (folder / f"{module}.py").write_text(portable_source(module), encoding="utf-8")


def has_solver(folder: Path) -> bool:
    """Whether this is such a folder."""
    kind = str(read_json(folder / "config.json").get("model_type"))
    return kind.startswith(PREFIX) and kind.removeprefix(PREFIX) in CLASSES


def solver_config(folder: Path) -> Any:
    """The configuration of such a folder, as that of its family.

    Raises ModelError where the solver's settings are missing.
    Source: ours. Oracle: tests/models/test_remote_code.py::test_our_decoder_reads_its_own_folder
    """
    given = read_json(folder / "config.json")
    family = str(given["model_type"]).removeprefix(PREFIX)
    if not isinstance(given.get(SOLVER), dict):
        rule, remedy = "must contain the solver's settings", "Write the folder again"
        raise ModelError("config.json", str(folder), rule, remedy=remedy)
    from transformers import AutoConfig

    left = {"model_type", "auto_map", "architectures", "transformers_version"}
    fields = {name: value for name, value in given.items() if name not in left}
    return AutoConfig.for_model(family, **fields)


def portable_source(module: str) -> str:
    """A module of this package that stands on torch and transformers alone.

    Shapes in annotations and their import are left out, and the package's modules are relative.
    """
    spec = importlib.util.find_spec(f"burnish.models.{module}")
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping":
            continue
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("burnish.models."):
            node.module, node.level = str(node.module).rsplit(".", 1)[1], 1
        body.append(node)
    tree.body = body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            arguments = node.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                argument.annotation = None
    return ast.unparse(tree) + "\n"
