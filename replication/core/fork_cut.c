/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each cut is checked before anything of it is applied, against all that
 * this node knows by then: marks at its K, and those between what this node
 * knows and that. So a cut of another history is never merged, however it
 * came about; what is then done about it is in fork.c.
 */
#include "fs/tree/fork.h"

#include <errno.h>

#include "replication/core/core_internal.h"

struct cut_check {
	struct tree *tree;
	const struct cut *cut;
	size_t at;	 /* entry of K whose runs come */
	uint64_t end;	 /* ... up to here did; 0: none yet */
	mark_t end_mark;
};

/* Marks at K, where this node knows as much. */
static int check_heads(struct cut_check *k)
{
	const struct know *mine = replica_know(k->tree), *theirs = &k->cut->k;
	uint64_t origin;
	int r;

	for (size_t i = 0; i < theirs->count; i++) {
		mark_t mark = 0;

		if (!k->cut->heads.marks[i])
			return -EPROTO;
		if (!know_covers(mine, theirs->entries[i]))
			continue;
		r = chain_get(k->tree, theirs->entries[i], &mark);
		if (r < 0)
			return r;
		if (!marks_agree(mark, k->cut->heads.marks[i]))
			return -ENOTUNIQ;
	}
	for (size_t i = 0; i < k->cut->heads.birth_count; i++) {
		r = fork_holds_branch(k->tree, &k->cut->heads.births[i], &origin);
		if (r < 0)
			return r;
		if (origin)
			return -ENOTUNIQ;
	}
	return 0;
}

/* The entry that is next to be brought by runs; the count at the end. */
static void check_seek(struct cut_check *k)
{
	const struct know *theirs = &k->cut->k;

	while (k->at < theirs->count &&
	       know_covers(replica_know(k->tree), theirs->entries[k->at]))
		k->at++;
	k->end = 0;
}

/* A run that begins where this node knows, and says the same as it. */
static int check_join(struct cut_check *k, const struct mark_run *m)
{
	uint64_t mine = know_get(replica_know(k->tree), m->origin);
	struct dot after = {m->origin, m->after}, last = {m->origin, mine};
	mark_t mark;
	int r;

	if (!k->end) {
		/* It believes that this node knows more than it does. */
		if (m->after > mine)
			return -ENOTUNIQ;
		r = chain_get(k->tree, after, &mark);
		if (r < 0)
			return r;
		if (!marks_agree(mark, m->before))
			return -ENOTUNIQ;
	} else if (m->after != k->end || m->before != k->end_mark) {
		return -EPROTO;
	}
	if (mine <= m->after || mine > run_end(m))
		return 0;
	if (mine <= m->after + m->skip)
		return -ENOTUNIQ; /* it says there is none */
	r = chain_get(k->tree, last, &mark);
	if (r < 0)
		return r;
	return marks_agree(mark, m->marks[mine - m->after - m->skip - 1])
		       ? 0
		       : -ENOTUNIQ;
}

/* As the cut, or this node, knows it. */
static uint64_t cut_root(const struct cut_check *k, uint64_t origin)
{
	const struct heads *h = &k->cut->heads;

	for (size_t i = 0; i < h->birth_count; i++)
		if (h->births[i].alias == origin)
			return h->births[i].root;
	return chain_root(k->tree, origin);
}

/*
 * Does the run bring, under an older name, a branch that has a new one here?
 * Its sender has not heard of that yet. Both names side by side would be one
 * version twice.
 */
static bool run_is_renamed(const struct cut_check *k, const struct mark_run *m)
{
	uint64_t root = cut_root(k, m->origin), from = m->after + m->skip + 1;
	const struct birth *b;
	size_t count;

	b = chain_births(k->tree, &count);
	for (size_t i = 0; i < count; i++)
		if (b[i].root == root && b[i].alias != m->origin &&
		    b[i].first >= from && b[i].first <= run_end(m) &&
		    b[i].mark == m->marks[b[i].first - from])
			return true;
	return false;
}

static int check_run(void *arg, const struct mark_run *m)
{
	struct cut_check *k = arg;
	const struct know *theirs = &k->cut->k;
	int r;

	/* (of what came by another way meanwhile) */
	if (know_covers(replica_know(k->tree),
			(struct dot){m->origin,
				     know_get(theirs, m->origin)}))
		return 0;
	if (k->at == theirs->count ||
	    m->origin != theirs->entries[k->at].origin ||
	    run_end(m) > theirs->entries[k->at].seq)
		return -EPROTO;
	if (run_is_renamed(k, m))
		return -ENOTUNIQ;
	r = check_join(k, m);
	if (r < 0)
		return r;
	k->end = run_end(m);
	k->end_mark = m->marks[m->count - 1];
	if (k->end < theirs->entries[k->at].seq)
		return 0;
	if (k->end_mark != k->cut->heads.marks[k->at])
		return -EPROTO;
	k->at++;
	check_seek(k);
	return 0;
}

int fork_check_cut(struct core *c, struct stage *s, const struct cut *cut)
{
	struct cut_check k = {.tree = c->tree, .cut = cut};
	int r;

	store_lock(c->store);
	r = check_heads(&k);
	if (r == 0) {
		check_seek(&k);
		r = stage_runs(s, check_run, &k);
	}
	if (r == 0 && k.at < cut->k.count)
		r = -EPROTO;
	store_unlock(c->store);
	return r;
}

/* ---- what a cut brings, in its operation */

int fork_write_run(struct tree *t, const struct mark_run *m)
{
	uint64_t mine = know_get(replica_know(t), m->origin);
	uint64_t from = m->after + m->skip;
	size_t skip = mine > from ? (size_t)MIN_OF(mine - from,
						   (uint64_t)m->count)
				  : 0;

	return chain_write(t, m->origin, from + skip, m->marks + skip,
			   m->count - skip);
}

int fork_write_births(struct tree *t, const struct heads *h)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < h->birth_count; i++)
		r = chain_birth_add(t, &h->births[i]);
	return r;
}
