# SPDX-License-Identifier: Apache-2.0
"""The machine whose power is cut: a disk with a file system, a store on it,
and a mount. All of it is in namespaces of its own, at the same paths each
time, and goes with them."""
import base64
import ctypes
import json
import os
import random
import subprocess
import threading
import time

TIMEOUT_S = 120
# Enough for the reserve of the store and what a session writes (XFS wants no
# less); the image is sparse.
IMAGE_BYTES = 512 << 20
SYNC_FILE_RANGE_WRITE = 2

MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=8",
             "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
# Of each pair of seeds one; the first is what everybody has.
MOUNT_OPTIONS = {
    "ext4": ("loop", "loop,nodelalloc", "loop,data=writeback",
             "loop,commit=1", "loop,data=journal", "loop,noauto_da_alloc"),
    "xfs": ("loop,nouuid",),
}


def mount_options(fs, seed):
    """seed: from 1."""
    of_fs = MOUNT_OPTIONS.get(fs, ("loop",))
    return of_fs[(seed - 1) // 2 % len(of_fs)]


class Failure(Exception):
    """Something that a power cut must not do."""


def run(*words, env=None, fine=(0,), timeout=TIMEOUT_S):
    p = subprocess.run(words, stdin=subprocess.DEVNULL, env=env,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=timeout, errors="replace")
    if p.returncode not in fine:
        raise Failure("%s: exit status %d\n%s" %
                      (" ".join(map(str, words)), p.returncode, p.stdout))
    return p.stdout


class Machine:
    def __init__(self, work, kin, disk, fs, small=None):
        self.work, self.program, self.disk_program = work, kin, disk
        self.small = small      # kin-power-small
        self.fs = fs
        self.options = mount_options(fs, 1)     # a session says its own
        self.disk = os.path.join(work, "disk")
        self.fuse = os.path.join(work, "fuse")
        for path in (self.disk, self.fuse, os.path.join(work, "run")):
            os.makedirs(path, mode=0o700, exist_ok=True)
        self.a, self.b = (Node(self, name) for name in "ab")

    def enter(self):
        """In a mount and network namespace of its own."""
        run("mount", "-t", "tmpfs", "-o", "mode=700", "none",
            os.path.join(self.work, "run"))
        run("ip", "link", "set", "lo", "up")

    def blank(self, path):
        with open(path, "wb") as f:
            f.truncate(IMAGE_BYTES)
        run(*MKFS[self.fs], path)

    # ---- the disk

    def disk_start(self, image, log):
        run(self.disk_program, image, log, self.fuse)
        return os.path.join(self.fuse, "disk")

    def disk_stop(self):
        run("umount", self.fuse)

    def disk_mount(self, device):
        run("mount", "-t", self.fs, "-o", self.options, device, self.disk)

    def disk_unmount(self):
        """(A process that was killed holds its files a moment longer.)"""
        deadline = time.monotonic() + TIMEOUT_S
        while subprocess.run(["umount", self.disk],
                             stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > deadline:
                raise Failure("the disk stays busy")
            time.sleep(0.01)

    # ---- the daemon

    def boot(self, name):
        """The kernel shows this as the id of its boot."""
        path = os.path.join(self.work, "run", "boot-id")
        target = "/proc/sys/kernel/random/boot_id"
        if os.path.exists(path):
            run("umount", target)
        with open(path, "w") as f:
            f.write(name + "\n")
        run("mount", "--bind", path, target)


class Node:
    """A daemon of the machine. Both have their stores on its disk."""

    def __init__(self, machine, name):
        self.machine, self.name = machine, name
        top = os.path.join(machine.disk, name)
        self.store = os.path.join(top, "store")
        self.volume = os.path.join(machine.work, name)
        os.makedirs(self.volume, mode=0o700, exist_ok=True)
        self.env = dict(os.environ, LC_ALL="C", TZ="UTC",
                        HOME=os.path.join(top, "home"),
                        XDG_DATA_HOME=os.path.join(top, "data"),
                        XDG_CONFIG_HOME=os.path.join(top, "config"),
                        XDG_RUNTIME_DIR=os.path.join(machine.work, "run"))

    def kin(self, *words, preload=None, program=None, fine=(0,)):
        env = self.env
        if preload:
            env = dict(env, **preload)
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + \
                ":verify_asan_link_order=0"
        return run(program or self.machine.program, *words, env=env,
                   fine=fine)

    def mount(self, preload=None, program=None):
        """preload: the environment that loads a library before it."""
        os.makedirs(os.path.dirname(self.store), mode=0o700, exist_ok=True)
        self.kin("mount", "--store", self.store, "--name", self.name,
                 "--no-supervisor", "--listen", "127.0.0.1:0", self.volume,
                 preload=preload, program=program)

    def join(self, code):
        os.makedirs(os.path.dirname(self.store), mode=0o700, exist_ok=True)
        self.kin("join", "--store", self.store, "--name", self.name,
                 "--no-supervisor",
                 "--listen", "127.0.0.1:0", code, self.volume)

    def invite(self):
        return self.kin("invite", self.volume).split()[-1]

    def unmount(self):
        """(A child of ours between fork and exec may have it in use.)"""
        deadline = time.monotonic() + TIMEOUT_S
        while "in use" in self.kin("unmount", self.volume, fine=(0, 1)):
            if time.monotonic() > deadline:
                raise Failure("the mount stays in use")
            time.sleep(0.02)
        if os.path.ismount(self.volume):
            raise Failure("it cannot be unmounted")

    def status(self):
        return json.loads(self.kin("status", "--json", self.volume))

    def token(self):
        return self.kin("token", self.volume).strip()

    def wait(self):
        """Until the other one has everything."""
        self.kin("wait", "--timeout", str(TIMEOUT_S // 2), self.volume)

    def kill(self):
        """As kill -9 does; what is mounted goes."""
        pid = self.status()["pid"]
        os.kill(pid, 9)
        run("umount", "-l", self.volume)
        wait_dead(pid)

    def stop_or_umount(self):
        """The end of a daemon that may be dead, or unable to end well."""
        pid = None
        try:
            pid = self.status()["pid"]
            self.kin("unmount", self.volume, fine=(0, 1))
            wait_dead(pid)
        except Failure:     # (no daemon)
            pass
        while os.path.ismount(self.volume) or is_dead_mount(self.volume):
            run("umount", "-l", self.volume, fine=(0, 32))

    umount_dead = stop_or_umount

    def log_text(self):
        try:
            with open(os.path.join(self.store, "kin.log"),
                      errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""


def knowledge(token, volume):
    """{origin: number} of a token. (As replication/net/token.h says.)"""
    text = token[len("kt"):]
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if raw[0] != 1 or raw[1:17].hex() != volume:
        raise Failure("a token of another volume, or an unknown one")

    def varint(at):
        value = shift = 0
        while True:
            value |= (raw[at] & 127) << shift
            shift += 7
            at += 1
            if not raw[at - 1] & 128:
                return value, at
    count, at = varint(17)
    ret = {}
    for _ in range(count):
        origin = raw[at:at + 8].hex()
        ret[origin], at = varint(at + 8)
    return ret


def is_dead_mount(path):
    try:
        os.stat(path)
        return False
    except OSError:
        return True


def wait_dead(pid):
    deadline = time.monotonic() + TIMEOUT_S
    while is_alive(pid):
        if time.monotonic() > deadline:
            raise Failure("the daemon does not end")
        time.sleep(0.002)


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def reap():
    """Daemons whose parent this process became."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Pusher(threading.Thread):
    """A kernel short of memory: it writes parts of the store's files back,
    in any order and without a flush. That is its right at any time."""

    def __init__(self, store, seed, stop, pause_s):
        super().__init__(name="pusher")
        self.store, self.stop, self.pause_s = store, stop, pause_s
        self.rng = random.Random("pusher %s" % seed)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.sync_file_range.argtypes = (
            ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        self.error = None

    def files(self):
        ret = [os.path.join(self.store, "db")]
        for sub in ("log", "seg"):
            at = os.path.join(self.store, sub)
            ret += [os.path.join(at, n) for n in sorted(os.listdir(at))]
        return ret

    def run(self):
        while not self.stop.wait(self.rng.expovariate(1 / self.pause_s)):
            try:
                fd = os.open(self.rng.choice(self.files()), os.O_RDONLY)
            except FileNotFoundError:
                continue
            if self.libc.sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE):
                self.error = OSError(ctypes.get_errno(), "sync_file_range")
            os.close(fd)
