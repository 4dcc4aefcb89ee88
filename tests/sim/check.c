/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold at any moment: nodes of equal knowledge have equal rows,
 * byte by byte, and show the same tree; each node's own indexes agree.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/hash.h"
#include "fs/store/format.h"
#include "fs/tree/bucket.h"
#include "fs/tree/chain.h"
#include "fs/tree/check.h"
#include "fs/tree/info.h"
#include "tests/sim/cluster.h"
#include "tests/sim/truth.h"

/* Names of one file that are looked at. */
#define LINEAGE_NAMES_MAX 8

struct picture {
	struct know k;
	mark_t *marks;	/* at K: of one history? */
	bool settled;	 /* all content here, no unsent writes */
	struct sum sum;
	struct buf rows; /* id, hash of the row, ... */
	struct buf view; /* lines */
};

static int add_row(void *arg, struct objid id, struct slice row)
{
	struct picture *p = arg;
	char hex[33];

	hex_encode(id.b, sizeof(id.b), hex);
	buf_printf(&p->rows, "%s %016llx %zu\n", hex,
		   (unsigned long long)checksum64(row.data, row.len, 0),
		   row.len);
	return 0;
}

static int add_entry(void *arg, const struct replica_view_entry *e)
{
	struct picture *p = arg;
	char id[33];

	hex_encode(e->id.b, sizeof(e->id.b), id);
	buf_printf(&p->view, "%.*s kind=%d id=%s perm=%o sibling=%d",
		   (int)e->path.len, (const char *)e->path.data, e->kind, id,
		   (unsigned)e->perm, e->is_sibling);
	/* The mtime of a merged or changed directory is a register too. */
	buf_printf(&p->view, " mtime=%lld.%09ld", (long long)e->mtime.tv_sec,
		   e->mtime.tv_nsec);
	if (e->kind != KIND_DIR) {
		char root[65];

		hex_encode(e->content.root.b, 32, root);
		buf_printf(&p->view, " size=%llu depth=%d root=%s bytes=%llx",
			   (unsigned long long)e->content.size,
			   e->content.depth, e->content.depth ? root : "",
			   (unsigned long long)checksum64(
				   e->content.inline_bytes.data,
				   e->content.inline_bytes.len, 0));
		buf_printf(&p->view, " dot=%llx.%llu complete=%d",
			   (unsigned long long)e->version.origin,
			   (unsigned long long)e->version.seq, e->complete);
	}
	buf_put_u8(&p->view, '\n');
	return 0;
}

static void picture_release(struct picture *p)
{
	know_release(&p->k);
	free(p->marks);
	buf_release(&p->rows);
	buf_release(&p->view);
}

static int picture_marks(struct node *n, struct picture *p)
{
	int r = 0;

	p->marks = calloc(p->k.count + 1, sizeof(*p->marks));
	kin_assert(p->marks);
	for (size_t i = 0; r == 0 && i < p->k.count; i++)
		r = chain_get(n->tree, p->k.entries[i], &p->marks[i]);
	return r;
}

/* Of equal K. */
static bool are_of_one_history(const struct picture *a,
			       const struct picture *b)
{
	for (size_t i = 0; i < a->k.count; i++)
		if (!marks_agree(a->marks[i], b->marks[i]))
			return false;
	return true;
}

static int picture_know(struct node *n, struct picture *p)
{
	cleanup(know_release) struct know complete = KNOW_INIT;
	int r;

	store_lock(n->store);
	r = know_copy(&p->k, replica_know(n->tree));
	if (r == 0)
		r = picture_marks(n, p);
	p->sum = bucket_root(n->tree);
	if (r == 0)
		r = replica_know_complete(n->tree, &complete);
	p->settled = r == 0 && know_equal(&p->k, &complete) && !n->writers;
	store_unlock(n->store);
	return r;
}

static int picture_take(struct node *n, struct picture *p)
{
	int r = replica_rows(n->tree, add_row, p);

	return r < 0 ? r : replica_view(n->tree, add_entry, p);
}

/* The first line that differs, of each. */
static void say_difference(struct cluster *c, const char *what, int a, int b,
			   const struct buf *x, const struct buf *y)
{
	size_t at = 0, start = 0;
	int len_x, len_y;

	while (at < x->len && at < y->len && x->data[at] == y->data[at])
		if (x->data[at++] == '\n')
			start = at;
	for (len_x = 0; start + (size_t)len_x < x->len &&
			x->data[start + (size_t)len_x] != '\n';
	     len_x++)
		;
	for (len_y = 0; start + (size_t)len_y < y->len &&
			y->data[start + (size_t)len_y] != '\n';
	     len_y++)
		;
	cluster_fail(c,
		     "%s of nodes %d and %d differ at equal K: "
		     "\"%.*s\" and \"%.*s\"",
		     what, a, b, len_x, (char *)x->data + start, len_y,
		     (char *)y->data + start);
}

static bool can_look(const struct node *n)
{
	return n->running && !store_failure(n->store);
}

/* ---- content that is waited for */

static int stop_at_first(void *arg, const struct hash *h)
{
	(void)arg;
	(void)h;
	return 0;
}

static bool lacks(struct node *n, const struct content *content)
{
	int64_t missing;

	store_lock(n->store);
	missing = content_missing(n->store, content, 1, stop_at_first, NULL);
	store_unlock(n->store);
	return missing != 0;
}

static bool all_lack(struct cluster *c, const struct content *content)
{
	for (int k = 0; k < c->node_count; k++)
		if (c->nodes[k].running && !lacks(&c->nodes[k], content))
			return false;
	return true;
}

/* The object that is waited for next after *key; its row. */
static int next_pending(struct node *n, uint8_t key[25], size_t *len,
			struct object *row)
{
	struct slice k, v;
	struct objid id;
	int r;

	store_lock(n->store);
	r = store_seek(n->store, TABLE_PENDING, SLICE(key, *len), &k, &v);
	if (r == 0) {
		memcpy(key, k.data, 24);
		*len = 25;
		memcpy(id.b, key + 8, sizeof(id.b));
		object_init(row, id);
		r = replica_row_load(n->tree, id, row);
	}
	store_unlock(n->store);
	return r;
}

/*
 * Where history is kept for moments only, what was removed has no bytes any
 * more, and a handle that was open all the time brings the file back, with
 * all that it ever had. 1: that is all it waits for; 0: for nothing, or more.
 */
static int waits_in_vain(struct cluster *c, struct node *n)
{
	uint8_t key[25] = {0};
	size_t len = 0;
	struct object row;
	int vain = 0;

	while (vain >= 0 && next_pending(n, key, &len, &row) == 0) {
		for (size_t k = 0; vain >= 0 && k < row.count; k++) {
			const struct version *v = &row.versions[k];

			if (v->reg == REG_CONTENT &&
			    v->content.content.depth &&
			    lacks(n, &v->content.content))
				vain = all_lack(c, &v->content.content) ? 1
									: -1;
		}
		if (vain < 0 && c->options.trace)
			truth_print(n, row.id);
		object_release(&row);
	}
	return vain > 0;
}

bool cluster_waits_in_vain(struct cluster *c)
{
	bool vain = false;

	for (int k = 0; c->options.history.age_ms && k < c->node_count; k++)
		vain |= can_look(&c->nodes[k]) &&
			waits_in_vain(c, &c->nodes[k]);
	return vain;
}

static void check_settled(struct cluster *c, const struct picture *p, int a)
{
	if (!p[a].settled && (c->nodes[a].writers ||
			      !c->options.history.age_ms ||
			      !waits_in_vain(c, &c->nodes[a])))
		cluster_fail(c, "node %d has not all content", a);
}

static void compare(struct cluster *c, struct picture *p, int a, int b,
		    bool final)
{
	if (!slice_equal(buf_slice(&p[a].rows), buf_slice(&p[b].rows))) {
		say_difference(c, "rows", a, b, &p[a].rows, &p[b].rows);
		return;
	}
	if (!sum_equal(&p[a].sum, &p[b].sum))
		cluster_fail(c, "sums of nodes %d and %d differ, their rows "
				"do not", a, b);
	if (final) {
		check_settled(c, p, a);
		check_settled(c, p, b);
	}
	if (p[a].settled && p[b].settled &&
	    !slice_equal(buf_slice(&p[a].view), buf_slice(&p[b].view)))
		say_difference(c, "views", a, b, &p[a].view, &p[b].view);
}

/* While a large cut is applied, rows and K do not belong together. */
static bool is_comparable(const struct node *n)
{
	return can_look(n) && !core_is_applying(n->core);
}

void cluster_check_equal(struct cluster *c, bool final)
{
	struct picture p[CLUSTER_NODES_MAX] = {0};
	bool taken[CLUSTER_NODES_MAX] = {false};
	int r = 0;

	/* (A failed store may not be able to read what it has in hand.) */
	for (int a = 0; r == 0 && a < c->node_count; a++)
		if (is_comparable(&c->nodes[a]))
			r = picture_know(&c->nodes[a], &p[a]);
	for (int a = 0; r == 0 && a < c->node_count; a++) {
		for (int b = a + 1; r == 0 && b < c->node_count; b++) {
			bool same;

			if (!is_comparable(&c->nodes[a]) ||
			    !is_comparable(&c->nodes[b])) {
				if (final && c->nodes[a].running &&
				    c->nodes[b].running)
					cluster_fail(c, "a cut is half applied");
				continue;
			}
			if (!know_equal(&p[a].k, &p[b].k)) {
				if (final)
					cluster_fail(c,
						     "nodes %d and %d "
						     "know different things",
						     a, b);
				continue;
			}
			/* Of two histories, one number says nothing. */
			same = are_of_one_history(&p[a], &p[b]);
			if (!same && !final && c->restores)
				continue;
			if (!same)
				cluster_fail(c, "nodes %d and %d know two "
						"histories", a, b);
			if (!taken[a])
				r = picture_take(&c->nodes[a], &p[a]);
			if (r == 0 && !taken[b])
				r = picture_take(&c->nodes[b], &p[b]);
			taken[a] = taken[b] = true;
			if (r == 0)
				compare(c, p, a, b, final);
		}
	}
	if (r < 0)
		cluster_fail(c, "cannot look at a node: %d", r);
	for (int a = 0;
	     cluster_failed(c) && c->options.trace && a < c->node_count; a++)
		if (taken[a])
			printf("node %d shows\n%.*s", a, (int)p[a].view.len,
			       (char *)p[a].view.data);
	for (int a = 0; a < c->node_count; a++)
		picture_release(&p[a]);
}

/* ---- parents */

/* What is shown, and a directory of keep-stamps as long as something is in
 * it: then it must lead to the root. */
struct lineage {
	struct objid id;
	struct objid parents[LINEAGE_NAMES_MAX];
	size_t count;
	bool needed; /* a file that lives, a directory that somebody made */
};

struct lineages {
	struct lineage *list; /* by id: rows are listed so */
	size_t count;
};

static int add_lineage(void *arg, struct objid id, struct slice row)
{
	struct lineages *l = arg;
	cleanup(object_release) struct object o;
	struct lineage *x;
	struct info i = {0};
	int r;

	object_init(&o, id);
	r = object_decode(row, &o);
	if (r == 0)
		r = info_init(&i, &o);
	if (r < 0)
		return r;
	if (!(l->count & (l->count - 1)))
		l->list = realloc(l->list, (l->count ? 2 * l->count : 1) *
						   sizeof(*l->list));
	kin_assert(l->list);
	x = &l->list[l->count++];
	*x = (struct lineage){.id = id};
	x->needed = info_live_file(&i) || (i.kind == KIND_DIR && i.strong);
	for (size_t k = 0; info_is_live(&i) && k < i.shown_count &&
			   x->count < LINEAGE_NAMES_MAX; k++)
		x->parents[x->count++] = i.links[k].link->link.at.parent;
	info_release(&i);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return objid_compare(((const struct lineage *)a)->id,
			     ((const struct lineage *)b)->id);
}

/* Notes that the directory of one that is needed is needed. */
static bool need_parents(struct cluster *c, struct node *n,
			 struct lineages *l, const struct lineage *x)
{
	char id[33], parent[33];
	bool more = false;

	for (size_t k = 0; k < x->count; k++) {
		const struct lineage key = {.id = x->parents[k]};
		struct lineage *up;

		if (objid_is_root(key.id))
			continue;
		up = bsearch(&key, l->list, l->count, sizeof(key), by_id);
		if (up && up->count) {
			more |= !up->needed;
			up->needed = true;
			continue;
		}
		hex_encode(x->id.b, 16, id);
		hex_encode(key.id.b, 16, parent);
		cluster_fail(c, "node %d: object %s is in %s, which is %s",
			     n->index, id, parent, up ? "dead" : "purged");
	}
	return more;
}

/*
 * What lives is in what lives: before a directory is purged all are asked,
 * and who did not hear of that is told first (purge.c). The view makes the
 * best of a directory that is not there, at all nodes alike; but the place
 * would be lost.
 */
static void check_parents(struct cluster *c, struct node *n)
{
	struct lineages l = {0};
	int r = replica_rows(n->tree, add_lineage, &l);
	bool more = r >= 0;

	if (r < 0)
		cluster_fail(c, "cannot look at the rows of node %d: %d",
			     n->index, r);
	while (more) {
		more = false;
		for (size_t i = 0; i < l.count; i++)
			if (l.list[i].needed)
				more |= need_parents(c, n, &l, &l.list[i]);
	}
	free(l.list);
}

/* `kin check` has nothing to say, either. */
static void first_fault(void *arg, const struct check_fault *f)
{
	struct buf *why = arg;
	char hex[2 * sizeof(f->id.b) + 1] = "";

	if (why->len)
		return;
	if (f->has_id)
		hex_encode(f->id.b, sizeof(f->id.b), hex);
	buf_printf(why, "'%s', object %s %s",
		   f->table < 0 ? "" : table_name(f->table), hex, f->what);
}

static int run_check(struct node *n, struct buf *why)
{
	const struct check_options o = { .data = true,
					 .still = true,
					 .fault = first_fault,
					 .arg = why };
	struct check *check = NULL;
	int r = check_begin(n->tree, &o, &check);

	while (!r)
		r = check_step(check);
	if (r == 1)
		r = check_result(check)->faults ? -EUCLEAN : 0;
	check_end(check);
	return r;
}

void cluster_check_nodes(struct cluster *c)
{
	for (int i = 0; i < c->node_count; i++) {
		cleanup(buf_release) struct buf why = BUF_INIT;
		struct node *n = &c->nodes[i];
		struct core_counters counters;
		int r;

		if (!can_look(n))
			continue;
		core_counters(n->core, &counters);
		if (counters.divergences && !c->damaged)
			cluster_fail(c, "node %d raised an alarm: others of "
				     "equal K have other sums", i);
		if (counters.lost && !c->damaged)
			cluster_fail(c, "node %d was sent names in a "
				     "directory that nobody knows", i);
		if (counters.forks && !c->restores)
			cluster_fail(c, "node %d sees a fork where no store "
				     "was copied", i);
		r = replica_check(n->tree, &why);
		if (r < 0)
			cluster_fail(c, "node %d: check says %d: %.*s", i, r,
				     (int)why.len, (char *)why.data);
		else if ((r = run_check(n, &why)) < 0)
			cluster_fail(c, "node %d: kin check says %d: %.*s", i,
				     r, (int)why.len, (char *)why.data);
		if (is_comparable(n))
			check_parents(c, n);
	}
}
