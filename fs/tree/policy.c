/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading policies, and finding the one that holds.
 *
 * META has "policy/" and the object's id for each directory with a policy,
 * with its text: kept in step with the row, in the same operation. So the
 * way up from a file costs one look-up a directory and reads no attributes;
 * and where no directory has one, which is the usual case, nobody looks
 * further than that. When a text changes there, or a directory that holds
 * something goes to another place, the files in conflict are looked at again:
 * ruled.c.
 */
#include "fs/tree/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/deep.h"
#include "fs/tree/ruled.h"

static const char index_prefix[] = "policy/";
#define INDEX_PREFIX_BYTES (sizeof(index_prefix) - 1)
#define INDEX_BYTES (INDEX_PREFIX_BYTES + sizeof(struct objid))

/* ---- the value */

static int parse_labels(struct slice list, struct policy *p)
{
	for (;;) {
		const uint8_t *comma = list.len ? memchr(list.data, ',',
							 list.len) : NULL;
		struct slice label = list;

		if (comma)
			label.len = (size_t)(comma - list.data);
		if (p->label_count == POLICY_LABELS_MAX ||
		    !label_is_valid(label))
			return -EINVAL;
		memcpy(p->labels[p->label_count++], label.data, label.len);
		if (!comma)
			return 0;
		list = SLICE(comma + 1, list.len - label.len - 1);
	}
}

bool hook_name_valid(struct slice name)
{
	if (!name.len || name.len > HOOK_NAME_BYTES_MAX ||
	    name.data[0] == '.')
		return false;
	for (size_t k = 0; k < name.len; k++) {
		uint8_t c = name.data[k];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z') && c != '.' && c != '_' &&
		    c != '-')
			return false;
	}
	return true;
}

static int parse_hook(struct slice name, struct policy *p)
{
	const uint8_t *at = name.len ? memchr(name.data, '@', name.len) : NULL;
	struct slice node = SLICE(NULL, 0);

	if (at) {
		node = SLICE(at + 1,
			     name.len - 1 - (size_t)(at - name.data));
		name.len = (size_t)(at - name.data);
		if (!label_is_valid(node))
			return -EINVAL;
		memcpy(p->hook_node, node.data, node.len);
	}
	if (!hook_name_valid(name))
		return -EINVAL;
	memcpy(p->hook, name.data, name.len);
	return 0;
}

int policy_parse(struct slice text, struct policy *ret)
{
	static const struct {
		const char *word;
		enum policy_rule rule;
	} words[] = {
		{ "keep", POLICY_KEEP },
		{ "latest", POLICY_LATEST },
		{ "merge", POLICY_MERGE },
		{ "union", POLICY_UNION },
	};
	struct policy p = { .rule = 0 };
	int r = -EINVAL;

	for (size_t k = 0; k < ARRAY_SIZE(words); k++)
		if (slice_equal(text, SLICE_STR(words[k].word))) {
			p.rule = words[k].rule;
			r = 0;
		}
	if (slice_take_prefix(&text, "node:")) {
		p.rule = POLICY_NODE;
		r = parse_labels(text, &p);
	} else if (slice_take_prefix(&text, "hook:")) {
		p.rule = POLICY_HOOK;
		r = parse_hook(text, &p);
	}
	if (!r)
		*ret = p;
	return r;
}

/* ---- which directories have one */

static struct slice index_key(struct objid id, uint8_t key[INDEX_BYTES])
{
	memcpy(key, index_prefix, INDEX_PREFIX_BYTES);
	memcpy(key + INDEX_PREFIX_BYTES, id.b, sizeof(id.b));
	return SLICE(key, INDEX_BYTES);
}

/* What the row says; no data: nothing. */
static struct slice text_of(const struct info *i)
{
	const struct version *v = NULL;

	if (i && (i->kind == KIND_DIR || objid_is_root(i->object->id)))
		v = info_xattr(i, SLICE_STR(XATTR_POLICY));
	if (!v)
		return SLICE(NULL, 0);
	if (!v->xattr.value.len)
		return SLICE("", 0);
	/* (what is longer is nothing that is understood here) */
	return SLICE(v->xattr.value.data,
		     MIN_OF(v->xattr.value.len, (size_t)POLICY_BYTES_MAX));
}

int policy_note(struct tree *t, struct objid id, const struct info *i)
{
	struct slice want = text_of(i), have;
	uint8_t bytes[INDEX_BYTES];
	struct slice key = index_key(id, bytes);
	int r = store_get(t->store, TABLE_META, key, &have);

	if (r && r != -ENOENT)
		return r;
	if (r ? !want.data : want.data && slice_equal(want, have))
		return 0;
	t->work.rules = true;
	return want.data ? store_put(t->store, TABLE_META, key, want)
			 : store_del(t->store, TABLE_META, key);
}

int policy_check(struct tree *t, const struct info *i)
{
	struct slice want = text_of(i), have;
	uint8_t bytes[INDEX_BYTES];
	int r = store_get(t->store, TABLE_META,
			  index_key(i->object->id, bytes), &have);

	if (r && r != -ENOENT)
		return r;
	return (r ? !want.data : want.data && slice_equal(want, have))
		       ? 0
		       : -EUCLEAN;
}

int policies_exist(struct tree *t, bool *ret)
{
	struct slice k, v;
	int r = store_seek(t->store, TABLE_META, SLICE_STR(index_prefix), &k,
			   &v);

	*ret = !r && k.len == INDEX_BYTES &&
	       !memcmp(k.data, index_prefix, INDEX_PREFIX_BYTES);
	return r == -ENOENT ? 0 : r;
}

/* ---- finding it */

static int found_here(struct tree *t, struct objid dir, struct slice text,
		      struct policy_found *ret)
{
	ret->set = true;
	ret->text_len = text.len;
	if (text.len)
		memcpy(ret->text, text.data, text.len);
	ret->understood = !policy_parse(text, &ret->policy);
	return dir_ino(t, dir, &ret->dir);
}

/*
 * Up from a directory. One that is dead, or not here, has no place: then
 * what is in it has none either.
 */
static int find_from(struct tree *t, struct objid dir,
		     struct policy_found *ret)
{
	bool some;
	int r = policies_exist(t, &some);

	for (int depth = 0; !r && some && depth < TREE_DEPTH_MAX; depth++) {
		uint8_t key[INDEX_BYTES];
		struct slice text;
		struct spot at;
		struct row row;
		struct info i;

		dir = group_canonical(t, dir);
		r = store_get(t->store, TABLE_META, index_key(dir, key),
			      &text);
		if (r != -ENOENT)
			return r ? r : found_here(t, dir, text, ret);
		if (objid_is_root(dir))
			return 0;
		r = row_read(t, dir, &row);
		if (r)
			return r;
		r = info_init(&i, &row.o);
		some = !r && i.kind == KIND_DIR && i.link_count;
		if (some)
			r = dir_place(t, &i, dir, &at);
		info_release(&i);
		row_release(&row);
		if (some)
			dir = at.parent;
	}
	return r;
}

static struct policy_found found_none(void)
{
	return (struct policy_found){ .policy.rule = POLICY_KEEP,
				      .understood = true };
}

int policy_of_object(struct tree *t, const struct object *o,
		     struct policy_found *ret)
{
	struct objid dir = o->id;
	bool placed;
	struct info i;
	int r;

	*ret = found_none();
	r = info_init(&i, o);
	if (r)
		return r;
	placed = i.kind == KIND_DIR || objid_is_root(o->id);
	if (!placed && i.link_count) {
		dir = i.links[0].link->link.at.parent;
		placed = true;
	}
	info_release(&i);
	return placed ? find_from(t, dir, ret) : 0;
}

int policy_of(struct tree *t, struct objid id, struct policy_found *ret)
{
	struct row row;
	int r = row_read(t, id, &row);

	if (r)
		return r;
	r = policy_of_object(t, &row.o, ret);
	row_release(&row);
	return r;
}

int tree_policy(struct tree *t, uint64_t ino, struct policy_found *ret)
{
	struct inoref ref;
	int r;

	store_lock(t->store);
	r = ino_get(t, ino, &ref);
	if (!r) {
		r = policy_of(t, ref.id, ret);
		inoref_release(&ref);
	}
	store_unlock(t->store);
	return r;
}

bool tree_has_policies(struct tree *t)
{
	bool some;
	int r;

	store_lock(t->store);
	r = policies_exist(t, &some);
	store_unlock(t->store);
	return r || some;
}

/* ---- all of them */

struct listed {
	struct objid id;
	size_t at, len;		/* of its text */
};

struct listing {
	struct listed *list;
	size_t count, max;
	struct buf texts;
};

/* Copies what the index has; 1: there is more. */
static int list_index(struct tree *t, struct listing *l)
{
	uint8_t key[INDEX_BYTES + 1] = { 0 };
	size_t key_len = INDEX_PREFIX_BYTES;

	memcpy(key, index_prefix, INDEX_PREFIX_BYTES);
	for (;;) {
		struct slice k, text;
		struct objid id;
		int r = store_seek(t->store, TABLE_META, SLICE(key, key_len),
				   &k, &text);

		if (r == -ENOENT || (!r && (k.len != INDEX_BYTES ||
					    memcmp(k.data, index_prefix,
						   INDEX_PREFIX_BYTES))))
			return 0;
		if (r || l->count == l->max)
			return r ? r : 1;
		memcpy(id.b, k.data + INDEX_PREFIX_BYTES, sizeof(id.b));
		/* just behind it */
		memcpy(key, k.data, INDEX_BYTES);
		key_len = sizeof(key);
		l->list[l->count++] = (struct listed){ id, l->texts.len,
						       text.len };
		buf_put_slice(&l->texts, text);
		if (buf_error(&l->texts))
			return -ENOMEM;
	}
}

/* Of merged directories the policy of one holds: find_from(). */
static void drop_members(struct tree *t, struct listing *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		if (objid_equal(group_canonical(t, l->list[i].id),
				l->list[i].id))
			l->list[n++] = l->list[i];
	l->count = n;
}

static int tell_listed(struct tree *t, const struct listing *l, size_t i,
		       int (*fn)(void *arg, const struct policy_set *),
		       void *arg)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	struct policy_set p = { .text = SLICE(l->texts.data + l->list[i].at,
					      l->list[i].len) };
	int r = tree_path_of(t, l->list[i].id, &path);

	/* (removed, or on its way) */
	if (r == -ENOENT || r == -ESTALE)
		return 0;
	if (!r)
		r = buf_error(&path);
	if (r)
		return r;
	p.path = path.len ? buf_slice(&path) : SLICE("", 0);
	p.understood = !policy_parse(p.text, &p.policy);
	return fn(arg, &p);
}

int tree_policies(struct tree *t, size_t max,
		  int (*fn)(void *arg, const struct policy_set *), void *arg)
{
	struct listing l = { .list = calloc(max + 1, sizeof(*l.list)),
			     .max = max, .texts = BUF_INIT };
	int more = -ENOMEM, r = 0;

	if (l.list) {
		store_lock(t->store);
		more = list_index(t, &l);
		drop_members(t, &l);
		store_unlock(t->store);
	}
	for (size_t i = 0; more >= 0 && !r && i < l.count; i++)
		r = tell_listed(t, &l, i, fn, arg);
	buf_release(&l.texts);
	free(l.list);
	return r ? r : more;
}
