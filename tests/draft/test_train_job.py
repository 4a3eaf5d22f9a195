"""The whole of training on a tiny model: stages, provenance, and that the maps help."""

from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError, SettingError
from burnish.base.records import write_records
from burnish.draft.fit import FitSettings
from burnish.draft.maps import backbone_key, load_maps
from burnish.draft.train_job import DistilSettings, TrainDraftSettings, train_draft

WORDS = ("river", "hat", "town", "sum", "king", "boat", "tree")


def trained(model: Any, folder: Path, num: int = 40, **settings: Any) -> dict[str, Any]:
    prompts = folder / "prompts.jsonl"
    texts = [{"prompt": f"{WORDS[i % 7]} {i} and {WORDS[i % 5]}"} for i in range(num)]
    write_records(prompts, texts)
    fit = FitSettings(**{"entries": (1, 2), "epochs": 1, "texts_per_step": 16, **settings})
    distil = DistilSettings(prompts=str(prompts), max_new_tokens=12, vocabulary=150)
    given = TrainDraftSettings(model=model.spec, distil=distil, fit=fit)
    return train_draft(given, runs=folder / "runs")


@pytest.mark.parametrize("kind", ["firp", "medusa"])
def test_backbone_is_unchanged(kind: str, tiny_model: Any, tmp_path: Path) -> None:
    model = tiny_model("llama")
    before = {n: p.clone() for n, p in model.network.state_dict().items()}
    found = trained(model, tmp_path, kind=kind)
    assert all(p.equal(before[n]) for n, p in model.network.state_dict().items())
    maps = load_maps(found["weights"])
    assert (maps.kind, maps.backbone) == (kind, backbone_key(model))
    assert len(maps.vocabulary) == 150
    assert maps.ranks is not None
    assert len(maps.ranks.lengths) == 3  # every sixteenth of forty
    assert maps.info["settings"]["kind"] == kind
    assert maps.info["data"]
    assert maps.info["numbers"]["top1"][0]["n"] == int(maps.ranks.exists()[:, 0].sum())
    assert set(found) >= {"top1", "top4", "tokens_per_pass", "loss_first", "loss_last"}


def test_nothing_is_done_twice(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.draft import learning

    found = trained(tiny_model("llama"), tmp_path)
    monkeypatch.setattr(learning, "answer_prompts", None)
    monkeypatch.setattr(learning, "collect_streams", None)
    monkeypatch.setattr(learning, "fit_maps", None)
    again = trained(tiny_model("llama"), tmp_path)
    assert {**again, "minutes": 0} == {**found, "minutes": 0}


def test_other_prompts_do_not_replace_what_was_answered(tiny_model: Any, tmp_path: Path) -> None:
    trained(tiny_model("llama"), tmp_path)
    with pytest.raises(SettingError, match="step 'answers' has begun with other prompts"):
        trained(tiny_model("llama"), tmp_path, num=41)


def test_refusals(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="prompts must be given, or answers"):
        TrainDraftSettings()
    with pytest.raises(SettingError, match="must lie below the model's 3 layers"):
        trained(tiny_model("llama"), tmp_path, entries=(1, 3))
    with pytest.raises(InputError, match="answers must be 32 or more"):
        trained(tiny_model("llama"), tmp_path, num=6)
