"""The tables of the store, as steps: a new file takes all of them, one of an older lab those that it lacks, each once and in one transaction."""
from __future__ import annotations

RUNS_AND_EVENTS = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    spec TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled')),
    priority INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    worker TEXT NOT NULL DEFAULT '',
    cancel INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    weights_sha256 TEXT NOT NULL DEFAULT '',
    data_sha256 TEXT NOT NULL DEFAULT '',
    reused INTEGER NOT NULL DEFAULT 0,
    shared INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_queue ON runs (priority DESC, number) WHERE state = 'queued';
CREATE INDEX runs_running ON runs (worker) WHERE state = 'running';
CREATE INDEX runs_worker ON runs (worker);
CREATE INDEX runs_owner ON runs (owner, number);
CREATE INDEX runs_equal ON runs (fingerprint) WHERE state = 'finished';
CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
"""
# turn: the round of the queue in which a run is due; due: when it came, and later by as long as it will take, within a bound.
# Runs that wait in an older file come in the order of their owners' first, second, third …
FAIR_QUEUE_AND_CLASS = """
ALTER TABLE runs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN due REAL NOT NULL DEFAULT 0;
UPDATE runs SET due = created, turn = 1 + (SELECT count(*) FROM runs AS earlier WHERE earlier.state = 'queued' AND earlier.owner = runs.owner
    AND earlier.kind = runs.kind AND earlier.number < runs.number) WHERE state = 'queued';
DROP INDEX runs_queue;
CREATE INDEX runs_queue ON runs (priority DESC, turn, due, number) WHERE state = 'queued';
CREATE INDEX runs_finished ON runs (finished) WHERE finished IS NOT NULL;
CREATE INDEX runs_created ON runs (created);
CREATE TABLE rounds (kind TEXT PRIMARY KEY, turn INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE members (
    owner TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    folded TEXT NOT NULL UNIQUE,
    word TEXT NOT NULL,
    joined REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    owner TEXT NOT NULL REFERENCES members (owner) ON DELETE CASCADE,
    lesson TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('progress', 'prediction', 'observation', 'quiz', 'test')),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (owner, lesson, kind, name)
) STRICT, WITHOUT ROWID;
"""
# anew: its owner wants it made, whatever the history has.
MADE_ANEW = "ALTER TABLE runs ADD COLUMN anew INTEGER NOT NULL DEFAULT 0"
# Runs that are to follow once their owner has room for them.
PLANNED = """
CREATE TABLE planned (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    spec TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE (owner, fingerprint)
) STRICT;
"""
STEPS = (RUNS_AND_EVENTS, FAIR_QUEUE_AND_CLASS, MADE_ANEW, PLANNED)
VERSION = len(STEPS)
