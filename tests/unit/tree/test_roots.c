/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tree's tables name stays when space is given back, and nothing
 * else does: each table by itself, and random files with rounds in between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/tree/base.h"
#include "fs/tree/deep.h"
#include "fs/tree/dirty.h"
#include "fs/tree/hist.h"
#include "fs/tree/roots.h"
#include "variants_support.h"

#define LARGE 300000
#define MIB (1u << 20)

static struct fixture *const a = &nodes[0], *const b = &nodes[1];

static void pair_open(void)
{
	fixture_open(a, "alice", true);
	fixture_open(b, "bob", false);
}

static void pair_close(void)
{
	check_tree(a);
	check_tree(b);
	fixture_close(a);
	fixture_close(b);
}

/* ---- bytes */

static uint8_t *large(uint8_t seed)
{
	uint64_t state = seed;
	uint8_t *p = malloc(LARGE);

	for (size_t k = 0; k < LARGE; k++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		p[k] = (uint8_t)(state >> 56);
	}
	return p;
}

static void write_large(struct fixture *f, const char *name, uint8_t seed)
{
	uint8_t *p = large(seed);
	uint64_t ino = look(f, ROOT, name);

	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	assert_int_equal(tree_write(f->tree, ino, 0, SLICE(p, LARGE), false),
			 0);
	tree_release_file(f->tree, ino, true);
	free(p);
}

static void make_large(struct fixture *f, const char *name, uint8_t seed)
{
	make_file(f, ROOT, name, "");
	write_large(f, name, seed);
}

static void expect_large(struct fixture *f, uint64_t ino, uint8_t seed)
{
	uint8_t *p = large(seed), *got = malloc(LARGE + 1);

	assert_int_equal(tree_read(f->tree, ino, 0, got, LARGE + 1), LARGE);
	assert_memory_equal(got, p, LARGE);
	free(got);
	free(p);
}

/* ---- rounds */

static const struct reclaim_options whole = {.now_s = 1};

static void round_of(struct fixture *f)
{
	int r;

	if (!reclaim_is_running(f->store))
		assert_int_equal(reclaim_begin(f->store, &whole), 0);
	do
		r = reclaim_step(f->store);
	while (!r);
	assert_int_equal(r, 1);
	check_tree(f);
}

static uint64_t in_use(struct fixture *f)
{
	struct reclaim_facts facts;

	round_of(f);
	reclaim_facts(f->store, &facts);
	return facts.live_bytes;
}

/* Neither history nor the rows of the dead. */
static void no_history(struct fixture *f)
{
	struct replica_history_limits none = { 0, 0 };
	struct replica_purged p;
	size_t n;
	int r;

	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	r = replica_cut_note(f->tree);
	assert_int_equal(replica_end(f->tree, r), 0);
	do
		assert_int_equal(replica_purge(f->tree, replica_know(f->tree),
					       100, &p), 0);
	while (!p.done);
	replica_set_history(f->tree, &none);
	do
		assert_int_equal(replica_history_expire(f->tree, 100, &n), 0);
	while (n == 100);
	store_unlock(f->store);
}

/* Every content that live rows name is here, and is what its hash says. */
static void expect_whole(struct fixture *f)
{
	struct deep *d;
	int r;

	assert_int_equal(deep_begin(f->tree, &d), 0);
	do
		r = deep_step(d);
	while (!r);
	assert_int_equal(r, 1);
	assert_int_equal(deep_result(d)->faults, 0);
	assert_true(deep_result(d)->sums_right);
	deep_end(d);
}

/* ---- rows as they are decoded, and as they are looked through */

struct found {
	struct hash root[64];
	size_t count;
};

static int find_content(void *arg, const struct content *c)
{
	struct found *f = arg;

	assert_true(f->count < ARRAY_SIZE(f->root));
	f->root[f->count++] = c->root;
	return 0;
}

static void find_in_object(struct found *f, const struct object *o)
{
	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];

		if (v->reg == REG_CONTENT && !(v->flags & VERSION_VOID) &&
		    v->content.content.depth)
			find_content(f, &v->content.content);
	}
}

static int compare_rows(void *arg, const struct replica_row *r)
{
	struct fixture *f = arg;
	struct found decoded = { .count = 0 }, looked = { .count = 0 };
	struct slice value;
	struct row row;

	assert_int_equal(row_read(f->tree, r->id, &row), 0);
	if (row.has_prior)
		find_in_object(&decoded, &row.prior);
	find_in_object(&decoded, &row.o);
	row_release(&row);
	assert_int_equal(store_get(f->store, TABLE_OBJ,
				   SLICE(r->id.b, 16), &value), 0);
	assert_int_equal(row_contents_each(value, find_content, &looked), 0);
	assert_int_equal(decoded.count, looked.count);
	assert_memory_equal(decoded.root, looked.root,
			    looked.count * sizeof(struct hash));
	/* Cut off anywhere, it is damaged, or says no more than before. */
	for (size_t n = 0; n < value.len; n++) {
		looked.count = 0;
		assert_int_not_equal(row_contents_each(SLICE(value.data, n),
						       find_content, &looked),
				     0);
	}
	return 0;
}

static void test_rows(void **state)
{
	struct entry e;

	(void)state;
	pair_open();
	make_large(a, "f", 1);
	make_large(a, "link", 2);
	make_file(a, ROOT, "small", "small");
	assert_int_equal(tree_setxattr(a->tree, look(a, ROOT, "f"),
				       SLICE_STR("user.x"), SLICE_STR("y"), 0),
			 0);
	assert_int_equal(tree_link(a->tree, look(a, ROOT, "link"), ROOT,
				   SLICE_STR("again"), &e), 0);
	merge_from(b, a);
	write_large(a, "f", 3);
	write_large(b, "f", 4);
	rm(a, ROOT, "small");
	merge_from(b, a);
	merge_from(a, b);
	for (int k = 0; k < 2; k++) {
		store_lock(nodes[k].store);
		assert_true(replica_rows_look(nodes[k].tree, 0, 1000,
					      compare_rows, &nodes[k]) > 3);
		store_unlock(nodes[k].store);
	}
	pair_close();
}

/* ---- one table after the other */

static int keep_hash(void *arg, const struct hash *h)
{
	*(struct hash *)arg = *h;
	return 0;
}

/* Content comes and goes with what names it; siblings are contents too. */
static void test_live(void **state)
{
	char name[256];
	uint64_t ino;

	(void)state;
	pair_open();
	no_history(a);
	make_large(a, "f", 1);
	make_large(a, "g", 2);
	assert_in_range(in_use(a), 2 * LARGE, 2 * LARGE + 5000);
	rm(a, ROOT, "g");
	no_history(a);
	assert_in_range(in_use(a), LARGE, LARGE + 5000);
	expect_large(a, look(a, ROOT, "f"), 1);
	/* A conflict. */
	merge_from(b, a);
	write_large(a, "f", 3);
	later(b, a);
	assert_int_equal(tree_open_file(b->tree, look(b, ROOT, "f"), true),
			 0);
	assert_int_equal(tree_setattr(b->tree, look(b, ROOT, "f"),
				      &(struct tree_setattr){
					      .set = TREE_SET_SIZE },
				      &(struct attr){ 0 }), 0);
	tree_release_file(b->tree, look(b, ROOT, "f"), true);
	write_large(b, "f", 4);
	merge_from(a, b);
	/* (bob's bytes are not here yet, so alice's are shown) */
	round_of(a);
	expect_large(a, look(a, ROOT, "f"), 3);
	for (int more = 1; more;) {
		struct hash h;
		struct buf bytes = BUF_INIT;

		store_lock(a->store);
		more = (int)replica_wants(a->tree, 1, keep_hash, &h);
		store_unlock(a->store);
		/* Whatever is given back in between: it ends. */
		round_of(a);
		if (!more)
			break;
		assert_int_equal(chunk_read(b->store, &h, &bytes), 0);
		assert_int_equal(replica_chunk_received(a->tree, &h,
							buf_slice(&bytes)),
				 0);
		buf_release(&bytes);
	}
	round_of(a);
	expect_large(a, look(a, ROOT, "f"), 4);
	name_with(a, ROOT, "conflict", name);
	ino = look(a, ROOT, name);
	expect_large(a, ino, 3);
	expect_whole(a);
	pair_close();
}

/* What an open handle goes on to show. */
static void test_detached(void **state)
{
	uint64_t ino;

	(void)state;
	pair_open();
	no_history(a);
	make_large(a, "f", 1);
	merge_from(b, a);
	ino = look(a, ROOT, "f");
	assert_int_equal(tree_open_file(a->tree, ino, false), 0);
	write_name(b, "f", "from bob");
	merge_from(a, b);
	expect_bytes(a, look(a, ROOT, "f"), "from bob");
	no_history(a);
	store_lock(a->store);
	while (store_count(a->store, TABLE_BASE)) {
		struct slice k, v;

		assert_int_equal(store_op_begin(a->store), 0);
		assert_int_equal(store_seek(a->store, TABLE_BASE,
					    SLICE(NULL, 0), &k, &v), 0);
		assert_int_equal(store_del(a->store, TABLE_BASE, k), 0);
		assert_int_equal(store_op_end(a->store), 0);
	}
	store_unlock(a->store);
	assert_in_range(in_use(a), LARGE, LARGE + 5000);
	expect_large(a, ino, 1);
	tree_release_file(a->tree, ino, false);
	assert_int_equal(in_use(a), 0);
	pair_close();
}

struct unsent {
	size_t contents;
	uint64_t bytes;
};

static int count_unsent(void *arg, const struct store_root *root)
{
	struct unsent *u = arg;

	u->contents += root->content != NULL;
	u->bytes += root->content ? 0 : root->len;
	return 0;
}

/* What DIRTY names, which the row or a detached number may name too. */
static void expect_unsent(size_t contents, uint64_t bytes)
{
	struct unsent u = { 0 };
	uint8_t key[17] = { 0 };
	size_t len = 16;
	struct slice k, v;

	store_lock(a->store);
	while (!store_seek(a->store, TABLE_DIRTY, SLICE(key, len), &k, &v)) {
		assert_int_equal(roots_of(TABLE_DIRTY, k, v, count_unsent, &u),
				 0);
		memcpy(key, k.data, 16);
		key[16] = 0;
		len = 17;
	}
	store_unlock(a->store);
	assert_int_equal(u.contents, contents);
	assert_int_equal(u.bytes, bytes);
}

/* What was written, before a version is made of it; and what that is based
 * on. */
static void test_unsent(void **state)
{
	uint8_t *p = large(1), *q = large(2), *got = malloc(LARGE);
	uint64_t ino;

	(void)state;
	pair_open();
	no_history(a);
	make_large(a, "f", 1);
	ino = look(a, ROOT, "f");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 100000,
				    SLICE(q + 100000, 50000), false), 0);
	memcpy(p + 100000, q + 100000, 50000);
	expect_unsent(1, 50000);
	rm(a, ROOT, "f");
	no_history(a);
	assert_in_range(in_use(a), LARGE, LARGE + 60000);
	assert_int_equal(tree_read(a->tree, ino, 0, got, LARGE), LARGE);
	assert_memory_equal(got, p, LARGE);
	fixture_crash(a);
	no_history(a);
	round_of(a);
	assert_int_equal(tree_cut_settled(a->tree, 0), 0);
	no_history(a);
	assert_int_equal(in_use(a), 0);
	/* Once more, and it becomes a version. */
	make_large(a, "g", 1);
	ino = look(a, ROOT, "g");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 100000,
				    SLICE(q + 100000, 50000), false), 0);
	round_of(a);
	fixture_crash(a);
	round_of(a);
	assert_int_equal(tree_cut_settled(a->tree, 0), 0);
	no_history(a);
	round_of(a);
	assert_int_equal(tree_read(a->tree, look(a, ROOT, "g"), 0, got,
				   LARGE), LARGE);
	assert_memory_equal(got, p, LARGE);
	expect_whole(a);
	free(got);
	free(q);
	free(p);
	pair_close();
}

/* What history keeps. */
static void test_history(void **state)
{
	uint8_t *p = large(1), *got = malloc(LARGE);
	struct hist_entry e;
	struct content was;
	struct object row;
	struct objid id;

	(void)state;
	pair_open();
	replica_set_alone(a->tree, true);
	make_large(a, "f", 1);
	row_at(a, "f", &row);
	id = row.id;
	object_release(&row);
	write_name(a, "f", "alice");
	assert_in_range(in_use(a), LARGE, LARGE + 5000);
	store_lock(a->store);
	assert_int_equal(hist_next(a->tree, id, NULL, &e), 0);
	while (!e.content.depth)
		assert_int_equal(hist_next(a->tree, id, &e.name, &e), 0);
	was = e.content;
	store_unlock(a->store);
	assert_int_equal(content_read(a->store, &was, 0, got, LARGE), LARGE);
	assert_memory_equal(got, p, LARGE);
	no_history(a);
	assert_int_equal(in_use(a), 0);
	free(p);
	free(got);
	pair_close();
}

/* The base of a conflict. */
static void test_base(void **state)
{
	struct variants v;
	uint8_t *p = large(1), *got = malloc(LARGE);
	struct content was;

	(void)state;
	pair_open();
	make_large(a, "f", 1);
	merge_from(b, a);
	write_name(a, "f", "alice");
	write_name(b, "f", "bob");
	merge_from(a, b);
	no_history(a);
	round_of(a);
	variants_at(a, "f", &v);
	assert_true(v.base_known && v.base.here);
	was = v.base.content;
	variants_release(&v);
	assert_int_equal(content_read(a->store, &was, 0, got, LARGE), LARGE);
	assert_memory_equal(got, p, LARGE);
	free(p);
	free(got);
	pair_close();
}

/* Who has looked at a conflict is waited for. */
static void test_held(void **state)
{
	struct variants v;
	struct object o;

	(void)state;
	pair_open();
	make_large(a, "f", 1);
	merge_from(b, a);
	write_name(a, "f", "alice");
	write_name(b, "f", "bob");
	merge_from(a, b);
	variants_at(a, "f", &v);
	assert_int_equal(reclaim_begin(a->store, &whole), 0);
	assert_int_equal(reclaim_step(a->store), 0);
	assert_int_equal(reclaim_step(a->store), -EAGAIN);
	variants_release(&v);
	round_of(a);
	row_at(a, "f", &o);
	assert_int_equal(tree_variants_of(a->tree, o.id, &v), 0);
	object_release(&o);
	assert_int_equal(reclaim_begin(a->store, &whole), 0);
	assert_int_equal(reclaim_step(a->store), 0);
	assert_int_equal(reclaim_step(a->store), -EAGAIN);
	variants_release(&v);
	round_of(a);
	pair_close();
}

/* A row on its way in names what came along with it. */
static void test_staged(void **state)
{
	uint8_t key[25] = { 0 };
	struct content c;
	struct object o;
	struct slice v;
	struct objid id;
	struct row row;

	(void)state;
	pair_open();
	no_history(a);
	make_large(a, "f", 1);
	row_at(a, "f", &o);
	id = o.id;
	object_release(&o);
	store_lock(a->store);
	assert_int_equal(row_read(a->tree, id, &row), 0);
	for (size_t k = 0; k < row.o.count; k++)
		if (row.o.versions[k].reg == REG_CONTENT)
			c = row.o.versions[k].content.content;
	row_release(&row);
	key[7] = 9;
	memcpy(key + 9, id.b, 16);
	store_unlock(a->store);
	for (const char *kind = "rpsm"; *kind; kind++) {
		struct slice versions;
		uint64_t from;
		uint8_t copy[4000];

		key[8] = (uint8_t)*kind;
		store_lock(a->store);
		assert_int_equal(store_get(a->store, TABLE_OBJ,
					   SLICE(id.b, 16), &v), 0);
		assert_int_equal(versions_of(v, &versions, &from), 0);
		assert_true(versions.len <= sizeof(copy));
		memcpy(copy, versions.data, versions.len);
		assert_int_equal(store_op_begin(a->store), 0);
		assert_int_equal(store_put(a->store, TABLE_STAGE,
					   SLICE(key, 25),
					   *kind == 'm' ? SLICE("", 0) :
					   SLICE(copy, versions.len)), 0);
		assert_int_equal(store_op_end(a->store), 0);
		store_unlock(a->store);
	}
	rm(a, ROOT, "f");
	no_history(a);
	for (const char *kind = "rps"; *kind; kind++) {
		assert_in_range(in_use(a), LARGE, LARGE + 5000);
		store_lock(a->store);
		assert_true(content_complete(a->tree, &c));
		key[8] = (uint8_t)*kind;
		assert_int_equal(store_op_begin(a->store), 0);
		assert_int_equal(store_del(a->store, TABLE_STAGE,
					   SLICE(key, 25)), 0);
		assert_int_equal(store_op_end(a->store), 0);
		store_unlock(a->store);
	}
	assert_int_equal(in_use(a), 0);
	pair_close();
}

/* ---- a round just where somebody reads or has written, without the lock */

static struct {
	void (*at_read)(void);
	void (*after_write)(void);
	void (*after_copy)(void); /* a write elsewhere */
} hooks;

static bool is_data(int fd)
{
	char link[64], name[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	name[n < 0 ? 0 : n] = '\0';
	return strstr(name, "/seg/") != NULL;
}

ssize_t kin_pread(int fd, void *ret, size_t len, off_t at) __asm__("pread64");
ssize_t kin_pwrite(int fd, const void *p, size_t len,
		   off_t at) __asm__("pwrite64");

ssize_t kin_pread(int fd, void *ret, size_t len, off_t at)
{
	if (hooks.at_read && is_data(fd))
		steal(&hooks.at_read)();
	return syscall(SYS_pread64, fd, ret, len, at);
}

ssize_t kin_pwrite(int fd, const void *p, size_t len, off_t at)
{
	ssize_t n = syscall(SYS_pwrite64, fd, p, len, at);

	if (hooks.after_write && is_data(fd))
		steal(&hooks.after_write)();
	if (hooks.after_copy && !is_data(fd))
		steal(&hooks.after_copy)();
	return n;
}

/* As far as it goes. */
static int waits;

static void go_on(void)
{
	int r;

	if (!reclaim_is_running(a->store))
		assert_int_equal(reclaim_begin(a->store, &whole), 0);
	do
		r = reclaim_step(a->store);
	while (!r);
	assert_true(r == 1 || r == -EAGAIN);
	waits += r == -EAGAIN;
}

static void go_on_without(void)
{
	rm(a, ROOT, "f");
	make_large(a, "f", 9);
	no_history(a);
	go_on();
}

static void go_on_truncated(void)
{
	struct attr attr;

	assert_int_equal(tree_setattr(a->tree, look(a, ROOT, "w"),
				      &(struct tree_setattr){
					      .set = TREE_SET_SIZE }, &attr),
			 0);
	go_on();
}

static void expect_waited(void)
{
	assert_null(hooks.at_read);
	assert_null(hooks.after_write);
	assert_null(hooks.after_copy);
	assert_int_equal(waits, 1);
	waits = 0;
	round_of(a);
}

static void test_between(void **state)
{
	uint8_t *p = large(5), *got = malloc(LARGE);
	struct content_faults faults = { 0 };
	struct content c;
	struct hash hash;
	struct variants v;
	struct row row;
	struct object o;
	uint64_t ino, at = 0;
	int fd;

	(void)state;
	pair_open();
	no_history(a);
	/* Written, and not named yet. */
	ino = make_file(a, ROOT, "w", "");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	hooks.after_write = go_on;
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE(p, LARGE), false),
			 0);
	expect_waited();
	expect_large(a, ino, 5);
	/* Read where it lies, and gone meanwhile. */
	hooks.at_read = go_on_truncated;
	assert_int_equal(tree_read(a->tree, ino, 0, got, LARGE), LARGE);
	assert_memory_equal(got, p, LARGE);
	expect_waited();
	/* A version is made of it: blocks. */
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE(p, LARGE), false),
			 0);
	hooks.after_write = go_on;
	tree_release_file(a->tree, ino, true);
	expect_waited();
	expect_large(a, ino, 5);
	expect_whole(a);
	/* A chunk that came. */
	hash_bytes(p, 100000, &hash);
	hooks.after_write = go_on;
	assert_int_equal(replica_chunk_received(a->tree, &hash,
						SLICE(p, 100000)), 0);
	expect_waited();
	/* Read, and replaced meanwhile. */
	make_large(a, "f", 5);
	ino = look(a, ROOT, "f");
	hooks.at_read = go_on_without;
	assert_int_equal(tree_read(a->tree, ino, 0, got, LARGE), LARGE);
	assert_memory_equal(got, p, LARGE);
	expect_waited();
	make_large(a, "g", 5);
	row_at(a, "g", &o);
	store_lock(a->store);
	assert_int_equal(row_read(a->tree, o.id, &row), 0);
	for (size_t k = 0; k < row.o.count; k++)
		if (row.o.versions[k].reg == REG_CONTENT)
			c = row.o.versions[k].content.content;
	row_release(&row);
	store_unlock(a->store);
	object_release(&o);
	/* Readers of what is known hold by themselves: a copy, a check. */
	fd = fd_with(SLICE("", 0));
	hooks.after_copy = go_on;
	assert_int_equal(content_copy(a->store, &c, fd), 0);
	expect_waited();
	hooks.at_read = go_on;
	assert_int_equal(content_check(a->store, &c, &at, UINT64_MAX, &faults),
			 0);
	expect_waited();
	assert_int_equal(faults.missing + faults.damaged, 0);
	close(fd);
	/* A settlement's bytes. */
	merge_from(b, a);
	write_name(a, "w", "alice");
	write_name(b, "w", "bob");
	merge_from(a, b);
	variants_at(a, "w", &v);
	store_hold_end(&v.hold);
	fd = fd_with(SLICE(p, LARGE));
	hooks.after_write = go_on;
	assert_int_equal(tree_settle(a->tree, &v, fd, SETTLE_PERSON), 0);
	expect_waited();
	variants_release(&v);
	expect_large(a, look(a, ROOT, "w"), 5);
	close(fd);
	free(got);
	free(p);
	pair_close();
}

/* ---- large and empty */

static void test_sparse(void **state)
{
	static const uint64_t islands[] = { 0, (uint64_t)700 << 30,
					    ((uint64_t)1 << 40) - 4096 };
	uint8_t page[4096], got[4096];
	struct reclaim_facts facts;
	uint64_t ino;

	(void)state;
	memset(page, 'x', sizeof(page));
	fixture_open(a, "alice", true);
	ino = make_file(a, ROOT, "f", "");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	for (size_t k = 0; k < ARRAY_SIZE(islands); k++)
		assert_int_equal(tree_write(a->tree, ino, islands[k],
					    SLICE(page, sizeof(page)), false),
				 0);
	round_of(a);
	tree_release_file(a->tree, ino, true);
	for (int round = 0; round < 2; round++) {
		round_of(a);
		reclaim_facts(a->store, &facts);
		assert_true(facts.allocated_bytes < MIB);
		for (size_t k = 0; k < ARRAY_SIZE(islands); k++) {
			assert_int_equal(tree_read(a->tree, ino, islands[k],
						   got, sizeof(got)),
					 sizeof(got));
			assert_memory_equal(got, page, sizeof(got));
			if (k + 1 == ARRAY_SIZE(islands))
				break;
			assert_int_equal(tree_read(a->tree, ino,
						   islands[k] + MIB, got,
						   sizeof(got)), sizeof(got));
			assert_true(!got[0] && !got[4095]);
		}
		fixture_crash(a);
	}
	expect_whole(a);
	fixture_close(a);
}

/* ---- random files */

#define FILES 12
#define FILE_MAX 600000

struct model {
	uint8_t *bytes;
	size_t size;
	bool exists, open;
	uint64_t ino;
};

static uint64_t draw(uint64_t *state, uint64_t below)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (*state >> 33) % below;
}

static const char *name_of(size_t k)
{
	static char name[8];

	snprintf(name, sizeof(name), "f%zu", k);
	return name;
}

static void model_write(struct model *m, uint64_t *rng)
{
	size_t at = draw(rng, 3) ? (size_t)draw(rng, m->size + 1) : m->size;
	size_t len = 1 + (size_t)draw(rng, draw(rng, 2) ? 5000 : 200000);
	uint8_t c = (uint8_t)draw(rng, 256);
	bool noise = draw(rng, 3);

	len = MIN_OF(len, FILE_MAX - at);
	if (!len)
		return;
	for (size_t k = 0; k < len; k++)
		m->bytes[at + k] = noise ? (uint8_t)draw(rng, 256) : c;
	m->size = MAX_OF(m->size, at + len);
	assert_int_equal(tree_write(a->tree, m->ino, at,
				    SLICE(m->bytes + at, len), false), 0);
}

static void model_step(struct model *list, uint64_t *rng)
{
	struct model *m = &list[draw(rng, FILES)], *o = &list[draw(rng, FILES)];
	struct attr attr;

	if (!m->exists) {
		m->ino = make_file(a, ROOT, name_of((size_t)(m - list)), "");
		m->exists = true;
		m->size = 0;
		return;
	}
	switch (draw(rng, 10)) {
	case 0:
		if (m->open)
			break;
		rm(a, ROOT, name_of((size_t)(m - list)));
		m->exists = false;
		break;
	case 1:
		m->size = (size_t)draw(rng, m->size + 1);
		assert_int_equal(tree_setattr(a->tree, m->ino,
					      &(struct tree_setattr){
						      .set = TREE_SET_SIZE,
						      .size = m->size },
					      &attr), 0);
		/* (what is cut off reads as zeros if it grows again) */
		memset(m->bytes + m->size, 0, FILE_MAX - m->size);
		break;
	case 2: /* the same bytes in another file */
		if (!o->exists || o == m || !o->size || m->open || o->open)
			break;
		memcpy(m->bytes, o->bytes, o->size);
		m->size = MAX_OF(m->size, o->size);
		assert_int_equal(tree_open_file(a->tree, m->ino, true), 0);
		assert_int_equal(tree_write(a->tree, m->ino, 0,
					    SLICE(o->bytes, o->size), false),
				 0);
		tree_release_file(a->tree, m->ino, true);
		break;
	default:
		if (!m->open)
			assert_int_equal(tree_open_file(a->tree, m->ino, true),
					 0);
		model_write(m, rng);
		m->open = draw(rng, 3) == 0;
		if (!m->open)
			tree_release_file(a->tree, m->ino, true);
	}
}

static void model_check(struct model *list)
{
	uint8_t *got = malloc(FILE_MAX + 1);

	for (size_t k = 0; k < FILES; k++) {
		if (!list[k].exists)
			continue;
		assert_int_equal(tree_read(a->tree, list[k].ino, 0, got,
					   FILE_MAX + 1), list[k].size);
		assert_memory_equal(got, list[k].bytes, list[k].size);
	}
	free(got);
}

static void model_run(uint64_t seed)
{
	struct model list[FILES] = { { .bytes = NULL } };
	struct reclaim_facts facts;
	uint64_t rng = seed * 77777 + 5;

	fixture_open(a, "alice", true);
	for (size_t k = 0; k < FILES; k++)
		list[k].bytes = calloc(1, FILE_MAX);
	for (int n = 0; n < 300; n++) {
		model_step(list, &rng);
		if (!draw(&rng, 4))
			no_history(a);
		if (!reclaim_is_running(a->store) && !draw(&rng, 6))
			assert_int_equal(reclaim_begin(a->store, &whole), 0);
		for (uint64_t k = draw(&rng, 4); k; k--)
			assert_true(reclaim_step(a->store) >= 0);
		if (draw(&rng, 60))
			continue;
		/* What was open when it was killed is closed. */
		fixture_crash(a);
		for (size_t k = 0; k < FILES; k++)
			list[k].open = false;
		model_check(list);
	}
	model_check(list);
	assert_int_equal(tree_cut_settled(a->tree, 0), 0);
	no_history(a);
	reclaim_stop(a->store);
	round_of(a);
	model_check(list);
	expect_whole(a);
	reclaim_facts(a->store, &facts);
	for (size_t k = 0; k < FILES; k++) {
		if (list[k].exists)
			rm(a, ROOT, name_of(k));
		free(list[k].bytes);
	}
	fixture_crash(a);
	no_history(a);
	assert_int_equal(tree_cut_settled(a->tree, 0), 0);
	no_history(a);
	assert_int_equal(in_use(a), 0);
	reclaim_facts(a->store, &facts);
	assert_true(facts.allocated_bytes == 0);
	fixture_close(a);
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 15; seed++)
		model_run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_detached),
		cmocka_unit_test(test_unsent),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_base),
		cmocka_unit_test(test_between),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_staged),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
