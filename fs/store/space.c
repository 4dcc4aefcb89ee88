/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room on the disk.
 *
 * LMDB writes a group's pages at the commit, long after the operations
 * were acknowledged, so a full disk would be noticed when it is too late.
 * Hence the reserve: blocks that are really allocated, given back to the
 * disk when a commit fails for want of room, so that the same group can be
 * committed at the second try. From then on the store is *full*: nothing
 * that grows it is taken in until the disk has room for the reserve again.
 * Data stops earlier, while there is still room for metadata, so that the
 * reserve is seldom needed.
 */
#include "fs/store/space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/io.h"

#define RESERVE_NAME "reserve"
/* The disk is looked at again after so much new data, or so much time. */
#define LOOK_BYTES (4u << 20)
#define LOOK_MS 1000
/* Less free than this: an I/O error may be a short write of LMDB. */
#define TIGHT_BYTES (1u << 20)

static bool reserve_exists(const struct space *sp)
{
	struct stat st;

	return !fstatat(sp->dirfd, RESERVE_NAME, &st, AT_SYMLINK_NOFOLLOW) &&
	       S_ISREG(st.st_mode) && st.st_size == SPACE_RESERVE_BYTES;
}

static int reserve_make(const struct space *sp)
{
	autoclose int fd =
		openat(sp->dirfd, RESERVE_NAME,
		       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = posix_fallocate(fd, 0, SPACE_RESERVE_BYTES);
	if (r)
		unlinkat(sp->dirfd, RESERVE_NAME, 0);
	return -r;
}

static void full_set(struct space *sp, int r)
{
	__atomic_store_n(&sp->full, r, __ATOMIC_RELEASE);
}

/* With the mutex. */
static void refill_now(struct space *sp, bool tell)
{
	uint64_t avail;
	int r;

	if (io_free_bytes(sp->dirfd, &avail) ||
	    avail < SPACE_RESERVE_BYTES + SPACE_LOW_BYTES)
		return;
	r = reserve_make(sp);
	/* (of a quota the disk's free bytes say nothing) */
	if (r == -EDQUOT)
		full_set(sp, r);
	if (r)
		return;
	sp->looked_ms = 0;
	full_set(sp, 0);
	if (tell)
		log_info("there is room on the disk again");
}

static void refill(struct space *sp, bool tell)
{
	uint64_t now = io_now_ms();

	pthread_mutex_lock(&sp->mutex);
	if (!sp->kept_full &&
	    (!sp->tried_ms || now - sp->tried_ms >= LOOK_MS)) {
		sp->tried_ms = now;
		refill_now(sp, tell);
	}
	pthread_mutex_unlock(&sp->mutex);
}

void space_open(struct space *sp, int dirfd, bool off)
{
	*sp = (struct space){.dirfd = dirfd, .off = off};
	pthread_mutex_init(&sp->mutex, NULL);
	if (off || reserve_exists(sp))
		return;
	sp->full = -ENOSPC;
	refill(sp, false);
	if (sp->full)
		log_warn("the disk has no room for the reserve (%s): "
			 "nothing that grows the store is taken in",
			 strerrordesc_np(-sp->full));
}

void space_release(struct space *sp)
{
	pthread_mutex_destroy(&sp->mutex);
}

int space_is_full(const struct space *sp)
{
	return __atomic_load_n(&sp->full, __ATOMIC_ACQUIRE);
}

int space_check(struct space *sp, uint64_t len)
{
	uint64_t now, avail;
	bool low;

	if (sp->off)
		return space_is_full(sp);
	if (space_is_full(sp)) {
		int r;

		space_refill(sp);
		r = space_is_full(sp);
		if (r)
			return r;
	}
	now = io_now_ms();
	pthread_mutex_lock(&sp->mutex);
	sp->looked_bytes += len;
	if (!sp->looked_ms || now - sp->looked_ms >= LOOK_MS ||
	    sp->looked_bytes >= LOOK_BYTES) {
		sp->looked_ms = now;
		sp->looked_bytes = 0;
		sp->low = io_free_bytes(sp->dirfd, &avail) ||
			  avail < SPACE_LOW_BYTES + len;
	}
	low = sp->low;
	pthread_mutex_unlock(&sp->mutex);
	return low ? -ENOSPC : 0;
}

bool space_is_short(struct space *sp)
{
	bool yes;

	pthread_mutex_lock(&sp->mutex);
	yes = sp->low || space_is_full(sp);
	pthread_mutex_unlock(&sp->mutex);
	return yes;
}

bool space_is_cause(const struct space *sp, int r)
{
	uint64_t avail;

	if (r == -ENOSPC || r == -EDQUOT)
		return true;
	return r == -EIO && !io_free_bytes(sp->dirfd, &avail) &&
	       avail < TIGHT_BYTES;
}

bool space_give_up(struct space *sp, int r)
{
	bool given;

	if (sp->off)
		return false;
	pthread_mutex_lock(&sp->mutex);
	given = !unlinkat(sp->dirfd, RESERVE_NAME, 0);
	full_set(sp, r == -EDQUOT ? -EDQUOT : -ENOSPC);
	pthread_mutex_unlock(&sp->mutex);
	if (given)
		log_warn("the disk is full (%s): the reserve is given up, and "
			 "nothing that grows the store is taken in until "
			 "there is room",
			 strerrordesc_np(-sp->full));
	return given;
}

void space_refill(struct space *sp)
{
	if (!sp->off && space_is_full(sp))
		refill(sp, true);
}

void space_keep_full(struct space *sp, int r)
{
	pthread_mutex_lock(&sp->mutex);
	sp->kept_full = r;
	if (r || sp->off)
		full_set(sp, r);
	pthread_mutex_unlock(&sp->mutex);
}

void space_look(struct space *sp)
{
	pthread_mutex_lock(&sp->mutex);
	sp->looked_ms = sp->tried_ms = 0;
	pthread_mutex_unlock(&sp->mutex);
}
