/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are performed once, whoever is killed meanwhile.
 *
 * An operation that performs a request says so itself, at its own end
 * (op_answers), and nothing else does that happens on the way to it: a cut of
 * unsent writes is no answer to the rename that waited for it.
 */
#include <errno.h>

#include "fs/tree/tree_internal.h"

static __thread struct tree_request current;

void tree_request(const struct tree_request *r)
{
	current = r ? *r : (struct tree_request){ 0 };
}

int op_answers(struct tree *t, int r, uint64_t result)
{
	struct store_answer a = { current.mount, current.number, result };

	if (r >= 0 && current.number)
		store_op_answers(t->store, current.slot, &a);
	return r;
}

int tree_performed(struct tree *t, uint64_t mount, uint64_t number,
		   uint64_t *ret_result)
{
	int found = 0, r = 0;

	*ret_result = 0;
	store_lock(t->store);
	for (unsigned int k = 0; r >= 0 && !found && k < STORE_ANSWERS; k++) {
		struct store_answer a;

		r = store_answer(t->store, k, &a);
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		found = r >= 0 && a.mount == mount && a.request == number;
		if (found)
			*ret_result = a.result;
	}
	store_unlock(t->store);
	return r < 0 ? r : found;
}
