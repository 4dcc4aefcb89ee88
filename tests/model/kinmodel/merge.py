# SPDX-License-Identifier: Apache-2.0
"""Cuts: taken by a sender, merged by a receiver; and purging.

A cut is the state of a node at one instant. Nothing that its K covers is
ever left out of it. A large one is merged in slices, whose rows leave the
staging with the slice; K, re-stamps and revivals come after the last one,
and until then the receiver takes, gives and purges nothing, while local
operations go on.
"""
from . import mutations
from .node import covers, join, leq
from .versions import CONTENT, KIND, ROOT, TOMB, Version

HLC_AHEAD_MAX = 500     # a clock that is further ahead is not believed


class Cut:
    def __init__(self, src, rows, full):
        self.rows, self.full = rows, full
        self.K, self.hlc, self.G = dict(src.K), src.hlc, dict(src.G)
        self.chain = {o: list(c) for o, c in src.chain.items()}
        self.M = {m: (e, dict(k)) for m, (e, k) in src.M.items()}


class Applying:
    """A cut on its way in."""

    def __init__(self, cut):
        self.cut, self.have = cut, {o for o, _ in cut.rows}
        self.todo, self.staged = list(cut.rows), 0
        self.restamp, self.moved, self.marks = [], [], []
        self.chain, self.full = cut.chain, cut.full


# ---- taking

def start_after(src, K):
    """A stream to a peer that knows K starts after this lseq."""
    for lseq, k in reversed(src.cuts):
        if leq(k, K):
            return lseq
    return 0


def take_cut(src, K):
    """Everything since the newest cut that the peer covers; all, and full,
    if the peer may have missed what was purged here."""
    src.cut()
    full = not leq(src.G, K)
    after = 0 if full else start_after(src, K)
    ids = sorted((at, o) for o, at in src.by.items() if at > after)
    if mutations.active == "withhold-object" and ids and not full and \
            src.world.chance(.1):
        ids.pop()
    if mutations.active == "unsettled-left-out":
        ids = [(at, o) for at, o in ids if o not in src.unsettled]
    src.sent = src.K[src.origin]
    return Cut(src, [(o, dict(src.rows[o])) for _, o in ids], full)


# ---- merging

def stage(dst, cut):
    dst.applying = Applying(cut)
    if cut.hlc < dst.hlc + HLC_AHEAD_MAX:
        dst.hlc = max(dst.hlc, cut.hlc)
    if mutations.active == "advance-K-early":
        join(dst.K, cut.K)


def merge_slice(dst, count=None, ids=None):
    """Merges staged rows (a number of them; those named; all) and deletes
    them from the staging, in one transaction."""
    st = dst.applying
    if ids is not None:
        now = [r for r in st.todo if r[0] in ids]
        st.todo = [r for r in st.todo if r[0] not in ids]
    else:
        count = len(st.todo) if count is None else count
        now, st.todo = st.todo[:count], st.todo[count:]
    for o, theirs in now:
        merge_row(dst, o, theirs, st)


def merge_some(dst, count):
    """A slice, and the end after the last one."""
    merge_slice(dst, count)
    if not dst.applying.todo:
        finish(dst)


def crash(dst):
    """The staging and what was merged of it are durable: nothing is lost,
    nothing is done twice."""
    st = dst.applying
    if st and mutations.active == "slice-without-staging-delete":
        st.todo = list(st.cut.rows)


def merge_row(dst, o, theirs, st):
    """(s n s') u (s \\ K') u (s' \\ K)."""
    mine = dst.rows.get(o, {})
    stub = not any(i[1] == KIND for i in mine)
    new = {i: v for i, v in mine.items()
           if i in theirs or not covers(st.cut.K, v.dot)}
    for i, v in theirs.items():
        if i in mine or not covers(dst.K, v.dot):
            new[i] = v
    if new.keys() != mine.keys():
        gone = o in dst.rows and o != ROOT and not stub and \
            dst.info(o).is_dir() and not dst.info(o).strong
        dst.rows[o] = new
        dst.touch(o)
        if not new:
            dst.forget(o)
        elif gone and dst.info(o).strong:
            note_moved(dst, o, st)
    if stub and new and mutations.active != "no-restamp":
        # It had been purged here: what is missing comes back under new
        # dots, but for names, which were removed.
        if mutations.active != "restamp-only-live" or \
                any(i[1][0] == "LINK" for i in new):
            st.restamp += [
                (o, v) for i, v in theirs.items() if i not in new and
                (v.reg[0] != "LINK" or mutations.active == "restamp-links")]
        # Both have purged what the other does not know to be removed.
        if st.full and not leq(dst.G, st.cut.K) and \
                mutations.active != "halves-unmarked":
            st.marks.append(o)
    dst.done()


def note_moved(dst, o, st):
    """Removed here (and perhaps revived for what is in it), and placed by
    somebody who had not seen that: else the TOMB would be gone."""
    t = dst.own_tomb(o)
    if t is not None:
        st.moved.append((o, t))


def finish(dst):
    st, dst.applying = dst.applying, None
    st.before = dst.K.get(dst.origin, 0)
    if st.full:
        absence(dst, st)
    join(dst.K, st.cut.K)
    for o, c in st.chain.items():
        if len(c) > len(dst.chain.get(o, ())):
            dst.chain[o] = list(c)
    if st.full and mutations.active != "g-not-inherited":
        join(dst.G, st.cut.G)
    # What is still absent by now; of several values the one that was shown.
    for o, v in sorted(st.restamp, key=lambda r: r[1].key, reverse=True):
        row = dst.rows.get(o)
        if row and v.id not in row and (
                v.reg == CONTENT or not any(i[1] == v.reg for i in row)):
            dst.restamp(o, v)
            dst.done()
    for o in st.marks:
        mark(dst, o, st.before)
    if mutations.active != "no-undelete":
        for d, tomb in st.moved:
            if d in dst.rows and dst.info(d).strong:
                dst.undelete(d, tomb)
    dst.revive()
    for m, (e, k) in st.cut.M.items():
        dst.heard(m, e, k)
    dst.done()
    dst.cut()


def mark(dst, o, before):
    """All of an object is news to one who may have purged it: only the dot
    of its KIND would tell, and that is a re-stamp's. Without a word of our
    own others that know as much as we do may still hold what went."""
    row = dst.rows.get(o, {})
    for v in sorted(row.values(), key=lambda v: v.key):
        if v.reg == KIND and v.renewed and \
                not (v.dot[0] == dst.origin and v.dot[1] > before):
            dst.restamp(o, v)


def _directories(dst, o):
    """Of every LINK: one that loses now wins when the other goes. Of what is
    dead and has something in it: where it will return to."""
    if mutations.active == "absence-winners-only":
        return [w.value.parent for w in dst.info(o).links.values()]
    row = dst.rows[o].values()
    out = [v.value.parent for v in row if v.reg[0] == "LINK"]
    if not out and mutations.active != "absence-by-links-only":
        out = [v.value.parent for v in row if v.reg == TOMB]
    return out


def absence(dst, st):
    """After a full stream: of what was not mentioned, what the sender knew
    is gone. What has a LINK that the sender did not see stays, and so do
    the directories that anything live is in: what the sender saw of them
    gets new dots, but for names, which were removed (of a directory that
    has no other and is kept for its contents: a weak one)."""
    K = st.cut.K
    rest = [o for o in dst.rows if o not in st.have and o != ROOT]
    keep = {o for o in rest
            if any(v.reg[0] == "LINK" and not covers(K, v.dot)
                   for v in dst.rows[o].values())}
    # (what was mentioned may live on by a name that the sender did not see)
    todo = list(keep) + [o for o in sorted(st.have)
                         if o in dst.rows and o != ROOT and dst.info(o).links]
    if mutations.active == "absence-keeps-no-parent":
        todo = []
    elif mutations.active == "absence-only-unmentioned":
        todo = list(keep)
    met = set(todo)
    while todo:
        for p in _directories(dst, todo.pop()):
            if p in dst.rows and p not in met and p != ROOT:
                met.add(p)
                todo.append(p)
                if p not in st.have:
                    keep.add(p)
    for o in rest:
        row = dst.rows[o]
        old = [v for v in row.values() if covers(K, v.dot)]
        whole = len(old) == len(row)
        if o not in keep and whole:
            dst.forget(o)
            continue
        # (its TIMES may be new: what counts is whether it has a name)
        nameless = o in keep and not any(
            v.reg[0] == "LINK" for v in row.values() if v not in old)
        if mutations.active == "kept-if-whole":
            nameless = whole
        for v in old:
            if v.reg[0] != "LINK" or nameless or \
                    mutations.active == "restamp-links":
                dst.restamp(o, v, weak=v.reg[0] == "LINK" and nameless)
            else:
                dst.drop(o, [v])
        if mutations.active != "absence-unmarked":
            mark(dst, o, st.before)


# ---- purging

def purge(node, lapsed=()):
    """Two phases: every member acknowledged the row as it is, and this
    node knows all that they knew when they did. Returns how many."""
    if node.applying:
        return 0
    node.cut()
    alive = node.view().alive
    node.M[node.dev] = node.epoch, dict(node.K)
    active = [m for m in node.members - node.removed if m not in lapsed]
    if any(m not in node.M for m in active):
        return 0
    if mutations.active != "one-phase-gc" and \
            not all(leq(node.M[m][1], node.K) for m in active):
        return 0
    named = {v.value.parent for o, r in node.rows.items()
             if node.info(o).links
             for v in r.values() if v.reg[0] == "LINK"}
    held = {o for o, _ in node.handles.values()}
    gone = [o for o in node.rows
            if o not in alive and o not in named and o not in held and
            o != ROOT and node.chg[o] and
            all(leq(node.chg[o], node.M[m][1]) for m in active)]
    for o in gone:
        i = node.info(o)
        if i.is_dir() and i.links and mutations.active != "purge-weak":
            # An empty weak directory is removed by an event, and purged
            # when all have that.
            node.entomb(o, node.tick("purge", o))
        else:
            join(node.G, node.chg[o])
            node.forget(o)
    return len(gone)


# ---- the renamed branch of a fork

def rename_branch(node, o, n0, x):
    """Numbers of o above n0 are x's: what is known and removed stays so,
    and everybody takes a full stream from here. A content keeps the name
    by which anc and seen know it."""
    for i in list(node.rows):
        row = node.rows[i]
        for v in [v for v in row.values()
                  if v.dot[0] == o and v.dot[1] > n0]:
            del row[v.id]
            u = Version((x, v.dot[1]), v.reg, v.hlc, v.value, v.weak, v.uid,
                        v.entry, v.renewed)
            row[u.id] = u
            node.world.written(i, u)
            node.touch(i)
    node.K[x] = max(node.K[o], node.K.get(x, 0))
    node.K[o] = n0
    if node.G.get(o, 0) > n0:
        node.G[x] = max(node.G[o], node.G.get(x, 0))
        node.G[o] = n0


def start_again(node):
    """K fell, or so others may think: forget who has what, and let
    everybody take a full stream (an own empty dot in G)."""
    node.tick("fork")
    node.G[node.origin] = node.K[node.origin]
    node.cuts, node.M, node.epoch = [], {}, node.epoch + 1
    for o in node.chg:
        node.chg[o] = None
    node.stamp += 1
