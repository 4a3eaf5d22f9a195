"""What is read of a table of runs, and what is left out and told."""

import numpy as np
import pytest

from burnish.base.errors import InputError
from burnish.scaling.runs import read_runs
from burnish.scaling.settings import DataSettings


@pytest.fixture
def read(tmp_path):
    def make(text, **settings):
        path = tmp_path / "runs.csv"
        path.write_text(text, encoding="utf-8")
        return read_runs(DataSettings(path=str(path), **settings))

    return make


def check_cases(read):
    bad = read("n,d,loss\n1e6,2e7,3.9\n2e6,4e7,nan\n4e6,8e7,inf\n8e6,1.6e8,-3\n1e7,,3\n2e7,9,x\n")
    assert bad.loss.tolist() == [3.9]
    assert [row["line"] for row in bad.left_out] == [3, 4, 5, 6, 7]
    assert "line 6 left out: d is empty" in bad.notes
    again = read("N,D,Loss\n1e7,2e8,5\n1e7,1e9,4\n" + "1e7,2e8,5\n" * 5)
    assert again.loss.tolist() == [5, 4] and "5 exact duplicates merged" in again.notes
    seeds = read("n,d,loss\n1e6,2e7,3.90\n1e6,2e7,3.94\n2e6,4e7,3.60\n2e6,4e7,3.63\n")
    assert len(seeds.loss) == 4 and seeds.seed_noise["num_configurations"] == 2
    halves = [np.log(3.94 / 3.90) ** 2 / 2, np.log(3.63 / 3.60) ** 2 / 2]
    assert seeds.seed_noise["sd_log_loss"] == pytest.approx(np.sqrt(np.mean(halves)))
    cut = read("run,n,d,total_d,loss\na,1e8,1e9,1e10,3.9\na,1e8,5e9,1e10,3.2\na,1e8,1e10,1e10,3\n")
    assert cut.loss.tolist() == [3] and len(cut.left_out) == 2
    assert "checkpoint" in str(cut.left_out[0]["why"])
    compute = read("N,C,loss\n1e8,1.2e19,2.9\n")
    assert (
        compute.columns["d"].tolist() == [2e10] and "d = c / (6 n): 2e+10 tokens" in compute.notes
    )
    exact = read("N,C,loss,flops_per_token\n1e8,1.2e19,2.9,8e8\n")
    assert exact.columns["d"].tolist() == [1.5e10]
    assert "d = c / flops_per_token: 1.5e+10 tokens" in exact.notes
    billions = read("n,d,loss\n70e6,1.4,3.3\n160e6,3.2,3.0\n")
    assert any("another unit" in note for note in billions.notes)
    dense = read("n,d,loss,c\n1e8,1e9,3,9e17\n")
    assert any("c / (6 n d) lies in [1.5, 1.5]" in note for note in dense.notes)
    assert (dense.columns["e"], dense.columns["k"]) == (1, 1)


def test_cases(read):
    check_cases(read)


def test_planted_bad_rows_kept(read):
    def kept(text, **settings):
        return read(text.replace("nan", "3.8").replace("inf", "3.7"), **settings)

    with pytest.raises(AssertionError):
        check_cases(kept)


def test_mixed_conventions_are_refused(read):
    with pytest.raises(InputError, match="same in all rows"):
        read("n,d,loss,counts\n1,2,3,all\n1,3,3,non-embedding\n")
    assert read("n,d,loss,counts\n1,2,3,all\n1,3,3,all\n").counts == "all"


def test_a_table_without_runs_is_refused(read):
    with pytest.raises(InputError, match="line 2: loss is nan"):
        read("n,d,loss\n1,2,nan\n")
    with pytest.raises(InputError, match="column d"):
        read("n,loss\n1,2\n")


def test_the_highest_losses_are_left_out_when_asked(read):
    runs = read("n,d,loss\n1,2,3\n1,3,9\n1,4,4\n", drop_highest=1)
    assert runs.loss.tolist() == [3, 4] and runs.lines == [2, 4]
