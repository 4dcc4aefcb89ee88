# SPDX-License-Identifier: Apache-2.0
"""A session: programs work in a mount for some seconds, and what the disk
did and what they were promised is kept for the cuts."""
import errno
import os
import pickle
import random
import threading
import time

from . import clock
from .image import Counter, copy
from .model import content, observe
from .node import Failure, Pusher, knowledge, mount_options
from .oracle import History
from .work import Churn, Database, Heavy, Writer

WRITERS = ("w0", "w1", "w2", "heavy")
HEAVY = "heavy"
CHURN = "w2"        # in every third session
KINDS = ("mixed", "quiet", "turns", "short")
PEER = "peer"
PEER_PAUSE_S = 0.08
PEER_SHARE = 5      # files between two waits
JOURNALS = ("DELETE", "TRUNCATE", "PERSIST")
# Much slower than a machine can, so that the disk has something to tell of
# each step.
PAUSE_S = 0.012
PUSH_PAUSE_S = 0.01
ROW_PAUSE_S = 0.1
TOKEN_PAUSE_S = 0.9
SYNC_PAUSE_S = 0.7
# Between the last step and the end: more than it takes until all is durable.
IDLE_S = 2
# Times with and without syncs take turns.
CALM_S_MAX = 1.5
# A disk that somebody else fills: how long it is not full, and is.
EMPTY_S_MAX = 1.5
FULL_S_MAX = 1.2
# How long a round of giving back is waited for, to fill the disk in it.
ROUND_S_MAX = 2.5
BALLAST = "ballast"
# What a flush takes on the disk of a quiet session: a commit, some of them.
FLUSH_S_MAX = 0.04
# In a quiet session nobody works now and then: longer than it takes until
# all is durable.
LULL_S_MAX = 2
BUSY_S_MAX = 1.5
# A data segment of the store (fs/store/open.c), and what of the first one is
# left when a session begins that is to come to its end.
SEGMENT_BYTES = 256 << 20
LEFT_BYTES = 1 << 20
TURN_PAUSE_S = 0.001
STEPS_MAX = 3000
ROWS_MAX = 1000


class Session:
    """What was recorded."""

    # (of one that was recorded before there were any)
    syncs = notes = turns = ()
    kind = "mixed"

    def __init__(self, seed, seconds, fs, kind):
        self.seed, self.seconds, self.fs, self.kind = seed, seconds, fs, kind
        mixed = kind == "mixed"
        self.two = mixed and seed % 2 == 0
        short = kind == "short"
        # the disk is full at times
        self.full = short or (mixed and seed % 4 == 3)
        self.flush_s = 0 if kind != "quiet" else random.Random(
            "flush %s" % seed).uniform(0, FLUSH_S_MAX)
        self.churn = short or (kind != "quiet" and seed % 3 == 0)
        self.fills = []         # entries logged when the disk was filled, and
                                # when it was no more
        self.in_rounds = 0      # of these: while room was given back
        self.options = mount_options(fs, seed)
        self.ready = None       # entries logged when `kin mount` returned
        self.steps = {}         # writer -> steps
        self.commits = []       # of the data base
        self.tokens = []        # (token, entries logged when it was there)
        self.syncs = []         # ({writer: steps}, entries logged) of kin sync
        self.synced, self.shared = [], []       # of the peer
        self.volume = self.origin = None
        self.space = None       # given back, as status says at the end
        self.notes = []         # of the syncs of a
        self.turns = []         # entries logged when a segment was begun
        self.idle = None        # entries logged some time after all ended
        self.closed = None      # ... and when `kin unmount` returned

    def nodes(self, machine):
        return (machine.a, machine.b) if self.two else (machine.a,)

    def save(self, path):
        with open(path, "wb") as f:
            pickle.dump(self, f)

    @staticmethod
    def load(path):
        with open(path, "rb") as f:
            return pickle.load(f)


class Ballast(threading.Thread):
    """Somebody else fills the disk to the last block, now and then; if room
    is given back meanwhile, in the middle of that."""

    def __init__(self, path, node, session, counter, stop):
        super().__init__(name="ballast")
        self.path, self.node, self.stop = path, node, stop
        self.churn = session.churn
        self.rng = random.Random("ballast %s" % session.seed)
        self.counter = counter
        self.fills, self.in_rounds, self.error = [], 0, None

    def round_runs(self):
        return self.node.status()["space"]["running"]

    def wait_round(self):
        deadline = time.monotonic() + ROUND_S_MAX
        while not self.stop.is_set() and time.monotonic() < deadline and \
                not self.round_runs():
            pass    # (each time asks a program, which takes long enough)

    def run(self):
        try:
            while not self.stop.wait(self.rng.uniform(0, EMPTY_S_MAX)):
                if self.churn:
                    self.wait_round()
                since = self.counter.now()
                self.fill()
                self.in_rounds += self.churn and self.round_runs()
                self.stop.wait(self.rng.uniform(0, FULL_S_MAX))
                os.unlink(self.path)
                self.fills.append((since, self.counter.now()))
        except Exception as e:
            self.error = e

    def fill(self):
        at, length = 0, 64 << 20
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        while length >= 4096:
            try:
                os.posix_fallocate(fd, at, length)
                at += length
            except OSError as e:
                if e.errno != errno.ENOSPC:
                    raise
                length //= 2
        os.close(fd)


def is_no_room(session, e):
    return session.full and "No space left" in str(e)


class Tokens(threading.Thread):
    """Asks a node again and again what it knows. A token says that it is
    durable; the token of b, what a has told it."""

    def __init__(self, node, session, counter, stop, calm):
        super().__init__(name="tokens of " + node.name)
        self.node, self.counter, self.stop, self.calm = \
            node, counter, stop, calm
        self.session = session
        self.tokens, self.error = [], None

    def run(self):
        try:
            while not self.stop.wait(TOKEN_PAUSE_S):
                if not self.calm.is_set():  # (a token is a sync)
                    try:
                        token = self.node.token()
                    except Failure as e:
                        if is_no_room(self.session, e):
                            continue
                        raise
                    self.tokens.append((token, self.counter.now()))
        except Exception as e:
            self.error = e


class Syncs(threading.Thread):
    """Calls `kin sync`, which promises whatever had ended before it, of all
    writers. In calm times, too, now and then: what others sync proves
    nothing of it."""

    def __init__(self, node, session, writers, counter, stop, calm):
        super().__init__(name="kin sync")
        self.session = session
        self.node, self.writers, self.counter, self.stop, self.calm = \
            node, writers, counter, stop, calm
        self.rng = random.Random("kin sync %s" % session.seed)
        self.syncs, self.error = [], None

    def run(self):
        try:
            while not self.stop.wait(SYNC_PAUSE_S):
                if not self.calm.is_set() or self.rng.random() < 0.5:
                    ended = {w.name: w.ended() for w in self.writers}
                    try:
                        self.node.kin("sync", self.node.volume)
                    except Failure as e:
                        if is_no_room(self.session, e):
                            continue
                        raise
                    self.syncs.append((ended, self.counter.now()))
        except Exception as e:
            self.error = e


class Peer(threading.Thread):
    """Writes on the other node, in a directory of its own: file after file,
    each synced. Now and then it waits until both nodes have everything.
    While all is calm the nodes do not hear of each other: what a sends it
    has to sync first."""

    def __init__(self, node, seed, counter, stop, calm):
        super().__init__(name="peer")
        self.node, self.seed, self.counter, self.stop, self.calm = \
            node, seed, counter, stop, calm
        self.synced = []    # entries logged when file i was synced
        self.shared = []    # (files, entries logged when both had them)
        self.error = None

    def run(self):
        try:
            os.mkdir(os.path.join(self.node.volume, PEER))
            while not self.stop.wait(PEER_PAUSE_S):
                if self.calm.is_set():
                    self.node.kin("pause", self.node.volume)
                    while self.calm.is_set() and not self.stop.wait(0.02):
                        pass
                    self.node.kin("resume", self.node.volume)
                self.write(len(self.synced))
                if len(self.synced) % PEER_SHARE == 0:
                    self.share()
            self.share()
        except Exception as e:
            self.error = e

    def write(self, i):
        path = os.path.join(self.node.volume, PEER, "f%d" % i)
        with open(path, "xb", buffering=0) as f:
            f.write(peer_content(self.seed, i))
            os.fsync(f.fileno())
        self.synced.append(self.counter.now())

    def share(self):
        files = len(self.synced)
        self.node.wait()
        self.shared.append((files, self.counter.now()))


class Turns(threading.Thread):
    """Sees when a segment is begun."""

    def __init__(self, node, counter, stop):
        super().__init__(name="turns")
        self.path = os.path.join(node.store, "seg")
        self.counter, self.stop, self.error = counter, stop, None
        self.seen, self.turns = set(os.listdir(self.path)), []

    def run(self):
        try:
            while not self.stop.wait(TURN_PAUSE_S):
                now = set(os.listdir(self.path))
                if now - self.seen:
                    self.turns.append(self.counter.now())
                self.seen |= now
        except Exception as e:
            self.error = e


def peer_content(seed, i):
    return content("peer %s %d" % (seed, i), 100 + i * 7919 % 30000)


def threads_run(threads, stop, calm, session):
    rng = random.Random("calm %s" % session.seed)
    for t in threads:
        t.start()
    now = time.monotonic()
    deadline, turn = now + session.seconds, now
    if session.kind == "quiet":
        calm.set()
        turn = deadline
    while now < deadline and all(t.is_alive() for t in threads):
        if now >= turn:
            (calm.clear if calm.is_set() else calm.set)()
            turn = now + rng.uniform(0, CALM_S_MAX)
        time.sleep(0.02)
        now = time.monotonic()
    stop.set()
    for t in threads:
        t.join()
        if getattr(t, "error", None):
            raise Failure("%s in the session: %r" % (t.name, t.error))


def work(machine, counter, session):
    stop, calm = threading.Event(), threading.Event()
    seed, a = session.seed, machine.a
    journal = random.Random("journal %s" % seed).choice(JOURNALS)
    writers = []
    for name in WRITERS:
        top = os.path.join(a.volume, name)
        os.mkdir(top)
        kind = Heavy if name == HEAVY and session.kind != "quiet" else \
            Churn if name == CHURN and session.churn else Writer
        writers.append(kind(top, name, seed, counter, stop, PAUSE_S,
                            STEPS_MAX, calm))
        writers[-1].may_be_full = session.full
    os.mkdir(os.path.join(a.volume, "sql"))
    a.token()       # (the directories are promised)
    session.ready = counter.now()
    database = Database(os.path.join(a.volume, "sql", "db"), journal,
                        counter, stop, ROW_PAUSE_S, ROWS_MAX, calm)
    pushers = [Pusher(n.store, seed, stop, PUSH_PAUSE_S)
               for n in session.nodes(machine)]
    tokens = [Tokens(n, session, counter, stop, calm)
              for n in session.nodes(machine)]
    peer = [Peer(machine.b, seed, counter, stop, calm)] if session.two else []
    syncs = Syncs(a, session, writers, counter, stop, calm)
    ballast = Ballast(os.path.join(machine.disk, BALLAST), a, session, counter,
                      stop)
    turns = Turns(a, counter, stop)
    others = [syncs, turns] + pushers + tokens + peer
    # (a data base says nothing of itself when the disk is full)
    others.append(ballast if session.full else database)
    if session.kind == "quiet":     # (nobody asks for anything)
        others = pushers
        lulls(writers, seed)
    threads_run(writers + others, stop, calm, session)
    session.fills, session.in_rounds = ballast.fills, ballast.in_rounds
    session.steps = {w.name: w.steps for w in writers}
    session.commits = database.commits
    session.tokens = [t for n in tokens for t in n.tokens]
    session.syncs = syncs.syncs
    session.turns = turns.turns
    if peer:
        session.synced, session.shared = peer[0].synced, peer[0].shared
    for w in writers:
        seen, h = observe(w.top), History(w.name, w.steps)
        if len(w.steps) not in h.fits(seen):
            raise Failure("before any cut: %s\n%s" % (
                h.explain(seen, len(w.steps), len(w.steps)),
                "\n".join(str(s.op) for s in w.steps)))


def lulls(writers, seed):
    """They rest all at once."""
    rng, at = random.Random("lulls %s" % seed), time.monotonic()
    spans = []
    for _ in range(STEPS_MAX):
        at += rng.uniform(0, BUSY_S_MAX)
        spans.append((at, at + rng.uniform(0, LULL_S_MAX)))
        at = spans[-1][1]
    for w in writers:
        w.lulls = spans


def fill_segment(node, rng):
    """Makes the first segment as long as if so much had been written; its
    middle is a hole that nobody names."""
    path = os.path.join(node.volume, "first")
    with open(path, "xb") as f:
        f.write(bytes(9000))
    os.unlink(path)
    node.unmount()
    seg = os.path.join(node.store, "seg")
    last = os.path.join(seg, max(os.listdir(seg)))
    os.truncate(last, SEGMENT_BYTES - rng.randrange(LEFT_BYTES))


def begin(machine, session, name, faults, fault):
    """Mounts a."""
    a, notes = machine.a, name + ".notes"
    small = session.kind == "turns" and session.seed % 2
    if session.kind == "turns" and not small:
        a.mount()
        fill_segment(a, random.Random("fill %s" % session.seed))
    clock.notes_begin(notes)
    preload = {"LD_PRELOAD": faults, "KIN_POWER_NOTES": notes}
    if fault:
        preload["KIN_POWER_FAULT"] = fault
    if session.kind == "turns":
        preload["KIN_POWER_NAMES"] = "strict"
    a.mount(preload, machine.small if small else None)


def record(machine, blank, name, seed, seconds, kind, faults, fault=None):
    """Runs a session; the log of its disk is at this name."""
    session = Session(seed, seconds, machine.fs, kind)
    machine.options = session.options
    image = name + ".image"
    copy(blank, image)
    device = machine.disk_start(image, name)
    counter = Counter(name)
    machine.disk_mount(device)
    machine.boot("session %s" % seed)
    begin(machine, session, name, faults, fault)
    session.volume = machine.a.status()["volume"]
    session.origin, = knowledge(machine.a.token(), session.volume)
    if session.two:
        machine.b.join(machine.a.invite())
        machine.a.wait()
    counter.slow(session.flush_s)
    work(machine, counter, session)
    session.space = machine.a.status()["space"]
    if not fault:
        time.sleep(IDLE_S)
        session.idle = counter.now()
    for n in session.nodes(machine):
        n.unmount()
    session.closed = counter.now()
    session.notes = clock.notes_read(name + ".notes")
    # (where their directory is never synced, none is seen)
    if kind == "turns" and not session.turns and not fault:
        raise Failure("no segment was begun")
    machine.disk_unmount()
    machine.disk_stop()
    os.unlink(image)
    session.save(name + ".session")
    return session
