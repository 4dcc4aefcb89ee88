/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last settlement of a file in conflict, so that it can be taken back
 * (reopen.c): what main has been since, and the contents that were shown until
 * then, as they were. (What was hidden under them went with them.)
 *
 * A settlement is not a kind of operation. There are many ways to make one,
 * here or elsewhere: kin resolve, a policy, a hook, rm of a sibling, mv over
 * main, a save over both. What all have in common is seen where the row is
 * stored: fewer contents are shown than before, and one of them is nowhere in
 * the row any more. That it came from another node makes no difference. But
 * a node that hears of a conflict and of its end in one cut never showed it,
 * and has nothing to take back.
 *
 * The record is kept as long as main is what the settlement made of it (who
 * writes it goes on from there), and all that it would put back is in the
 * row or the history. It adds no lives of its own: bytes are kept by the
 * entries of the history.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/hist.h"

#define SETTLED_FORMAT 1
/* More are not put back at once; the history has them one by one. */
#define SETTLED_CONTENTS_MAX 64

static struct slice settled_key(uint8_t key[17], struct objid id)
{
	key[0] = 's';
	memcpy(key + 1, id.b, 16);
	return SLICE(key, 17);
}

int hist_settled_decode(struct objid id, struct slice value,
			struct hist_settled *ret)
{
	struct reader in = READER(value.data, value.len);
	struct slice before;
	int r;

	*ret = (struct hist_settled){ 0 };
	object_init(&ret->before, id);
	if (reader_u8(&in) != SETTLED_FORMAT)
		return -EUCLEAN;
	ret->after.hlc = reader_u64(&in);
	ret->after.dot.origin = reader_u64(&in);
	ret->after.dot.seq = reader_u64(&in);
	ret->after.hash64 = reader_u64(&in);
	before = reader_string(&in, ROW_BYTES_MAX);
	if (reader_done(&in))
		return -EUCLEAN;
	r = object_decode(before, &ret->before);
	for (size_t k = 0; !r && k < ret->before.count; k++)
		if (ret->before.versions[k].reg != REG_CONTENT)
			r = -EUCLEAN;
	return r == -EBADMSG ? -EUCLEAN : r;
}

int hist_settled_get(struct tree *t, struct objid id,
		     struct hist_settled *ret)
{
	uint8_t key[17];
	struct slice v;
	int r;

	*ret = (struct hist_settled){ 0 };
	object_init(&ret->before, id);
	if (!t->hist.settled)
		return -ENOENT;
	r = store_get(t->store, TABLE_HIST, settled_key(key, id), &v);
	return r ? r : hist_settled_decode(id, v, ret);
}

void hist_settled_release(struct hist_settled *s)
{
	object_release(&s->before);
}

int hist_settled_del(struct tree *t, struct objid id)
{
	uint8_t key[17];
	struct slice k = settled_key(key, id), v;
	int r = t->hist.settled ? store_get(t->store, TABLE_HIST, k, &v) :
				  -ENOENT;

	if (r)
		return r == -ENOENT ? 0 : r;
	t->hist.settled--;
	t->hist.bytes -= v.len;
	t->hist_changed = true;
	return store_del(t->store, TABLE_HIST, k);
}

int hist_settled_without(struct tree *t, struct objid id,
			 const struct entry_name *name)
{
	struct hist_settled s;
	bool needs = false;
	int r = hist_settled_get(t, id, &s);

	for (size_t k = 0; !r && k < s.before.count; k++) {
		struct entry_name own =
			version_entry_name(&s.before.versions[k]);

		needs |= !entry_name_compare(&own, name);
	}
	hist_settled_release(&s);
	if (!r && needs)
		r = hist_settled_del(t, id);
	return r == -ENOENT ? 0 : r;
}

int hist_settled_next(struct tree *t, const struct objid *after,
		      struct objid *ret)
{
	uint8_t key[18];
	struct slice k = settled_key(key, after ? *after : ROOT_ID), v;
	int r;

	if (!t->hist.settled)
		return -ENOENT;
	if (after) {
		key[k.len] = 0;
		k.len++;
	}
	r = store_seek(t->store, TABLE_HIST, k, &k, &v);
	if (!r && k.data[0] != 's')
		r = -ENOENT;
	if (!r && k.len != 17)
		r = -EUCLEAN;
	if (!r)
		memcpy(ret->b, k.data + 1, 16);
	return r;
}

int hist_settled_put(struct tree *t, struct object *before,
		     const struct entry_name *after)
{
	cleanup(buf_release) struct buf value = BUF_INIT, row = BUF_INIT;
	uint8_t key[17];
	int r = object_encode(before, &row);

	buf_put_u8(&value, SETTLED_FORMAT);
	buf_put_u64(&value, after->hlc);
	buf_put_u64(&value, after->dot.origin);
	buf_put_u64(&value, after->dot.seq);
	buf_put_u64(&value, after->hash64);
	buf_put_string(&value, buf_slice(&row));
	if (!r)
		r = buf_error(&value);
	if (!r)
		r = store_put(t->store, TABLE_HIST,
			      settled_key(key, before->id),
			      buf_slice(&value));
	if (r)
		return r;
	t->hist.settled++;
	t->hist.bytes += value.len;
	t->hist_changed = true;
	return 0;
}

/* ---- what is a settlement */

/* Needs it bytes that are not in the row? Then an entry has them, or none. */
static bool needs_entry(const struct object *row, const struct version *v)
{
	return !(v->flags & VERSION_VOID) && v->content.content.size &&
	       !hist_still_has(row, v);
}

static int has_all(struct tree *t, const struct object *row,
		   const struct object *before)
{
	const struct version *list = before->versions;
	struct hist_entry e;
	int r = 0;

	for (size_t k = 0; !r && k < before->count; k++) {
		struct entry_name name = version_entry_name(&list[k]);

		if (needs_entry(row, &list[k]))
			r = hist_get(t, row->id, &name, &e);
	}
	return r;
}

/* Is one of these contents nowhere in the row? */
static bool lacks(const struct object *row, const struct object *before)
{
	for (size_t k = 0; k < before->count; k++)
		if (!(before->versions[k].flags & VERSION_VOID) &&
		    !hist_still_has(row, &before->versions[k]))
			return true;
	return false;
}

/* Is main still what the settlement made, and one of its contents not there
 * again? */
static int holds(const struct hist_settled *s, const struct object *row)
{
	struct entry_name main;
	struct info i;
	int r = info_init(&i, row);

	if (!r && lacks(row, &s->before) && i.branch_count && i.link_count) {
		main = version_entry_name(i.branches[0].top);
		r = !entry_name_compare(&main, &s->after);
	}
	info_release(&i);
	return r;
}

/* Can it be taken back? -ENOENT: not any more. */
static int settled_stands(struct tree *t, const struct object *row,
			  const struct hist_settled *s)
{
	int r = holds(s, row);

	if (r <= 0)
		return r ? r : -ENOENT;
	return has_all(t, row, &s->before);
}

int hist_settled_check(struct tree *t, const struct object *row,
		       struct slice value)
{
	struct hist_settled s;
	int r = hist_settled_decode(row->id, value, &s);

	if (!r)
		r = settled_stands(t, row, &s);
	hist_settled_release(&s);
	return r;
}

/* Is the newest that it was made from one of these, or what they are again?
 * Else somebody has gone on from the settlement already. */
static bool follows(const struct version *v, const struct row *row)
{
	const struct entry_name *from = v->content.anc;

	for (size_t k = 0; v->content.anc_count && k < row->had_count; k++) {
		const struct version *x = &row->had[k];
		struct entry_name name = version_entry_name(x);

		if (!entry_name_compare(from, &name) ||
		    entry_names_have(x->content.anc, x->content.anc_count,
				     from))
			return true;
	}
	return false;
}

/* Fewer are shown than before, and one is gone. */
static bool is_settled(const struct row *row, const struct info *was,
		       const struct info *now, const struct object *shown)
{
	return was->real_count > 1 && !was->branches[0].is_void &&
	       now->branch_count && !now->branches[0].is_void &&
	       now->real_count < was->real_count && now->link_count &&
	       shown->count <= SETTLED_CONTENTS_MAX &&
	       follows(now->branches[0].top, row) && lacks(&row->o, shown);
}

/* All but what is hidden under another. */
static int add_shown(const struct info *i, struct object *ret)
{
	for (size_t g = 0; g < i->branch_count + i->hidden_count; g++) {
		const struct branch *b = &i->branches[g];

		for (size_t k = 0; k < b->count; k++) {
			const struct version *v = b->versions[k];

			if ((v == b->top ||
			     (!(v->flags & VERSION_VOID) &&
			      branch_has_content(b, &v->content.content))) &&
			    !object_add(ret, v))
				return -ENOMEM;
		}
	}
	return 0;
}

static int note_if(struct tree *t, const struct row *row,
		   struct object *before, struct object *shown)
{
	struct info was = { 0 }, now = { 0 };
	struct entry_name after;
	int r = 0;

	for (size_t k = 0; !r && k < row->had_count; k++)
		r = object_add(before, &row->had[k]) ? 0 : -ENOMEM;
	if (!r)
		r = info_init(&was, before);
	if (!r)
		r = info_init(&now, &row->o);
	if (!r)
		r = add_shown(&was, shown);
	if (!r && is_settled(row, &was, &now, shown)) {
		after = version_entry_name(now.branches[0].top);
		r = has_all(t, &row->o, shown);
		if (!r)
			r = hist_settled_del(t, shown->id);
		if (!r)
			r = hist_settled_put(t, shown, &after);
	}
	info_release(&now);
	info_release(&was);
	return r == -ENOENT ? 0 : r;
}

/* It can be taken back no more: main is another, all is there again, or some
 * of what was in the row when it was noted has left it, and was not kept. */
int hist_settled_reread(struct tree *t, const struct row *row)
{
	struct hist_settled s;
	int r = hist_settled_get(t, row->o.id, &s);

	if (r) {
		hist_settled_release(&s);
		return r == -ENOENT ? 0 : r;
	}
	r = settled_stands(t, &row->o, &s);
	hist_settled_release(&s);
	return r == -ENOENT ? hist_settled_del(t, row->o.id) : r;
}

/* Has the operation in hand settled it already? It may store a row twice (a
 * sibling is moved over another), and that is one settlement. */
static int is_noted(struct tree *t, struct objid id)
{
	struct hist_settled s;
	int r = hist_settled_get(t, id, &s);

	if (!r)
		r = op_drew(t, s.after.dot);
	hist_settled_release(&s);
	return r == -ENOENT ? 0 : r;
}

int hist_settled_note(struct tree *t, const struct row *row)
{
	struct object before, shown;
	int r = 0;

	if (t->hist.settled)
		r = hist_settled_reread(t, row);
	if (r || row->had_count < 2 ||
	    object_contents(&row->o) >= row->had_count)
		return r;
	r = is_noted(t, row->o.id);
	if (r)
		return MIN_OF(r, 0);
	object_init(&before, row->o.id);
	object_init(&shown, row->o.id);
	before.rule = row->o.rule;
	r = note_if(t, row, &before, &shown);
	object_release(&shown);
	object_release(&before);
	return r;
}
