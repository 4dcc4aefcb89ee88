# SPDX-License-Identifier: Apache-2.0
"""When something must be durable that nobody asked to be synced: a second
after it was done, by the clock of the disk's log.

A machine with much to do is slower than a disk. What it needed is known from
the notes of the daemon's syncs (notes.c), and excused: what the thread that
commits spent in syncs above the time that a commit is given, and what it
waited for a processor. So a store that begins too late is never excused.
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
    return sorted(n for n in notes if n[4] == owner)


class Clock:
    def __init__(self, notes, log):
        self.notes, self.log = of_owner(notes), log
        self.ends = [n[1] for n in self.notes]

    def at(self, cut):
        """The last moment before the cut's first entry that is lost; None
        if there is none."""
        if cut >= len(self.log.entries):
            return None
        return self.log.entries[cut][3]

    def excused(self, since, until):
        busy = waited = 0
        i = bisect.bisect_left(self.ends, since)
        for k in range(i, len(self.notes)):
            begin, end, begin_waited, end_waited = self.notes[k][:4]
            if k:
                waited += begin_waited - self.notes[k - 1][3]
            if begin >= until:
                break
            busy += min(end, until) - max(begin, since)
        return max(0, busy - COMMIT_NS) + waited

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
