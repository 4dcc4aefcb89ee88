/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of object ids: short ones, looked through from the beginning. */
#include <errno.h>
#include <stdlib.h>

#include "fs/tree/tree_internal.h"

void idlist_release(struct idlist *l)
{
	free(l->ids);
	*l = (struct idlist){ 0 };
}

int idlist_add(struct idlist *l, struct objid id)
{
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)4);
		struct objid *p = realloc(l->ids, alloc * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->ids = p;
		l->alloc = alloc;
	}
	l->ids[l->count++] = id;
	return 0;
}

bool idlist_has(const struct idlist *l, struct objid id)
{
	for (size_t k = 0; k < l->count; k++)
		if (objid_equal(l->ids[k], id))
			return true;
	return false;
}
