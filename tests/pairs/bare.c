/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pairs/bare.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/tree/replica.h"
#include "replication/core/merge.h"

/* Any time will do, but not the machine's. */
#define EPOCH_NS 1763683200000000000

/* Entries of a removed directory that are brought back in one operation. */
#define BACK_MAX 256

static int64_t env_now(void *arg)
{
	struct bare *n = arg;

	return n->now_ns += 1000000;
}

static uint64_t env_monotonic(void *arg)
{
	struct bare *n = arg;

	return (uint64_t)(n->now_ns - EPOCH_NS + 1000000);
}

static void env_random(void *arg, void *ret, size_t len)
{
	rng_fill(&((struct bare *)arg)->rng, ret, len);
}

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "cannot %s: %s\n", what, strerrorname_np(-r));
	abort();
}

/* Principals are numbers here: the name's last byte. */
static uint32_t env_id(void *arg, struct slice name)
{
	(void)arg;
	return name.len ? name.data[name.len - 1] : 0;
}

void bare_open(struct bare *n, int index, const char *dir, uint64_t seed,
	       bool first)
{
	static const uint8_t secret[32] = "of all bare nodes";
	struct store_options so = {
		.path = n->path,
		.no_sync = true,
		.map_bytes = 1ull << 32,
		.log_bytes = 1 << 20,
		.segment_bytes = 1 << 20,
	};
	struct tree_options to = {
		.env = &n->env,
		.volume = {{7}},
		.root_perm = 0755,
		.secret = secret,
	};

	*n = (struct bare){.index = index, .now_ns = EPOCH_NS};
	rng_init(&n->rng, seed * 16 + (uint64_t)index);
	snprintf(n->path, sizeof(n->path), "%s/n%d", dir, index);
	snprintf(n->label, sizeof(n->label), "node%d", index);
	n->env = (struct tree_env){
		.arg = n,
		.now_ns = env_now,
		.monotonic_ns = env_monotonic,
		.random = env_random,
		.uid_of = env_id,
		.gid_of = env_id,
	};
	to.label = SLICE_STR(n->label);
	if (first)
		to.user = to.group = SLICE_STR("user");
	must(store_open(&so, NULL, &n->store), "open a store");
	to.store = n->store;
	must(tree_open(&to, &n->tree), "open a tree");
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void bare_close(struct bare *n)
{
	tree_close(n->tree);
	store_abandon(n->store);
	know_release(&n->noted_k);
	nftw(n->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- cuts */

struct taking {
	struct stage *stage;
	uint64_t tag;
};

/* Of the node that a row was taken from as it is; 0: of none. */
static uint64_t bare_tag(const struct bare *n)
{
	return (uint64_t)n->index + 1;
}

static int take_row(void *arg, const struct replica_row *row)
{
	struct taking *t = arg;

	return row->from == t->tag ? 0 : stage_put(t->stage, row->id, row->row);
}

static void note_cut(struct bare *n)
{
	const struct know *k = replica_know(n->tree);

	if (replica_lseq(n->tree) == n->noted_lseq &&
	    know_equal(k, &n->noted_k))
		return;
	must(replica_begin(n->tree), "begin");
	must(replica_end(n->tree, replica_cut_note(n->tree)), "note a cut");
	n->noted_lseq = replica_lseq(n->tree);
	must(know_copy(&n->noted_k, replica_know(n->tree)), "copy K");
}

/* Of the operations above base. */
static void take_marks(struct bare *from, const struct know *base,
		       struct cut_in_hand *ret)
{
	struct mark_run run;

	for (size_t i = 0; i < ret->cut.k.count; i++) {
		struct dot d = ret->cut.k.entries[i];
		uint64_t after = know_get(base, d.origin);

		while (after < d.seq) {
			must(run_take(from->tree, d.origin, after, d.seq, &run),
			     "take marks");
			if (!run.count)
				break;
			run_encode(&run, &ret->stage->runs);
			after = run_end(&run);
		}
	}
	must(heads_take(from->tree, &ret->cut.k, &ret->cut.heads),
	     "take heads");
}

void bare_take(struct bare *from, struct bare *to, struct cut_in_hand *ret)
{
	cleanup(know_release) struct know base = KNOW_INIT;
	struct taking t = {.tag = bare_tag(to)};
	uint64_t after;

	store_lock(to->store);
	must(know_copy(&base, replica_know(to->tree)), "copy K");
	store_unlock(to->store);
	must(stage_new(NULL, 1, &t.stage), "stage");
	store_lock(from->store);
	must(replica_cut_start(from->tree, &base, &after), "find the start");
	must(replica_rows_after(from->tree, after, SIZE_MAX / 2, take_row, &t),
	     "take rows");
	note_cut(from);
	*ret = (struct cut_in_hand){
		.stage = t.stage,
		.cut.k = KNOW_INIT,
		.cut.g = KNOW_INIT,
		.cut.hlc = replica_hlc(from->tree),
		.from = bare_tag(from),
	};
	must(know_copy(&ret->cut.k, replica_know(from->tree)), "copy K");
	take_marks(from, &base, ret);
	store_unlock(from->store);
}

void bare_drop(struct cut_in_hand *cut)
{
	stage_free(cut->stage);
	cut_release(&cut->cut);
}

void bare_apply(struct bare *to, struct cut_in_hand *cut)
{
	struct merge_result m;
	size_t count;
	int r;

	must(merge_cut(to->tree, cut->stage, &cut->cut, cut->from, &m),
	     "merge");
	bare_drop(cut);
	do {
		store_lock(to->store);
		r = replica_bring_back(to->tree, BACK_MAX, &count);
		store_unlock(to->store);
		must(r, "bring back");
	} while (r);
	store_lock(to->store);
	note_cut(to);
	store_unlock(to->store);
}

void bare_pull(struct bare *to, struct bare *from)
{
	struct cut_in_hand cut;

	bare_take(from, to, &cut);
	bare_apply(to, &cut);
}

/* ---- comparing */

uint64_t bare_lseq(struct bare *n)
{
	uint64_t lseq;

	store_lock(n->store);
	lseq = replica_lseq(n->tree);
	store_unlock(n->store);
	return lseq;
}

struct row_copy {
	struct objid id;
	struct slice row;
};

struct row_list {
	struct row_copy *list;
	size_t count;
};

static int add_row(void *arg, const struct replica_row *row)
{
	struct row_list *l = arg;
	uint8_t *copy = malloc(row->row.len);

	if (!(l->count & (l->count - 1)))
		l->list = realloc(l->list, 2 * (l->count + 1) *
						   sizeof(*l->list));
	kin_assert(l->list && copy);
	memcpy(copy, row->row.data, row->row.len);
	l->list[l->count++] =
		(struct row_copy){row->id, SLICE(copy, row->row.len)};
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct objid));
}

/* [locked] */
static void rows_list(struct bare *n, struct row_list *ret)
{
	*ret = (struct row_list){NULL, 0};
	must(replica_rows_look(n->tree, 0, SIZE_MAX / 2, add_row, ret),
	     "list rows");
	if (ret->count)
		qsort(ret->list, ret->count, sizeof(*ret->list), by_id);
}

static void rows_release(struct row_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free((void *)l->list[i].row.data);
	free(l->list);
}

static bool rows_equal(const struct row_list *x, const struct row_list *y)
{
	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (!objid_equal(x->list[i].id, y->list[i].id) ||
		    !slice_equal(x->list[i].row, y->list[i].row))
			return false;
	return true;
}

bool bare_equal(struct bare *a, struct bare *b, struct buf *ret_why)
{
	struct row_list x, y;
	bool knows, same;

	store_lock(a->store);
	store_lock(b->store);
	knows = know_equal(replica_know(a->tree), replica_know(b->tree));
	rows_list(a, &x);
	rows_list(b, &y);
	store_unlock(b->store);
	store_unlock(a->store);
	same = rows_equal(&x, &y);
	rows_release(&x);
	rows_release(&y);
	if (!knows)
		buf_printf(ret_why, "%s and %s know different things", a->label,
			   b->label);
	else if (!same)
		buf_printf(ret_why, "rows of %s and %s differ at equal K",
			   a->label, b->label);
	return knows && same;
}
