/* SPDX-License-Identifier: Apache-2.0 */
/* Files in conflict, settled. */
#ifndef VARIANTS_SUPPORT_H
#define VARIANTS_SUPPORT_H

#include "fs/tree/variants.h"
#include "nodes_support.h"

/* A file of the system that holds the bytes. To be closed. */
int fd_with(struct slice bytes);
/* To be released. */
void variants_at(struct fixture *, const char *name, struct variants *ret);
/* Settles what is there now; the result of tree_settle(). */
int settle_as(struct fixture *, const char *name, const char *bytes,
	      enum settle_by);
bool in_conflict(struct fixture *, const char *name);
/* NULL: it is not known. */
void expect_base(struct fixture *, const char *name, const char *bytes);

#endif
