# SPDX-License-Identifier: Apache-2.0
"""When something must be durable that nobody asked to be synced: a second
after it was done, by the clock of the disk's log.

A machine with much to do is slower than a disk. What it needed is known from
the notes of the daemon's syncs (notes.c), and excused: what the thread that
commits spent in syncs, or somebody in one of data segments (which are done one
after the other, so that it waits) or in a write, above the time that a commit is given; and
what it waited for a processor. So a store that begins too late is not excused.
"""
import bisect
import collections
import struct

COUNT = struct.Struct("=Q")
NOTE = struct.Struct("=QQQQII")     # struct note of preload.h
NOTES_MAX = 1 << 17     # syncs of a session of some minutes
NS_PER_S = 10**9
DURABLE_NS = NS_PER_S
# Of the second: for a commit on a disk that is slow, as fs/store/open.c says.
COMMIT_NS = 400 * 10**6


def notes_begin(path):
    with open(path, "wb") as f:
        f.truncate(COUNT.size + NOTES_MAX * NOTE.size)


def notes_read(path):
    with open(path, "rb") as f:
        count, = COUNT.unpack(f.read(COUNT.size))
        return list(NOTE.iter_unpack(f.read(count * NOTE.size)))


def of_owner(notes):
    """Those of the thread that commits, in order."""
    tables = collections.Counter(n[4] for n in notes if n[5] == ord("t"))
    if not tables:
        return []
    owner, = (thread for thread, _ in tables.most_common(1))
    return sorted(n for n in notes if n[4] == owner and n[5] != ord("w"))


def spans(notes):
    """[(begin, end)] when at least one of them was going on."""
    ret = []
    for begin, end in sorted(n[:2] for n in notes):
        if ret and begin <= ret[-1][1]:
            ret[-1] = ret[-1][0], max(end, ret[-1][1])
        else:
            ret.append((begin, end))
    return ret


class Clock:
    def __init__(self, notes, log):
        self.notes, self.log = of_owner(notes), log
        self.ends = [n[1] for n in self.notes]
        self.busy = spans(self.notes + [n for n in notes
                                        if n[5] in (ord("s"), ord("w"))])
        self.busy_ends = [end for _, end in self.busy]

    def at(self, cut):
        """The last moment before the cut's first entry that is lost; None
        if there is none."""
        if cut >= len(self.log.entries):
            return None
        return self.log.entries[cut][3]

    def busy_ns(self, since, until):
        ns = 0
        for begin, end in self.busy[bisect.bisect_left(self.busy_ends,
                                                       since):]:
            if begin >= until:
                break
            ns += min(end, until) - max(begin, since)
        return ns

    def waited_ns(self, since, until):
        ns = 0
        for k in range(max(1, bisect.bisect_left(self.ends, since)),
                       len(self.notes)):
            ns += self.notes[k][2] - self.notes[k - 1][3]
            if self.notes[k][0] >= until:
                break
        return ns

    def excused(self, since, until):
        return max(0, self.busy_ns(since, until) - COMMIT_NS) + \
            self.waited_ns(since, until)

    def is_due(self, done, now):
        """Must it last if the power goes now?"""
        return done + DURABLE_NS <= now and \
            done + DURABLE_NS + self.excused(done, now) <= now

    def last_moments(self):
        """The first entries of the last syncs of commits: when what waits
        for one is oldest."""
        times = [e[3] for e in self.log.entries]
        ret = []
        for begin, end, _, _, _, kind in self.notes:
            i = bisect.bisect_left(times, begin)
            if kind == ord("t") and i < len(times) and times[i] <= end:
                ret.append(i)
        return ret
