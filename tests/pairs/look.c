/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pairs/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/replica.h"

/* Times before this were set by somebody. */
#define SET_BEFORE_S 1000000

void case_name(size_t number, char ret[CASE_NAME_BYTES])
{
	snprintf(ret, CASE_NAME_BYTES, "c%05u", (unsigned)(number % 100000));
}

/* ---- taking */

struct taking {
	struct bare *node;
	struct look *looks;
	size_t cases;
};

/* FNV-1a */
static uint64_t number_of(struct slice bytes)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < bytes.len; i++)
		h = (h ^ bytes.data[i]) * 0x100000001b3;
	return h;
}

/* "doc (conflict node1 2025-11-21 k3fq)": the tag is chance. */
static void copy_path(struct slice path, char *ret, size_t max)
{
	static const char mark[] = CONFLICT_MARK;
	const char *p = (const char *)path.data, *end = p + path.len;
	size_t n = 0;

	while (p < end && n < max - 1) {
		ret[n++] = *p++;
		if (n < sizeof(mark) - 1 ||
		    memcmp(ret + n - (sizeof(mark) - 1), mark,
			   sizeof(mark) - 1))
			continue;
		while (p < end && *p != ')')
			p++;
	}
	ret[n] = '\0';
}

/* What truncate adds is NULs. */
static void copy_text(struct slice bytes, char ret[TEXT_BYTES_MAX])
{
	size_t n = MIN_OF(bytes.len, (size_t)TEXT_BYTES_MAX - 1);

	for (size_t i = 0; i < n; i++)
		ret[i] = bytes.data[i] ? (char)bytes.data[i] : '.';
	ret[n] = '\0';
}

static void add_meta(struct bare *n, struct slice path, struct shown *s)
{
	cleanup(buf_release) struct buf x = BUF_INIT;
	struct attr attr = {0};
	uint64_t ino;
	int r = tree_resolve_path(n->tree, path, &ino);

	if (r == 0)
		r = tree_getattr(n->tree, ino, &attr);
	if (r == 0)
		r = tree_getxattr(n->tree, ino, SLICE_STR("user.x"), &x);
	if (r < 0)
		r = x.len = 0;
	s->links = attr.nlink;
	s->fields[FIELD_MODE] = attr.mode;
	s->fields[FIELD_OWNER] = attr.uid;
	s->fields[FIELD_TIMES] = (uint64_t)attr.mtime.tv_sec * 1000000000 +
				 (uint64_t)attr.mtime.tv_nsec;
	s->fields[FIELD_XATTR] = number_of(buf_slice(&x));
	snprintf(s->meta, sizeof(s->meta), "%o %u %lld '%.*s'", attr.mode,
		 attr.uid,
		 attr.mtime.tv_sec < SET_BEFORE_S
			 ? (long long)attr.mtime.tv_sec
			 : 0ll,
		 (int)MIN_OF(x.len, (size_t)40), x.len ? (char *)x.data : "");
}

static int add_entry(void *arg, const struct replica_view_entry *e)
{
	struct taking *t = arg;
	unsigned long number = 0;
	struct slice in = e->path;
	struct look *l;
	struct shown *s;

	/* (a case's own directory is none of it) */
	if (in.len < CASE_NAME_BYTES || in.data[0] != 'c')
		return 0;
	for (size_t i = 1; i < CASE_NAME_BYTES - 2; i++)
		number = number * 10 + (unsigned long)(in.data[i] - '0');
	if (number >= t->cases)
		return 0;
	in = SLICE(in.data + CASE_NAME_BYTES - 1,
		   in.len - CASE_NAME_BYTES + 1);
	l = &t->looks[number];
	l->list = realloc(l->list, (l->count + 1) * sizeof(*l->list));
	kin_assert(l->list);
	s = &l->list[l->count++];
	*s = (struct shown){.id = e->id, .is_dir = e->kind == KIND_DIR,
			    .is_sibling = e->is_sibling,
			    .whole = number_of(in)};
	copy_path(in, s->path, sizeof(s->path));
	if (!s->is_dir)
		copy_text(e->content.inline_bytes, s->text);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	if (!r)
		r = strcmp(x->text, y->text);
	return r ? r : (x->whole > y->whole) - (x->whole < y->whole);
}

/* Attributes are asked for by the path as it is shown. */
struct metas {
	struct taking *t;
	size_t *at;
};

static int meta_entry(void *arg, const struct replica_view_entry *e)
{
	struct metas *m = arg;
	unsigned long number = 0;

	if (e->path.len < CASE_NAME_BYTES || e->path.data[0] != 'c')
		return 0;
	for (size_t i = 1; i < CASE_NAME_BYTES - 2; i++)
		number = number * 10 + (unsigned long)(e->path.data[i] - '0');
	if (number < m->t->cases)
		add_meta(m->t->node, e->path,
			 &m->t->looks[number].list[m->at[number]++]);
	return 0;
}

/* Siblings stand beside the name of the smallest slot, which is chance: here
 * beside the first of them. */
static void put_siblings(struct look *l)
{
	for (size_t i = 0; i < l->count; i++) {
		struct shown *s = &l->list[i];
		const char *first = NULL;

		for (size_t k = 0; s->is_sibling && k < l->count; k++) {
			const struct shown *x = &l->list[k];

			if (!x->is_sibling && objid_equal(x->id, s->id) &&
			    !strstr(x->path, CONFLICT_MARK) &&
			    (!first || strcmp(x->path, first) < 0))
				first = x->path;
		}
		if (first)
			snprintf(s->path, sizeof(s->path), "%.120s%s)", first,
				 CONFLICT_MARK);
	}
}

void looks_take(struct bare *n, enum look_depth depth, struct look *ret,
		size_t cases)
{
	struct taking t = {.node = n, .looks = ret, .cases = cases};
	size_t at[BATCH_MAX] = {0};
	struct metas m = {.t = &t, .at = at};
	int r;

	memset(ret, 0, cases * sizeof(*ret));
	r = replica_view(n->tree, add_entry, &t);
	if (r == 0 && depth == LOOK_ALL)
		r = replica_view(n->tree, meta_entry, &m);
	if (r < 0) {
		fprintf(stderr, "no view: %s\n", strerrorname_np(-r));
		abort();
	}
	for (size_t i = 0; i < cases; i++)
		put_siblings(&ret[i]);
	for (size_t i = 0; i < cases; i++)
		qsort(ret[i].list, ret[i].count, sizeof(*ret[i].list), by_path);
}

void looks_release(struct look *l, size_t cases)
{
	for (size_t i = 0; i < cases; i++) {
		free(l[i].list);
		l[i] = (struct look){0};
	}
}

static bool look_similar(const struct look *a, const struct look *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct shown *x = &a->list[i], *y = &b->list[i];

		if (x->is_dir != y->is_dir || strcmp(x->path, y->path) ||
		    strcmp(x->text, y->text))
			return false;
	}
	return true;
}

bool look_same_names(const struct look *a, const struct look *b)
{
	if (!look_similar(a, b))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->list[i].whole != b->list[i].whole ||
		    !objid_equal(a->list[i].id, b->list[i].id))
			return false;
	return true;
}

bool look_equal(const struct look *a, const struct look *b)
{
	if (!look_similar(a, b))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->list[i].meta, b->list[i].meta) ||
		    a->list[i].links != b->list[i].links)
			return false;
	return true;
}

const struct shown *look_text(const struct look *l, const char *text)
{
	for (size_t i = 0; i < l->count; i++)
		if (!l->list[i].is_dir && !strcmp(l->list[i].text, text))
			return &l->list[i];
	return NULL;
}

const struct shown *look_path(const struct look *l, const char *path)
{
	for (size_t i = 0; i < l->count; i++)
		if (!strcmp(l->list[i].path, path))
			return &l->list[i];
	return NULL;
}

const struct shown *look_id(const struct look *l, struct objid id)
{
	for (size_t i = 0; i < l->count; i++)
		if (!l->list[i].is_sibling &&
		    objid_equal(l->list[i].id, id))
			return &l->list[i];
	return NULL;
}

void look_print(const struct look *l)
{
	for (size_t i = 0; i < l->count; i++)
		printf("\t%-32s %-28s %s\n", l->list[i].path, l->list[i].text,
		       l->list[i].meta);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const struct shown *look_parent(const struct look *l, const struct shown *s)
{
	size_t n = (size_t)(path_base(s->path) - s->path);

	for (size_t i = 0; n && i < l->count; i++)
		if (l->list[i].is_dir && strlen(l->list[i].path) == n - 1 &&
		    !memcmp(l->list[i].path, s->path, n - 1))
			return &l->list[i];
	return NULL;
}
