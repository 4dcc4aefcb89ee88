# SPDX-License-Identifier: Apache-2.0
"""What people did, noted when they did it; no rule reads it.

A content is (object, uid), uid naming the act that wrote it. At the end it
is accounted for if it is live, or was replaced or removed by somebody who
had it. gone() says when names that were removed one by one, at several
nodes, amount to a removal: see README.md, "A silent loss that was none".
"""
from collections import Counter, defaultdict


class Truth:
    def __init__(self):
        self.written = {}       # content: slots it was shown under (or None)
        self.author = {}        # content: (origin, number, mark)
        self.replaced, self.removed = set(), set()
        self.shown, self.soft = {}, {}
        self.unlinked = defaultdict(set)
        self.unlinks_of = Counter()             # object: how many acts
        self.removals = defaultdict(list)       # object: [(dot, mark, K)]
        self.folds = defaultdict(list)          # object: the same, of twins
        self.touched = defaultdict(list)        # object: dots that revive
        self.folded = {}        # content: the one that it went on as
        self.erased = set()     # objects without a trace
        self.trees = []         # rm -rf: (dir, dot, mark, [files in it])
        self.revived = set()
        self.undeleted = {}     # (object, dot of its TOMB): by which node

    # ---- what operations tell
    def wrote(self, node, o, uid, op):
        self.written[o, uid] = self.shown[o, uid] = set(node.info(o).shown)
        self.author[o, uid] = op[0] + (node.world.mark_of(node),)

    def reasserted(self, o, uid, of):
        """It repeats these, and writes no KEEP."""
        self.soft[o, uid] = {v.uid for v in of}

    def repeated(self, o, uid):
        """Who has this content has all that it repeats, too."""
        out, todo = set(), [uid]
        while todo:
            u = todo.pop()
            if u not in out:
                out.add(u)
                todo += self.soft.get((o, u), ())
        return out

    def unlinks(self, node, o, slots, op, into=None):
        """Names that go; into: the content as which a twin goes on."""
        self.unlinks_of[o] += 1
        i = node.info(o)
        last = set(slots) >= set(i.shown)
        act = (op[0], node.world.mark_of(node), dict(node.K))
        for v in i.contents:
            if into is not None:
                self.folded[o, v.uid] = into
                continue
            for u in self.repeated(o, v.uid):
                self.unlinked[o, u] |= set(slots)
            if last:
                self.removed.add((o, v.uid))
        if last:
            (self.removals if into is None else self.folds)[o].append(act)
        return last

    # ---- what the checks ask
    def unlinked_all(self, o, uid):
        """Slots that were removed by somebody who had this content, or
        everything that it repeats."""
        own = self.unlinked[o, uid]
        of = self.soft.get((o, uid))
        if of:
            own = own | set.intersection(
                *(self.unlinked_all(o, u) for u in of))
        return own

    def gone(self, o, uid, slots):
        if (o, uid) in self.removed:
            return True
        if slots is not None and slots <= self.unlinked_all(o, uid):
            return True
        of = self.soft.get((o, uid))
        return of is not None and (
            bool(self.removals[o] or self.folds[o]) or
            all(self.gone(o, u, self.shown.get((o, u))) for u in of))

    def accounted(self, o, uid, live):
        met = set()
        while not live(o, uid):
            if (o, uid) in self.replaced or \
                    self.gone(o, uid, self.written.get((o, uid))):
                return True
            # (two that went on as each other are both gone)
            if (o, uid) not in self.folded or (o, uid) in met:
                return False
            met.add((o, uid))
            o, uid = self.folded[o, uid]
        return True
