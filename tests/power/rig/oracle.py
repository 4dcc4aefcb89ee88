# SPDX-License-Identifier: Apache-2.0
"""Judges what a node shows after a power cut by what its writers did.

Each writer's directory must be as it was after some number of its steps: no
fewer than it had when the last promise before the cut was made, no more than
it had begun. And over all writers it must be one prefix of what was done: no
step is there that began after another, which is missing, had ended.
"""
import math

from .model import Model, digest

PAGE = 4096
NEVER = 2**64       # later than any time

class History:
    """The steps of one writer, and what each changed."""

    def __init__(self, name, steps, all_at=None, syncs=()):
        """all_at: the entries logged when all steps were promised. syncs:
        ({writer: steps}, entries logged) when so many were."""
        self.name, self.steps, self.all_at = name, steps, all_at
        self.syncs = [(ended.get(name, 0), at) for ended, at in syncs]
        model = Model()
        self.changes = [model.apply(s.op) for s in steps]
        self.ever = {}      # path -> all that it ever showed
        for change in self.changes:
            for path, shown in change.items():
                self.ever.setdefault(path, []).append(shown)

    def bounds(self, cut, is_due=None):
        """How many steps may be there: at least, at most. is_due: of a step
        that ended at this time."""
        least = most = 0
        for n, s in enumerate(self.steps, 1):
            if s.begun_at <= cut:
                most = n
            if s.promised and s.ended_at is not None and s.ended_at <= cut:
                least = n
        for n, at in self.syncs:
            if at <= cut:
                least = max(least, n)
        if self.all_at is not None and self.all_at <= cut:
            least = len(self.steps)
        if is_due:
            for n in range(most, least, -1):
                ended = self.steps[n - 1].ended
                if ended is not None and is_due(ended):
                    least = n
                    break
        return least, most

    def fits(self, seen):
        """All numbers of steps after which it looked so."""
        state, wrong, ret = {}, set(seen), []
        if not wrong:
            ret.append(0)
        for n, change in enumerate(self.changes, 1):
            for path, shown in change.items():
                if shown is None:
                    state.pop(path, None)
                else:
                    state[path] = shown
                if seen.get(path) == shown:
                    wrong.discard(path)
                else:
                    wrong.add(path)
            if not wrong:
                ret.append(n)
        return ret

    def state(self, n):
        state = {}
        for change in self.changes[:n]:
            for path, shown in change.items():
                if shown is None:
                    state.pop(path, None)
                else:
                    state[path] = shown
        return state

    def fits_partly(self, seen, least, most):
        """Numbers of steps behind which a part of a write was done: the
        kernel may make several requests of it, between two pages."""
        return [n + 0.5 for n in range(least, min(most, len(self.steps)))
                if self.steps[n].op[0] == "write" and
                self.is_partly(seen, n)]

    def is_partly(self, seen, n):
        state, change = self.state(n), self.changes[n]
        if any(seen.get(p) != state.get(p)
               for p in set(seen) | set(state) if p not in change):
            return False
        _, path, offset, length = self.steps[n].op[:4]
        if path not in seen:
            return False
        model = Model()
        for s in self.steps[:n]:
            model.apply(s.op)
        whole = Model()
        for s in self.steps[:n + 1]:
            whole.apply(s.op)
        old, new = model.at[path], whole.at[path].data
        for end in range(offset // PAGE * PAGE + PAGE, offset + length, PAGE):
            data = new[:end] + old.data[end:]
            old_shown = list(old.shown())
            old_shown[2:4] = len(data), digest(data)
            old_shown[6] = None     # (the time)
            if all(seen.get(p) == tuple(old_shown) for p in change):
                return True
        return False

    def explain(self, seen, least, most):
        """What is wrong, if there is no number that fits."""
        best = min((self.differences(seen, self.state(n)), n)
                   for n in range(max(least - 3, 0), most + 1))
        lines = ["%s: not the state after any of steps %d..%d; nearest is "
                 "%d, with these differences:" %
                 (self.name, least, most, best[1])]
        state = self.state(best[1])
        for path in sorted(set(seen) | set(state)):
            was, now = state.get(path), seen.get(path)
            if was == now:
                continue
            line = "  %s: shows %s, should %s" % (path, now, was)
            if now and now[0] == "f" and not any(
                    s and s[0] == "f" and s[3] == now[3]
                    for s in self.ever.get(path, ())):
                line += " (bytes that nobody wrote there)"
            lines.append(line)
            lines += ["    step %d: %s" % (k, s.op)
                      for k, s in enumerate(self.steps[:most], 1)
                      if path in s.op][-8:]
        return "\n".join(lines[:40])

    @staticmethod
    def differences(a, b):
        return sum(a.get(p) != b.get(p) for p in set(a) | set(b))


def one_prefix(histories, fits):
    """Narrows the numbers that fit to the greatest that are one prefix of
    all that was done. {name: number}, or None if there are none. (What a
    missing step rules out only grows as numbers fall, so that going down
    from the greatest misses nothing.)"""
    at = {h.name: len(fits[h.name]) - 1 for h in histories}
    while True:
        first_lost = min((first_ended(h, fits[h.name][at[h.name]])
                          for h in histories), default=NEVER)
        changed = False
        for h in histories:
            while last_begun(h, fits[h.name][at[h.name]]) > first_lost:
                if not at[h.name]:
                    return None
                at[h.name] -= 1
                changed = True
        if not changed:
            return {h.name: fits[h.name][at[h.name]] for h in histories}


def first_ended(history, n):
    """When the first step behind n ended that changed anything."""
    n = int(n)      # (of a step that is there in part, a part is lost)
    for s, change in zip(history.steps[n:], history.changes[n:]):
        if change:
            return NEVER if s.ended is None else s.ended
    return NEVER


def last_begun(history, n):
    """When the last of n steps began that changed anything."""
    n = math.ceil(n)
    while n and not history.changes[n - 1]:
        n -= 1
    return history.steps[n - 1].begun if n else 0


def judge(histories, seen, cut, is_due=None):
    """seen: {name: what is shown, or None: no directory}. Returns numbers
    of steps, and what is wrong (or None)."""
    fits = {}
    for h in histories:
        least, most = h.bounds(cut, is_due)
        if h.name not in seen:
            if least:
                return None, "%s: the directory is gone" % h.name
            fits[h.name] = [0]
            continue
        all_fits = h.fits(seen[h.name])
        fits[h.name] = [n for n in all_fits if least <= n <= most]
        if not fits[h.name]:
            fits[h.name] = h.fits_partly(seen[h.name], least, most)
        if fits[h.name]:
            continue
        if all_fits:
            return None, "%s: %d steps are there, of %d promised%s" % (
                h.name, all_fits[-1], least,
                "" if all_fits[-1] < least else
                " and only %d begun" % most)
        return None, h.explain(seen[h.name], least, most)
    ret = one_prefix(histories, fits)
    if ret is None:
        return None, "what is there is no prefix of what was done: %s" % (
            {n: (f[0], f[-1]) for n, f in fits.items()})
    return ret, None
