/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which conflicts are to be handled, and when: a table of the files in
 * conflict that have a handler, with what became of it. It knows no time and
 * runs nothing; handlers.c does.
 *
 * Damping. All nodes that see a conflict may settle it, and any number of
 * them doing so at once still end in one version (info.h). But it is work
 * done twice, and with a handler that is not deterministic one more round.
 * So they take turns: the members are put in an order that each of them
 * computes alike from the conflict and their keys (rendezvous hashing,
 * Thaler and Ravishankar, 1998); the first acts at once, each next one
 * HANDLER_TURN_MS later, if it is still there. A handler that says that it is
 * deterministic costs no such round: two of its answers are one. Then the next
 * one waits HANDLER_TURN_SOON_MS only, which is long enough for an answer of
 * somebody who is there, and short if nobody is. (None at all would have each
 * of many nodes do the work, and write a version of it, every time.)
 *
 * A policy may name the one node that runs its hook (policy.h); it acts at
 * once, the others never. (It has to be named. One that all computed from the
 * members could be away for weeks, and nobody would know for whom a file in
 * conflict waits.)
 *
 * A conflict is known by its token (variants.h): whoever writes one of its
 * versions makes it another conflict, and all begins anew. What was left or
 * failed is not tried again for the same token.
 */
#ifndef KINFS_NET_HANDLER_PLAN_H
#define KINFS_NET_HANDLER_PLAN_H

#include <stdbool.h>

#include "fs/base/id.h"
#include "fs/base/macro.h"
#include "replication/net/hook_dir.h"

/* Between one member's turn and the next one's: it has to hear of it. */
#define HANDLER_TURN_MS 20000
#define HANDLER_TURN_SOON_MS 2000
/* When it is never this node's. */
#define PLAN_NEVER UINT64_MAX
/* Conflicts with a handler that are remembered; more wait for these. */
#define PLAN_ENTRIES_MAX 65536
/* Bytes of a rule's text: "hook:", a name, "@" and a label. */
#define PLAN_RULE_BYTES (HOOK_NAME_BYTES_MAX + LABEL_BYTES_MAX + 16)

enum plan_state {
	PLAN_WAITING,		/* for its turn, or for bytes */
	PLAN_RUNNING,
	PLAN_LEFT,		/* the handler leaves it to people */
	PLAN_FAILED,
};

struct plan_entry {
	struct objid id;
	uint64_t ino;
	struct hash token;
	char rule[PLAN_RULE_BYTES];	/* what handles it */
	enum plan_state state;
	uint64_t due_ms;		/* PLAN_WAITING */
	char reason[160];		/* or "" */
};

struct plan {
	struct plan_entry *list;	/* by id */
	size_t count;
	struct plan_entry *next;	/* of the look that goes on */
	size_t next_count, next_room;
};

void plan_init(struct plan *);
void plan_release(struct plan *);

/*
 * A look at all conflicts: plan_begin(), plan_see() for each, plan_end().
 * What was not seen is forgotten. Of what plan_knows(), the state, the reason
 * and the time stay as they were. Errors: -ENOMEM, -E2BIG there is no room for
 * it.
 */
void plan_begin(struct plan *);
/* The same conflict, handled by the same rule, was there at the last look. */
bool plan_knows(const struct plan *, const struct plan_entry *);
must_check int plan_see(struct plan *, const struct plan_entry *);
void plan_end(struct plan *);

/* NULL: not known. Good until the next look ends. */
struct plan_entry *plan_find(const struct plan *, const struct objid *);
/* One that is due, or NULL; *next_ms is lowered to when the next one is. */
struct plan_entry *plan_due(const struct plan *, uint64_t now_ms,
			    uint64_t *next_ms);

/*
 * Whose turn comes how soon: 0 for the first. `self` is one of the members.
 */
size_t plan_turn(const struct hash *token, const struct device *self,
		 const struct device *members, size_t count);

#endif
