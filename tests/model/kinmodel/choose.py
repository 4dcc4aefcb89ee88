# SPDX-License-Identifier: Apache-2.0
"""What programs do, by chance; and that each act has its effect at once."""
from .checks import require
from .operations import Act, adoption, erasable
from .versions import ROOT, VOID, branches, is_reopened

LINKS_MAX = 4
HANDLES_MAX = 2
YOUNG = 60              # hlc: a temporary that was sent is adopted so long
TREE_STEPS_MAX = 40

BASE = {"create": 16, "mkdir": 12, "edit": 20, "edit_sibling": 6, "chmod": 2,
        "touch": 1, "unlink": 8, "rename": 14, "rmdir": 5}
MORE = {
    "links": {"link": 4},
    "exchange": {"exchange": 4},
    "over": {"over": 5},
    "void": {"rm_sibling": 6, "sibling_out": 3, "settle": 4},
    "auto": {"resolve": 6},
    "temp": {"temp": 6},
    "tree": {"rm_tree": 8},
    "twins": {"same": 7},
    "handles": {"open": 5, "close": 5},
    "reopen": {"reopen": 8},
}
PROFILES = {
    "plain": {},
    "dirs": dict(create=5, mkdir=18, rename=28, rmdir=8, exchange=8,
                 rm_tree=14),
    "conflicts": dict(create=5, mkdir=3, edit=30, edit_sibling=10),
    "purge": dict(unlink=22, rmdir=14, edit=30, rm_tree=8),
}


class Chooser:
    def __init__(self, world, operations):
        self.world, self.operations = world, operations
        mix = dict(BASE)
        for f in sorted(world.on):
            mix.update(MORE.get(f, {}))
        for what, weight in PROFILES[world.profile].items():
            if what in mix:
                mix[what] = weight
        self.kinds, self.weights = list(mix), list(mix.values())

    def act(self, n):
        """One act, if one of four that come to mind is possible."""
        r = self.world.rng
        number, origin, lseq = n.K[n.origin], n.origin, n.lseq
        for _ in range(4):
            kind = r.choices(self.kinds, self.weights)[0]
            self.view, self.node = n.view(), n
            getattr(self, "_" + kind)()
            if n.K[n.origin] != number:
                break
        for o, at in n.by.items():      # rule: a dotted version in each row
            if at > lseq:
                require(any(v.dot[0] == origin and v.dot[1] > number
                            for v in n.rows[o].values()),
                        "no dotted version", o)

    # ---- choosing
    def _pick(self, kinds):
        return self.world.rng.choice(
            [(k, e) for k, e in self.view.names.items() if e[0] in kinds] or
            [(None, None)])

    def _spot(self):
        """A place, and whether its name is free."""
        r = self.world.rng
        to = r.choice([ROOT] + sorted(self.view.dirs)), \
            r.choice(self.world.names)
        return to, to not in self.view.names

    def _value(self):
        r = self.world.rng
        return r.randrange(6) if r.random() < .3 else r.randrange(100, 999)

    def _perform(self, what, act, *say):
        n, w = self.node, self.world
        w.say("node", n.dev, what, act.key or "", act.to or "", *say)
        if w.record:
            w.record.act(n, act)
        op = self.operations.perform(n, act)
        if w.record:
            w.record.acted(n)
        v = n.view()
        if act.op in ("create", "mkdir", "remove", "rmdir", "move", "link"):
            for key in (act.key if act.op != "link" else None, act.to):
                if key and key[0] in v.alive and n.has_kind(key[0]) and \
                        (key[0] == ROOT or key[0] in v.dirs):
                    require(n.info(key[0]).times == op[1], "directory time",
                            key)
        return op

    # ---- effects
    def _shows(self, key, want, what):
        got = self.node.view().names.get(key)
        require(got and got[:len(want)] == want, "no effect", what, key,
                want, got)

    def _absent(self, key, what):
        """(Another object may have taken the plain name.)"""
        was, got = self.view.names[key], self.node.view().names.get(key)
        require(not got or got[0] != was[0] or got[1:3] != was[1:3] or
                was[0] == "s" and got[3] != was[3], "no effect", what, key,
                was, got)

    def _contents(self, o):
        """Is each content of the object shown, by itself or by a twin?"""
        v = self.node.view()
        shown = {e[3] for e in v.names.values()
                 if e[0] != "d" and e[1] == o}
        for (t, _), (h, hslot) in v.head.items():
            if t == o:
                shown |= {e[3] for e in v.names.values()
                          if e[1:3] == (h, hslot)}
        return shown

    def _written(self, key, o, hash, what):
        """The content is at its name, or is equal to another's."""
        v = self.node.view()
        got = v.names.get(key)
        if got and got[0] != "d" and got[3] == hash:
            return
        i = self.node.info(o)
        # A group that became equal to another joined it, a file that
        # became a twin is folded: their names are another's.
        joined = any(b.hash == hash and (len(i.real) < 2 or b.versions[1:])
                     for b in i.real)
        require(joined and hash in self._contents(o), "no effect", what,
                key, hash, got)

    # ---- acts on files
    def _create(self, hash=None, young=False):
        to, free = self._spot()
        if not free:
            return None
        w = self.world
        kind = "symlink" if w.rng.random() < .05 else "create"
        act = Act(kind, to=to, id=w.new_id(), slot=w.new_id(),
                  hash=self._value() if hash is None else hash)
        # (said before it is made: it is made unsettled)
        if young:
            self.node.unsettled[act.id] = w.now + 6
        self._perform("create", act, act.hash)
        got = self.node.view().names.get(to)
        require(got and got[:2] == ("f", act.id) and got[3] == act.hash,
                "no effect", "create", to, got)
        return to

    def _same(self):
        """What another node has just made, too: twins, if it is here."""
        self._create(hash=self.world.rng.randrange(2))

    def _temp(self):
        """A save: a temporary, and the rename over its target; sometimes
        somebody looks between, or the second half comes late."""
        r, n = self.world.rng, self.node
        key, e = self._pick("f")
        if not e:
            return
        temp = (key[0], "t%d" % r.randrange(2))
        if temp in self.view.names:
            t = self.view.names[temp]
            if t[0] == "f" and t[1] != e[1] and key[1] != temp[1]:
                self._rename_over(temp, t, *self._or_sibling(key, e, t[3]))
            return
        act = Act("create", to=temp, id=self.world.new_id(),
                  slot=self.world.new_id(), hash=self._value())
        n.unsettled[act.id] = self.world.now + 6
        self._perform("temp", act, act.hash)
        if r.random() < .5:
            self.view = n.view()
            e = self.view.names.get(key)
            t = self.view.names.get(temp)
            if e and t and e[0] == "f" and t[0] == "f":
                self._rename_over(temp, t, *self._or_sibling(key, e, t[3]))

    def _or_sibling(self, key, e, hash):
        """Of a file in conflict it may be the sibling that is saved. (Drawn
        by the content, so that other histories stay what they were.)"""
        siblings = sorted(k for k, x in self.view.names.items()
                          if x[0] == "s" and x[1] == e[1])
        if siblings and hash % 3 == 0:
            return siblings[0], self.view.names[siblings[0]]
        return key, e

    def _mkdir(self):
        to, free = self._spot()
        if not free:
            return
        act = Act("mkdir", to=to, id=self.world.new_id())
        self._perform("mkdir", act)
        self._shows(to, ("d", act.id), "mkdir")

    def _edit(self):
        key, e = self._pick("f")
        if not e:
            return
        act = Act("write", key, hash=self._value())
        self._perform("edit", act, act.hash)
        self._written(key, e[1], act.hash, "edit")

    def _edit_sibling(self):
        key, e = self._pick("s")
        if not e:
            return
        n, hash = self.node, self._value()
        main = n.info(e[1]).groups[0].hash
        self._perform("edit-sibling", Act("write", key, hash=hash), hash)
        self._written(key, e[1], hash, "edit-sibling")
        require(main == VOID or n.info(e[1]).groups[0].hash == main,
                "main flipped", key)

    def _chmod(self):
        key, e = self._pick("f")
        if not e:
            return
        mode = self.world.rng.randrange(3)
        self._perform("chmod", Act("chmod", key, mode=mode))
        require(self.node.info(e[1]).mode == mode, "no effect", "chmod")

    def _touch(self):
        key, e = self._pick("fsd")
        if e:
            self._perform("touch", Act("touch", key))

    def _open(self):
        n, r = self.node, self.world.rng
        key, e = self._pick("fs")
        if not e or len(n.handles) >= HANDLES_MAX:
            return
        i = n.info(e[1])
        b = i.branch(e[4]) if e[0] == "s" else i.groups[0]
        n.handles[self.world.mark()] = e[1], b.top
        self.world.say("node", n.dev, "opens", key)

    def _close(self):
        """What was written on an open handle becomes a version based on
        what the handle showed, whatever came meanwhile."""
        n = self.node
        if not n.handles:
            return
        name = self.world.rng.choice(sorted(n.handles))
        o, base = n.handles.pop(name)
        i = n.info(o) if o in n.rows else None
        # Gone for good; or removed by this node, as unlinked-open files.
        if not i or i.kind is None or \
                not i.links and (not i.tombs or
                                 i.tomb().dot[0] in n.origins):
            return
        if i.links and not i.real:
            return
        others = {v.id for b in i.real if b.hash != base.value.hash
                  for v in b.all() if v.id != base.id}
        act = Act("write", object=o, base=base, hash=self._value())
        self._perform("close", act, o, act.hash)
        i = n.info(o)
        require(i.live_file() and any(b.hash == act.hash for b in i.real),
                "no effect", "close", o)
        require(others <= {v.id for v in i.contents},
                "a handle's write replaced what it had not seen", o)

    def close_all(self, n):
        self.node = n
        while n.handles:
            before = len(n.handles)
            self._close()
            if len(n.handles) == before:
                break

    # ---- acts on names
    def _unlink(self):
        key, e = self._pick("f")
        if not e:
            return
        how = "erase" if erasable(self.node, e) and \
            self.world.rng.random() < .7 else None
        twins = self.view.twins(e[1], e[2])
        self._perform("unlink", Act("remove", key, how=how), how or "")
        self._absent(key, "unlink")
        got = self.node.view().names.get(key)
        require(not got or got[1:3] not in twins, "no effect", "unlink",
                key, "a twin is left")

    def _rm_sibling(self):
        key, e = self._pick("s")
        if e:
            self._perform("rm-sibling", Act("remove", key))
            self._absent(key, "rm-sibling")

    def _sibling_out(self):
        key, e = self._pick("s")
        to, free = self._spot()
        if not e or not free:
            return
        act = Act("move", key, to, id=self.world.new_id(),
                  slot=self.world.new_id())
        self._perform("sibling-out", act)
        self._shows(to, ("f", act.id, act.slot, e[3]), "sibling-out")
        self._absent(key, "sibling-out")

    def _settle(self):
        """mv sibling over main, or kin resolve."""
        key, e = self._pick("s")
        if not e:
            return
        n = self.node
        i = n.info(e[1])
        plain = key[0], i.links[e[2]].value.name
        if i.groups[0].hash == VOID and plain in self.view.names:
            return
        act = Act("take", key, all=self.world.rng.random() < .5)
        self._perform("settle", act)
        self._absent(key, "settle")
        require(n.info(e[1]).groups[0].hash == e[3], "no effect", "settle")

    def _resolve(self):
        _, e = self._pick("s")
        i = e and self.node.info(e[1])
        if e and len(i.real) > 1 and not is_reopened(i):
            self.auto(self.node, e[1])

    def auto(self, n, o):
        """Adversarial: the result differs on every node."""
        self.node = n
        require(not self.world.truth.is_reopened(n, o),
                "settled again by itself", o)
        self._perform("auto", Act("auto", object=o, hash=1000 + n.dev))

    def _reopen(self):
        """A settlement is taken back: what there was is shown as it was,
        and what is beside it now."""
        n = self.node
        o = self.world.rng.choice(sorted(n.settled) or [None])
        if o is None:
            return
        before, now = n.settled[o].before, n.info(o)
        was, there = branches(before), {v.entry for v in now.contents}
        self._perform("reopen", Act("reopen", object=o), o)
        self.world.stats["reopened"] += 1
        i = n.info(o)
        got = {b.hash for b in i.real}
        # What is still there may be hidden by what has come since; and what
        # has come, by what it was hidden by if nothing had been settled.
        back = {b.hash for b in was if b.top.entry not in there} - {VOID}
        rest = [v for b in now.groups[1:] for v in b.all()]
        both = branches(list({v.id: v for v in [*before, *rest]}.values()))
        beside = {b.hash for b in now.real[1:]}
        require(back | (beside & {b.hash for b in both}) <= got <=
                beside | {b.hash for b in was}, "not open again", o, back,
                beside, got)
        # (a main that is still there stands where it stands)
        require(was[0].top.entry in there or i.groups[0].hash == was[0].hash,
                "main is another", o)
        if not beside:
            require({b.tag: b.hash for b in was if b.hash != VOID} ==
                    {b.tag: b.hash for b in i.real},
                    "siblings have other names", o)
        require(is_reopened(i), "not left to people", o)

    def _rename(self):
        key, e = self._pick("fd")
        to, free = self._spot()
        if not e or not free or e[0] == "d" and \
                self.view.inside(to[0], e[1]):
            return
        self._perform("rename", Act("move", key, to))
        self._shows(to, e[:3] if e[0] == "f" else e, "rename")
        self._absent(key, "rename")

    def _link(self):
        key, e = self._pick("f")
        to, free = self._spot()
        if not e or not free or \
                len(self.node.info(e[1]).links) >= LINKS_MAX:
            return
        slot = self.world.new_id()
        self._perform("link", Act("link", key, to, slot=slot))
        self._shows(to, ("f", e[1], slot), "link")
        require(any(x[:3] == e[:3] for x in
                    self.node.view().names.values()),
                "no effect", "link", key)

    def _exchange(self):
        (a, e), (b, f) = self._pick("fd"), self._pick("fd")
        v = self.view
        if not e or e[1] == f[1] or \
                e[0] == "d" and v.inside(b[0], e[1]) or \
                f[0] == "d" and v.inside(a[0], f[1]):
            return
        self._perform("exchange", Act("exchange", a, b))
        self._shows(a, f[:3] if f[0] == "f" else f, "exchange")
        self._shows(b, e[:3] if e[0] == "f" else e, "exchange")

    def _over(self):
        (key, e), (to, f) = self._pick("f"), self._pick("f")
        if e and e[1] != f[1]:
            self._rename_over(key, e, to, f)

    def _rename_over(self, key, e, to, f):
        n, old = self.node, self.node.info(f[1])
        young = YOUNG if "temp" in self.world.on else 0
        temporary = erasable(n, e) and n.info(e[1]).kind == "f"
        how = adoption(n, e, f, young)
        self._perform("over", Act("move", key, to, how=how), how or "")
        if not how:
            self._shows(to, e[:3], "over")
        self._absent(key, "over")
        if how or temporary and old.kind == "f" and \
                (f[0] == "s" or len(old.shown) == 1):
            self._saved(to, old, f, e[3])

    def _saved(self, to, old, f, hash):
        """The branch that the name showed has that content, and nothing else
        has changed: main is main, siblings have their names. (One that had
        it before is that branch now.)"""
        saved = f[4] if f[0] == "s" else old.groups[0].tag
        want = {b.tag: b.hash for b in old.groups}
        joins = hash in [h for tag, h in want.items() if tag != saved]
        want[saved] = hash
        main = self.node.info(f[1]).groups[0]
        now = {b.tag: b.hash for b in self.node.info(f[1]).groups}
        if joins or len(want) == 1:     # (alone, it is named anew)
            require(set(now.values()) == set(want.values()) and
                    len(now) == len(want) - joins, "no save", to, want, now)
        else:
            require(now == want and main.tag == old.groups[0].tag,
                    "no save", to, want, now)

    def _rmdir(self):
        full = {k[0] for k in self.view.names}
        key, e = self.world.rng.choice(
            [(k, e) for k, e in self.view.names.items()
             if e[0] == "d" and e[1] not in full] or [(None, None)])
        if e:
            self._perform("rmdir", Act("rmdir", key))
            self._absent(key, "rmdir")

    def _rm_tree(self):
        """rm -rf: one operation for each entry, from below."""
        key, e = self._pick("d")
        if not e:
            return
        n, t = self.node, self.operations.truth
        members = list(self.view.members[e[1]])
        held = {d: [o for o in n.rows if not n.info(o).is_dir() and
                    n.info(o).live_file() and len(n.info(o).links) == 1 and
                    all(w.value.parent == d
                        for w in n.info(o).links.values())]
                for d in members}
        for _ in range(TREE_STEPS_MAX):
            self.view = v = n.view()
            if key not in v.names or v.names[key] != e:
                return
            below = [k for k in v.names if k[0] != ROOT and
                     v.inside(k[0], e[1])]
            if not below:
                break
            full = {k[0] for k in v.names}
            at = next(k for k in sorted(below, key=str)
                      if v.names[k][0] != "d" or v.names[k][1] not in full)
            what = "rmdir" if v.names[at][0] == "d" else "remove"
            self._perform("rm -rf", Act(what, at))
        else:
            return
        op = self._perform("rm -rf", Act("rmdir", key))
        self._absent(key, "rm -rf")
        for d in members:
            t.trees.append((d, op[0], n.chain[n.origin][-1], held[d]))
