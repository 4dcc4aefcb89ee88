/* SPDX-License-Identifier: Apache-2.0 */
/* Conflicts as the daemon lists them, and taking a version of one. */
#ifndef KINFS_TOOLS_CONFLICTS_H
#define KINFS_TOOLS_CONFLICTS_H

#include "tools/control_client.h"

/* Asks for those at or below the subject's path: an array, to be released by
 * json_decref(). Complains. Returns an exit_code. */
int conflicts_ask(const struct subject *, json_t **ret);
/* Is the subject's path the main name or one of the versions? */
bool conflict_is_of(const json_t *conflict, const struct subject *);
/* "edited in several places" */
const char *conflict_sentence(const json_t *conflict);

/* One line of text each. */
void conflict_print(const struct subject *, const json_t *conflict);
void version_print(const json_t *version);
/* "MOUNTPOINT/PATH", as people may see it. */
void conflict_print_path(const struct subject *, const json_t *conflict);

/* The versions in the order in which people are asked: main is 1. NULL:
 * there are not so many. */
const json_t *conflict_version(const json_t *conflict, size_t number);
/*
 * The version that a word means: main, newest, largest, the last component
 * of its name, or the label of its author, in this order. NULL: none, or
 * several (*ret_count of them).
 */
const json_t *conflict_choose(const json_t *conflict, const char *take,
			      size_t *ret_count);
/* Settles it for this version, if it is still as it was listed. Complains.
 * Returns an exit_code. */
int conflict_take(const struct subject *, const json_t *conflict,
		  const json_t *version);

/* The last component: versions stand in one directory, mostly. */
struct slice last_component(struct slice path);

#endif
