#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts under a real file system. See README.md."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True

from rig import cuts, inside, node, session     # noqa: E402
from rig.image import Log, copy                 # noqa: E402

FAULTS = ("no-data-sync", "data-late", "no-log-sync", "no-table-sync",
          "no-dir-sync", "late-group")
KEPT = (".index", ".data", ".session")


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--kin", required=True, help="the program")
    p.add_argument("--disk", required=True, help="kin-power-disk")
    p.add_argument("--faults", required=True, help="the library that notes "
                   "how long syncs take, and plants faults")
    p.add_argument("--small", help="kin-power-small")
    p.add_argument("--kind", default="mixed", choices=session.KINDS,
                   help="of the sessions")
    p.add_argument("--fs", default="ext4", choices=sorted(node.MKFS))
    p.add_argument("--seeds", default="1..1", help="FROM..TO: one session "
                   "each; of one node if odd, of two if even")
    p.add_argument("--seconds", type=float, default=8, help="of a session")
    p.add_argument("--cuts", type=int, default=200, help="of each session")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--state", help="file: goes on where it stopped")
    p.add_argument("--keep", help="directory: sessions that failed go there")
    p.add_argument("--fault", action="append", choices=FAULTS, default=[],
                   help="plant it: it is an error if no cut finds it")
    p.add_argument("--again", help="a session that was kept, instead of new "
                   "ones")
    p.add_argument("--cut", action="append", default=[],
                   help="with --again: this cut, as a failure names it")
    p.add_argument("--inside", help=argparse.SUPPRESS)
    p.add_argument("--work", help=argparse.SUPPRESS)
    p.add_argument("--plan", help=argparse.SUPPRESS)
    return p.parse_args()


def need():
    inside.need("mount", node.MKFS["ext4"][0])
    if not os.path.exists("/dev/loop-control"):
        inside.skip("there are no loop devices")


def machine_of(args):
    return node.Machine(args.work, os.path.realpath(args.kin),
                        os.path.realpath(args.disk), args.fs,
                        args.small and os.path.realpath(args.small))


# ---- a worker: some of the cuts of a session

def worker(args):
    m = machine_of(args)
    m.enter()
    with open(args.plan) as f:
        todo = json.load(f)
    crasher = cuts.Crasher(m, todo["blank"], todo["name"])
    for text in todo["cuts"]:
        cut, answer = cuts.Cut.parse(text), {"cut": text}
        start = time.monotonic()
        try:
            answer["at_stake"], answer["kept"] = crasher.one(cut)
        except (node.Failure, OSError) as e:
            answer["wrong"] = str(e)
        except Exception:
            answer["wrong"] = traceback.format_exc()
        answer["seconds"] = time.monotonic() - start
        if "wrong" in answer:
            print(json.dumps(answer), flush=True)
            return 1    # (what is mounted goes with this process)
        print(json.dumps(answer), flush=True)
    return 0


def run_cuts(args, blank, name, todo):
    """Yields answers. A worker that found something ends; one more does
    what is left."""
    shares = [s for s in cuts.share(todo, args.jobs) if s]
    running = []

    def start(share):
        plan = "%s.plan%d" % (name, len(os.listdir(args.work)))
        while os.path.exists(plan):
            plan += "x"
        with open(plan, "w") as f:
            json.dump({"blank": blank, "name": name,
                       "cuts": [str(c) for c in share]}, f)
        out = open(plan + ".out", "w+")
        p = subprocess.Popen(
            inside.UNSHARE + [sys.executable, *sys.argv[:-4], "--work",
                              args.work, "--inside", "worker", "--plan",
                              plan], stdout=out)
        running.append((p, out, share))

    for share in shares:
        start(share)
    try:
        while running:
            p, out, share = running.pop(0)
            p.wait()
            out.seek(0)
            answers = [json.loads(line) for line in out if
                       line.startswith("{")]
            out.close()
            if p.returncode and (not answers or
                                 "wrong" not in answers[-1]):
                answers.append({"cut": str(share[len(answers)]),
                                "wrong": "the worker died: %d" %
                                p.returncode})
            yield from answers
            if len(answers) < len(share):
                start(share[len(answers):])
    finally:
        for p, _, _ in running:
            p.send_signal(signal.SIGKILL)
            p.wait()


# ---- the main program

def seeds_of(args):
    first, _, last = args.seeds.partition("..")
    return range(int(first), int(last or first) + 1)


def state_read(args):
    done = {}
    if args.state and os.path.exists(args.state):
        with open(args.state) as f:
            for line in f:
                if line.endswith("\n"):
                    one = json.loads(line)
                    done[one["seed"]] = one
    return done


def state_add(args, one):
    if args.state:
        with open(args.state, "a") as f:
            f.write(json.dumps(one) + "\n")
            f.flush()
            os.fsync(f.fileno())


def keep(args, blank, name, fault):
    os.makedirs(args.keep, exist_ok=True)
    to = os.path.join(args.keep, os.path.basename(name))
    for suffix in KEPT:
        shutil.copy(name + suffix, to + suffix)
    copy(blank, to + ".blank")
    return to


def play(args, m, blank, seed, fault):
    """One session and its cuts. Returns what came of it."""
    name = os.path.join(args.work, "s%d" % seed)
    start = time.monotonic()
    try:
        s = session.record(m, blank, name, seed, args.seconds, args.kind,
                           os.path.realpath(args.faults), fault)
    except (node.Failure, OSError) as e:
        # (its mounts are in the way of another session)
        print("FAIL seed %d, before any cut: %s" % (seed, e))
        sys.exit(1)
    node.reap()
    log = Log(name)
    todo = cuts.plan(s, log, args.cuts)
    one = {"seed": seed, "fs": s.fs, "options": s.options, "entries": len(log),
           "flushes": sum(map(log.is_flush, range(len(log)))),
           "steps": sum(map(len, s.steps.values())),
           "commits": len(s.commits), "rounds": s.space["rounds"],
           "fills": len(s.fills), "in_rounds": s.in_rounds,
           "turns": len(s.turns), "kind": s.kind, "cuts": 0, "twice": 0,
           "met": 0, "at_stake": 0, "slowest": 0,
           "wrong": []}
    log.close()
    middle = time.monotonic()
    for answer in run_cuts(args, blank, name, todo):
        one["cuts"] += 1
        one["twice"] += answer["cut"].endswith(":twice")
        one["met"] += s.two and answer["cut"].endswith(":meet")
        one["at_stake"] += answer.get("at_stake", 0)
        one["slowest"] = max(one["slowest"], answer.get("seconds", 0))
        if "wrong" not in answer:
            continue
        one["wrong"].append([answer["cut"], answer["wrong"]])
        if fault:
            break
        print("FAIL seed %d cut %s: %s" %
              (seed, answer["cut"], answer["wrong"]), flush=True)
    if one["wrong"] and args.keep and not fault:
        print("kept as " + keep(args, blank, name, fault))
    one["seconds"] = [round(middle - start, 1),
                      round(time.monotonic() - middle, 1)]
    for f in os.listdir(args.work):
        if f.startswith(os.path.basename(name) + "."):
            os.unlink(os.path.join(args.work, f))
    return one


def describe(one):
    return ("%(kind)s seed %(seed)d on %(fs)s (%(options)s): %(steps)d steps, "
            "%(commits)d commits of a data base, %(entries)d entries with "
            "%(flushes)d flushes, %(rounds)d rounds of giving back, full "
            "%(fills)d times (%(in_rounds)d in such a round), %(turns)d "
            "segments begun; "
            "%(cuts)d cuts, %(twice)d of them twice, nodes met after "
            "%(met)d, %(at_stake)d writes were at stake, the slowest took "
            "%(slowest).1f s" % one +
            "; %g + %g s" % tuple(one["seconds"]))


def again(args, m):
    m.fs = session.Session.load(args.again + ".session").fs
    crasher = cuts.Crasher(m, args.again + ".blank", args.again)
    for text in args.cut:
        try:
            crasher.one(cuts.Cut.parse(text))
        except (node.Failure, OSError) as e:
            print("FAIL cut %s: %s" % (text, e))
            return 1
        print("%s: nothing is wrong" % text)
    return 0


def play_all(args):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    inside.work_begin(args.work)
    m = machine_of(args)
    m.enter()
    if args.again:
        return again(args, m)
    if not shutil.which(node.MKFS[args.fs][0]):
        inside.skip("there is no " + node.MKFS[args.fs][0])
    blank = os.path.join(args.work, "blank")
    m.blank(blank)
    done, total, bad = state_read(args), 0, 0
    for fault in args.fault or [None]:
        for seed in seeds_of(args):
            if seed in done and not fault:
                total += done[seed]["cuts"]
                bad += len(done[seed]["wrong"])
                continue
            one = play(args, m, blank, seed, fault)
            print(describe(one), flush=True)
            if fault:
                if one["wrong"]:
                    print("caught %s at cut %d, %s: %s" %
                          (fault, one["cuts"], *one["wrong"][0]))
                    break
                continue
            total += one["cuts"]
            bad += len(one["wrong"])
            state_add(args, one)
        else:
            if fault:
                print("MISSED %s" % fault)
                bad += 1
    if not args.fault:
        print("%d cuts, %d failures" % (total, bad))
    return 1 if bad else 0


def main():
    args = arguments()
    if args.inside == "worker":
        return worker(args)
    if args.inside:
        return play_all(args)
    need()
    return inside.again_inside(["--inside", "main"])


if __name__ == "__main__":
    sys.exit(main())
