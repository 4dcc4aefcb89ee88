# SPDX-License-Identifier: Apache-2.0
"""The tree that people see: a pure function of a node's rows.

Steps: effective places of directories (cycles are cut); which directories
live; groups of directories that are one; who holds each name; names that
are view. An entry is
    ("d", id)                       a directory (the smallest of its group)
    ("f", id, slot, hash)           a file, with its main content
    ("s", id, slot, hash, tag)      a sibling: another content of a file
at a key (directory, name).
"""
from collections import defaultdict

from . import mutations
from .versions import DIR_SLOT, ROOT, VOID


class View:
    """names: {key: entry}; eff: {directory: its effective key}; members:
    {canonical directory: its group}; alive: ids of what is shown or shows
    something; claims: {key: [(seniority, id, slot)]}, those that hold the
    name, in order; head: {(id, slot): (id, slot)} of twins that are folded
    into another; dirs: {directory: key of its entry}; cyclic: directories
    whose LINKs close a cycle."""
    __slots__ = ("names", "eff", "members", "alive", "claims", "head",
                 "dirs", "cyclic", "_can", "_paths")

    def canonical(self, d):
        """The directory of its group that stands for it."""
        return self._can.get(d, d)

    def twins(self, o, slot):
        """The others that are one entry with this one, be it the one that
        shows them or not."""
        head = self.head.get((o, slot), (o, slot))
        return sorted({head, *(k for k, h in self.head.items() if h == head)}
                      - {(o, slot)})

    def children(self):
        """{directory: keys in it}"""
        out = defaultdict(list)
        for k in self.names:
            out[k[0]].append(k)
        return out

    def inside(self, d, top):
        """Is directory d at or below top?"""
        while d != ROOT and d != top:
            d = self.dirs[d][0]
        return d == top

    def path(self, key):
        parts = []
        while True:
            parts.append(key[1])
            if key[0] == ROOT:
                return "/".join(reversed(parts))
            key = self.dirs[key[0]]

    def by_path(self):
        if self._paths is None:
            self._paths = {self.path(k): k for k in self.names}
        return self._paths


def _rooted(eff, d, avoid):
    seen = set()
    while d != ROOT:
        if d in seen or d == avoid or d not in eff:
            return False
        seen.add(d)
        d = eff[d][0]
    return True


def _cycles(eff):
    state = {}
    for d in eff:
        path, x = [], d
        while x != ROOT and x in eff and x not in state:
            state[x] = d
            path.append(x)
            x = eff[x][0]
        if x in path:
            yield path[path.index(x):]


def effective(dirs, dev, naming, cyclic):
    """{directory: (parent, name)}. Of each cycle the latest placement
    loses, the cycle whose latest is oldest being cut first; it goes back to
    where it was before, if that is rooted. Adds to `cyclic` what was in a
    cycle."""
    eff = {d: i.links[DIR_SLOT].value.place for d, i in dirs.items()}

    def rank(d):
        key = dirs[d].links[DIR_SLOT].key
        if mutations.active == "cycle-cut-by-node":
            return (d * dev) % 97
        return key if mutations.active == "tie-without-objid" else key + (d,)

    while True:
        cycles = list(_cycles(eff))
        cyclic.update(d for c in cycles for d in c)
        losers = [max(c, key=rank) for c in cycles]
        if not losers:
            break
        d = min(losers, key=lambda x: (rank(x), x))
        for place in dirs[d].links[DIR_SLOT].value.prev:
            if _rooted(eff, place[0], d):
                eff[d] = place
                break
        else:
            eff[d] = (ROOT, naming.lost_dir(d))
    for d, (p, _) in list(eff.items()):
        if p != ROOT and p not in eff:
            eff[d] = (ROOT, naming.lost_dir(d))
    return eff


def _seniority(o, slot, link):
    since = link.value.since
    if mutations.active == "no-since":
        since = link.key
    elif mutations.active == "no-seniority":
        since = since[:3]
    if mutations.active == "tie-without-objid":
        return link.weak, since
    return link.weak, since, o, slot


def _depths(eff, live):
    depth = {ROOT: 0}
    for d in live:
        path = []
        while d not in depth:
            path.append(d)
            d = eff[d][0]
        for x in reversed(path):
            depth[x] = depth[eff[x][0]] + 1
    return depth


def build(node):
    """The view of a node, from its rows (node.info)."""
    naming, v = node.world.naming, View()
    dirs, files = {}, []
    for o in node.rows:
        i = node.info(o)
        if o == ROOT:
            continue
        if i.is_dir() and i.links:
            dirs[o] = i
        elif i.live_file():
            files.append((o, i))
    v.cyclic = set()
    v.eff = eff = effective(dirs, node.dev, naming, v.cyclic)
    v._paths = None

    # A directory lives if it is strong, or something in it lives.
    live = {d for d, i in dirs.items() if i.strong}
    shown = []                          # (directory, name, o, slot, link)
    for o, i in files:
        for slot in i.shown:
            link = i.links[slot]
            p, name = link.value.place
            if p != ROOT and p not in eff:
                p, name = ROOT, naming.lost_file(o, slot)
            shown.append((p, name, o, slot, link))
            live.add(p)
    live.discard(ROOT)
    for d in list(live):
        p = eff[d][0]
        while p != ROOT and p not in live:
            live.add(p)
            p = eff[p][0]
    v.alive = live | {o for o, _ in files}
    if ROOT in node.rows:
        v.alive.add(ROOT)

    # Directories of one place are one.
    depth, can, group = _depths(eff, live), {ROOT: ROOT}, {}
    v._can = can
    v.members = defaultdict(list)
    for d in sorted(live, key=lambda d: (depth[d], d)):
        key = can[eff[d][0]], eff[d][1]
        can[d] = group.setdefault(key, d)
        v.members[can[d]].append(d)
    v.names = names = {key: ("d", d) for key, d in group.items()}
    v.dirs = {d: key for key, d in group.items()}

    _name_files(node, v, shown, can, group)
    return v


def _name_files(node, v, shown, can, group):
    naming, names = node.world.naming, v.names
    claims, siblings = defaultdict(list), []
    for p, name, o, slot, link in shown:
        i = node.info(o)
        if i.groups[0].hash != VOID or mutations.active == "void-holds-name":
            claims[can[p], name].append((_seniority(o, slot, link), o, slot))
        if slot == i.shown[0] and len(i.groups) > 1:
            siblings.append((can[p], o, slot, link))
    v.claims, v.head, losers = claims, {}, []
    for key, list_ in claims.items():
        list_.sort(key=lambda c: c[0])
        heads = {}                      # what makes twins: who shows them
        for k, (_, o, slot) in enumerate(list_):
            # (or two names of one file: the same link, made at two nodes)
            alike = [o]
            if len(list_) > 1 and not node.unborn(o) and \
                    node.info(o).twin_key():
                alike.append(node.info(o).twin_key())
            head = next((heads[a] for a in alike if a in heads), None)
            if head and (head[0] != o or
                         mutations.active != "names-not-folded"):
                v.head[o, slot] = head
                continue
            for a in alike:
                heads[a] = o, slot
            if k == 0 and key not in group:
                names[key] = ("f", o, slot, node.info(o).groups[0].hash)
            else:
                losers.append((o, slot, key[0]))

    # Names that are view: a name that somebody gave wins.
    def taken_in(p):
        return lambda name: (p, name) in names

    for o, slot, p in sorted(losers):
        i = node.info(o)
        name = naming.conflict(o, slot, i.links[slot].value, taken_in(p))
        names[p, name] = ("f", o, slot, i.groups[0].hash)
    for p, o, slot, link in sorted(siblings, key=lambda s: s[1:3]):
        i = node.info(o)
        for b in sorted(i.groups[1:], key=lambda b: b.tag):
            if b.hash == VOID:
                continue
            name = naming.sibling(o, slot, link.value, b, taken_in(p))
            names[p, name] = ("s", o, slot, b.hash, b.tag)
