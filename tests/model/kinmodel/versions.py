# SPDX-License-Identifier: Apache-2.0
"""One object: its versions, and how a set of concurrent ones is read.

Everything here is a pure function of a row, the set of an object's live
versions. A dot is (origin, number); a stamp is (hlc, origin, number, level).
"""
from . import mutations

ROOT = 0
DIR_SLOT = 0
VOID = "void"
ANCESTORS_MAX = 8
ANCESTORS_AGAIN = 2     # of a main that stands alone, asserted again
SEEN_BEHIND = 1         # ancestors of what is removed beside that
ANCESTORS_ALONE = 4     # of a content that stands alone: rows stay short
ANCESTORS_RESTAMPED = 16    # each re-stamp adds one, and drops none
TAG_MIX = 0x9e3779b97f4a7c15    # makes a tag that is nobody's dot

KIND, MODE, TIMES, CONTENT, TOMB = (
    ("KIND",), ("MODE",), ("TIMES",), ("CONTENT",), ("TOMB",))


def LINK(slot):
    return ("LINK", slot)


class Link:
    """Where a slot stands. `since` is the seniority of the name: it is
    copied when the LINK is written again for another reason than placing
    it. A TOMB holds the LINK that went, with its slot, and `run`: the hlc
    of the first of the unbroken run of removals that it belongs to."""
    __slots__ = ("parent", "name", "prev", "since", "label", "slot", "run")

    def __init__(self, parent, name, prev, since, label, slot, run=None):
        self.parent, self.name, self.prev = parent, name, prev
        self.since, self.label, self.slot = since, label, slot
        self.run = run

    @property
    def place(self):
        return self.parent, self.name

    def at(self, place):
        return Link(*place, self.prev, self.since, self.label, self.slot)

    def buried(self, run):
        return Link(self.parent, self.name, self.prev, self.since,
                    self.label, self.slot, run)

    def __repr__(self):
        return "%s/%s" % (self.parent, self.name)


class Content:
    __slots__ = ("hash", "rank", "branch", "branch_hlc", "label", "author",
                 "anc", "seen", "auto", "leaves", "again", "reopened")

    def __init__(self, hash, rank, branch, branch_hlc, label, author,
                 anc=(), seen=frozenset(), auto=False, leaves=frozenset(),
                 again=None, reopened=False):
        self.hash, self.rank, self.branch = hash, rank, branch
        self.branch_hlc, self.label, self.author = branch_hlc, label, author
        self.anc, self.seen, self.auto, self.leaves = anc, seen, auto, leaves
        # The content that this is once more, and no edit of.
        self.again = again
        # A settlement was taken back, and this is there again, or still.
        self.reopened = reopened

    def but(self, **changed):
        c = object.__new__(Content)
        for f in self.__slots__:
            setattr(c, f, changed.get(f, getattr(self, f)))
        return c

    def __repr__(self):
        return str(self.hash)


class Version:
    """Immutable; (dot, reg) names one value for ever. `uid` tells the
    checks which act of a person it comes from, through re-stamps and
    renamed origins; no rule reads it."""
    __slots__ = ("dot", "reg", "hlc", "value", "weak", "uid", "id", "key",
                 "entry", "renewed")

    def __init__(self, dot, reg, hlc, value, weak=False, uid=None,
                 entry=None, renewed=False):
        self.dot, self.reg, self.hlc, self.value = dot, reg, hlc, value
        self.weak, self.uid = weak, uid
        self.id, self.key = (dot, reg), (hlc,) + dot
        # How anc and seen name it: it keeps this name when the branch of a
        # fork gets an origin of its own.
        self.entry = entry
        if entry is None and reg is CONTENT:
            self.entry = (self.key, dot, value.hash)
        # A re-stamp: the dot does not tell when it was made.
        self.renewed = renewed

    def __repr__(self):
        return "%s%s=%s%s" % (self.reg, self.dot, self.value,
                              "~" if self.weak else "")


def own_stamp(op):
    """The stamp of an operation: op is (dot, hlc)."""
    return (op[1],) + op[0] + (0,)


def trail(parents, most, again=None, renamed=False):
    """Newest ancestors: what was replaced, and what that had replaced. What
    is only there again stands first, and has no name of its own among them
    (but the former one of a version that is renamed)."""
    entries = {v.entry for v in parents
               if renamed or not (again and v.value.again)}
    for v in parents:
        entries.update(v.value.anc)
    return tuple(sorted(entries, key=lambda e: (e == again, e[0]),
                        reverse=True)[:most])


# ---- contents

class Branch:
    """Contents that are equal, with what is hidden under them."""
    __slots__ = ("hash", "top", "versions", "hidden", "tag", "tag_hlc",
                 "label")

    def __init__(self, hash):
        self.hash, self.top, self.versions, self.hidden = hash, None, [], []
        self.tag = self.tag_hlc = self.label = None

    def all(self):
        return self.versions + self.hidden


def order(v):
    """Rank; then a content above a void; then the key."""
    return (v.value.rank, v.value.hash != VOID) + v.key


def is_again(x, y):
    """x is an ancestor of y once more, and no edit of it: y goes on."""
    a, b = x.value, y.value
    return (a.again and b.hash not in (VOID, a.hash) and
            a.again in b.anc and mutations.active != "repeat-is-edit")


def reverted(x, y):
    """x was changed back to what both were made from, and neither writer
    knew the other's line: then y goes on, and x is no conflict."""
    a, b = x.value, y.value
    if b.hash == VOID or a.hash == b.hash:
        return False
    common = [e for e in a.anc if e in b.anc]
    if not common or max(common)[2] != a.hash:
        return False
    if mutations.active == "hide-known":
        return True
    line_x, line_y = {x.entry, *a.anc}, {y.entry, *b.anc}
    return not ((line_x - set(b.anc)) & b.seen or
                (line_y - set(a.anc)) & a.seen)


def human(v):
    """The human versions that this one is made of: what is only there again
    is what it repeats."""
    c = v.value
    if c.auto:
        return c.leaves
    return frozenset([c.again[1] if c.again else v.entry[1]])


def _subsumed(contents):
    """{x: y}: automatic versions that settle less than another one does."""
    under = {}
    autos = [v for v in contents if v.value.auto]
    for x in autos:
        for y in autos:
            if x.value.leaves < y.value.leaves or (
                    x.value.leaves == y.value.leaves and
                    (y.value.hash,) + y.key > (x.value.hash,) + x.key):
                under[x] = y
    return under


def _name(groups):
    """One tag, one name: a tag that a higher group has gives way. A void one
    has no name, and takes nobody's."""
    used = set()
    if mutations.active != "void-named":
        groups = sorted(groups, key=lambda b: b.hash == VOID)
    for b in groups:
        c = b.top.value
        b.tag, b.tag_hlc, b.label = c.branch, c.branch_hlc, c.label
        if b.tag in used:
            b.tag, b.tag_hlc, b.label = b.top.dot, b.top.hlc, c.author
        if b.tag in used:
            b.tag = (b.tag[0] ^ TAG_MIX, b.tag[1])
        while b.tag in used:
            b.tag = (b.tag[0], b.tag[1] + 1)
        used.add(b.tag)


def _top(under, x):
    while x in under:
        x = under[x]
    return x


def branches(contents):
    """Groups of contents in order, main first."""
    under = _subsumed(contents)
    if len(contents) > 1:
        down = sorted(contents, key=order, reverse=True)
        for x in reversed(down):        # (under what may be hidden, too)
            y = x not in under and next(
                (y for y in down if y is not x and is_again(x, y) and
                 _top(under, y) is not x), None)
            if y:
                under[x] = y
        down = [v for v in down if v not in under]
        back = []
        for x in reversed(down):        # lowest first; only what is shown
            for y in down:              # hides
                if y is not x and y not in under and reverted(x, y):
                    under[x] = y
                    back.append(x)
                    break
        # The same is shown, with as high a rank: it is that.
        shown = [v for v in contents if v not in under]
        for x in back:
            if any(z.value.hash == x.value.hash and
                   z.value.rank >= x.value.rank for z in shown):
                del under[x]
    groups = {}
    for v in contents:
        if v not in under:
            h = v.value.hash
            groups.setdefault(h, Branch(h)).versions.append(v)
    for x in under:
        groups[_top(under, x).value.hash].hidden.append(x)
    for b in groups.values():
        b.top = max(b.versions, key=order)
    out = sorted(groups.values(), key=lambda b: order(b.top), reverse=True)
    _name(out)
    return out


# ---- settlements

def _still(contents, v):
    """Is it there, or are its bytes?"""
    return any(w.entry == v.entry or w.value.hash == v.value.hash
               for w in contents)


def _lacks(contents, before):
    return any(v.value.hash != VOID and not _still(contents, v)
               for v in before)


class Settled:
    """The last settlement of a file, as one node saw it: the contents that
    were shown before (or void), and the name of what has been main since."""
    __slots__ = ("before", "after")

    def __init__(self, before, after):
        self.before, self.after = before, after

    def stands(self, i):
        """Can it be taken back? Not if somebody has gone on from there."""
        return bool(i.links and i.groups) and \
            i.groups[0].top.entry == self.after and \
            _lacks(i.contents, self.before)


def settlement(before, i):
    """Fewer contents are shown than before, and one is gone; and main was
    made from them, and not from what others made of them."""
    if len(i.contents) >= len(before) or not i.links or not i.groups or \
            i.groups[0].hash == VOID:
        return None
    was, main = branches(before), i.groups[0].top
    shown = before if mutations.active == "reopened-hidden" else \
        [v for b in was for v in b.versions]
    if was[0].hash == VOID or len(i.groups) >= len(was) or \
            not _lacks(i.contents, shown):
        return None
    if not main.value.anc or not any(
            main.value.anc[0] in (v.entry,) + v.value.anc for v in before):
        return None
    return Settled(shown, main.entry)


def is_reopened(i):
    """A settlement was taken back, and nobody has written since: all that is
    shown is there by that, or was seen then."""
    tops = [b.top for b in i.real]
    seen = {e for v in i.contents if v.value.reopened for e in v.value.seen}
    if mutations.active == "reopened-beside":
        seen = ()
    return any(v.value.reopened for v in tops) and \
        all(v.value.reopened or v.entry in seen for v in tops)


# ---- a row as it is read

class Info:
    """links: winner of each slot; shown: the slots that are names."""
    __slots__ = ("lseq", "kind", "links", "strong", "shown", "tombs",
                 "contents", "groups", "real", "mode", "times")

    def __init__(self, row, lseq):
        self.lseq, self.kind = lseq, None
        self.links, self.strong, self.tombs, self.contents = {}, set(), [], []
        mode = times = None
        for v in row.values():
            reg = v.reg
            if reg[0] == "LINK":
                slot = reg[1]
                w = self.links.get(slot)
                if w is None or (not v.weak, v.key) > (not w.weak, w.key):
                    self.links[slot] = v
                if not v.weak:
                    self.strong.add(slot)
            elif reg == CONTENT:
                self.contents.append(v)
            elif reg == TOMB:
                self.tombs.append(v)
            elif reg == KIND:
                self.kind = v.value
            elif reg == MODE:
                if mode is None or v.key > mode.key:
                    mode = v
            elif times is None or v.key > times.key:
                times = v
        self.mode = mode and mode.value
        self.times = times and times.value
        # Weak slots count only where no strong one is left.
        if mutations.active == "keep-revives-each":
            self.shown = sorted(self.links)
        else:
            self.shown = sorted(self.strong or self.links)
        self.groups = branches(self.contents)
        self.real = [b for b in self.groups if b.hash != VOID]

    def is_dir(self):
        return self.kind == "d"

    def live_file(self):
        return (self.kind is not None and self.kind != "d" and
                bool(self.links) and bool(self.real))

    def branch(self, tag):
        return next((b for b in self.groups if b.tag == tag), None)

    def tomb(self):
        return max(self.tombs, key=lambda v: v.key, default=None)

    def twin_key(self):
        """Equal keys at one name make one entry; None: never a twin."""
        if len(self.shown) != 1 or len(self.groups) != 1 or not self.real:
            return None
        return self.kind, self.mode, self.real[0].hash
