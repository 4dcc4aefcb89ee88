/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An array of rows in the order of their first record, and an index of open
 * addressing over it. Object ids are of the peer's choosing, but so is the
 * number of rows, and a probe costs nothing beside the decoding of a row.
 */
#include "replication/core/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"

/* Bytes counted for a row beside its own. */
#define STAGE_ROW_OVERHEAD (sizeof(struct stage_row) + 16)

void stage_clear(struct stage *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->rows[i].row);
	free(s->rows);
	free(s->index);
	*s = (struct stage){0};
}

static size_t stage_slot(const struct stage *s, struct objid id)
{
	size_t at = (size_t)checksum64(id.b, sizeof(id.b), 0);

	for (at &= s->index_size - 1; s->index[at];
	     at = (at + 1) & (s->index_size - 1))
		if (objid_equal(s->rows[s->index[at] - 1].id, id))
			break;
	return at;
}

/* Keeps the index at most half full. */
static int stage_reserve(struct stage *s)
{
	if (s->count == s->alloc) {
		size_t alloc = MAX_OF(s->alloc * 2, (size_t)16);
		struct stage_row *rows =
			realloc(s->rows, alloc * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		s->rows = rows;
		s->alloc = alloc;
	}
	if ((s->count + 1) * 2 > s->index_size) {
		size_t size = MAX_OF(s->index_size * 2, (size_t)32);
		uint32_t *index = calloc(size, sizeof(*index));

		if (!index)
			return -ENOMEM;
		free(s->index);
		s->index = index;
		s->index_size = size;
		for (size_t i = 0; i < s->count; i++)
			index[stage_slot(s, s->rows[i].id)] = (uint32_t)i + 1;
	}
	return 0;
}

/* What decoding alone does not see: one kind, and slots that fit it. */
static int row_check(const struct object *o)
{
	uint8_t kind = 0;

	for (size_t i = 0; i < o->count; i++) {
		if (o->versions[i].reg != REG_KIND)
			continue;
		if (kind && kind != o->versions[i].kind.kind)
			return -EBADMSG;
		kind = o->versions[i].kind.kind;
	}
	if (objid_is_root(o->id) && kind && kind != KIND_DIR)
		return -EBADMSG;
	for (size_t i = 0; i < o->count; i++) {
		const struct version *v = &o->versions[i];

		if (v->reg != REG_LINK)
			continue;
		if (objid_is_root(o->id))
			return -EBADMSG;
		/* (A row that lost its KIND to a purge comes without.) */
		if (kind && (kind == KIND_DIR) != (v->link.slot == SLOT_DIR))
			return -EBADMSG;
	}
	return 0;
}

int stage_put(struct stage *s, struct objid id, struct slice row)
{
	cleanup(object_release) struct object o;
	struct stage_row *at;
	uint8_t *copy;
	size_t slot;
	int r;

	object_init(&o, id);
	r = object_decode(row, &o);
	if (r == 0)
		r = row_check(&o);
	if (r == 0 && s->bytes + row.len + STAGE_ROW_OVERHEAD > STAGE_BYTES_MAX)
		r = -E2BIG;
	if (r == 0)
		r = stage_reserve(s);
	if (r < 0)
		return r;
	copy = malloc(MAX_OF(row.len, (size_t)1));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, row.data, row.len);
	slot = stage_slot(s, id);
	if (!s->index[slot]) {
		s->rows[s->count] = (struct stage_row){.id = id};
		s->index[slot] = (uint32_t)++s->count;
		s->bytes += STAGE_ROW_OVERHEAD;
	}
	at = &s->rows[s->index[slot] - 1];
	free(at->row);
	s->bytes += row.len - at->len;
	at->row = copy;
	at->len = (uint32_t)row.len;
	s->records++;
	return 0;
}
