#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed, or told of an error, at each N-th call that changes
or syncs a file of its store. See README.md."""
import argparse
import errno
import os
import shutil
import struct
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True

from rig import inside, node                # noqa: E402
from rig.model import observe               # noqa: E402
from rig.oracle import History              # noqa: E402
from rig.work import Step, Writer                 # noqa: E402

KILLS = ("kill", "kill-behind", "torn")
ERRORS = ("eio", "enospc", "edquot", "eio-on", "enospc-on")
STEPS = 60
# In the middle all waits until a group was closed.
IDLE_AT, IDLE_S = 40, 1.3
# After a step that failed.
STEPS_BEHIND = 6
PAUSE_S = 0.0005
# A step may say so when the store has had an error.
ERRNOS = {"eio": ("EIO", "EROFS"), "enospc": ("ENOSPC", "EIO", "EROFS"),
          "edquot": ("EDQUOT", "ENOSPC", "EIO", "EROFS"),
          "eio-on": ("EIO", "EROFS"), "enospc-on": ("ENOSPC", "EIO", "EROFS")}


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--kin", required=True, help="the program")
    p.add_argument("--faults", required=True,
                   help="the library of planted faults")
    p.add_argument("--fault", action="append", choices=KILLS + ERRORS,
                   help="default: all")
    p.add_argument("--every", type=int, default=1, help="N-th call only")
    p.add_argument("--from", type=int, dest="first",
                   help="call to begin with; default: by the day, so that "
                   "each call has its turn")
    p.add_argument("--most", type=int, help="so many of each fault")
    p.add_argument("--jobs", type=int, default=4)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--work", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.first is None:
        args.first = 1 + int(time.time()) // 86400 % args.every
    return args


class NoClock:
    """There is no disk with a log here: one step after the other."""

    def now(self):
        return 0


class Tried(Writer):
    """Goes on a little after a step that failed, and notes what failed."""

    def __init__(self, *args):
        super().__init__(*args)
        self.short, self.rested = 0, False
        self.failed = {}    # number of steps before -> (step, errno)

    def work(self):
        """Until enough is done. Closes nothing: the daemon may be dead."""
        end = STEPS
        while len(self.steps) < end and not self.stop.is_set():
            try:
                if len(self.steps) >= IDLE_AT and not self.rested:
                    self.rested = True
                    time.sleep(IDLE_S)
                self.act()
            except OSError as e:
                if not self.steps or self.steps[-1].ended is not None:
                    s = Step(("open",))     # (no step was begun)
                else:
                    s = self.steps.pop()
                self.failed.setdefault(len(self.steps), []).append((s, e))
                if len(self.failed) == 1:
                    end = min(end, len(self.steps) + STEPS_BEHIND)
                if sum(map(len, self.failed.values())) > STEPS_BEHIND:
                    return

    def short_write(self, n):
        s = self.steps[-1]
        s.op += (n,)
        self.short += 1

    def forget(self):
        for fd, _ in self.fds.values():
            try:
                os.close(fd)
            except OSError:
                pass
        self.fds = {}


class Run:
    """One store, one daemon, one fault."""

    def __init__(self, args, name, fault, at):
        self.machine = node.Machine(os.path.join(args.work, name),
                                    os.path.realpath(args.kin), None, "ext4")
        self.node, self.fault, self.at = self.machine.a, fault, at
        self.library = os.path.realpath(args.faults)
        self.count = os.path.join(args.work, name + ".calls")
        self.seed, self.writer, self.mounted = args.seed, None, False
        self.store_failed, self.lost = False, 0
        with open(self.count, "wb") as f:
            f.write(bytes(8))

    def calls(self):
        with open(self.count, "rb") as f:
            return struct.unpack("=Q", f.read())[0]

    def close(self):
        if self.writer:
            self.writer.forget()
        if self.mounted:
            self.node.umount_dead()
        shutil.rmtree(self.machine.work, ignore_errors=True)
        os.unlink(self.count)

    def play(self):
        """Mounts with the fault to come, and works."""
        self.node.env.update(KIN_POWER_CALLS=self.count,
                             KIN_POWER_AT=str(self.at))
        self.mounted = True
        try:
            self.node.mount({"KIN_POWER_FAULT": self.fault,
                             "LD_PRELOAD": self.library})
        except node.Failure:
            if self.calls() < self.at:
                raise
            return
        top = os.path.join(self.node.volume, "w")
        try:
            os.mkdir(top)
        except OSError:
            if self.calls() < self.at:
                raise
            return
        self.writer = Tried(top, "w", "%d" % self.seed, NoClock(),
                            threading.Event(), PAUSE_S, STEPS)
        self.writer.work()

    # ---- judging

    def judge(self, top, live):
        w = self.writer
        history = History("w", w.steps)
        seen = observe(top) if os.path.isdir(top) else {}
        n = len(w.steps)
        fits = history.fits(seen)
        if n in fits:
            return
        if self.store_failed and not live:
            least = max((k for k, s in enumerate(w.steps, 1) if s.promised),
                        default=0)
            if any(k >= least for k in fits) or \
                    history.fits_partly(seen, least, n):
                self.lost += n - max(fits, default=0)
                return
        # The step that the process died in may have happened; so may, in
        # part, a write that said that it failed (if its file is O_SYNC even
        # whole: what failed is the sync).
        step = w.failed[n][0][0] if n in w.failed else None
        if step and (step.op[0] == "write" or
                     (self.fault in KILLS and step.op[0] != "open")):
            with_it = History("w", w.steps + [step])
            if n + 1 in with_it.fits(seen) or \
                    with_it.fits_partly(seen, n, n + 1):
                return
        # What was left of a short write may be there, too: the process died
        # in the second request of it.
        if self.fault in KILLS and n and len(w.steps[-1].op) == 6:
            last = Step(w.steps[-1].op[:5])
            whole = History("w", w.steps[:-1] + [last])
            if n in whole.fits(seen) or whole.fits_partly(seen, n - 1, n):
                return
        raise node.Failure("%s: %s\nfailed: %s" % (
            "alive" if live else "after a restart",
            history.explain(seen, n, n),
            {k: [(s.op, str(e)) for s, e in v] for k, v in w.failed.items()}))

    def check_errors(self):
        for steps in self.writer.failed.values():
            for step, e in steps:
                if errno.errorcode[e.errno] not in ERRNOS[self.fault]:
                    raise node.Failure("%s failed with %s" % (step.op, e))

    def one(self):
        self.play()
        if self.writer and self.fault in ERRORS:
            self.check_errors()
            self.judge(self.writer.top, True)
        if self.writer:
            self.writer.forget()
        self.node.stop_or_umount()
        self.mounted = False
        for name in ("KIN_POWER_CALLS", "KIN_POWER_AT"):
            self.node.env.pop(name, None)
        self.mounted = True
        self.node.mount()
        status = self.node.status()
        if status["incarnation"] is not None:
            raise node.Failure("another incarnation: %s" %
                               status["incarnation"])
        if self.writer:
            # (it may have, at its end)
            self.store_failed = "only read from now on" in \
                self.node.log_text()
            self.judge(self.writer.top, False)
        self.node.unmount()
        self.mounted = False


def main():
    args = arguments()
    if not args.work:
        inside.need()
        return inside.again_inside([])
    inside.work_begin(args.work)
    node.run("ip", "link", "set", "lo", "up")
    bad = 0
    for fault in args.fault or KILLS + ERRORS:
        bad += play_all(args, fault)
    return 1 if bad else 0


def play_one(args, fault, at):
    """(was the call reached, did a step fail, steps that were not synced and
    are lost, what is wrong or None)"""
    r, wrong = Run(args, "%s-%d" % (fault, at), fault, at), None
    try:
        r.one()
    except (node.Failure, OSError) as e:
        wrong = str(e)
    except Exception:
        wrong = traceback.format_exc()
    if wrong:
        wrong += "\n" + "\n".join(r.node.log_text().splitlines()[-8:])
    ret = r.calls() >= at, bool(r.writer and r.writer.failed), r.lost, wrong
    r.close()
    return ret


def play_all(args, fault):
    """Until the fault comes after the end."""
    done = bad = failed = lost = 0
    at, reached = args.first, True
    with ThreadPoolExecutor(args.jobs) as pool:
        while reached and (args.most is None or done < args.most):
            some = [at + i * args.every for i in range(args.jobs)]
            at += args.jobs * args.every
            for n, answer in zip(some, pool.map(
                    lambda n: play_one(args, fault, n), some)):
                reached, has_failed, gone, wrong = answer
                lost += gone
                done += 1
                failed += has_failed
                if wrong:
                    bad += 1
                    print("FAIL %s at call %d: %s" % (fault, n, wrong),
                          flush=True)
    print("%s: %d runs, from call %d up to %d; in %d of them a step failed; "
          "%d steps that were not synced went with a store that failed; "
          "%d failures" % (fault, done, args.first, n, failed, lost, bad),
          flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
