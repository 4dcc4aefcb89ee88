# SPDX-License-Identifier: Apache-2.0
"""What people did, noted when they did it; no rule reads it.

A content is (object, uid), uid naming the act that wrote it. At the end it
is accounted for if it is live, or was replaced or removed by somebody who
had it. gone() says when names that were removed one by one, at several
nodes, amount to a removal: see README.md, "A silent loss that was none".

What went with a store that was lost excuses nothing: each note holds the
mark of its act, and counts as long as some node has that act.
"""
from collections import Counter, defaultdict


class Truth:
    def __init__(self):
        self.written = {}       # content: slots it was shown under (or None)
        self.acts = {}          # mark: (origin, number)
        self.lost = set()       # marks of acts that nobody has any more
        self.author = {}        # content: mark
        self.replaced = defaultdict(set)        # content: marks
        self.removed = defaultdict(set)         # content: marks
        self.shown, self.soft = {}, {}
        self.over = {}          # content: those that it replaced
        self.unlinked = defaultdict(set)        # content: {(slot, mark)}
        self.unlinks_of = Counter()             # object: how many acts
        self.removals = defaultdict(list)       # object: [(dot, mark, K)]
        self.folds = defaultdict(list)          # object: the same, of twins
        self.touched = defaultdict(list)        # object: dots that revive
        # content: {mark: the one that it went on as}
        self.folded = defaultdict(dict)
        self.erased = set()     # objects without a trace
        self.trees = []         # rm -rf: (dir, dot, mark, [files in it])
        self.revived = set()
        # object: [(dot, contents that nobody but people settles)]
        self.reopened = defaultdict(list)
        self.undeleted = {}     # (object, dot of its TOMB): by which node

    # ---- what operations tell
    def act(self, node, op):
        """Begins: returns its mark."""
        mark = node.world.mark_of(node)
        self.acts[mark] = op[0]
        return mark

    def wrote(self, node, o, uid, op):
        self.written[o, uid] = self.shown[o, uid] = set(node.info(o).shown)
        self.author[o, uid] = self.act(node, op)

    def replaces(self, node, o, versions, op, by=None):
        for v in versions:
            self.replaced[o, v.uid].add(self.act(node, op))
        self.over[o, by] = {v.uid for v in versions}

    def erases(self, node, o, op):
        for v in node.info(o).contents:
            self.removed[o, v.uid].add(self.act(node, op))
        self.erased.add(o)

    def folds_into(self, node, o, v, into, op):
        self.folded[o, v.uid][self.act(node, op)] = into

    def reasserted(self, o, uid, of):
        """It repeats these, and writes no KEEP."""
        self.soft[o, uid] = {v.uid for v in of}

    def reopens(self, o, uids, op):
        """They are shown, by this or beside it."""
        self.reopened[o].append((op[0], uids))

    def is_reopened(self, node, o):
        """Has nobody written since, as far as is known here?"""
        left = {uid for (origin, seq), uids in self.reopened[o]
                if node.K.get(origin, 0) >= seq for uid in uids}
        return left.issuperset(b.top.uid for b in node.info(o).real)

    def had(self, o, uid):
        """Who has this content has, or had, all that it repeats and all
        that it replaced."""
        out, todo = set(), [uid]
        while todo:
            u = todo.pop()
            if u not in out:
                out.add(u)
                todo += self.soft.get((o, u), ())
                todo += self.over.get((o, u), ())
        return out

    def unlinks(self, node, o, slots, op, into=None):
        """Names that go; into: the content as which a twin goes on."""
        self.unlinks_of[o] += 1
        i = node.info(o)
        last = set(slots) >= set(i.shown)
        mark = self.act(node, op)
        act = (op[0], mark, dict(node.K))
        for v in i.contents:
            if into is not None:
                self.folds_into(node, o, v, into, op)
                continue
            for u in self.had(o, v.uid):
                self.unlinked[o, u] |= {(s, mark) for s in slots}
            if last:
                self.removed[o, v.uid].add(mark)
        if last:
            (self.removals if into is None else self.folds)[o].append(act)
        return last

    def forget(self, chains):
        """What is in none of these chains was lost."""
        for mark, (_, q) in self.acts.items():
            if not any(len(l) >= q and l[q - 1] == mark for l in chains):
                self.lost.add(mark)
        for k in [k for k, m in self.author.items() if m in self.lost]:
            self.written.pop(k, None)

    # ---- what the checks ask
    def counts(self, marks):
        return not self.lost.issuperset(marks)

    def unlinked_all(self, o, uid):
        """Slots that were removed by somebody who had this content, or
        everything that it repeats."""
        own = {s for s, mark in self.unlinked[o, uid]
               if mark not in self.lost}
        of = self.soft.get((o, uid))
        if of:
            own = own | set.intersection(
                *(self.unlinked_all(o, u) for u in of))
        return own

    def gone(self, o, uid, slots):
        if self.counts(self.removed[o, uid]):
            return True
        if slots is not None and slots <= self.unlinked_all(o, uid):
            return True
        of = self.soft.get((o, uid))
        return of is not None and (
            any(mark not in self.lost
                for _, mark, _ in self.removals[o] + self.folds[o]) or
            all(self.gone(o, u, self.shown.get((o, u))) for u in of))

    def accounted(self, o, uid, live):
        """Somebody may have folded it into one file, and somebody else
        into another: then it goes on as both, and one is enough."""
        met, todo = set(), [(o, uid)]
        while todo:
            c = todo.pop()
            if c in met:
                continue
            met.add(c)
            if live(*c) or self.counts(self.replaced[c]) or \
                    self.gone(*c, self.written.get(c)):
                return True
            todo += [into for mark, into in self.folded[c].items()
                     if mark not in self.lost]
        # (two that went on as each other are both gone)
        return False
