"""Planted laws, and the data behind published ones."""

import csv
from pathlib import Path

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, grid_columns, losses_of

from burnish.scaling.runs import Runs

HERE = Path(__file__).resolve()
SHARED = HERE.parents[3] / "shared"
FIXTURES = HERE.parents[1] / "fixtures" / "scaling"


@pytest.fixture(scope="session")
def shared_data():
    """A file below shared/data/scaling; skips where it is not at hand."""

    def find(name: str) -> Path:
        path = SHARED / "data" / "scaling" / name
        if not path.exists():
            pytest.skip(f"{name} states no licence and lies only in ../shared, which is absent")
        return path

    return find


@pytest.fixture(scope="session")
def rows_of():
    """Rows of a CSV as mappings of text; a bare name is a fixture's."""

    def read(path: Path | str) -> list[dict[str, str]]:
        path = FIXTURES / path if isinstance(path, str) else path
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture(scope="session")
def planted():
    """Runs of a law with log-normal noise."""

    def make(spec="chinchilla", natural=None, columns=None, noise=0.0, seed=0) -> Runs:
        columns = dict(grid_columns() if columns is None else columns)
        loss = losses_of(spec, natural or CHINCHILLA, columns)
        rng = np.random.default_rng(seed)
        columns["loss"] = loss * np.exp(noise * rng.standard_normal(len(loss)))
        lines = list(range(2, len(loss) + 2))
        return Runs(columns=columns, given=list(columns), lines=lines, counts="non-embedding")

    return make


@pytest.fixture(scope="session")
def epoch(shared_data, rows_of):
    """Epoch's digitised points: columns, losses, sorted by loss."""
    rows = rows_of(shared_data("epoch-chinchilla/svg_extracted_data.csv"))
    n, c, loss = (
        np.array([float(r[k]) for r in rows]) for k in ("Model Size", "Training FLOP", "loss")
    )
    order = np.argsort(loss)
    return {"n": n[order], "d": (c / (6 * n))[order], "c": c[order]}, loss[order]


PLAIN = (
    "N,D,loss\n1e7,2e8,5.164349\n1e7,1e9,4.402948\n1e7,5e9,3.983194\n3e7,2e8,4.644599\n"
    "3e7,1e9,3.883198\n3e7,5e9,3.463444\n1e8,2e8,4.259056\n1e8,1e9,3.497655\n1e8,5e9,3.077901\n"
    "3e8,2e8,4.021484\n3e8,1e9,3.260083\n3e8,5e9,2.840329\n"
)


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    """Twelve runs of L = 1.8 + 400 / N^0.34 + 2000 / D^0.37, losses with six decimals."""
    path = tmp_path_factory.mktemp("table") / "runs.csv"
    path.write_text(PLAIN)
    return path
