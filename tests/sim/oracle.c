/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A content is known by a hash of its bytes; two equal ones are one. What an
 * operation may take away is what was shown before it at the places that it
 * is about: its paths, the siblings beside them (the same name but for what
 * stands in "(conflict ...)"), or the inode of a handle. All that is missing
 * at the end without such an excuse is lost.
 */
#include "tests/sim/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/hash.h"
#include "fs/tree/policy.h"

struct coming {
	char *path;
	uint64_t size;
};

/* A path longer than this is not looked at. */
#define PATH_BYTES_MAX 2000
#define DIRS_MAX 4096

void oracle_init(struct oracle *o, struct cluster *c)
{
	*o = (struct oracle){.cluster = c};
}

static void sights_release(struct sights *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->list[i].path);
	free(s->list);
	*s = (struct sights){0};
}

void oracle_release(struct oracle *o)
{
	for (size_t i = 0; i < o->count; i++) {
		free(o->facts[i].path);
		free(o->facts[i].last);
	}
	free(o->facts);
	for (size_t i = 0; i < o->coming_count; i++)
		free(o->coming[i].path);
	free(o->coming);
	sights_release(&o->before);
}

/* ---- looking */

struct walk {
	struct sights *out;
	char *dirs[DIRS_MAX]; /* to be listed; owned */
	size_t dir_count;
	const char *dir;
};

static void add_sight(struct sights *s, char *path, uint64_t ino)
{
	if (!(s->count & (s->count - 1))) {
		s->list = realloc(s->list, (s->count ? 2 * s->count : 1) *
						   sizeof(*s->list));
		kin_assert(s->list);
	}
	s->list[s->count++] = (struct sight){.path = path, .ino = ino};
}

static int see_entry(void *arg, const struct tree_dirent *e)
{
	struct walk *w = arg;
	char *path = malloc(PATH_BYTES_MAX);
	int n;

	kin_assert(path);
	n = snprintf(path, PATH_BYTES_MAX, "%s%s%.*s", w->dir,
		     w->dir[0] ? "/" : "", (int)e->name.len,
		     (const char *)e->name.data);
	if (n >= PATH_BYTES_MAX || w->dir_count == DIRS_MAX) {
		free(path);
		return 0;
	}
	if (S_ISDIR(e->type))
		w->dirs[w->dir_count++] = path;
	else if (S_ISREG(e->type))
		add_sight(w->out, path, e->ino);
	else
		free(path);
	return 0;
}

/* Bytes that are still on their way, or cannot be read, show nothing. */
uint64_t oracle_read(struct oracle *o, struct node *n, uint64_t ino)
{
	struct attr a;
	uint8_t *bytes;
	uint64_t hash = 0;

	if (tree_getattr(n->tree, ino, &a) < 0 || !a.size)
		return 0;
	bytes = malloc(a.size);
	kin_assert(bytes);
	o->reads++;
	n->watched = true;
	if (tree_read(n->tree, ino, 0, bytes, a.size) == (int64_t)a.size)
		hash = checksum64(bytes, a.size, 77) | 1;
	n->watched = false;
	free(bytes);
	return hash;
}

/* What a policy hides is not lost: it is seen here beside what is shown. */
struct behind {
	struct node *node;
	struct sights *out;
};

static void add_hidden(struct sights *out, char *path, uint64_t hash,
		       uint64_t size)
{
	kin_assert(path);
	add_sight(out, path, 0);
	out->list[out->count - 1].hash = hash;
	out->list[out->count - 1].size = size;
	out->list[out->count - 1].blind = !hash && size;
}

static int see_hidden(void *arg, const struct policy_hidden *h)
{
	struct behind *w = arg;
	uint64_t size = h->content.size, hash = 0;
	size_t shown = w->out->count;
	uint8_t *bytes;
	char *path;

	if (h->kind != KIND_FILE || h->path.len >= PATH_BYTES_MAX)
		return 0;
	bytes = malloc(size + 1);
	kin_assert(bytes);
	if (size && content_read(w->node->store, &h->content, 0, bytes,
				 size) == (int64_t)size)
		hash = checksum64(bytes, size, 77) | 1;
	free(bytes);
	/* Under each name of its file; or where its sibling stands. */
	for (size_t i = 0; i < shown; i++)
		if (w->out->list[i].ino == h->ino)
			add_hidden(w->out, strdup(w->out->list[i].path), hash,
				   size);
	if (w->out->count > shown)
		return 0;
	path = malloc(PATH_BYTES_MAX);
	kin_assert(path);
	snprintf(path, PATH_BYTES_MAX, "%.*s", (int)h->path.len,
		 (const char *)h->path.data);
	add_hidden(w->out, path, hash, size);
	return 0;
}

static void look_behind(struct oracle *o, struct node *n, struct sights *ret)
{
	struct behind w = {.node = n, .out = ret};

	if (tree_policy_hidden(n->tree, see_hidden, &w) < 0 &&
	    !node_is_sick(n))
		cluster_fail(o->cluster, "node %d cannot list what is hidden",
			     n->index);
}

static void look_at(struct oracle *o, struct node *n, struct sights *ret)
{
	struct walk *w = calloc(1, sizeof(*w));
	size_t first = ret->count;

	kin_assert(w);
	w->out = ret;
	w->dirs[w->dir_count++] = strdup("");
	while (w->dir_count) {
		char *dir = w->dirs[--w->dir_count];
		uint64_t ino;

		kin_assert(dir);
		w->dir = dir;
		/* (A failing disk may hide it for now.) */
		if (tree_resolve_path(n->tree, SLICE_STR(dir), &ino) == 0 &&
		    tree_readdir(n->tree, ino, 0, see_entry, w) < 0 &&
		    !node_is_sick(n))
			cluster_fail(o->cluster, "node %d cannot list '%s'",
				     n->index, dir);
		free(dir);
	}
	for (size_t i = first; i < ret->count; i++) {
		struct sight *s = &ret->list[i];
		struct attr a;

		s->hash = oracle_read(o, n, s->ino);
		if (!tree_getattr(n->tree, s->ino, &a))
			s->size = a.size;
		s->blind = !s->hash && s->size;
		s->unsent = oracle_is_unsent(n, s->ino);
	}
	free(w);
	look_behind(o, n, ret);
}

/* ---- what is known */

static struct content_fact *fact_of(struct oracle *o, uint64_t hash)
{
	for (size_t i = o->count; i-- > 0;)
		if (o->facts[i].hash == hash)
			return &o->facts[i];
	return NULL;
}

static bool is_named_as(const char *path, const char *target);

/* A file of this name, or of just this size, was taken before its bytes were
 * seen there. Who wrote them shows them only now: he was killed then, or
 * nobody had looked there. */
static bool was_coming(const struct oracle *o, const struct node *n,
		       const struct sight *s)
{
	for (size_t i = 0; i < o->coming_count; i++)
		if (o->coming[i].size == s->size ||
		    (n->lives > 1 && is_named_as(s->path, o->coming[i].path)))
			return true;
	return false;
}

static void note_shown(struct oracle *o, struct node *n, const struct sight *s)
{
	struct content_fact *f = fact_of(o, s->hash);

	if (f) {
		f->elsewhere |= f->node != n->index;
		if (!f->since_ms[n->index])
			f->since_ms[n->index] = o->cluster->now_ms;
		f->had[n->index] |= !s->unsent;
		if (!f->size) /* (first seen by a handle) */
			f->size = s->size;
		if (strcmp(f->last, s->path)) {
			free(f->last);
			f->last = strdup(s->path);
			kin_assert(f->last);
		}
		return;
	}
	if (!(o->count & (o->count - 1))) {
		o->facts = realloc(o->facts, (o->count ? 2 * o->count : 1) *
						     sizeof(*o->facts));
		kin_assert(o->facts);
	}
	if (o->cluster->options.trace)
		printf("  node %d: new %016llx at '%s'\n", n->index,
		       (unsigned long long)s->hash, s->path);
	o->facts[o->count++] = (struct content_fact){
		.hash = s->hash,
		.size = s->size,
		.path = strdup(s->path),
		.last = strdup(s->path),
		.node = n->index,
		.ms = o->cluster->now_ms,
		.excused = was_coming(o, n, s),
	};
	o->facts[o->count - 1].since_ms[n->index] = o->cluster->now_ms;
	o->facts[o->count - 1].had[n->index] = !s->unsent;
}

static void note_all(struct oracle *o, const struct oracle_op *op,
		     const struct sights *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].hash &&
		    !(op->is_open && op->is_open(op->arg, s->list[i].ino)))
			note_shown(o, op->node, &s->list[i]);
}

/* ---- what an operation is about */

/* The name without all " (conflict ...)". */
static void plain(const char *path, char *ret)
{
	static const char mark[] = " (conflict ";
	size_t n = 0;

	while (*path && n < PATH_BYTES_MAX - 1) {
		const char *end = strncmp(path, mark, sizeof(mark) - 1)
					  ? NULL
					  : strchr(path, ')');

		if (end)
			path = end + 1;
		else
			ret[n++] = *path++;
	}
	ret[n] = '\0';
}

static bool is_beside(const char *path, const char *target)
{
	char a[PATH_BYTES_MAX], b[PATH_BYTES_MAX];

	if (!target)
		return false;
	plain(path, a);
	plain(target, b);
	return !strcmp(a, b);
}

static bool is_about(const struct oracle_op *op, const struct sight *s)
{
	return (op->saw && s->hash == op->saw) ||
	       is_beside(s->path, op->path) || is_beside(s->path, op->to) ||
	       is_beside(s->path, op->now) ||
	       (op->ino && s->ino == op->ino);
}

static bool still_there(const struct oracle_op *op, const struct sights *after,
			uint64_t hash)
{
	for (size_t i = 0; i < after->count; i++)
		if (after->list[i].hash == hash &&
		    is_about(op, &after->list[i]))
			return true;
	return false;
}

static bool is_taken(const struct oracle_op *op, const struct sight *s)
{
	return (op->takes && op->path && !strcmp(s->path, op->path)) ||
	       (op->takes && op->now && !strcmp(s->path, op->now)) ||
	       (op->takes && op->ino && s->ino == op->ino) ||
	       (op->to && !strcmp(s->path, op->to)) ||
	       (op->saw && s->hash == op->saw);
}

/* (Also what was not finished: others may see a version of it later.) */
static void excuse(struct oracle *o, struct node *n, const struct sight *s)
{
	if (!s->hash)
		return;
	note_shown(o, n, s);
	fact_of(o, s->hash)->excused = true;
}

void oracle_overwritten(struct oracle *o, struct node *n, uint64_t hash)
{
	char path[] = "a handle";

	excuse(o, n, &(struct sight){
			     .path = path, .hash = hash, .unsent = true});
}

void oracle_before(struct oracle *o, struct node *n)
{
	sights_release(&o->before);
	look_at(o, n, &o->before);
	o->first_count = o->before.count;
}

void oracle_meanwhile(struct oracle *o, struct node *n)
{
	if (!n->running)
		return;
	look_at(o, n, &o->before);
}

/* Another name of a file that the operation is about. */
static bool is_alias(const struct oracle *o, const struct oracle_op *op,
		     const char *path)
{
	for (size_t i = 0; i < o->before.count; i++) {
		const struct sight *s = &o->before.list[i];

		if (!is_beside(s->path, path))
			continue;
		for (size_t k = 0; k < o->before.count; k++)
			if (o->before.list[k].ino == s->ino &&
			    is_about(op, &o->before.list[k]))
				return true;
	}
	return false;
}

/* The last part of a path, its conflict marks left out. */
static bool is_named_as(const char *path, const char *target)
{
	const char *a = strrchr(path, '/');
	const char *b = target ? strrchr(target, '/') : NULL;

	return target && is_beside(a ? a + 1 : path, b ? b + 1 : target);
}

/* Does the operation take something of which it saw the name only? */
static bool is_blind(const struct oracle *o, const struct oracle_op *op)
{
	for (size_t i = 0; i < o->before.count; i++)
		if (o->before.list[i].blind && is_about(op, &o->before.list[i]))
			return true;
	return false;
}

static bool is_size_of_blind(const struct oracle *o,
			     const struct oracle_op *op, uint64_t size)
{
	for (size_t i = 0; i < o->before.count; i++)
		if (o->before.list[i].blind &&
		    o->before.list[i].size == size &&
		    is_about(op, &o->before.list[i]))
			return true;
	return false;
}

static void note_coming(struct oracle *o, const char *path, uint64_t size)
{
	o->coming = realloc(o->coming,
			    (o->coming_count + 1) * sizeof(*o->coming));
	kin_assert(o->coming);
	o->coming[o->coming_count++] =
		(struct coming){.path = strdup(path), .size = size};
}

/*
 * Who removes or replaces a file that is shown without its bytes takes those,
 * too: it saw the name. By the name alone it is found here, for its directory
 * may have been moved meanwhile; by its first name as well as by its last,
 * for another node may have linked or renamed it since, and this one not
 * heard of it. It may have been renamed here, too, while older bytes were
 * shown; so one of that very size is what was seen. (What does not come with
 * its row is large, and sizes are drawn.)
 */
static void excuse_coming(struct oracle *o, const struct oracle_op *op)
{
	for (size_t i = 0; op->path && i < o->before.count; i++)
		if (o->before.list[i].blind && is_about(op, &o->before.list[i]))
			note_coming(o, op->path, o->before.list[i].size);
	for (size_t i = 0; i < o->count; i++) {
		struct content_fact *f = &o->facts[i];

		if (is_named_as(f->last, op->path) ||
		    is_named_as(f->last, op->to) ||
		    is_named_as(f->path, op->path) ||
		    is_named_as(f->path, op->to) ||
		    is_alias(o, op, f->last) ||
		    is_size_of_blind(o, op, f->size))
			f->excused = true;
	}
}

/* What had a name is another inode there now, or nothing. */
static bool is_gone(const struct oracle *o, const struct sights *after,
		    const char *path)
{
	for (size_t i = 0; path && i < o->before.count; i++) {
		const struct sight *s = &o->before.list[i];

		if (strcmp(s->path, path))
			continue;
		for (size_t k = 0; k < after->count; k++)
			if (!strcmp(after->list[k].path, path) &&
			    after->list[k].ino == s->ino)
				return false;
		return true;
	}
	return false;
}

/*
 * A file of several names is gone when each of them was removed, though at
 * different nodes: rm of a name is no decision about a content while there
 * are others. So it may go with a sibling that only one of them had seen,
 * beside a name that he left.
 */
static void note_names_gone(struct oracle *o, const struct oracle_op *op,
			    const struct sights *after)
{
	if (!is_gone(o, after, op->path) && !is_gone(o, after, op->to))
		return;
	for (size_t i = 0; i < o->count; i++) {
		struct content_fact *f = &o->facts[i];

		if (is_named_as(f->last, op->path) ||
		    is_named_as(f->last, op->to))
			f->name_gone = true;
		else if (f->since_ms[op->node->index] &&
			 is_alias(o, op, f->last))
			f->link_gone = true;
		f->excused |= f->name_gone && f->link_gone;
	}
}

void oracle_after(struct oracle *o, const struct oracle_op *op)
{
	struct sights after = {0};

	if (is_blind(o, op))
		excuse_coming(o, op);

	note_all(o, op, &o->before);
	look_at(o, op->node, &after);
	note_all(o, op, &after);
	for (size_t i = 0; i < o->before.count; i++) {
		const struct sight *s = &o->before.list[i];

		if (!s->hash || !is_about(op, s) ||
		    (!is_taken(op, s) && still_there(op, &after, s->hash)))
			continue;
		excuse(o, op->node, s);
		/* It saw it, so it has it, in its history if nowhere else. */
		if (!o->cluster->options.history.age_ms && !s->unsent &&
		    !op->node->was_full && !node_is_sick(op->node) &&
		    !oracle_remembers(op->node, s->hash, s->size))
			cluster_fail(o->cluster, "node %d took the content "
				     "%016llx at '%s', and has no history of "
				     "it", op->node->index,
				     (unsigned long long)s->hash, s->path);
	}
	note_names_gone(o, op, &after);
	sights_release(&after);
}

/*
 * Shown in the middle of an operation that was interrupted, and by nobody
 * before: it wrote that itself, and no disk need have it. By the name alone
 * it is found, for its directory may have been moved meanwhile.
 */
static bool is_own_half(struct oracle *o, const struct oracle_op *op, size_t at)
{
	const struct sight *s = &o->before.list[at];

	return at >= o->first_count && !fact_of(o, s->hash) &&
	       (is_named_as(s->path, op->path) || is_named_as(s->path, op->to));
}

void oracle_interrupted(struct oracle *o, const struct oracle_op *op)
{
	/* (nor was it to stay a version, then) */
	for (size_t i = o->first_count; i < o->before.count; i++)
		o->before.list[i].unsent = true;
	for (size_t i = 0; i < o->before.count; i++)
		if (is_own_half(o, op, i))
			excuse(o, op->node, &o->before.list[i]);
	note_all(o, op, &o->before);
	for (size_t i = 0; i < o->before.count; i++)
		if (is_about(op, &o->before.list[i]))
			excuse(o, op->node, &o->before.list[i]);
}

void oracle_synced(struct oracle *o, struct node *n)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->facts[i].node == n->index)
			o->facts[i].durable = true;
}

/* What was not synced, and seen nowhere else, may be gone. */
void oracle_lost_power(struct oracle *o, struct node *n)
{
	for (size_t i = 0; i < o->count; i++) {
		struct content_fact *f = &o->facts[i];

		if (f->node == n->index && !f->elsewhere && !f->durable)
			f->excused = true;
		/* (A peer was told of it if it was durable here.) */
		if (f->node != n->index || !f->durable)
			f->since_ms[n->index] = 0;
		f->had[n->index] = false;
	}
}

void oracle_restored(struct oracle *o, struct node *n, uint64_t backup_ms)
{
	for (size_t i = 0; i < o->count; i++) {
		struct content_fact *f = &o->facts[i];
		bool somewhere = false;

		if (f->since_ms[n->index] > backup_ms)
			f->since_ms[n->index] = 0;
		f->had[n->index] = false;
		for (int k = 0; k < CLUSTER_NODES_MAX; k++)
			somewhere |= f->since_ms[k] > 0;
		f->excused |= !somewhere;
	}
}

/* ---- the end */

static int by_path(const void *a, const void *b)
{
	const struct sight *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r ? r : (x->hash > y->hash) - (x->hash < y->hash);
}

static void compare(struct oracle *o, int node, const struct sights *a,
		    const struct sights *b)
{
	size_t i = 0;

	while (i < a->count && i < b->count &&
	       !strcmp(a->list[i].path, b->list[i].path) &&
	       a->list[i].hash == b->list[i].hash)
		i++;
	if (i < a->count || i < b->count)
		cluster_fail(o->cluster, "node %d shows another '%s'", node,
			     i < b->count ? b->list[i].path : a->list[i].path);
}

void oracle_check(struct oracle *o)
{
	struct sights first = {0};

	look_at(o, &o->cluster->nodes[0], &first);
	if (first.count)
		qsort(first.list, first.count, sizeof(*first.list), by_path);
	for (int k = 1; k < o->cluster->node_count; k++) {
		struct sights s = {0};

		look_at(o, &o->cluster->nodes[k], &s);
		if (s.count)
			qsort(s.list, s.count, sizeof(*s.list), by_path);
		compare(o, k, &first, &s);
		sights_release(&s);
	}
	for (size_t i = 0; i < o->count; i++) {
		const struct content_fact *f = &o->facts[i];
		bool here = f->excused;

		if (!o->cluster->options.history.age_ms)
			oracle_check_history(o, f);
		for (size_t k = 0; !here && k < first.count; k++)
			here = first.list[k].hash == f->hash;
		if (!here)
			cluster_fail(o->cluster,
				     "lost: the content %016llx that node %d "
				     "showed as '%s' at %llu",
				     (unsigned long long)f->hash, f->node,
				     f->path, (unsigned long long)f->ms);
	}
	sights_release(&first);
}
