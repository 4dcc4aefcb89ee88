/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes on disk.
 *
 * Of unsent writes they are what was written. A version has no holes but
 * whole chunks of zeros, and all these are holes: what was written with holes
 * of a few blocks, or with zeros, would have another size when it becomes one.
 * But who looks at a file that nobody changes finds it as it was. So a cut
 * notes what was written, where it knows that exactly and the version says
 * something else, with the access time of the number that it was written by.
 * Elsewhere, and of old versions, it is what the version says.
 */
#include "fs/tree/tree_internal.h"

/* Of the disk below, as a rule. */
#define DISK_BLOCK_BYTES 4096

uint64_t blocks_of(uint64_t bytes)
{
	return (bytes + DISK_BLOCK_BYTES - 1) / DISK_BLOCK_BYTES *
	       (DISK_BLOCK_BYTES / 512);
}

/* A content's, remembered by its root: the walk is done once. */
static int content_bytes(struct tree *t, const struct content *c,
			 uint64_t *ret)
{
	struct stored *slot = &t->stored[get_le64(c->root.b) % STORED_SLOTS];
	int r;

	if (c->depth && slot->size == c->size &&
	    hash_equal(&slot->root, &c->root)) {
		*ret = slot->bytes;
		return 0;
	}
	r = content_stored(t->store, c, ret);
	if (!r && c->depth)
		*slot = (struct stored){ c->root, c->size, *ret };
	/* (what is not here yet may turn out to have holes) */
	return MIN_OF(r, 0);
}

/* (an inline one has no root yet, and is all there or all zeros) */
static uint64_t content_root(const struct content *c)
{
	return c->depth ? get_le64(c->root.b) : c->size;
}

int stored_bytes(struct tree *t, uint64_t ino, const struct content *c,
		 uint64_t *ret)
{
	struct atime own;
	int r = atime_load(t, ino, &own);

	if (r || !own.root || own.root != content_root(c))
		return r ? r : content_bytes(t, c, ret);
	*ret = own.bytes;
	return 0;
}

int stored_dirty(struct tree *t, uint64_t ino, const struct dirty *d,
		 uint64_t *ret)
{
	const struct version *v = d->base.count ? &d->base.versions[0] : NULL;
	uint64_t base = 0, size = 0;
	int r = 0;

	if (v && !(v->flags & VERSION_VOID) && d->kept) {
		size = v->content.content.size;
		r = stored_bytes(t, ino, &v->content.content, &base);
	}
	/* What they hide may have been its holes. */
	if (!r && base && base < size && (d->covered || d->kept < size))
		r = 1;
	base = MIN_OF(base, d->kept);
	base -= MIN_OF(base, d->covered);
	*ret = MIN_OF(base + d->written, d->size);
	return r;
}

int stored_keep(struct tree *t, uint64_t ino, const struct dirty *d,
		const struct content *c)
{
	uint64_t was = 0, is = 0;
	struct atime own;
	bool differs;
	/* (an edit of a large file is not worth a walk through it) */
	int r = d->kept && c->depth > 1 ? 1 : stored_dirty(t, ino, d, &was);

	if (!r)
		r = content_bytes(t, c, &is);
	if (r < 0)
		return r;
	differs = !r && blocks_of(was) != blocks_of(is);
	r = atime_load(t, ino, &own);
	if (r || (!differs && !own.root))
		return r;
	own.root = differs ? content_root(c) : 0;
	own.bytes = was;
	return atime_store(t, &own);
}
