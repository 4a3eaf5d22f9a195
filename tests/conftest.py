"""What holds for every test: offline, seeded, and no answer that depends on this machine."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"  # read by huggingface_hub when it is first imported
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on tiny models, threads only wait

sys.path.insert(0, str(Path(__file__).parent))  # for `fixtures`, also in spawned processes
pytest_plugins = ["fixtures.tiny", "fixtures.shell", "fixtures.compiled", "fixtures.analysing"]

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it

settings.register_profile("burnish", derandomize=True, deadline=None, database=None)
settings.load_profile("burnish")


LONG_S = 900  # a test that may take so long begins first, so that no worker waits for it at the end


def pytest_collection_modifyitems(items):
    """Long tests first; skip what needs a CUDA device where there is none."""
    items.sort(key=lambda item: -may_take_s(item) if may_take_s(item) >= LONG_S else 0)
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def may_take_s(item):
    """The time limit that a test has been given for itself."""
    marker = item.get_closest_marker("timeout")
    return marker.args[0] if marker and marker.args else 0


@pytest.fixture(autouse=True)
def _no_network(request, monkeypatch):
    """Refuse connections past this machine, except where real weights are fetched."""
    if request.node.get_closest_marker("weights"):
        return
    connect = socket.socket.connect

    def guarded(self, address):
        inside = self.family == socket.AF_UNIX or str(address[0]) in {"127.0.0.1", "::1"}
        if not inside:
            raise AssertionError(f"a test asked for the network: {address!r}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
