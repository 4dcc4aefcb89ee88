/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data against a model: random writes, truncations, reads, cuts and
 * crashes on one inode compared with an array of bytes; handles that outlive
 * names; and what a failed operation must leave as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#include "fs/store/store_internal.h"
#include "fs/tree/decided.h"
#include "fs/tree/history.h"
#include "tree_support.h"

#define ROOT TREE_ROOT_INO

/* A kernel whose file system cannot write past memory; how often it was
 * asked. */
static const char *release = "6.16.0";
static unsigned int once_asked;

int uname(struct utsname *ret)
{
	*ret = (struct utsname){ .sysname = "Linux" };
	strcpy(ret->release, release);
	return 0;
}

ssize_t pwritev2(int fd, const struct iovec *v, int count, off_t offset,
		 int flags)
{
	(void)fd;
	(void)v;
	(void)count;
	(void)offset;
	assert_int_equal(flags, 0x80 /* RWF_DONTCACHE */);
	once_asked++;
	errno = EOPNOTSUPP;
	return -1;
}

/* What is to leave memory, all told, and the first byte of it. */
static uint64_t left_bytes, left_from;

int posix_fadvise(int fd, off_t offset, off_t len, int advice)
{
	(void)fd;
	if (advice != POSIX_FADV_DONTNEED)
		return 0;
	left_bytes += (uint64_t)len;
	left_from = MIN_OF(left_from, (uint64_t)offset);
	return 0;
}

static uint64_t draw(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ---- bytes */

#define MODEL_MAX (3u << 20)

struct model {
	struct fixture f;
	uint64_t seed, ino;
	uint8_t *bytes, *got;
	size_t size, max;
	int handles;
};

static void model_open(struct model *m, uint64_t seed)
{
	static const size_t sizes[] = { 100, 5000, 20000, 300000, MODEL_MAX };

	*m = (struct model){ .seed = seed, .max = sizes[seed % 5] };
	m->bytes = calloc(1, MODEL_MAX);
	m->got = malloc(MODEL_MAX + 1);
	fixture_open(&m->f, "alice", true);
	m->ino = make_file(&m->f, ROOT, "f", "");
}

static void model_close(struct model *m)
{
	for (; m->handles; m->handles--)
		tree_release_file(m->f.tree, m->ino, true);
	check_tree(&m->f);
	fixture_close(&m->f);
	free(m->bytes);
	free(m->got);
}

static void model_write(struct model *m)
{
	bool append = draw(&m->seed) % 4 == 0;
	size_t at = append ? m->size : draw(&m->seed) % m->max;
	size_t len = 1 + draw(&m->seed) % (draw(&m->seed) % 3 ?
					   200 : m->max / 2 + 1);
	bool zeros = draw(&m->seed) % 8 == 0;

	if (at >= MODEL_MAX)
		return;
	if (len > MODEL_MAX - at)
		len = MODEL_MAX - at;
	if (at > m->size)
		memset(m->bytes + m->size, 0, at - m->size);
	for (size_t k = 0; k < len; k++)
		m->bytes[at + k] = zeros ? 0 : (uint8_t)draw(&m->seed);
	if (at + len > m->size)
		m->size = at + len;
	assert_int_equal(tree_write(m->f.tree, m->ino, append ? 7 : at,
				    SLICE(m->bytes + at, len), append), 0);
}

static void model_truncate(struct model *m)
{
	struct tree_setattr s = { .set = TREE_SET_SIZE };
	struct attr a;

	s.size = draw(&m->seed) % 3 ? draw(&m->seed) % (m->size + 1)
				    : draw(&m->seed) % m->max;
	if (draw(&m->seed) % 10 == 0)
		s.size = 0;
	assert_int_equal(tree_setattr(m->f.tree, m->ino, &s, &a), 0);
	assert_int_equal(a.size, s.size);
	if (s.size > m->size)
		memset(m->bytes + m->size, 0, s.size - m->size);
	m->size = s.size;
}

static void model_read(struct model *m, size_t at, size_t len)
{
	int64_t n = tree_read(m->f.tree, m->ino, at, m->got, len);
	size_t want = at >= m->size ? 0 : m->size - at;
	struct attr a;

	if (want > len)
		want = len;
	assert_int_equal(n, want);
	assert_memory_equal(m->got, m->bytes + (want ? at : 0), want);
	assert_int_equal(tree_getattr(m->f.tree, m->ino, &a), 0);
	assert_int_equal(a.size, m->size);
}

static void model_step(struct model *m)
{
	struct tree_setattr s = { .set = TREE_SET_MTIME };
	struct attr a;

	switch (draw(&m->seed) % 16) {
	case 0 ... 5:
		model_write(m);
		break;
	case 6:
		model_truncate(m);
		break;
	case 7 ... 9:
		model_read(m, draw(&m->seed) % m->max,
			   draw(&m->seed) % m->max + 1);
		break;
	case 10:
		if (m->handles < 3) {
			assert_int_equal(tree_open_file(m->f.tree, m->ino,
							true), 0);
			m->handles++;
		}
		break;
	case 11 ... 12:
		if (m->handles) {
			tree_release_file(m->f.tree, m->ino, true);
			m->handles--;
		}
		break;
	case 13:
		s.mtime.tv_sec = (time_t)(draw(&m->seed) % 1000000);
		assert_int_equal(tree_setattr(m->f.tree, m->ino, &s, &a), 0);
		assert_int_equal(a.mtime.tv_sec, s.mtime.tv_sec);
		assert_true(tree_cut_settled(m->f.tree, 0) >= 0);
		assert_int_equal(tree_getattr(m->f.tree, m->ino, &a), 0);
		assert_int_equal(a.mtime.tv_sec, s.mtime.tv_sec);
		break;
	case 14:
		m->f.now_ns += (int64_t)(draw(&m->seed) % 9) * 1000000000;
		tree_cut_due(m->f.tree);
		break;
	default:
		if (draw(&m->seed) % 3)
			break;
		fixture_crash(&m->f);
		m->handles = 0;
		model_read(m, 0, MODEL_MAX);
	}
}

static void test_random_bytes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct model m;

		model_open(&m, seed);
		for (int k = 0; k < 120; k++)
			model_step(&m);
		model_read(&m, 0, MODEL_MAX);
		assert_true(tree_cut_settled(m.f.tree, 0) >= 0);
		model_read(&m, 0, MODEL_MAX);
		model_close(&m);
	}
}

/* ---- a failed operation */

static void test_failed_write(void **state)
{
	struct fixture f;
	struct tree_setattr s = { .set = TREE_SET_SIZE, .size = 9 };
	struct attr before, after;
	struct know know = KNOW_INIT;
	uint64_t ino, lseq;
	char bytes[2000];

	(void)state;
	memset(bytes, 'x', sizeof(bytes) - 1);
	bytes[sizeof(bytes) - 1] = '\0';
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "hello");
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	assert_int_equal(tree_getattr(f.tree, ino, &before), 0);
	store_lock(f.store);
	assert_int_equal(know_copy(&know, replica_know(f.tree)), 0);
	lseq = replica_lseq(f.tree);
	store_unlock(f.store);

	f.store->space.full = -ENOSPC;
	assert_int_equal(tree_write(f.tree, ino, 0, SLICE_STR(bytes), false),
			 -ENOSPC);
	assert_int_equal(tree_setattr(f.tree, ino, &s, &after), -ENOSPC);
	/* as before, in memory too */
	assert_int_equal(tree_getattr(f.tree, ino, &after), 0);
	assert_memory_equal(&before, &after, sizeof(after));
	expect_bytes(&f, ino, "hello");
	store_lock(f.store);
	assert_true(know_equal(&know, replica_know(f.tree)));
	assert_int_equal(replica_lseq(f.tree), lseq);
	store_unlock(f.store);
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	f.store->space.full = 0;

	assert_int_equal(tree_write(f.tree, ino, 5, SLICE_STR("!"), false), 0);
	expect_bytes(&f, ino, "hello!");
	tree_release_file(f.tree, ino, true);
	expect_bytes(&f, ino, "hello!");
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	know_release(&know);
	check_tree(&f);
	fixture_close(&f);
}

/* On a full disk all goes on that removes something. */
static void test_full_disk_makes_room(void **state)
{
	struct tree_setattr s = { .set = TREE_SET_SIZE, .size = 3 };
	struct tree_new n = { .kind = KIND_DIR, .perm = 0755,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	char name[256], bytes[3000];
	struct fixture f;
	struct entry e;
	struct attr a;
	uint64_t ino, shed;

	(void)state;
	memset(name, 'n', 250);
	name[250] = '\0';
	memset(bytes, 'x', sizeof(bytes) - 1);
	bytes[sizeof(bytes) - 1] = '\0';
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "file", bytes);
	make_file(&f, ROOT, name, "removed");
	assert_int_equal(tree_create(f.tree, ROOT, SLICE_STR("dir"), &n, false,
				     &e), 0);
	write_file(&f, ino, "HEAD");
	write_file(&f, ino, "head");
	f.store->space.full = -ENOSPC;
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	/* (it was a version at once) */
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	store_lock(f.store);
	assert_int_equal(store_count(f.store, TABLE_DIRTY), 0);
	store_unlock(f.store);
	expect_bytes(&f, ino, "hea");
	assert_int_equal(tree_unlink(f.tree, ROOT, SLICE_STR(name)), 0);
	assert_int_equal(tree_rmdir(f.tree, ROOT, SLICE_STR("dir")), 0);
	/* History goes, too, by bytes, and then there is none. */
	assert_int_equal(tree_shed_history(f.tree, 1, &shed), 0);
	assert_true(shed > 3000);
	while (shed)
		assert_int_equal(tree_shed_history(f.tree, 1, &shed), 0);
	store_lock(f.store);
	assert_int_equal(store_count(f.store, TABLE_HIST), 0);
	store_unlock(f.store);
	f.store->space.full = 0;
	assert_int_equal(look_error(&f, ROOT, name), -ENOENT);
	assert_int_equal(look_error(&f, ROOT, "dir"), -ENOENT);
	check_tree(&f);
	fixture_close(&f);
}

static void test_failed_create(void **state)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0644,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct fixture f;
	struct entry e;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "1");
	f.store->space.full = -ENOSPC;
	assert_int_equal(tree_create(f.tree, ROOT, SLICE_STR("g"), &n, true,
				     &e), -ENOSPC);
	assert_int_equal(look_error(&f, ROOT, "g"), -ENOENT);
	f.store->space.full = 0;
	assert_int_equal(make_file(&f, ROOT, "g", "2"), ino + 1);
	check_tree(&f);
	fixture_close(&f);
}

/* A cut that fails keeps the writes, also those of an inode whose last
 * handle is closed and whose name another content has. */
static void test_failed_cut_of_detached(void **state)
{
	struct fixture a, b;
	uint64_t ino;
	char name[256];

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	memset(name, 'n', 250);
	name[250] = '\0';
	make_file(&a, ROOT, name, "base");
	merge_from(&b, &a);
	ino = look(&b, ROOT, name);
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("BOB!"), false),
			 0);
	write_file(&a, look(&a, ROOT, name), "alice's");
	merge_from(&b, &a);
	b.store->failure = -EIO;
	tree_release_file(b.tree, ino, true);
	assert_int_equal(list(&b, ROOT, NULL, 0), 1);
	b.store->failure = 0;
	b.now_ns += 60000000000;
	tree_cut_due(b.tree);
	assert_int_equal(tree_cut_settled(b.tree, 0), 0);
	assert_int_equal(list(&b, ROOT, NULL, 0), 2);
	name_with(&b, ROOT, "conflict", name);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/*
 * Bob writes the file by two handles; what one of them was opened on, alice
 * has replaced meanwhile, so each makes a branch, and the last one made is
 * main. The name shows that at once, also while the other handle has unsent
 * writes: who removes the file has seen what goes.
 */
static void test_main_by_another_handle(void **state)
{
	for (int removed = 0; removed < 2; removed++) {
		struct fixture a, b;
		uint64_t first, second;
		char name[256];

		(void)state;
		fixture_open(&a, "alice", true);
		fixture_open(&b, "bob", false);
		make_file(&a, ROOT, "f", "base");
		merge_from(&b, &a);
		first = look(&b, ROOT, "f");
		assert_int_equal(tree_open_file(b.tree, first, true), 0);
		assert_int_equal(tree_write(b.tree, first, 0,
					    SLICE_STR("FIRST"), false), 0);
		write_file(&a, look(&a, ROOT, "f"), "alice's");
		merge_from(&b, &a);
		second = look(&b, ROOT, "f");
		assert_int_not_equal(first, second);
		assert_int_equal(tree_open_file(b.tree, second, true), 0);
		assert_int_equal(tree_write(b.tree, second, 0,
					    SLICE_STR("SECOND"), false), 0);
		expect_bytes(&b, look(&b, ROOT, "f"), "SECONDs");
		tree_release_file(b.tree, first, true);
		/* the first is main, newer than alice's; and shown */
		expect_bytes(&b, look(&b, ROOT, "f"), "FIRST");
		expect_bytes(&b, second, "SECONDs");
		name_with(&b, ROOT, "conflict alice", name);
		expect_bytes(&b, look(&b, ROOT, name), "alice's");
		check_tree(&b);
		if (removed)
			assert_int_equal(tree_unlink(b.tree, ROOT,
						     SLICE_STR("f")), 0);
		/* the second was made from alice's, and is that branch */
		tree_release_file(b.tree, second, true);
		name_with(&b, ROOT, "conflict alice", name);
		expect_bytes(&b, look(&b, ROOT, name), "SECONDs");
		if (removed)
			assert_int_equal(look_error(&b, ROOT, "f"), -ENOENT);
		else
			expect_bytes(&b, look(&b, ROOT, "f"), "FIRST");
		check_tree(&b);
		fixture_close(&a);
		fixture_close(&b);
	}
}

/* ---- handles that outlive names */

static void test_rename_over_open(void **state)
{
	struct fixture f;
	struct attr at;
	uint64_t old, new;

	(void)state;
	fixture_open(&f, "alice", true);
	old = make_file(&f, ROOT, "f", "old");
	assert_int_equal(tree_open_file(f.tree, old, true), 0);
	assert_int_equal(tree_open_file(f.tree, old, false), 0);
	assert_int_equal(tree_write(f.tree, old, 3, SLICE_STR("+"), false), 0);
	new = make_file(&f, ROOT, "f.tmp", "new");
	assert_int_equal(tree_rename(f.tree, ROOT, SLICE_STR("f.tmp"), ROOT,
				     SLICE_STR("f"), 0), 0);
	assert_int_equal(look(&f, ROOT, "f"), new);
	expect_bytes(&f, old, "old+");
	assert_int_equal(tree_write(f.tree, old, 4, SLICE_STR("+"), false), 0);
	expect_bytes(&f, old, "old++");
	assert_int_equal(tree_getattr(f.tree, old, &at), 0);
	assert_int_equal(at.nlink, 0);
	tree_release_file(f.tree, old, true);
	expect_bytes(&f, old, "old++"); /* a reader is left */
	f.now_ns += 60000000000;
	tree_cut_due(f.tree);
	expect_bytes(&f, old, "old++");
	tree_release_file(f.tree, old, false);
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	assert_int_equal(list(&f, ROOT, NULL, 0), 1);
	expect_bytes(&f, look(&f, ROOT, "f"), "new");
	check_tree(&f);
	fixture_close(&f);
}

/* Nothing is hashed or appended again and again for a file that has no name
 * and will never be a version. */
static void test_unlinked_is_not_built(void **state)
{
	struct fixture f;
	struct store_stats one, two;
	uint8_t *bytes = malloc(1 << 20);
	uint64_t ino;

	(void)state;
	memset(bytes, 'x', 1 << 20);
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "");
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	for (uint64_t at = 0; at < 1 << 20; at += 1000)
		assert_int_equal(tree_write(f.tree, ino, (1 << 20) - at,
					    SLICE(bytes, 1000), false), 0);
	assert_int_equal(tree_unlink(f.tree, ROOT, SLICE_STR("f")), 0);
	store_stats(f.store, &one);
	for (int k = 0; k < 10; k++) {
		f.now_ns += 60000000000;
		tree_cut_due(f.tree);
		assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	}
	store_stats(f.store, &two);
	assert_int_equal(one.data_bytes, two.data_bytes);
	tree_release_file(f.tree, ino, true);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
}

/* rm of a name in conflict: what its handles write is gone, as with any
 * unlinked file, and no sibling comes back. */
static void test_remove_sibling_while_open(void **state)
{
	for (int main = 0; main < 2; main++)
		for (int early = 0; early < 2; early++) {
			struct fixture a, b;
			char name[256] = "f";
			uint64_t ino;

			(void)state;
			fixture_open(&a, "alice", true);
			fixture_open(&b, "bob", false);
			make_file(&a, ROOT, "f", "base");
			merge_from(&b, &a);
			write_file(&a, look(&a, ROOT, "f"), "alice's");
			write_file(&b, look(&b, ROOT, "f"), "bob's");
			merge_from(&b, &a);
			if (!main)
				name_with(&b, ROOT, "conflict", name);
			ino = look(&b, ROOT, name);
			assert_int_equal(tree_open_file(b.tree, ino, true),
					 0);
			if (early)
				assert_int_equal(tree_write(b.tree, ino, 0,
							    SLICE_STR("XX"),
							    false), 0);
			assert_int_equal(tree_unlink(b.tree, ROOT,
						     SLICE_STR(name)), 0);
			assert_int_equal(list(&b, ROOT, NULL, 0), 1);
			assert_int_equal(tree_write(b.tree, ino, 2,
						    SLICE_STR("YY"), false),
					 0);
			tree_release_file(b.tree, ino, true);
			assert_int_equal(tree_cut_settled(b.tree, 0), 0);
			assert_int_equal(list(&b, ROOT, NULL, 0), 1);
			check_tree(&b);
			fixture_close(&a);
			fixture_close(&b);
		}
}

/* mv of a sibling that is open and written: the writes go with it. */
static void test_move_sibling_while_written(void **state)
{
	struct fixture a, b;
	char name[256];
	uint64_t ino;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", "base");
	merge_from(&b, &a);
	write_file(&a, look(&a, ROOT, "f"), "alice's");
	b.now_ns = a.now_ns + 1000000000;
	write_file(&b, look(&b, ROOT, "f"), "bob's");
	merge_from(&b, &a);
	name_with(&b, ROOT, "conflict", name);
	ino = look(&b, ROOT, name);
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("ALICE"),
				    false), 0);
	assert_int_equal(tree_rename(b.tree, ROOT, SLICE_STR(name), ROOT,
				     SLICE_STR("mine"), 0), 0);
	expect_bytes(&b, look(&b, ROOT, "mine"), "ALICE's");
	tree_release_file(b.tree, ino, true);
	assert_int_equal(list(&b, ROOT, NULL, 0), 2);
	expect_bytes(&b, look(&b, ROOT, "mine"), "ALICE's");
	expect_bytes(&b, look(&b, ROOT, "f"), "bob's");
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* kin resolve while a sibling is open: its handle goes on with its bytes. */
static void test_resolve_while_open(void **state)
{
	struct fixture a, b;
	char name[256];
	uint64_t sibling, main;

	(void)state;
	for (int take = 0; take < 2; take++) {
		fixture_open(&a, "alice", true);
		fixture_open(&b, "bob", false);
		make_file(&a, ROOT, "f", "base");
		merge_from(&b, &a);
		write_file(&a, look(&a, ROOT, "f"), "alice's");
		b.now_ns = a.now_ns + 1000000000;
		write_file(&b, look(&b, ROOT, "f"), "bob's");
		merge_from(&b, &a);
		name_with(&b, ROOT, "conflict", name);
		sibling = look(&b, ROOT, name);
		main = look(&b, ROOT, "f");
		assert_int_equal(tree_open_file(b.tree, sibling, false), 0);
		assert_int_equal(tree_open_file(b.tree, main, false), 0);
		assert_int_equal(tree_resolve(b.tree, ROOT, SLICE_STR("f"),
					      take ? SLICE_STR("alice")
						   : SLICE_STR("main")), 0);
		expect_bytes(&b, sibling, "alice's");
		expect_bytes(&b, main, "bob's");
		tree_release_file(b.tree, sibling, false);
		tree_release_file(b.tree, main, false);
		expect_bytes(&b, look(&b, ROOT, "f"),
			     take ? "alice's" : "bob's");
		check_tree(&b);
		fixture_close(&a);
		fixture_close(&b);
	}
}

/* A sibling has an mtime of its own; writing it is not writing main. */
static void test_sibling_mtime(void **state)
{
	struct tree_setattr s = { .set = TREE_SET_MTIME,
				  .mtime = { 12345, 6 } };
	struct attr before, at;
	struct fixture a, b;
	char name[256];
	uint64_t ino;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", "base");
	merge_from(&b, &a);
	write_file(&a, look(&a, ROOT, "f"), "alice's");
	b.now_ns = a.now_ns + 1000000000;
	write_file(&b, look(&b, ROOT, "f"), "bob's");
	merge_from(&b, &a);
	name_with(&b, ROOT, "conflict", name);
	ino = look(&b, ROOT, name);
	assert_int_equal(tree_getattr(b.tree, look(&b, ROOT, "f"), &before),
			 0);
	b.now_ns += 1000000000;
	write_file(&b, ino, "again");
	assert_int_equal(tree_getattr(b.tree, look(&b, ROOT, "f"), &at), 0);
	assert_int_equal(at.mtime.tv_sec, before.mtime.tv_sec);
	assert_int_equal(tree_setattr(b.tree, ino, &s, &at), 0);
	assert_int_equal(at.mtime.tv_sec, 12345);
	assert_int_equal(tree_getattr(b.tree, look(&b, ROOT, "f"), &at), 0);
	assert_int_equal(at.mtime.tv_sec, before.mtime.tv_sec);
	/* written and not cut yet, as cp -p does */
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("A"), false),
			 0);
	s.mtime.tv_sec = 54321;
	assert_int_equal(tree_setattr(b.tree, ino, &s, &at), 0);
	tree_release_file(b.tree, ino, true);
	assert_int_equal(look(&b, ROOT, name), ino);
	assert_int_equal(tree_getattr(b.tree, ino, &at), 0);
	assert_int_equal(at.mtime.tv_sec, 54321);
	assert_int_equal(tree_getattr(b.tree, look(&b, ROOT, "f"), &at), 0);
	assert_int_equal(at.mtime.tv_sec, before.mtime.tv_sec);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* ---- content that is not here yet */

static int send_hash(void *arg, const struct hash *h)
{
	struct hash *list = arg;
	size_t k = 0;
	static const struct hash none;

	while (!hash_equal(&list[k], &none))
		k++;
	list[k] = *h;
	return 0;
}

/* All chunks that `to` wants and `from` has. */
static void fetch(struct fixture *to, struct fixture *from)
{
	for (;;) {
		struct hash list[300] = { 0 };
		int64_t n;

		store_lock(to->store);
		n = replica_wants(to->tree, 299, send_hash, list);
		store_unlock(to->store);
		if (n <= 0)
			break;
		for (int64_t k = 0; k < n; k++) {
			struct buf b = BUF_INIT;

			assert_int_equal(chunk_read(from->store, &list[k],
						    &b), 0);
			assert_int_equal(replica_chunk_received(
				to->tree, &list[k], buf_slice(&b)), 0);
			buf_release(&b);
		}
	}
}

static void fill(char *bytes, char c, size_t len)
{
	memset(bytes, c, len - 1);
	bytes[len - 1] = '\0';
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

static void expect_absent(struct fixture *f, uint64_t ino, uint64_t size)
{
	int calls = 0;
	struct tree_observer o = { .arg = &calls, .wanted = count_call };
	struct hash urgent[8];
	struct attr attr;
	char got[8];

	assert_int_equal(tree_getattr(f->tree, ino, &attr), 0);
	assert_int_equal(attr.size, size);
	tree_observe(f->tree, &o);
	assert_int_equal(tree_read(f->tree, ino, 0, got, 8), -EAGAIN);
	assert_int_equal(calls, 1);
	assert_int_equal(tree_read(f->tree, ino, 1, got, 1), -EAGAIN);
	assert_int_equal(calls, 2);
	tree_observe(f->tree, &(struct tree_observer){ .arg = NULL });
	store_lock(f->store);
	assert_int_equal(replica_urgent(f->tree, 8, urgent), 1);
	store_unlock(f->store);
	/* Behind the end there is nothing to wait for. */
	assert_int_equal(tree_read(f->tree, ino, size, got, 8), 0);
}

/* What `to` waits for, from whoever has it, but not `without`. */
static void fetch_without(struct fixture *to, struct fixture *from,
			  const struct hash *without)
{
	struct hash list[8];
	size_t n;

	store_lock(to->store);
	n = replica_urgent(to->tree, 8, list);
	store_unlock(to->store);
	assert_true(n > 0);
	for (size_t k = 0; k < n; k++) {
		struct buf b = BUF_INIT;

		if (without && hash_equal(&list[k], without))
			continue;
		assert_int_equal(chunk_read(from->store, &list[k], &b), 0);
		assert_int_equal(replica_chunk_received(to->tree, &list[k],
							buf_slice(&b)), 0);
		buf_release(&b);
	}
}

static void fetch_urgent(struct fixture *to, struct fixture *from)
{
	fetch_without(to, from, NULL);
}

static struct hash first_urgent(struct fixture *f)
{
	struct hash first;

	store_lock(f->store);
	assert_int_equal(replica_urgent(f->tree, 1, &first), 1);
	store_unlock(f->store);
	return first;
}

/* Written to in the middle before it was here, and then it is replaced
 * elsewhere: no row names what these writes are based on. */
static void test_written_before_it_came(void **state)
{
	struct fixture a, b;
	char one[20000], two[20000], name[256];
	uint64_t ino;
	int rounds = 0;

	(void)state;
	fill(one, '1', sizeof(one));
	fill(two, '2', sizeof(two));
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", one);
	merge_from(&b, &a);
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 100, SLICE_STR("bob's"),
				    false), 0);
	write_file(&a, look(&a, ROOT, "f"), two);
	merge_from(&b, &a);
	tree_release_file(b.tree, ino, true);
	assert_int_equal(tree_cut_settled(b.tree, 0), 1);
	do {
		assert_true(++rounds < 10);
		fetch_urgent(&b, &a);
		b.now_ns += 10000000000;
	} while (tree_cut_settled(b.tree, 0));
	fetch(&b, &a);
	merge_from(&a, &b);
	fetch(&a, &b);
	/* It is the latest, and concurrent. */
	memcpy(one + 100, "bob's", 5);
	expect_bytes(&a, look(&a, ROOT, "f"), one);
	name_with(&a, ROOT, "conflict", name);
	expect_bytes(&a, look(&a, ROOT, name), two);
	fixture_close(&a);
	fixture_close(&b);
}

static uint64_t pending_objects(struct fixture *f)
{
	struct replica_debt debt;

	store_lock(f->store);
	assert_int_equal(replica_debt(f->tree, &debt), 0);
	store_unlock(f->store);
	return debt.objects;
}

/* The same at its end, in many chunks: a version is made as soon as those are
 * here that it changes, and the others are wanted for it. */
static void test_appended_before_it_came(void **state)
{
	static char one[1 << 20];
	struct fixture a, b;
	struct hash first;
	char name[256];
	uint64_t ino;
	int rounds = 0, calls = 0;
	struct tree_observer o = { .arg = &calls, .wanted = count_call };

	(void)state;
	for (size_t k = 0, x = 1; k < sizeof(one) - 1; k++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		one[k] = (char)('a' + (x >> 33) % 26);
	}
	memcpy(one + sizeof(one) - 6, "bob's", 6);
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	one[sizeof(one) - 6] = '\0';
	make_file(&a, ROOT, "f", one);
	one[sizeof(one) - 6] = 'b';
	merge_from(&b, &a);
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("bob's"), true),
			 0);
	write_file(&a, look(&a, ROOT, "f"), "replaced");
	merge_from(&b, &a);
	tree_release_file(b.tree, ino, true);
	assert_int_equal(tree_cut_settled(b.tree, 0), 1);
	/* The manifest; then the chunks, but for the first. */
	fetch_urgent(&b, &a);
	b.now_ns += 10000000000;
	assert_int_equal(tree_cut_settled(b.tree, 0), 1);
	first = first_urgent(&b);
	do {
		assert_true(++rounds < 100);
		fetch_without(&b, &a, &first);
		b.now_ns += 10000000000;
		calls = 0;
		tree_observe(b.tree, &o);
	} while (tree_cut_settled(b.tree, 0));
	assert_int_equal(calls, 1);
	tree_observe(b.tree, &(struct tree_observer){ .arg = NULL });
	assert_int_equal(pending_objects(&b), 1);
	fetch(&b, &a);
	assert_int_equal(pending_objects(&b), 0);
	expect_bytes(&b, look(&b, ROOT, "f"), one);
	name_with(&b, ROOT, "conflict", name);
	expect_bytes(&b, look(&b, ROOT, name), "replaced");
	check_tree(&b);
	merge_from(&a, &b);
	fetch(&a, &b);
	expect_bytes(&a, look(&a, ROOT, "f"), one);
	fixture_close(&a);
	fixture_close(&b);
}

static void test_pending(void **state)
{
	struct fixture a, b;
	char one[20000], two[20000], name[256];
	struct hash urgent[8];
	uint64_t ino;

	(void)state;
	fill(one, '1', sizeof(one));
	fill(two, '2', sizeof(two));
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", one);
	merge_from(&b, &a);
	/* Its name and size are here, its bytes are waited for. */
	ino = look(&b, ROOT, "f");
	expect_absent(&b, ino, sizeof(one) - 1);
	fetch(&b, &a);
	assert_int_equal(look(&b, ROOT, "f"), ino);
	expect_bytes(&b, ino, one);
	assert_int_equal(tree_open_file(b.tree, ino, false), 0);
	write_file(&a, look(&a, ROOT, "f"), two);
	merge_from(&b, &a);
	/* what was shown stays until the new content is here ... */
	expect_bytes(&b, look(&b, ROOT, "f"), one);
	fetch(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), two);
	/* ... and readers keep theirs for good */
	expect_bytes(&b, ino, one);
	tree_release_file(b.tree, ino, false);

	/* Written while another content is on its way. */
	write_file(&a, look(&a, ROOT, "f"), one + 1);
	merge_from(&b, &a);
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("bob's"),
				    false), 0);
	tree_release_file(b.tree, ino, true);
	two[0] = 'b', two[1] = 'o', two[2] = 'b', two[3] = '\'';
	two[4] = 's';
	expect_bytes(&b, look(&b, ROOT, "f"), two);
	fetch(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), two);
	name_with(&b, ROOT, "conflict", name);
	expect_bytes(&b, look(&b, ROOT, name), one + 1);
	store_lock(b.store);
	assert_int_equal(replica_urgent(b.tree, 8, urgent), 0);
	store_unlock(b.store);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/*
 * All of the next content is here, for it was written here, too, and nobody
 * has looked yet: a chmod does not show it. Who reads the file goes on with what he reads, and the kernel
 * is told when it changes.
 */
static void test_chmod_as_content_comes(void **state)
{
	struct tree_setattr mode = { .set = TREE_SET_MODE, .perm = 0600 };
	char one[10000], two[10000];
	struct fixture a, b;
	struct attr attr;
	uint64_t ino;

	(void)state;
	fill(one, '1', sizeof(one));
	fill(two, '2', sizeof(two));
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", one);
	merge_from(&b, &a);
	fetch(&b, &a);
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	write_file(&a, look(&a, ROOT, "f"), two);
	merge_from(&b, &a);
	make_file(&b, ROOT, "the same", two);
	assert_int_equal(tree_setattr(b.tree, ino, &mode, &attr), 0);
	expect_bytes(&b, ino, one);
	assert_int_equal(look(&b, ROOT, "f"), ino);
	fetch(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), two);
	expect_bytes(&b, ino, one);
	/* What is written to it is a sibling, for it had not shown the other. */
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("bob"), false),
			 0);
	tree_release_file(b.tree, ino, true);
	assert_int_equal(list(&b, ROOT, NULL, 0), 3);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* What was written over what is not here is read back at once, and is a
 * version when the rest came; a name that is taken away is gone. */
static void test_write_over_absent(void **state)
{
	struct fixture a, b;
	char big[20000], got[8];
	uint64_t ino;

	(void)state;
	fill(big, '1', sizeof(big));
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", big);
	make_file(&a, ROOT, "g", big + 1);
	merge_from(&b, &a);
	assert_int_equal(tree_unlink(b.tree, ROOT, SLICE_STR("g")), 0);
	assert_int_equal(look_error(&b, ROOT, "g"), -ENOENT);
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 5, SLICE_STR("bob's"),
				    false), 0);
	assert_int_equal(tree_read(b.tree, ino, 5, got, 5), 5);
	assert_memory_equal(got, "bob's", 5);
	assert_int_equal(tree_read(b.tree, ino, 4, got, 5), -EAGAIN);
	tree_release_file(b.tree, ino, true);
	assert_int_equal(tree_read(b.tree, ino, 5, got, 5), 5);
	fetch(&b, &a);
	b.now_ns += 6000000000; /* it was tried in vain, and is again */
	assert_int_equal(tree_cut_settled(b.tree, 0), 0);
	memcpy(big + 5, "bob's", 5);
	expect_bytes(&b, look(&b, ROOT, "f"), big);
	merge_from(&a, &b);
	assert_int_equal(look_error(&a, ROOT, "g"), -ENOENT);
	fetch(&a, &b);
	expect_bytes(&a, look(&a, ROOT, "f"), big);
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	check_tree(&a);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* What somebody does to a file, he does to what it shows. A newer content
 * that is on its way was not seen, and stays: as if it had come later. */
struct coming {
	struct fixture a, b;
	char one[20000], two[20000];
};

static void coming_open(struct coming *c)
{
	fill(c->one, '1', sizeof(c->one));
	fill(c->two, '2', sizeof(c->two));
	fixture_open(&c->a, "alice", true);
	fixture_open(&c->b, "bob", false);
	make_file(&c->a, ROOT, "f", c->one);
	merge_from(&c->b, &c->a);
	fetch(&c->b, &c->a);
}

static void coming_edit(struct coming *c)
{
	write_file(&c->a, look(&c->a, ROOT, "f"), c->two);
	merge_from(&c->b, &c->a);
	expect_bytes(&c->b, look(&c->b, ROOT, "f"), c->one);
}

static void coming_end(struct coming *c)
{
	fetch(&c->b, &c->a);
	merge_from(&c->a, &c->b);
	fetch(&c->a, &c->b);
	check_tree(&c->a);
	check_tree(&c->b);
}

static void coming_close(struct coming *c)
{
	fixture_close(&c->a);
	fixture_close(&c->b);
}

static void test_remove_while_coming(void **state)
{
	struct coming c;
	uint64_t ino;

	(void)state;
	coming_open(&c);
	coming_edit(&c);
	ino = look(&c.b, ROOT, "f");
	assert_int_equal(tree_open_file(c.b.tree, ino, false), 0);
	assert_int_equal(tree_unlink(c.b.tree, ROOT, SLICE_STR("f")), 0);
	expect_bytes(&c.b, ino, c.one);
	tree_release_file(c.b.tree, ino, false);
	/* alice's, which was not meant: with its size, and waited for */
	expect_absent(&c.b, look(&c.b, ROOT, "f"), sizeof(c.two) - 1);
	coming_end(&c);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), c.two);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.two);
	/* Now it was seen. */
	assert_int_equal(tree_unlink(c.b.tree, ROOT, SLICE_STR("f")), 0);
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 0);
	coming_close(&c);
}

/* Seen by its name and size, and removed. */
static void test_remove_twice_while_coming(void **state)
{
	struct coming c;

	(void)state;
	coming_open(&c);
	coming_edit(&c);
	assert_int_equal(tree_unlink(c.b.tree, ROOT, SLICE_STR("f")), 0);
	assert_int_equal(tree_unlink(c.b.tree, ROOT, SLICE_STR("f")), 0);
	assert_int_equal(look_error(&c.b, ROOT, "f"), -ENOENT);
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 0);
	coming_close(&c);
}

static void test_unsent_and_removed_while_coming(void **state)
{
	struct coming c;
	uint64_t ino;

	(void)state;
	coming_open(&c);
	coming_edit(&c);
	ino = look(&c.b, ROOT, "f");
	assert_int_equal(tree_open_file(c.b.tree, ino, true), 0);
	assert_int_equal(tree_write(c.b.tree, ino, 0, SLICE_STR("bob's"),
				    false), 0);
	assert_int_equal(tree_unlink(c.b.tree, ROOT, SLICE_STR("f")), 0);
	tree_release_file(c.b.tree, ino, true);
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 1);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), c.two);
	coming_close(&c);
}

/* An editor's save: a version of the same file, beside the other. */
static void test_save_over_while_coming(void **state)
{
	struct coming c;
	char name[256];

	(void)state;
	coming_open(&c);
	coming_edit(&c);
	make_file(&c.b, ROOT, "f.tmp", "bob's");
	assert_int_equal(tree_rename(c.b.tree, ROOT, SLICE_STR("f.tmp"), ROOT,
				     SLICE_STR("f"), 0), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's");
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 2);
	name_with(&c.a, ROOT, "conflict", name);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), "bob's");
	expect_bytes(&c.a, look(&c.a, ROOT, name), c.two);
	assert_int_equal(tree_unlink(c.a.tree, ROOT, SLICE_STR(name)), 0);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 1);
	coming_close(&c);
}

/* Whatever the clock says: what one saved has the name that one gave it. */
static void test_save_over_while_coming_late(void **state)
{
	struct coming c;
	char name[256];

	(void)state;
	coming_open(&c);
	c.a.now_ns += 3600 * 1000000000LL;
	coming_edit(&c);
	make_file(&c.b, ROOT, "f.tmp", "bob's");
	assert_int_equal(tree_rename(c.b.tree, ROOT, SLICE_STR("f.tmp"), ROOT,
				     SLICE_STR("f"), 0), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's");
	coming_end(&c);
	name_with(&c.a, ROOT, "conflict", name);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), "bob's");
	expect_bytes(&c.a, look(&c.a, ROOT, name), c.two);
	coming_close(&c);
}

/* bob's is a sibling; alice's next one is on its way to him. */
static void coming_in_conflict(struct coming *c)
{
	c->b.now_ns = c->a.now_ns;
	write_file(&c->b, look(&c->b, ROOT, "f"), "bob's");
	c->a.now_ns += 1000000000;
	write_file(&c->a, look(&c->a, ROOT, "f"), c->one + 1);
	merge_from(&c->b, &c->a);
	fetch(&c->b, &c->a);
	write_file(&c->a, look(&c->a, ROOT, "f"), c->two);
	merge_from(&c->b, &c->a);
	expect_bytes(&c->b, look(&c->b, ROOT, "f"), c->one + 1);
}

static void test_save_over_while_coming_in_conflict(void **state)
{
	struct coming c;

	(void)state;
	coming_open(&c);
	coming_in_conflict(&c);
	make_file(&c.b, ROOT, "f.tmp", "bob's next");
	assert_int_equal(tree_rename(c.b.tree, ROOT, SLICE_STR("f.tmp"), ROOT,
				     SLICE_STR("f"), 0), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's next");
	coming_end(&c);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), "bob's next");
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 3);
	coming_close(&c);
}

static void test_write_while_coming_late(void **state)
{
	struct coming c;

	(void)state;
	coming_open(&c);
	c.a.now_ns += 3600 * 1000000000LL;
	coming_edit(&c);
	write_file(&c.b, look(&c.b, ROOT, "f"), "bob's");
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's");
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 2);
	coming_close(&c);
}

static void test_write_while_coming_in_conflict(void **state)
{
	struct coming c;

	(void)state;
	coming_open(&c);
	coming_in_conflict(&c);
	write_file(&c.b, look(&c.b, ROOT, "f"), "bob's next");
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's next");
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 3);
	coming_close(&c);
}

/* bob's edit is main until alice's later one has come: it is no sibling of
 * itself meanwhile. */
static void coming_beside(struct coming *c)
{
	coming_open(c);
	c->b.now_ns = c->a.now_ns;
	write_file(&c->b, look(&c->b, ROOT, "f"), "bob's");
	c->a.now_ns += 1000000000;
	write_file(&c->a, look(&c->a, ROOT, "f"), c->two);
	merge_from(&c->b, &c->a);
	expect_bytes(&c->b, look(&c->b, ROOT, "f"), "bob's");
	assert_int_equal(list(&c->b, ROOT, NULL, 0), 1);
}

static void test_take_main_while_coming(void **state)
{
	struct coming c;
	char name[256];

	(void)state;
	coming_beside(&c);
	assert_int_equal(tree_resolve(c.b.tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's");
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 2);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), "bob's");
	name_with(&c.a, ROOT, "conflict alice", name);
	expect_bytes(&c.a, look(&c.a, ROOT, name), c.two);
	coming_close(&c);
}

static void test_write_main_while_coming(void **state)
{
	struct coming c;

	(void)state;
	coming_beside(&c);
	write_file(&c.b, look(&c.b, ROOT, "f"), "bob's next");
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's next");
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 1);
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 2);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), "bob's next");
	coming_close(&c);
}

static void test_remove_main_while_coming(void **state)
{
	struct coming c;

	(void)state;
	coming_beside(&c);
	assert_int_equal(tree_unlink(c.b.tree, ROOT, SLICE_STR("f")), 0);
	expect_absent(&c.b, look(&c.b, ROOT, "f"), sizeof(c.two) - 1);
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 1);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), c.two);
	coming_close(&c);
}

/* An old file of another name, for good: two files want the name. */
static void test_move_over_while_coming(void **state)
{
	struct coming c;
	char name[256];

	(void)state;
	coming_open(&c);
	make_file(&c.a, ROOT, "g", "old");
	merge_from(&c.b, &c.a);
	coming_edit(&c);
	assert_int_equal(tree_rename(c.b.tree, ROOT, SLICE_STR("g"), ROOT,
				     SLICE_STR("f"), 0), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "old");
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 2);
	name_with(&c.a, ROOT, "conflict", name);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), "old");
	expect_bytes(&c.a, look(&c.a, ROOT, name), c.two);
	coming_close(&c);
}

static int keep_id(void *arg, const struct decision *d)
{
	assert_int_equal(d->kind, DECISION_REVIVED);
	memcpy(arg, d->id, sizeof(d->id));
	return 0;
}

/* The edit because of which it is still there was not seen yet. */
static void test_undo_revival_while_coming(void **state)
{
	char id[DECISION_ID_CHARS + 1] = "";
	struct fixture d;
	struct coming c;

	(void)state;
	coming_open(&c);
	fixture_open(&d, "dora", false);
	merge_from(&d, &c.a);
	fetch(&d, &c.a);
	coming_edit(&c);
	assert_int_equal(tree_unlink(d.tree, ROOT, SLICE_STR("f")), 0);
	merge_from(&c.b, &d);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.one);
	assert_int_equal(tree_decided(c.b.tree, ROOT, keep_id, id), 0);
	assert_int_equal(tree_undo(c.b.tree, SLICE_STR(id)), -EAGAIN);
	coming_end(&c);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), c.two);
	assert_int_equal(tree_undo(c.b.tree, SLICE_STR(id)), 0);
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 0);
	fixture_close(&d);
	coming_close(&c);
}

/* A sibling moved over main while main's next content is on its way. */
static void test_settle_while_coming(void **state)
{
	struct coming c;
	char name[256];

	(void)state;
	coming_open(&c);
	c.b.now_ns = c.a.now_ns;
	write_file(&c.b, look(&c.b, ROOT, "f"), "bob's");
	c.a.now_ns += 1000000000;
	write_file(&c.a, look(&c.a, ROOT, "f"), c.one + 1);
	merge_from(&c.b, &c.a);
	fetch(&c.b, &c.a);
	name_with(&c.b, ROOT, "conflict", name);
	expect_bytes(&c.b, look(&c.b, ROOT, name), "bob's");
	write_file(&c.a, look(&c.a, ROOT, "f"), c.two);
	merge_from(&c.b, &c.a);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.one + 1);
	assert_int_equal(tree_rename(c.b.tree, ROOT, SLICE_STR(name), ROOT,
				     SLICE_STR("f"), 0), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's");
	coming_end(&c);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 2);
	name_with(&c.a, ROOT, "conflict", name);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), "bob's");
	expect_bytes(&c.a, look(&c.a, ROOT, name), c.two);
	coming_close(&c);
}

/* A sibling is not shown before all of it is here, and so nobody settles it. */
static void test_settle_before_a_sibling(void **state)
{
	struct fixture d;
	struct coming c;
	char name[256];

	(void)state;
	coming_open(&c);
	fixture_open(&d, "dora", false);
	merge_from(&d, &c.a);
	fetch(&d, &c.a);
	write_file(&c.a, look(&c.a, ROOT, "f"), c.two);
	d.now_ns = c.a.now_ns + 1000000000;
	write_file(&d, look(&d, ROOT, "f"), "dora's");
	c.b.now_ns = d.now_ns + 1000000000;
	write_file(&c.b, look(&c.b, ROOT, "f"), "bob's");
	merge_from(&c.b, &c.a);
	merge_from(&c.b, &d);
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 2);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "bob's");
	name_with(&c.b, ROOT, "conflict dora", name);
	assert_int_equal(tree_resolve(c.b.tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("dora")), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "dora's");
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 1);
	coming_end(&c);
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 2);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), "dora's");
	name_with(&c.b, ROOT, "conflict alice", name);
	expect_bytes(&c.b, look(&c.b, ROOT, name), c.two);
	fixture_close(&d);
	coming_close(&c);
}

/* A file whose sibling is on its way is not hidden by the next main. */
static void test_pending_sibling_then_main(void **state)
{
	struct fixture a, b;
	char big[20000];

	(void)state;
	fill(big, 'a', sizeof(big));
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", "base");
	merge_from(&b, &a);
	write_file(&a, look(&a, ROOT, "f"), big);
	b.now_ns = a.now_ns + 1000000000;
	write_file(&b, look(&b, ROOT, "f"), "bob's");
	merge_from(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), "bob's");
	merge_from(&a, &b);
	a.now_ns = b.now_ns;
	write_file(&a, look(&a, ROOT, "f"), big + 1); /* bob's branch */
	merge_from(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), "bob's");
	fetch(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), big + 1);
	assert_int_equal(list(&b, ROOT, NULL, 0), 2);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* ---- cuts while others write */

struct writer {
	struct fixture *f;
	uint64_t ino;
	bool stop;
};

static void *cut_again_and_again(void *arg)
{
	struct writer *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
		(void)!tree_cut_settled(w->f->tree, 0);
	return NULL;
}

static int64_t wall_still(void *arg)
{
	(void)arg;
	return 1700000000000000000;
}

static uint64_t monotonic_still(void *arg)
{
	(void)arg;
	return 1;
}

static void test_cut_while_writing(void **state)
{
	struct fixture f;
	struct writer w = { .f = &f };
	uint8_t *bytes = calloc(1, 1 << 18), *got = malloc(1 << 18);
	uint64_t seed = 5;
	pthread_t thread;

	(void)state;
	fixture_open(&f, "alice", true);
	f.env.now_ns = wall_still; /* no race on the fixture's clock */
	f.env.monotonic_ns = monotonic_still;
	w.ino = make_file(&f, ROOT, "f", "");
	assert_int_equal(tree_open_file(f.tree, w.ino, true), 0);
	assert_int_equal(pthread_create(&thread, NULL, cut_again_and_again,
					&w), 0);
	for (int k = 0; k < 1500; k++) {
		size_t at = draw(&seed) % ((1 << 18) - 5000);
		size_t len = 1 + draw(&seed) % 5000;

		memset(bytes + at, (int)draw(&seed), len);
		assert_int_equal(tree_write(f.tree, w.ino, at,
					    SLICE(bytes + at, len), false),
				 0);
		assert_int_equal(tree_read(f.tree, w.ino, at, got, len), len);
		assert_memory_equal(got, bytes + at, len);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	tree_release_file(f.tree, w.ino, true);
	assert_true(tree_read(f.tree, w.ino, 0, got, 1 << 18) > 200000);
	assert_memory_equal(got, bytes, 200000);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
	free(got);
}

/* Large pieces far behind in a file leave memory; all are there. */
static void test_long_file(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
		bool once;
	} writes[] = {
		{ 0, 16 << 20, false },
		{ (16 << 20) - 1, 64 << 10, false },
		{ 16 << 20, (64 << 10) - 1, false },
		{ 16 << 20, 64 << 10, true },
		{ 17 << 20, 31 << 20, true },
	};
	const size_t size = 48 << 20;
	struct fixture f;
	uint8_t *bytes = calloc(1, size), *got = malloc(size);
	uint64_t ino, seed = 5;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "");
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	for (size_t k = 0; k < ARRAY_SIZE(writes); k++) {
		uint8_t *at = bytes + writes[k].offset;

		for (size_t i = 0; i + 8 <= writes[k].len; i += 8)
			put_le64(at + i, draw(&seed));
		once_asked = 0;
		assert_int_equal(tree_write(f.tree, ino, writes[k].offset,
					    SLICE(at, writes[k].len), false),
				 0);
		assert_int_equal(once_asked, writes[k].once);
	}
	/* Those before may lose what is written to the same page. */
	for (int k = 0; k < 4; k++) {
		release = (const char *[]){"6.15.11-amd64", "5.99", "6.17.1",
					   "7.0-rc1"}[k];
		once_asked = 0;
		assert_int_equal(tree_write(f.tree, ino, 17 << 20,
					    SLICE(bytes + (17 << 20), 1 << 20),
					    false), 0);
		assert_int_equal(once_asked, k > 1);
	}
	for (int cut = 0; cut < 2; cut++) {
		left_bytes = 0;
		left_from = UINT64_MAX;
		for (size_t at = 0; at < size; at += 1 << 20)
			assert_int_equal(tree_read(f.tree, ino, at, got + at,
						   1 << 20), 1 << 20);
		assert_memory_equal(got, bytes, size);
		if (!cut) {
			assert_int_equal(left_bytes, 0);
			tree_release_file(f.tree, ino, true);
		}
		/* By the cut, and by reading it. (What was written over lies
		 * before it, too.) */
		assert_in_range(left_bytes, 16 << 20, 128 << 20);
		assert_in_range(left_from, 16 << 20, 18 << 20);
	}
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_failed_write),
		cmocka_unit_test(test_failed_create),
		cmocka_unit_test(test_full_disk_makes_room),
		cmocka_unit_test(test_failed_cut_of_detached),
		cmocka_unit_test(test_main_by_another_handle),
		cmocka_unit_test(test_rename_over_open),
		cmocka_unit_test(test_unlinked_is_not_built),
		cmocka_unit_test(test_remove_sibling_while_open),
		cmocka_unit_test(test_move_sibling_while_written),
		cmocka_unit_test(test_resolve_while_open),
		cmocka_unit_test(test_sibling_mtime),
		cmocka_unit_test(test_written_before_it_came),
		cmocka_unit_test(test_appended_before_it_came),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_chmod_as_content_comes),
		cmocka_unit_test(test_write_over_absent),
		cmocka_unit_test(test_remove_while_coming),
		cmocka_unit_test(test_remove_twice_while_coming),
		cmocka_unit_test(test_unsent_and_removed_while_coming),
		cmocka_unit_test(test_save_over_while_coming),
		cmocka_unit_test(test_save_over_while_coming_late),
		cmocka_unit_test(test_save_over_while_coming_in_conflict),
		cmocka_unit_test(test_write_while_coming_late),
		cmocka_unit_test(test_write_while_coming_in_conflict),
		cmocka_unit_test(test_take_main_while_coming),
		cmocka_unit_test(test_undo_revival_while_coming),
		cmocka_unit_test(test_write_main_while_coming),
		cmocka_unit_test(test_remove_main_while_coming),
		cmocka_unit_test(test_move_over_while_coming),
		cmocka_unit_test(test_settle_while_coming),
		cmocka_unit_test(test_settle_before_a_sibling),
		cmocka_unit_test(test_pending_sibling_then_main),
		cmocka_unit_test(test_cut_while_writing),
		cmocka_unit_test(test_long_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
