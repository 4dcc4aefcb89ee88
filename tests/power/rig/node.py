# SPDX-License-Identifier: Apache-2.0
"""The machine whose power is cut: a disk with a file system, a store on it,
and a mount. All of it is in namespaces of its own, at the same paths each
time, and goes with them."""
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
IMAGE_BYTES = 320 << 20
SYNC_FILE_RANGE_WRITE = 2

MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=8",
             "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
MOUNT_OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid"}


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
    def __init__(self, work, kin, disk, fs):
        self.work, self.program, self.disk_program = work, kin, disk
        self.fs = fs
        self.disk = os.path.join(work, "disk")
        self.volume = os.path.join(work, "volume")
        self.fuse = os.path.join(work, "fuse")
        self.store = os.path.join(self.disk, "store")
        run_dir = os.path.join(work, "run")
        for path in (self.disk, self.volume, self.fuse, run_dir):
            os.makedirs(path, mode=0o700, exist_ok=True)
        self.env = dict(os.environ, LC_ALL="C", TZ="UTC",
                        HOME=os.path.join(self.disk, "home"),
                        XDG_DATA_HOME=os.path.join(self.disk, "data"),
                        XDG_CONFIG_HOME=os.path.join(self.disk, "config"),
                        XDG_RUNTIME_DIR=run_dir)

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
        run("mount", "-t", self.fs, "-o", MOUNT_OPTIONS[self.fs], device,
            self.disk)

    def disk_unmount(self):
        run("umount", self.disk)

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

    def kin(self, *words, fault=None, fine=(0,)):
        env = self.env
        if fault:
            env = dict(env, KIN_POWER_FAULT=fault[0], LD_PRELOAD=fault[1])
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + \
                ":verify_asan_link_order=0"
        return run(self.program, *words, env=env, fine=fine)

    def kin_mount(self, fault=None):
        self.kin("mount", "--store", self.store, "--name", "node", "--listen",
                 "127.0.0.1:0", self.volume, fault=fault)

    def kin_unmount(self):
        self.kin("unmount", self.volume)

    def kin_status(self):
        return json.loads(self.kin("status", "--json", self.volume))

    def kin_token(self):
        return self.kin("token", self.volume).strip()

    def kin_kill(self):
        """As kill -9 does; what is mounted goes."""
        pid = self.kin_status()["pid"]
        os.kill(pid, 9)
        run("umount", "-l", self.volume)
        deadline = time.monotonic() + TIMEOUT_S
        while is_alive(pid):
            if time.monotonic() > deadline:
                raise Failure("the daemon does not die")
            time.sleep(0.002)

    def log_text(self):
        try:
            with open(os.path.join(self.store, "kin.log"),
                      errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""


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
