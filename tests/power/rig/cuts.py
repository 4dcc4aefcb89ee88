# SPDX-License-Identifier: Apache-2.0
"""Cuts of the power at points of a session: what is on the disk then is
mounted, the store recovers, and is judged."""
import base64
import os
import random
import re
import shutil
import threading

from .image import LOSSES, Counter, Log, Rolling, copy
from .model import observe
from .node import Failure, reap
from .oracle import History, judge
from .work import Writer, database_rows

# Entries between two flushes that are many.
CROWD = 4
# Of the cuts, in percent.
TWICE_PERCENT = 15
# What a recovered node is made to do before the second cut.
AGAIN = "again"
AGAIN_STEPS = 14
AGAIN_PAUSE_S = 0.004
SECOND_CUTS = 2
# The log of the daemon may say that operations were dropped; no more.
BAD_WORDS = re.compile(r"bug|damag|fail|corrupt|inconsist|Sanitizer|"
                       r"runtime error|cannot|copied", re.I)


class Cut:
    """at: so many entries of the log happened."""

    def __init__(self, at, loss, seed, twice):
        self.at, self.loss, self.seed, self.twice = at, loss, seed, twice

    def __str__(self):
        return "%d:%s:%s%s" % (self.at, self.loss, self.seed,
                               ":twice" if self.twice else "")

    @staticmethod
    def parse(text):
        at, loss, seed, *twice = text.split(":")
        return Cut(int(at), loss, int(seed), bool(twice))


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
    ret = []
    for n in range(count):
        kind = rng.random()
        if kind < 0.3 and promises:
            at = rng.choice(promises)
        elif kind < 0.65 and crowded:
            at = rng.choice(crowded) - rng.choice((0, 0, 1, 2))
        elif kind < 0.7 and flushes:
            at = rng.choice(flushes) + rng.randrange(2)
        elif kind < 0.72:
            at = rng.choice((session.idle, session.closed))
        elif kind < 0.95:
            at = rng.randrange(session.ready, len(log) + 1)
        else:
            at = rng.randrange(session.ready)
        ret.append(Cut(at, LOSSES[n % len(LOSSES)], n,
                       rng.randrange(100) < TWICE_PERCENT))
    return sorted(ret, key=lambda c: c.at)


def own_number(token, volume):
    """Of a volume with one node: its newest number. (token.h)"""
    text = token[len("kt"):]
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if raw[0] != 1 or raw[1:17].hex() != volume:
        raise Failure("the token is of another volume, or unknown")

    def varint(at):
        value = shift = 0
        while True:
            value |= (raw[at] & 127) << shift
            shift += 7
            at += 1
            if not raw[at - 1] & 128:
                return value, at
    count, at = varint(17)
    numbers = []
    for _ in range(count):
        seq, at = varint(at + 8)
        numbers.append(seq)
    if len(numbers) > 1:
        raise Failure("the node has another origin than before: %s" % numbers)
    return numbers[0] if numbers else 0


class Found:
    """What a recovered node shows."""

    def __init__(self, machine):
        names = set(os.listdir(machine.volume))
        self.names = names
        self.seen = {n: observe(os.path.join(machine.volume, n))
                     for n in names if n != "sql"}
        self.rows = rows_of(machine) if "sql" in names else 0


def rows_of(machine):
    """The data base is recovered in a copy: nothing changes in the mount."""
    source = os.path.join(machine.volume, "sql")
    target = os.path.join(machine.work, "run", "sql")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    if "db" not in os.listdir(target):
        return 0
    try:
        return database_rows(os.path.join(target, "db"))
    except Exception as e:
        raise Failure("the data base: %s" % e) from e


class Judge:
    def __init__(self, machine, session):
        self.machine, self.session = machine, session
        self.histories = [History(n, s, session.idle)
                          for n, s in sorted(session.steps.items())]

    def mount(self, boot):
        m = self.machine
        m.boot(boot)
        m.kin_mount()
        status = m.kin_status()
        if status["incarnation"] is not None:
            raise Failure("another incarnation: %s" % status["incarnation"])
        if status["conflicts"]:
            raise Failure("there are conflicts")
        for line in m.log_text().splitlines():
            if BAD_WORDS.search(line):
                raise Failure("its log: " + line)
        return status

    def look(self, cut):
        """After a cut that came when the volume was there."""
        status = self.machine.kin_status()
        if status["volume"] != self.session.volume:
            raise Failure("it is another volume")
        found = Found(self.machine)
        allowed = {h.name for h in self.histories} | {"sql"}
        if found.names != allowed:
            raise Failure("the root shows %s" % sorted(found.names))
        _, wrong = judge(self.histories, found.seen, cut)
        if wrong:
            raise Failure(wrong)
        least = sum(at <= cut for _, at in self.session.commits)
        if not least <= found.rows <= least + 1:
            raise Failure("the data base has %d rows, %d were committed" %
                          (found.rows, least))
        return found

    def number(self):
        return own_number(self.machine.kin_token(), self.session.volume)

    def told(self, cut):
        """The greatest number that anybody was told of before."""
        return max((own_number(t, self.session.volume)
                    for t, _, at in self.session.tokens if at <= cut),
                   default=0)

    def numbers_go_on(self, told):
        now = self.number()
        if now < told:
            raise Failure("it is at number %d, and was at %d" % (now, told))
        probe = os.path.join(self.machine.volume, "probe")
        os.mkdir(probe)
        new = self.number()
        os.rmdir(probe)
        if new <= max(now, told):
            raise Failure("a new change has number %d, and %d was told" %
                          (new, told))


class Crasher:
    """Makes cuts of a session, in ascending order."""

    def __init__(self, machine, blank, name):
        self.machine, self.name = machine, name
        from .session import Session
        self.session = Session.load(name + ".session")
        self.log = Log(name)
        self.judge = Judge(machine, self.session)
        self.base = os.path.join(machine.work, "run", "rolling")
        self.image = os.path.join(machine.work, "run", "image")
        self.rolling = Rolling(blank, self.base, self.log)

    def close(self):
        self.rolling.close()
        self.log.close()

    def one(self, cut):
        """Raises a Failure. Returns what the cut was like."""
        at_stake, kept = self.rolling.crash(self.image, cut.at, cut.loss,
                                            cut.seed)
        if cut.at < self.session.ready:
            self.unborn(cut)
        elif cut.twice:
            self.twice(cut)
        else:
            self.once(cut)
        os.unlink(self.image)
        reap()
        return at_stake, kept

    def unborn(self, cut):
        """The volume may not be there yet, but it can be mounted."""
        m = self.machine
        m.disk_mount(self.image)
        self.judge.mount("cut %s" % cut)
        m.kin_unmount()
        m.disk_unmount()

    def once(self, cut):
        m = self.machine
        m.disk_mount(self.image)
        self.judge.mount("cut %s" % cut)
        self.judge.look(cut.at)
        self.judge.numbers_go_on(self.judge.told(cut.at))
        m.kin_unmount()
        m.disk_unmount()

    # ---- a second cut: in recovery, or a little later

    def twice(self, cut):
        m, rng = self.machine, random.Random("twice %s" % cut)
        first = self.image + ".first"
        log_name = os.path.join(m.work, "run", "again")
        copy(self.image, first)
        m.disk_mount(m.disk_start(self.image, log_name))
        counter = Counter(log_name)
        self.judge.mount("cut %s" % cut)
        ready = counter.now()
        found = self.judge.look(cut.at)
        again = self.work_again(counter, cut)
        m.kin_kill()
        m.disk_unmount()
        m.disk_stop()
        log = Log(log_name)
        rolling = Rolling(first, first + ".rolling", log)
        cuts = sorted(rng.randrange(ready + 1) if n % 2 else
                      rng.randrange(len(log) + 1)
                      for n in range(SECOND_CUTS))
        for n, at in enumerate(cuts):
            rolling.crash(self.image, at, rng.choice(LOSSES), rng.random())
            self.second(found, again, at, "again %d %s" % (n, cut))
        rolling.close()
        log.close()
        os.unlink(first)

    def work_again(self, counter, cut):
        m = self.machine
        told = self.judge.told(cut.at)
        top = os.path.join(m.volume, AGAIN)
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

    def second(self, found, again, at, boot):
        """Nothing of what was there after the first recovery is another."""
        m = self.machine
        history, before, made, number = again
        m.disk_mount(self.image)
        self.judge.mount(boot)
        now = Found(m)
        for name in found.names:
            if name != "sql" and now.seen.get(name) != found.seen[name]:
                raise Failure("%s at entry %d: %s is not as it was after "
                              "the first recovery" % (boot, at, name))
        if now.rows != found.rows:
            raise Failure("%s at entry %d: the data base had %d rows, and "
                          "has %d" % (boot, at, found.rows, now.rows))
        if now.names - found.names - {AGAIN}:
            raise Failure("the root shows %s" % sorted(now.names))
        if at >= made and AGAIN not in now.names:
            raise Failure("%s at entry %d: a new directory is gone" %
                          (boot, at))
        if at < before and AGAIN in now.names:
            raise Failure("%s at entry %d: what is to come is there" %
                          (boot, at))
        _, wrong = judge([history], {n: s for n, s in now.seen.items()
                                     if n == AGAIN}, at)
        if wrong:
            raise Failure("%s at entry %d: %s" % (boot, at, wrong))
        if at >= made:
            self.judge.numbers_go_on(number)
        m.kin_unmount()
        m.disk_unmount()


def share(cuts, jobs):
    """Each job gets cuts of all times."""
    return [cuts[i::jobs] for i in range(jobs)]
