#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference model of kinfs' merge rules: random histories, checked for
convergence and for loss. See README.md."""
import argparse
import json
import os
import sys
import time
from collections import Counter

from kinmodel import mutations
from kinmodel.checks import Violation
from kinmodel.history import FEATURES, World


def one(seed, features, trace=False):
    """(world, what was violated or None)"""
    w = World(seed, features, trace)
    try:
        w.run()
    except Violation as e:
        return w, e.args[0]
    return w, None


def guarded(seed, features):
    """A planted mistake may also break the model itself."""
    try:
        return one(seed, features)[1]
    except Exception as e:      # noqa: what a mutation breaks, it breaks
        return (type(e).__name__, str(e))


def selftest(names, within):
    missed = 0
    for name in names:
        what, features = mutations.ALL[name]
        mutations.activate(name)
        for seed in range(within):
            e = guarded(seed, features or FEATURES)
            if e:
                print("%-30s caught at seed %5d: %-26s (%s)" %
                      (name, seed, e[0], what), flush=True)
                break
        else:
            rare = name in mutations.RARE
            print("%-30s %s in %d seeds (%s)" %
                  (name, "rare, not seen" if rare else "NOT CAUGHT", within,
                   what), flush=True)
            missed += not rare
    mutations.activate(None)
    return missed


class State:
    """Where a long run stands: {"next", "runs", "failed"}."""

    def __init__(self, path, first):
        self.path = path
        self.next, self.runs, self.failed = first, 0, []
        if path and os.path.exists(path):
            with open(path) as f:
                d = json.load(f)
            self.next, self.runs, self.failed = \
                d["next"], d["runs"], d["failed"]

    def save(self):
        if not self.path:
            return
        with open(self.path + ".new", "w") as f:
            json.dump({"next": self.next, "runs": self.runs,
                       "failed": self.failed}, f)
        os.replace(self.path + ".new", self.path)


def run(a, features):
    first, last = map(int, a.seeds.split(".."))
    state, start = State(a.state, first), time.monotonic()
    kinds, stats, runs = Counter(), Counter(), 0
    while state.next <= last and time.monotonic() - start < a.seconds:
        w, e = one(state.next, features)
        stats.update(w.stats)
        runs += 1
        state.runs += 1
        if e:
            kinds[e[0]] += 1
            state.failed.append(state.next)
            if len(state.failed) <= 20:
                print("FAIL seed", state.next, *e, flush=True)
        state.next += 1
        if runs % 100 == 0:
            state.save()
    state.save()
    print("histories %d, in all %d up to seed %d; violations %d, in all %d"
          % (runs, state.runs, state.next - 1, sum(kinds.values()),
             len(state.failed)), dict(kinds), dict(stats),
          "%.0f s" % (time.monotonic() - start))
    return bool(state.failed)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seeds", default="0..999", metavar="A..B")
    p.add_argument("--seed", type=int, help="one history")
    p.add_argument("--trace", action="store_true", help="print its steps")
    p.add_argument("--features", default="all",
                   help="of " + ",".join(FEATURES))
    p.add_argument("--mutate", choices=mutations.ALL, metavar="NAME",
                   help="with a planted mistake")
    p.add_argument("--selftest", action="store_true",
                   help="is each planted mistake noticed?")
    p.add_argument("--rotate", type=int, nargs="?", metavar="N",
                   const=int(time.time()) // 86400,
                   help="--selftest of three of them only: the N-th three, "
                   "or those of the day")
    p.add_argument("--within", type=int, default=3000,
                   help="histories for each mistake")
    p.add_argument("--seconds", type=float, default=1e9)
    p.add_argument("--state", metavar="FILE",
                   help="go on where this run stopped")
    a = p.parse_args()
    features = FEATURES if a.features == "all" else \
        tuple(a.features.split(","))
    if set(features) - set(FEATURES):
        p.error("features: " + ",".join(FEATURES))
    if a.selftest:
        names = list(mutations.ALL)
        if a.rotate is not None:
            names = [n for n in names if n not in mutations.RARE]
            names = [names[(3 * a.rotate + k) % len(names)]
                     for k in range(3)]
        sys.exit(bool(selftest(names, a.within)))
    mutations.activate(a.mutate)
    if a.seed is not None:
        w, e = one(a.seed, features, a.trace)
        print("seed", a.seed, *(e or ("ok",)), dict(w.stats))
        sys.exit(bool(e))
    sys.exit(run(a, features))


if __name__ == "__main__":
    main()
