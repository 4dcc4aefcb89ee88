#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays histories from files by the model's rules and compares what is
shown. README.md, "Histories in files". --selftest: histories that the model
itself wrote, as they are and with mistakes planted in the replay."""
import argparse
import io
import sys
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


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("files", nargs="*", metavar="FILE")
    p.add_argument("--selftest", metavar="A..B")
    p.add_argument("--write", type=int, metavar="SEED",
                   help="print a history of the model")
    a = p.parse_args()
    if a.write is not None:
        print("\n".join(recorded(a.write)))
        return 0
    if a.selftest:
        first, last = map(int, a.selftest.split(".."))
        return selftest(range(first, last + 1))
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
