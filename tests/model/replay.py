#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays histories from files by the model's rules and compares what is
shown. README.md, "Histories in files". --core: of the shipping code, as
kin-sim plays it. --selftest: histories that the model
itself wrote, as they are and with mistakes planted in the replay."""
import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections import Counter

from kinmodel import mutations
from kinmodel.checks import Violation
from kinmodel.history import FEATURES, World
from kinmodel.record import Recorder
from kinmodel.replaying import Mismatch, Replay

# Mistakes that must show when a replay makes them and the file does not.
VISIBLE = ("no-keep", "no-level", "rank-not-sticky", "no-seniority",
           "void-holds-name", "tie-without-objid", "hide-known", "no-pin",
           "no-revive", "twin-acts-on-one", "keep-revives-each",
           "group-canonical-only", "no-undelete", "dirty-base-is-newest")


def recorded(seed):
    out = io.StringIO()
    World(seed, FEATURES, record=Recorder(out)).run()
    return out.getvalue().splitlines()


def replay(lines):
    """(replay, what differs or None)"""
    r = Replay()
    try:
        r.run(lines)
    except Mismatch as e:
        return r, e.args
    return r, None


def selftest(seeds):
    failed, events, noticed = 0, Counter(), Counter()
    for seed in seeds:
        lines = recorded(seed)
        r, e = replay(lines)
        events.update(r.events)
        if e:
            failed += 1
            print("FAIL seed", seed, *e, flush=True)
        for m in VISIBLE:
            if noticed[m] < 1:
                mutations.activate(m)
                try:
                    noticed[m] += replay(lines)[1] is not None
                except Violation:
                    noticed[m] += 1
                mutations.activate(None)
    missed = [m for m in VISIBLE if not noticed[m]]
    print("histories %d, differing %d, mistakes not noticed: %s" %
          (len(seeds), failed, missed or "none"), dict(events))
    return failed + len(missed)


def one_of_core(program, seed, profile):
    """(replay, what differs or None, did it end early)"""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as f:
        command = [program, "--seed", str(seed), "--history", f.name]
        if profile:
            command += ["--profile", profile]
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              encoding="utf-8", check=False)
        lines = f.readlines()
    early = any(l.startswith("#") for l in lines)
    if done.returncode:
        return None, ("the simulator:", done.stdout.strip()), early
    return replay(lines) + (early,)


def against_core(program, seeds, profile, seconds, failures):
    """Histories of the simulator, as it plays them now."""
    failed, early, events, start = 0, 0, Counter(), time.monotonic()
    runs = 0
    for seed in seeds:
        if time.monotonic() - start > seconds or failed == failures:
            break
        r, e, ended = one_of_core(program, seed, profile)
        runs += 1
        early += ended
        if r:
            events.update(r.events)
        if e:
            failed += 1
            print("FAIL seed", seed, *e, flush=True)
    print("histories %d, told to their end %d, differing %d" %
          (runs, runs - early, failed), dict(events))
    # (a simulator that tells nothing is no success)
    return failed + (events["view"] < 5 * runs)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("files", nargs="*", metavar="FILE")
    p.add_argument("--selftest", metavar="A..B")
    p.add_argument("--core", metavar="KIN-SIM",
                   help="histories that this program plays: --seeds")
    p.add_argument("--seeds", default="1..100", metavar="A..B")
    p.add_argument("--seconds", type=float, default=1e9)
    p.add_argument("--profile", help="of the simulator")
    p.add_argument("--failures", type=int, default=-1, metavar="N",
                   help="so many are enough")
    p.add_argument("--write", type=int, metavar="SEED",
                   help="print a history of the model")
    a = p.parse_args()
    if a.write is not None:
        print("\n".join(recorded(a.write)))
        return 0
    if a.selftest:
        first, last = map(int, a.selftest.split(".."))
        return selftest(range(first, last + 1))
    if a.core:
        first, last = map(int, a.seeds.split(".."))
        return against_core(a.core, range(first, last + 1), a.profile,
                            a.seconds, a.failures)
    failed = 0
    for name in a.files:
        with open(name, encoding="utf-8") as f:
            r, e = replay(f)
        views = r.events["view"]
        if e is None and not views:
            e = ("no view to compare",)
        print(name, "differs:" if e else
              "ok: %d views" % views, *(e or ()))
        failed += e is not None
    return failed


if __name__ == "__main__":
    sys.exit(bool(main()))
