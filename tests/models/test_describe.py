"""The facts of `models show`, against transformers' own parameters."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.tiny import ADAPTED, DECODERS, EXPERTS

from burnish.base.errors import UnknownNameError
from burnish.models.describe import describe


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


def test_unknown_model() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'smollm2-135m'"):
        describe("smollm2-136m")


def test_no_weights_are_read(tiny_folder: Any, tmp_path: Path) -> None:
    for family in ("llama", "gpt2"):
        folder = tmp_path / family
        folder.mkdir()
        (folder / "config.json").write_bytes((tiny_folder(family) / "config.json").read_bytes())
        assert describe(str(folder))["num_params"] > 1000
