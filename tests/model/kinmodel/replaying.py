# SPDX-License-Identifier: Apache-2.0
"""Executes a history from a file by the model's rules, and compares.

The file says what happened: who did what, with the dots, times and ids that
were drawn; which cut was merged where. The model says which versions each
operation writes, what a merge makes of them, which events it causes, and
what is shown; the file's views must be the same.
"""
import json
from collections import Counter

from . import merge
from .names import Literal
from .node import Node, join, known
from .operations import Act, Operations
from .truth import Truth
from .versions import CONTENT, KIND, MODE, ROOT, TIMES


class Mismatch(Exception):
    """What the file says is not what the rules say."""


def check(ok, *what):
    if not ok:
        raise Mismatch(*what)


class Replay:
    """A world (history.World) that draws nothing: all comes from a file."""
    record = None
    trace = False

    def __init__(self):
        self.nodes, self.cuts, self.copies = {}, {}, {}
        self.truth, self.stats = Truth(), Counter()
        self.operations = Operations(self, self.truth)
        self.contents, self.snapshots = {}, {}
        self.marks = self.devs = 0
        self.naming = None
        self.op, self.drawn, self.events = None, {}, Counter()
        self.fresh = set()

    # ---- what nodes ask of their world
    def draw(self, node, why, o, of):
        if why == "op":
            check(self.op is not None, "an operation draws twice")
            d, self.op = self.op, None
        else:
            d = self.drawn.pop((why, o, of), None)
            check(d is not None, "the rules want an event that is not there",
                  why, "%032x" % (o or 0), of)
        # (the events of one cut may be drawn in another order than here)
        dot = node.origin, d["seq"]
        check(dot not in node.used or dot in self.fresh,
              "a number is used again", dot)
        node.used.add(dot)
        if why == "purge":      # (several may have one)
            self.fresh.add(dot)
        node.K[node.origin] = max(node.K[node.origin], d["seq"])
        node.hlc = max(node.hlc, d["hlc"])
        return dot, d["hlc"]

    def mark(self):
        self.marks += 1
        return self.marks

    def mark_of(self, node):
        return 0

    def below(self, n):
        return 0

    def chance(self, p):
        return False

    def returned(self, node, o, tomb, op):
        return (tomb or node.info(o).tomb()).value

    def written(self, o, v):
        if v.reg == CONTENT:
            self.contents[o, v.dot] = v

    def same_rm(self, hlc, next_hlc):
        return True             # the file says what returned

    def undeletes(self, node, o, tomb):
        return ("undelete", o, None) in self.drawn

    def revived(self, node, o, op):
        pass

    # ---- reading events
    def run(self, lines):
        """Raises Mismatch, with the line's number first."""
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            e = json.loads(line)
            self._take_dots(e)
            try:
                do = getattr(self, "_on_" + e["ev"], None)
                check(do is not None, "no such event", e["ev"])
                do(e)
                check(not self.drawn, "an event that the rules do not want",
                      *list(self.drawn)[:1])
            except Mismatch as x:
                raise Mismatch("line %d" % number, *x.args) from None
            except (KeyError, AttributeError, TypeError) as x:
                raise Mismatch("line %d" % number, "cannot be done",
                               repr(x)) from x
            self.events[e["ev"]] += 1

    def _take_dots(self, e):
        self.op, self.drawn = e if e["ev"] == "op" else None, {}
        self.fresh = set()
        for d in e.get("drawn", ()):
            if d.get("reg") == "OTHER":
                n = self.nodes[e["node"]]
                n.K[n.origin] = max(n.K[n.origin], d["seq"])
                continue
            o = int(d["id"], 16) if "id" in d else None
            of = None
            if "of" in d:
                reg = (d["reg"], d["slot"]) if "slot" in d else (d["reg"],)
                of = (int(d["of"][0], 16), d["of"][1]), reg
            self.drawn[d["why"], o, of] = d

    def _key(self, node, path, name=None):
        """An entry that is shown; by object and slot if the name is one
        that was shown a moment ago."""
        key = node.view().by_path().get(path)
        if name is None or key is not None and \
                node.view().names[key][1:3] == name:
            check(key is not None, "not shown here", path)
            return key
        return next((k for k, e in node.view().names.items()
                     if e[1:3] == name), key)

    def _place(self, node, path):
        head, _, name = path.rpartition("/")
        if not head:
            return ROOT, name
        v = node.view()
        key = v.by_path().get(head)
        check(key is not None and v.names[key][0] == "d",
              "no directory", head)
        return v.names[key][1], name

    # ---- events
    def _on_volume(self, e):
        self.naming = Literal(bytes.fromhex(e["id"]))

    def _on_node(self, e):
        self.devs += 1
        n = Node(self, self.devs, e["label"], int(e["origin"], 16))
        n.used = set()
        self.nodes[e["node"]] = n
        if "root" in e:
            self.op = e["root"]
            op = n.tick()
            for reg, value in ((KIND, "d"), (MODE, 0), (TIMES, op[1])):
                n.write(ROOT, reg, value, op)

    def _on_op(self, e):
        n = self.nodes[e["node"]]
        act = Act(e["op"])
        for f in ("slot", "mode", "how", "all", "hash"):
            setattr(act, f, e.get(f))
        for f in ("id", "object"):
            if f in e:
                setattr(act, f, int(e[f], 16))
        if act.op == "write" and "base" in e:
            dot = int(e["base"][0], 16), e["base"][1]
            act.base = self.contents.get((act.object, dot))
            check(act.base is not None, "no such version", e["base"])
        elif act.op not in ("create", "mkdir", "symlink", "auto",
                            "reopen"):
            name = None
            if "entry" in e:
                name = int(e["entry"][0], 16), e["entry"][1]
            if e.get("path"):
                act.key = self._key(n, e["path"], name)
        if "to" in e:
            act.to = self._place(n, e["to"])
            if act.op == "exchange":
                act.to = self._key(n, e["to"])
        self.operations.perform(n, act)
        self._erase(n, e.get("erased", ()))

    def _on_erase(self, e):
        self._erase(self.nodes[e["node"]], e["ids"])

    @staticmethod
    def _erase(n, ids):
        for o in ids:
            if int(o, 16) in n.rows:
                n.forget(int(o, 16))

    def _snapshot(self, node):
        """All rows, as they are now; what did not change is shared."""
        seen = self.snapshots.setdefault(node, {})
        out = []
        for o, row in node.rows.items():
            at = node.by[o]
            if o not in seen or seen[o][0] != at:
                seen[o] = at, dict(row)
            out.append((o, seen[o][1]))
        return out

    def _on_cut(self, e):
        n = self.nodes[e["node"]]
        cut = merge.Cut(n, self._snapshot(n), False)
        cut.name = e["cut"]
        self.cuts[cut.name] = cut

    def _stage(self, e):
        """(A cut of one name may be taken again meanwhile, also by others
        who know the same.)"""
        n = self.nodes[e["node"]]
        if n.applying is None:
            n.applying = merge.Applying(self.cuts[e["cut"]])
        check(n.applying.cut.name == e["cut"], "two cuts at once")
        return n

    def _on_slice(self, e):
        """drawn: what was done before the end, where local operations may
        come between."""
        n = self._stage(e)
        merge.merge_slice(n, ids={int(o, 16) for o in e["ids"]})
        again, st = set(), n.applying
        for why, o, of in list(self.drawn):
            if why == "restamp":
                v = next((v for x, v in st.restamp if (x, v.id) == (o, of)),
                         None)
                check(v is not None, "not to be re-stamped", "%032x" % o, of)
                n.restamp(o, v)
                again.add(o)
            elif why == "revive":
                check(o in n.rows and not n.info(o).links and
                      n.info(o).tombs and o in self._named(n),
                      "not to be revived", "%032x" % o)
                n.revive_one(o)
        st.restamp = [r for r in st.restamp if r[0] not in again]

    @staticmethod
    def _named(n):
        """What something that is there names as its directory."""
        return {v.value.parent for o in n.rows
                if n.info(o).links for v in n.rows[o].values()
                if v.reg[0] == "LINK"}

    def _on_apply(self, e):
        """What no slice merged, and the end. A full stream mentions ids."""
        n = self._stage(e)
        n.applying.full = e.get("full", False)
        if n.applying.full:
            mentioned = {int(o, 16) for o in e["ids"]}
            n.applying.have = mentioned
            n.applying.todo = [r for r in n.applying.todo
                               if r[0] in mentioned]
        merge.merge_slice(n)
        merge.finish(n)

    def _on_return(self, e):
        """Rule 17, later than the cut that was the reason."""
        n = self.nodes[e["node"]]
        for _, o, _ in list(self.drawn):
            i, t = n.info(o), n.own_tomb(o)
            check(not i.links and t is not None, "not removed here",
                  "%032x" % o)
            p = t.value.parent
            check(p in n.rows and n.info(p).links, "not in a directory that "
                  "returned", "%032x" % o)
            n.return_name(o, n.tick("undelete", o), t)

    def _on_purge(self, e):
        """Only what is dead and has nothing in it may go. (Whether all
        have acknowledged it is not for one node's file to say: if not, the
        views will differ.)"""
        n = self.nodes[e["node"]]
        for why, o, _ in list(self.drawn):
            if why == "purge":
                i = n.info(o)
                check(i.is_dir() and o not in n.view().alive,
                      "not an empty weak directory", "%032x" % o)
                n.entomb(o, n.tick("purge", o))
        named = self._named(n)
        for h in e["ids"]:
            o = int(h, 16)
            if o not in n.rows:
                continue
            check(o not in n.view().alive and o != ROOT, "purged alive", h)
            check(o not in named, "purged with something in it", h)
            n.forget(o)

    def _on_origin(self, e):
        n = self.nodes[e["node"]]
        n.new_origin(int(e["origin"], 16))
        if "known" in e:        # an empty number, drawn at once
            n.K[n.origin] = e["known"]

    def _on_fork(self, e):
        n, o = self.nodes[e["node"]], int(e["origin"], 16)
        if int(e["own"], 16) != n.origin:
            n.new_origin(int(e["own"], 16))
        merge.rename_branch(n, o, e["above"], int(e["to"], 16))
        merge.start_again(n)

    def _on_copy(self, e):
        n = self.copies[e["name"]] = self.nodes[e["node"]].clone()
        n.used = set(n.used)

    def _on_restore(self, e):
        n = self.copies[e["name"]].clone()
        n.used = set(n.used)
        self.nodes[e["node"]] = n

    def _on_view(self, e):
        n = self.nodes[e["node"]]
        v = n.view()
        mine = {(v.path(k), n.info(x[1]).kind, "" if x[0] == "d" else x[3])
                for k, x in v.names.items()}
        theirs = {tuple(x[:3]) for x in e["entries"]}
        check(mine == theirs, "the view differs; only by the rules:",
              sorted(mine - theirs), "only in the file:",
              sorted(theirs - mine))

    def _on_know(self, e):
        n = self.nodes[e["node"]]
        theirs = {int(o, 16): q for o, q in e["k"].items() if q}
        check(known(n.K) == theirs, "knowledge differs", known(n.K), theirs)

    def _on_learn(self, e):
        """Numbers that were used for nothing that the file says."""
        join(self.nodes[e["node"]].K,
             {int(o, 16): q for o, q in e["k"].items()})
