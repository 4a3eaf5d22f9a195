"""The facts of `models show`, against transformers' own parameters."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.tiny import ADAPTED, DECODERS, EXPERTS

from burnish.base.errors import UnknownNameError
from burnish.base.files import write_json
from burnish.models.describe import _element_bytes, describe


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS, *ADAPTED])
def test_facts(family: str, tiny_folder: Any, tiny_reference: Any) -> None:
    facts, reference = describe(str(tiny_folder(family))), tiny_reference(family)
    assert facts["num_params"] == sum(p.numel() for p in reference.parameters())
    embedding = reference.get_input_embeddings().weight.numel()
    assert facts["num_embedding_params"] == embedding
    assert facts["family"] == reference.config.model_type
    assert facts["engine"] == ("decoder" if family not in ADAPTED else "adapter")
    assert Path(facts["folder"]) == tiny_folder(family)
    assert ("flops_per_token" in facts) == (family not in ADAPTED)


@pytest.mark.parametrize(
    ("config", "num_bytes"),
    [
        ({"dtype": "bfloat16"}, 2), ({"torch_dtype": "float16"}, 2), ({"dtype": "float32"}, 4),
        ({}, 4), ({"dtype": None, "torch_dtype": "bfloat16"}, 2),
    ],
)  # fmt: skip
def test_the_width_of_a_number(config: dict[str, Any], num_bytes: int, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", config)
    assert _element_bytes(tmp_path) == num_bytes


def test_unknown_model() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'smollm2-135m'"):
        describe("smollm2-136m")


def test_no_weights_are_read(tiny_folder: Any, tmp_path: Path) -> None:
    for family in ("llama", "gpt2"):
        folder = tmp_path / family
        folder.mkdir()
        (folder / "config.json").write_bytes((tiny_folder(family) / "config.json").read_bytes())
        assert describe(str(folder))["num_params"] > 1000
