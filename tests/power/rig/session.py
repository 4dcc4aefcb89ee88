# SPDX-License-Identifier: Apache-2.0
"""A session: programs work in a mount for some seconds, and what the disk
did and what they were promised is kept for the cuts."""
import os
import pickle
import random
import threading
import time

from .image import Counter, copy
from .model import observe
from .node import Failure, Pusher
from .oracle import History
from .work import Database, Writer

WRITERS = ("w0", "w1", "w2")
JOURNALS = ("DELETE", "TRUNCATE", "PERSIST")
# Much slower than a machine can, so that the disk has something to tell of
# each step.
PAUSE_S = 0.012
PUSH_PAUSE_S = 0.01
ROW_PAUSE_S = 0.1
TOKEN_PAUSE_S = 0.9
# A group is closed after 1 s; the rest is for a machine with much to do.
IDLE_S = 5
# Times with and without syncs take turns.
CALM_S_MAX = 1.5
STEPS_MAX = 3000
ROWS_MAX = 1000


class Session:
    """What was recorded."""

    def __init__(self, seed, seconds, fs):
        self.seed, self.seconds, self.fs = seed, seconds, fs
        self.ready = None       # entries logged when `kin mount` returned
        self.steps = {}         # writer -> steps
        self.commits = []       # of the data base
        self.tokens = []        # (token, entries logged before, after)
        self.volume = None
        self.idle = None        # entries logged some time after all ended
        self.closed = None      # ... and when `kin unmount` returned

    def save(self, path):
        with open(path, "wb") as f:
            pickle.dump(self, f)

    @staticmethod
    def load(path):
        with open(path, "rb") as f:
            return pickle.load(f)


def take_tokens(machine, counter, stop, calm, tokens, errors):
    try:
        while not stop.wait(TOKEN_PAUSE_S):
            if calm.is_set():   # (a token is a sync)
                continue
            before = counter.now()
            token = machine.kin_token()
            tokens.append((token, before, counter.now()))
    except Exception as e:
        errors.append(e)


def threads_run(threads, stop, calm, session):
    rng = random.Random("calm %s" % session.seed)
    for t in threads:
        t.start()
    now = time.monotonic()
    deadline, turn = now + session.seconds, now
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
    stop, calm, errors = threading.Event(), threading.Event(), []
    seed, volume = session.seed, machine.volume
    journal = random.Random("journal %s" % seed).choice(JOURNALS)
    writers = []
    for name in WRITERS:
        top = os.path.join(volume, name)
        os.mkdir(top)
        writers.append(Writer(top, name, seed, counter, stop, PAUSE_S,
                              STEPS_MAX, calm))
    os.mkdir(os.path.join(volume, "sql"))
    machine.kin("token", volume)     # (the directories are promised)
    session.ready = counter.now()
    database = Database(os.path.join(volume, "sql", "db"), journal, counter,
                        stop, ROW_PAUSE_S, ROWS_MAX, calm)
    threads = writers + [
        database, Pusher(machine.store, seed, stop, PUSH_PAUSE_S),
        threading.Thread(name="tokens", target=take_tokens,
                         args=(machine, counter, stop, calm,
                               session.tokens, errors))]
    threads_run(threads, stop, calm, session)
    if errors:
        raise errors[0]
    session.steps = {w.name: w.steps for w in writers}
    session.commits = database.commits
    for w in writers:
        seen, h = observe(w.top), History(w.name, w.steps)
        if len(w.steps) not in h.fits(seen):
            raise Failure("before any cut: " + h.explain(
                seen, len(w.steps), len(w.steps)))


def record(machine, blank, name, seed, seconds, fault=None):
    """Runs a session; the log of its disk is at this name."""
    session = Session(seed, seconds, machine.fs)
    image = name + ".image"
    copy(blank, image)
    device = machine.disk_start(image, name)
    counter = Counter(name)
    machine.disk_mount(device)
    machine.boot("session %s" % seed)
    machine.kin_mount(fault)
    session.volume = machine.kin_status()["volume"]
    work(machine, counter, session)
    time.sleep(IDLE_S)
    session.idle = counter.now()
    machine.kin_unmount()
    session.closed = counter.now()
    machine.disk_unmount()
    machine.disk_stop()
    os.unlink(image)
    session.save(name + ".session")
    return session
