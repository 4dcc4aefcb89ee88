/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the library share that is loaded before a daemon. */
#ifndef KINFS_POWER_PRELOAD_H
#define KINFS_POWER_PRELOAD_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

/* The function that is replaced here. */
#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* KIN_POWER_FAULT is this. */
bool fault_is(const char *name);
/* s data, l log, t tables, o another file of a store, 0 none. */
char kind_of(int fd);

/* ---- notes.c */
/* One call of a thread, as it is in the file: integers of the machine. */
struct note {
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */
	/* How long the thread had waited for a processor in all its life. */
	uint64_t begin_waited_ns, end_waited_ns;
	uint32_t thread;
	uint32_t kind; /* as kind_of() has it; or w: a slow write to the log
			* or of data */
};

/* A call that may last, at a file; -1, or one of no store: no note is made. */
struct note note_begin(int fd);
void note_end(struct note *);
/* The same of a write: to the tables, one that syncs; else only if slow. */
struct note note_begin_write(int fd);

/* ---- names.c */
/* Before the fsync of a directory: the names that it has now will last. */
void names_sync(int dirfd);

#endif
