# SPDX-License-Identifier: Apache-2.0
"""What must hold, whatever happened."""
from collections import Counter

from .node import covers, known
from .versions import MODE, ROOT, TOMB


class Violation(Exception):
    """args[0] is (what, details ...)."""


def require(ok, what, *more):
    if not ok:
        raise Violation((what,) + more)


def equal_nodes(a, b):
    """Equal knowledge: equal state, equal view."""
    va, vb = a.view(), b.view()
    require(va.alive == vb.alive, "state", a.dev, b.dev,
            sorted(va.alive ^ vb.alive))
    for o in va.alive:
        require(a.rows[o].keys() == b.rows[o].keys(), "state", a.dev, b.dev,
                o)
    require(va.names == vb.names, "view", a.dev, b.dev)


def check_tree(node):
    """Every directory that has something in it is shown."""
    v = node.view()
    for p, name in v.names:
        require(p == ROOT or p in v.dirs, "tree", p, name)
        steps, d = 0, p
        while d != ROOT:
            d = v.dirs[d][0]
            steps += 1
            require(steps <= len(v.dirs), "tree", p, name)


def check_names(node):
    """Every shown name is a live group, and the other way round."""
    v, shown = node.view(), Counter()
    for key, e in v.names.items():
        if e[0] == "d":
            continue
        i = node.info(e[1])
        require(any(b.hash == e[3] for b in i.real), "shown, not there", key)
        if e[0] == "s" or e[2] == i.shown[0]:
            shown[e[1]] += 1
    for (o, slot), (h, hslot) in v.head.items():
        i, j = node.info(o), node.info(h)
        if o == h:              # two names of one file, at one place
            shown[o] += slot == i.shown[0]
            continue
        require(i.twin_key() == j.twin_key() is not None, "no twins", o, h)
        require(any(e[1:3] == (h, hslot) for e in v.names.values()),
                "twin of what is not shown", o, h)
        shown[o] += 1
    for o in node.rows:
        i = node.info(o)
        if o == ROOT or not i.links:
            continue
        require(i.kind, "kind lost", o)
        require(any(x[1] == MODE for x in node.rows[o]), "mode lost", o)
        if i.strong:
            require(set(i.shown) == i.strong, "removed name came back", o)
        if i.is_dir():
            require(not i.strong or o in v.alive, "directory hidden", o)
            continue
        require(i.contents, "content lost", o)
        if i.live_file():
            want = len(i.real)
            require(shown[o] == want, "hidden content", o, shown[o], want)


def check_parents(node):
    """What is live is in a directory that is known, and lives too."""
    v = node.view()
    for o in v.alive:
        i = node.info(o)
        slots = i.shown if not i.is_dir() else i.links
        for slot in slots if o != ROOT else ():
            p = i.links[slot].value.parent
            require(p == ROOT or p in v.eff, "lost and found", o, p)


def check_contents(world, ref, calm):
    """Live, or replaced or removed by somebody who had it."""
    truth, view = world.truth, ref.view()
    # (A handle's late write to a file that others have purged already makes
    # them re-stamp what they lack: a redundant sibling may come of it.)
    calm = calm and not world.stats["nameless"]
    live_of = {}

    def live(o, uid):
        if o not in live_of:
            live_of[o] = {v.uid for v in ref.info(o).contents} \
                if o in view.alive else ()
        return uid in live_of[o]

    def shown(o, uid):
        # (a re-stamp of what others purged may be hidden by what was made
        # of it meanwhile)
        return live(o, uid) and any(v.uid == uid for b in ref.info(o).groups
                                    for v in b.versions)

    for o, uid in truth.written:
        require(truth.accounted(o, uid, live), "silent loss", o, uid)
        if calm and truth.counts(truth.replaced[o, uid]):
            require(not shown(o, uid), "replaced content came back", o, uid)


def known_act(ref, dot, mark):
    """Does the act of this dot exist (in this history of its origin)?"""
    return covers(ref.K, dot) and ref.chain[dot[0]][dot[1] - 1] == mark


def check_removals(world, ref):
    """Removed stays removed, but for a write or move unseen by who removed
    it."""
    truth = world.truth
    for acts in (truth.removals, truth.folds):
        for o, list_ in acts.items():
            i = ref.info(o) if o in ref.rows else None
            if not i or not (i.live_file() or i.is_dir() and i.strong):
                continue
            for dot, mark, K in list_:
                if known_act(ref, dot, mark):
                    require(any(not covers(K, d) for d in truth.touched[o]),
                            "removed came back", o)
    for o in truth.erased:
        for n in world.nodes:
            require(o not in n.rows, "erased came back", o, n.dev)


def check_moved_trees(world, ref):
    """Rule 17: who removed a tree that was moved gave back what it had
    removed in it."""
    truth, view = world.truth, ref.view()
    for d, dot, mark, held in truth.trees:
        if d not in view.alive or d in truth.revived or \
                not known_act(ref, dot, mark):
            continue
        # (who saw the removal when he moved it took the TOMB away)
        if not ref.info(d).strong or (dot, TOMB) not in ref.rows[d]:
            continue
        for o in held:
            once = truth.unlinks_of[o] == 1
            require(o in view.alive or not once or o in truth.erased,
                    "moved without contents",
                    d, o)


def check(world, calm):
    ref = world.nodes[0]
    for n in world.nodes[1:]:
        require(known(n.K) == known(ref.K), "K", n.dev)
        equal_nodes(ref, n)
    check_tree(ref)
    check_names(ref)
    # (Whoever lapsed, or was put back to before he acknowledged a removal,
    # may bring what is in a directory that was purged: with a fork it is
    # shown in the root.)
    if not (world.stats["restored"] and
            (world.lag or world.stats["purged"])):
        check_parents(ref)
    check_contents(world, ref, calm)
    if not world.stats["restored"]:
        check_removals(world, ref)
    if calm:
        check_moved_trees(world, ref)
