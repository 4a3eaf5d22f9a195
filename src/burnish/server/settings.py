"""How a server listens and how much it takes in."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import SettingError
from burnish.base.files import existing_file

MAX_BODY_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Address, token and bounds of a server.

    `max_waiting` requests may wait for one of `num_workers` slots; more get 429. A request that
    has not begun after `deadline_s` gets 503. `token_file` holds the bearer token that every
    request must show. `drain_s`: how long a server that stops lets requests finish.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token_file: str = ""
    num_workers: int = 8
    max_waiting: int = 64
    deadline_s: float = 120.0
    drain_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.token_file and not is_loopback(self.host):
            remedy = "Give --token-file FILE, or listen on 127.0.0.1"
            rule = "needs a token for addresses that others can reach"
            raise SettingError("host", self.host, rule, remedy=remedy)
        checks = [
            ("port", 0 <= self.port < 1 << 16, "must be below 65536", "0 takes a free one"),
            ("num_workers", self.num_workers >= 1, "must be at least 1", "8 is usual"),
            ("max_waiting", self.max_waiting >= 0, "must not be negative", "0: none may wait"),
            *(
                (name, 0 < getattr(self, name) < float("inf"), "must be positive", "Give seconds")
                for name in ("deadline_s", "drain_s")
            ),
        ]
        for name, good, rule, remedy in checks:
            if not good:
                raise SettingError(name, getattr(self, name), rule, remedy=remedy)

    def read_token(self) -> str:
        """The token; empty where none is asked for. Raises MissingFileError, SettingError."""
        if not self.token_file:
            return ""
        token = existing_file(self.token_file).read_text().strip()
        if not token:
            remedy = f"Write one into {Path(self.token_file).name}"
            raise SettingError("token", "", "must not be empty", remedy=remedy)
        return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name may stand for any address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
