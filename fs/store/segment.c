/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data segments.
 *
 * An append reserves its place under a small mutex and writes outside it,
 * so that writers wait for each other only for an addition. Files are held
 * open in a table of few slots. A slot that is in use (read, written, or
 * not yet synced) is pinned by a reference; of the others the one used
 * longest ago gives way. A reader that finds all slots pinned opens the
 * file for itself; a writer waits for a slot, because a file that is to be
 * synced must stay open: an error of writing back is told to open files
 * only. At most SEGMENT_DIRTY_MAX slots wait for a sync and readers hold
 * theirs for one pread, so that wait is short.
 *
 * A segment is dirty from the end of its write on. Syncs run one after the
 * other under a mutex of their own: a second one that found nothing dirty
 * must not return before the first has done its work.
 */
#include "fs/store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/store/io.h"
#include "fs/store/segment_internal.h"

void segment_name(uint32_t number, char ret[SEGMENT_NAME_LEN + 1])
{
	snprintf(ret, SEGMENT_NAME_LEN + 1, "%08x", number);
}

/* ---- opening */

int segments_each(int dirfd,
		  int (*visit)(void *arg, int dirfd, uint32_t number),
		  void *arg)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (!r && (errno = 0, e = readdir(dir))) {
		char name[SEGMENT_NAME_LEN + 1];
		uint32_t number;

		if (strlen(e->d_name) != SEGMENT_NAME_LEN)
			continue;
		number = (uint32_t)strtoul(e->d_name, NULL, 16);
		segment_name(number, name);
		if (strcmp(name, e->d_name))
			continue; /* not one of ours */
		r = visit(arg, dirfd, number);
	}
	if (!r)
		r = -errno;
	closedir(dir);
	return r;
}

struct last {
	bool found;
	uint32_t number;
};

static int last_visit(void *arg, int dirfd, uint32_t number)
{
	struct last *last = arg;

	(void)dirfd;
	last->found = true;
	last->number = MAX_OF(last->number, number);
	return 0;
}

static int sync_visit(void *arg, int dirfd, uint32_t number)
{
	char name[SEGMENT_NAME_LEN + 1];
	autoclose int fd = -1;

	(void)arg;
	segment_name(number, name);
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : io_datasync(fd);
}

int segments_sync_all(int dirfd)
{
	int r = segments_each(dirfd, sync_visit, NULL);

	return r ? r : io_sync(dirfd);
}

/* Where appending goes on. */
static int segments_resume(struct segments *s, bool fresh)
{
	char name[SEGMENT_NAME_LEN + 1];
	autoclose int fd = -1;
	struct last last = {0};
	int r = segments_each(s->dirfd, last_visit, &last);

	if (r || !last.found)
		return r;
	s->number = last.number;
	segment_name(s->number, name);
	fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = io_size(fd, &s->end);
	if (r)
		return r;
	s->exists = true;
	/* (who made it may have been killed before the sync of its name) */
	s->dir_dirty = true;
	if (!fresh && s->end < s->segment_bytes)
		return 0;
	if (s->number == UINT32_MAX)
		return -ENOSPC;
	s->number++;
	s->exists = false;
	s->end = 0;
	return 0;
}

int segments_open(int dirfd, uint64_t segment_bytes, bool fresh, bool no_sync,
		  struct segments **ret)
{
	struct segments *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close(dirfd);
		return -ENOMEM;
	}
	s->dirfd = dirfd;
	s->segment_bytes = segment_bytes;
	s->no_sync = no_sync;
	pthread_mutex_init(&s->sync_mutex, NULL);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->unpinned, NULL);
	for (unsigned int i = 0; i < SEGMENT_FDS_MAX; i++)
		s->slots[i].fd = -1;
	r = segments_resume(s, fresh);
	if (r) {
		segments_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void segments_close(struct segments *s)
{
	if (!s)
		return;
	for (unsigned int i = 0; i < SEGMENT_FDS_MAX; i++) {
		if (s->slots[i].fd >= 0)
			close(s->slots[i].fd);
	}
	close(s->dirfd);
	pthread_cond_destroy(&s->unpinned);
	pthread_mutex_destroy(&s->mutex);
	pthread_mutex_destroy(&s->sync_mutex);
	free(s);
}

/* ---- slots; all with the mutex held */

struct segment *slot_of(struct segments *s, uint32_t number)
{
	for (unsigned int i = 0; i < SEGMENT_FDS_MAX; i++) {
		if (s->slots[i].fd >= 0 && s->slots[i].number == number)
			return &s->slots[i];
	}
	return NULL;
}

/* An empty slot, or NULL if all are pinned. */
static struct segment *slot_make_room(struct segments *s)
{
	struct segment *best = NULL;

	for (unsigned int i = 0; i < SEGMENT_FDS_MAX; i++) {
		struct segment *slot = &s->slots[i];

		if (slot->fd < 0)
			return slot;
		if (!slot->refs && (!best || slot->used < best->used))
			best = slot;
	}
	if (best) {
		close(best->fd);
		best->fd = -1;
	}
	return best;
}

static void slot_ref(struct segments *s, struct segment *slot)
{
	slot->refs++;
	slot->used = ++s->uses;
}

static void slot_unref(struct segments *s, struct segment *slot)
{
	kin_assert(slot->refs);
	if (!--slot->refs)
		pthread_cond_broadcast(&s->unpinned);
}

static void slot_fill(struct segment *slot, uint32_t number, int fd)
{
	*slot = (struct segment){.number = number, .fd = fd};
}

static unsigned int dirty_count(const struct segments *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < SEGMENT_FDS_MAX; i++)
		n += s->slots[i].fd >= 0 && s->slots[i].dirty_bytes;
	return n;
}

/* ---- appending */

/*
 * Finds the open file of the segment that is appended to, and makes the
 * file if it is new. May let go of the mutex; the segment may be another
 * one then, which is why the slot is looked up again each time round.
 */
static int slot_current(struct segments *s, struct segment **ret)
{
	char name[SEGMENT_NAME_LEN + 1];
	struct segment *slot;
	int fd;

	for (;;) {
		slot = slot_of(s, s->number);
		if (slot) {
			*ret = slot;
			return 0;
		}
		slot = slot_make_room(s);
		if (slot)
			break;
		pthread_cond_wait(&s->unpinned, &s->mutex);
	}
	segment_name(s->number, name);
	fd = openat(s->dirfd, name,
		    O_RDWR | O_CLOEXEC | O_NOFOLLOW |
			    (s->exists ? 0 : O_CREAT | O_EXCL),
		    0600);
	if (fd < 0)
		return -errno;
	if (!s->exists)
		s->dir_dirty = true;
	s->exists = true;
	slot_fill(slot, s->number, fd);
	*ret = slot;
	return 0;
}

int segments_turn(struct segments *s, uint64_t len)
{
	while (s->end &&
	       len > s->segment_bytes - MIN_OF(s->end, s->segment_bytes)) {
		int r;

		if (dirty_count(s) < SEGMENT_DIRTY_MAX) {
			if (s->number == UINT32_MAX)
				return -ENOSPC;
			s->number++;
			s->end = 0;
			s->exists = false;
			return 0;
		}
		pthread_mutex_unlock(&s->mutex);
		r = segments_sync(s);
		pthread_mutex_lock(&s->mutex);
		if (r)
			return r;
	}
	return 0;
}

/* Reserves a place, and pins its file. */
static int segments_reserve(struct segments *s, uint64_t len,
			    struct segment **ret_slot, struct data_loc *ret)
{
	int r = segments_turn(s, len);

	if (!r)
		r = slot_current(s, ret_slot);
	if (r)
		return r;
	slot_ref(s, *ret_slot);
	*ret = (struct data_loc){.segment = s->number, .offset = s->end};
	s->end += len;
	return 0;
}

typedef int (*write_fn)(int fd, const void *data, size_t len,
			uint64_t offset);

static int append(struct segments *s, struct slice bytes, write_fn write,
		  struct data_loc *ret)
{
	struct segment *slot = NULL;
	struct data_loc loc;
	int r;

	pthread_mutex_lock(&s->mutex);
	r = segments_reserve(s, bytes.len, &slot, &loc);
	pthread_mutex_unlock(&s->mutex);
	if (r)
		return r;
	r = write(slot->fd, bytes.data, bytes.len, loc.offset);
	pthread_mutex_lock(&s->mutex);
	if (!r)
		s->appended_bytes += bytes.len;
	else if (s->number == loc.segment && s->end == loc.offset + bytes.len)
		s->end = loc.offset; /* nobody came behind: no gap */
	if (!r && !s->no_sync && bytes.len)
		unsynced_add(&s->unsynced, loc, bytes.len);
	if (!s->no_sync && bytes.len) {
		if (!slot->dirty_bytes)
			slot_ref(s, slot);
		slot->dirty_bytes += bytes.len;
	}
	slot_unref(s, slot);
	pthread_mutex_unlock(&s->mutex);
	if (r)
		return r;
	*ret = loc;
	return 0;
}

int segments_append(struct segments *s, struct slice bytes,
		    struct data_loc *ret)
{
	return append(s, bytes, io_write_at, ret);
}

int segments_append_once(struct segments *s, struct slice bytes,
			 struct data_loc *ret)
{
	return append(s, bytes, io_write_once_at, ret);
}

/* ---- reading */

static int read_private(struct segments *s, struct data_loc loc, void *ret,
			size_t len)
{
	char name[SEGMENT_NAME_LEN + 1];
	autoclose int fd = -1;

	segment_name(loc.segment, name);
	fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	return io_read_at(fd, ret, len, loc.offset);
}

/*
 * Pins the open file of a segment. NULL in ret: all slots are pinned. The
 * file is opened for writing as well: it may be the one to append to.
 */
static int slot_for_read(struct segments *s, uint32_t number,
			 struct segment **ret)
{
	struct segment *slot = slot_of(s, number);

	if (!slot) {
		char name[SEGMENT_NAME_LEN + 1];
		int fd;

		slot = slot_make_room(s);
		if (!slot) {
			*ret = NULL;
			return 0;
		}
		segment_name(number, name);
		fd = openat(s->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		slot_fill(slot, number, fd);
	}
	slot_ref(s, slot);
	*ret = slot;
	return 0;
}

int segments_read(struct segments *s, struct data_loc loc, void *ret,
		  size_t len)
{
	struct segment *slot;
	int r;

	pthread_mutex_lock(&s->mutex);
	r = slot_for_read(s, loc.segment, &slot);
	pthread_mutex_unlock(&s->mutex);
	if (!r && !slot) {
		r = read_private(s, loc, ret, len);
	} else if (!r) {
		r = io_read_at(slot->fd, ret, len, loc.offset);
		pthread_mutex_lock(&s->mutex);
		slot_unref(s, slot);
		pthread_mutex_unlock(&s->mutex);
	}
	/* The tables name bytes, or a whole file, that do not exist. */
	return r == -ENODATA || r == -ENOENT || r == -EINVAL ? -EUCLEAN : r;
}

static void advise(struct segments *s, struct data_loc loc, uint64_t len,
		   int advice)
{
	struct segment *slot;

	pthread_mutex_lock(&s->mutex);
	slot = slot_of(s, loc.segment);
	if (slot)
		slot_ref(s, slot);
	pthread_mutex_unlock(&s->mutex);
	if (!slot)
		return;
	(void)!posix_fadvise(slot->fd, (off_t)loc.offset, (off_t)len, advice);
	pthread_mutex_lock(&s->mutex);
	slot_unref(s, slot);
	pthread_mutex_unlock(&s->mutex);
}

void segments_will_read(struct segments *s, struct data_loc loc, uint64_t len)
{
	advise(s, loc, len, POSIX_FADV_WILLNEED);
}

void segments_were_read(struct segments *s, struct data_loc loc, uint64_t len)
{
	advise(s, loc, len, POSIX_FADV_DONTNEED);
}

/* ---- syncing */

int segments_sync(struct segments *s)
{
	struct segment *dirty[SEGMENT_FDS_MAX];
	unsigned int count = 0;
	bool dir;
	int r = 0;

	if (s->no_sync)
		return 0;
	pthread_mutex_lock(&s->sync_mutex);
	if (s->failed) {
		/* The kernel tells once and forgets; we do not. */
		r = s->failed;
		pthread_mutex_unlock(&s->sync_mutex);
		return r;
	}
	pthread_mutex_lock(&s->mutex);
	dir = s->dir_dirty;
	s->dir_dirty = false;
	s->syncing = s->unsynced;
	s->unsynced = (struct unsynced){0};
	for (unsigned int i = 0; i < SEGMENT_FDS_MAX; i++) {
		struct segment *slot = &s->slots[i];

		if (slot->fd < 0 || !slot->dirty_bytes)
			continue;
		slot->dirty_bytes = 0; /* the pin is ours now */
		dirty[count++] = slot;
	}
	pthread_mutex_unlock(&s->mutex);
	for (unsigned int i = 0; !r && i < count; i++)
		r = io_datasync(dirty[i]->fd);
	if (!r && dir)
		r = io_sync(s->dirfd);
	pthread_mutex_lock(&s->mutex);
	for (unsigned int i = 0; i < count; i++)
		slot_unref(s, dirty[i]);
	s->syncing = (struct unsynced){0};
	pthread_mutex_unlock(&s->mutex);
	s->failed = r;
	pthread_mutex_unlock(&s->sync_mutex);
	return r;
}

uint64_t segments_dirty_bytes(struct segments *s)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&s->mutex);
	for (unsigned int i = 0; i < SEGMENT_FDS_MAX; i++) {
		if (s->slots[i].fd >= 0)
			bytes += s->slots[i].dirty_bytes;
	}
	pthread_mutex_unlock(&s->mutex);
	return bytes;
}

uint64_t segments_appended_bytes(struct segments *s)
{
	uint64_t bytes;

	pthread_mutex_lock(&s->mutex);
	bytes = s->appended_bytes;
	pthread_mutex_unlock(&s->mutex);
	return bytes;
}
