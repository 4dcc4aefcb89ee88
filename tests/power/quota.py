#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A quota of the kernel's (a qgroup of btrfs) is used up, and raised again.
Who asks for more is told so, nothing that is there is lost, not by a kill nor
by a power cut in that state, and all goes on when there is room. See
README.md."""
import argparse
import errno
import os
import random
import sys
import threading
import time

sys.dont_write_bytecode = True

from rig import inside, node                # noqa: E402
from rig.model import observe               # noqa: E402
from rig.oracle import History              # noqa: E402
from rig.work import Full, Writer           # noqa: E402

IMAGE_BYTES = 1 << 30
# The reserve and the log of the store, and what is to be written.
QUOTA_MIB, MORE_MIB = 160, 600
PIECE = 1 << 20
PIECES_MAX = 2 * QUOTA_MIB
STEPS = 150     # where there is no room
PAUSE_S = 0.002
# Until a store finds that there is room again.
ROOM_S = 20


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--kin", required=True, help="the program")
    p.add_argument("--seeds", default="1..1", help="FROM..TO")
    p.add_argument("--work", help=argparse.SUPPRESS)
    return p.parse_args()


def check(yes, what):
    if not yes:
        raise node.Failure(what)


class NoDisk:
    """(Nothing is logged here.)"""

    def now(self):
        return 0


class Worker(Writer):
    may_be_full = True

    def __init__(self, top, seed):
        super().__init__(top, "w", seed, NoDisk(), threading.Event(),
                         PAUSE_S, None)
        self.refused = []   # errors

    def do(self, fn, *args):
        """Is it done?"""
        try:
            fn(*args)
        except Full as e:
            self.refused.append(e.__cause__.errno)
            return False
        return True

    def grow(self, written_back=None):
        """Until it is refused. Returns how often it was not."""
        for n in range(PIECES_MAX):
            if written_back:
                node.run("sync", "-f", written_back)
            path = "g%d" % self.number()
            if not self.do(self.create, path) or \
                    not self.do(self.write, path, 0, PIECE):
                return n
        raise node.Failure("the quota was never used up")

    def some(self, steps):
        for _ in range(steps):
            self.do(self.act)
            time.sleep(self.rng.expovariate(1 / self.pause_s))

    def large(self):
        return [p for p in self.files() if p.startswith("g")]

    def drop_some(self):
        """What makes room is never refused."""
        for path in self.rng.sample(self.large(), 3):
            self.step(("unlink", path), lambda: os.unlink(self.full(path)))

    def act(self):
        if self.rng.random() < 0.2:
            path = self.rng.choice(self.large())
            return self.write(path, self.rng.randrange(PIECE), self.length())
        files = self.files()    # (no end of them, no sum of their bytes)
        name = self.rng.choice(("create", "append", "rename", "chmod",
                                "unlink", "sync", "utime", "mkdir"))
        if name == "unlink":
            small = [p for p in files if not p.startswith("g")]
            if small:
                path = self.rng.choice(small)
                self.step(("unlink", path),
                          lambda: os.unlink(self.full(path)))
            return None
        return getattr(self, "act_" + name)()

    def forget(self):
        for fd, _ in self.fds.values():
            os.close(fd)
        self.fds = {}


class Run:
    def __init__(self, args, seed):
        self.seed = seed
        self.machine = node.Machine(args.work, os.path.realpath(args.kin),
                                    None, "btrfs")
        self.a = self.machine.a
        self.image = os.path.join(args.work, "q%d" % seed)

    def quota(self, mib):
        node.run("btrfs", "qgroup", "limit", "%dM" % mib,
                 os.path.join(self.machine.disk, "a"))

    def begin(self):
        m = self.machine
        with open(self.image, "wb") as f:
            f.truncate(IMAGE_BYTES)
        node.run("mkfs.btrfs", "-q", self.image)
        m.disk_mount(self.image)
        node.run("btrfs", "quota", "enable", m.disk)
        node.run("btrfs", "subvolume", "create", os.path.join(m.disk, "a"))
        self.quota(QUOTA_MIB)
        m.boot("quota %d" % self.seed)
        self.a.mount()
        top = os.path.join(self.a.volume, "w")
        os.mkdir(top)
        self.worker = Worker(top, str(self.seed))

    def look(self, when, least=None):
        """As it was after the last step; or after some one, of these at
        least."""
        w = self.worker
        history, seen = History("w", w.steps), observe(w.top)
        most = len(w.steps)
        least = most if least is None else least
        fits = [n for n in history.fits(seen) if least <= n <= most]
        check(fits, "%s: %s" % (when, history.explain(seen, least, most)))

    def promised(self):
        return max((n for n, s in enumerate(self.worker.steps, 1)
                    if s.promised), default=0)

    def use_up(self):
        w = self.worker
        grown = w.grow()
        check(grown > QUOTA_MIB // 4, "%d MiB were all" % grown)
        w.some(STEPS)
        w.drop_some()
        self.right_error()
        self.look("at the quota")
        return grown

    def right_error(self):
        w, status = self.worker, self.a.status()["disk"]
        check(set(w.refused) == {errno.EDQUOT}, "refused with %s" %
              {errno.errorcode[e] for e in w.refused})
        check(status["state"] in ("full", "refused") and
              status["error"] == os.strerror(errno.EDQUOT),
              "status says %s" % status)

    def mount(self):
        """It may be refused, but not where there is room."""
        try:
            self.a.mount()
        except node.Failure as e:
            check("quota" in str(e) or "No space" in str(e),
                  "refused for another reason: %s" % e)
            self.quota(MORE_MIB)
            self.a.mount()
            return False
        return True

    def kill(self, boot):
        """boot: and the machine begins anew."""
        self.worker.forget()
        self.a.kill()
        if boot:
            self.machine.disk_unmount()
            self.machine.disk_mount(self.image)
            self.machine.boot("quota %d again" % self.seed)
        return self.mount()

    def until_refused(self):
        w = self.worker
        w.grow()
        w.some(STEPS)
        self.right_error()
        self.look("at the quota again")

    def raised(self):
        self.quota(MORE_MIB)
        deadline = time.monotonic() + ROOM_S
        while self.a.status()["disk"]["state"] != "well":
            check(time.monotonic() < deadline, "it does not find that there "
                  "is room: %s" % self.a.status()["disk"])
            time.sleep(0.05)
        w = self.worker
        w.refused = []
        w.some(STEPS)
        check(not w.refused, "refused where there is room")
        self.a.kin("sync", self.a.volume)
        self.look("with room again")

    def end(self):
        self.worker.forget()
        self.a.unmount()
        self.machine.disk_unmount()
        os.unlink(self.image)

    def written_back(self):
        """On btrfs whatever is written to a page that is on the disk takes
        room again, also where that is a mapping's."""
        self.begin()
        self.worker.grow(self.machine.disk)
        self.look("while all is written back")
        self.end()

    def one(self):
        self.written_back()
        self.begin()
        grown = self.use_up()
        refused = len(self.worker.refused)
        self.raised()
        self.quota(QUOTA_MIB)
        self.until_refused()
        fine = self.kill(False)
        self.look("after a kill")
        self.worker.refused = []
        self.worker.some(STEPS)
        self.right_error()
        self.look("after that")
        self.raised()
        # Once more, with what a power cut leaves.
        self.quota(QUOTA_MIB)
        self.until_refused()
        self.kill(True)
        self.look("after a power cut", self.promised())
        self.worker.model = None    # (it may have gone back)
        self.end()
        return "seed %d: %d MiB until it was used up, %d steps, %d of them " \
            "refused%s" % (self.seed, grown, len(self.worker.steps), refused,
                           "" if fine else ", and a mount")


def can_quota():
    """Has the kernel btrfs? (Quotas of ext4 and XFS many lack.)"""
    with open("/proc/filesystems") as f:
        return "\tbtrfs\n" in f.read()


def main():
    args = arguments()
    if not args.work:
        inside.need("mount", "mkfs.btrfs", "btrfs")
        if not os.path.exists("/dev/loop-control"):
            inside.skip("there are no loop devices")
        if not can_quota():
            inside.skip("the kernel has no btrfs")
        return inside.again_inside([])
    inside.work_begin(args.work)
    first, _, last = args.seeds.partition("..")
    for seed in range(int(first), int(last or first) + 1):
        r = Run(args, seed)
        if seed == int(first):
            r.machine.enter()
        try:
            print(r.one(), flush=True)
        except (node.Failure, OSError, Full) as e:
            print("FAIL seed %d: %s\n%s" % (
                seed, e, "\n".join(r.a.log_text().splitlines()[-12:])))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
