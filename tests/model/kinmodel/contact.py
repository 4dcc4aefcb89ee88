# SPDX-License-Identifier: Apache-2.0
"""Two nodes meet: forks are found and mended, then cuts are exchanged."""
from . import merge, mutations
from .checks import equal_nodes, require
from .node import known, leq

BRANCH = 1 << 20        # origin of a renamed branch: this + its first mark


def split(world, node, peer, o, n0):
    """This node is on the branch of o that goes: its numbers above n0 get
    an origin made of the mark of the first, the same at every node."""
    marks = node.chain[o]
    x, k = BRANCH + marks[n0], node.K[o]
    world.say("node", node.dev, "renames", o, "above", n0, "to", x)
    if node.origin == o:
        node.new_origin(world.new_origin())
    merge.rename_branch(node, o, n0, x)
    if len(marks) > len(node.chain.get(x, ())):
        node.chain[x] = list(marks)
    del marks[n0:]
    if mutations.active == "fork-keep-K":
        node.chain[o] = list(peer.chain.get(o, ()))[:k]
        node.K[o] = len(node.chain[o])
    merge.start_again(node)
    world.forks += 1
    if world.record:
        world.record.fork(node, o, n0, x)


def _renamed_by_peer(world, a, b):
    for n, p in ((a, b), (b, a)):
        for o in sorted(n.K):
            for i, mark in enumerate(n.chain.get(o, ())[:n.K[o]]):
                if BRANCH + mark in p.K and BRANCH + mark != o and \
                        (o < BRANCH or mark > o - BRANCH):
                    split(world, n, p, o, i)
                    return True
    return False


def _two_histories(world, a, b, o):
    ca, cb = a.chain.get(o, []), b.chain.get(o, [])
    m = min(a.K[o], b.K[o])
    if not m or ca[m - 1] == cb[m - 1]:
        return False
    n0 = next(i for i in range(m) if ca[i] != cb[i])
    n, p = sorted((a, b), key=lambda x: x.chain[o][n0])
    world.say("fork of", o, "above", n0)
    split(world, n, p, o, n0)
    return True


def _lost_numbers(world, a, b, o):
    own = a if a.origin == o else b if b.origin == o else None
    if own is None or (b if own is a else a).K[o] <= own.K[o]:
        return False
    own.new_origin(world.new_origin())
    merge.start_again(own)
    world.forks += 1
    if world.record:
        world.record.incarnation(own)
    return True


def find_fork(world, a, b):
    """Mends one, if there is any. The branch with the smaller first mark
    goes, wherever it is met."""
    if mutations.active == "no-cookie":
        return False
    if _renamed_by_peer(world, a, b):
        return True
    return any(_two_histories(world, a, b, o) or _lost_numbers(world, a, b, o)
               for o in sorted(set(a.K) & set(b.K)))


def deliver(world, src, dst, slices=False):
    cut = merge.take_cut(src, dst.K)
    before = dict(dst.K)
    world.say("sync", src.dev, "->", dst.dev, "full" if cut.full else "",
              len(cut.rows), "rows", "in slices" if slices else "")
    if world.record:
        world.record.cut(src, cut)
    require(dst.applying is None, "two cuts at once")
    merge.stage(dst, cut)
    if slices:
        world.merge_some(dst, 1)
    else:
        world.merge_some(dst, len(cut.rows) + 1)
    require(leq(before, dst.K), "K fell")
    src.heard(dst.dev, dst.epoch, dst.K)
    dst.heard(src.dev, src.epoch, src.K)
    dst.heard(dst.dev, dst.epoch, dst.K)


def contact(world, a, b, slices=False, wait=False):
    """b takes a cut of a. `wait`: now, settled or not."""
    if a.dev in b.removed or b.dev in a.removed or a.applying or b.applying:
        return
    removed = a.removed | b.removed
    a.removed, b.removed = set(removed), set(removed)
    while find_fork(world, a, b):
        pass
    a.heard(b.dev, b.epoch, b.K)
    b.heard(a.dev, a.epoch, a.K)
    if not leq(b.G, a.K):               # a lapsed: it takes all first
        if not world.settled(b, wait):
            return
        deliver(world, b, a)
    if world.settled(a, wait):
        deliver(world, a, b, slices)
    if known(a.K) == known(b.K):
        equal_nodes(a, b)
