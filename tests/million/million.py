#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A store of many files, built through its mount as users would, and the limits
that hold for it (README.md): start-up, memory, descriptors, sizes, and that
none of them grows while files come and go. Everything runs with few file
descriptors, this program included.

usage: tests/million/million.py [--files N] [--churn SECONDS] [--kin KIN]
                                [--dir DIRECTORY] [--nofile N] [--keep]
                                [--sanitized]
"""
import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
PER_DIRECTORY = 1000
# The limits.
START_CLEAN_S = 0.5
START_KILLED_S = 5.0
MEMORY_BYTES = 64 * MIB
MEMORY_INODE_BYTES = 400
LOG_BYTES = 16 * 8 * MIB
STORE_LIVE = 1.2
STORE_MORE_BYTES = 64 * MIB
# A row, its names and indexes: what a file costs beside its bytes.
FILE_TABLE_BYTES = 1536
# Growth over the second half of the churn that is no growth: noise.
GROWTH_MEMORY_BYTES = 4 * MIB
GROWTH_FDS = 4
GROWTH_STORE_BYTES = 64 * MIB
STARTS = 3              # the best counts: other things run as well
SAMPLES = 20            # of the churn
SPACE_DEADLINE_S = 120  # until space is given back


class Failures(list):
    """What was not met. Sanitizers need memory and time for themselves: with
    them what is measured is printed only."""

    def __init__(self, sanitized):
        super().__init__()
        self.sanitized = sanitized

    def check(self, ok, text):
        print(f"{'ok     ' if ok else 'NOT OK '} {text}", flush=True)
        if not ok:
            self.append(text)

    def measured(self, ok, text):
        self.check(ok or self.sanitized, text)


class Node:
    """A mount and its daemon, in a directory of its own."""

    def __init__(self, kin, top):
        self.kin, self.top = kin, top
        self.mount, self.store = f"{top}/mount", f"{top}/store"
        self.env = dict(os.environ, HOME=f"{top}/home",
                        XDG_RUNTIME_DIR=f"{top}/run",
                        XDG_DATA_HOME=f"{top}/data",
                        XDG_CONFIG_HOME=f"{top}/config")
        for name in ("home", "run", "data", "config", "mount"):
            os.mkdir(f"{top}/{name}", 0o700)

    def run(self, *args):
        return subprocess.run([self.kin, *args], env=self.env, check=True,
                              stdout=subprocess.PIPE).stdout

    def start(self, path=""):
        """Mounts; returns the seconds until `path` in it is answered."""
        begin = time.monotonic()
        self.run("mount", "--no-supervisor", "--store", self.store,
                 "--listen", "127.0.0.1:0", self.mount)
        os.stat(f"{self.mount}/{path}")
        took = time.monotonic() - begin
        self.pid = self.status()["pid"]
        return took

    def stop(self):
        self.run("unmount", self.mount)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        while os.path.exists(f"/proc/{self.pid}"):
            time.sleep(0.01)
        helper = ["umount", "-l"] if os.geteuid() == 0 else \
            ["fusermount3", "-u", "-z"]
        subprocess.run([*helper, self.mount], check=True)

    def close(self):
        if os.path.ismount(self.mount):
            self.stop()

    def status(self):
        return json.loads(self.run("status", "--json", self.mount))

    def memory(self):
        """Bytes that are the daemon's own, without maps of files."""
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no RssAnon")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def disk(self, name=""):
        """Bytes that a part of the store takes on the disk."""
        total = 0
        for at, _, names in os.walk(f"{self.store}/{name}"):
            for n in names:
                try:
                    total += os.lstat(f"{at}/{n}").st_blocks * 512
                except FileNotFoundError:
                    pass
        if os.path.isfile(f"{self.store}/{name}"):
            total = os.lstat(f"{self.store}/{name}").st_blocks * 512
        return total

    def sync(self):
        fd = os.open(self.mount, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def replayed(self):
        """Operations that the last start took from the log."""
        n = 0
        with open(f"{self.store}/kin.log") as f:
            for line in f:
                if "recovered from the log" in line:
                    n = int(line.split(" operations recovered")[0].split()[-1])
        return n


def content(i):
    """Mostly small: 4 of 5 stand in their row, 1 of 50 has chunks."""
    seed = hashlib.sha256(b"%d" % i).digest()
    kind, more = seed[0] % 50, int.from_bytes(seed[1:4], "little")
    size = 20000 + more % 40000 if kind == 0 else \
        4097 + more % 4000 if kind < 10 else more % 1000
    return (seed * (size // 32 + 1))[:size]


def place(i):
    return f"d{i // PER_DIRECTORY:04d}/file-{i:07d}"


def put(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    while data:
        data = data[os.write(fd, data):]
    os.close(fd)


def build(node, files):
    begin, total = time.monotonic(), 0
    for i in range(files):
        if i % PER_DIRECTORY == 0:
            os.mkdir(os.path.dirname(f"{node.mount}/{place(i)}"))
        data = content(i)
        total += len(data)
        put(f"{node.mount}/{place(i)}", data)
        if (i + 1) % 100000 == 0:
            print(f"        {i + 1} files, {time.monotonic() - begin:.0f} s, "
                  f"{node.memory() / MIB:.1f} MiB", flush=True)
    node.sync()
    took = time.monotonic() - begin
    print(f"        built {files} files of {total / MIB:.0f} MiB in "
          f"{took:.0f} s: {files / took:.0f} a second", flush=True)
    return total


def find(node, files, fail):
    """All of it, twice: the second time the kernel remembers."""
    for turn in ("first", "again"):
        begin = time.monotonic()
        out = subprocess.run(["find", node.mount, "-type", "f", "-size",
                              "-1000M"], check=True, stdout=subprocess.PIPE)
        found = out.stdout.count(b"\n")
        print(f"        find, {turn}: {time.monotonic() - begin:.2f} s",
              flush=True)
        fail.check(found == files, f"find sees {found} of {files} files")
    begin = time.monotonic()
    names = os.listdir(f"{node.mount}/d0000")
    print(f"        list a directory of {len(names)}: "
          f"{(time.monotonic() - begin) * 1e3:.1f} ms", flush=True)


def check_memory(node, files, fail, when):
    limit = MEMORY_BYTES + MEMORY_INODE_BYTES * files
    fail.measured(node.memory() <= limit,
                  f"memory {when}: {node.memory() / MIB:.1f} MiB, of "
                  f"{MEMORY_BYTES / MIB:.0f} and what each inode may take: "
                  f"{limit / MIB:.0f}")


def check_files(node, files, count, fail):
    rng = random.Random(7)
    bad = 0
    for i in (rng.randrange(files) for _ in range(count)):
        with open(f"{node.mount}/{place(i)}", "rb") as f:
            bad += f.read() != content(i)
    fail.check(bad == 0, f"{count} files have what was written: {bad} have "
               "not")


def start_clean(node, files, fail):
    times = []
    for _ in range(STARTS):
        node.stop()
        times.append(node.start(place(files - 1)))
    fail.measured(min(times) < START_CLEAN_S,
                  f"start after a stop: {min(times):.3f} s of "
                  f"{', '.join(f'{t:.3f}' for t in times)}")


def burst(node, seconds, size):
    """Many operations that no commit may have yet, each a record with `size`
    bytes, and kill -9. Returns what each file must have."""
    fds = [os.open(f"{node.mount}/burst-{k}", os.O_RDWR | os.O_CREAT)
           for k in range(16)]
    last, n, end = {}, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        k = n % len(fds)
        data = n.to_bytes(8, "little") * (size // 8)
        os.pwrite(fds[k], data, 0)
        last[k], n = data, n + 1
    os.kill(node.pid, signal.SIGKILL)
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass        # the daemon is gone
    return last


def start_killed(node, files, fail):
    times, replayed = [], 0
    for turn in range(STARTS):
        # (large records fill the log, small ones are more of them)
        last = burst(node, 1.7, (4096, 64, 64)[turn % 3])
        node.kill()
        times.append(node.start(place(turn)))
        replayed = max(replayed, node.replayed())
        for k, data in last.items():
            with open(f"{node.mount}/burst-{k}", "rb") as f:
                if f.read(len(data)) != data:
                    fail.check(False, f"burst-{k} has its last write")
    for k in range(16):
        os.unlink(f"{node.mount}/burst-{k}")
    fail.check(replayed > 0, f"operations replayed: {replayed}")
    fail.measured(max(times) < START_KILLED_S,
                  f"start after kill -9: {max(times):.3f} s at most")


class Churn:
    """Files that come, change and go: their number stays."""

    def __init__(self, node):
        self.top = f"{node.mount}/churn"
        self.rng = random.Random(11)
        self.steps = 0
        os.mkdir(self.top)
        self.large = os.open(f"{self.top}/large", os.O_RDWR | os.O_CREAT)
        os.pwrite(self.large, os.urandom(8 * MIB), 0)

    def step(self):
        rng, self.steps = self.rng, self.steps + 1
        path = f"{self.top}/{rng.randrange(2000)}"
        what = rng.randrange(10)
        if what < 4:
            put(path, rng.randbytes(rng.randrange(20000)))
        elif what < 6:
            with open(path, "ab") as f:
                f.write(rng.randbytes(100))
                if what == 5:
                    f.flush()
                    os.fsync(f.fileno())
            if os.path.getsize(path) > 50000:
                os.truncate(path, 100)
        elif what < 8 and os.path.exists(path):
            os.rename(path, f"{self.top}/{rng.randrange(2000)}")
        elif what == 8 and os.path.exists(path):
            os.unlink(path)
        else:
            os.pwrite(self.large, rng.randbytes(4096),
                      rng.randrange(2048) * 4096)

    def end(self):
        os.close(self.large)


def churn(node, seconds, fail):
    c, samples, begin = Churn(node), [], time.monotonic()
    for k in range(SAMPLES):
        end = begin + seconds * (k + 1) / SAMPLES
        while time.monotonic() < end:
            c.step()
        st = node.status()
        samples.append((node.memory(), node.descriptors(), node.disk("log"),
                        node.disk() - st["history"]["bytes"]))
    c.end()
    node.sync()
    print(f"        churn of {seconds} s, {c.steps} steps; memory, "
          "descriptors, log, store without history (MiB):", flush=True)
    for m, d, log, store in samples[::max(1, SAMPLES // 5)] + samples[-1:]:
        print(f"          {m / MIB:8.1f} {d:4} {log / MIB:8.1f} "
              f"{store / MIB:8.1f}")
    half, last = samples[SAMPLES // 2], samples[-1]
    # The store may have a fifth of its data in what is not in use before it
    # gives any back; check_size() has its bound.
    free = GROWTH_STORE_BYTES + int((STORE_LIVE - 1) * samples[0][3])
    for at, name, more in ((0, "memory", GROWTH_MEMORY_BYTES),
                           (1, "descriptors", GROWTH_FDS),
                           (3, "the store", free)):
        # (against the greater of the second quarter: what is no growth)
        was = max(s[at] for s in samples[SAMPLES // 4:SAMPLES // 2 + 1])
        text = f"{name} did not grow: {was} and then {last[at]}"
        (fail.measured if at == 0 else fail.check)(last[at] <= was + more,
                                                   text)
    fail.check(max(s[2] for s in samples) <= LOG_BYTES,
               f"the log has {half[2] / MIB:.0f}, then "
               f"{last[2] / MIB:.0f} MiB")


def check_size(node, fail):
    live = files = 0
    for at, dirs, names in os.walk(node.mount):
        files += len(names) + len(dirs)
        for n in names:
            live += os.lstat(f"{at}/{n}").st_size
    deadline = time.monotonic() + SPACE_DEADLINE_S
    while True:
        history = node.status()["history"]["bytes"]
        limit = (live + files * FILE_TABLE_BYTES) * STORE_LIVE + history + \
            STORE_MORE_BYTES
        size = node.disk() - node.disk("log") - node.disk("reserve")
        if size <= limit or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    fail.check(size <= limit,
               f"the store has {size / MIB:.0f} MiB (segments "
               f"{node.disk('seg') / MIB:.0f}, tables "
               f"{node.disk('db') / MIB:.0f}, {node.disk('db') // files} "
               f"bytes a file), of {limit / MIB:.0f}: live "
               f"{live / MIB:.0f}, history {history / MIB:.0f}")


def check_store(node, fail):
    """kin check of the whole, with all data, while it is not mounted."""
    node.stop()
    begin = time.monotonic()
    child = subprocess.Popen([node.kin, "check", "--data", node.store],
                             env=node.env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    # (of which the pages of the tables are the kernel's to take back)
    fail.check(child.returncode == 0,
               f"kin check --data finds nothing, in "
               f"{time.monotonic() - begin:.1f} s, with "
               f"{usage.ru_maxrss / 1024:.0f} MiB resident at most")
    node.start()


def run(o, top, fail):
    node = Node(os.path.realpath(o.kin), top)
    try:
        node.start()
        build(node, o.files)
        check_memory(node, o.files, fail, "after building")
        start_clean(node, o.files, fail)
        find(node, o.files, fail)
        check_memory(node, o.files, fail, "after find")
        start_killed(node, o.files, fail)
        check_files(node, o.files, 2000, fail)
        churn(node, o.churn, fail)
        check_memory(node, o.files, fail, "after the churn")
        fail.check(node.descriptors() <= o.nofile,
                   f"{node.descriptors()} of {o.nofile} descriptors")
        check_size(node, fail)
        check_store(node, fail)
        start_clean(node, o.files, fail)
        check_files(node, o.files, 2000, fail)
    finally:
        node.close()


def main():
    here = os.path.dirname(os.path.realpath(__file__))
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--files", type=int)
    p.add_argument("--sanitized", action="store_true")
    p.add_argument("--churn", type=float, default=3600)
    p.add_argument("--kin", default=f"{here}/../../build/kin")
    p.add_argument("--dir", default=os.environ.get("TMPDIR", "/tmp"))
    p.add_argument("--nofile", type=int, default=256)
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    if not o.files:
        o.files = 8000 if o.sanitized else 1000000
    if not os.path.exists("/dev/fuse"):
        print("there is no /dev/fuse")
        return 77
    resource.setrlimit(resource.RLIMIT_NOFILE, (o.nofile, o.nofile))
    top = tempfile.mkdtemp(prefix="kin-million.", dir=o.dir)
    fail = Failures(o.sanitized)
    try:
        run(o, top, fail)
    finally:
        if o.keep:
            print(f"kept: {top}")
        else:
            shutil.rmtree(top, ignore_errors=True)
    print(f"{len(fail)} failed")
    return 1 if fail else 0


if __name__ == "__main__":
    sys.exit(main())
