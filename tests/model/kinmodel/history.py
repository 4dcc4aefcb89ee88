# SPDX-License-Identifier: Apache-2.0
"""Random histories: nodes work, meet, crash, lapse, leave, are restored."""
import itertools
import random
from collections import Counter

from . import merge, mutations
from .checks import check, require
from .choose import Chooser
from .contact import contact
from .names import Plain
from .node import Node
from .operations import Operations
from .truth import Truth
from .versions import KIND, MODE, ROOT, TIMES, is_reopened

FEATURES = ("base", "links", "exchange", "over", "void", "auto", "large",
            "gc", "lapse", "remove", "fork", "clock", "part", "temp", "tree",
            "twins", "handles", "cookie", "reopen")
RM_GAP = 6              # hlc between two removals of one rm -rf
SETTLE_STEPS = 6        # a temporary keeps cuts waiting no longer


class World:
    def __init__(self, seed, features=FEATURES, trace=False, record=None):
        self.seed, self.trace, self.record = seed, trace, record
        self.rng = r = random.Random(seed)
        self.naming = record.naming if record else Plain()
        self.truth, self.stats = Truth(), Counter()
        self.forks = self.marks = self.origins = self.now = 0
        count = r.choice((2, 3, 3, 4, 4, 5))
        self.on = {f for f in features if r.random() < .75} | {"base"}
        if r.random() < .6 and set(features) & {"gc", "links"}:
            self.on -= {"fork"}
        self.profile = r.choice(("plain", "dirs", "conflicts", "purge"))
        self.names = "ab" if self.profile == "conflicts" else "abc"
        self.steps = r.randrange(30, 200)
        self.nodes = [self._node(d, count) for d in range(1, count + 1)]
        self.begin()
        self.lag = r.choice(self.nodes) if "lapse" in self.on and \
            count > 2 else None
        self.victim = r.choice(self.nodes) if "remove" in self.on and \
            count > 2 and r.random() < .4 else None

    def begin(self):
        """The first node makes the volume."""
        self.backup, self.cutoff, self.given = None, set(), set()
        self.operations = Operations(self, self.truth)
        self.chooser = Chooser(self, self.operations)
        first = self.nodes[0]
        op = first.tick()
        for reg, value in ((KIND, "d"), (MODE, 0), (TIMES, op[1])):
            first.write(ROOT, reg, value, op)
        if self.record:
            for n in self.nodes:
                self.record.start(n, op if n is first else None)

    def _node(self, dev, count):
        n = Node(self, dev, "n%d" % dev, self.new_origin(),
                 range(1, count + 1))
        n.hlc = self.rng.randrange(1000)
        if "clock" in self.on and self.rng.random() < .2:
            n.hlc += 100000
        return n

    # ---- what nodes ask of their world
    def draw(self, node, why, o, of):
        """One operation or event: one dot."""
        node.hlc += self.rng.randrange(1, 3)
        node.K[node.origin] += 1
        node.chain[node.origin].append(self.mark())
        dot = node.origin, node.K[node.origin]
        if self.record:
            self.record.drawn(why, o, of, dot, node.hlc)
        return dot, node.hlc

    def mark(self):
        self.marks += 1
        return self.marks

    def mark_of(self, node):
        return node.chain[node.origin][-1]

    def new_origin(self):
        self.origins += 1
        return self.origins

    def new_id(self):
        return self.rng.randrange(1, 1 << 40)

    def below(self, n):
        return self.rng.randrange(n)

    def chance(self, p):
        return self.rng.random() < p

    def returned(self, node, o, tomb, op):
        """The name that a removed file gets back: its last one."""
        return (tomb or node.info(o).tomb()).value

    def written(self, o, version):
        pass

    def same_rm(self, hlc, next_hlc):
        """Do two removals of a node belong to one rm -rf?"""
        return next_hlc - hlc <= RM_GAP

    def undeletes(self, node, o, tomb):
        """Rule 17: who removed it gives it back, nobody else does."""
        by = self.truth.undeleted.setdefault((o, tomb.dot), node.dev)
        require(by == node.dev, "two give back what one removed", o)
        self.given.add(o)
        return True

    def revived(self, node, o, op):
        self.truth.revived.add(o)
        self.truth.touched[o].append(op[0])

    def settled(self, node, wait):
        """May a cut be taken now?"""
        for o, until in list(node.unsettled.items()):
            if until <= self.now or o not in node.rows:
                del node.unsettled[o]
        return wait or not node.unsettled or \
            mutations.active == "unsettled-left-out"

    def merge_some(self, node, count):
        if self.record:
            self.record.before_slice(node)
        merge.merge_slice(node, count)
        if node.applying.todo:
            if self.record:
                self.record.slice(node)
            return
        if self.record:
            self.record.begin()
        merge.finish(node)
        if self.record:
            self.record.applied(node)

    def purge(self, node, lapsed=()):
        if self.record:
            self.record.begin()
        before = set(node.rows)
        self.stats["purged"] += merge.purge(node, lapsed)
        if self.record:
            self.record.purged(node, before - set(node.rows))

    def say(self, *what):
        if self.trace:
            print(*what)

    # ---- a step
    def away(self, n, t):
        return n is self.lag and .25 < t < .75 or \
            n is self.victim and t > .9

    def step(self, t):
        r, x, n = self.rng, self.rng.random(), self.rng.choice(self.nodes)
        if x < .5:
            self.chooser.act(n)
        elif x < .88:
            a, b = r.sample(self.nodes, 2) if len(self.nodes) > 1 else (n, n)
            if a is b or self.away(a, t) or self.away(b, t) or \
                    frozenset((a.dev, b.dev)) in self.cutoff:
                return
            contact(self, a, b, "large" in self.on and r.random() < .3,
                    wait=r.random() < .1)
        elif x < .97 and "gc" in self.on:
            self.purge(n)
        elif "part" in self.on and r.random() < .3:
            devs = [m.dev for m in self.nodes]
            self.cutoff = {frozenset(p)
                           for p in itertools.combinations(devs, 2)
                           if r.random() < .4}
        self.disturb(t, n)

    def disturb(self, t, n):
        r = self.rng
        if "clock" in self.on and r.random() < .01:
            n.hlc += r.choice((50, 400, 100000))
        for m in self.nodes:
            if m.applying and r.random() < .3:
                if r.random() < .4:
                    merge.crash(m)
                self.merge_some(m, r.randrange(1, 4))
        if self.lag and .45 < t < .75 and r.random() < .35:
            # It lapsed: the others purge without waiting for it.
            m = r.choice(self.nodes)
            if m is not self.lag and "gc" in self.on:
                self.purge(m, {self.lag.dev})
        if self.victim and t > .6 and r.random() < .1 and \
                not self.stats["gone"]:
            m = r.choice(self.nodes)
            if m is not self.victim:
                m.removed.add(self.victim.dev)
                self.stats["gone"] = 1
                self.say("remove", self.victim.dev)
        if "fork" in self.on and self.forks < 3 and not n.applying and \
                n is not self.lag:
            if self.backup is None and r.random() < .06:
                self.take_backup(n)
            elif self.backup and r.random() < .06:
                self.restore()

    # ---- forks
    def take_backup(self, n):
        if mutations.active != "erase-committed":
            n.sent = n.K[n.origin]      # never erased without a TOMB
        self.backup = n.clone()
        self.say("backup of", n.dev)
        if self.record:
            self.record.copy(n)

    def restore(self):
        at = next(k for k, n in enumerate(self.nodes)
                  if n.dev == self.backup.dev)
        old = self.nodes[at]
        if old.applying:
            return
        new, self.backup = self.backup, None
        self.nodes[at] = new
        new.handles, new.unsettled = {}, {}
        self.stats["restored"] += 1
        self.say("restore", old.dev)
        if self.record:
            self.record.restore(new)
        if self.lag is old:
            self.lag = new
        if self.victim is old:
            self.victim = new
        if "cookie" in self.on and self.rng.random() < .5:
            # The store notices by itself, before anything is written.
            self.say("noticed by", new.dev)
            self.stats["noticed"] += 1
            if mutations.active != "no-cookie":
                new.new_origin(self.new_origin())
                new.epoch += 1
                if self.record:
                    self.record.incarnation(new)
        self.lost()

    def lost(self):
        """Writes that no node has any more went with the store that held
        them."""
        self.truth.forget([c for n in self.nodes for c in (
            list(n.chain.values()) +
            (list(n.applying.chain.values()) if n.applying else []))])

    # ---- the end
    def finish_cuts(self, nodes):
        for n in nodes:
            while n.applying:
                self.merge_some(n, 3)

    def deliver_all(self, nodes, rng):
        """Everybody meets everybody, until nothing moves."""
        self.finish_cuts(nodes)
        pairs = list(itertools.permutations(nodes, 2))
        for round_ in range(4 + 2 * self.forks):
            rng.shuffle(pairs)
            before = [n.lseq for n in nodes]
            for a, b in pairs:
                contact(self, a, b, wait=True)
            if round_ > 1 and before == [n.lseq for n in nodes]:
                return
        before = [n.lseq for n in nodes]
        for a, b in pairs:
            contact(self, a, b, wait=True)
        require(before == [n.lseq for n in nodes], "not quiet when idle")

    def other_order(self, twin):
        """The same operations, delivered in another order."""
        given, self.given = self.given, set()
        self.deliver_all(twin, random.Random(self.seed + 1))
        a, b = twin[0], self.nodes[0]
        # (Rule 17 is an answer to what a node has heard so far: another
        # removal, of the directory or of the file, may come before or after
        # that. Nothing else may differ.)
        either = given ^ self.given

        # (A re-stamp may show again, beside it, what was replaced by who
        # had not heard of the re-stamp: a redundant sibling.)
        def redundant(i, x):
            names = {e for v in x.versions for e in v.value.anc
                     if e[2] == x.hash and e[0][0] == v.hlc}
            return any(e in y.value.anc for e in names for y in i.contents
                       if y.value.hash != x.hash)

        def held(n):
            return {(o, x.hash) for o in n.rows if n.info(o).live_file()
                    for x in n.info(o).real if o not in either and
                    not redundant(n.info(o), x)}
        require(held(a) == held(b), "order of delivery", "contents")
        if either:
            self.stats["either"] += 1
            return
        # (who revives chooses where a directory is that two had removed)
        weak = any(not n.info(d).strong for n in (a, b) for d in n.view().eff
                   if d in n.view().alive)
        if not weak:
            require(a.view().names == b.view().names, "order of delivery",
                    "view")

    def settle_all(self, calm):
        """Every node resolves every conflict that it sees: it must end."""
        todo = []
        for _ in range(12):
            todo = [(n, o) for n in self.nodes for o in n.rows
                    if n.info(o).live_file() and len(n.info(o).real) > 1 and
                    not is_reopened(n.info(o))]
            if not todo:
                break
            for n, o in todo:
                self.chooser.auto(n, o)
            self.deliver_all(self.nodes, self.rng)
        require(not todo, "automatic resolution does not end")
        check(self, calm)

    def run(self):
        for t in range(self.steps):
            self.now = t
            self.step(t / self.steps)
        self.now += SETTLE_STEPS
        self.stats.update(steps=self.steps, forks=self.forks)
        for n in self.nodes:
            self.chooser.close_all(n)
        if self.victim and self.stats["gone"]:
            self.finish_cuts(self.nodes)
            self.nodes = [n for n in self.nodes if n is not self.victim]
            self.lost()
            for n in self.nodes:
                n.removed.add(self.victim.dev)
        else:
            self.victim = None
        calm = not (self.stats["restored"] or self.lag or self.victim)
        twin = None
        if calm and self.seed % 4 == 0 and self.record is None and \
                not any(n.applying for n in self.nodes):
            twin = [n.clone() for n in self.nodes]
        self.given = set()
        self.deliver_all(self.nodes, self.rng)
        check(self, calm)
        if self.record:
            for n in self.nodes:
                self.record.view(n)
        if twin:
            keep, self.nodes = self.nodes, self.nodes
            self.other_order(twin)
            self.nodes = keep
        if "auto" in self.on:
            self.settle_all(calm)
        return self.stats
