/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a result in the place of the variants that it was made from. The
 * bytes are stored and hashed without the lock, however many; then one
 * operation compares the token with what is there and writes the version, or
 * does nothing.
 *
 * A person's is an edit like any other (KEEP: it outlives a removal that had
 * not seen it). One by a policy or a hook says so, with the human versions
 * that it is made of: of two such, the one that is made of more goes on, of
 * equal ones either, the same on every node (info.h). It keeps nothing: what
 * somebody removed meanwhile stays removed.
 *
 * Who has main or a sibling open goes on with what he has, as when somebody
 * settles elsewhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/tree/op.h"
#include "fs/tree/variants_internal.h"

/* Read at once; a piece that is all zeros is not stored. */
#define PIECE_BYTES ((size_t)CHUNK_BYTES_MAX)

void result_release(struct result *x)
{
	free(x->list);
	free(x->first);
	buf_release(&x->bytes);
	content_build_free(x->build);
}

/* ---- the bytes */

static bool follows(const struct content_extent *last,
		    const struct content_extent *e)
{
	if (last->kind != e->kind || last->offset + last->len != e->offset)
		return false;
	return e->kind == EXTENT_ZERO ||
	       (e->kind == EXTENT_DATA && last->loc.segment == e->loc.segment &&
		last->loc.offset + last->len == e->loc.offset);
}

static int result_add(struct result *x, const struct content_extent *e)
{
	struct content_extent *p;

	x->size += e->len;
	if (x->count && follows(&x->list[x->count - 1], e)) {
		x->list[x->count - 1].len += e->len;
		return 0;
	}
	if (x->count == x->alloc) {
		x->alloc = MAX_OF(x->alloc * 2, (size_t)16);
		p = reallocarray(x->list, x->alloc, sizeof(*p));
		if (!p)
			return -ENOMEM;
		x->list = p;
	}
	x->list[x->count++] = *e;
	return 0;
}

static bool all_zeros(const uint8_t *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* Up to a piece; fewer bytes only at the end. */
static ssize_t read_piece(int fd, uint8_t *ret, uint64_t offset)
{
	size_t n = 0;

	while (n < PIECE_BYTES) {
		ssize_t got = pread(fd, ret + n, PIECE_BYTES - n,
				    (off_t)(offset + n));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

static int store_piece(struct tree *t, struct result *x, size_t len)
{
	struct content_extent e = { .offset = x->size, .len = len };
	int r = 0;

	if (!x->size && len <= INLINE_BYTES_MAX) {
		e.kind = EXTENT_BYTES;
		e.bytes = x->first;
	} else if (all_zeros(x->first, len)) {
		e.kind = EXTENT_ZERO;
	} else {
		e.kind = EXTENT_DATA;
		r = data_append(t->store, SLICE(x->first, len), &e.loc);
	}
	return r ? r : result_add(x, &e);
}

int result_read(struct tree *t, int fd, struct result *x)
{
	struct content none;
	ssize_t n = 0;
	int r = 0;

	x->first = malloc(PIECE_BYTES);
	if (!x->first)
		return -ENOMEM;
	do {
		if (x->size > FILE_BYTES_MAX - PIECE_BYTES)
			return -EFBIG;
		n = read_piece(fd, x->first, x->size);
		if (n < 0)
			return (int)n;
		if (n)
			r = store_piece(t, x, (size_t)n);
	} while (!r && (size_t)n == PIECE_BYTES);
	content_empty(&none);
	return r ? r : content_build(t->store, &none, 0, x->size, x->list,
				     x->count, &x->bytes, &x->content,
				     &x->build);
}

int result_commit(struct tree *t, const struct result *x)
{
	return content_commit(t->store, x->build);
}

/* ---- the operation */

/* Handles keep what they show, but those of a log that only grew. */
static int leave_handles(struct tree *t, struct row *row,
			 const struct info *i, const struct result *x)
{
	const struct version new = { .reg = REG_CONTENT,
				     .content = { .content = x->content } };
	int r = data_changed(t, row, row_shown_content(row, i), &new);

	for (size_t k = 1; !r && k < i->branch_count; k++)
		if (!i->branches[k].is_void)
			r = sibling_detach(t, row->o.id, &i->branches[k]);
	return r;
}

/* Over all that is there: a void too, which is nobody's any more. */
static int settle_row(struct tree *t, struct row *row, const struct info *i,
		      const struct result *x, enum settle_by by)
{
	autofree const struct branch **over = NULL;
	struct dot *leaves = object_alloc(&row->o,
					  LEAVES_MAX * sizeof(*leaves));
	struct content_write w = { .content = &x->content,
				   .mtime = tree_now(t),
				   .keep = by == SETTLE_PERSON,
				   .leaves = leaves };
	struct timespec btime = i->times ? i->times->times.btime : w.mtime;
	int r = 0;

	over = calloc(i->branch_count, sizeof(*over));
	if (!over || !leaves)
		return -ENOMEM;
	for (size_t k = 1; k < i->branch_count; k++)
		over[w.over_count++] = &i->branches[k];
	w.over = over;
	for (size_t k = 0; !r && by == SETTLE_AUTO && k < row->o.count; k++)
		if (row->o.versions[k].reg == REG_CONTENT)
			r = leaves_add(&row->o.versions[k], leaves,
				       &w.leaves_count);
	leaves_sort(leaves, w.leaves_count);
	if (!r)
		r = leave_handles(t, row, i, x);
	if (!r)
		r = branch_write(t, row, i, &i->branches[0], NULL, &w);
	return r ? r : row_set_times(t, row, w.mtime, btime);
}

static bool all_here(struct tree *t, const struct row *row,
		     const struct info *i)
{
	for (size_t k = 0; k < i->branch_count; k++)
		if (!i->branches[k].is_void &&
		    !sibling_is_here(t, row, &i->branches[k]))
			return false;
	return true;
}

static int settle_locked(struct tree *t, const struct variants *s,
			 const struct result *x, enum settle_by by)
{
	struct hash token;
	struct row row;
	struct info i;
	int r = row_load(t, s->id, &row);

	if (r)
		return r;
	r = contents_token(&row.o, &token);
	if (!r && !hash_equal(&token, &s->token))
		r = -ESTALE;
	if (r) {
		row_release(&row);
		return r;
	}
	r = info_init(&i, &row.o);
	/* (it was removed; or a policy chooses one of them meanwhile) */
	if (!r && (!i.link_count || i.hidden_count))
		r = -ESTALE;
	if (!r && !all_here(t, &row, &i))
		r = -EAGAIN;
	if (!r)
		r = result_commit(t, x);
	if (!r)
		r = settle_row(t, &row, &i, x, by);
	info_release(&i);
	if (!r)
		r = row_store(t, &row, 0);
	/* (nobody did this through the kernel) */
	if (!r)
		event_inode(t, row.ino);
	row_release(&row);
	return r;
}

int tree_settle(struct tree *t, const struct variants *s, int fd,
		enum settle_by by)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	struct result x = RESULT_INIT;
	int r;

	if (by == SETTLE_AUTO && !s->leaves_count)
		return -E2BIG;
	r = result_read(t, fd, &x);
	if (!r)
		r = op_begin(t);
	if (!r)
		r = op_end(t, settle_locked(t, s, &x, by));
	result_release(&x);
	return r;
}
