# SPDX-License-Identifier: Apache-2.0
"""Programs that work in a mount and write down what they were promised."""
import errno
import os
import random
import sqlite3
import threading
import time

from .model import MTIME_NS_END, Model, content

FILES_MAX = 24
BYTES_MAX = 3 << 20
FDS_MAX = 4
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_PAUSE_S = 0.02


class Full(Exception):
    """The disk is full, and the step did nothing."""


class Step:
    """One system call of a writer: what, when it began and ended, and how
    many entries the disk had logged at both times. promised: all steps up
    to this one are to be on the disk now."""

    __slots__ = ("op", "begun", "ended", "begun_at", "ended_at", "promised")

    def __init__(self, op):
        self.op, self.promised = op, False
        self.ended = self.ended_at = None


class Writer(threading.Thread):
    """Has a directory to itself. Random operations, one after the other.
    calm: while it is set, nobody asks for anything to be synced.
    may_be_full: a step may be refused for want of room; then it is none."""

    may_be_full = False
    lulls = ()      # (from, until): when it rests

    def __init__(self, top, name, seed, counter, stop, pause_s, steps_max,
                 calm=None):
        super().__init__(name=name)
        self.calm = calm or threading.Event()
        self.top, self.counter, self.stop = top, counter, stop
        self.rng = random.Random("writer %s %s" % (seed, name))
        self.pause_s, self.steps_max = pause_s, steps_max
        self.model, self.steps, self.error = Model(), [], None
        self.fds, self.serial = {}, 0

    def run(self):
        try:
            while not self.stop.is_set() and len(self.steps) < self.steps_max:
                self.rest()
                try:
                    self.act()
                except Full:
                    self.stop.wait(FULL_PAUSE_S)
                self.stop.wait(self.rng.expovariate(1 / self.pause_s))
                if self.rng.random() < 0.01:
                    self.stop.wait(self.rng.uniform(0, 30 * self.pause_s))
        except Exception as e:      # told by the main thread
            self.error = e
        finally:
            for fd, _ in self.fds.values():
                os.close(fd)

    def rest(self):
        now = time.monotonic()
        for since, until in self.lulls:
            if since <= now < until:
                self.stop.wait(until - now)

    # ---- doing

    def step(self, op, fn, promised=False):
        s = Step(op)
        self.steps.append(s)
        s.begun_at = self.counter.now()
        s.begun = time.monotonic_ns()
        try:
            fn()
        except OSError as e:
            if not self.may_be_full or e.errno not in FULL:
                raise
            self.steps.pop()
            raise Full from e
        s.ended = time.monotonic_ns()
        s.ended_at = self.counter.now()
        s.promised = promised
        self.model.apply(s.op)

    def ended(self):
        """How many steps did, all others at a later time than this call."""
        n = len(self.steps)
        return n if not n or self.steps[n - 1].ended_at is not None else n - 1

    def short_write(self, n):
        if not self.may_be_full:
            raise OSError("only %d bytes were written" % n)
        self.steps[-1].op += (n,)

    def full(self, path):
        return os.path.join(self.top, path)

    def number(self):
        self.serial += 1
        return self.serial

    def fd_of(self, path, flags=0):
        """An open file, kept for later; each has the flags of its birth."""
        inode = self.model.at[path]
        if inode in self.fds:
            return self.fds[inode]
        if len(self.fds) >= FDS_MAX:
            self.close(self.rng.choice(list(self.fds)))
        fd = os.open(self.full(path), os.O_RDWR | flags)
        self.fds[inode] = fd, flags
        return fd, flags

    def close(self, inode):
        os.close(self.fds.pop(inode)[0])

    # ---- choosing

    def files(self):
        return [p for p, n in self.model.at.items() if n.kind == "f"]

    def targets(self):
        """What may be replaced by a rename. (A file that is saved over keeps
        its extended attributes, by design: not those.)"""
        return [p for p in self.files() if not self.model.at[p].xattrs]

    def dirs(self):
        return [""] + [p for p, n in self.model.at.items() if n.kind == "d"]

    def new_path(self):
        d = self.rng.choice(self.dirs())
        if d.count("/") > 3:
            d = ""
        return os.path.join(d, "n%d" % self.number())

    def length(self):
        r = self.rng.random()
        if r < 0.5:
            return self.rng.randrange(1, 4000)
        if r < 0.9:
            return self.rng.randrange(4000, 70000)
        return self.rng.randrange(70000, 300000)

    def act(self):
        files = self.files()
        if len(files) < 3:
            return self.act_create()
        if len(files) > FILES_MAX or sum(
                len(self.model.at[p].data) for p in files) > BYTES_MAX:
            return self.act_unlink()
        acts = (("create", 14), ("write", 24), ("append", 12), ("truncate", 4),
                ("unlink", 5), ("rename", 5), ("save", 6), ("mkdir", 2),
                ("rmdir", 1), ("symlink", 2), ("link", 3), ("chmod", 2),
                ("utime", 3),
                ("setxattr", 2), ("removexattr", 1), ("sync", 14),
                ("close", 8))
        act = self.rng.choices([a for a, _ in acts], [n for _, n in acts])[0]
        getattr(self, "act_" + act)()

    def create(self, path):
        mode = self.rng.choice((0o600, 0o644, 0o640))

        def fn():
            fd = os.open(self.full(path),
                         os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
            if len(self.fds) < FDS_MAX and self.rng.random() < 0.5:
                fresh.append(fd)
            else:
                os.close(fd)
        fresh = []
        self.step(("create", path, mode), fn)
        if fresh:
            self.fds[self.model.at[path]] = fresh[0], 0

    def write(self, path, offset, length):
        flags = 0 if self.calm.is_set() or self.may_be_full else \
            self.rng.choice((0,) * 8 + (os.O_SYNC, os.O_DSYNC))
        fd, flags = self.fd_of(path, flags)
        seed = "%s %d" % (self.name, self.number())
        data = content(seed, length)
        at = len(self.model.at[path].data) if offset is None else offset

        def fn():
            n = os.pwrite(fd, data, at)
            if n != length:
                self.short_write(n)
        self.step(("write", path, at, length, seed), fn, flags != 0)

    def sync(self, path, how=None):
        if self.calm.is_set():
            return
        how = how or self.rng.choice(("fsync", "fdatasync"))
        fd, _ = self.fd_of(path)
        self.step(("sync", path, how), lambda: getattr(os, how)(fd), True)

    def act_create(self):
        path = self.new_path()
        self.create(path)
        if self.rng.random() < 0.8:
            self.write(path, 0, self.length())
        if self.rng.random() < 0.3:
            self.sync(path)

    def act_write(self):
        path = self.rng.choice(self.files())
        size = len(self.model.at[path].data)
        length = self.length()
        self.write(path, self.rng.randrange(size + 5000 if size < 1 << 20
                                            else size), length)

    def act_append(self):
        path = self.rng.choice(self.files())
        if len(self.model.at[path].data) > 1 << 20:
            return self.act_unlink()
        self.write(path, None, self.length())

    def act_truncate(self):
        path = self.rng.choice(self.files())
        size = self.rng.randrange(
            2 * len(self.model.at[path].data) + 1) if \
            self.rng.random() < 0.7 else 0
        if size == len(self.model.at[path].data):
            return      # (is its time another one then?)
        how = self.rng.randrange(2)
        fd, _ = self.fd_of(path)

        def fn():
            if how:
                os.ftruncate(fd, size)
            else:
                os.truncate(self.full(path), size)
        self.step(("truncate", path, size), fn)

    def act_unlink(self):
        path = self.rng.choice(self.files())
        inode = self.model.at[path]
        if inode in self.fds and self.rng.random() < 0.7:
            self.close(inode)
        self.step(("unlink", path), lambda: os.unlink(self.full(path)))

    def act_rename(self):
        old = self.rng.choice(list(self.model.at))
        targets = self.targets()
        if self.model.at[old].kind == "f" and targets and \
                self.rng.random() < 0.4:
            new = self.rng.choice(targets)
        else:
            new = self.new_path()
        if new == old or new.startswith(old + "/"):
            return
        self.step(("rename", old, new),
                  lambda: os.rename(self.full(old), self.full(new)))

    def act_save(self):
        """As editors do it: a new file over the old one."""
        targets = self.targets()
        if not targets:
            return
        path = self.rng.choice(targets)
        temp = os.path.join(os.path.dirname(path), "t%d" % self.number())
        self.create(temp)
        self.write(temp, 0, self.length())
        if self.rng.random() < 0.7:
            self.sync(temp)
        if self.rng.random() < 0.7 and self.model.at[temp] in self.fds:
            self.close(self.model.at[temp])
        self.step(("rename", temp, path),
                  lambda: os.rename(self.full(temp), self.full(path)))
        if self.rng.random() < 0.5:
            self.sync_dir(os.path.dirname(path))

    def sync_dir(self, path):
        if self.calm.is_set():
            return

        def fn():
            fd = os.open(self.full(path), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        self.step(("sync", path, "directory"), fn, True)

    def act_mkdir(self):
        path = self.new_path()
        self.step(("mkdir", path, 0o755),
                  lambda: os.mkdir(self.full(path), 0o755))

    def act_rmdir(self):
        empty = [d for d in self.dirs() if d and not self.model.under(d)]
        if empty:
            path = self.rng.choice(empty)
            self.step(("rmdir", path), lambda: os.rmdir(self.full(path)))

    def act_symlink(self):
        path, target = self.new_path(), "to-%d" % self.number()
        self.step(("symlink", target, path),
                  lambda: os.symlink(target, self.full(path)))

    def act_link(self):
        old, new = self.rng.choice(self.files()), self.new_path()
        self.step(("link", old, new),
                  lambda: os.link(self.full(old), self.full(new)))

    def act_chmod(self):
        path = self.rng.choice(self.files() + self.dirs()[1:])
        mode = self.rng.choice((0o700, 0o750, 0o711, 0o744))
        self.step(("chmod", path, mode),
                  lambda: os.chmod(self.full(path), mode))

    def act_utime(self):
        path = self.rng.choice(self.files())
        mtime = self.rng.randrange(MTIME_NS_END)
        self.step(("utime", path, mtime),
                  lambda: os.utime(self.full(path), ns=(mtime, mtime)))

    def act_setxattr(self):
        path = self.rng.choice(self.files() + self.dirs()[1:])
        name = "user.x%d" % self.rng.randrange(4)
        value = "value %d" % self.number() * self.rng.choice((1, 30))
        self.step(("setxattr", path, name, value),
                  lambda: os.setxattr(self.full(path), name, value.encode()))

    def act_removexattr(self):
        some = [(p, x) for p, n in self.model.at.items() if n.kind != "l"
                for x in n.xattrs]
        if some:
            path, name = self.rng.choice(some)
            self.step(("removexattr", path, name),
                      lambda: os.removexattr(self.full(path), name))

    def act_sync(self):
        if self.rng.random() < 0.2:
            self.sync_dir(self.rng.choice(self.dirs()))
        else:
            self.sync(self.rng.choice(self.files()))

    def act_close(self):
        if self.fds:
            self.close(self.rng.choice(list(self.fds)))


class Heavy(Writer):
    """Small steps with long records: a file whose row has much in it, so
    that the log is soon full and its segments are used again and again."""

    VALUE_CHARS = 30000     # two of them in a row

    def __init__(self, *args):
        super().__init__(*args)
        self.pause_s /= 2

    def act(self):
        if not self.model.at:
            return self.create("row")
        xattrs = self.model.at["row"].xattrs
        if len(xattrs) < 2 or self.rng.random() < 0.05:
            name = "user.x%d" % self.rng.randrange(2)
            text = "%d " % self.number()
            value = (text * self.VALUE_CHARS)[:self.VALUE_CHARS]
            return self.step(
                ("setxattr", "row", name, value),
                lambda: os.setxattr(self.full("row"), name, value.encode()))
        if self.rng.random() < 0.06:
            return self.sync("row")
        mode = 0o600 + self.number() % 0o177
        self.step(("chmod", "row", mode),
                  lambda: os.chmod(self.full("row"), mode))


class Churn(Writer):
    """Writes the same places of a large file again and again: what was there
    is garbage, and its room is given back before long."""

    BYTES, PIECE = 4 << 20, 1 << 20
    PIECES_MAX = 220    # what the disk has room for if nothing is given back

    def act(self):
        if not self.model.at:
            return self.create("big")
        r = self.rng.random()
        if r < 0.05:
            return self.sync("big")
        if r < 0.1:
            return self.act_close()
        if self.number() <= self.PIECES_MAX:
            self.write("big", self.rng.randrange(0, self.BYTES, self.PIECE),
                       self.PIECE)


# ---- a data base

def row_of(i):
    return content("row %d" % i, 100 + i * 37 % 3000)


class Database(threading.Thread):
    """SQLite: transaction i adds row i. It is one more judge that shares no
    code with anybody here. commits: (i, entries logged when it returned)."""

    def __init__(self, path, journal, counter, stop, pause_s, rows_max,
                 calm):
        super().__init__(name="database")
        self.calm = calm
        self.path, self.journal = path, journal
        self.counter, self.stop = counter, stop
        self.pause_s, self.rows_max = pause_s, rows_max
        self.commits, self.error = [], None

    def run(self):
        try:
            db = sqlite3.connect(self.path, isolation_level=None)
            db.execute("PRAGMA journal_mode=" + self.journal)
            # In DELETE mode only EXTRA syncs the journal's directory.
            db.execute("PRAGMA synchronous=EXTRA")
            db.execute("CREATE TABLE t (i INTEGER PRIMARY KEY, b BLOB)")
            while not self.stop.is_set() and \
                    len(self.commits) < self.rows_max:
                if self.calm.is_set():
                    self.stop.wait(self.pause_s)
                    continue
                i = len(self.commits) + 1
                db.execute("INSERT INTO t VALUES (?, ?)", (i, row_of(i)))
                self.commits.append((i, self.counter.now()))
                self.stop.wait(self.pause_s)
            db.close()
        except Exception as e:
            self.error = e


def database_rows(path):
    """How many rows it has; raises an error if it is damaged."""
    db = sqlite3.connect(path, isolation_level=None)
    found = db.execute("PRAGMA integrity_check").fetchall()
    if found != [("ok",)]:
        raise sqlite3.DatabaseError(str(found[:3]))
    try:
        rows = db.execute("SELECT i, b FROM t ORDER BY i").fetchall()
    except sqlite3.OperationalError as e:
        if "no such table" not in str(e):
            raise
        rows = []
    db.close()
    for n, (i, b) in enumerate(rows, 1):
        if i != n or b != row_of(n):
            raise sqlite3.DatabaseError("row %d is wrong" % n)
    return len(rows)
