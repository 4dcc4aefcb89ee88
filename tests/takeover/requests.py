#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The daemon of a mount is killed between a request and its answer: before it
did anything, and when all was done and nobody knew it. The program that asked
must see what it would have seen, and each request is performed once.

usage: tests/takeover/requests.py --kin KIN --preload LIBRARY [--keep] [CASE...]
"""
import argparse
import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

# Request numbers of the kernel's protocol (linux/fuse.h).
SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK, OPEN, READ, \
    WRITE = 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16
FSYNC, SETXATTR, REMOVEXATTR, CREATE, FALLOCATE, RENAME2, COPY, TMPFILE = \
    20, 21, 24, 35, 43, 45, 47, 51
RENAME_EXCHANGE = 2
TIMEOUT_S = 60
SKIP = 77

libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    pass


def expect(ok, text):
    if not ok:
        raise Failure(text)


def exchange(a, b):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


def give_name(fd, path):
    """To a file without one. (os.link() does not follow /proc's link.)"""
    if libc.linkat(-100, b"/proc/self/fd/%d" % fd, -100, path.encode(),
                   0x400):
        raise OSError(ctypes.get_errno(), "linkat")


def punch(fd, offset, length):
    if libc.fallocate(fd, 3, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)


class Case:
    """One call. `before` makes what it needs and tells the kernel of all
    names, so that the call is one request."""

    def __init__(self, name, opcode, before, call, check):
        self.name, self.opcode = name, opcode
        self.before, self.call, self.check = before, call, check


def cases():
    def nothing(d):
        return None

    def absent(d):
        expect(not os.path.exists(f"{d}/new"), "it is there already")

    def files(d):
        put(f"{d}/a", b"of a")
        put(f"{d}/b", b"of b")
        absent(d)

    def opened(d):
        files(d)
        return os.open(f"{d}/a", os.O_RDWR | os.O_APPEND)

    def create(d, _):
        fd = os.open(f"{d}/new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        os.write(fd, b"first")
        os.unlink(f"{d}/new")       # the handle counts
        os.write(fd, b", second")
        got = os.pread(fd, 100, 0)
        os.close(fd)
        return got

    def append(d, fd):
        os.write(fd, b"+")
        os.close(fd)

    yield Case("create", CREATE, absent, create,
               lambda d, r: r == b"first, second")
    def nameless(d, _):
        fd = os.open(d, os.O_RDWR | os.O_TMPFILE, 0o640)
        os.write(fd, b"first")
        give_name(fd, f"{d}/new")
        os.close(fd)

    yield Case("tmpfile", TMPFILE, absent, nameless,
               lambda d, r: read(f"{d}/new") == b"first")
    yield Case("mkdir", MKDIR, absent,
               lambda d, _: os.mkdir(f"{d}/new", 0o750),
               lambda d, r: os.stat(f"{d}/new").st_mode & 0o777 == 0o750)
    yield Case("symlink", SYMLINK, absent,
               lambda d, _: os.symlink("to", f"{d}/new"),
               lambda d, r: os.readlink(f"{d}/new") == "to")
    yield Case("mkfifo", MKNOD, absent,
               lambda d, _: os.mkfifo(f"{d}/new"),
               lambda d, r: os.path.exists(f"{d}/new"))
    yield Case("link", LINK, files,
               lambda d, _: os.link(f"{d}/a", f"{d}/new"),
               lambda d, r: os.stat(f"{d}/a").st_nlink == 2 and
               os.path.samefile(f"{d}/a", f"{d}/new"))
    yield Case("unlink", UNLINK, files, lambda d, _: os.unlink(f"{d}/a"),
               lambda d, r: not os.path.exists(f"{d}/a"))
    yield Case("rmdir", RMDIR, lambda d: os.mkdir(f"{d}/new"),
               lambda d, _: os.rmdir(f"{d}/new"),
               lambda d, r: not os.path.exists(f"{d}/new"))
    yield Case("rename", RENAME, files,
               lambda d, _: os.rename(f"{d}/a", f"{d}/new"),
               lambda d, r: read(f"{d}/new") == b"of a" and
               not os.path.exists(f"{d}/a"))
    yield Case("rename-over", RENAME, files,
               lambda d, _: os.rename(f"{d}/a", f"{d}/b"),
               lambda d, r: read(f"{d}/b") == b"of a")
    yield Case("exchange", RENAME2, files,
               lambda d, _: exchange(f"{d}/a", f"{d}/b"),
               lambda d, r: read(f"{d}/a") == b"of b" and
               read(f"{d}/b") == b"of a")
    yield Case("append", WRITE, opened, append,
               lambda d, r: read(f"{d}/a") == b"of a+")
    yield Case("truncate", SETATTR, files,
               lambda d, _: os.truncate(f"{d}/a", 2),
               lambda d, r: read(f"{d}/a") == b"of")
    yield Case("open-truncate", OPEN, files,
               lambda d, _: put(f"{d}/a", b"anew"),
               lambda d, r: read(f"{d}/a") == b"anew")
    yield Case("chmod", SETATTR, files,
               lambda d, _: os.chmod(f"{d}/a", 0o604),
               lambda d, r: os.stat(f"{d}/a").st_mode & 0o777 == 0o604)
    yield Case("setxattr", SETXATTR, files,
               lambda d, _: os.setxattr(f"{d}/a", "user.x", b"1",
                                        os.XATTR_CREATE),
               lambda d, r: os.getxattr(f"{d}/a", "user.x") == b"1")

    def with_xattr(d):
        files(d)
        os.setxattr(f"{d}/a", "user.x", b"1")

    yield Case("removexattr", REMOVEXATTR, with_xattr,
               lambda d, _: os.removexattr(f"{d}/a", "user.x"),
               lambda d, r: os.listxattr(f"{d}/a") == [])

    def large(d):
        put(f"{d}/a", b"x" * 200000)
        fd = os.open(f"{d}/a", os.O_RDWR)
        put(f"{d}/b", b"")
        return fd, os.open(f"{d}/b", os.O_RDWR)

    def close_both(fds):
        for fd in fds:
            os.close(fd)

    def dig(d, fds):
        punch(fds[0], 4096, 8192)
        close_both(fds)

    def copy(d, fds):
        n = os.copy_file_range(fds[0], fds[1], 150000, 0, 0)
        close_both(fds)
        return n

    yield Case("punch", FALLOCATE, large, dig,
               lambda d, r: read(f"{d}/a") == b"x" * 4096 + bytes(8192) +
               b"x" * (200000 - 12288))
    yield Case("copy", COPY, large, copy,
               lambda d, r: r == 150000 and read(f"{d}/b") == b"x" * r)

    def sync(d, fd):
        os.fsync(fd)
        os.close(fd)

    yield Case("fsync", FSYNC, opened, sync,
               lambda d, r: read(f"{d}/a") == b"of a")


class Mount:
    def __init__(self, o, top):
        self.kin, self.top = os.path.realpath(o.kin), top
        self.at, self.store = f"{top}/mount", f"{top}/store"
        self.armed = f"{top}/armed"
        self.env = dict(os.environ, HOME=f"{top}/home",
                        XDG_RUNTIME_DIR=f"{top}/run",
                        XDG_DATA_HOME=f"{top}/data",
                        XDG_CONFIG_HOME=f"{top}/config",
                        KIN_KILL_REPLY=self.armed)
        for name in ("home", "run", "data", "config", "mount"):
            os.mkdir(f"{top}/{name}", 0o700)
        preload = dict(self.env, LD_PRELOAD=os.path.realpath(o.preload))
        preload["ASAN_OPTIONS"] = preload.get("ASAN_OPTIONS", "") + \
            ":verify_asan_link_order=0"
        self.run("mount", "--store", self.store, "--listen", "127.0.0.1:0",
                 self.at, env=preload)

    def run(self, *args, env=None):
        return subprocess.run([self.kin, *args], env=env or self.env,
                              check=True, stdout=subprocess.PIPE,
                              timeout=TIMEOUT_S).stdout

    def status(self):
        return json.loads(self.run("status", "--json", self.at))

    def arm(self, when, opcode):
        with open(f"{self.armed}.new", "w") as f:
            f.write(f"{when} {opcode}\n")
        os.rename(f"{self.armed}.new", self.armed)

    def close(self):
        subprocess.run([self.kin, "unmount", self.at], env=self.env)
        if os.path.ismount(self.at):
            subprocess.run(["umount", "-l", self.at])


def child(fn):
    """Runs it in a process: a hang must not hang this one."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            fn()
            code = 0
        except Failure as e:
            print(f"        {e}", flush=True)
        except OSError as e:
            print(f"        {errno.errorcode.get(e.errno)}: {e}", flush=True)
        finally:
            os._exit(code)
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        got, status = os.waitpid(pid, os.WNOHANG)
        if got:
            return status == 0
        time.sleep(0.005)
    print("        it hangs", flush=True)
    os.kill(pid, 9)
    return False


def play(mount, case, when, number):
    d = f"{mount.at}/{case.name}-{when}"
    os.mkdir(d)
    was = mount.status()["taken_over"]

    def fn():
        made = case.before(d)
        mount.arm(when, case.opcode)
        result = case.call(d, made)
        expect(not os.path.exists(mount.armed), "the daemon was not killed")
        expect(case.check(d, result), f"it is not what was asked for: "
               f"{result} {os.listdir(d)}")

    ok = child(fn)
    if os.path.exists(mount.armed):
        os.unlink(mount.armed)
        ok = False
    ok = ok and mount.status()["taken_over"] == was + 1
    print(f"{'ok' if ok else 'NOT OK'} {number} {case.name}, killed {when}",
          flush=True)
    return ok


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--kin", required=True)
    p.add_argument("--preload", required=True)
    p.add_argument("--dir", default=os.environ.get("TMPDIR", "/tmp"))
    p.add_argument("--keep", action="store_true")
    p.add_argument("case", nargs="*")
    o = p.parse_args()
    if not os.path.exists("/dev/fuse") or os.geteuid():
        print("needs /dev/fuse and root")
        return SKIP
    release = tuple(int(x) for x in os.uname().release.split(".")[:2])
    if release < (6, 9):
        print("the kernel cannot send requests again (Linux 6.9 can)")
        return SKIP
    top = tempfile.mkdtemp(prefix="kin-takeover.", dir=o.dir)
    failed = number = 0
    mount = Mount(o, top)
    try:
        for case in cases():
            if o.case and case.name not in o.case:
                continue
            for when in ("before", "behind"):
                number += 1
                failed += not play(mount, case, when, number)
                # (six deaths in a minute are too many: by design)
                if number % 5 == 0:
                    mount.run("restart", mount.at)
    finally:
        mount.close()
        if failed and o.keep:
            print(f"kept: {top}")
        else:
            shutil.rmtree(top)
    print(f"{failed} of {number} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
