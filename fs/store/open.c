/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a store. It goes from the outside in, and changes
 * nothing before it knows that it may: the directory (ours, private), the
 * lock file (nobody else), the format (not newer), then recovery, then the
 * first group.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/store/distrust.h"
#include "fs/store/io.h"
#include "fs/store/store_internal.h"

/* Defaults of the options. */
#define MAP_BYTES (1ull << 40)
#define LOG_BYTES (8u << 20)
#define GROUP_MAX_OPS 10000
#define SEGMENT_BYTES (256ull << 20)
/*
 * What was done is durable this much later, whoever asks for it or not. The
 * commit itself is part of it: so long on a disk that takes 200 ms, with as
 * much again for what is in its way (the data is synced first, then what came
 * in meanwhile, then the tables).
 */
#define DURABLE_MS 1000
#define COMMIT_MS 400
#define GROUP_MAX_MS (DURABLE_MS - COMMIT_MS)

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

static int store_open_log(struct store *s, const struct store_options *o,
			  const struct store_past *past, struct log_scan *ret)
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
	struct store_past past = {0};
	struct log_scan scan = {0};
	int r = boot_read(s, o->boot_id);

	if (r)
		return explain(why, r, s->path, "the boot id cannot be read");
	r = dir_open(s->path, o->must_exist || s->inspect, why, &s->dirfd);
	if (!r)
		r = lock_take(s, o->must_exist || s->inspect, why);
	if (!r)
		r = store_open_tables(s, why, &past);
	if (r)
		return explain(why, r, s->path, "the tables cannot be opened");
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
	s->damaged = o->damaged;
	s->damaged_arg = o->damaged_arg;
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
	pthread_cond_init(&s->readers_done, NULL);
	pthread_cond_init(&s->sync_done, NULL);
	cond_init_monotonic(&s->owner_wake);
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
	pthread_cond_destroy(&s->readers_done);
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
