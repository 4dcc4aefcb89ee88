/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder of hooks and a place for rooms, and hooks that are run in them:
 * as this user, by root also as another, and with and without namespaces.
 */
#ifndef KINFS_TESTS_HOOK_SUPPORT_H
#define KINFS_TESTS_HOOK_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/net/hook_run.h"

/* Whom root runs as: nobody. */
#define OTHER_ID 65534

/* One way to run: of a table that all tests go through. */
struct hook_way {
	const char *name;
	uid_t uid;
	enum hook_spaces_use spaces;
};

/* Ways of this process; ends with a NULL name. */
const struct hook_way *hook_ways(void);
/* Are there namespaces for this user at all? */
bool hook_has_spaces(void);

struct hook_test {
	char top[64], folder[80], rooms[80], mark[64];
	/* To be changed before a run: */
	struct hook_run_options options;
	/* Of the run: */
	struct hook hook;
	struct hook_run *run;
	struct hook_outcome *outcome;
	uint64_t took_ms;
};

/* As the way says, wanting an output, with a mark in its environment. */
void hook_test_init(struct hook_test *, const struct hook_way *);
/* Fails if anything of the hook is alive, or anything is in the rooms. */
void hook_test_release(struct hook_test *);
/* A file in the folder. */
void hook_test_write(struct hook_test *, const char *name, mode_t mode,
		     const void *text, size_t len);
/* A script of sh(1) named "hook". */
void hook_test_script(struct hook_test *, const char *text);
/* A program as hook, by the name that it has. */
void hook_test_program(struct hook_test *, const char *path);
void hook_test_start(struct hook_test *, const char *name);
/* Until it is done, or fails after a minute. */
void hook_test_wait(struct hook_test *);
/* A script, from its text to its outcome. */
void hook_test_run(struct hook_test *, const char *text);
/* Ends a run, so that there can be another. */
void hook_test_next(struct hook_test *);

/* Processes with the mark in the environment they began with. */
unsigned int hook_test_alive(const struct hook_test *);
/* Waits until there is one. */
void hook_test_await_alive(const struct hook_test *);
/* The output as a string, at most size - 1 bytes. */
void hook_test_output(const struct hook_test *, char *ret, size_t size);
void assert_text(const struct buf *, const char *expected);
void assert_failed(const struct hook_test *, const char *reason);

#endif
