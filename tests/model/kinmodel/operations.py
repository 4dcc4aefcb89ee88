# SPDX-License-Identifier: Apache-2.0
"""Local operations: which versions each writes.

An Act says what a program did, with everything that chance or a clock adds
(ids, slots, times); perform() writes. Each act is one operation with one
dot, and each operation that changes an object leaves a dotted version of it.
"""
from . import mutations
from .versions import (ANCESTORS_AGAIN, ANCESTORS_ALONE, ANCESTORS_MAX,
                       CONTENT, DIR_SLOT, KIND, LINK, MODE, ROOT, SEEN_BEHIND,
                       TIMES, VOID, Content, Link, branches, human, order,
                       own_stamp, trail)

LEVEL = 1 << 16         # a settled order: room for single steps between


class Act:
    """op: create, mkdir, symlink, write, chmod, touch, attr, remove, rmdir,
    link, move, exchange, take, auto, reopen. key, to: (directory, name);
    id, slot: of what is made; hash: a content; base: the version that a handle's write
    was made from (object: of which file). how: see the operation."""
    __slots__ = ("op", "key", "to", "id", "slot", "hash", "mode", "base",
                 "object", "how", "all")

    def __init__(self, op, key=None, to=None, **more):
        self.op, self.key, self.to = op, key, to
        for f in self.__slots__[3:]:
            setattr(self, f, more.pop(f, None))
        if more:
            raise TypeError(more)


# ---- contents

def _rank(i, b, over, op):
    """(rank, branch) of a content cut: a save never changes who is main,
    nor a name."""
    if len(i.groups) < 2 or mutations.active == "rank-not-sticky":
        return own_stamp(op), None
    main = i.groups[0]
    if b is None:
        # Made from what others replaced, beside an open conflict: one more
        # sibling, whatever the clock says.
        r = main.top.value.rank
        return r[:3] + (r[3] - LEVEL,), None
    r = max(x.top.value.rank for x in [b] + list(over))
    if mutations.active == "no-level":
        return r, b
    if b is not main and not over and r == main.top.value.rank:
        return r[:3] + (r[3] - LEVEL,), b
    stay = [x.top.value.rank for x in i.groups
            if x is not b and x not in over]
    if r not in stay:
        return r, b
    if b is main or main in over:
        return r[:3] + (r[3] + LEVEL,), b
    # Above those of its rank, and below what is above them: halfway.
    above = min(x for x in stay if x > r)
    room = above[3] - r[3] if above[:3] == r[:3] else LEVEL
    if mutations.active == "one-level-up":
        room = 2
    return r[:3] + (r[3] + room // 2,), b


def _lead(rank, others):
    """Above the others, if it is not."""
    top = max(others, default=rank)
    if top < rank or not others or mutations.active == "reopened-below":
        return rank
    return top[:3] + (top[3] + LEVEL,)


def erasable(n, e):
    """Can nobody else have this file, no stream and no backup? Then it may
    go without a trace."""
    # (not by KIND: a re-stamp gives an old one a new dot)
    i, born = n.info(e[1]), n.born.get(e[1])
    twins = n.view().head
    return (born is not None and born[0][0] == n.origin and
            born[0][1] > n.sent and
            len(i.links) == len(i.groups) == 1 and
            (e[1], e[2]) not in twins and (e[1], e[2]) not in twins.values())


def adoption(n, e, f, young):
    """How a rename of file e over file f is done: e is a temporary and its
    content is f's from now on ("erase", "tomb"); or None, a plain move. f
    may have siblings, or be one: it is what the name shows that is saved.
    (A main that has another name keeps its content there.)"""
    i, j = n.info(e[1]), n.info(f[1])
    if e[0] != "f" or i.kind != "f" or j.kind != "f" or e[1] == f[1] or \
            f[0] == "f" and len(j.shown) > 1:
        return None
    if f[0] == "s" and mutations.active == "adopt-main-only":
        return None
    if len(j.groups) > 1 and mutations.active == "adopt-no-conflict":
        return None
    if erasable(n, e):
        return "erase"
    born, twins = n.born.get(e[1]), n.view().head
    if born is not None and n.hlc - born[1] < young and \
            len(i.links) == len(i.groups) == 1 and \
            (e[1], e[2]) not in twins.values():
        return "tomb"
    return None


class Operations:
    def __init__(self, world, truth):
        self.world, self.truth = world, truth

    def content(self, n, o, b, hash, op, over=(), keep=True, repeats=False,
                again=False, base=None, auto=False, leaves=None,
                reopened=False, over_rank=None):
        """A content cut on branch b: replaces it and `over`, with what is
        hidden under them. (again: it is b once more, and no edit; repeats:
        and is no care for the file either.) b is None for a write whose base is gone, or
        hidden: it is a branch of its own. (over_rank: of what comes again,
        that main goes on to lead.)"""
        i = n.info(o)
        gone = [v for x in ([b] if b else []) + list(over) for v in x.all()]
        if b is None and base is not None:
            gone = [v for v in i.contents if v.id == base.id]
        rest = [v for v in i.contents if v not in gone]
        rank, branch = _rank(i, b, over, op)
        if over_rank is not None and mutations.active != "reopened-below":
            rank, branch = _lead(b.top.value.rank, over_rank), b
        uid = self.world.mark()
        # (a repeated main goes on with its own line; what is removed beside
        # it is no part of that, but it was seen)
        again = (repeats or again) and hash != VOID
        line = b.all() if again else gone if b or base is None else [base]
        again = again and (b.top.value.again or b.top.entry) or None
        alone = all(x is b or x in over for x in i.groups)
        anc = trail(line, ANCESTORS_MAX if not alone else
                    ANCESTORS_AGAIN if again else ANCESTORS_ALONE, again)
        rest += [v for v in gone if v not in line]
        seen = {v.entry for v in rest}
        for v in gone:
            if v not in line:
                seen.update(e for e in v.value.anc[:SEEN_BEHIND]
                            if e not in anc)
        value = Content(
            hash, rank, branch.tag if branch else op[0],
            branch.tag_hlc if branch else op[1],
            branch.label if branch else n.label, n.label, anc,
            frozenset(seen), auto,
            frozenset([uid]) if leaves is None else leaves, again, reopened)
        self.truth.replaces(n, o, gone, op, uid)
        n.write(o, CONTENT, value, op, gone, uid=uid)
        # (made from what is gone, it may be main all the same)
        main = n.info(o).groups[0].top.uid == uid
        if not auto and hash != VOID:
            self.truth.wrote(n, o, uid, op)
        if repeats:
            self.truth.reasserted(o, uid, b.versions)
        if keep and mutations.active != "no-keep":
            if i.shown:
                n.keep(o, op)
            self.truth.touched[o].append(op[0])
        if main and (keep or auto and not again) and not reopened:
            n.write(o, TIMES, op[1], op, n.regs(o, TIMES))
        return uid

    def base_branch(self, i, base):
        """The branch that a write made from this version replaces."""
        if mutations.active == "dirty-base-is-newest":
            return i.groups[0] if i.groups else None
        for b in i.groups:
            if any(v.id == base.id for v in b.all()):
                return b if b.hash == base.value.hash else None
        return next((b for b in i.groups if b.hash == base.value.hash and
                     b.hash != VOID), None)

    # ---- names
    def place(self, n, o, slot, key, op, back=True, since=None):
        """A strong LINK. If only weak slots are shown, the others are
        asserted too, else they would vanish behind it."""
        i = n.info(o) if o in n.rows else None
        prev = ()
        if i and slot in i.links and back:
            old = i.links[slot].value
            prev = (old.place,) + old.prev[:2]
        if i and not i.strong and mutations.active != "weak-not-asserted":
            for s in i.shown:
                if s != slot:
                    n.write(o, LINK(s), i.links[s].value, op,
                            n.regs(o, LINK(s)))
        link = Link(*key, prev, since or own_stamp(op), n.label, slot)
        n.write(o, LINK(slot), link, op, n.regs(o, LINK(slot)) if i else ())
        self.truth.touched[o].append(op[0])

    def repeat_main(self, n, o, op):
        """Who names a file in conflict asks for what it shows: main once
        more, so that it outlives a removal by who has not seen this."""
        i = n.info(o)
        if len(i.groups) > 1 and i.groups[0].hash != VOID and \
                mutations.active != "name-without-main":
            c = i.groups[0].top.value
            self.content(n, o, i.groups[0], c.hash, op, keep=False,
                         repeats=True, auto=c.auto,
                         leaves=c.leaves if c.auto else None)

    def unlink(self, n, o, slots, op, into=None):
        """The last shown slot takes all with it: an edit elsewhere brings
        back a file that lost all its names, never one name of several."""
        if self.truth.unlinks(n, o, slots, op, into):
            slots = slots + [s for s in n.info(o).links if s not in slots]
        n.entomb(o, op, slots)

    def fold_twins(self, n, e, op, names=False):
        """An operation on twins acts on the oldest, and removes the others:
        their content goes on as its. KEEP, for elsewhere it may be the one
        that is removed. (names: and on names of one file at one place.)"""
        twins = n.view().twins(e[1], e[2]) if e[0] == "f" else ()
        if names:
            for o, slot in twins:
                if o == e[1]:
                    self.unlink(n, o, [slot], op)
        twins = [t for t in twins if t[0] != e[1]]
        if not twins:
            return
        head = n.info(e[1]).groups[0].top.uid
        if mutations.active != "twin-no-keep":
            n.keep(e[1], op)
            self.truth.touched[e[1]].append(op[0])
        for o, slot in twins:
            self.unlink(n, o, [slot], op, into=(e[1], head))

    def remove(self, n, e, op):
        """rm of an entry: a name, a sibling, a main with siblings."""
        twins = n.view().twins(e[1], e[2]) if e[0] == "f" else []
        self._remove_one(n, e, op)
        if mutations.active != "twin-acts-on-one":
            for o, slot in twins:
                if o == e[1]:
                    self._remove_one(n, ("f", o, slot), op)
                else:
                    self.unlink(n, o, [slot], op)

    def _remove_one(self, n, e, op):
        o, slot = e[1:3]
        i = n.info(o)
        if e[0] == "s":
            b = i.branch(e[4])
            if i.real == [b]:
                self.unlink(n, o, list(i.shown), op)
            elif mutations.active == "pure-discard":
                self.truth.replaces(n, o, b.all(), op)
                n.drop(o, b.all())
            else:
                # Main once more: never a pure discard.
                self.content(n, o, i.groups[0], i.groups[0].hash, op, [b],
                             keep=False, repeats=True)
        elif len(i.real) > 1 and len(i.shown) == 1:
            self.content(n, o, i.groups[0], VOID, op, keep=False,
                         repeats=True)
        else:
            self.unlink(n, o, [slot], op)

    def group(self, n, d):
        if mutations.active == "group-canonical-only":
            return [d]
        return list(n.view().members[d])

    def _hangs(self, n, d):
        """Is d in a cycle of LINKs, or below one?"""
        v = n.view()
        while d != ROOT:
            for m in v.members.get(v.canonical(d), [d]):
                if m in v.cyclic:
                    return True
            d = n.info(d).links[DIR_SLOT].value.parent \
                if d in n.rows and DIR_SLOT in n.info(d).links else ROOT
        return False

    def pin(self, n, op, *about):
        """Before the directories `about`, or something in them, move or
        go: directories that are not where their LINK says are pinned where
        they are shown, if any of that has to do with a cycle. It says
        nothing new: the time stays, so that who moves one of them elsewhere
        wins."""
        if mutations.active == "no-pin" or (
                mutations.active != "pin-always" and
                not any(self._hangs(n, d) for d in about)):
            return
        v = n.view()
        for d in sorted(v.eff):
            link = n.info(d).links[DIR_SLOT].value
            if v.eff[d] != link.place and d in v.alive:
                n.write(d, LINK(DIR_SLOT), link.at(v.eff[d]),
                        op if mutations.active == "pin-anew" else
                        (op[0], n.info(d).links[DIR_SLOT].hlc),
                        n.regs(d, LINK(DIR_SLOT)))
                self.truth.touched[d].append(op[0])

    def claims(self, n, key):
        return [n.info(o).links[slot].value.since
                for _, o, slot in n.view().claims.get(key, ())]

    def move(self, n, e, key, op, claims=(), group=None):
        """Onto a name that others claim too: one level more senior than
        the oldest of them, so that the newcomer holds the plain name."""
        if e[0] == "d":
            for m in group or self.group(n, e[1]):
                self.place(n, m, DIR_SLOT, key, op)
            return
        old = min(claims, default=None)
        self.place(n, e[1], e[2], key, op,
                   since=old and old[:3] + (old[3] - 1,))
        self.repeat_main(n, e[1], op)

    # ---- acts
    def perform(self, n, act):
        """Returns the operation's (dot, hlc)."""
        op = n.tick()
        getattr(self, "_do_" + act.op)(n, act, op)
        n.done()
        return op

    def entry(self, n, key):
        return n.view().names[key]

    def _make(self, n, act, op, kind, since=None):
        o = act.id
        n.born[o] = op
        n.write(o, KIND, kind, op)
        n.write(o, MODE, act.mode or 0, op)
        n.write(o, TIMES, op[1], op)
        self.place(n, o, act.slot, act.to, op, since=since)
        if kind != "d":
            uid = self.world.mark()
            n.write(o, CONTENT,
                    Content(act.hash, own_stamp(op), op[0], op[1], n.label,
                            n.label, leaves=frozenset([uid])), op, uid=uid)
            self.truth.wrote(n, o, uid, op)
        n.touch_dirs([act.to[0]], op)

    def _do_create(self, n, act, op):
        self._make(n, act, op, "f")
        if act.how == "open":
            n.open.add(act.id)

    def _do_symlink(self, n, act, op):
        self._make(n, act, op, "l")

    def _do_mkdir(self, n, act, op):
        act.slot = DIR_SLOT
        self._make(n, act, op, "d")

    def _do_write(self, n, act, op):
        """Of what is shown at key, or (object, base) by a handle."""
        if act.object is None:
            e = self.entry(n, act.key)
            o, tag = e[1], e[4] if e[0] == "s" else None
            i = n.info(o)
            b = i.branch(tag) if tag is not None else i.groups[0]
            base = None
        else:
            o, base = act.object, act.base
            i = n.info(o)
            b = self.base_branch(i, base)
            e = ("f", o, i.shown[0] if len(i.shown) == 1 else None)
        nameless = not i.shown
        if e[0] == "f" and (b is not None or len(i.groups) == 1):
            self.fold_twins(n, e, op)
        if o in n.open:
            n.open.remove(o)
            n.touch(o)
        i = n.info(o)
        b = b and i.branch(b.tag)
        if b is None or b.hash != act.hash or nameless:
            self.content(n, o, b, act.hash, op, base=base)
        else:                           # the same bytes: no new version
            n.write(o, TIMES, op[1], op, n.regs(o, TIMES))
        if nameless:
            self.world.stats["nameless"] += 1
        if nameless and mutations.active != "nameless-write-lost":
            n.return_name(o, op)
            n.revive()

    def _do_chmod(self, n, act, op):
        e = self.entry(n, act.key) if act.key else ("d", ROOT)
        self.fold_twins(n, e, op)
        n.write(e[1], MODE, act.mode, op, n.regs(e[1], MODE))

    def _do_attr(self, n, act, op):
        """Any other register: all that matters is that the row changes."""
        e = self.entry(n, act.key) if act.key else ("d", ROOT)
        self.fold_twins(n, e, op)
        n.write(e[1], TIMES, op[1], op, n.regs(e[1], TIMES))

    def _do_touch(self, n, act, op):
        """utimens: as chmod, but a sibling has a time of its own."""
        e = self.entry(n, act.key) if act.key else ("d", ROOT)
        if e[0] == "s":
            i = n.info(e[1])
            self.content(n, e[1], i.branch(e[4]), e[3], op, keep=False,
                         repeats=True)
            return
        self.fold_twins(n, e, op)
        n.write(e[1], TIMES, op[1], op, n.regs(e[1], TIMES))

    def _do_remove(self, n, act, op):
        """how "erase": no peer, stream or backup can have it: no trace."""
        e = self.entry(n, act.key)
        if act.how == "erase":
            self.truth.erases(n, e[1], op)
            n.forget(e[1])
        else:
            self.remove(n, e, op)
        n.touch_dirs([act.key[0]], op)

    def _do_rmdir(self, n, act, op):
        e = self.entry(n, act.key)
        self.pin(n, op, e[1])
        for m in self.group(n, e[1]):
            self.unlink(n, m, [DIR_SLOT], op)
        n.touch_dirs([act.key[0]], op)

    def _do_link(self, n, act, op):
        e = self.entry(n, act.key)
        self.fold_twins(n, e, op)
        self.place(n, e[1], act.slot, act.to, op, back=False)
        self.repeat_main(n, e[1], op)
        n.touch_dirs([act.to[0]], op)

    def _do_move(self, n, act, op):
        """rename. how: None; "erase", "tomb": adoption, the old file takes
        the content of a temporary that leaves no trace, or a TOMB."""
        e = self.entry(n, act.key)
        there = n.view().names.get(act.to)
        if act.how in ("erase", "tomb"):
            self._adopt(n, e, there, act.how, op)
        elif e[0] == "s":
            self._sibling_out(n, e, there, act, op)
        else:
            claims = self.claims(n, act.to)
            if e[0] == "d":
                self.pin(n, op, e[1], act.to[0])
            else:
                self.fold_twins(n, e, op, names=True)
            if there is not None:
                if there[0] == "d":
                    for m in self.group(n, there[1]):
                        self.unlink(n, m, [DIR_SLOT], op)
                else:
                    self.remove(n, there, op)
            self.move(n, e, act.to, op, claims)
        n.touch_dirs([act.key[0], act.to[0]], op)

    def _adopt(self, n, e, there, how, op):
        """A save by rename-over: a new content of the old file, as if what
        is shown there had been written in place; the others stay."""
        o, d = e[1], there[1]
        self.fold_twins(n, there, op)
        mine, old = n.info(o), n.info(d)
        b = old.branch(there[4]) if there[0] == "s" else old.groups[0]
        same = b.hash == e[3]
        over = [x for x in old.groups if x is not b] \
            if mutations.active == "adopt-settles" else ()
        uid = b.top.uid if same else self.content(n, d, b, e[3], op, over)
        if same:
            n.keep(d, op)
            self.truth.touched[d].append(op[0])
        if mine.mode != old.mode and there[0] == "f":
            n.write(d, MODE, mine.mode, op, n.regs(d, MODE))
        for v in mine.contents:
            self.truth.folds_into(n, o, v, (d, uid), op)
        if how == "erase" or mutations.active == "adopt-sent-erases":
            self.truth.erased.add(o)
            n.forget(o)
        else:
            self.unlink(n, o, list(mine.shown), op, into=(d, uid))

    def _sibling_out(self, n, e, there, act, op):
        """A new file with its content; then as rm of the sibling."""
        claims = self.claims(n, act.to)
        if there is not None:
            self.remove(n, there, op)
        old = min(claims, default=None)
        i = n.info(e[1])
        new = Act("create", to=act.to, id=act.id, slot=act.slot, hash=e[3],
                  mode=i.mode)
        self._make(n, new, op, i.kind, old and old[:3] + (old[3] - 1,))
        if i.branch(e[4]) is not None:
            self._remove_one(n, e, op)

    def _do_exchange(self, n, act, op):
        e, f = self.entry(n, act.key), self.entry(n, act.to)
        a, b = self.claims(n, act.key), self.claims(n, act.to)
        # (of what was shown before any of it moved)
        groups = [x[0] == "d" and self.group(n, x[1]) for x in (e, f)]
        if "d" in (e[0], f[0]):
            self.pin(n, op, *(x[1] for x in (e, f) if x[0] == "d"),
                     act.key[0], act.to[0])
        self.fold_twins(n, e, op, names=True)
        self.fold_twins(n, f, op, names=True)
        self.move(n, e, act.to, op, b, groups[0])
        self.move(n, f, act.key, op, a, groups[1])
        n.touch_dirs([act.key[0], act.to[0]], op)

    def _do_take(self, n, act, op):
        """A settlement: the sibling at key (or main: how "main") over main,
        and over all other branches if `all`."""
        e = self.entry(n, act.key)
        i = n.info(e[1])
        main = i.groups[0]
        b = main if act.how == "main" or e[0] != "s" else i.branch(e[4])
        over = [x for x in i.groups if x is not main] if act.all else \
            [x for x in [b] if x is not main]
        self.content(n, e[1], main, b.hash, op, over, again=b is main)

    def _do_auto(self, n, act, op):
        """A policy or a hook settles (how "person": somebody who merges):
        the result replaces what it was made of."""
        i = n.info(act.object)
        auto = act.how != "person"
        leaves = frozenset().union(*map(human, i.contents))
        self.content(n, act.object, i.groups[0], act.hash, op, i.groups[1:],
                     keep=not auto, auto=auto,
                     leaves=leaves if auto else None)

    def _do_reopen(self, n, act, op):
        """The last settlement is taken back. What there was comes again as
        it was, under new dots, and main leads; what the settlement made goes,
        unless it is main's content that stayed: that is asserted again. What
        comes has seen all that is there: who goes on from the settlement at
        the same time has made one more content. It is no repetition, nor
        automatic, any more: somebody wants to see it."""
        o = act.object
        i, before = n.info(o), n.settled.pop(o).before
        self.fold_twins(n, ("f", o, i.shown[0] if len(i.shown) == 1 else
                            None), op)
        i = n.info(o)
        was, main = branches(before), i.groups[0]
        stays = main.hash == was[0].hash
        there = {v.entry for v in i.contents}
        seen = there | {v.value.again for v in i.contents if v.value.again}
        if mutations.active == "reopened-unrepeated":
            seen = there
        come = [v for v in before
                if v.value.hash != VOID and v.entry not in there and
                not (stays and v.value.hash == main.hash)]
        gone = [v for v in main.all()
                if v.entry not in {x.entry for x in before}]
        others = [b.top.value.rank for b in i.groups[1:]]
        mark = mutations.active != "reopened-unmarked"
        if stays:
            c = main.top.value
            uids = [self.content(
                n, o, main, main.hash, op, again=True, auto=c.auto,
                leaves=c.leaves if c.auto else None, reopened=mark,
                over_rank=others + [v.value.rank for v in come])]
        else:
            if mutations.active != "reopened-no-keep":
                n.keep(o, op)
            self.truth.touched[o].append(op[0])
            n.drop(o, gone)
            uids = []
        shown = {b.top: b for b in was}
        # (of one rank the later dot goes first)
        for v in sorted(come, key=order,
                        reverse=mutations.active == "reopened-main-first"):
            c = v.value.but(reopened=mark)
            if mutations.active != "reopened-blind":
                c.seen |= seen
            if mutations.active != "reopened-again":
                c.again = None
            if mutations.active != "reopened-auto":
                c.auto, c.leaves = False, frozenset()
            if v is was[0].top and not stays:
                c.rank = _lead(c.rank, others)
            if v in shown and mutations.active != "reopened-untold":
                # (a name made of its dot would be another now)
                c.branch, c.branch_hlc, c.label = (
                    shown[v].tag, shown[v].tag_hlc, shown[v].label)
            uids.append(self.world.mark())
            op = n.restamp(o, v, uid=uids[-1], value=c)
            self.truth.wrote(n, o, uids[-1], op)
        if not stays:
            self.truth.replaces(n, o, gone, op, uids[-1])
            n.write(o, TIMES, op[1], op, n.regs(o, TIMES))
        self.truth.reopens(o, uids + [b.top.uid for b in i.groups[1:]], op)
