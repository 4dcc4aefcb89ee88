/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unsent writes of which something cannot be read: no version can be made of
 * them, and nobody else has them. They are put aside, all of that file: the
 * entries, and what can be read of the bytes, in pieces that are named by the
 * inode number and where they stood. The file is what it was before them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/content_overlay.h"
#include "fs/tree/dirty.h"
#include "fs/tree/mend.h"

#define PIECE_BYTES (1u << 20)
/* Entries of one operation. */
#define OP_ENTRIES 512

static bool is_of(struct slice key, uint64_t ino)
{
	return key.len >= 8 && get_be64(key.data) == ino;
}

static bool is_behind_extents(struct slice key)
{
	return key.len >= 16 && get_be64(key.data + 8) >= DIRTY_OFFSET_KNOWN;
}

static bool is_extent(struct slice key)
{
	return key.len == 16 && !is_behind_extents(key);
}

/* What the disk does not give cannot be kept. [not locked] */
static int put_bytes_aside(struct tree *t, uint64_t ino,
			   const struct content_extent *e)
{
	static const struct content none;
	cleanup(overlay_release) struct overlay o;
	autofree uint8_t *bytes = malloc(PIECE_BYTES);
	uint64_t end = e->offset + e->len;
	int r = overlay_init(&o, t->store, &none, 0, end, e, 1);

	if (!r && !bytes)
		r = -ENOMEM;
	for (uint64_t at = e->offset; !r && at < end; at += PIECE_BYTES) {
		size_t len = (size_t)MIN_OF(end - at, (uint64_t)PIECE_BYTES);
		char name[50];

		snprintf(name, sizeof(name), "unsent-%016llx-%016llx",
			 (unsigned long long)ino, (unsigned long long)at);
		if (!overlay_read(&o, at, bytes, len))
			r = store_put_aside(t->store, name, SLICE(bytes, len));
	}
	return r;
}

/* The first extent from there on that can be read; its bytes in `bytes`. */
static int next_extent(struct tree *t, uint64_t ino, uint64_t *from,
		       struct content_extent *ret, struct buf *bytes)
{
	uint8_t key[16];
	struct slice k, v;
	bool sound = false;
	int r = 0;

	buf_reset(bytes);
	store_lock(t->store);
	while (!r && !sound) {
		r = store_peek(t->store, TABLE_DIRTY,
			       dirty_key(key, ino, *from), &k, &v, &sound);
		if (!r && (!is_of(k, ino) || is_behind_extents(k)))
			r = -ENOENT;
		if (r)
			break;
		if (k.len >= 16)
			*from = get_be64(k.data + 8);
		sound = sound && is_extent(k) &&
			!extent_decode(v, *from, ret);
		(*from)++;
	}
	if (!r && ret->bytes) {
		buf_put(bytes, ret->bytes, (size_t)ret->len);
		ret->bytes = bytes->data;
		r = buf_error(bytes);
	}
	store_unlock(t->store);
	return r;
}

static int put_extents_aside(struct tree *t, uint64_t ino)
{
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	struct content_extent e;
	uint64_t from = 0;
	int r;

	while (!(r = next_extent(t, ino, &from, &e, &bytes))) {
		if (e.kind != EXTENT_ZERO)
			r = put_bytes_aside(t, ino, &e);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* All but extents whose bytes are; 1: none is left. In an operation. */
static int put_entries_aside(struct tree *t, uint64_t ino)
{
	for (int n = 0; n < OP_ENTRIES; n++) {
		struct content_extent e;
		uint8_t key[STORE_KEY_BYTES_MAX];
		size_t len;
		struct slice k, v;
		bool sound;
		int r = store_peek(t->store, TABLE_DIRTY,
				   dirty_key(key, ino, 0), &k, &v, &sound);

		if (r == -ENOENT || (!r && !is_of(k, ino)))
			return 1;
		if (r)
			return r;
		len = k.len;
		memcpy(key, k.data, len);
		sound = sound && is_extent(k) && !extent_decode(v, 0, &e);
		r = sound ? store_del(t->store, TABLE_DIRTY, SLICE(key, len)) :
			    mend_put_aside(t, TABLE_DIRTY, SLICE(key, len), v);
		if (r)
			return r;
	}
	return 0;
}

int mend_unsent(struct tree *t, uint64_t ino)
{
	int done = put_extents_aside(t, ino);

	while (!done) {
		int r = op_begin(t);

		if (r)
			return r;
		done = put_entries_aside(t, ino);
		r = op_end(t, MIN_OF(done, 0));
		if (r)
			return r;
	}
	return MIN_OF(done, 0);
}
