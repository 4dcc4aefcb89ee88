#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The disk breaks: from some moment on nothing can be written to it. What is
there can be read, what is new is refused, nothing hangs, the mount can be
removed; and when the disk is well again, all that was promised is there. See
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
from rig.image import Counter               # noqa: E402
from rig.model import observe               # noqa: E402
from rig.oracle import History              # noqa: E402
from rig.work import Writer                 # noqa: E402

STEPS = 150
PAUSE_S = 0.004
# From the moment it breaks until somebody must have been told. (A group is
# closed, and data is written back, after a second or so.)
NOTICED_S = 30
REFUSED = (errno.EIO, errno.EROFS)


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--kin", required=True, help="the program")
    p.add_argument("--disk", required=True, help="kin-power-disk")
    p.add_argument("--fs", default="ext4", choices=sorted(node.MKFS))
    p.add_argument("--seeds", default="1..1", help="FROM..TO")
    p.add_argument("--work", help=argparse.SUPPRESS)
    return p.parse_args()


class Worker(Writer):
    """Works until it is told of an error."""

    def run(self):
        try:
            while not self.stop.is_set() and len(self.steps) < STEPS:
                self.act()
                self.stop.wait(self.rng.expovariate(1 / self.pause_s))
        except OSError as e:
            self.refused(e)
        except Exception as e:      # told by the main thread
            self.error = e

    def refused(self, e):
        if e.errno not in REFUSED:
            self.error = e
        self.stop.set()

    def forget(self):
        for fd, _ in self.fds.values():
            try:
                os.close(fd)
            except OSError:
                pass
        self.fds = {}


def check(yes, what):
    if not yes:
        raise node.Failure(what)


class Run:
    def __init__(self, args, seed):
        self.seed, self.rng = seed, random.Random("broken %d" % seed)
        self.name = os.path.join(args.work, "b%d" % seed)
        self.machine = node.Machine(args.work, os.path.realpath(args.kin),
                                    os.path.realpath(args.disk), args.fs)
        self.machine.options = node.mount_options(args.fs, 2 * seed - 1)
        self.a = self.machine.a
        self.stop = threading.Event()

    def begin(self):
        m = self.machine
        image = self.name + ".image"
        m.blank(image)
        m.disk_mount(m.disk_start(image, self.name))
        self.counter = Counter(self.name)
        self.a.mount()
        top = os.path.join(self.a.volume, "w")
        os.mkdir(top)
        self.a.token()
        self.worker = Worker(top, "w", str(self.seed), self.counter,
                             self.stop, PAUSE_S, STEPS)

    def break_it(self):
        """Somewhere in the work, or behind it. Returns when somebody was
        told."""
        self.worker.start()
        at = self.rng.randrange(STEPS)
        while self.worker.is_alive() and len(self.worker.steps) < at:
            time.sleep(0.002)
        self.broken_at = self.counter.now()
        self.counter.broken(True)
        self.worker.join(NOTICED_S)
        check(not self.worker.is_alive(), "a writer hangs")
        if self.worker.error:
            raise self.worker.error
        deadline = time.monotonic() + NOTICED_S
        while self.a.status()["disk"]["state"] != "failed":
            check(time.monotonic() < deadline, "nobody noticed: %s" %
                  self.a.status()["disk"])
            # (what was not synced is nobody's promise, until somebody asks)
            self.ask()
            time.sleep(0.05)

    def ask(self):
        try:
            with open(os.path.join(self.worker.top, "ask"), "wb") as f:
                f.write(b"x" * 9000)
                os.fsync(f.fileno())
        except OSError as e:
            check(e.errno in REFUSED, "asked, and got %s" % e)

    def refuses(self):
        """Nothing new; what is there can be read, and the daemon says what
        is wrong."""
        w, status = self.worker, self.a.status()["disk"]
        check(status["error"] and status["what"] and status["since"],
              "status says %s" % status)
        text = self.a.kin("status", self.a.volume)
        check("READ-ONLY" in text and "kin mount" in text, text)
        for what in (lambda: os.mkdir(w.full("new")),
                     lambda: open(w.full("new"), "wb").close(),
                     lambda: os.rmdir(w.top)):
            try:
                what()
            except OSError as e:
                check(e.errno in REFUSED + (errno.ENOTEMPTY,),
                      "refused with %s" % e)
            else:
                raise node.Failure("something was done on a broken disk")
        self.look("broken", len(w.steps))

    def log(self):
        return self.a.log_text()

    def look(self, when, most):
        """As it was after some step: the last one that was promised, at
        least. (What failed may be there in part.)"""
        w = self.worker
        history, seen = History("w", w.steps), observe(w.top)
        seen.pop("ask", None)
        least = max((n for n, s in enumerate(w.steps, 1) if s.promised),
                    default=0)
        fits = [n for n in history.fits(seen) if least <= n <= most] or \
            history.fits_partly(seen, least, most)
        check(fits, "%s: %s" % (when, history.explain(seen, least, most)))

    def end(self):
        """It ends, without being killed; then the disk is well again."""
        m, w = self.machine, self.worker
        w.forget()
        pid = self.a.status()["pid"]
        start = time.monotonic()
        self.a.kin("unmount", self.a.volume, fine=(0, 1))
        node.wait_dead(pid)
        check(not os.path.ismount(self.a.volume), "it is still mounted")
        check(time.monotonic() - start < NOTICED_S, "unmounting took %d s" %
              (time.monotonic() - start))
        m.disk_unmount()
        self.counter.broken(False)
        m.disk_mount(os.path.join(m.fuse, "disk"))
        self.a.mount()
        check(self.a.status()["disk"]["state"] == "well", "it is not well")
        check(self.a.status()["incarnation"] is None, "another incarnation")
        self.look("well again", len(w.steps))
        with open(w.full("new"), "xb") as f:
            f.write(b"new")
            os.fsync(f.fileno())
        self.a.unmount()
        m.disk_unmount()
        m.disk_stop()

    def one(self):
        self.begin()
        self.break_it()
        self.refuses()
        self.end()
        return "seed %d: broke at entry %d, after %d steps" % (
            self.seed, self.broken_at, len(self.worker.steps))


def main():
    args = arguments()
    if not args.work:
        inside.need("mount", node.MKFS[args.fs][0])
        if not os.path.exists("/dev/loop-control"):
            inside.skip("there are no loop devices")
        return inside.again_inside([])
    inside.work_begin(args.work)
    first, _, last = args.seeds.partition("..")
    for seed in range(int(first), int(last or first) + 1):
        r = Run(args, seed)
        if seed == int(first):
            r.machine.enter()
        try:
            print(r.one(), flush=True)
        except (node.Failure, OSError) as e:
            print("FAIL seed %d: %s\n%s" % (
                seed, e, "\n".join(r.log().splitlines()[-12:])))
            return 1
        for f in os.listdir(args.work):
            if f.startswith("b%d." % seed):
                os.unlink(os.path.join(args.work, f))
    return 0


if __name__ == "__main__":
    sys.exit(main())
