/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of what was found. An object whose row cannot be read has none by
 * itself: then the index of names is gone through, once for all of them, and
 * it is named by where that shows it.
 */
#include "replication/net/check_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/format.h"
#include "fs/tree/deep.h"
#include "replication/core/members.h"
#include "replication/core/stage.h"

/* Entries of the index looked at in one hold of the lock. */
#define NAMES_SLICE 256
/* Of a key of DIR: parent, hash of the name, object, slot. */
#define DIR_KEY_BYTES 48
#define DIR_ID_AT 24

void check_list_init(struct check_list *l)
{
	*l = (struct check_list){ .keys = BUF_INIT };
}

void check_list_release(struct check_list *l)
{
	free(l->faults);
	free(l->key_at);
	buf_release(&l->keys);
}

void check_list_add(void *arg, const struct check_fault *f)
{
	struct check_list *l = arg;

	l->total++;
	if (l->error || l->count == CHECK_LIST_MAX)
		return;
	if (!l->faults)
		l->faults = calloc(CHECK_LIST_MAX, sizeof(*l->faults));
	if (!l->key_at)
		l->key_at = calloc(CHECK_LIST_MAX, sizeof(*l->key_at));
	if (!l->faults || !l->key_at) {
		l->error = -ENOMEM;
		return;
	}
	l->faults[l->count] = *f;
	l->key_at[l->count++] = l->keys.len;
	buf_put_slice(&l->keys, f->key);
	l->error = buf_error(&l->keys);
}

int check_list_foreign(enum store_table t, struct slice key,
		       struct slice value)
{
	if (t == TABLE_MEMBER)
		return members_check(key, value);
	return t == TABLE_STAGE ? stage_check(key, value) : 0;
}

void check_list_page(void *arg, const struct pages_fault *p)
{
	struct check_fault f = { .part = CHECK_PAGE,
				 .table = -1,
				 .what = p->what,
				 .page = p->page };

	for (int t = 0; t < TABLE_COUNT; t++)
		if (!strcmp(p->table, table_name(t)))
			f.table = t;
	check_list_add(arg, &f);
}

bool check_list_is_fetched(const struct check_list *l)
{
	for (size_t k = 0; k < l->count; k++) {
		const struct check_fault *f = &l->faults[k];

		if (f->table != TABLE_CHUNK && f->part != CHECK_MAIN &&
		    f->part != CHECK_SIBLING && f->part != CHECK_HIDDEN &&
		    !(f->part == CHECK_UNSENT && (f->missing || f->damaged)))
			return false;
	}
	return l->count == l->total;
}

/* ---- paths */

struct names {
	struct tree *tree;
	const struct check_list *list;
	struct buf *paths;	/* one for each fault */
};

static bool is_wanted(const struct names *n, size_t k, const uint8_t *id)
{
	return n->list->faults[k].has_id && !n->paths[k].len &&
	       !memcmp(n->list->faults[k].id.b, id, 16);
}

/* The first name under which the index has it. */
static int note_name(struct names *n, struct slice key, struct slice value)
{
	struct objid parent;
	bool wanted = false;

	for (size_t k = 0; !wanted && k < n->list->count; k++)
		wanted = is_wanted(n, k, key.data + DIR_ID_AT);
	if (!wanted)
		return 0;
	memcpy(parent.b, key.data, sizeof(parent.b));
	for (size_t k = 0; k < n->list->count; k++) {
		struct buf *path = &n->paths[k];

		if (!is_wanted(n, k, key.data + DIR_ID_AT))
			continue;
		/* (the lock is held: of the directory only its id is known) */
		buf_put(path, parent.b, sizeof(parent.b));
		buf_put(path, value.data + 1, value.len - 1);
	}
	return 0;
}

static int names_slice(struct names *n, uint8_t *from, size_t *from_len)
{
	struct store *s = tree_store(n->tree);
	int r = 0;

	for (int k = 0; !r && k < NAMES_SLICE; k++) {
		struct slice key, value;
		bool sound;

		r = store_peek(s, TABLE_DIR, SLICE(from, *from_len), &key,
			       &value, &sound);
		if (r)
			break;
		memcpy(from, key.data, key.len);
		from[key.len] = 0; /* just behind it */
		*from_len = key.len + 1;
		if (sound && key.len == DIR_KEY_BYTES && value.len > 1)
			r = note_name(n, key, value);
	}
	return r;
}

/* What was noted is a directory's id and a name: makes a path of it. */
static void name_to_path(struct names *n, struct buf *path)
{
	cleanup(buf_release) struct buf name = BUF_INIT;
	struct objid parent;

	if (path->len <= sizeof(parent.b))
		return;
	memcpy(parent.b, path->data, sizeof(parent.b));
	buf_put(&name, path->data + sizeof(parent.b),
		path->len - sizeof(parent.b));
	buf_reset(path);
	if (tree_path_of(n->tree, parent, path) < 0)
		buf_reset(path);
	if (path->len)
		buf_put_u8(path, '/');
	buf_put_slice(path, buf_slice(&name));
}

static int names_find(struct names *n)
{
	uint8_t from[STORE_KEY_BYTES_MAX + 1];
	bool *noted = calloc(n->list->count + 1, sizeof(*noted));
	size_t len = 0;
	bool any = false;
	int r = noted ? 0 : -ENOMEM;

	for (size_t k = 0; !r && k < n->list->count; k++) {
		const struct check_fault *f = &n->list->faults[k];

		if (!f->has_id || objid_is_root(f->id))
			continue;
		if (tree_path_of(n->tree, f->id, &n->paths[k]) < 0) {
			buf_reset(&n->paths[k]);
			noted[k] = any = true;
		}
	}
	while (!r && any) {
		store_lock(tree_store(n->tree));
		r = names_slice(n, from, &len);
		store_unlock(tree_store(n->tree));
	}
	for (size_t k = 0; any && k < n->list->count; k++)
		if (noted[k])
			name_to_path(n, &n->paths[k]);
	free(noted);
	return r == -ENOENT ? 0 : r;
}

/* ---- JSON */

static const char *const part_names[] = {
	[CHECK_PAGE] = "page",	     [CHECK_ENTRY] = "entry",
	[CHECK_ROW] = "object",	     [CHECK_INDEX] = "index",
	[CHECK_MAIN] = "content",    [CHECK_SIBLING] = "sibling",
	[CHECK_HIDDEN] = "hidden",   [CHECK_BEFORE] = "before",
	[CHECK_HISTORY] = "history", [CHECK_BASE] = "base",
	[CHECK_OPEN] = "open",	     [CHECK_UNSENT] = "unsent",
};

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)MIN_OF(n, INT64_MAX));
}

static void put_path(json_t *o, struct slice path)
{
	json_t *text = json_stringn((const char *)path.data, path.len);
	autofree char *hex = NULL;

	if (text) {
		json_object_set_new(o, "path", text);
		return;
	}
	hex = malloc(2 * path.len + 1);
	if (!hex)
		return;
	hex_encode(path.data, path.len, hex);
	json_object_set_new(o, "path_hex", json_string(hex));
}

static json_t *fault_json(const struct check_list *l, size_t k,
			  const struct buf *path)
{
	const struct check_fault *f = &l->faults[k];
	json_t *o = json_pack("{s:s, s:s}", "kind", part_names[f->part], "what",
			      f->what);
	char hex[2 * STORE_KEY_BYTES_MAX + 1];

	if (f->table >= 0)
		json_object_set_new(o, "table",
				    json_string(table_name(f->table)));
	if (f->part == CHECK_PAGE)
		json_object_set_new(o, "page", number(f->page));
	if (f->has_id) {
		hex_encode(f->id.b, sizeof(f->id.b), hex);
		json_object_set_new(o, "id", json_string(hex));
		if (path && (path->len || objid_is_root(f->id)))
			put_path(o, buf_slice(path));
	}
	if (f->version[0])
		json_object_set_new(o, "version", json_string(f->version));
	if (f->missing || f->damaged) {
		json_object_set_new(o, "missing", number(f->missing));
		json_object_set_new(o, "damaged", number(f->damaged));
	}
	if (f->table == TABLE_META && f->key.len) {
		json_t *name = json_stringn(
			(const char *)l->keys.data + l->key_at[k], f->key.len);

		if (name) /* (else it is no text) */
			json_object_set_new(o, "name", name);
	}
	if (f->key.len) {
		hex_encode(l->keys.data + l->key_at[k], f->key.len, hex);
		json_object_set_new(o, "key", json_string(hex));
	}
	return o;
}

json_t *check_list_json(const struct check_list *l, struct tree *t,
			const struct check_result *result)
{
	struct names n = { t, l, calloc(l->count + 1, sizeof(*n.paths)) };
	json_t *faults = json_array();

	if (!n.paths || names_find(&n) < 0) {
		free(n.paths);
		json_decref(faults);
		return NULL;
	}
	for (size_t k = 0; k < l->count; k++) {
		json_array_append_new(faults, fault_json(l, k, &n.paths[k]));
		buf_release(&n.paths[k]);
	}
	free(n.paths);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "entries",
			 number(result->entries), "objects",
			 number(result->objects), "chunks",
			 number(result->chunks), "bytes",
			 number(result->bytes), "pending",
			 number(result->pending), "fault_count",
			 number(l->total), "faults", faults);
}

json_t *check_list_only_json(const struct check_list *l)
{
	json_t *faults = json_array();

	for (size_t k = 0; k < l->count; k++)
		json_array_append_new(faults, fault_json(l, k, NULL));
	return json_pack("{s:o, s:o}", "fault_count", number(l->total),
			 "faults", faults);
}
