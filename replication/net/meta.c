/* SPDX-License-Identifier: Apache-2.0 */
#include "replication/net/meta.h"

#include <errno.h>
#include <string.h>

int meta_get(struct store *s, const char *key, struct buf *ret)
{
	struct slice value;
	int r;

	buf_reset(ret);
	store_lock(s);
	r = store_get(s, TABLE_META, SLICE_STR(key), &value);
	if (!r) {
		buf_put_slice(ret, value);
		r = buf_error(ret);
	}
	store_unlock(s);
	return r;
}

/* value.data NULL: delete. */
static int change(struct store *s, const char *key, struct slice value)
{
	int r;

	store_lock(s);
	r = store_op_begin(s);
	if (!r) {
		r = value.data ?
			store_put(s, TABLE_META, SLICE_STR(key), value) :
			store_del(s, TABLE_META, SLICE_STR(key));
		if (r)
			store_op_abort(s);
		else
			r = store_op_end(s);
	}
	store_unlock(s);
	return r ? r : store_sync(s);
}

int meta_put(struct store *s, const char *key, struct slice value)
{
	return change(s, key, value);
}

int meta_delete(struct store *s, const char *key)
{
	return change(s, key, SLICE(NULL, 0));
}

int meta_each(struct store *s, const char *prefix,
	      int (*fn)(void *arg, struct slice key, struct slice value),
	      void *arg)
{
	/* The key after this one, in a buffer of ours: keys are borrowed. */
	uint8_t from[STORE_KEY_BYTES_MAX + 1];
	size_t len = strlen(prefix), prefix_len = len;
	struct slice key, value;
	int r;

	memcpy(from, prefix, len);
	store_lock(s);
	while (!(r = store_seek(s, TABLE_META, SLICE(from, len), &key,
				&value))) {
		if (key.len < prefix_len || key.len > STORE_KEY_BYTES_MAX ||
		    memcmp(key.data, prefix, prefix_len))
			break;
		memcpy(from, key.data, key.len);
		from[key.len] = 0;
		len = key.len + 1;
		r = fn(arg, key, value);
		if (r)
			break;
	}
	store_unlock(s);
	return r == -ENOENT ? 0 : r;
}
