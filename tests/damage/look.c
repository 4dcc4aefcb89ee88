/* SPDX-License-Identifier: Apache-2.0 */
/* What programs see: names, kinds, modes, bytes, attributes. */
#include "tests/damage/damage.h"

#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"

static int note(void *arg, const struct replica_view_entry *e)
{
	struct sight *s = arg;
	struct sight_line *list =
		realloc(s->list, (s->count + 1) * sizeof(*list));

	kin_assert(list);
	s->list = list;
	list += s->count++;
	*list = (struct sight_line){
		.path = strndup((const char *)e->path.data, e->path.len),
		.id = e->id,
		.dir = e->kind == KIND_DIR,
		.sum = checksum64(&e->is_sibling, sizeof(e->is_sibling),
				  (uint64_t)e->kind << 16 | e->perm) };
	return 0;
}

static int read_all(struct tree *t, struct sight_line *l)
{
	static uint8_t bytes[1 << 16];
	uint64_t at = 0;
	int64_t n;

	while ((n = tree_read(t, l->ino, at, bytes, sizeof(bytes))) > 0) {
		l->sum = checksum64(bytes, (size_t)n, l->sum);
		at += (uint64_t)n;
	}
	return (int)n;
}

static int read_xattrs(struct tree *t, struct sight_line *l)
{
	cleanup(buf_release) struct buf names = BUF_INIT;
	int r = tree_listxattr(t, l->ino, &names);

	for (size_t at = 0; !r && at < names.len;) {
		cleanup(buf_release) struct buf value = BUF_INIT;
		struct slice name = SLICE_STR((char *)names.data + at);

		at += name.len + 1;
		l->has_local |= slice_has_prefix(name, "security.");
		/* (that also tells what is known of a conflict) */
		if (slice_equal(name, SLICE_STR("user.kin.conflict")))
			continue;
		l->sum = checksum64(name.data, name.len, l->sum);
		if (slice_has_prefix(name, "system.") ||
		    tree_getxattr(t, l->ino, name, &value))
			continue;
		l->sum = checksum64(value.data, value.len, l->sum);
	}
	return r;
}

static void look(struct tree *t, struct sight_line *l)
{
	struct attr a;

	l->error = tree_resolve_path(t, SLICE_STR(l->path), &l->ino);
	if (!l->error)
		l->error = tree_getattr(t, l->ino, &a);
	if (!l->error && S_ISREG(a.mode))
		l->error = read_all(t, l);
	if (!l->error)
		l->error = read_xattrs(t, l);
}

void sight_take(struct tree *t, struct sight *ret)
{
	*ret = (struct sight){ .count = 0 };
	/* (what it cannot show is missing) */
	(void)!replica_view(t, note, ret);
	for (size_t k = 0; k < ret->count; k++)
		look(t, &ret->list[k]);
	store_lock(tree_store(t));
	replica_history(t, &ret->history);
	store_unlock(tree_store(t));
}

void sight_release(struct sight *s)
{
	for (size_t k = 0; k < s->count; k++)
		free(s->list[k].path);
	free(s->list);
}

struct sight_line *sight_find(const struct sight *s, const char *path)
{
	for (size_t k = 0; k < s->count; k++)
		if (!strcmp(s->list[k].path, path))
			return &s->list[k];
	return NULL;
}
