/* SPDX-License-Identifier: Apache-2.0 */
#include "history_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/format.h"
#include "scratch_support.h"
#include "store_support.h"

#define SECTOR_BYTES 512

void history_init(struct history *h, uint64_t seed)
{
	*h = (struct history){.path = scratch_make(), .rng = seed * 31 + 7};
	h->options = options_sim(h->path);
	h->options.no_sync = false;
	h->options.boot_id = h->boot;
	/* Only the test syncs. */
	h->options.group_max_ms = 1000000;
	snprintf(h->boot, sizeof(h->boot), "boot-0");
}

char *history_log(const struct history *h, unsigned int i)
{
	char name[16];

	snprintf(name, sizeof(name), "log/%u", i);
	return scratch_path(h->path, name);
}

static struct image image_read(const char *name)
{
	struct image m = {0};
	struct stat st;
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		return m;
	assert_int_equal(fstat(fd, &st), 0);
	m.len = (size_t)st.st_size;
	m.bytes = malloc(m.len + 1);
	assert_int_equal(read(fd, m.bytes, m.len), m.len);
	close(fd);
	return m;
}

static void logs_release(struct history *h)
{
	for (unsigned int i = 0; i < LOG_SEGMENTS_MAX; i++)
		free(h->logs[i].bytes);
	memset(h->logs, 0, sizeof(h->logs));
}

static void logs_read(struct history *h)
{
	logs_release(h);
	for (unsigned int i = 0; i < LOG_SEGMENTS_MAX; i++) {
		char *name = history_log(h, i);

		h->logs[i] = image_read(name);
		free(name);
	}
}

void history_release(struct history *h)
{
	logs_release(h);
	scratch_remove(h->path);
}

static void data_fill(uint8_t *bytes, uint32_t nonce, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((nonce * 2654435761u >> i % 24) | 1);
}

static struct slice op_value(const struct op *op, uint8_t buf[24])
{
	put_le32(buf, op->nonce);
	put_le32(buf + 4, op->len);
	put_le32(buf + 8, op->loc.segment);
	put_le64(buf + 12, op->loc.offset);
	return SLICE(buf, 20);
}

/* One operation more; len 0: it names no data. */
void history_op(struct history *h, uint32_t key, uint32_t len)
{
	struct op op = {.key = key, .nonce = ++h->nonce, .len = len};
	uint8_t bytes[HISTORY_DATA_BYTES_MAX], value[24], last[4];
	char name[16];

	assert_true(h->count < HISTORY_OPS_MAX);
	if (len) {
		data_fill(bytes, op.nonce, len);
		assert_int_equal(
			data_append(h->store, SLICE(bytes, len), &op.loc), 0);
	}
	snprintf(name, sizeof(name), "key-%u", key);
	put_le32(last, h->count + 1);
	store_lock(h->store);
	assert_int_equal(store_op_begin(h->store), 0);
	assert_int_equal(store_put(h->store, TABLE_OBJ, SLICE_STR(name),
				   op_value(&op, value)),
			 0);
	assert_int_equal(store_put(h->store, TABLE_DIR, SLICE_STR("last"),
				   SLICE(last, sizeof(last))),
			 0);
	assert_int_equal(store_op_end(h->store), 0);
	store_unlock(h->store);
	h->ops[h->count++] = op;
}

void history_op_any(struct history *h)
{
	history_op(h, scratch_random(&h->rng, HISTORY_KEYS),
		   scratch_random(&h->rng, 3)
			   ? 1 + scratch_random(&h->rng, HISTORY_DATA_BYTES_MAX)
			   : 0);
}

void history_sync(struct history *h)
{
	struct store_stats before, after;
	uint32_t count = h->count;

	store_stats(h->store, &before);
	assert_int_equal(store_sync(h->store), 0);
	store_stats(h->store, &after);
	h->synced = count;
	if (after.syncs > before.syncs && after.copies == before.copies)
		h->data_synced = count;
	logs_read(h);
}

static uint32_t history_last(struct store *s)
{
	struct slice v;
	uint32_t last = 0;

	store_lock(s);
	if (!store_get(s, TABLE_DIR, SLICE_STR("last"), &v))
		last = get_le32(v.data);
	store_unlock(s);
	return last;
}

/* A key has what this operation put, and its data; NULL: it has nothing. */
static void assert_key_is(struct store *s, uint32_t key, const struct op *op)
{
	uint8_t bytes[HISTORY_DATA_BYTES_MAX], back[HISTORY_DATA_BYTES_MAX],
		value[24];
	struct slice v;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "key-%u", key);
	store_lock(s);
	r = store_get(s, TABLE_OBJ, SLICE_STR(name), &v);
	assert_int_equal(r, op ? 0 : -ENOENT);
	if (op)
		assert_true(slice_equal(v, op_value(op, value)));
	store_unlock(s);
	if (!op || !op->len)
		return;
	assert_int_equal(data_read(s, op->loc, back, op->len), 0);
	data_fill(bytes, op->nonce, op->len);
	assert_memory_equal(bytes, back, op->len);
}

/* The store has the state after operation n, with all its data. */
void history_compare(const struct history *h, struct store *s, uint32_t n)
{
	const struct op *newest[HISTORY_KEYS] = {NULL};

	assert_int_equal(history_last(s), n);
	for (uint32_t i = 0; i < n; i++)
		newest[h->ops[i].key] = &h->ops[i];
	for (uint32_t k = 0; k < HISTORY_KEYS; k++)
		assert_key_is(s, k, newest[k]);
}

/* Opens, and expects the state after operation n. */
void history_open(struct history *h, uint32_t n)
{
	struct store_stats st;

	h->store = store_make(&h->options);
	history_compare(h, h->store, n);
	store_stats(h->store, &st);
	assert_true(st.replayed <= n);
	h->count = h->synced = h->data_synced = n;
	logs_read(h);
}

/* ---- the cut */

/* The last operation that the tables on disk contain. */
static uint32_t tables_last(const char *path)
{
	char *db = scratch_path(path, "db");
	MDB_val k = {4, "last"}, v;
	uint32_t last = 0;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, TABLE_COUNT), 0);
	assert_int_equal(mdb_env_open(env, db, MDB_NOSUBDIR | MDB_RDONLY, 0600),
			 0);
	assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, table_name(TABLE_DIR), 0, &dbi), 0);
	if (!mdb_get(txn, dbi, &k, &v))
		last = get_le32(v.mv_data);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	free(db);
	return last;
}

static bool loses(struct history *h, enum loss loss)
{
	return loss == LOSS_SOME ? scratch_random(&h->rng, 2)
				 : loss == LOSS_ALL;
}

/* Takes away the data of the operations behind n; cuts the file at most. */
void history_cut_data(struct history *h, const char *path, uint32_t n,
		      enum loss loss)
{
	static const uint8_t zeros[HISTORY_DATA_BYTES_MAX];

	for (uint32_t i = n + 1; i <= h->count; i++) {
		struct data_loc loc = h->ops[i - 1].loc;
		uint32_t len = h->ops[i - 1].len;
		char file[32], *name;
		struct stat st;
		int fd;

		if (!len || !loses(h, loss))
			continue;
		snprintf(file, sizeof(file), "seg/%08x", loc.segment);
		name = scratch_path(path, file);
		if (!loc.offset && loss == LOSS_SOME &&
		    !scratch_random(&h->rng, 3))
			unlink(name); /* nor has its name been synced */
		fd = open(name, O_RDWR);
		assert_true(fd >= 0 || loss == LOSS_SOME);
		free(name);
		if (fd < 0)
			continue;
		assert_int_equal(fstat(fd, &st), 0);
		if ((uint64_t)st.st_size < loc.offset + len)
			; /* cut off already */
		else if (loss == LOSS_SOME && scratch_random(&h->rng, 2))
			assert_int_equal(
				pwrite(fd, zeros, len, (off_t)loc.offset), len);
		else /* what follows in this file is not synced either */
			assert_int_equal(ftruncate(fd, (off_t)loc.offset), 0);
		close(fd);
	}
}

static void cut_log(struct history *h, unsigned int i, enum loss loss)
{
	char *name = history_log(h, i);
	struct image now = image_read(name), old = h->logs[i];

	for (size_t at = 0; at < now.len; at += SECTOR_BYTES) {
		size_t n = MIN_OF((size_t)SECTOR_BYTES, now.len - at);
		size_t kept = at < old.len ? MIN_OF(n, old.len - at) : 0;

		if (!loses(h, loss))
			continue;
		memset(now.bytes + at, 0, n);
		if (kept)
			memcpy(now.bytes + at, old.bytes + at, kept);
	}
	if (now.len) {
		int fd = open(name, O_RDWR);

		assert_int_equal(pwrite(fd, now.bytes, now.len, 0), now.len);
		close(fd);
	}
	free(now.bytes);
	free(name);
}

/* Cuts the power of the open store. Returns what must be left. */
uint32_t history_cut(struct history *h, enum loss data, enum loss log)
{
	uint32_t n;

	store_abandon(steal(&h->store));
	n = tables_last(h->path);
	history_cut_data(h, h->path, MAX_OF(h->data_synced, n), data);
	n = MAX_OF(h->synced, n);
	for (unsigned int i = 0; i < LOG_SEGMENTS_MAX; i++)
		cut_log(h, i, log);
	snprintf(h->boot, sizeof(h->boot), "boot-%u", ++h->boots);
	return n;
}
