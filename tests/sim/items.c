/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/items.h"

#include <stdlib.h>
#include <string.h>

#include "fs/tree/policy.h"

uint64_t content_hash64(const struct content *c)
{
	struct version v = {.reg = REG_CONTENT, .content.content = *c};

	return version_entry_name(&v).hash64;
}

static struct item *items_grow(struct items *v)
{
	if (!(v->count & (v->count - 1))) {
		v->list = realloc(v->list, (v->count ? 2 * v->count : 1) *
						   sizeof(*v->list));
		kin_assert(v->list);
	}
	return &v->list[v->count++];
}

static int items_add(void *arg, const struct replica_view_entry *e)
{
	struct item *i;

	if (e->path.len >= PATH_BYTES)
		return 0;
	i = items_grow(arg);
	*i = (struct item){
		.id = e->id,
		.kind = e->kind,
		.sibling = e->is_sibling,
		.complete = e->complete,
		.content =
			e->kind == KIND_DIR ? 0 : content_hash64(&e->content),
	};
	memcpy(i->path, e->path.data, e->path.len);
	return 0;
}

static int items_add_hidden(void *arg, const struct policy_hidden *h)
{
	struct item *i;

	if (h->path.len >= PATH_BYTES)
		return 0;
	i = items_grow(arg);
	*i = (struct item){
		.id = h->id,
		.kind = h->kind,
		.hidden = true,
		.complete = h->here,
		.content = content_hash64(&h->content),
	};
	memcpy(i->path, h->path.data, h->path.len);
	return 0;
}

void items_release(struct items *v)
{
	free(v->list);
}

bool items_take(struct node *n, struct items *ret)
{
	int r = replica_view(n->tree, items_add, ret);

	if (r >= 0)
		r = tree_policy_hidden(n->tree, items_add_hidden, ret);
	/* (A failed store may not be able to read what it has in hand.) */
	if (r < 0 && !node_is_sick(n))
		cluster_fail(n->cluster, "node %d: view: %d", n->index, r);
	return r >= 0;
}

static bool item_is(const struct item *i, int what)
{
	if (i->hidden)
		return false;
	if (i->sibling)
		return what & PICK_SIBLING;
	return what & (i->kind == KIND_FILE  ? PICK_FILE
		       : i->kind == KIND_DIR ? PICK_DIR
					     : PICK_LINK);
}

const struct item *items_pick(struct rng *rng, const struct items *v, int what)
{
	const struct item *best = NULL;
	uint64_t seen = 0;

	for (size_t i = 0; i < v->count; i++)
		if (item_is(&v->list[i], what) && rng_one_in(rng, ++seen))
			best = &v->list[i];
	return best;
}

const struct item *items_at(const struct items *v, const char *path)
{
	for (size_t i = 0; i < v->count; i++)
		if (!v->list[i].hidden && !strcmp(v->list[i].path, path))
			return &v->list[i];
	return NULL;
}

bool items_show(const struct items *v, const struct item *x)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->list[i].kind == x->kind &&
		    v->list[i].content == x->content)
			return true;
	return false;
}
