/* SPDX-License-Identifier: Apache-2.0 */
/* What a new object has of its directory. [locked, in an operation] */
#ifndef KINFS_TREE_HERITAGE_H
#define KINFS_TREE_HERITAGE_H

#include "fs/tree/tree_internal.h"

/* Starts as { 0 }; what `n` borrows afterwards is its. */
struct heritage {
	char group[PRINCIPAL_BYTES_MAX];
	struct buf access, defaults;
};

void heritage_release(struct heritage *);
/* Changes what is to be made: group, permissions, ACL. */
must_check int heritage_of(struct tree *, struct objid dir, struct heritage *,
			   struct tree_new *);
/* What no tree_new says: a default ACL, in the row made, not yet stored. */
must_check int heritage_add(struct tree *, struct row *,
			    const struct heritage *);

#endif
