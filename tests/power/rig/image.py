# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold after the power went: the log of kin-power-disk, and
images made from it."""
import mmap
import os
import random
import struct
import subprocess

ENTRY = struct.Struct("=QQQQ")      # see disk.c
ZEROS = 2**64 - 1
SECTOR = 512
# The superblock of ext4 has one checksum over two sectors and is written in
# place: torn, only e2fsck mounts it again. So the first block is never torn.
WHOLE_BYTES = 4096

# What of the writes since the last flush is on the disk:
LOSSES = (
    "none",     # nothing of them
    "all",
    "half",     # each write by chance
    "torn",     # each sector of each write by chance
    "first",    # those up to some time
    "last",     # those since some time: as if order were turned round
    "one",      # all but one
)


class Log:
    """Entries, in the order in which the disk did them."""

    def __init__(self, name):
        with open(name + ".index", "rb") as f:
            self.entries = list(ENTRY.iter_unpack(f.read()))
        self.file = open(name + ".data", "rb")
        self.data = b""
        if os.fstat(self.file.fileno()).st_size:
            self.data = mmap.mmap(self.file.fileno(), 0,
                                  access=mmap.ACCESS_READ)

    def close(self):
        if self.data:
            self.data.close()
        self.file.close()

    def __len__(self):
        return len(self.entries)

    def is_flush(self, i):
        return self.entries[i][1] == 0

    def last_flush(self, before):
        """The newest flush among the first entries, or None."""
        for i in range(before - 1, -1, -1):
            if self.is_flush(i):
                return i
        return None


class Counter:
    """How many entries a running disk has logged."""

    def __init__(self, name):
        with open(name + ".count", "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 24)
        self.view = memoryview(self.map).cast("Q")

    def now(self):
        return self.view[0]

    def broken(self, yes):
        """From now on the disk answers each write and flush with EIO, or not
        any more."""
        self.view[1] = int(yes)

    def slow(self, flush_s):
        """From now on each flush takes so long."""
        self.view[2] = int(flush_s * 10**9)


def image_write(f, log, i, sectors=None):
    """Does entry i to an image; sectors: which of its sectors, or all."""
    offset, length, at, _ = log.entries[i]
    if sectors is None:
        pieces = [(0, length)]
    else:
        pieces = [(s * SECTOR, min(SECTOR, length - s * SECTOR))
                  for s in sectors]
    for start, n in pieces:
        if at == ZEROS:
            image_zero(f, offset + start, n)
        else:
            os.pwrite(f.fileno(), log.data[at + start:at + start + n],
                      offset + start)


def image_zero(f, offset, length):
    piece = bytes(min(length, 1 << 20))
    while length:
        n = min(length, len(piece))
        os.pwrite(f.fileno(), piece[:n], offset)
        offset += n
        length -= n


def image_punch(path, offset, length):
    subprocess.run(["fallocate", "-p", "-o", str(offset), "-l", str(length),
                    path], check=True)


class Rolling:
    """An image that goes forward: all that flushes made last up to some
    entry. Crash images are copies of it with some writes more."""

    def __init__(self, blank, path, log):
        self.path, self.log, self.done = path, log, 0
        copy(blank, path)
        self.file = open(path, "r+b", buffering=0)

    def close(self):
        self.file.close()
        os.unlink(self.path)

    def advance(self, flush):
        """To just before this flush."""
        for i in range(self.done, flush):
            offset, length, at, _ = self.log.entries[i]
            if at == ZEROS and length:
                image_punch(self.path, offset, length)
            elif length:
                image_write(self.file, self.log, i)
        self.done = max(self.done, flush)

    def crash(self, path, cut, loss, seed):
        """Makes the image of a cut: the first `cut` entries happened.
        Cuts must come in ascending order. Returns how many writes were at
        stake and how many of them the image has, whole or in part."""
        flush = self.log.last_flush(cut)
        if flush is not None:
            self.advance(flush)
        at_stake = [i for i in range(self.done, cut)
                    if not self.log.is_flush(i)]
        copy(self.path, path)
        kept = 0
        with open(path, "r+b", buffering=0) as f:
            for i, sectors in choose(self.log, at_stake, loss, seed):
                image_write(f, self.log, i, sectors)
                kept += 1
        return len(at_stake), kept


def choose(log, writes, loss, seed):
    """Which of the writes, and which sectors of each (None: all)."""
    rng = random.Random("loss %s" % seed)
    at = rng.randrange(len(writes) + 1)
    if loss == "one" and writes:
        left_out = rng.choice(writes)
    for n, i in enumerate(writes):
        if (loss == "all" or (loss == "half" and rng.random() < 0.5) or
                (loss == "first" and n < at) or
                (loss == "last" and n >= at) or
                (loss == "one" and i != left_out)):
            yield i, None
        elif loss == "torn":
            offset, length = log.entries[i][:2]
            first = max(0, WHOLE_BYTES - offset) // SECTOR
            whole = rng.random() < 0.5
            some = [s for s in range(-(-length // SECTOR))
                    if (whole if s < first else rng.random() < 0.5)]
            if some:
                yield i, some


def copy(source, target):
    """A copy that stays sparse."""
    subprocess.run(["cp", "--sparse=auto", "--reflink=never", source, target],
                   check=True)
