"""What the probe says of this machine, against the machine."""

import os
import platform
import shutil

from burnish.sandbox.probe import probe


def test_what_is_known_without_the_launcher(namespaces):
    machine = probe()
    assert machine.root == (os.geteuid() == 0)
    assert machine.kernel == platform.release()
    assert (machine.bubblewrap is None) == (shutil.which("bwrap") is None)
    assert machine.namespaces == (not machine.trouble)
