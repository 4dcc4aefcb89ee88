/* SPDX-License-Identifier: Apache-2.0 */
/* Stores that are moved, copied, restored, and killed while their cookie is
 * renewed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/store/cookie.h"
#include "scratch_support.h"
#include "store_support.h"

struct place {
	char *root, *store, *copy, *file;
};

static struct place place_make(void)
{
	struct place p = {.root = scratch_make()};

	p.store = scratch_path(p.root, "store");
	p.copy = scratch_path(p.root, "copy");
	p.file = scratch_path(p.root, "cookie");
	return p;
}

static void place_remove(struct place *p)
{
	scratch_remove(p->root);
	free(p->store);
	free(p->copy);
	free(p->file);
}

static void run(const char *format, const char *a, const char *b)
{
	char command[500];

	snprintf(command, sizeof(command), format, a, b);
	assert_int_equal(system(command), 0);
}

/* Opens, asks, renews if `renew`, closes. */
static bool visit(const struct place *p, const char *path, bool renew)
{
	static uint8_t count;
	uint8_t fresh[COOKIE_BYTES] = {++count, 1};
	struct store_options o = options_sim(path);
	struct store *s = store_make(&o);
	bool copy;

	assert_int_equal(cookie_is_copy(s, p->file, &copy), 0);
	if (renew)
		assert_int_equal(cookie_renew(s, p->file, fresh), 0);
	assert_int_equal(store_close(s), 0);
	return copy;
}

/* The bytes come back into the very same file, and the log is that of then:
 * empty. */
static void put_back(const struct place *p, const char *saved)
{
	run("cat '%s' > '%s/db'", saved, p->store);
	run("rm -f '%s'/log/* # %s", p->store, "");
}

static void test_same(void **state)
{
	struct place p = place_make();
	(void)state;

	assert_false(visit(&p, p.store, true));
	assert_false(visit(&p, p.store, true));
	/* It was only looked at. */
	assert_false(visit(&p, p.store, false));
	assert_false(visit(&p, p.store, true));
	run("mv '%s' '%s'", p.store, p.copy);
	assert_false(visit(&p, p.copy, true));
	place_remove(&p);
}

static void test_copied(void **state)
{
	struct place p = place_make();
	(void)state;

	assert_false(visit(&p, p.store, true));
	run("cp -a '%s' '%s'", p.store, p.copy);
	assert_true(visit(&p, p.copy, true));
	assert_false(visit(&p, p.copy, true));
	/* Now the file is the copy's. */
	assert_true(visit(&p, p.store, true));
	place_remove(&p);
}

static void test_restored(void **state)
{
	struct place p = place_make();
	char *data = scratch_path(p.store, "db");
	char *saved = scratch_path(p.root, "saved");
	(void)state;

	assert_false(visit(&p, p.store, true));
	run("cp -a '%s' '%s'", data, saved);
	assert_false(visit(&p, p.store, true));
	put_back(&p, saved);
	assert_true(visit(&p, p.store, true));
	free(data);
	free(saved);
	place_remove(&p);
}

/* To another machine, where there is no file; and the file alone is lost. */
static void test_file_missing(void **state)
{
	struct place p = place_make();
	(void)state;

	assert_false(visit(&p, p.store, true));
	assert_int_equal(unlink(p.file), 0);
	assert_true(visit(&p, p.store, true));
	assert_false(visit(&p, p.store, true));
	run("echo rubbish > '%s' # %s", p.file, "");
	assert_true(visit(&p, p.store, true));
	place_remove(&p);
}

/* A store from before it had a cookie comes back. */
static void test_no_cookie(void **state)
{
	struct place p = place_make();
	char *data = scratch_path(p.store, "db");
	char *saved = scratch_path(p.root, "saved");
	struct store_options o = options_sim(p.store);
	(void)state;

	assert_int_equal(store_close(store_make(&o)), 0);
	run("cp -a '%s' '%s'", data, saved);
	assert_false(visit(&p, p.store, true));
	put_back(&p, saved);
	assert_true(visit(&p, p.store, true));
	free(data);
	free(saved);
	place_remove(&p);
}

/* Killed between two steps: with the file from after the first step and the
 * store from before the second, or the other way round. */
static void test_killed(void **state)
{
	struct place p = place_make();
	char *data = scratch_path(p.store, "db");
	char *old = scratch_path(p.root, "old");
	char *file = scratch_path(p.root, "file");
	uint8_t bytes[64], both[64];
	size_t n;
	FILE *f;
	(void)state;

	assert_false(visit(&p, p.store, true));
	run("cp -a '%s' '%s'", data, old);
	f = fopen(p.file, "r");
	n = fread(both, 1, sizeof(both), f);
	fclose(f);
	assert_int_equal(n, 1 + 16 + 1 + COOKIE_BYTES);
	assert_false(visit(&p, p.store, true));
	f = fopen(p.file, "r");
	assert_int_equal(fread(bytes, 1, sizeof(bytes), f), n);
	fclose(f);
	/* {old, new} */
	both[17] = 2;
	memcpy(both + n, bytes + n - COOKIE_BYTES, COOKIE_BYTES);
	f = fopen(p.file, "w");
	assert_int_equal(fwrite(both, 1, n + COOKIE_BYTES, f),
			 n + COOKIE_BYTES);
	fclose(f);
	assert_false(visit(&p, p.store, false));
	put_back(&p, old);
	assert_false(visit(&p, p.store, false));
	assert_false(visit(&p, p.store, true));
	assert_false(visit(&p, p.store, true));
	free(data);
	free(old);
	free(file);
	place_remove(&p);
}

/* Killed when it had its first cookie: the file has it, the store not yet. */
static void test_killed_first(void **state)
{
	struct place p = place_make();
	char *data = scratch_path(p.store, "db");
	char *saved = scratch_path(p.root, "saved");
	struct store_options o = options_sim(p.store);
	uint8_t bytes[64];
	size_t n;
	FILE *f;
	(void)state;

	assert_int_equal(store_close(store_make(&o)), 0);
	run("cp -a '%s' '%s'", data, saved);
	assert_false(visit(&p, p.store, true));
	/* What the file was between the steps: {none, first}. */
	f = fopen(p.file, "r");
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	assert_int_equal(n, 1 + 16 + 1 + COOKIE_BYTES);
	bytes[17] = 2;
	memmove(bytes + 18 + COOKIE_BYTES, bytes + 18, COOKIE_BYTES);
	memset(bytes + 18, 0, COOKIE_BYTES);
	f = fopen(p.file, "w");
	assert_int_equal(fwrite(bytes, 1, n + COOKIE_BYTES, f),
			 n + COOKIE_BYTES);
	fclose(f);
	assert_false(visit(&p, p.store, false));
	put_back(&p, saved);
	assert_false(visit(&p, p.store, false));
	assert_false(visit(&p, p.store, true));
	/* From then on it is missed. */
	put_back(&p, saved);
	assert_true(visit(&p, p.store, true));
	free(data);
	free(saved);
	place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_copied),
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_file_missing),
		cmocka_unit_test(test_no_cookie),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_killed_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
