/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hooks of this node handle what, besides those that a policy names: a
 * text file, FOLDER.conf beside the hooks folder. A line is
 *
 *	conflict PATTERN HOOK	a file in conflict whose path matches
 *	open PATTERN HOOK	the same, when a program opens it
 *	applied HOOK		changes came from elsewhere
 *	peer HOOK		a member was connected, or is gone
 *	lag SECONDS HOOK	a member lacks changes for so long
 *	limit time SECONDS [HOOK]	how long it may take
 *	limit memory SIZE [HOOK]	of each of its processes
 *	limit output SIZE [HOOK]	of each file that it writes
 *
 * or empty, or begins with `#`. Words are separated by blanks; a word may
 * stand in double quotes, in which \" and \\ are a quote and a backslash. A
 * PATTERN is that of fnmatch(3): with a `/` in it, it is matched with the
 * path from the volume's root, in which `*` goes over no slash; else with the
 * name alone. The first line that matches holds.
 *
 * A SIZE is a number of bytes, or one followed by K, M or G (of 1024). A limit
 * that names a hook holds for that one; one that names none for all others,
 * and for what is built in (`merge` and `union` of a policy). No limit can be
 * said twice: which of the two somebody meant is not to be guessed.
 *
 * Like a hook it must belong to root or the daemon's user, and be writable by
 * nobody else.
 */
#ifndef KINFS_NET_HANDLER_CONF_H
#define KINFS_NET_HANDLER_CONF_H

#include <sys/types.h>

#include <time.h>

#include "replication/net/hook_run.h"

/* Bytes of the file, and lines that say something: it is written by hand. */
#define HANDLER_CONF_BYTES_MAX (64 * 1024)
#define HANDLER_RULES_MAX 256
/* How long a hook may take, s: a turn of somebody else comes meanwhile, and
 * the daemon is not to end with one that has run for a day. */
#define LIMIT_TIME_S_MAX 3600
/* Bytes: with less no shell begins; more no machine of today has. */
#define LIMIT_MEMORY_MIN (UINT64_C(16) << 20)
#define LIMIT_MEMORY_MAX (UINT64_C(64) << 30)
/* Bytes: what is less is a mistake in the unit; what is more is not taken in
 * place of a conflict. */
#define LIMIT_OUTPUT_MIN (UINT64_C(1) << 10)
#define LIMIT_OUTPUT_MAX (UINT64_C(1) << 30)

enum handler_event {
	HANDLER_CONFLICT,
	HANDLER_OPEN,
	HANDLER_APPLIED,
	HANDLER_PEER,
	HANDLER_LAG,
};

struct handler_rule {
	enum handler_event event;
	char *pattern;			/* HANDLER_CONFLICT, HANDLER_OPEN */
	uint32_t seconds;		/* HANDLER_LAG */
	char hook[HOOK_NAME_BYTES_MAX + 1];
	size_t line;			/* from 1 */
};

enum handler_limit_kind { LIMIT_TIME, LIMIT_MEMORY, LIMIT_OUTPUT };

struct handler_limit {
	enum handler_limit_kind kind;
	uint64_t value;			/* s, or bytes */
	char hook[HOOK_NAME_BYTES_MAX + 1];	/* "": of all others */
	size_t line;
};

struct handler_conf {
	struct handler_rule *rules;
	size_t count;
	struct handler_limit *limits;
	size_t limit_count;
};

/* What a file was when it was read. */
struct handler_conf_stamp {
	bool known;		/* it was looked at */
	int error;		/* of stat(2); 0: what follows is known */
	/* It was younger than the clock of files can tell apart: it may be
	 * written again without a trace. */
	bool young;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed, modified;
};

/*
 * No file is no rules. `why` receives a sentence with file and line. Errors:
 * -EINVAL, -EPERM refused, -E2BIG, of the system.
 */
must_check int handler_conf_read(const char *path, struct buf *why,
				 struct handler_conf *ret);
void handler_conf_release(struct handler_conf *);

/* The first rule of the event that the path matches, or NULL. */
const struct handler_rule *handler_conf_find(const struct handler_conf *,
					     enum handler_event,
					     const char *path);
/* Is there a rule of the event at all? */
bool handler_conf_has(const struct handler_conf *, enum handler_event);
/* Puts what is configured for the hook in place of what is in ret. NULL:
 * what is built in. */
void handler_conf_limits(const struct handler_conf *, const char *hook,
			 struct hook_limits *ret);
/* Looks at the file without reading it. To be called before it is read. */
void handler_conf_look(const char *path, struct handler_conf_stamp *ret);
/* false: what was read then may be other than what is there now. */
bool handler_conf_same(const struct handler_conf_stamp *then,
		       const struct handler_conf_stamp *now);
const char *handler_event_name(enum handler_event);

#endif
