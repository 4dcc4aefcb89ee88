/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-bench [OBJECTS [DIRECTORY]]
 *
 * What one operation of the tree costs, without FUSE, the merge of what it
 * writes into another store, the proof of equality, and giving back space;
 * the sizes of rows, and the memory that all of this takes. Without DIRECTORY also without a
 * disk: the stores are on /dev/shm and never sync. Processor time, then time by the clock; one line a
 * measure; nothing passes or fails. OBJECTS: how many files to make, 100,000
 * by default.
 */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/store/reclaim.h"
#include "fs/tree/bucket.h"
#include "fs/tree/replica.h"
#include "fs/tree/tree.h"
#include "replication/core/merge.h"
#include "replication/core/sums.h"

#define FILES_A_DIRECTORY 1000
/* Records of a cut. */
#define CUT_ROWS 512

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

/* ---- rows, and what merging them costs */

struct batch {
	struct objid ids[CUT_ROWS];
	struct slice rows[CUT_ROWS]; /* in `bytes`, as offsets at first */
	size_t count;
	struct buf bytes;
	uint64_t last;
	uint64_t files, file_bytes, longest;
};

static int take_row(void *arg, const struct replica_row *row)
{
	struct batch *b = arg;
	bool dir = false;
	struct object o;

	object_init(&o, row->id);
	must(object_decode(row->row, &o), "object_decode");
	for (size_t k = 0; k < o.count; k++)
		dir |= o.versions[k].reg == REG_KIND &&
		       o.versions[k].kind.kind == KIND_DIR;
	object_release(&o);
	if (!dir) {
		b->files++;
		b->file_bytes += row->row.len;
		if (row->row.len > b->longest)
			b->longest = row->row.len;
	}
	b->ids[b->count] = row->id;
	b->rows[b->count++].len = row->row.len;
	buf_put_slice(&b->bytes, row->row);
	b->last = row->lseq;
	return buf_error(&b->bytes);
}

static bool next_batch(struct tree *t, struct batch *b)
{
	const uint8_t *at;

	b->count = 0;
	buf_reset(&b->bytes);
	store_lock(tree_store(t));
	must(replica_rows_look(t, b->last, CUT_ROWS, take_row, b), "rows");
	store_unlock(tree_store(t));
	at = b->bytes.data;
	for (size_t k = 0; k < b->count; k++) {
		b->rows[k].data = at;
		at += b->rows[k].len;
	}
	return b->count;
}

static void merge_batch(struct tree *t, const struct know *k,
			const struct batch *b)
{
	struct store *s = tree_store(t);
	struct merge m;
	int r = 0;

	store_lock(s);
	must(merge_init(&m, t, k, 7), "merge_init");
	must(replica_begin(t), "replica_begin");
	for (size_t n = 0; r >= 0 && n < b->count; n++)
		r = merge_row(&m, b->ids[n], b->rows[n]);
	if (r >= 0)
		r = replica_finish(t);
	must(replica_end(t, r), "merge");
	store_unlock(s);
	merge_release(&m);
}

static void measure_merge(struct tree *from, struct tree *to)
{
	struct batch b = { .bytes = BUF_INIT };
	uint64_t rows = 0, all_cpu = 0, all_wall = 0, worst = 0;
	struct know k = KNOW_INIT;

	store_lock(tree_store(from));
	must(know_copy(&k, replica_know(from)), "know_copy");
	store_unlock(tree_store(from));
	while (next_batch(from, &b)) {
		uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		uint64_t wall = clock_ns(CLOCK_MONOTONIC);

		merge_batch(to, &k, &b);
		wall = clock_ns(CLOCK_MONOTONIC) - wall;
		all_cpu += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		all_wall += wall;
		worst = wall > worst ? wall : worst;
		rows += b.count;
	}
	printf("%-40s %9.2f us %9.2f us\n", "merge a record",
	       (double)all_cpu / 1000 / (double)rows,
	       (double)all_wall / 1000 / (double)rows);
	printf("%-40s %9.2f ms %9.2f ms (the longest)\n",
	       "merge a cut of 512 records",
	       (double)all_wall / 1e6 / (double)rows * CUT_ROWS,
	       (double)worst / 1e6);
	printf("  rows of files: %.0f bytes, the longest %llu\n",
	       (double)b.file_bytes / (double)b.files,
	       (unsigned long long)b.longest);
	buf_release(&b.bytes);
	know_release(&k);
}

/* Of its own, without what the page cache holds of the stores. */
static void report_memory(const char *when)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "RssAnon:", 8))
			printf("  memory %s: %s", when,
			       line + 8 + strspn(line + 8, " \t"));
	if (f)
		fclose(f);
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

#define SAVES 10000
#define SAVED_FILES 100

static void save(struct tree *t, uint64_t ino, const char *bytes, size_t len)
{
	must(tree_open_file(t, ino, true), "open");
	if (tree_write(t, ino, 0, SLICE(bytes, len), false) < 0)
		must(-EIO, "write");
	tree_release_file(t, ino, true);
}

/* Each save replaces a content. In turns, since the store grows. */
static void measure_saves(struct tree *t)
{
	static const struct replica_history_limits limits[] = {
		{ 0, 0 }, { UINT64_MAX, UINT64_MAX } };
	uint64_t dir = make(t, TREE_ROOT_INO, "saves", 0, KIND_DIR);
	uint64_t files[SAVED_FILES], ino;
	char bytes[1000] = "";

	for (uint64_t i = 0; i < SAVED_FILES; i++)
		files[i] = make(t, dir, "saved", i, KIND_FILE);
	for (int round = 0; round < 4; round++) {
		store_lock(tree_store(t));
		replica_set_history(t, &limits[round & 1]);
		store_unlock(tree_store(t));
		start();
		for (uint64_t i = 0; i < SAVES; i++) {
			ino = files[i % SAVED_FILES];
			snprintf(bytes, sizeof(bytes), "%d %llu", round,
				 (unsigned long long)i);
			save(t, ino, bytes, sizeof(bytes));
		}
		report(round & 1 ? "save a file, with history" :
				   "save a file, without history", SAVES);
	}
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* ---- giving back space */

/* Of one file: a chunk and a block. */
#define SPACE_BYTES 8192
#define WATCH_NS 50000

struct watch {
	struct store *store;
	pthread_t thread;
	atomic_bool stop;
	uint64_t longest_ns;
};

/* How long somebody else waits for the lock. */
static void *watch_lock(void *arg)
{
	const struct timespec pause = { .tv_nsec = WATCH_NS };
	struct watch *w = arg;

	while (!atomic_load(&w->stop)) {
		uint64_t ns = clock_ns(CLOCK_MONOTONIC);

		store_lock(w->store);
		ns = clock_ns(CLOCK_MONOTONIC) - ns;
		store_unlock(w->store);
		w->longest_ns = ns > w->longest_ns ? ns : w->longest_ns;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void watch_start(struct watch *w, struct store *store)
{
	*w = (struct watch){ .store = store };
	must(-pthread_create(&w->thread, NULL, watch_lock, w), "thread");
}

static void watch_report(struct watch *w, const char *what)
{
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
	printf("%-40s %9.2f us\n", what, (double)w->longest_ns / 1000);
}

static void fill_files(struct tree *t, uint64_t count, uint64_t step,
		       uint64_t *state, const uint64_t *inos)
{
	uint8_t bytes[SPACE_BYTES];

	for (uint64_t i = 0; i < count; i += step) {
		draw(state, bytes, sizeof(bytes));
		must(tree_open_file(t, inos[i], true), "open");
		must(tree_write(t, inos[i], 0, SLICE(bytes, sizeof(bytes)),
				false), "write");
		tree_release_file(t, inos[i], true);
	}
}

static void measure_space(struct tree *t, uint64_t count)
{
	const struct replica_history_limits none = { 0, 0 };
	const struct reclaim_options whole = { .now_s = 1 };
	uint64_t *inos = calloc(count, sizeof(*inos)), state = 2;
	struct store *store = tree_store(t);
	struct reclaim_facts facts;
	const struct timespec second = { .tv_sec = 1 };
	struct watch w;
	uint64_t dir = 0;
	int r;

	if (!inos)
		must(-ENOMEM, "memory");
	store_lock(store);
	replica_set_history(t, &none);
	replica_set_alone(t, true);
	store_unlock(store);
	for (uint64_t i = 0; i < count; i++) {
		if (i % FILES_A_DIRECTORY == 0)
			dir = make(t, TREE_ROOT_INO, "s", i, KIND_DIR);
		inos[i] = make(t, dir, "f", i, KIND_FILE);
	}
	start();
	fill_files(t, count, 1, &state, inos);
	report("write 8 KiB, and make a version", count);
	fill_files(t, count, 2, &state, inos);
	must(store_commit(store), "commit");
	watch_start(&w, store);
	nanosleep(&second, NULL);
	watch_report(&w, "longest wait for the lock, idle");
	watch_start(&w, store);
	start();
	must(reclaim_begin(store, &whole), "round");
	while (!(r = reclaim_step(store)) || r == -EAGAIN)
		;
	must(r, "round");
	report("give back space, each file", count);
	watch_report(&w, "longest wait for the lock meanwhile");
	reclaim_facts(store, &facts);
	printf("%-40s %9.1f MB of %.1f MB, %.1f MB moved\n", "given back",
	       (double)facts.freed_bytes / 1e6,
	       (double)(facts.freed_bytes + facts.allocated_bytes) / 1e6,
	       (double)facts.moved_bytes / 1e6);
	free(inos);
}

/* secret: of the volume that it joins, or NULL. */
static struct tree *open_tree(const char *dir, const char *name, bool sync,
			      const struct tree_env *env,
			      const uint8_t *secret)
{
	char path[4200];
	struct store_options so = { .path = path, .no_sync = !sync,
				    .threads = true };
	struct tree_options to = { .env = env, .volume = { { 7 } },
				   .user = SLICE_STR("user"),
				   .group = SLICE_STR("user"),
				   .root_perm = 0755,
				   .label = SLICE_STR("bench"),
				   .secret = secret };
	struct tree *t;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	must(store_open(&so, NULL, &to.store), "store_open");
	must(tree_open(&to, &t), "tree_open");
	return t;
}

static void close_tree(struct tree *t)
{
	struct store *s = tree_store(t);

	tree_close(t);
	store_abandon(s);
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	static const uint8_t secret[32] = { 1 };
	char dir[4096];
	uint64_t state = 1;
	struct tree_env env = { .arg = &state, .now_ns = now_ns,
				.monotonic_ns = monotonic_ns, .random = draw };
	struct tree *t, *other;

	if (!count) {
		fputs("usage: kin-bench [OBJECTS [DIRECTORY]]\n", stderr);
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/kin-bench-XXXXXX", argc > 2 ? argv[2] :
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(dir))
		must(-EIO, "mkdtemp");
	t = open_tree(dir, "one", argc > 2, &env, NULL);
	report_memory("with nothing in the store");
	measure(t, count);
	measure_saves(t);
	measure_proof(t);
	other = open_tree(dir, "other", argc > 2, &env, secret);
	measure_merge(t, other);
	report_memory("with all in both stores");
	close_tree(other);
	close_tree(t);
	t = open_tree(dir, "space", argc > 2, &env, NULL);
	measure_space(t, count);
	close_tree(t);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
