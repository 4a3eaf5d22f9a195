"""Where a server may listen, and its bounds."""

import pytest

from burnish.base.errors import MissingFileError, SettingError
from burnish.server.run import open_socket
from burnish.server.settings import ServeSettings, is_loopback


def test_it_does_not_listen_to_others_without_a_token(tmp_path) -> None:
    for host in ("0.0.0.0", "::", "example.org"):
        with pytest.raises(SettingError, match="needs a token"):
            ServeSettings(host=host)
    (tmp_path / "token").write_text(" secret\n")
    assert (
        ServeSettings(host="0.0.0.0", token_file=str(tmp_path / "token")).read_token() == "secret"
    )
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingError, match="must not be empty"):
        ServeSettings(token_file=str(tmp_path / "empty")).read_token()
    with pytest.raises(MissingFileError):
        ServeSettings(token_file=str(tmp_path / "gone")).read_token()


@pytest.mark.parametrize(
    "wrong", [{"port": 99999}, {"num_workers": 0}, {"max_waiting": -1}, {"deadline_s": 0.0},
              {"drain_s": float("inf")}],
)  # fmt: skip
def test_bounds(wrong) -> None:
    with pytest.raises(SettingError):
        ServeSettings(**wrong)


def test_a_port_in_use_is_one_sentence() -> None:
    with open_socket("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(SettingError, match="could not be opened"):
            open_socket("127.0.0.1", taken.getsockname()[1])


def test_loopback() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("10.0.0.1") and not is_loopback("localhost.example.org")
