# SPDX-License-Identifier: Apache-2.0
"""A new ext4, as mkfs.ext4 makes it by itself, in an image file: what a large
and old file system takes for a new file, and what one without a journal takes
for a sync, says little."""
import contextlib
import os
import subprocess


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def fresh_disk(top, mib):
    """The directory that it is mounted at, below top, and the image file.
    Needs root."""
    image, disk = f"{top}/image", f"{top}/disk"
    with open(image, "wb") as f:
        f.truncate(mib << 20)
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0",
        image)
    os.mkdir(disk)
    run("mount", "-o", "loop", image, disk)
    try:
        yield disk, image
    finally:
        run("umount", disk)
