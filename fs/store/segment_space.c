/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data segments: what of them is given back to the host's file system.
 *
 * The caller knows that nobody reads what he gives back, and that no commit
 * that may still be recovered names it. A segment that is removed has its
 * number for ever: while the one that is appended to has no file yet, the
 * last one before it stays, empty, so that the next opening counts on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/segment_internal.h"

#define STAT_BLOCK_BYTES 512

int segments_seal(struct segments *s, uint32_t *ret_end)
{
	int r;

	pthread_mutex_lock(&s->mutex);
	r = segments_turn(s, SEGMENT_BYTES_ALL);
	*ret_end = s->number;
	pthread_mutex_unlock(&s->mutex);
	return r;
}

uint64_t segments_bytes(const struct segments *s)
{
	return s->segment_bytes;
}

struct listing {
	int (*fn)(void *arg, const struct segment_facts *);
	void *arg;
};

static int list_visit(void *arg, int dirfd, uint32_t number)
{
	const struct listing *l = arg;
	char name[SEGMENT_NAME_LEN + 1];
	struct segment_facts f = {.number = number};
	struct stat st;

	segment_name(number, name);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	f.bytes = (uint64_t)st.st_size;
	f.allocated = (uint64_t)st.st_blocks * STAT_BLOCK_BYTES;
	return l->fn(l->arg, &f);
}

int segments_list(struct segments *s,
		  int (*fn)(void *arg, const struct segment_facts *), void *arg)
{
	struct listing l = {fn, arg};

	return segments_each(s->dirfd, list_visit, &l);
}

int segments_punch(struct segments *s, uint32_t number, uint64_t from,
		   uint64_t to)
{
	char name[SEGMENT_NAME_LEN + 1];
	autoclose int fd = -1;
	off_t data;

	segment_name(number, name);
	fd = openat(s->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	/* (a range that was given back before is passed over for nothing) */
	data = lseek(fd, (off_t)from, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return 0;
	if (data >= (off_t)to)
		return 0;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)from, (off_t)(to - from)) < 0)
		return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return 1;
}

int segments_remove(struct segments *s, uint32_t number)
{
	char name[SEGMENT_NAME_LEN + 1];
	struct segment *slot;
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	kin_assert(number < s->number);
	slot = slot_of(s, number);
	if ((slot && slot->refs) || (!s->exists && number == s->number - 1))
		r = -EBUSY;
	if (!r && slot) {
		close(slot->fd);
		slot->fd = -1;
	}
	pthread_mutex_unlock(&s->mutex);
	segment_name(number, name);
	if (!r && unlinkat(s->dirfd, name, 0) < 0)
		r = -errno;
	return r;
}
