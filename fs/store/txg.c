/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transaction groups: who begins and commits, when, and what happens if it
 * cannot be done.
 *
 * LMDB's write lock belongs to a thread, so begin and commit are done by
 * one thread, the owner. Others may use the transaction between, under the
 * store's lock. What they need of the owner they ask for as a *job* and
 * wait, still holding the lock as far as their callers can see (txg_run).
 *
 * Closing a group: the data segments are synced with the lock free, as
 * often as it takes to leave little; then, with the lock held, the little
 * that is left, the lsn of the log into META, the commit, the next begin.
 *
 * A failed commit has dropped the transaction. The log has everything that
 * was in it, so it is made again by replaying the log into a new one. If
 * the disk was full the reserve is given up and the commit tried again:
 * all pages of the group are written again, so nothing that the first try
 * lost in the page cache is trusted. If even that is not enough (others took
 * what was given up) the group stays open and is *refused*: operations go on
 * as long as the log has room for them, which it has on the disk already,
 * and the commit is tried again from time to time. After any other error the
 * group is kept for reading only, and the store has failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/base/log.h"
#include "fs/store/io.h"
#include "fs/store/store_internal.h"

/* Data left for the sync under the lock, and rounds to get there. */
#define DATA_LEFT_BYTES (1u << 20)
#define DATA_ROUNDS_MAX 4
/*
 * Data that a sync copies into the log: at most this much, and this part of
 * a log segment. More is quicker synced where it lies, as it is written once.
 */
#define LOG_DATA_BYTES_MAX (64u << 10)
#define LOG_DATA_PART 8
/* Between two tries to commit where there was no room: each makes the group
 * again from the log. */
#define REFUSED_PAUSE_MS 1000

/* Commits beside who reads pages that one has left. */
#define COMMITS_BESIDE_MAX 2

/* ---- the transaction */

static int group_begin(struct store *s)
{
	int rc = s->env ? mdb_txn_begin(s->env, NULL, 0, &s->txn) : EIO, r;

	r = lmdb_errno(rc);
	if (rc == MDB_PANIC) {
		r = store_open_again(s);
		if (!r)
			r = lmdb_errno(mdb_txn_begin(s->env, NULL, 0, &s->txn));
	}
	memset(s->cursors, 0, sizeof(s->cursors));
	s->txn_broken = false;
	if (r)
		s->txn = NULL;
	return r;
}

/* LMDB frees the cursors of a write transaction at its end. */
static void group_drop(struct store *s)
{
	memset(s->cursors, 0, sizeof(s->cursors));
	if (s->txn)
		mdb_txn_abort(steal(&s->txn));
	s->txn_broken = false;
}

/* Ends the transaction either way. */
static int group_commit(struct store *s, uint64_t lsn)
{
	struct log_state st = {.id = s->log_id, .lsn = lsn};
	uint8_t value[LOG_STATE_BYTES];
	int r;

	log_state_encode(&st, value);
	r = table_put(s, TABLE_META, SLICE_STR(META_LOG),
		      SLICE(value, sizeof(value)));
	if (!r)
		r = answers_put(s);
	if (r) {
		group_drop(s);
		return r;
	}
	memset(s->cursors, 0, sizeof(s->cursors));
	return lmdb_errno(mdb_txn_commit(steal(&s->txn)));
}

static int group_replay(struct store *s)
{
	struct journal *j = &s->journal;
	struct log_scan scan;
	int r = group_begin(s);

	if (!r)
		r = journal_replay(j, j->committed_lsn, LOG_ALL, table_apply, s,
				   &scan);
	if (!r && scan.last_lsn != j->last_lsn)
		r = log_errno(-EIO, "the log of '%s' cannot be read again",
			      s->path);
	if (!r && s->op.unlogged)
		r = table_apply(s, SLICE(s->op.record.data + LOG_HEADER_BYTES,
					 s->op.record.len - LOG_HEADER_BYTES));
	return r;
}

/* Makes the group again from the log. On error there is no transaction. */
static int group_rebuild(struct store *s)
{
	int r;

	group_drop(s);
	r = group_replay(s);
	if (r && space_is_cause(&s->space, r) && space_give_up(&s->space, r)) {
		group_drop(s);
		r = group_replay(s);
	}
	if (!r)
		return 0;
	group_drop(s);
	return store_fail(s, r, "the open group cannot be made again");
}

/* ---- closing */

/* Syncs data until little is left, without the lock if there are threads. */
static int group_sync_data(struct store *s)
{
	int r = 0;

	if (!s->threads || !segments_dirty_bytes(s->segments))
		return 0;
	pthread_mutex_unlock(&s->mutex);
	for (int i = 0; !r && i < DATA_ROUNDS_MAX; i++) {
		r = segments_sync(s->segments);
		if (segments_dirty_bytes(s->segments) <= DATA_LEFT_BYTES)
			break;
	}
	pthread_mutex_lock(&s->mutex);
	return r;
}

/* (one operation may be a merge of hundreds of rows) */
static bool group_is_full(const struct store *s)
{
	return s->group_ops >= s->group_max_ops ||
	       s->group_changes >= STORE_GROUP_CHANGES_MAX;
}

/* (what they read was read ahead) */
static void readers_wait(struct store *s)
{
	while (s->threads && s->page_readers &&
	       s->commits_beside >= COMMITS_BESIDE_MAX)
		pthread_cond_wait(&s->readers_done, &s->mutex);
}

static void group_closed(struct store *s, uint64_t lsn)
{
	journal_committed(&s->journal, lsn);
	s->synced_lsn = MAX_OF(s->synced_lsn, lsn);
	s->group++;
	s->group_ops = 0;
	s->group_changes = 0;
	s->answered = 0;
	s->stats.commits++;
	s->commits_beside++;
	if (!s->refused)
		return;
	log_info("store '%s': there was room for the commit", s->path);
	s->refused = 0;
	space_keep_full(&s->space, 0);
}

/* Is it too early to try once more? */
static bool group_is_refused(const struct store *s)
{
	return s->refused && io_now_ms() < s->refused_until_ms;
}

/*
 * There is no room to commit: what the log has goes on, but for an operation
 * that is not in it. Returns the error.
 */
static int group_refuse(struct store *s, int r)
{
	s->op.unlogged = false;
	if (group_rebuild(s))
		return store_failure(s);
	if (!s->refused)
		log_warn("store '%s': there is no room to commit (%s); new "
			 "operations go into the log as long as that has room",
			 s->path, strerrordesc_np(-r));
	s->refused = r == -EDQUOT ? r : -ENOSPC;
	space_keep_full(&s->space, s->refused);
	s->refused_until_ms = io_now_ms() + REFUSED_PAUSE_MS;
	s->refusals++;
	return s->refused;
}

/* With the lock; lets go of it while data is synced, or somebody reads. */
static int txg_close(struct store *s)
{
	uint64_t lsn;
	int r;

	readers_wait(s);
	if (store_failure(s))
		return store_failure(s);
	if (!s->group_ops)
		return 0;
	if (group_is_refused(s))
		return s->refused;
	space_refill(&s->space);
	r = group_sync_data(s);
	if (store_failure(s))
		return store_failure(s);
	if (s->job == TXG_REBUILD)
		return 0; /* asked for meanwhile: first that */
	if (!r)
		r = segments_sync(s->segments);
	if (r)
		return store_fail(s, r, "data cannot be synced");
	lsn = s->journal.last_lsn;
	r = group_commit(s, lsn);
	if (r && space_is_cause(&s->space, r) && space_give_up(&s->space, r)) {
		r = group_rebuild(s);
		if (!r)
			r = group_commit(s, lsn);
	}
	if (r && !store_failure(s) && space_is_cause(&s->space, r))
		return group_refuse(s, r);
	if (r) {
		store_fail(s, r, "the group cannot be committed");
		s->op.unlogged = false; /* it failed, and is left out */
		group_rebuild(s);
		return r;
	}
	group_closed(s, lsn);
	r = group_begin(s);
	return r ? store_fail(s, r, "no group can be begun") : 0;
}

static int txg_do(struct store *s, enum txg_job job)
{
	int r = 0;

	switch (job) {
	case TXG_IDLE:
		break;
	case TXG_BEGIN:
		return group_begin(s);
	case TXG_CLOSE:
		return txg_close(s);
	case TXG_REBUILD:
		return group_rebuild(s);
	case TXG_FINISH:
		s->refused_until_ms = 0;
		r = txg_close(s);
		group_drop(s);
		s->owner_exits = true;
		break;
	case TXG_ABANDON:
		group_drop(s);
		s->owner_exits = true;
		break;
	}
	return r;
}

/* ---- the owner thread */

static void owner_wait(struct store *s)
{
	uint64_t due = s->refused ? s->refused_until_ms : s->group_due_ms;
	struct timespec ts = {
		.tv_sec = (time_t)(due / 1000),
		.tv_nsec = (long)(due % 1000) * 1000000,
	};

	if (s->group_ops && !store_failure(s))
		pthread_cond_timedwait(&s->owner_wake, &s->mutex, &ts);
	else /* an idle store does not wake up */
		pthread_cond_wait(&s->owner_wake, &s->mutex);
}

static bool group_is_due(const struct store *s)
{
	if (!s->group_ops || group_is_refused(s))
		return false;
	return s->close_through >= s->group || group_is_full(s) ||
	       io_now_ms() >= s->group_due_ms;
}

static void *owner_main(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->mutex);
	while (!s->owner_exits) {
		if (s->job) {
			s->job_result = txg_do(s, s->job);
			s->job = TXG_IDLE;
		} else if (!store_failure(s) && group_is_due(s)) {
			txg_close(s);
		} else {
			owner_wait(s);
			continue;
		}
		pthread_cond_broadcast(&s->group_done);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

int txg_run(struct store *s, enum txg_job job)
{
	if (!s->threads)
		return txg_do(s, job);
	kin_assert(!s->gate_closed && s->job == TXG_IDLE);
	s->gate_closed = true;
	s->job = job;
	pthread_cond_signal(&s->owner_wake);
	while (s->job)
		pthread_cond_wait(&s->group_done, &s->mutex);
	s->gate_closed = false;
	pthread_cond_broadcast(&s->gate_opened);
	return s->job_result;
}

int txg_start(struct store *s, bool threads)
{
	int r;

	s->group = 1;
	if (threads) {
		r = pthread_create(&s->owner, NULL, owner_main, s);
		if (r)
			return -r;
		s->threads = true;
	}
	store_lock(s);
	r = txg_run(s, TXG_BEGIN);
	store_unlock(s);
	return r;
}

void txg_note_op(struct store *s)
{
	s->group_ops++;
	s->group_changes += s->op.undo_count;
	if (!s->threads) {
		if (group_is_full(s))
			txg_close(
				s); /* the operation is in the log: it ended */
		return;
	}
	if (s->group_ops == 1) {
		s->group_due_ms = io_now_ms() + s->group_max_ms;
		pthread_cond_signal(&s->owner_wake);
	}
	if (group_is_full(s) || journal_is_short(&s->journal)) {
		if (s->close_through < s->group) {
			s->close_through = s->group;
			pthread_cond_signal(&s->owner_wake);
		}
		/* Writers that are faster than the owner wait for it. */
		if ((s->group_ops / 2 >= s->group_max_ops ||
		     s->group_changes / 2 >= STORE_GROUP_CHANGES_MAX) &&
		    !group_is_refused(s))
			txg_run(s, TXG_CLOSE);
	}
}

/* ---- recovery */

/* A process that was killed left data that no sync has reached. */
static int recover_data(struct store *s)
{
	autoclose int fd = -1;

	if (s->no_sync)
		return 0;
	fd = openat(s->dirfd, "seg",
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : segments_sync_all(fd);
}

struct restored {
	int dirfd;
	bool any;
};

static int restore_piece(void *arg, struct data_loc loc, struct slice bytes)
{
	struct restored *d = arg;

	d->any = true;
	return segment_restore(d->dirfd, loc, bytes);
}

/* The power was cut: what the log has of data goes to its place first. */
static int restore_data(struct store *s, uint64_t after)
{
	autoclose int fd = -1;
	struct restored d = {-1, false};
	int r;

	if (mkdirat(s->dirfd, "seg", 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(s->dirfd, "seg",
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	d.dirfd = fd;
	r = journal_restore(&s->journal, after, restore_piece, &d);
	if (!r && d.any && !s->no_sync) {
		r = segments_sync_all(fd);
		if (!r) /* (the directory may be new) */
			r = io_sync(s->dirfd);
	}
	return r;
}

/*
 * The boot's id is committed with the lsn that the log goes on from, never
 * before it: else what is dropped here would be replayed next time.
 */
static int recover_once(struct store *s, uint64_t after, enum log_reach reach,
			struct log_scan *ret)
{
	int r = group_begin(s);

	if (!r && reach == LOG_MARKED)
		r = restore_data(s, after);
	if (!r)
		r = journal_replay(&s->journal, after, reach, table_apply, s,
				   ret);
	if (!r && reach == LOG_ALL && ret->applied)
		r = recover_data(s);
	if (!r && reach == LOG_MARKED)
		r = table_put(s, TABLE_META, SLICE_STR(META_BOOT),
			      SLICE_STR(s->boot_id));
	if (r || (reach == LOG_ALL && ret->max_lsn == after)) {
		group_drop(s);
		return r;
	}
	return group_commit(s, ret->max_lsn);
}

int txg_recover(struct store *s, uint64_t after, enum log_reach reach,
		struct log_scan *ret)
{
	int r = recover_once(s, after, reach, ret);

	if (r && space_is_cause(&s->space, r) && space_give_up(&s->space, r))
		r = recover_once(s, after, reach, ret);
	return r;
}

int txg_inspect(struct store *s, uint64_t after, enum log_reach reach,
		struct log_scan *ret)
{
	int r = group_begin(s);

	return r ? r
		 : journal_replay(&s->journal, after, reach, table_apply, s,
				  ret);
}

/*
 * ---- durability
 *
 * The order is all: data to disk, then the mark that says so into the log,
 * then the log to disk.
 */

int store_commit(struct store *s)
{
	uint64_t group, refusals;
	int r;

	store_lock(s);
	group = s->group;
	refusals = s->refusals;
	if (!s->threads) {
		r = txg_close(s);
		store_unlock(s);
		return r;
	}
	if (group_is_refused(s)) {
		r = store_failure(s) ? store_failure(s) : s->refused;
		store_unlock(s);
		return r;
	}
	if (s->group_ops && !store_failure(s)) {
		s->close_through = MAX_OF(s->close_through, group);
		pthread_cond_signal(&s->owner_wake);
		while (s->group == group && !store_failure(s) &&
		       s->refusals == refusals)
			store_wait(s, &s->group_done);
	}
	/* Was the group closed before the store failed? */
	r = s->group != group ? 0 : store_failure(s);
	if (!r && s->group == group && s->refusals != refusals)
		r = s->refused;
	store_unlock(s);
	return r;
}

/*
 * Sees to it that all data appended before is on disk, or in the record,
 * which is made a mark. Without the lock.
 */
static int sync_data(struct store *s, struct buf *record)
{
	int r;

	log_record_begin(record);
	r = segments_copy_unsynced(
		s->segments,
		MIN_OF(LOG_DATA_BYTES_MAX, s->journal.bytes / LOG_DATA_PART),
		record);
	if (r <= 0) {
		/* (to be synced where it lies: it may be that it is bad) */
		log_record_begin(record);
		r = segments_sync(s->segments);
	}
	return r < 0 ? r : 0;
}

/* Appends the mark that says how far data is on disk, or in it. */
static int sync_mark(struct store *s, struct buf *record, uint64_t lsn)
{
	int r = buf_error(record);

	if (!r)
		r = journal_append_mark(&s->journal, record, lsn);
	if (!r)
		s->stats.log_bytes += record->len;
	return r;
}

/*
 * With the lock; lets go of it while files are synced. Operations that end
 * meanwhile may get into the log, and to the disk with it, but not their
 * data: so only those up to lsn are marked, and synced.
 */
static int sync_through(struct store *s, uint64_t lsn)
{
	cleanup(buf_release) struct buf record = BUF_INIT;
	struct log_sync sync;
	int r;

	store_unlock(s);
	r = sync_data(s, &record);
	store_lock(s);
	if (r)
		return store_fail(s, r, "data cannot be synced");
	if (store_failure(s) || s->synced_lsn >= lsn) /* by a commit */
		return store_failure(s);
	if (sync_mark(s, &record, lsn)) {
		/* A commit needs no mark. It may be refused: what was copied
		 * is in no log then. */
		segments_copy_lost(s->segments);
		return txg_run(s, TXG_CLOSE);
	}
	s->stats.copies += record.len > LOG_HEADER_BYTES;
	journal_sync_begin(&s->journal, &sync);
	store_unlock(s);
	r = log_sync_run(&sync);
	store_lock(s);
	if (r)
		return store_fail(s, r, "the log cannot be synced");
	journal_mark(&s->journal, lsn);
	s->synced_lsn = MAX_OF(s->synced_lsn, lsn);
	return 0;
}

/* Syncs for all whose operations ended before. With the lock. */
static int sync_lead(struct store *s)
{
	int r;

	s->syncing = true;
	r = sync_through(s, s->op_lsn);
	s->syncing = false;
	s->stats.syncs++;
	pthread_cond_broadcast(&s->sync_done);
	return r;
}

int store_sync(struct store *s)
{
	uint64_t lsn;
	int r = 0;

	store_lock(s);
	lsn = s->op_lsn;
	while (!(r = store_failure(s)) && s->synced_lsn < lsn) {
		if (!s->syncing)
			r = sync_lead(s);
		else
			store_wait(s, &s->sync_done);
		if (r)
			break;
	}
	store_unlock(s);
	return r;
}
