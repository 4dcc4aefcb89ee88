/* SPDX-License-Identifier: Apache-2.0 */
#include "store_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

struct store *store_make(const struct store_options *o)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct store *s = NULL;
	int r = store_open(o, &why, &s);

	if (r)
		print_error("%.*s\n", (int)why.len, (char *)why.data);
	assert_int_equal(r, 0);
	return s;
}

struct store_options options_sim(const char *path)
{
	return (struct store_options){.path = path,
				      .no_sync = true,
				      .map_bytes = 1u << 30,
				      .log_bytes = 65536};
}

/* One operation with one put. */
void put_one(struct store *s, const char *key, const char *value)
{
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	assert_int_equal(
		store_put(s, TABLE_OBJ, SLICE_STR(key), SLICE_STR(value)), 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
}

void assert_holds(struct store *s, const char *key, const char *value)
{
	struct slice v;
	int r;

	store_lock(s);
	r = store_get(s, TABLE_OBJ, SLICE_STR(key), &v);
	if (value) {
		assert_int_equal(r, 0);
		assert_true(slice_equal(v, SLICE_STR(value)));
	} else {
		assert_int_equal(r, -ENOENT);
	}
	store_unlock(s);
}
