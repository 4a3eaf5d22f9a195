"""What holds for every test: offline, seeded, and no answer that depends on this machine."""

import os
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

settings.register_profile("burnish", derandomize=True, deadline=None, database=None)
settings.load_profile("burnish")


def pytest_collection_modifyitems(items):
    """Skip what needs a CUDA device where there is none."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


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
