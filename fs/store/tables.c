/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables: LMDB's environment, opened when its file was looked at, and
 * what META says of the format and of the last commit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/io.h"
#include "fs/store/store_internal.h"
#include "fs/store/suspect.h"

static int env_open(struct store *s)
{
	char path[64];
	int rc = mdb_env_create(&s->env);

	if (rc) {
		s->env = NULL;
		return lmdb_errno(rc);
	}
	/*
	 * Who has the store's lock is alone. And LMDB would map a file for its
	 * own that it writes to: on a disk that writes nothing in place, and is
	 * full, that is SIGBUS.
	 *
	 * The directory that was checked, wherever its name leads by now.
	 */
	if (s->tables_fd)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", s->tables_fd);
	else
		snprintf(path, sizeof(path), "/proc/self/fd/%d/db", s->dirfd);
	rc = mdb_env_set_maxdbs(s->env, TABLE_COUNT);
	if (!rc)
		rc = mdb_env_set_mapsize(s->env, s->map_bytes);
	if (!rc)
		rc = mdb_env_open(s->env, path,
				  MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK |
					  (s->no_sync ? MDB_NOSYNC : 0),
				  0600);
	return lmdb_errno(rc);
}

static int format_refuse(const struct store *s, uint32_t found, struct buf *why)
{
	if (!found || found == STORE_FORMAT)
		return -EUCLEAN;
	if (why && found < STORE_FORMAT)
		buf_printf(why,
			   "store '%s' has format %u, of a preview of kinfs, "
			   "which this one (format %u) cannot read: copy your "
			   "files out with that version, then join again",
			   s->path, found, STORE_FORMAT);
	else if (why)
		buf_printf(why,
			   "store '%s' has format %u, and this kinfs knows "
			   "formats up to %u: upgrade kinfs",
			   s->path, found, STORE_FORMAT);
	return -EPROTONOSUPPORT;
}

static int meta_get(MDB_txn *txn, MDB_dbi dbi, const char *name,
		    struct slice *ret)
{
	MDB_val key = {strlen(name), (void *)name}, value;
	int r = lmdb_errno(mdb_get(txn, dbi, &key, &value));

	return r ? r
		 : value_open(TABLE_META, SLICE_STR(name),
			      SLICE(value.mv_data, value.mv_size), ret);
}

/* Of a log that nobody has written to. */
static int log_state_new(struct log_state *ret)
{
	ret->lsn = 0;
	return getrandom(&ret->id, sizeof(ret->id), 0) == sizeof(ret->id)
		       ? 0
		       : -EIO;
}

/* The value is damaged. 0: it is to be mended. */
static int meta_damaged(const struct store *s, const char *name,
			struct buf *why)
{
	if (why)
		buf_printf(why, "store '%s': META '%s' cannot be read; run "
				"`kin check --repair`", s->path, name);
	if (s->damaged)
		s->damaged(s->damaged_arg, name);
	return s->damaged && !s->inspect ? 0 : -EUCLEAN;
}

/* Is the page cache still the one that the log was written through? */
static int boot_compare(const struct store *s, MDB_txn *txn, MDB_dbi dbi,
			struct buf *why, enum log_reach *ret)
{
	struct slice value = {0};
	int r = meta_get(txn, dbi, META_BOOT, &value);

	if (r == -EUCLEAN)
		r = meta_damaged(s, META_BOOT, why);
	*ret = slice_equal(value, SLICE_STR(s->boot_id)) ? LOG_ALL
							 : LOG_MARKED;
	return r == -ENOENT ? 0 : r;
}

/* Which log is of the tables, and how much of it do they have? */
static int log_read(const struct store *s, MDB_txn *txn, MDB_dbi dbi,
		    struct buf *why, struct store_past *ret)
{
	struct slice value;
	int r = meta_get(txn, dbi, META_LOG, &value);

	if (!r)
		r = log_state_decode(value, &ret->log);
	if (!r)
		return boot_compare(s, txn, dbi, why, &ret->reach);
	if (r != -ENOENT && r != -EUCLEAN && r != -EBADMSG)
		return r;
	ret->reach = LOG_MARKED;
	r = meta_damaged(s, META_LOG, why);
	return r ? r : log_state_new(&ret->log);
}

/* Has META any value with a check of this format's? */
static bool is_sealed(MDB_txn *txn, MDB_dbi dbi)
{
	MDB_cursor *at;
	MDB_val k, v;
	struct slice value;
	bool found = false;

	if (mdb_cursor_open(txn, dbi, &at))
		return false;
	while (!found && !mdb_cursor_get(at, &k, &v, MDB_NEXT))
		found = !value_open(TABLE_META, SLICE(k.mv_data, k.mv_size),
				    SLICE(v.mv_data, v.mv_size), &value);
	mdb_cursor_close(at);
	return found;
}

/* Another format's number may stand there, and nothing behind it. */
static int format_number(const struct store *s, MDB_txn *txn, MDB_dbi dbi,
			 struct buf *why, struct store_past *ret)
{
	MDB_val key = {strlen(META_FORMAT), (void *)META_FORMAT}, raw = {0};
	struct slice value;
	struct reader rd;
	uint32_t format;
	int rc = mdb_get(txn, dbi, &key, &raw), r;

	if (rc && rc != MDB_NOTFOUND)
		return lmdb_errno(rc);
	r = meta_get(txn, dbi, META_FORMAT, &value);
	rd = READER(raw.mv_data, raw.mv_size);
	format = reader_u32(&rd);
	if (!reader_ok(&rd) && format != STORE_FORMAT &&
	    (!r || !reader_left(&rd) || !is_sealed(txn, dbi)))
		return format_refuse(s, format, why);
	if (!r)
		return 0;
	ret->format_lost = true;
	return meta_damaged(s, META_FORMAT, why);
}

/* Reads the store's own META values; no META and nothing else: fresh. */
static int format_read(struct store *s, MDB_txn *txn, struct buf *why,
		       struct store_past *ret)
{
	MDB_stat st;
	MDB_dbi dbi;
	int r, rc = mdb_dbi_open(txn, table_name(TABLE_META), 0, &dbi);

	if (rc == MDB_NOTFOUND) {
		rc = mdb_dbi_open(txn, NULL, 0, &dbi);
		if (!rc)
			rc = mdb_stat(txn, dbi, &st);
		if (rc)
			return lmdb_errno(rc);
		ret->fresh = true;
		ret->reach = LOG_MARKED;
		return st.ms_entries ? -EUCLEAN : 0;
	}
	r = rc ? lmdb_errno(rc) : format_number(s, txn, dbi, why, ret);
	return r ? r : log_read(s, txn, dbi, why, ret);
}

static int format_check(struct store *s, struct buf *why, struct store_past *ret)
{
	MDB_txn *txn;
	int r = lmdb_errno(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn));

	if (r)
		return r;
	r = format_read(s, txn, why, ret);
	mdb_txn_abort(txn);
	return r;
}

static int format_write(struct store *s)
{
	uint8_t format[4];

	put_le32(format, STORE_FORMAT);
	return table_put(s, TABLE_META, SLICE_STR(META_FORMAT),
			 SLICE(format, sizeof(format)));
}

static int log_write(struct store *s, const struct log_state *state)
{
	uint8_t log[LOG_STATE_BYTES];

	log_state_encode(state, log);
	return table_put(s, TABLE_META, SLICE_STR(META_LOG),
			 SLICE(log, sizeof(log)));
}

/* Opens the handles of all tables, and makes what is missing. */
static int tables_open(struct store *s, struct store_past *past)
{
	int r = lmdb_errno(mdb_txn_begin(s->env, NULL, 0, &s->txn));

	if (r) {
		s->txn = NULL;
		return r;
	}
	for (unsigned int i = 0; !r && i < TABLE_COUNT; i++)
		r = lmdb_errno(mdb_dbi_open(s->txn, table_name(i), MDB_CREATE,
					    &s->dbi[i]));
	if (!r && past->fresh)
		r = log_state_new(&past->log);
	if (!r && past->fresh)
		r = log_write(s, &past->log);
	if (!r && (past->fresh || past->format_lost))
		r = format_write(s);
	memset(s->cursors, 0, sizeof(s->cursors));
	if (r)
		mdb_txn_abort(steal(&s->txn));
	else
		r = lmdb_errno(mdb_txn_commit(steal(&s->txn)));
	return r;
}

/* (A transaction that only reads leaves the handles as well.) */
static int tables_reopen(struct store *s)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return lmdb_errno(rc);
	for (unsigned int i = 0; !rc && i < TABLE_COUNT; i++)
		rc = mdb_dbi_open(txn, table_name(i), 0, &s->dbi[i]);
	if (!rc)
		return lmdb_errno(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return lmdb_errno(rc);
}

int store_open_again(struct store *s)
{
	int r;

	kin_assert(!s->txn);
	if (s->page_readers) /* they have it open: another time */
		return -EIO;
	mdb_env_close(steal(&s->env));
	r = env_open(s);
	if (!r)
		r = tables_reopen(s);
	if (r && s->env)
		mdb_env_close(steal(&s->env));
	return r;
}

/*
 * LMDB makes a file of two pages and does not sync it: who dies there leaves
 * one that it refuses for ever. It has never held anything, as the log's
 * directory, which is made after the first commit, tells.
 */
static int unborn_remove(struct store *s)
{
	struct stat st;

	if (!fstatat(s->dirfd, "log", &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	if (errno == ENOENT &&
	    !fstatat(s->dirfd, "db", &st, AT_SYMLINK_NOFOLLOW) &&
	    (st.st_size > 2 * sysconf(_SC_PAGESIZE) ||
	     !unlinkat(s->dirfd, "db", 0)))
		return 0;
	return errno == ENOENT ? 0 : -errno;
}

int store_open_tables(struct store *s, struct buf *why,
		      struct store_past *ret)
{
	int r = s->inspect ? 0 : unborn_remove(s);

	if (!r && !s->no_sync && !s->tables_fd)
		r = suspect_look(s->dirfd, s->path, s->inspect, why);
	if (!r)
		r = env_open(s);
	if (!r)
		r = format_check(s, why, ret);
	if (!r && s->inspect)
		r = ret->fresh ? -ENOENT : tables_reopen(s);
	else if (!r)
		r = tables_open(s, ret);
	return r;
}
