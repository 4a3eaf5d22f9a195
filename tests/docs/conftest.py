"""The pages, the blocks of code in them, and the stages on which they run."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.pages import ROOT, SHELL, documentation_pages, read_blocks
from fixtures.stage import Stage, set_up, taught_model
from fixtures.warm import warm_process

ON_WEIGHTS = ("docs/papers/firp.md",)  # runs on the real weights, too: its drafters belong to them
TINY, REAL = [pytest.mark.timeout(600)], [pytest.mark.weights, pytest.mark.timeout(3000)]


def runs_something(page: Path) -> bool:
    """Whether a page has a block that a reader would run."""
    return any(b.language in SHELL | {"python"} for b in read_blocks(page.read_text()))


def pytest_generate_tests(metafunc):
    """Give each test that asks for a `page` all pages, or all that have something to run."""
    pages = {page.relative_to(ROOT).as_posix(): page for page in documentation_pages()}
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", list(pages.values()), ids=list(pages))
    if "running_page" in metafunc.fixturenames:
        running = {name: page for name, page in pages.items() if runs_something(page)}
        both = [
            pytest.param(page, "tiny", id=f"tiny-{name}", marks=TINY)
            for name, page in running.items()
        ]
        both += [
            pytest.param(pages[name], "real", id=f"real-{name}", marks=REAL) for name in ON_WEIGHTS
        ]
        metafunc.parametrize(("running_page", "stage"), both, indirect=["stage"])


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def blocks_of():
    """Return the fenced blocks of a page's text."""
    return read_blocks


@pytest.fixture(scope="session")
def tiny_stage(tmp_path_factory) -> Iterator[Callable[[Path], Stage]]:
    """Stages with a tiny model under the embedded name, and drafters that were trained for it."""
    from burnish.base.files import cache_folder
    from burnish.models.cache import embedded_folder

    place = tmp_path_factory.mktemp("documentation")
    cache, shipped, address = place / "cache", place / "shipped", place / "socket"
    (cache / "models").mkdir(parents=True)
    shipped.mkdir()
    for kept in ("kernels", "sandbox"):  # compiled once a machine
        (cache_folder() / kept).mkdir(parents=True, exist_ok=True)
        (cache / kept).symlink_to(cache_folder() / kept)
    name = "smollm2-135m"
    model = cache / "models" / embedded_folder(name).name
    shutil.copytree(taught_model(place), model)
    ships = f"import pathlib, burnish.draft.maps as m; m.SHIPPED = pathlib.Path({str(shipped)!r})"
    with warm_process(address, before=ships):
        first = set_up(place / "training", address, model=model, cache=cache)
        for kind in ("firp", "medusa"):
            command = f"burnish draft train {name} --prompts prompts.jsonl --drafter {kind}"
            status, out, errors = first.run(f"{command} --run runs/{kind} --json")
            assert status == 0, errors
            weights = first.folder / json.loads(out)["weights"]
            shutil.copy(weights, shipped / f"{name}-{kind}.safetensors")
        yield lambda folder: set_up(folder, address, model=model, cache=cache)


@pytest.fixture(scope="session")
def real_stage(tmp_path_factory) -> Iterator[Callable[[Path], Stage]]:
    """Stages with the machine's own cache, and the embedded model's real weights."""
    from burnish.models.cache import get_embedded

    os.environ.pop("HF_HUB_OFFLINE", None)
    address = tmp_path_factory.mktemp("documentation") / "socket"
    model = get_embedded("smollm2-135m")
    with warm_process(address):
        yield lambda folder: set_up(folder, address, model=model, cache=None)


@pytest.fixture
def stage(request, tmp_path) -> Stage:
    """An empty stage."""
    return request.getfixturevalue(f"{request.param}_stage")(tmp_path)
