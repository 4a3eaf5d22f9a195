"""Counters and histograms that Prometheus reads."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from burnish.server.gate import Gate

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """What happened since the server started; `gates` are read when they are asked for."""

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        self.registry = CollectorRegistry()
        made = {"registry": self.registry, "namespace": "burnish"}
        self.requests = Counter(
            "requests", "Answered requests.", ["path", "status"], **made
        )  # exported as burnish_requests_total
        self.tokens = Counter("tokens", "Tokens of models.", ["kind"], **made)
        self.first_token = Histogram(
            "first_token_seconds", "From a request to its first token.", buckets=SECONDS, **made
        )
        self.next_token = Histogram(
            "next_token_seconds", "From a token to the next.", buckets=SECONDS, **made
        )
        for name, help, read in (
            ("running", "Requests in work.", lambda gate: gate.num_running),
            ("waiting", "Requests that wait.", lambda gate: gate.num_waiting),
            ("busy_seconds", "Time that slots were taken, in all.", lambda gate: gate.busy_s),
        ):
            gauge = Gauge(name, help, ["queue"], **made)
            for queue, gate in gates.items():
                gauge.labels(queue).set_function(_reader(read, gate))

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


def _reader(read: Callable[[Gate], float], gate: Gate) -> Callable[[], float]:
    return lambda: read(gate)
