/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node still has of a content that it showed: in a row, shown or not,
 * or in its local history. What somebody who saw it took away must be there,
 * and with all who ever had it, as long as nothing makes it go: here there
 * are no limits.
 *
 * Contents are looked for by their size first, which is drawn: few are read.
 */
#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/hist.h"

struct sought {
	struct node *node;
	uint64_t hash, size;
	bool found;
};

static bool is_it(const struct sought *s, const struct content *c)
{
	uint8_t *bytes;
	bool yes = false;

	if (c->size != s->size)
		return false;
	bytes = malloc(s->size);
	kin_assert(bytes);
	if (content_read(s->node->store, c, 0, bytes, s->size) ==
	    (int64_t)s->size)
		yes = (checksum64(bytes, s->size, 77) | 1) == s->hash;
	free(bytes);
	return yes;
}

/* Contents of one entry, copied: reading them takes the lock. */
struct found {
	struct content list[64];
	uint8_t bytes[64][INLINE_BYTES_MAX];
	size_t count;
};

static void keep(struct found *f, const struct content *c, uint64_t size)
{
	struct content *to = &f->list[f->count];

	if (c->size != size || f->count == ARRAY_SIZE(f->list))
		return;
	*to = *c;
	if (!c->depth) {
		memcpy(f->bytes[f->count], c->inline_bytes.data, c->size);
		to->inline_bytes.data = f->bytes[f->count];
	}
	f->count++;
}

static void from_row(struct node *n, struct slice key, struct found *f,
		     uint64_t size)
{
	struct object o;
	struct objid id;

	memcpy(id.b, key.data, sizeof(id.b));
	if (!replica_row_load(n->tree, id, &o))
		for (size_t k = 0; k < o.count; k++)
			if (o.versions[k].reg == REG_CONTENT &&
			    !(o.versions[k].flags & VERSION_VOID))
				keep(f, &o.versions[k].content.content, size);
	object_release(&o);
}

static void look_in(struct sought *s, enum store_table table)
{
	struct found *f = malloc(sizeof(*f));
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	size_t len = 0;
	bool more = true;

	kin_assert(f);
	while (more && !s->found) {
		struct content c;
		struct slice k, v;

		f->count = 0;
		store_lock(s->node->store);
		more = !store_seek(s->node->store, table, SLICE(key, len), &k,
				   &v);
		if (more) {
			memcpy(key, k.data, k.len);
			key[k.len] = 0;
			len = k.len + 1;
			if (table == TABLE_OBJ)
				from_row(s->node, SLICE(key, len - 1), f,
					 s->size);
			else if (hist_content(k, v, &c) > 0)
				keep(f, &c, s->size);
		}
		store_unlock(s->node->store);
		for (size_t i = 0; i < f->count && !s->found; i++)
			s->found = is_it(s, &f->list[i]);
	}
	free(f);
}

bool oracle_remembers(struct node *n, uint64_t hash, uint64_t size)
{
	struct sought s = {.node = n, .hash = hash, .size = size};

	look_in(&s, TABLE_OBJ);
	if (!s.found)
		look_in(&s, TABLE_HIST);
	return s.found;
}

bool oracle_is_unsent(struct node *n, uint64_t ino)
{
	uint8_t key[16];
	struct slice v;
	bool yes;

	put_be64(key, ino);
	memset(key + 8, 0xff, 8);
	store_lock(n->store);
	yes = !store_get(n->store, TABLE_DIRTY, SLICE(key, 16), &v);
	store_unlock(n->store);
	return yes;
}

/* Who showed it, and did not lose it with a disk, has it still. */
void oracle_check_history(struct oracle *o, const struct content_fact *f)
{
	for (int k = 0; k < o->cluster->node_count; k++) {
		struct node *n = &o->cluster->nodes[k];

		if (!f->had[k] || !n->running || n->was_full ||
		    oracle_remembers(n, f->hash, f->size))
			continue;
		cluster_fail(o->cluster, "node %d showed the content %016llx "
			     "as '%s', and has no history of it", k,
			     (unsigned long long)f->hash, f->last);
	}
}
