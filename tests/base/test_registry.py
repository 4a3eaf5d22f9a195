"""Specs: the grammar, its inverse, and what is said of wrong ones."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.naming import suggest
from burnish.base.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Constant:
    token: int = 0


@dataclass(frozen=True, kw_only=True)
class Full:
    count: int = 1
    rate: float = 0.5
    on: bool = False
    text: str = "plain"
    sizes: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    limit: int | None = None
    either: int | str = 0
    maybe: str | None = None
    mode: Literal["a", "b"] = "a"
    path: Path = Path("x")


@dataclass(frozen=True, kw_only=True)
class Needy:
    budget: int

    def __post_init__(self):
        if self.budget < 1:
            raise SettingError("budget", self.budget, "must be positive", remedy="Give one")


@pytest.fixture
def drafters(tmp_path, monkeypatch):
    (tmp_path / "drafts_for_test").mkdir()
    (tmp_path / "drafts_for_test" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("drafter", "drafts_for_test")
    registry.register("constant")(Constant)
    registry.register("full")(Full)
    registry.register("ngram")(Needy)
    yield registry
    sys.modules.pop("drafts_for_test", None)


full_methods = st.builds(
    Full,
    count=st.integers(),
    rate=st.floats(allow_nan=False),
    on=st.booleans(),
    text=st.text() | st.sampled_from(["1", "true", "none", "a,b", "k=v:w", '"', "[", "1e-4", " x"]),
    sizes=st.lists(st.integers(), max_size=3).map(tuple),
    words=st.lists(st.text(), max_size=3).map(tuple),
    limit=st.none() | st.integers(),
    either=st.integers() | st.text() | st.sampled_from(["5", "1.5"]),
    maybe=st.none() | st.text() | st.sampled_from(["none", "null", "~", ""]),
    mode=st.sampled_from(["a", "b"]),
    path=st.sampled_from(["a/b", "a b", "."]).map(Path),
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(full_methods)
def test_every_spec_is_read_back(method):
    registry = Registry("method", "xml")  # any package without methods of ours
    registry.register("full")(Full)
    assert registry.parse(registry.spec(method)) == method


def check_values(parse):
    assert parse("full") == parse("full:") == Full()
    assert parse("full:count=1024,rate=1") == Full(count=1024, rate=1.0)
    assert parse(" full : rate = 1e-4 , on = true ") == Full(rate=1e-4, on=True)
    assert parse("full:text=http://h:80/v1?a=b#c") == Full(text="http://h:80/v1?a=b#c")
    assert parse("full:text=no,limit=none") == Full(text="no", limit=None)
    assert parse('full:text="a,b]\\"",count=2') == Full(text='a,b]"', count=2)
    assert parse("full:sizes=[1,2],words=[no,1]") == Full(sizes=(1, 2), words=("no", "1"))
    assert parse("full:text=,count=2") == Full(text="", count=2)
    assert parse("full:text=12,either=12") == Full(text="12", either=12)
    assert parse('full:either="12",mode=b') == Full(either="12", mode="b")
    assert parse("full:path=a/b") == Full(path=Path("a/b"))


def test_values_are_read_by_the_types_of_the_fields(drafters):
    check_values(drafters.parse)


def test_planted_split_at_every_comma_is_seen(drafters, monkeypatch):
    monkeypatch.setattr("burnish.base.registry._split_fields", lambda text: text.split(","))
    with pytest.raises((AssertionError, SettingError)):
        check_values(drafters.parse)


def test_specs_are_canonical(drafters):
    assert drafters.spec(Full()) == "full"
    method = Full(count=2, text="a:b=c", words=("x",), maybe="none", rate=1e-7)
    want = 'full:count=2,rate=1e-07,text=a:b=c,words=["x"],maybe="none"'
    assert drafters.spec(method) == want
    assert drafters.parse(want) == method
    assert drafters.spec(Needy(budget=3)) == "ngram:budget=3"


@pytest.mark.parametrize(
    "spec, said",
    [
        ("ngrm", "drafter is not registered, got 'ngrm'. Did you mean 'ngram'? Known: constant"),
        ("full:cuont=1", "drafter 'full' has no such field, got 'cuont'. Did you mean 'count'?"),
        ("full:count=1.5", "full.count must be int, got '1.5'. It should be a valid integer"),
        ("full:on=1", "full.on must be bool, got '1'"),
        ("full:limit=x", "full.limit must be int | None, got 'x'"),
        ("full:mode=c", "full.mode must be one of 'a', 'b', got 'c'. It should be 'a' or 'b'"),
        ("full:count", "must be key=value, got 'count'"),
        ("full:count=1,count=2", "gives a field twice, got 'count=2'"),
        ("full:sizes=[1,2", "must have balanced brackets and quotes"),
        ("ngram", "drafter 'ngram' needs 'budget', got []. Write ngram:budget=VALUE."),
        ("ngram:budget=0", "budget must be positive, got 0. Give one."),
    ],
)
def test_what_is_wrong_is_said(drafters, spec, said):
    with pytest.raises((SettingError, UnknownNameError)) as caught:
        drafters.parse(spec)
    assert said in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_methods_are_rebuilt_from_json_values(drafters):
    assert drafters.build("full", sizes=[1, 2], path="a") == Full(sizes=(1, 2), path=Path("a"))
    for bad in ({"count": "1"}, {"oops": 1}, {"sizes": object()}):
        with pytest.raises(SettingError):
            drafters.build("full", **bad)


def test_names_and_classes(drafters):
    assert drafters.names() == ["constant", "full", "ngram"]
    assert drafters.get("constant") is Constant
    assert drafters.name_of(Constant(token=3)) == "constant"
    with pytest.raises(UnknownNameError, match=r"class is not registered, got 'Stranger'\."):
        drafters.name_of(replace_class())


def replace_class():
    @dataclass(frozen=True, kw_only=True)
    class Stranger:
        pass

    return replace(Stranger())


@pytest.mark.parametrize(
    "decorator",
    [
        lambda cls: cls,
        dataclass,
        dataclass(frozen=True),
        dataclass(kw_only=True),
    ],
)
def test_only_frozen_keyword_only_dataclasses_are_methods(drafters, decorator):
    class Loose:
        size: int = 0

    with pytest.raises(SettingError, match="must be a frozen keyword-only dataclass"):
        drafters.register("loose")(decorator(Loose))


def test_a_name_is_taken_once(drafters):
    with pytest.raises(SettingError, match="already registered"):
        drafters.register("constant")(Needy)
    with pytest.raises(SettingError, match="must not be empty"):
        drafters.register("a:b")(Constant)


METHOD = """
from dataclasses import dataclass
from planted_package import methods

@methods.register("{name}")
@dataclass(frozen=True, kw_only=True)
class Found:
    size: int = 2
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    package = tmp_path / "planted_package"
    package.mkdir()
    lines = "from burnish.base.registry import Registry\nmethods = Registry('method', __name__)\n"
    (package / "__init__.py").write_text(lines)
    (package / "sibling.py").write_text(METHOD.format(name="sibling"))
    (tmp_path / "outside_plugin.py").write_text(METHOD.format(name="outside"))
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[burnish.plugins]\noutside = outside_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [
        m for m in sys.modules if m.split(".")[0] in ("planted_package", "outside_plugin")
    ]:
        del sys.modules[name]


def test_siblings_and_plugins_are_found_on_first_use(planted):
    import planted_package

    assert "planted_package.sibling" not in sys.modules  # not at import
    assert planted_package.methods.names() == ["outside", "sibling"]
    assert planted_package.methods.parse("sibling:size=3").size == 3


def test_a_plugin_that_failed_is_loaded_when_asked_again(planted):
    plugin = planted.parent / "outside_plugin.py"
    whole = plugin.read_text()
    plugin.write_text("raise RuntimeError('broken')")
    import planted_package

    with pytest.raises(RuntimeError, match="broken"):
        planted_package.methods.names()
    plugin.write_text(f"{whole}\n\n")
    assert planted_package.methods.names() == ["outside", "sibling"]


def test_a_second_thread_waits_for_all_methods(planted):
    slow = (planted / "sibling.py").read_text()
    (planted / "sibling.py").write_text(f"import time\ntime.sleep(0.2)\n{slow}")
    import planted_package

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: planted_package.methods.names(), range(4)))
    assert found == 4 * [["outside", "sibling"]]


def test_a_broken_sibling_is_not_hidden(planted):
    (planted / "worse.py").write_text("raise RuntimeError('broken')")
    import planted_package

    for _ in range(2):  # also when asked again
        with pytest.raises(RuntimeError, match="broken"):
            planted_package.methods.names()


def test_suggestions():
    assert suggest("ngrm", ["ngram", "constant"]) == "Did you mean 'ngram'? Known: constant, ngram"
    assert suggest("zzz", ["a"]) == "Known: a"
    assert suggest("zzz", []) == "Known: none"
    assert suggest("", [f"m{i:02}" for i in range(25)]).endswith("m19 and 5 more")
    known = [f"m{i:02}" for i in range(21)]
    assert suggest("m007", known[:20]).endswith("m18, m19")  # a short list is shown
    assert suggest("m007", known) == "Did you mean 'm07'?"
