# SPDX-License-Identifier: Apache-2.0
"""Cuts of the power at points of a session: what is on the disk then is
mounted, the store recovers, and is judged."""
import os
import random
import re
import shutil
import threading
import time

from .clock import Clock
from .image import LOSSES, Counter, Log, Rolling, copy
from .model import observe
from .node import Failure, knowledge, reap
from .oracle import History, judge
from .session import BALLAST, PEER, Session, is_no_room, peer_content
from .work import Writer, database_rows

# Entries between two flushes that are many.
CROWD = 4
# Nothing happens on the disk for so long.
LULL_NS = 200 * 10**6
# Around the moment when a segment is seen that was begun.
TURN_ENTRIES = -6, 16
# Of 20 cuts, 3 are made twice; after 2 the nodes meet, if there are two.
KINDS = ("once",) * 15 + ("twice",) * 3 + ("meet",) * 2
# What a recovered node is made to do before the second cut.
AGAIN = "again"
AGAIN_STEPS = 14
AGAIN_PAUSE_S = 0.004
SECOND_CUTS = 2
# Until a store finds that there is room again.
ROOM_S = 20
# The log of the daemon may say that operations were dropped; no more.
BAD_WORDS = re.compile(r"bug|damag|fail|corrupt|inconsist|Sanitizer|"
                       r"runtime error|cannot|copied", re.I)


class Cut:
    """at: so many entries of the log happened."""

    def __init__(self, at, loss, seed, kind):
        self.at, self.loss, self.seed, self.kind = at, loss, seed, kind

    def __str__(self):
        return "%d:%s:%d:%s" % (self.at, self.loss, self.seed, self.kind)

    @staticmethod
    def parse(text):
        at, loss, seed, kind = text.split(":")
        return Cut(int(at), loss, int(seed), kind)


def plan(session, log, count):
    """Chooses cuts, in ascending order: anywhere, at the very moment of a
    promise, just before and behind a flush (most often where much was
    written before it), and while the volume is made."""
    rng = random.Random("plan %s" % session.seed)
    promises = sorted({s.ended_at for steps in session.steps.values()
                       for s in steps if s.promised})
    flushes = [i for i in range(session.ready + 1, len(log))
               if log.is_flush(i) and not log.is_flush(i - 1)]
    crowded = [f for last, f in zip(flushes, flushes[1:])
               if f - last > CROWD]
    lulls = [i for i in range(session.ready + 1, len(log))
             if log.entries[i][3] - log.entries[i - 1][3] > LULL_NS]
    commits = [i for i in Clock(session.notes, log).last_moments()
               if i > session.ready]
    ret = []
    for n in range(count):
        kind = rng.random()
        if session.turns and session.kind == "turns" and \
                rng.random() < 0.6:
            at = rng.choice(session.turns) + rng.randrange(*TURN_ENTRIES)
            at = min(max(at, session.ready), len(log))
        elif session.kind == "short" and session.fills and \
                rng.random() < 0.7:
            at = rng.randint(*rng.choice(session.fills))
        elif session.kind == "quiet" and lulls and kind < 0.4:
            at = rng.choice(lulls)
        elif session.kind == "quiet" and commits and kind < 0.8:
            at = rng.choice(commits)
        elif kind < 0.3 and promises:
            at = rng.choice(promises)
        elif kind < 0.65 and crowded:
            at = rng.choice(crowded) - rng.choice((0, 0, 1, 2))
        elif kind < 0.7 and flushes:
            at = rng.choice(flushes) + rng.randrange(2)
        elif kind < 0.72:
            at = rng.choice((session.idle or session.closed,
                             session.closed))
        elif kind < 0.95:
            at = rng.randrange(session.ready, len(log) + 1)
        else:
            at = rng.randrange(session.ready)
        ret.append(Cut(at, LOSSES[n % len(LOSSES)], n,
                       rng.choice(KINDS)))
    return sorted(ret, key=lambda c: c.at)


class Found:
    """What a recovered node shows."""

    def __init__(self, node, but=("sql", PEER)):
        self.names = set(os.listdir(node.volume))
        self.seen = {n: observe(os.path.join(node.volume, n))
                     for n in self.names if n not in but}
        self.rows = rows_of(node) if "sql" in self.names else 0


def rows_of(node):
    """The data base is recovered in a copy: nothing changes in the mount."""
    source = os.path.join(node.volume, "sql")
    target = os.path.join(node.machine.work, "run", "sql")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    if "db" not in os.listdir(target):
        return 0
    try:
        return database_rows(os.path.join(target, "db"))
    except Exception as e:
        raise Failure("the data base: %s" % e) from e


class Judge:
    def __init__(self, machine, session, log):
        self.machine, self.session = machine, session
        self.histories = [History(n, s, session.idle, session.syncs)
                          for n, s in sorted(session.steps.items())]
        self.clock = Clock(session.notes, log)

    def mount(self, node):
        """On a disk that was filled by somebody, it may be refused, but is
        not when there is room; or goes on by itself then."""
        ballast = os.path.join(self.machine.disk, BALLAST)
        if not os.path.exists(ballast):
            return node.mount()
        try:
            node.mount()
        except Failure as e:
            if not is_no_room(self.session, e):
                raise
            os.unlink(ballast)
            return node.mount()
        os.unlink(ballast)
        deadline = time.monotonic() + ROOM_S
        while node.status()["disk"]["state"] != "well":
            if time.monotonic() > deadline:
                raise Failure("it does not find that there is room: %s" %
                              node.status()["disk"])
            time.sleep(0.05)

    def start(self, node):
        self.mount(node)
        status = node.status()
        if status["incarnation"] is not None:
            raise Failure("%s is another incarnation: %s" %
                          (node.name, status["incarnation"]))
        if status["conflicts"]:
            raise Failure("%s has conflicts" % node.name)
        for line in node.log_text().splitlines():
            if BAD_WORDS.search(line) and not is_no_room(self.session, line):
                raise Failure("the log of %s: %s" % (node.name, line))
        return status

    def look(self, cut):
        """At a, after a cut that came when the volume was there."""
        a = self.machine.a
        if a.status()["volume"] != self.session.volume:
            raise Failure("it is another volume")
        found = Found(a)
        allowed = {h.name for h in self.histories} | {"sql"}
        if not allowed <= found.names <= allowed | {PEER}:
            raise Failure("the root shows %s" % sorted(found.names))
        _, wrong = judge(self.histories, found.seen, cut, self.due(cut))
        if wrong:
            raise Failure(wrong)
        least = sum(at <= cut for _, at in self.session.commits)
        if not least <= found.rows <= least + 1:
            raise Failure("the data base has %d rows, %d were committed" %
                          (found.rows, least))
        self.look_peer(a, max((n for n, at in self.session.shared
                               if at <= cut), default=0))
        return found

    def due(self, cut):
        """What must be durable by the time that went by. (Where there is no
        room, nothing can be: it is refused, and that is said.)"""
        now = self.clock.at(cut)
        if now is None or self.session.full or not self.session.notes:
            return None
        return lambda ended: self.clock.is_due(ended, now)

    def look_peer(self, node, count):
        """The first files of the peer are there."""
        for i in range(count):
            path = os.path.join(node.volume, PEER, "f%d" % i)
            with open(path, "rb") as f:
                if f.read() != peer_content(self.session.seed, i):
                    raise Failure("%s shows other bytes in %s" %
                                  (node.name, path))

    def number(self):
        """Of the newest change of a."""
        know = knowledge(self.machine.a.token(), self.session.volume)
        return know.get(self.session.origin, 0)

    def told(self, cut):
        """The greatest number of a that anybody was told of before."""
        return max((knowledge(t, self.session.volume).get(
                        self.session.origin, 0)
                    for t, at in self.session.tokens if at <= cut),
                   default=0)

    def numbers_go_on(self, told):
        now = self.number()
        if now < told:
            raise Failure("it is at number %d, and was at %d" % (now, told))
        probe = os.path.join(self.machine.a.volume, "probe")
        os.mkdir(probe)
        new = self.number()
        os.rmdir(probe)
        if new <= max(now, told):
            raise Failure("a new change has number %d, and %d was told" %
                          (new, told))

    def meet(self, found, cut):
        """The other node lost power too. Both have what was promised to
        anybody, and agree when they have met, without any alarm."""
        a, b = self.machine.a, self.machine.b
        self.start(b)
        b.kin("resume", b.volume)   # (the cut may have come in a pause)
        new = os.path.join(a.volume, "w0", "met")
        with open(new, "xb") as f:
            f.write(str(cut).encode())
        a.wait()
        self.look_peer(b, sum(at <= cut.at for at in self.session.synced))
        at_a, at_b = Found(a, but=()), Found(b, but=())
        if at_a.seen != at_b.seen:
            raise Failure("a and b differ: %s" % differences(at_a.seen,
                                                             at_b.seen))
        if at_a.seen["w0"].pop("met", None) is None:
            raise Failure("what a wrote after recovery is not there")
        for name, seen in found.seen.items():
            if at_a.seen[name] != seen:
                raise Failure("what a showed changed: %s" % name)
        for n in (a, b):
            if n.status()["incarnation"] is not None:
                raise Failure("%s became another incarnation" % n.name)
            if n.status()["conflicts"]:
                raise Failure("there are conflicts at " + n.name)
        b.unmount()


def differences(x, y):
    return [(top, path, x.get(top, {}).get(path), y.get(top, {}).get(path))
            for top in sorted(set(x) | set(y))
            for path in sorted(set(x.get(top, {})) | set(y.get(top, {})))
            if x.get(top, {}).get(path) != y.get(top, {}).get(path)][:5]


class Crasher:
    """Makes cuts of a session, in ascending order."""

    def __init__(self, machine, blank, name):
        self.machine, self.name = machine, name
        self.session = Session.load(name + ".session")
        machine.options = self.session.options
        self.log = Log(name)
        self.judge = Judge(machine, self.session, self.log)
        self.base = os.path.join(machine.work, "run", "rolling")
        self.image = os.path.join(machine.work, "run", "image")
        self.rolling = Rolling(blank, self.base, self.log)

    def close(self):
        self.rolling.close()
        self.log.close()

    def one(self, cut):
        """Raises a Failure. Returns how many writes were at stake, and how
        many of them the disk had."""
        at_stake, kept = self.rolling.crash(self.image, cut.at, cut.loss,
                                            cut.seed)
        self.machine.boot("cut %s" % cut)
        if cut.at < self.session.ready:
            self.unborn()
        elif cut.kind == "twice":
            self.twice(cut)
        else:
            self.once(cut)
        os.unlink(self.image)
        reap()
        return at_stake, kept

    def unborn(self):
        """The volume may not be there yet, but it can be mounted."""
        m = self.machine
        m.disk_mount(self.image)
        self.judge.start(m.a)
        m.a.unmount()
        m.disk_unmount()

    def once(self, cut):
        m = self.machine
        m.disk_mount(self.image)
        self.judge.start(m.a)
        found = self.judge.look(cut.at)
        if cut.kind == "meet" and self.session.two:
            self.judge.meet(found, cut)
        self.judge.numbers_go_on(self.judge.told(cut.at))
        m.a.unmount()
        m.disk_unmount()

    # ---- a second cut: in recovery, or a little later

    def twice(self, cut):
        m, rng = self.machine, random.Random("twice %s" % cut)
        first = self.image + ".first"
        log_name = os.path.join(m.work, "run", "again")
        copy(self.image, first)
        m.disk_mount(m.disk_start(self.image, log_name))
        counter = Counter(log_name)
        self.judge.start(m.a)
        ready = counter.now()
        found = self.judge.look(cut.at)
        again = self.work_again(counter, cut)
        m.a.kill()
        m.disk_unmount()
        m.disk_stop()
        log = Log(log_name)
        rolling = Rolling(first, first + ".rolling", log)
        cuts = sorted(rng.randrange(ready + 1) if n % 2 else
                      rng.randrange(len(log) + 1)
                      for n in range(SECOND_CUTS))
        for n, at in enumerate(cuts):
            rolling.crash(self.image, at, rng.choice(LOSSES), rng.random())
            m.boot("again %d %s" % (n, cut))
            try:
                self.second(found, again, at)
            except Failure as e:
                raise Failure("at entry %d of %d of the second life: %s" %
                              (at, len(log), e)) from e
        rolling.close()
        log.close()
        os.unlink(first)

    def work_again(self, counter, cut):
        told = self.judge.told(cut.at)
        top = os.path.join(self.machine.a.volume, AGAIN)
        before = counter.now()
        os.mkdir(top)
        number = self.judge.number()
        if number <= told:
            raise Failure("a new change has number %d, and %d was told" %
                          (number, told))
        made = counter.now()
        w = Writer(top, AGAIN, str(cut), counter, threading.Event(),
                   AGAIN_PAUSE_S, AGAIN_STEPS)
        w.run()
        if w.error:
            raise Failure("after recovery: %r" % w.error)
        return History(AGAIN, w.steps), before, made, number

    def second(self, found, again, at):
        """Nothing of what was there after the first recovery is another."""
        m = self.machine
        history, before, made, number = again
        m.disk_mount(self.image)
        self.judge.start(m.a)
        now = Found(m.a)
        for name, seen in found.seen.items():
            if now.seen.get(name) != seen:
                raise Failure("%s is not as it was after the first recovery" %
                              name)
        if now.rows != found.rows:
            raise Failure("the data base had %d rows, and has %d" %
                          (found.rows, now.rows))
        if now.names - found.names - {AGAIN}:
            raise Failure("the root shows %s" % sorted(now.names))
        if at >= made and AGAIN not in now.names:
            raise Failure("a new directory is gone")
        if at < before and AGAIN in now.names:
            raise Failure("what is to come is there")
        _, wrong = judge([history], {n: s for n, s in now.seen.items()
                                     if n == AGAIN}, at)
        if wrong:
            raise Failure(wrong)
        if at >= made:
            self.judge.numbers_go_on(number)
        m.a.unmount()
        m.disk_unmount()


def share(cuts, jobs):
    """Each job gets cuts of all times."""
    return [cuts[i::jobs] for i in range(jobs)]
