# SPDX-License-Identifier: Apache-2.0
"""Everything runs in namespaces of its own, and goes with them."""
import os
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
UNSHARE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
           "--mount-proc", "--propagation", "private"]


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def need(*tools):
    if os.geteuid() != 0:
        skip("only root can mount here")
    if not os.path.exists("/dev/fuse"):
        skip("there is no /dev/fuse")
    for tool in ("unshare", "ip") + tools:
        if not shutil.which(tool):
            skip("there is no " + tool)


def again_inside(words):
    """Runs this program once more, with --work DIRECTORY and these words."""
    work = tempfile.mkdtemp(prefix="kin-power.")
    try:
        return subprocess.call(UNSHARE + [sys.executable, *sys.argv, "--work",
                                          work, *words])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def work_begin(work):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "none", work],
                   check=True)
