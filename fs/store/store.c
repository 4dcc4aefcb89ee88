/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is open: the lock, its failure, and what does not belong to
 * groups (txg.c), operations (op.c), the log (journal.c) or data
 * (segment.c). open.c opens and closes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/distrust.h"
#include "fs/store/io.h"
#include "fs/store/pages.h"
#include "fs/store/store_internal.h"

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

/* ---- data */

static int append_check(struct store *s, struct slice bytes)
{
	return store_failure(s) ? -EROFS : space_check(&s->space, bytes.len);
}

int data_append(struct store *s, struct slice bytes, struct data_loc *ret)
{
	int r = append_check(s, bytes);

	return r ? r : segments_append(s->segments, bytes, ret);
}

int data_append_once(struct store *s, struct slice bytes, struct data_loc *ret)
{
	int r = append_check(s, bytes);

	return r ? r : segments_append_once(s->segments, bytes, ret);
}

static int reader_begin(struct store *s, MDB_txn **ret, int *ret_root)
{
	int r;

	store_lock(s);
	r = s->env ? lmdb_errno(mdb_txn_begin(s->env, NULL, MDB_RDONLY, ret)) :
		     -EIO;
	if (!r && !s->page_readers++)
		s->commits_beside = 0;
	store_unlock(s);
	/* (a commit's number says which root has it) */
	if (!r)
		*ret_root = (int)(mdb_txn_id(*ret) & 1);
	return r;
}

/* (whoever has the lock may wait for a commit, and that for this) */
static void reader_end(struct store *s, MDB_txn *txn)
{
	pthread_mutex_lock(&s->mutex);
	mdb_txn_abort(txn);
	s->page_readers--;
	pthread_cond_signal(&s->readers_done);
	pthread_mutex_unlock(&s->mutex);
}

/* So that the walk, beside which commits may have to wait, need not wait for
 * the disk. */
static void read_ahead(int fd)
{
	char bytes[65536];

	for (off_t at = 0; pread(fd, bytes, sizeof(bytes), at) > 0;
	     at += (off_t)sizeof(bytes))
		;
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
	read_ahead(fd);
	r = reader_begin(s, &txn, &root);
	if (r)
		return r;
	r = pages_walk(fd, root, ops, ret);
	reader_end(s, txn);
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

void data_will_read(struct store *s, struct data_loc loc, uint64_t len)
{
	segments_will_read(s->segments, loc, len);
}

void data_were_read(struct store *s, struct data_loc loc, uint64_t len)
{
	segments_were_read(s->segments, loc, len);
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
