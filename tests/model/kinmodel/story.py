# SPDX-License-Identifier: Apache-2.0
"""Histories written by hand: nodes 1..n, paths as people see them."""
import random
from collections import Counter

from .checks import check
from .contact import contact
from .history import World
from .names import Literal
from .node import Node
from .operations import Act, adoption
from .truth import Truth
from .versions import ROOT

DAY = 86400000 << 16    # of hlc


class Story(World):
    """As a World, but nothing happens by chance. A name that is view is
    given as "path#k": the k-th sibling or suffixed name of path, by name."""

    def __init__(self, nodes, record=None):
        self.seed, self.trace, self.record = 0, False, record
        self.rng = random.Random(0)
        self.naming = record.naming if record else Literal(bytes(16))
        self.truth, self.stats = Truth(), Counter()
        self.forks = self.marks = self.origins = self.now = 0
        self.on, self.profile, self.names = {"base"}, "plain", "abc"
        self.lag = self.victim = None
        self.nodes = [Node(self, d, "n%d" % d, self.new_origin(),
                           range(1, nodes + 1))
                      for d in range(1, nodes + 1)]
        for n in self.nodes:
            n.hlc = DAY + n.dev
        self.begin()
        self.sync_all()

    def same_rm(self, hlc, next_hlc):
        return next_hlc - hlc <= 100

    def node(self, k):
        return next(n for n in self.nodes if n.dev == k)

    # ---- looking
    def key(self, k, path):
        v = self.node(k).view()
        path, _, number = path.partition("#")
        if not number:
            return v.by_path()[path]
        plain = self._place(k, path)
        start = plain[1] + " (conflict "
        found = sorted(key for key in v.names
                       if key[0] == plain[0] and key[1].startswith(start))
        return found[int(number) - 1]

    def _place(self, k, path):
        if "#" in path:
            return self.key(k, path)
        head, _, name = path.rpartition("/")
        v = self.node(k).view()
        return (v.names[v.by_path()[head]][1] if head else ROOT), name

    def id(self, k, path):
        return self.node(k).view().names[self.key(k, path)][1]

    def tree(self, k):
        """{path: content or "/"}; suffixes are cut to #k."""
        out, v = {}, self.node(k).view()
        for path, key in sorted(v.by_path().items()):
            e = v.names[key]
            if " (conflict " in path:
                path = path.partition(" (conflict ")[0] + "#"
                number = 1
                while path + str(number) in out:
                    number += 1
                path += str(number)
            out[path] = "/" if e[0] == "d" else e[3]
        return out

    # ---- acting
    def act(self, k, op, path=None, to=None, **more):
        n = self.node(k)
        act = Act(op, self.key(k, path) if path is not None else None,
                  self._place(k, to) if to is not None else None, **more)
        if self.record:
            self.record.act(n, act)
        self.operations.perform(n, act)
        if self.record:
            self.record.acted(n)
        return act

    def create(self, k, path, hash):
        return self.act(k, "create", to=path, id=self.new_id(),
                        slot=self.new_id(), hash=hash).id

    def mkdir(self, k, path):
        return self.act(k, "mkdir", to=path, id=self.new_id()).id

    def edit(self, k, path, hash):
        self.act(k, "write", path, hash=hash)

    def link(self, k, path, to):
        self.act(k, "link", path, to, slot=self.new_id())

    def rename(self, k, path, to, young=1000):
        n, how = self.node(k), None
        e = n.view().names[self.key(k, path)]
        there = n.view().names.get(self._place(k, to))
        if there and e[0] == "f" and there[0] in "fs":
            how = adoption(n, e, there, young)
        if e[0] == "s":
            self.act(k, "move", path, to, id=self.new_id(),
                     slot=self.new_id())
        else:
            self.act(k, "move", path, to, how=how)
        return how

    def rm(self, k, path):
        self.act(k, "remove", path)

    def rmdir(self, k, path):
        self.act(k, "rmdir", path)

    def rm_tree(self, k, path):
        v = self.node(k).view()
        key = self.key(k, path)
        for child in sorted(c for c in v.names if c[0] == v.names[key][1]):
            name = v.path(child)
            if v.names[child][0] == "d":
                self.rm_tree(k, name)
            else:
                self.rm(k, name)
        self.rmdir(k, path)

    def settle(self, k, path, hash, how="person"):
        """All that is there becomes this (how None: by a hook)."""
        self.act(k, "auto", object=self.id(k, path), hash=hash, how=how)

    def reopen(self, k, path):
        self.act(k, "reopen", object=self.id(k, path))

    def can_reopen(self, k, path):
        return self.id(k, path) in self.node(k).settled

    def open(self, k, path):
        n = self.node(k)
        e = n.view().names[self.key(k, path)]
        i = n.info(e[1])
        b = i.branch(e[4]) if e[0] == "s" else i.groups[0]
        n.handles[path] = e[1], b.top

    def close(self, k, path, hash):
        o, base = self.node(k).handles.pop(path)
        self.act(k, "write", object=o, base=base, hash=hash)

    # ---- meeting
    def sync(self, *nodes):
        """Each takes a cut of the one before."""
        for a, b in zip(nodes, nodes[1:]):
            contact(self, self.node(a), self.node(b), wait=True)

    def sync_all(self, *nodes):
        nodes = [self.node(k) for k in nodes] or self.nodes
        for _ in range(3):
            for a in nodes:
                for b in nodes:
                    if a is not b:
                        contact(self, a, b, wait=True)

    def purge_at(self, k, *lapsed):
        self.purge(self.node(k), set(lapsed))

    def back_up(self, k):
        self.take_backup(self.node(k))

    def lose(self, k):
        """It is gone for good, with what nobody else has."""
        self.nodes.remove(self.node(k))
        self.lost()

    def end(self, calm=True):
        self.sync_all()
        check(self, calm)
        if self.record:
            for n in self.nodes:
                self.record.view(n)
        return self.tree(1)
