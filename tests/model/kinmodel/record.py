# SPDX-License-Identifier: Apache-2.0
"""Writes a history of the model as the file that replay reads: README.md,
"Histories in files"."""
import json

from .names import Literal


def hex_id(o):
    return "%032x" % o


def hex_origin(o):
    return "%016x" % o


VIEW_EVERY = 4          # acts between two views of who acted


class Recorder:
    def __init__(self, out, volume=bytes(range(16))):
        self.naming, self.out = Literal(volume), out
        self.cuts, self.copies, self.acts = {}, 0, 0
        self.pending, self.dots, self.todo = None, [], ()
        self.emit(ev="volume", id=volume.hex(), tomb="link")

    def emit(self, **event):
        self.out.write(json.dumps(event, separators=(",", ":")) + "\n")

    # ---- dots: of the act in hand first, then of what it caused
    def begin(self):
        self.dots = []

    def drawn(self, why, o, of, dot, hlc):
        d = {"why": why, "seq": dot[1], "hlc": hlc}
        if o is not None:
            d["id"] = hex_id(o)
        if of is not None:
            (origin, seq), reg = of
            d["of"], d["reg"] = [hex_origin(origin), seq], reg[0]
            if len(reg) > 1:
                d["slot"] = reg[1]
        self.dots.append(d)

    # ---- events
    def start(self, node, root):
        e = {"ev": "node", "node": node.dev, "label": node.label,
             "origin": hex_origin(node.origin)}
        if root:
            e["root"] = {"seq": root[0][1], "hlc": root[1]}
        self.emit(**e)

    def act(self, node, act):
        v = node.view()
        e = {"ev": "op", "node": node.dev, "op": act.op}
        if act.key is not None:
            e["path"] = v.path(act.key)
        if act.to is not None:
            e["to"] = v.path(act.to)
        for f in ("id", "object"):
            if getattr(act, f) is not None:
                e[f] = hex_id(getattr(act, f))
        if act.base is not None:
            origin, seq = act.base.dot
            e["base"] = [hex_origin(origin), seq]
        if act.hash is not None:
            e["hash"] = str(act.hash)
        for f in ("slot", "mode", "how", "all"):
            if getattr(act, f) is not None:
                e[f] = getattr(act, f)
        self.pending = e
        self.begin()

    def acted(self, node):
        e, first = self.pending, self.dots.pop(0)
        e.update(seq=first["seq"], hlc=first["hlc"])
        if self.dots:
            e["drawn"] = self.dots
        self.emit(**e)
        self.acts += 1
        if self.acts % VIEW_EVERY == 0:
            self.view(node)

    def cut(self, src, cut):
        name = str(len(self.cuts) + 1)
        self.cuts[cut] = name
        self.emit(ev="cut", node=src.dev, cut=name)

    def before_slice(self, node):
        self.staged = node.applying
        self.todo = list(self.staged.todo)

    def slice(self, node):
        left = {o for o, _ in node.applying.todo}
        self.emit(ev="slice", node=node.dev, cut=self.cuts[self.staged.cut],
                  ids=[hex_id(o) for o, _ in self.todo if o not in left])

    def applied(self, node):
        cut = self.staged.cut
        self.emit(ev="apply", node=node.dev, cut=self.cuts[cut],
                  full=cut.full, drawn=self.dots,
                  ids=[hex_id(o) for o, _ in cut.rows] if cut.full else [])

    def purged(self, node, ids):
        if ids or self.dots:
            self.emit(ev="purge", node=node.dev,
                      ids=[hex_id(o) for o in sorted(ids)], drawn=self.dots)

    def fork(self, node, o, above, to):
        self.emit(ev="fork", node=node.dev, origin=hex_origin(o),
                  above=above, to=hex_origin(to),
                  own=hex_origin(node.origin), drawn=self.dots[-1:])

    def incarnation(self, node):
        self.emit(ev="origin", node=node.dev,
                  origin=hex_origin(node.origin), known=node.K[node.origin])

    def copy(self, node):
        self.copies += 1
        self.emit(ev="copy", node=node.dev, name=str(self.copies))

    def restore(self, node):
        self.emit(ev="restore", node=node.dev, name=str(self.copies))

    def view(self, node):
        v = node.view()
        entries = sorted(
            [v.path(k), node.info(e[1]).kind, "" if e[0] == "d" else
             str(e[3])] for k, e in v.names.items())
        self.emit(ev="view", node=node.dev, entries=entries)
        self.emit(ev="know", node=node.dev,
                  k={hex_origin(o): n for o, n in node.K.items() if n})
