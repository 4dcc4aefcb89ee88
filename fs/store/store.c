/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: opening, closing, the lock, and what does not belong to
 * groups (txg.c), operations (op.c), the log (journal.c) or data
 * (segment.c).
 *
 * Opening goes from the outside in, and changes nothing before it knows
 * that it may: the directory (ours, private), the lock file (nobody else),
 * the format (not newer), then recovery, then the first group.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/distrust.h"
#include "fs/store/io.h"
#include "fs/store/pages.h"
#include "fs/store/store_internal.h"
#include "fs/store/suspect.h"

/* Defaults of the options. */
#define MAP_BYTES (1ull << 40)
#define LOG_BYTES (8u << 20)
#define GROUP_MAX_OPS 10000
#define GROUP_MAX_MS 1000
#define SEGMENT_BYTES (256ull << 20)

int lmdb_errno(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
		return -ENOSPC;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
		return -EUCLEAN;
	case MDB_BAD_VALSIZE:
		return -EINVAL;
	}
	return rc > 0 ? -rc : -EIO;
}

/* ---- failure */

int store_failure(struct store *s)
{
	return __atomic_load_n(&s->failure, __ATOMIC_ACQUIRE);
}

int store_fail(struct store *s, int r, const char *what)
{
	int e;

	if (store_failure(s))
		return store_failure(s);
	s->failed_in = what;
	s->failed_s = time(NULL);
	__atomic_store_n(&s->failure, r, __ATOMIC_RELEASE);
	log_errno(r, "store '%s' has failed, and is only read from now on: %s",
		  s->path, what);
	e = s->distrust ? distrust_note(s->distrust) : 0;
	if (e)
		log_errno(e, "the failure cannot be noted in '%s'",
			  s->distrust);
	return r;
}

/* ---- the lock */

static void lock_taken(struct store *s)
{
	while (s->gate_closed)
		pthread_cond_wait(&s->gate_opened, &s->mutex);
	__atomic_store_n(&s->holder, pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&s->held, true, __ATOMIC_RELAXED);
}

void store_lock(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	lock_taken(s);
}

void store_unlock(struct store *s)
{
	store_assert_locked(s);
	kin_assert(!s->op.active);
	__atomic_store_n(&s->held, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&s->mutex);
}

void store_wait(struct store *s, pthread_cond_t *cond)
{
	__atomic_store_n(&s->held, false, __ATOMIC_RELAXED);
	pthread_cond_wait(cond, &s->mutex);
	lock_taken(s);
}

void store_assert_locked(const struct store *s)
{
	kin_assert(__atomic_load_n(&s->held, __ATOMIC_RELAXED) &&
		   pthread_equal(__atomic_load_n(&s->holder, __ATOMIC_RELAXED),
				 pthread_self()));
}

/* ---- opening: the boot */

static int boot_read(struct store *s, const char *id)
{
	size_t len = id ? strlen(id) : 0;
	int r = 0;

	if (!id)
		r = io_boot_id(s->boot_id);
	else if (!len || len > BOOT_ID_BYTES_MAX)
		r = -EINVAL;
	else
		memcpy(s->boot_id, id, len + 1);
	if (!r && s->distrust)
		r = distrust_read(s->distrust, s->boot_id);
	return r;
}

/* ---- opening: the directory */

/* Says why an error of the system keeps the store closed; returns it. */
static int explain(struct buf *why, int r, const char *path, const char *what)
{
	if (why && !why->len)
		buf_printf(why, "store '%s': %s: %s", path, what, strerror(-r));
	return r;
}

static int dir_check(const char *path, int fd, struct buf *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return explain(why, -errno, path, "cannot be examined");
	if (st.st_uid != geteuid()) {
		if (why)
			buf_printf(why,
				   "store '%s' belongs to user %u, and this is "
				   "user %u: run kin as its owner",
				   path, (unsigned int)st.st_uid,
				   (unsigned int)geteuid());
		return -EPERM;
	}
	if (st.st_mode & 077) {
		if (why)
			buf_printf(why,
				   "store '%s' is open to other users (mode "
				   "%04o): make it private with chmod 700",
				   path, (unsigned int)st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

/*
 * What was made here is private from the start, and what was there before
 * is looked at through the descriptor: no name is trusted twice.
 */
static int dir_open(const char *path, bool must_exist, struct buf *why,
		    int *ret_fd)
{
	autoclose int fd = -1;
	int r;

	if (!must_exist && mkdirat(AT_FDCWD, path, 0700) < 0 && errno != EEXIST)
		return explain(why, -errno, path, "cannot be made");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return explain(why, -errno, path, "cannot be opened");
	r = dir_check(path, fd, why);
	if (r)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int subdir_open(struct store *s, const char *name, int *ret_fd)
{
	int fd;

	if (!s->inspect && mkdirat(s->dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(s->dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int lock_take(struct store *s, bool must_exist, struct buf *why)
{
	struct stat st;

	if (must_exist && fstatat(s->dirfd, "db", &st, AT_SYMLINK_NOFOLLOW))
		return explain(why, -errno, s->path, "there is no store here");
	s->lock_fd = openat(s->dirfd, "lock",
			    (s->inspect ? O_RDONLY : O_RDWR | O_CREAT) |
				    O_CLOEXEC | O_NOFOLLOW,
			    0600);
	if (s->lock_fd < 0 && s->inspect && errno == ENOENT)
		return 0; /* a copy that nobody has opened yet */
	if (s->lock_fd < 0)
		return explain(why, -errno, s->path, "cannot be locked");
	if (!flock(s->lock_fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK)
		return explain(why, -errno, s->path, "cannot be locked");
	if (why)
		buf_printf(why, "store '%s' is open in another process",
			   s->path);
	return -EBUSY;
}

/* ---- opening: the tables */

static int env_open(struct store *s)
{
	char path[64];
	int rc = mdb_env_create(&s->env);

	if (rc) {
		s->env = NULL;
		return lmdb_errno(rc);
	}
	/* The directory that was checked, wherever its name leads by now. */
	if (s->tables_fd)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", s->tables_fd);
	else
		snprintf(path, sizeof(path), "/proc/self/fd/%d/db", s->dirfd);
	rc = mdb_env_set_maxdbs(s->env, TABLE_COUNT);
	if (!rc)
		rc = mdb_env_set_mapsize(s->env, s->map_bytes);
	if (!rc)
		rc = mdb_env_open(s->env, path,
				  MDB_NOSUBDIR | MDB_NOTLS |
					  (s->inspect ? MDB_NOLOCK : 0) |
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

/* What the tables say of the store's life so far. */
struct past {
	bool fresh; /* there was none */
	struct log_state log;
	enum log_reach reach; /* LOG_MARKED: the power may have been cut */
};

static int meta_get(MDB_txn *txn, MDB_dbi dbi, const char *name,
		    struct slice *ret)
{
	MDB_val key = {strlen(name), (void *)name}, value;
	int r = lmdb_errno(mdb_get(txn, dbi, &key, &value));

	return r ? r
		 : value_open(TABLE_META, SLICE_STR(name),
			      SLICE(value.mv_data, value.mv_size), ret);
}

/* Is the page cache still the one that the log was written through? */
static int boot_compare(const struct store *s, MDB_txn *txn, MDB_dbi dbi,
			enum log_reach *ret)
{
	struct slice value = {0};
	int r = meta_get(txn, dbi, META_BOOT, &value);

	if (r && r != -ENOENT)
		return r;
	*ret = slice_equal(value, SLICE_STR(s->boot_id))
		       ? LOG_ALL
		       : LOG_MARKED;
	return 0;
}

/* Another format's number may stand there without our checksum. */
static int format_number(const struct store *s, MDB_txn *txn, MDB_dbi dbi,
			 struct buf *why)
{
	MDB_val key = {strlen(META_FORMAT), (void *)META_FORMAT}, raw;
	struct slice value;
	struct reader rd;
	uint32_t format;
	int rc = mdb_get(txn, dbi, &key, &raw);

	if (rc)
		return rc == MDB_NOTFOUND ? -EUCLEAN : lmdb_errno(rc);
	rd = READER(raw.mv_data, raw.mv_size);
	format = reader_u32(&rd);
	if (reader_ok(&rd) || format != STORE_FORMAT)
		return format_refuse(s, format, why);
	return meta_get(txn, dbi, META_FORMAT, &value);
}

/* Reads the store's own META values; no META and nothing else: fresh. */
static int format_read(struct store *s, MDB_txn *txn, struct buf *why,
		       struct past *ret)
{
	struct slice value;
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
	r = rc ? lmdb_errno(rc) : format_number(s, txn, dbi, why);
	if (r)
		return r;
	r = meta_get(txn, dbi, META_LOG, &value);
	if (r)
		return r == -ENOENT ? -EUCLEAN : r;
	if (log_state_decode(value, &ret->log))
		return -EUCLEAN;
	return boot_compare(s, txn, dbi, &ret->reach);
}

static int format_check(struct store *s, struct buf *why, struct past *ret)
{
	MDB_txn *txn;
	int r = lmdb_errno(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn));

	if (r)
		return r;
	r = format_read(s, txn, why, ret);
	mdb_txn_abort(txn);
	return r;
}

static int format_write(struct store *s, struct log_state *ret)
{
	uint8_t format[4], log[LOG_STATE_BYTES];
	int r;

	ret->lsn = 0;
	if (getrandom(&ret->id, sizeof(ret->id), 0) != sizeof(ret->id))
		return -EIO;
	put_le32(format, STORE_FORMAT);
	log_state_encode(ret, log);
	r = table_put(s, TABLE_META, SLICE_STR(META_FORMAT),
		      SLICE(format, sizeof(format)));
	return r ? r
		 : table_put(s, TABLE_META, SLICE_STR(META_LOG),
			     SLICE(log, sizeof(log)));
}

/* Opens the handles of all tables, and makes what is missing. */
static int tables_open(struct store *s, struct past *past)
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
		r = format_write(s, &past->log);
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
 * The names of new files must last as well, up to the store's own name, and
 * those of an opening that was killed before it came to this.
 */
static int dir_sync(const struct store *s)
{
	autoclose int parent = -1;
	int r;

	if (s->no_sync)
		return 0;
	r = io_sync(s->dirfd);
	if (r)
		return r;
	parent = openat(s->dirfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A parent that we may not read was not made by us. */
	return parent < 0 ? 0 : io_sync(parent);
}

/* ---- opening: all of it */

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

static int store_open_db(struct store *s, struct buf *why, struct past *ret)
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
	return r ? explain(why, r, s->path, "the tables cannot be opened") : 0;
}

static int store_open_log(struct store *s, const struct store_options *o,
			  const struct past *past, struct log_scan *ret)
{
	int fd = -1, r = subdir_open(s, "log", &fd);

	if (!r)
		r = journal_open(&s->journal, fd,
				 o->log_bytes ? o->log_bytes : LOG_BYTES,
				 past->log.id, s->no_sync);
	if (!r && s->inspect)
		r = txg_inspect(s, past->log.lsn, past->reach, ret);
	else if (!r)
		r = txg_recover(s, past->log.lsn, past->reach, ret);
	if (!r && !s->inspect)
		r = journal_start(&s->journal, ret->max_lsn);
	if (r)
		return r;
	if (past->reach == LOG_ALL && ret->max_lsn > ret->last_lsn)
		s->log_lost = ret->max_lsn;
	s->stats.replayed = ret->applied;
	s->op_lsn = s->synced_lsn = ret->max_lsn;
	if (s->inspect)
		return 0;
	if (ret->applied)
		log_info("store '%s': %llu operations recovered from the log",
			 s->path, (unsigned long long)ret->applied);
	if (ret->dropped)
		log_warn("store '%s': %llu operations after the last sync "
			 "were lost with the power",
			 s->path, (unsigned long long)ret->dropped);
	return 0;
}

/*
 * After a replay appending goes on in a new segment: behind the bytes that
 * the tables name may be some of a write that nobody has ended.
 */
static int store_open_data(struct store *s, const struct store_options *o,
			   bool replayed)
{
	int fd = -1, r = subdir_open(s, "seg", &fd);

	if (r)
		return r;
	return segments_open(
		fd, o->segment_bytes ? o->segment_bytes : SEGMENT_BYTES,
		replayed, s->no_sync, &s->segments);
}

static int store_open_parts(struct store *s, const struct store_options *o,
			    struct buf *why)
{
	struct past past = {0};
	struct log_scan scan = {0};
	int r = boot_read(s, o->boot_id);

	if (r)
		return explain(why, r, s->path, "the boot id cannot be read");
	r = dir_open(s->path, o->must_exist || s->inspect, why, &s->dirfd);
	if (!r)
		r = lock_take(s, o->must_exist || s->inspect, why);
	if (!r)
		r = store_open_db(s, why, &past);
	if (r)
		return r;
	s->log_id = past.log.id;
	if (!s->inspect) {
		space_release(&s->space);
		space_open(&s->space, s->dirfd, s->no_sync);
	}
	r = store_open_log(s, o, &past, &scan);
	if (r)
		return explain(why, r, s->path, "the log cannot be replayed");
	r = store_open_data(s, o, scan.max_lsn > past.log.lsn);
	if (!r && s->inspect) {
		s->group = 1;
		s->failure = -EROFS;
		return 0;
	}
	if (!r)
		r = dir_sync(s);
	if (!r)
		r = txg_start(s, o->threads);
	return r ? explain(why, r, s->path, "cannot be opened") : 0;
}

static struct store *store_new(const struct store_options *o)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (!s)
		return NULL;
	s->path = strdup(o->path);
	s->distrust = o->distrust ? strdup(o->distrust) : NULL;
	if (!s->path || (o->distrust && !s->distrust)) {
		free(s->path);
		free(s->distrust);
		free(s);
		return NULL;
	}
	s->dirfd = s->lock_fd = -1;
	s->no_sync = o->no_sync;
	s->inspect = o->inspect;
	s->tables_fd = o->inspect ? o->tables_fd : 0;
	s->map_bytes = o->map_bytes ? o->map_bytes : MAP_BYTES;
	s->group_max_ops = o->group_max_ops ? o->group_max_ops : GROUP_MAX_OPS;
	s->group_max_ms = o->group_max_ms ? o->group_max_ms : GROUP_MAX_MS;
	journal_init(&s->journal);
	holds_init(&s->holds);
	headroom_init(&s->headroom);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->gate_opened, NULL);
	pthread_cond_init(&s->group_done, NULL);
	pthread_cond_init(&s->sync_done, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->owner_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* So that closing is right after any failure to open. */
	space_open(&s->space, -1, true);
	return s;
}

static void store_free(struct store *s)
{
	reclaim_release(s);
	segments_close(s->segments);
	journal_release(&s->journal);
	if (s->env)
		mdb_env_close(s->env);
	space_release(&s->space);
	op_release(&s->op);
	/* The lock goes last: then everything is closed. */
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->dirfd >= 0)
		close(s->dirfd);
	pthread_cond_destroy(&s->owner_wake);
	pthread_cond_destroy(&s->sync_done);
	pthread_cond_destroy(&s->group_done);
	pthread_cond_destroy(&s->gate_opened);
	pthread_mutex_destroy(&s->mutex);
	holds_release(&s->holds);
	headroom_release(&s->headroom);
	free(s->path);
	free(s->distrust);
	free(s);
}

/* Ends the last group, the owner thread and the store. */
static int store_end(struct store *s, enum txg_job job)
{
	int r;

	store_lock(s);
	txg_run(s, job);
	store_unlock(s);
	if (s->threads)
		pthread_join(s->owner, NULL);
	r = store_failure(s);
	store_free(s);
	return r;
}

int store_open(const struct store_options *o, struct buf *why,
	       struct store **ret)
{
	struct store *s = store_new(o);
	int r;

	if (!s)
		return -ENOMEM;
	r = store_open_parts(s, o, why);
	if (r) {
		store_end(s, TXG_ABANDON);
		return r;
	}
	*ret = s;
	return 0;
}

int store_close(struct store *s)
{
	/* (without room to commit, the log is all there is) */
	if (s && space_is_full(&s->space))
		(void)!store_sync(s);
	return s ? store_end(s, TXG_FINISH) : 0;
}

void store_abandon(struct store *s)
{
	if (s)
		store_end(s, TXG_ABANDON);
}

/* ---- data */

int data_append(struct store *s, struct slice bytes, struct data_loc *ret)
{
	int r = store_failure(s) ? -EROFS :
				   space_check(&s->space, bytes.len);

	return r ? r : segments_append(s->segments, bytes, ret);
}

static int reader_begin(struct store *s, MDB_txn **ret, int *ret_root)
{
	int r;

	store_lock(s);
	r = s->env ? lmdb_errno(mdb_txn_begin(s->env, NULL, MDB_RDONLY, ret)) :
		     -EIO;
	if (!r)
		s->page_readers++;
	store_unlock(s);
	/* (a commit's number says which root has it) */
	if (!r)
		*ret_root = (int)(mdb_txn_id(*ret) & 1);
	return r;
}

int store_walk_pages(struct store *s, const struct pages_ops *ops,
		     struct pages_result *ret)
{
	autoclose int fd = openat(s->dirfd, "db",
				  O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	MDB_txn *txn = NULL;
	int root, r;

	if (fd < 0)
		return -errno;
	r = reader_begin(s, &txn, &root);
	if (r)
		return r;
	r = pages_walk(fd, root, ops, ret);
	store_lock(s);
	mdb_txn_abort(txn);
	s->page_readers--;
	store_unlock(s);
	return r;
}

int store_segments(struct store *s,
		   int (*fn)(void *arg, const struct segment_facts *),
		   void *arg)
{
	return segments_list(s->segments, fn, arg);
}

int data_append_little(struct store *s, struct slice bytes,
		       struct data_loc *ret)
{
	if (store_failure(s))
		return -EROFS;
	return segments_append(s->segments, bytes, ret);
}

int data_read(struct store *s, struct data_loc loc, void *ret, size_t len)
{
	return segments_read(s->segments, loc, ret, len);
}

void data_will_read(struct store *s, struct data_loc loc, size_t len)
{
	segments_will_read(s->segments, loc, len);
}

/* ---- holds */

struct store_hold store_hold(struct store *s)
{
	return (struct store_hold){s, holds_enter(&s->holds)};
}

void store_hold_end(struct store_hold *hold)
{
	struct store *s = steal(&hold->store);

	if (s)
		holds_leave(&s->holds, hold->epoch);
}

/* ---- facts */

void store_stats(struct store *s, struct store_stats *ret)
{
	store_lock(s);
	*ret = s->stats;
	store_unlock(s);
	ret->data_bytes = segments_appended_bytes(s->segments);
}

uint64_t store_log_lost(const struct store *s)
{
	return s->log_lost;
}

int store_free_bytes(struct store *s, uint64_t *ret)
{
	/* (the simulator's limits must not depend on the machine's disk) */
	if (s->no_sync) {
		*ret = INT64_MAX;
		return 0;
	}
	return io_free_bytes(s->dirfd, ret);
}

bool store_is_full(const struct store *s)
{
	return space_is_full(&s->space);
}

void store_health(struct store *s, struct store_health *ret)
{
	*ret = (struct store_health){.state = STORE_WELL};
	(void)!space_check(&s->space, 0);
	store_lock(s);
	ret->error = store_failure(s);
	if (ret->error) {
		ret->state = STORE_FAILED;
		ret->what = s->failed_in;
		ret->since_s = s->failed_s;
	} else if (s->refused) {
		ret->state = STORE_REFUSED;
		ret->error = s->refused;
	} else if ((ret->error = space_is_full(&s->space))) {
		ret->state = STORE_FULL;
	} else if (space_is_short(&s->space)) {
		ret->state = STORE_LOW;
		ret->error = -ENOSPC;
	}
	store_unlock(s);
	ret->free_known = !s->no_sync &&
			  !io_free_bytes(s->dirfd, &ret->free_bytes);
	ret->low_bytes = SPACE_LOW_BYTES;
	ret->reserve_bytes = SPACE_RESERVE_BYTES;
}

const char *store_path(const struct store *s)
{
	return s->path;
}
