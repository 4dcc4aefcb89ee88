/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a hook for a conflict, real or made up, exactly as the handlers
 * would run it, of which nothing comes: for `kin hooks test`.
 *
 * A directory of whoever asks holds what is made up: "1", "2", ... are the
 * versions, "base" is what they were made from, if it is there. After the run
 * it has "output", the result, and, of a real conflict, "main".
 */
#ifndef KINFS_NET_HANDLER_TEST_H
#define KINFS_NET_HANDLER_TEST_H

#include "replication/net/handlers.h"
#include "replication/net/hook_run.h"

/* Bytes of a result, and of main, that are given back unasked: what a person
 * looks at. */
#define TEST_SHOWN_BYTES_MAX (1024 * 1024)

struct handlers_test_options {
	const char *hook;
	struct slice path;	/* of the file, from the volume's root */
	/* Made-up versions; 0: those of the file, which is in conflict. */
	unsigned int made_up;
	int dir;		/* stays the caller's, and open until it ends */
	uint32_t time_s;	/* if this is less than it may take; or 0 */
	bool keep;		/* the result, however long it is */
	struct loop *loop;	/* woken when it is done */
};

struct handlers_test {
	/* Known from the start. */
	struct variants variants;	/* none, if it is made up */
	struct buf path;		/* what the hook is told */
	struct hook_limits limits;
	struct buf trouble;		/* of the configuration */
	/* When it is done. */
	struct hook_outcome *outcome;
	char reason[160];	/* as `kin conflicts` would say it */
	bool settles;		/* the result would take their place */
	bool has_base, has_main, has_output;
	/* internal */
	struct handlers *handlers;
	struct hook_run *run;
	unsigned int made_up;
	int dir;
	bool keep;
};

/*
 * Not locked. `why` receives a sentence, but for -ENODATA: the file is not in
 * conflict; -EAGAIN: a version is not here; -ENOENT, -ESTALE: no such file.
 * Other errors: of hook_open() (-ENXIO for its -ENOENT), of the system.
 */
must_check int handlers_test_start(struct handlers *,
				   const struct handlers_test_options *,
				   struct buf *why,
				   struct handlers_test **ret);
void handlers_test_cancel(struct handlers_test *);
bool handlers_test_done(const struct handlers_test *);
/* Waits for it, if it is not done. NULL is fine. */
void handlers_test_free(struct handlers_test *);

#endif
