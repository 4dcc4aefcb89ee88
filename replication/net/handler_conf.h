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
 *
 * or empty, or begins with `#`. Words are separated by blanks; a word may
 * stand in double quotes, in which \" and \\ are a quote and a backslash. A
 * PATTERN is that of fnmatch(3): with a `/` in it, it is matched with the
 * path from the volume's root, in which `*` goes over no slash; else with the
 * name alone. The first line that matches holds.
 *
 * Like a hook it must belong to root or the daemon's user, and be writable by
 * nobody else.
 */
#ifndef KINFS_NET_HANDLER_CONF_H
#define KINFS_NET_HANDLER_CONF_H

#include <sys/types.h>

#include "replication/net/hook_dir.h"

/* Bytes of the file, and lines that say something: it is written by hand. */
#define HANDLER_CONF_BYTES_MAX (64 * 1024)
#define HANDLER_RULES_MAX 256

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
};

struct handler_conf {
	struct handler_rule *rules;
	size_t count;
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
const char *handler_event_name(enum handler_event);

#endif
