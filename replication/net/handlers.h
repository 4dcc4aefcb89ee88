/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers: what is run when a conflict is detected (on write), when a file
 * in conflict is opened (on read), and when things happen that somebody may
 * want to hear of. By a thread of its own, beside everything else: no program
 * ever waits for a handler.
 *
 * A conflict's handler is what the policy of its directory says (policy.h):
 * `merge` and `union` are the scripts merge-text and union-lines of
 * packaging/hooks, which are part of this program; `hook:NAME` is an
 * executable of the hooks folder; or, where no policy is set, what
 * handler_conf.h says. It is run in its turn (handler_plan.h) with copies of
 * all versions and, if it is known, what they were made from; what it makes
 * takes the place of exactly these, as an automatic version (variants.h). If
 * something else is there by then, nothing is done with it, and the new
 * conflict is handled anew.
 *
 * Events besides `conflict` (`open` is the same, run at once, for the turn is
 * of who looks):
 *	applied	changes came from elsewhere: at most once in APPLIED_MS, and
 *		never two at a time. Not for what only handlers made.
 *	peer	KIN_PEER is connected, or gone: KIN_STATE
 *	lag	KIN_PEER lacks KIN_BEHIND changes for KIN_SECONDS
 * Their handlers get KIN_EVENT, KIN_VOLUME and KIN_MOUNTPOINT, and make no
 * output. What a handler writes to the mountpoint by itself is an edit as any
 * other.
 *
 * All functions: any thread, the store locked or not, but where it is said.
 */
#ifndef KINFS_NET_HANDLERS_H
#define KINFS_NET_HANDLERS_H

#include <sys/types.h>

#include "fs/tree/variants.h"
#include "replication/net/handler_conf.h"
#include "replication/net/handler_plan.h"

/* Between two runs of `applied`, and between two looks at the conflicts. */
#define APPLIED_MS 5000
#define HANDLERS_LOOK_MS 200

struct handlers;

struct handlers_options {
	struct tree *tree;		/* borrowed, like all of these */
	struct device self;
	const char *folder;		/* of hooks; need not exist */
	const char *store;		/* directory; rooms are made in it */
	const char *volume;		/* its id as text */
	const char *mountpoint;		/* absolute; "": none */
	/* As whom hooks run if the daemon is root's. */
	uid_t uid;
	gid_t gid;
};

/* Errors: of the system; `why` receives a sentence. */
must_check int handlers_start(const struct handlers_options *,
			      struct buf *why, struct handlers **ret);
/* Cancels what runs, and waits for it. NULL is fine. Not locked. */
void handlers_stop(struct handlers *);

/* Something changed, here or elsewhere. Only wakes the thread. */
void handlers_poke(struct handlers *);
/* Changes came from elsewhere, people's among them. */
void handlers_applied(struct handlers *);
/* A program opened a file in conflict. */
void handlers_opened(struct handlers *, const struct objid *);
/* Who takes turns with this node: the members, this one included. Not
 * locked, as the rest. */
void handlers_members(struct handlers *, const struct device *, size_t count);
void handlers_peer(struct handlers *, struct slice label, bool connected);
void handlers_lag(struct handlers *, struct slice label, uint64_t changes,
		  uint64_t seconds);

/* What became of a conflict. false: nothing handles it. */
bool handlers_state(struct handlers *, const struct objid *,
		    struct plan_entry *ret);
/* The configuration as it is now, as handler_conf_read() gives it; soon the
 * handlers go by it. */
must_check int handlers_conf(struct handlers *, struct buf *why,
			     struct handler_conf *ret);
/* The least seconds of a `lag` rule; 0: there is none. */
uint32_t handlers_lag_seconds(struct handlers *);

#endif
