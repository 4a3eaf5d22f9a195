"""What is read without transformers is what transformers reads."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import CHATML, DECODERS
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.kv.rope import inverse_frequencies
from burnish.models.config import decoder_config
from burnish.models.quick import QuickConfig, QuickTokenizer, quick_config, quick_tokenizer

ATTRIBUTES = ("hidden_size", "num_hidden_layers", "max_position_embeddings", "eos_token_id",
              "bos_token_id", "pad_token_id", "model_type", "initializer_range")  # fmt: skip
OLD = [
    {"rope_theta": 500.0, "rope_scaling": None},
    {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_theta": 500.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
     "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}},
    {"rope_theta": 500.0, "tie_word_embeddings": True, "head_dim": None,
     "num_attention_heads": 14, "num_key_value_heads": 7},
]  # fmt: skip
TEMPLATES = [
    CHATML,
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
    "\n  {%- set x = m.content | trim %}\n{{ x | tojson }}|{{ loop.index }}\n{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
    "{{ ns.n }}{{ eos_token }}{{ tools is none }}{{ unk_token is defined }}",
]


def check_config(folder: Path) -> None:
    from transformers import AutoConfig

    found, wanted = quick_config(folder), AutoConfig.from_pretrained(folder)
    assert isinstance(found, QuickConfig)
    assert decoder_config(found) == decoder_config(wanted)
    for name in ATTRIBUTES:
        assert getattr(found, name) == getattr(wanted, name, None), name
    (mine, factor), (theirs, other) = inverse_frequencies(found), inverse_frequencies(wanted)
    torch.testing.assert_close(mine, theirs)
    assert factor == other
    assert found.to_dict() == wanted.to_dict()


@pytest.mark.parametrize("family", [f for f in DECODERS if f not in ("llama-yarn",)])
def test_configurations_are_those_of_transformers(family: str, tiny_folder: Any) -> None:
    folder = tiny_folder(family)
    if family == "qwen2-sliding":  # windows by layer are transformers' to work out
        assert quick_config(folder) is None
        return
    check_config(folder)


@pytest.mark.parametrize("fields", OLD)
def test_older_files_are_read_alike(fields: Any, tiny_folder: Any, tmp_path: Path) -> None:
    given = json.loads((tiny_folder("llama") / "config.json").read_text())
    given.pop("rope_parameters")
    (tmp_path / "config.json").write_text(json.dumps(given | fields))
    check_config(tmp_path)


def test_planted_scaling_ignored(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.models import quick

    plain = {"rope_type": "default", "rope_theta": 500.0}
    monkeypatch.setattr(quick, "_rope", lambda given: plain)
    with pytest.raises(AssertionError):
        test_older_files_are_read_alike(OLD[2], tiny_folder, tmp_path)


@pytest.mark.parametrize("fields", [{"quantization_config": {"bits": 4}}, {"auto_map": {}},
                                    {"model_type": "gemma2"}, {"eos_token_id": None}])  # fmt: skip
def test_what_is_left_to_transformers(fields: Any, tiny_folder: Any, tmp_path: Path) -> None:
    given = json.loads((tiny_folder("llama") / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(given | fields))
    assert quick_config(tmp_path) is None


@pytest.fixture(scope="module")
def both(tiny_folder: Any) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    folder = tiny_folder("llama")
    found = quick_tokenizer(folder)
    assert isinstance(found, QuickTokenizer)
    return found, AutoTokenizer.from_pretrained(folder)


@settings(max_examples=60)
@given(text=st.one_of(st.text(), st.sampled_from(["<|im_start|>the abc<|im_end|> in", " 12 "])))
def test_texts_are_tokenised_as_transformers_does(text: str, both: Any) -> None:
    mine, theirs = both
    text = text.encode("utf-8", "replace").decode()
    ids = mine(text)["input_ids"]
    assert ids == theirs(text)["input_ids"]
    assert mine.decode(ids) == theirs.decode(ids)
    assert mine.decode(ids, skip_special_tokens=True) == theirs.decode(
        ids, skip_special_tokens=True
    )


def test_other_facts_of_a_tokenizer(both: Any) -> None:
    mine, theirs = both
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "vocab_size",
                 "chat_template", "special_tokens_map", "name_or_path"):  # fmt: skip
        assert getattr(mine, name) == getattr(theirs, name), name
    assert len(mine) == len(theirs)
    assert set(mine.all_special_ids) == set(theirs.all_special_ids)
    assert mine.convert_ids_to_tokens([5]) == theirs.convert_ids_to_tokens([5])  # asked of theirs


def test_added_tokens_are_not_of_the_vocabulary(tiny_folder: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "model")
    theirs = AutoTokenizer.from_pretrained(folder)
    assert theirs.add_tokens(["<tool>", "<more>"]) == 2
    theirs.save_pretrained(folder)
    mine = quick_tokenizer(folder)
    assert isinstance(mine, QuickTokenizer)
    assert (mine.vocab_size, len(mine)) == (theirs.vocab_size, len(theirs))
    assert len(mine) == mine.vocab_size + 2


@pytest.mark.parametrize("template", TEMPLATES)
def test_conversations_are_rendered_as_transformers_does(template: str, both: Any) -> None:
    mine, theirs = both
    messages = [{"role": "system", "content": " be 'brief' "}, {"role": "user", "content": "é<&>"},
                {"role": "assistant", "content": "ok", "name": None}]  # fmt: skip
    for asked in (True, False):
        given: dict[str, Any] = {"tokenize": False, "add_generation_prompt": asked}
        mine.chat_template = theirs.chat_template = template
        found = mine.apply_chat_template(messages, **given)
        assert found == theirs.apply_chat_template(messages, **given)
    mine.chat_template = theirs.chat_template = CHATML


@pytest.mark.parametrize("code", ["{{ messages.__class__.__mro__ }}", "{{ raise_exception('no') }}",
                                  "{{ messages.append(1) }}", "{% for %}"])  # fmt: skip
def test_templates_run_in_a_sandbox(code: str, both: Any) -> None:
    from jinja2 import TemplateError

    from burnish.models.templates import render

    with pytest.raises(TemplateError):
        render(code, [{"role": "user", "content": "a"}], {})


def test_tokenizers_that_are_left_to_transformers(tiny_folder: Any, tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"tokenizer_class": "LlamaTokenizer"}, {"add_bos_token": True},
        {"extra_special_tokens": ["<x>"]}, {"pad_token": "<new>"},
        {"chat_template": [{"name": "a", "template": "b"}]},
    ]  # fmt: skip
    for number, fields in enumerate(changes):
        folder = Path(shutil.copytree(tiny_folder("llama"), tmp_path / str(number)))
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))
        if "chat_template" in fields:
            (folder / "chat_template.jinja").unlink()
        assert quick_tokenizer(folder) is None, fields


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "qwen2-sliding"])
def test_every_family_is_tokenised_as_transformers_does(family: str, tiny_model: Any) -> None:
    """Qwen's class splits digits, whatever class the folder names."""
    from transformers import AutoTokenizer

    model = tiny_model(family)
    theirs = AutoTokenizer.from_pretrained(model.folder)
    for text in ("abc 12 in the tin<|im_end|>", " 1234.5", "the  hen's"):
        assert model.tokenizer(text)["input_ids"] == theirs(text)["input_ids"], text
