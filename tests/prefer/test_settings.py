"""Settings that are refused rather than ignored."""

from typing import Any

import pytest

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.settings import load_settings
from burnish.prefer.losses import LOSSES
from burnish.prefer.settings import EvaluateSettings, LossSettings, PairSettings, PreferSettings
from burnish.train.settings import TrainSettings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "simpo", "alpha": 0.5}, "alpha is not a setting of simpo, got 0.5. It takes"),
        ({"name": "dpo", "ld_reference": "both"}, "ld_reference is not a setting of dpo"),
        ({"name": "r-dpo", "alpha": 0.5}, "It takes beta, length_penalty"),
        ({"name": "ipo", "beta": 0.1}, "It takes tau"),
        ({"name": "ld-dpo", "gamma": 0.1}, "It takes beta, alpha, ld_reference, ld_end"),
    ],
)
def test_no_loss_ignores_a_setting(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        LossSettings(**settings)


@pytest.mark.parametrize("name", LOSSES)
def test_every_setting_reaches_its_loss(name: str, batch: Any) -> None:
    """Each one that is taken changes the losses."""
    base = LossSettings(name=name)
    taken = {k: v for k, v in base.resolved().items() if k != "name"}
    before = base.build()(batch).losses
    for key, value in taken.items():
        other = {"ld_reference": "policy_only", "ld_end": "public", "sampling_seed": 7}.get(
            key, 0.37
        )
        assert other != value
        changed = LossSettings(name=name, **{key: other})
        assert changed.resolved()[key] == other
        assert not bool((changed.build()(batch).losses == before).all()), key


def test_planted_deaf_setting(monkeypatch: pytest.MonkeyPatch, batch: Any) -> None:
    from burnish.prefer import settings as module

    def deaf(given: Any, *, beta: float = 0.1, alpha: float = 0.5) -> Any:
        return LOSSES["dpo"](given, beta=beta)

    monkeypatch.setattr(module, "LOSSES", {**LOSSES, "ld-dpo": deaf})
    with pytest.raises(AssertionError):
        test_every_setting_reaches_its_loss("ld-dpo", batch)


def test_an_unknown_loss_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ld-dpo'"):
        LossSettings(name="lddpo")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LossSettings(alpha=1.5), r"alpha must lie in \[0, 1\], got 1.5"),
        (lambda: LossSettings(name="ipo", tau=0.0), "tau must be positive"),
        (lambda: PairSettings(max_length_tokens=1), "max_length_tokens must be at least 2"),
        (lambda: PairSettings(heldout_frac=1.0), "heldout_frac must lie in"),
        (lambda: EvaluateSettings(every_steps=-1), "every_steps must not be negative"),
        (lambda: EvaluateSettings(max_new_tokens=0), "max_new_tokens must be at least 1"),
        (lambda: TrainSettings(num_steps=-1), "num_steps must not be negative"),
        (
            lambda: PreferSettings(loss=LossSettings(name="simpo"), reference="cache"),
            "reference cannot be set: the loss simpo has no reference",
        ),
        (
            lambda: PreferSettings(reference="adapter-off", train=TrainSettings(method="full")),
            "reference needs adapters, which can be turned off",
        ),
    ],
)
def test_settings_that_make_no_sense(make: Any, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        make()


def test_a_file_and_the_command_line_fill_them(tmp_path: Any) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("loss: {name: simpo, gamma: 0.3}\ntrain: {method: full}\n")
    found = load_settings(PreferSettings, config=path, overrides=["loss.beta=3.5"])
    assert found.loss == LossSettings(name="simpo", gamma=0.3, beta=3.5)
    assert found.train.method == "full" and found.train.learning_rate == 5e-5
    with pytest.raises(SettingError, match=r"setting loss\.gama is not known"):
        load_settings(PreferSettings, overrides=["loss.gama=1"])
