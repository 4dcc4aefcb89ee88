# SPDX-License-Identifier: Apache-2.0
"""A node: its rows, its knowledge, and what is written into them.

`world` gives what a node cannot make itself: names (naming), dots and
clocks (draw), marks of the chain. Random histories draw from a seed, replay
from the file.
"""
from . import mutations, view
from .versions import (ANCESTORS_RESTAMPED, CONTENT, DIR_SLOT, KIND, LINK,
                       ROOT, TIMES, TOMB, Info, Link, Version, settlement,
                       trail)

CUTS_MAX = 12           # few, so that thinning happens


def covers(K, dot):
    return K.get(dot[0], 0) >= dot[1]


def leq(a, b):
    return all(b.get(o, 0) >= n for o, n in a.items())


def join(a, b):
    for o, n in b.items():
        if n > a.get(o, 0):
            a[o] = n


def known(K):
    """Without the origins of which nothing is known."""
    return {o: n for o, n in K.items() if n}


class Node:
    """
    K: what is merged here. chain: {origin: marks}, what each number meant.
    rows: {object: {version id: Version}}; by: {object: lseq of its last
    change}; chg: {object: K at the first cut after it, or None}. cuts:
    [(lseq, K)]. M: {member: (epoch, K)} as heard; G: what was purged.
    applying: the cut in hand. sent: own number up to which streams or
    backups may hold what is here. handles: {name: (object, base)}. born:
    {object: (dot, hlc)} of what was made here. run: hlc of the first and
    of the last of the removals in hand. open: files made here that are
    written for the first time. settled: {object: Settled}; had: {object:
    its contents, if several, when what was last done was done}; changed:
    objects that have changed since.
    """

    def __init__(self, world, dev, label, origin, members=()):
        self.world, self.dev, self.label = world, dev, label
        self.origin, self.origins = origin, {origin}
        self.members, self.removed = set(members), set()
        self.K, self.chain = {origin: 0}, {origin: []}
        self.rows, self.by, self.chg, self.cuts = {}, {}, {}, []
        self.M, self.epoch, self.G = {}, 0, {}
        self.hlc, self.lseq, self.sent, self.applying = 0, 0, 0, None
        self.handles, self.unsettled = {}, {}
        self.born, self.run, self.open = {}, (0, 0), set()
        self.settled, self.had, self.changed = {}, {}, set()
        self.cache, self.stamp, self._view = {}, 0, None

    def clone(self):
        c = object.__new__(Node)
        c.__dict__.update(self.__dict__)
        c.rows = {o: dict(r) for o, r in self.rows.items()}
        c.chain = {o: list(l) for o, l in self.chain.items()}
        c.M = {m: (e, dict(k)) for m, (e, k) in self.M.items()}
        for f in ("K", "by", "chg", "G", "unsettled", "handles",
                  "born", "settled", "had"):
            setattr(c, f, dict(getattr(self, f)))
        for f in ("members", "removed", "origins", "open", "changed"):
            setattr(c, f, set(getattr(self, f)))
        c.cuts, c.cache, c._view = list(self.cuts), {}, None
        return c

    # ---- reading
    def info(self, o):
        at, i = self.by[o], self.cache.get(o)
        if i is None or i.lseq != at:
            i = self.cache[o] = Info(self.rows[o], at)
        return i

    def view(self):
        if self._view is None or self._view[0] != self.stamp:
            self._view = self.stamp, view.build(self)
        return self._view[1]

    def regs(self, o, reg):
        return [v for v in self.rows[o].values() if v.reg == reg]

    def unborn(self, o):
        """It is written here for the first time, and nobody else has written
        it: what it holds is nobody's."""
        return o in self.open and \
            self.info(o).groups[0].top.entry[1] == self.born[o][0]

    def has_kind(self, o):
        return any(i[1] == KIND for i in self.rows.get(o, ()))

    # ---- writing
    def tick(self, why="op", o=None, of=None):
        """A new dot, and its time: one for each operation or event."""
        return self.world.draw(self, why, o, of)

    def new_origin(self, origin):
        """A new incarnation: its numbers begin anew."""
        self.origin, self.sent = origin, 0
        self.origins.add(origin)
        self.K.setdefault(origin, 0)
        self.chain.setdefault(origin, [])

    def touch(self, o):
        self.lseq += 1
        self.by[o] = self.lseq
        self.chg[o] = None
        self.changed.add(o)
        self.stamp += 1

    def forget(self, o):
        del self.rows[o]
        self.by.pop(o, None)
        self.chg.pop(o, None)
        self.settled.pop(o, None)
        self.had.pop(o, None)
        self.stamp += 1

    def done(self):
        """An operation is done, or a row merged: was a conflict settled,
        or gone on from where one was?"""
        for o in self.changed:
            if o not in self.rows:
                continue
            i, had = self.info(o), self.had.pop(o, ())
            if len(i.contents) > 1:
                self.had[o] = tuple(i.contents)
            if o in self.settled and not self.settled[o].stands(i):
                del self.settled[o]
            s = had and settlement(had, i)
            if s:
                self.settled[o] = s
        self.changed.clear()

    def drop(self, o, versions):
        for v in versions:
            self.rows[o].pop(v.id, None)
        self.touch(o)

    def write(self, o, reg, value, op, replace=(), weak=False, uid=None):
        row = self.rows.setdefault(o, {})
        for v in replace:
            row.pop(v.id, None)
        if reg[0] == "LINK" and (not weak or reg[1] != DIR_SLOT):
            # A TOMB of a directory goes when somebody who has it places it;
            # until then it tells who moved it without knowing (rule 17).
            for i in [i for i in row if i[1] == TOMB]:
                del row[i]
        v = Version(op[0], reg, op[1], value, weak, uid)
        row[v.id] = v
        self.world.written(o, v)
        self.touch(o)
        return v

    def keep(self, o, op):
        """KEEP: a weak copy of each shown LINK, in place of weak ones."""
        i = self.info(o)
        for slot in i.shown:
            self.write(o, LINK(slot), i.links[slot].value, op,
                       [v for v in self.regs(o, LINK(slot)) if v.weak],
                       weak=True)

    def entomb(self, o, op, slots=None):
        """Drops the LINKs of the slots (all: None) and leaves a TOMB."""
        links = self.info(o).links
        slots = list(links) if slots is None else slots
        self.drop(o, [v for v in self.rows[o].values()
                      if v.reg[0] == "LINK" and v.reg[1] in slots])
        if mutations.active != "no-tomb-on-unlink":
            first, last = self.run
            if not self.world.same_rm(last, op[1]):
                first = op[1]
            self.run = first, op[1]
            self.write(o, TOMB, links[slots[0]].value.buried(first), op,
                       self.regs(o, TOMB))

    def restamp(self, o, v, weak=None, uid=None, value=None):
        """The same version under a new local dot. hlc, rank, branch, since
        stay (or are those of the value given); of a content the old name
        becomes an ancestor. Returns the dot and its time."""
        op = self.tick("restamp", o, v.id)
        row = self.rows.setdefault(o, {})
        row.pop(v.id, None)
        value = v.value if value is None else value
        if v.reg == CONTENT:
            # (none is dropped: what hides it, or is hidden under it, may
            # follow it into the row, and what was seen of its line counts)
            value = value.but(anc=trail([v], ANCESTORS_RESTAMPED, value.again,
                                        True))
        n = Version(op[0], v.reg, v.hlc, value,
                    v.weak if weak is None else weak, uid or v.uid,
                    renewed=True)
        row[n.id] = n
        self.world.written(o, n)
        self.touch(o)
        return op

    def return_name(self, o, op, tomb=None):
        """What was removed has its last name again: by a write (no tomb
        given), or by rule 17."""
        link = self.still_there(self.world.returned(self, o, tomb, op))
        return self.write(o, LINK(link.slot), link, op, weak=True)

    # ---- directories that return
    def still_there(self, link):
        """A directory that was purged meanwhile does not return, nor does
        one of which only attributes are left: what was in it comes to the
        root."""
        if link.parent == ROOT or mutations.active == "return-anywhere":
            return link
        if self.has_kind(link.parent):
            i = self.info(link.parent)
            if i.links or i.tombs:
                return link
        return link.at((ROOT, link.name))

    def revive(self):
        """A live object whose parent is dead: the parent gets a weak LINK
        where its TOMB says, and so upward."""
        if mutations.active == "no-revive":
            return
        todo, seen = [], {ROOT}
        for o in self.rows:
            i = self.info(o)
            if i.live_file():
                todo += [i.links[s].value.parent for s in i.shown]
            elif i.is_dir() and i.strong:
                todo += [w.value.parent for w in i.links.values()]
        while todo:
            p = todo.pop()
            if p in seen or p not in self.rows:
                continue
            seen.add(p)
            i = self.info(p)
            if not i.links and i.tombs and i.is_dir():
                self.revive_one(p)
            todo += [w.value.parent for w in self.info(p).links.values()]

    def revive_one(self, d):
        op = self.tick("revive", d)
        self.write(d, LINK(DIR_SLOT),
                   self.still_there(self.info(d).tomb().value), op,
                   weak=True)
        self.world.revived(self, d, op)

    def own_tomb(self, o):
        """The latest removal by this node (others may have removed it,
        too, at another place)."""
        return max((t for t in self.info(o).tombs
                    if t.dot[0] in self.origins or
                    mutations.active == "undelete-by-all"),
                   key=lambda t: t.key, default=None)

    def removed_below(self, d, tomb):
        """Rule 17: {object: TOMB} of what this node removed below d before
        it removed d, in the same rm, and nobody else did: dead rows whose
        TOMB it wrote itself and whose last place is under d, or under a
        directory of these that was revived meanwhile."""
        below = {}
        for o in sorted(self.rows):
            i = self.info(o)
            t = self.own_tomb(o)
            if o == ROOT or t is None or i.kind is None:
                continue
            if i.strong or (i.links and not i.is_dir()):
                continue
            if any(x.dot[0] not in self.origins for x in i.tombs) and \
                    mutations.active != "undelete-by-all":
                continue
            if tomb.value.run <= t.hlc <= tomb.hlc and \
                    (i.is_dir() or i.real):
                below.setdefault(t.value.parent, []).append((o, t))
        out, todo, seen = {}, [d], {d}
        while todo:
            for o, t in below.get(todo.pop(), ()):
                if o in seen:
                    continue
                seen.add(o)
                todo.append(o)
                if not self.info(o).links:      # else: revived before
                    out[o] = t
        return out

    def undelete(self, d, tomb):
        """d was removed here and moved elsewhere: it is there with what it
        held."""
        below = self.removed_below(d, tomb)
        for o in sorted(below):
            if self.world.undeletes(self, o, below[o]):
                op = self.tick("undelete", o)
                self.return_name(o, op, below[o])
                self.world.revived(self, o, op)

    # ---- directories' times
    def touch_dirs(self, dirs, op):
        """TIMES of the directories whose entries changed: no KEEP, and no
        placement, so that they bring nothing back."""
        for d in sorted(set(dirs)):
            if not self.has_kind(d):    # the root, before the first cut
                continue
            if mutations.active == "times-discard":
                self.drop(d, self.regs(d, TIMES))
                continue
            self.write(d, TIMES, op[1], op, self.regs(d, TIMES))
            if mutations.active == "times-revive" and d != ROOT:
                link = self.info(d).links[DIR_SLOT].value
                self.write(d, LINK(DIR_SLOT), link, op,
                           self.regs(d, LINK(DIR_SLOT)))

    def cut(self):
        """A cut table entry: at this lseq, K was this."""
        if self.applying:
            return
        for o, c in self.chg.items():
            if c is None:
                self.chg[o] = dict(self.K)
        if not self.cuts or self.cuts[-1] != (self.lseq, self.K):
            self.cuts.append((self.lseq, dict(self.K)))
        if len(self.cuts) > CUTS_MAX:
            del self.cuts[self.world.below(len(self.cuts) - 1)]

    def heard(self, member, epoch, K):
        """What a member has; a higher epoch (its K fell) replaces it."""
        e, old = self.M.get(member, (-1, {}))
        if epoch > e:
            self.M[member] = epoch, dict(K)
        elif epoch == e:
            join(old, K)
