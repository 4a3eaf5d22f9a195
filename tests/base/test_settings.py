"""Files and overrides fill nested settings; what is wrong is named with its dotted path."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from burnish.base.errors import InputError, MissingFileError, SettingError
from burnish.base.settings import differences, load_settings, to_dict


@dataclass(frozen=True, kw_only=True)
class Lora:
    rank: int = 8


@dataclass(frozen=True, kw_only=True)
class Train:
    learning_rate: float = 1e-3
    num_steps: int = 10
    betas: tuple[float, float] = (0.9, 0.95)
    lora: Lora | None = None

    def __post_init__(self):
        if self.num_steps < 1:
            raise SettingError("num_steps", self.num_steps, "must be at least 1", remedy="Train")


@dataclass(frozen=True, kw_only=True)
class Top:
    model: str
    train: Train = field(default_factory=Train)
    extra: Mapping[str, Any] = field(default_factory=dict)
    fast: bool = False


def test_later_wins_over_earlier(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: m\ntrain:\n  learning_rate: 1e-4\n  num_steps: 3\n  lora: {rank: 2}\n")
    got = load_settings(Top, config=path, overrides=["train.num_steps=5", "train.num_steps=7"])
    want = Top(model="m", train=Train(learning_rate=1e-4, num_steps=7, lora=Lora(rank=2)))
    assert got == want
    again = load_settings(Top, base=got, overrides=["train.lora.rank=4", "model=no"])
    assert again.train.lora == Lora(rank=4)
    assert (again.model, again.train.num_steps) == ("no", 7)  # the base stays where unset


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.yaml", "model: m\nfast: true\ntrain:\n  betas: [0.5, 1]\n"),
        ("a.yml", "model: m\nfast: true\ntrain: {betas: [0.5, 1]}\n"),
        ("a.json", '{"model": "m", "fast": true, "train": {"betas": [0.5, 1]}}'),
        ("a.toml", 'model = "m"\nfast = true\n[train]\nbetas = [0.5, 1]\n'),
    ],
)
def test_all_formats_say_the_same(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    want = Top(model="m", fast=True, train=Train(betas=(0.5, 1.0)))
    assert load_settings(Top, config=tmp_path / name) == want


@pytest.mark.parametrize(
    "override, pick, want",
    [
        ("model=5", lambda s: s.model, "5"),
        ("model=", lambda s: s.model, ""),
        ("model=a=b", lambda s: s.model, "a=b"),
        ("train.learning_rate=1e-4", lambda s: s.train.learning_rate, 1e-4),
        ("train.lora=none", lambda s: s.train.lora, None),
        ("train.lora.rank=3", lambda s: s.train.lora, Lora(rank=3)),
        ("train={num_steps: 2}", lambda s: s.train, Train(num_steps=2)),
        ("extra={a: [1, x]}", lambda s: s.extra, {"a": [1, "x"]}),
        ("train.betas=[0.1,0.2]", lambda s: s.train.betas, (0.1, 0.2)),
    ],
)
def test_overrides_are_read_by_the_type_of_the_field(override, pick, want):
    assert pick(load_settings(Top, overrides=["model=m", override])) == want


@pytest.mark.parametrize(
    "overrides, said",
    [
        (
            ["train.learing_rate=0.1"],
            "setting train.learing_rate is not known, got '0.1'. "
            "Did you mean 'train.learning_rate'? Known: train.betas, ",
        ),
        (["trian.num_steps=1"], "setting trian is not known, got ['num_steps']. Did you mean"),
        (["train.num_steps=1.5"], "setting train.num_steps must be int, got '1.5'."),
        (["fast=1"], "setting fast must be bool, got '1'."),
        (["train.betas=[1]"], "setting train.betas must be tuple[float, float], got '[1]'."),
        (["train=5"], "setting train must be Train, got 5."),
        (["train.num_steps=0"], "setting train.num_steps must be at least 1, got 0. Train."),
        (["train.lora.rnk=1"], "setting train.lora.rnk is not known, got '1'. Did you mean 'tr"),
        (["extra.a=1"], "setting extra has no inner settings, got 'extra.a'."),
        (["extra.a.b=1"], "setting extra.a has no inner settings, got 'extra.a.b'."),
        (["train={num_steps: 2}", "train.lora=none"], "setting train.lora cannot be set inside"),
        (["fast"], "--set must be key=value, got 'fast'."),
    ],
)
def test_what_is_wrong_is_said(overrides, said):
    with pytest.raises(SettingError) as caught:
        load_settings(Top, overrides=["model=m", *overrides])
    assert str(caught.value).startswith(said)
    assert "pydantic" not in str(caught.value)


def test_a_file_is_checked_like_an_override(tmp_path):
    path = tmp_path / "a.yaml"
    for text, said in [
        ("model: 5", "setting model must be str, got 5"),
        ("model: m\ntrain: {num_steps: '3'}", "setting train.num_steps must be int, got '3'"),
        ("model: m\nfast: 1", "setting fast must be bool, got 1"),
        ("fast: true", "setting model must be given, got None. Write --set model=VALUE"),
        ("", "setting model must be given"),
    ]:
        path.write_text(text)
        with pytest.raises(SettingError, match=said.replace("(", r"\(")):
            load_settings(Top, config=path)


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("a.yaml", "model: m\n  fast: [", r"a\.yaml:2 must be YAML"),
        ("a.yaml", "- model", "must contain key: value lines, got 'list'"),
        ("a.json", "{", "must be JSON"),
        ("a.toml", "model", "must be TOML"),
        ("a.ini", "", r"must end in \.yaml, \.yml, \.toml, \.json"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        load_settings(Top, config=tmp_path / name)


def test_a_date_of_toml_is_no_number(tmp_path):
    (tmp_path / "a.toml").write_text('model = "m"\n[train]\nnum_steps = 2020-01-01\n')
    with pytest.raises(SettingError, match=r"train\.num_steps must be int"):
        load_settings(Top, config=tmp_path / "a.toml")


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "laptop.yaml").write_text("model: m")
    with pytest.raises(MissingFileError, match=r"Did you mean 'laptop\.yaml'"):
        load_settings(Top, config=tmp_path / "labtop.yaml")


def test_settings_are_plain_values_and_come_back():
    settings = Top(model="m", train=Train(lora=Lora(rank=2)), extra={"a": (1,)})
    plain = to_dict(settings)
    assert plain["train"]["betas"] == [0.9, 0.95]
    assert plain["train"]["lora"] == {"rank": 2}
    assert differences(settings, settings) == {}
    assert differences(Top(model="m"), settings) == {
        "train.lora.rank": (None, 2),
        "extra": ({}, {"a": [1]}),
    }
