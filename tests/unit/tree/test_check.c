/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a store and its repair: a sound store has no faults; whatever
 * entry of an index is taken away, changed, or there without reason is
 * found, and the repair makes all tables what they were; damaged values and
 * chunks are found, and are never given out.
 */
#include "tree_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/store/format.h"
#include "fs/tree/acks.h"
#include "fs/tree/check.h"
#include "fs/tree/derived.h"
#include "fs/tree/mend.h"
#include "fs/tree/policy.h"
#include "fs/tree/tree_internal.h"
#include "fs/tree/xattr_local.h"

/* ---- checking */

struct seen {
	uint64_t faults;
	struct check_result result;
	enum check_part part;	/* of the first */
	char what[200];
	bool parts[CHECK_UNSENT + 1];
};

static void note(void *arg, const struct check_fault *f)
{
	struct seen *s = arg;

	s->parts[f->part] = true;
	if (s->faults++)
		return;
	s->part = f->part;
	snprintf(s->what, sizeof(s->what), "%s: %s",
		 f->table < 0 ? "-" : table_name(f->table), f->what);
}

/* mend: 1 contents, 2 rows and indexes */
static uint64_t check(struct fixture *f, bool still, int mend,
		      struct seen *ret)
{
	struct check_options o = { .data = true, .still = still,
				   .fault = note, .arg = ret };
	struct mend_result mended = { 0 };
	struct check *c;
	int r;

	*ret = (struct seen){ 0 };
	assert_int_equal(check_begin(f->tree, &o, &c), 0);
	while (!(r = check_step(c)))
		;
	assert_int_equal(r, 1);
	ret->result = *check_result(c);
	assert_int_equal(ret->result.faults, ret->faults);
	if (mend & 1)
		assert_int_equal(mend_contents(c, NULL, &mended), 0);
	if (mend & 2)
		assert_int_equal(mend_rows(c, &mended), 0);
	check_end(c);
	return ret->faults;
}

static void expect_sound(struct fixture *f)
{
	struct seen s;

	for (int still = 0; still < 2; still++) {
		if (check(f, still, 0, &s))
			print_error("%s\n", s.what);
		assert_int_equal(s.faults, 0);
	}
}

/* ---- a tree with something in each table */

static void fill(struct fixture *a, struct fixture *b)
{
	char large[20000];
	uint64_t dir, ino;

	for (size_t k = 0; k + 1 < sizeof(large); k++)
		large[k] = (char)('a' + k * k % 23);
	large[sizeof(large) - 1] = 0;
	fixture_open(a, "anna", true);
	dir = make_dir(a, TREE_ROOT_INO, "dir");
	make_file(a, dir, "one", "one");
	make_file(a, dir, "gone", "removed later");
	make_file(a, dir, "large", large);
	ino = make_file(a, dir, "often", "first");
	write_file(a, ino, "second");
	fixture_open(b, "ben", false);
	merge_from(b, a);
	/* A conflict, directories of one name, a file of one name, a removal
	 * beside an edit, an old version on both. */
	make_dir(a, TREE_ROOT_INO, "both");
	make_file(a, look(a, TREE_ROOT_INO, "both"), "in-a", "x");
	make_file(a, TREE_ROOT_INO, "name", "of a");
	write_file(a, look(a, dir, "one"), "of a");
	assert_int_equal(tree_unlink(a->tree, dir, SLICE_STR("gone")), 0);
	dir = look(b, TREE_ROOT_INO, "dir");
	make_dir(b, TREE_ROOT_INO, "both");
	make_file(b, look(b, TREE_ROOT_INO, "both"), "in-b", "y");
	make_file(b, TREE_ROOT_INO, "name", "of b");
	write_file(b, look(b, dir, "one"), "of b");
	write_file(b, look(b, dir, "often"), "third");
	merge_from(a, b);
	merge_from(b, a);
	dir = look(a, TREE_ROOT_INO, "dir");
	assert_int_equal(tree_setxattr(a->tree, dir, SLICE_STR(XATTR_POLICY),
				       SLICE_STR("latest"), 0), 0);
	assert_int_equal(tree_setxattr(a->tree, dir, SLICE_STR(XATTR_ACKS),
				       SLICE_STR("1"), 0), 0);
	assert_int_equal(tree_setxattr(a->tree, dir,
				       SLICE_STR("trusted.stays.here"),
				       SLICE_STR("x"), 0), 0);
	assert_int_equal(store_commit(a->store), 0);
}

/* ---- tables */

/* All that is in the tables but clocks. */
static void digest(struct fixture *f, struct hash *ret)
{
	uint64_t d = 0;

	store_lock(f->store);
	for (unsigned int t = 0; t < TABLE_COUNT; t++) {
		uint8_t key[STORE_KEY_BYTES_MAX + 1];
		struct slice k, v;
		size_t len = 0;

		while (!store_seek(f->store, t, SLICE(key, len), &k, &v)) {
			memcpy(key, k.data, k.len);
			key[k.len] = 0;
			len = k.len + 1;
			if (t == TABLE_META &&
			    slice_equal(SLICE(key, k.len), SLICE_STR("clock")))
				continue;
			if (t == TABLE_META && k.len == 3)
				continue; /* log */
			d = checksum64(key, k.len, d + t);
			d = checksum64(v.data, v.len, d);
		}
	}
	store_unlock(f->store);
	memset(ret, 0, sizeof(*ret));
	put_le64(ret->b, d);
}

struct saved_entry {
	enum store_table table;
	uint8_t key[STORE_KEY_BYTES_MAX];
	size_t key_len;
	uint8_t value[300];
	size_t value_len;
};

static size_t index_entries(struct fixture *f, struct saved_entry *ret, size_t max)
{
	size_t n = 0;

	store_lock(f->store);
	for (unsigned int t = 0; t < TABLE_COUNT; t++) {
		uint8_t key[STORE_KEY_BYTES_MAX + 1];
		struct slice k, v;
		size_t len = 0;

		while (!store_seek(f->store, t, SLICE(key, len), &k, &v)) {
			memcpy(key, k.data, k.len);
			key[k.len] = 0;
			len = k.len + 1;
			if (entry_sort(t, SLICE(key, k.len)) != ENTRY_DERIVED)
				continue;
			assert_true(n < max && v.len <= sizeof(ret->value));
			ret[n].table = t;
			memcpy(ret[n].key, key, k.len);
			ret[n].key_len = k.len;
			memcpy(ret[n].value, v.data, v.len);
			ret[n++].value_len = v.len;
		}
	}
	store_unlock(f->store);
	return n;
}

static void edit(struct fixture *f, enum store_table t, struct slice key,
		 const struct slice *value)
{
	store_lock(f->store);
	assert_int_equal(store_op_begin(f->store), 0);
	if (value)
		assert_int_equal(store_put(f->store, t, key, *value), 0);
	else
		assert_int_equal(store_del(f->store, t, key), 0);
	assert_int_equal(store_op_end(f->store), 0);
	f->tree->group_records = store_count(f->store, TABLE_GROUP);
	store_unlock(f->store);
}

#define ENTRIES_MAX 400

static void test_sound(void **state)
{
	struct fixture a, b;

	(void)state;
	fill(&a, &b);
	expect_sound(&a);
	expect_sound(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* A table that is derived, and has nothing here, is not tested. */
static void expect_all_tables(const struct saved_entry *list, size_t n)
{
	for (enum store_table t = 0; t < TABLE_COUNT; t++) {
		bool derived = entry_sort(t, SLICE_STR("?")) == ENTRY_DERIVED;
		bool any = t == TABLE_INO; /* nothing is, but what cannot be */

		for (size_t k = 0; !any && k < n; k++)
			any = list[k].table == t;
		if (derived && !any)
			print_error("%s: nothing in it\n", table_name(t));
		assert_true(any || !derived);
	}
}

/* No segment has any bytes. */
static void empty_segments(const struct fixture *f)
{
	char path[200];
	struct stat st;

	for (unsigned int k = 0; k < 10; k++) {
		snprintf(path, sizeof(path), "%s/seg/%08x", f->path, k);
		if (stat(path, &st))
			continue;
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(truncate(path, st.st_size), 0);
	}
}

/* Its content is not here: it waits for it. */
static void make_pending(struct fixture *f)
{
	struct seen s;

	empty_segments(f);

	store_lock(f->store);
	while (store_count(f->store, TABLE_CHUNK)) {
		uint8_t bytes[sizeof(struct hash)];
		struct slice k, v;

		assert_int_equal(store_seek(f->store, TABLE_CHUNK, SLICE("", 0),
					    &k, &v), 0);
		memcpy(bytes, k.data, sizeof(bytes));
		assert_int_equal(store_op_begin(f->store), 0);
		assert_int_equal(store_del(f->store, TABLE_CHUNK,
					   SLICE(bytes, sizeof(bytes))), 0);
		assert_int_equal(store_op_end(f->store), 0);
	}
	store_unlock(f->store);
	assert_true(check(f, true, 1, &s) > 0);
	assert_int_equal(check(f, true, 0, &s), 0);
	assert_true(s.result.pending > 0);
}

/* Each entry of each index: gone; changed; and one too many. */
static void test_indexes(void **state)
{
	struct saved_entry *list = calloc(ENTRIES_MAX, sizeof(*list));
	struct fixture a, b;
	struct hash before, after;
	struct seen s;
	size_t n;

	(void)state;
	fill(&a, &b);
	make_pending(&a);
	digest(&a, &before);
	assert_int_equal(check(&a, true, 2, &s), 0);
	digest(&a, &after);
	assert_memory_equal(&before, &after, sizeof(after));
	n = index_entries(&a, list, ENTRIES_MAX);
	expect_all_tables(list, n);
	for (size_t k = 0; k < 3 * n; k++) {
		struct saved_entry *e = &list[k / 3];
		struct slice key = SLICE(e->key, e->key_len);
		struct slice value = SLICE(e->value, e->value_len);

		/* (how much a pending one waits for falls as it comes) */
		if (k % 3 == 1 && (!value.len || e->table == TABLE_PENDING))
			continue;
		if (k % 3 && slice_equal(key, SLICE_STR(META_LOCAL)))
			continue; /* what it is says nothing */
		if (k % 3 == 1) {
			e->value[value.len - 1] ^= 1;
			edit(&a, e->table, key, &value);
			e->value[value.len - 1] ^= 1;
		} else if (k % 3 == 2) {
			e->key[key.len - 1] ^= 1;
			edit(&a, e->table, key, &value);
			e->key[key.len - 1] ^= 1;
		} else {
			edit(&a, e->table, key, NULL);
		}
		check(&a, true, 2, &s);
		if (!s.faults || !s.result.indexes_wrong)
			print_error("%s, entry %zu: %s\n",
				    table_name(e->table), k, s.what);
		assert_true(s.faults && s.result.indexes_wrong);
		digest(&a, &after);
		if (memcmp(&before, &after, sizeof(after)))
			print_error("%s, entry %zu is not made again\n",
				    table_name(e->table), k);
		assert_memory_equal(&before, &after, sizeof(after));
	}
	expect_sound(&a);
	check_tree(&a);
	free(list);
	fixture_close(&a);
	fixture_close(&b);
}

/* ---- damaged bytes */

static void flip_text(const char *path, const char *name, const char *text)
{
	char file[200];
	uint8_t *bytes;
	off_t len;
	int fd, found = 0;

	snprintf(file, sizeof(file), "%s/%s", path, name);
	fd = open(file, O_RDWR);
	assert_true(fd >= 0);
	len = lseek(fd, 0, SEEK_END);
	bytes = malloc((size_t)len);
	assert_int_equal(pread(fd, bytes, (size_t)len, 0), len);
	for (off_t at = 0; at + (off_t)strlen(text) <= len; at++)
		if (!memcmp(bytes + at, text, strlen(text))) {
			bytes[at] ^= 2;
			assert_int_equal(pwrite(fd, bytes + at, 1, at), 1);
			found++;
		}
	assert_true(found > 0);
	free(bytes);
	close(fd);
}

/* A row: its file cannot be read, nothing is made of it, others can. */
static void test_row(void **state)
{
	struct fixture a, b;
	struct seen s;
	uint64_t dir;
	char bytes[100];

	(void)state;
	fill(&a, &b);
	dir = look(&a, TREE_ROOT_INO, "dir");
	make_file(&a, dir, "victim", "bytes to be damaged");
	fixture_stop(&a);
	flip_text(a.path, "db", "bytes to be damaged");
	fixture_resume(&a);
	dir = look(&a, TREE_ROOT_INO, "dir");
	assert_true(look_error(&a, dir, "victim") < 0);
	assert_true(tree_read(a.tree, look(&a, dir, "often"), 0, bytes,
			      sizeof(bytes)) > 0);
	assert_true(check(&a, true, 0, &s) > 0);
	assert_true(s.parts[CHECK_ROW]);
	assert_int_equal(s.result.rows_damaged, 1);
	check(&a, true, 3, &s);
	expect_sound(&a);
	assert_int_equal(look_error(&a, dir, "victim"), -ENOENT);
	fixture_close(&a);
	fixture_close(&b);
}

/* A chunk: EIO; nothing is cut from it; pending after the repair. */
static void test_chunk(void **state)
{
	struct fixture a, b;
	struct seen s;
	uint64_t ino;
	char byte;

	(void)state;
	fill(&a, &b);
	fixture_stop(&a);
	/* (the first bytes of "large") */
	flip_text(a.path, "seg/00000000", "abejq");
	fixture_resume(&a);
	ino = look(&a, look(&a, TREE_ROOT_INO, "dir"), "large");
	assert_int_equal(tree_read(a.tree, ino, 5, &byte, 1), -EIO);
	check(&a, true, 0, &s);
	assert_true(s.parts[CHECK_MAIN]);
	assert_true(s.result.chunks_damaged > 0);
	/* A write beside it makes no version: it fails, or stays unsent. */
	assert_int_equal(tree_open_file(a.tree, ino, true), 0);
	assert_int_equal(tree_write(a.tree, ino, 30000, SLICE_STR("new"),
				    false), 0);
	tree_release_file(a.tree, ino, true);
	assert_int_equal(tree_read(a.tree, ino, 5, &byte, 1), -EIO);
	check(&a, true, 0, &s);
	assert_true(s.parts[CHECK_MAIN]);
	check(&a, true, 1, &s);
	check(&a, true, 0, &s);
	assert_false(s.parts[CHECK_MAIN]);
	assert_int_equal(s.result.pending, 1);
	fixture_close(&a);
	fixture_close(&b);
}

/*
 * A part of a file was copied and is unsent, and the file is gone, when their
 * chunk is damaged: whoever reads the copy waits for others, and what they
 * give makes it whole.
 */
static void test_copied(void **state)
{
	cleanup(buf_release) struct buf given = BUF_INIT;
	struct fixture a, b, c;
	struct hash wanted;
	char backup[64];
	struct seen s;
	uint64_t dir, large, copy, n;
	char bytes[6] = "";

	(void)state;
	fill(&a, &b);
	dir = look(&a, TREE_ROOT_INO, "dir");
	large = look(&a, dir, "large");
	copy = make_file(&a, dir, "copy", "");
	assert_int_equal(tree_open_file(a.tree, copy, true), 0);
	assert_int_equal(tree_copy(a.tree, &(struct tree_copy){
		.from = large, .to = copy, .len = 9000 }, &n), 0);
	assert_int_equal(n, 9000);
	assert_int_equal(tree_unlink(a.tree, dir, SLICE_STR("large")), 0);
	fixture_backup(&a, backup);
	fixture_stop(&a);
	flip_text(a.path, "seg/00000000", "abejq");
	fixture_resume(&a);
	dir = look(&a, TREE_ROOT_INO, "dir");
	copy = look(&a, dir, "copy");
	assert_int_equal(tree_read(a.tree, copy, 0, bytes, 5), -EIO);
	assert_true(check(&a, true, 1, &s) > 0);
	assert_true(s.parts[CHECK_UNSENT]);
	assert_int_equal(tree_read(a.tree, copy, 0, bytes, 5), -EAGAIN);
	store_lock(a.store);
	assert_int_equal(replica_urgent(a.tree, 1, &wanted), 1);
	store_unlock(a.store);
	/* What it waits for another member has, and gives. */
	fixture_clone(&c, "carl", backup, false);
	assert_int_equal(chunk_read(c.store, &wanted, &given), 0);
	fixture_close(&c);
	assert_int_equal(replica_chunk_received(a.tree, &wanted,
						buf_slice(&given)), 0);
	assert_int_equal(tree_read(a.tree, copy, 0, bytes, 5), 5);
	assert_string_equal(bytes, "abejq");
	assert_int_equal(tree_open_file(a.tree, copy, true), 0);
	tree_release_file(a.tree, copy, true);
	check(&a, true, 0, &s);
	assert_false(s.parts[CHECK_UNSENT] || s.parts[CHECK_MAIN]);
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_indexes),
		cmocka_unit_test(test_row),
		cmocka_unit_test(test_chunk),
		cmocka_unit_test(test_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
