/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-bench [OBJECTS [DIRECTORY]]
 *
 * What one operation of the tree costs, without FUSE, and the proof of
 * equality. Without DIRECTORY also without a disk: the store is on /dev/shm
 * and never syncs. Processor time, then time by the clock; one line a
 * measure; nothing passes or fails. OBJECTS: how many files to make, 100,000
 * by default.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/tree/bucket.h"
#include "fs/tree/replica.h"
#include "fs/tree/tree.h"
#include "replication/core/sums.h"

#define FILES_A_DIRECTORY 1000

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int64_t now_ns(void *arg)
{
	(void)arg;
	return (int64_t)clock_ns(CLOCK_REALTIME);
}

static uint64_t monotonic_ns(void *arg)
{
	(void)arg;
	return clock_ns(CLOCK_MONOTONIC);
}

static void draw(void *arg, void *ret, size_t len)
{
	uint64_t *state = arg;
	uint8_t *out = ret;

	while (len--) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		*out++ = (uint8_t)(*state >> 56);
	}
}

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "kin-bench: %s: %s\n", what, strerror(-r));
	exit(1);
}

static uint64_t started_ns, started_wall_ns;

static void start(void)
{
	started_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	started_wall_ns = clock_ns(CLOCK_MONOTONIC);
}

static void report(const char *what, uint64_t count)
{
	uint64_t ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - started_ns;

	uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC) - started_wall_ns;

	printf("%-40s %9.2f us %9.2f us\n", what,
	       (double)ns / 1000 / (double)count,
	       (double)wall_ns / 1000 / (double)count);
}

static uint64_t make(struct tree *t, uint64_t dir, const char *prefix,
		     uint64_t n, enum kind kind)
{
	struct tree_new new = { .kind = kind, .perm = 0644,
				.user = SLICE_STR("user"),
				.group = SLICE_STR("user") };
	struct entry e;
	char name[32];

	snprintf(name, sizeof(name), "%s-%010llu", prefix,
		 (unsigned long long)n);
	must(tree_create(t, dir, SLICE_STR(name), &new, false, &e), "create");
	return e.attr.ino;
}

static void measure(struct tree *t, uint64_t count)
{
	struct tree_setattr chmod = { .set = TREE_SET_MODE };
	uint64_t *files = calloc(count, sizeof(*files));
	uint64_t dir = 0;
	struct attr attr;

	if (!files)
		must(-ENOMEM, "files");
	start();
	for (uint64_t i = 0; i < count; i++) {
		if (i % FILES_A_DIRECTORY == 0)
			dir = make(t, TREE_ROOT_INO, "dir", i, KIND_DIR);
		files[i] = make(t, dir, "file", i, KIND_FILE);
	}
	report("create a file", count);
	start();
	for (uint64_t i = 0; i < count; i++) {
		chmod.perm = 0600;
		must(tree_setattr(t, files[i], &chmod, &attr), "chmod");
	}
	report("chmod", count);
	start();
	for (uint64_t i = 0; i < count; i++) {
		/* A stride that is prime to count: nothing is clustered. */
		chmod.perm = 0640;
		must(tree_setattr(t, files[i * 7919 % count], &chmod, &attr),
		     "chmod");
	}
	report("chmod, scattered", count);
	free(files);
}

/* What one comparison of two equal nodes costs each of them. */
static void measure_proof(struct tree *t)
{
	struct store *s = tree_store(t);
	struct sum parents[PARENTS];
	struct leaf_set none = { { 0 } };
	struct objid at = ROOT_ID;
	size_t bytes = 0;
	int r = 0;

	start();
	for (int i = 0; i < 1000; i++) {
		struct verify v = { .level = SUMS_ROOT }, heard;
		struct buf b = BUF_INIT;
		struct hash mark;
		struct reader in;
		struct sum root;

		store_lock(s);
		v.root = bucket_root(t);
		must(know_mark(replica_know(t), &v.mark), "know_mark");
		store_unlock(s);
		verify_encode(&v, &b);
		bytes = b.len;
		in = READER(b.data, b.len);
		must(verify_decode(&in, &heard), "verify_decode");
		store_lock(s);
		root = bucket_root(t);
		must(know_mark(replica_know(t), &mark), "know_mark");
		store_unlock(s);
		if (!hash_equal(&mark, &heard.mark) ||
		    !sum_equal(&root, &heard.root))
			must(-EUCLEAN, "the proof");
		buf_release(&b);
	}
	report("prove equality, both sides", 1000);
	printf("  %d bytes of proof, in %zu with the name of K, over %llu "
	       "objects\n", SUM_BYTES, bytes,
	       (unsigned long long)bucket_count(t));
	start();
	store_lock(s);
	must(bucket_parents(t, parents), "bucket_parents");
	store_unlock(s);
	report("if it fails: sums of all parents", 1);
	start();
	store_lock(s);
	while (!r)
		r = bucket_objects(t, &at, 2048, &none, NULL, NULL);
	store_unlock(s);
	must(r, "bucket_objects");
	report("if it fails: go through all objects", 1);
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	char dir[4096];
	uint64_t state = 1;
	struct tree_env env = { .arg = &state, .now_ns = now_ns,
				.monotonic_ns = monotonic_ns, .random = draw };
	struct store_options so = { .path = dir, .no_sync = true };
	struct tree_options to = { .env = &env, .volume = { { 7 } },
				   .user = SLICE_STR("user"),
				   .group = SLICE_STR("user"),
				   .root_perm = 0755,
				   .label = SLICE_STR("bench") };
	struct store *s;
	struct tree *t;

	if (!count) {
		fputs("usage: kin-bench [OBJECTS [DIRECTORY]]\n", stderr);
		return 2;
	}
	so.no_sync = argc < 3;
	snprintf(dir, sizeof(dir), "%s/kin-bench-XXXXXX", argc > 2 ? argv[2] :
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(dir))
		must(-EIO, "mkdtemp");
	must(store_open(&so, NULL, &s), "store_open");
	to.store = s;
	must(tree_open(&to, &t), "tree_open");
	measure(t, count);
	measure_proof(t);
	tree_close(t);
	store_abandon(s);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
