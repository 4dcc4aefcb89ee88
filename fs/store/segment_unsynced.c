/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little data that is to be durable at once: which bytes have reached
 * neither the disk nor the log, and a copy of them for the log.
 *
 * Syncing a segment that has grown makes the file system commit its own
 * journal; syncing the log, which is of one length for ever, does not. So
 * what a small write appended is put into the log as well (as ZFS does with
 * small synced writes), and the segment is synced before the next commit, in
 * the background. It is in the page cache, from where it is read here.
 *
 * While a sync is on its way its pieces count as unsynced still: whoever
 * needs them now copies them, and waits for nobody.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/store/format.h"
#include "fs/store/io.h"
#include "fs/store/segment_internal.h"

void unsynced_add(struct unsynced *u, struct data_loc loc, uint64_t len)
{
	u->bytes += len;
	for (unsigned int i = 0; i < u->count; i++) {
		struct piece *p = &u->pieces[i];

		if (p->loc.segment == loc.segment &&
		    p->loc.offset + p->len == loc.offset) {
			p->len += len;
			return;
		}
	}
	if (u->count == SEGMENT_PIECES_MAX)
		u->many = true;
	else
		u->pieces[u->count++] = (struct piece){loc, len};
}

static int piece_copy(struct segments *s, const struct piece *p,
		      struct buf *record)
{
	uint8_t *at = log_record_data(record, p->loc, (size_t)p->len);

	return at ? segments_read(s, p->loc, at, (size_t)p->len) : -ENOMEM;
}

int segments_copy_unsynced(struct segments *s, size_t max_bytes,
			   struct buf *record)
{
	struct unsynced all[2];
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	all[0] = s->syncing;
	all[1] = s->unsynced;
	if (all[0].many || all[1].many ||
	    all[0].bytes + all[1].bytes > max_bytes) {
		pthread_mutex_unlock(&s->mutex);
		return 0;
	}
	s->syncing = s->unsynced = (struct unsynced){0};
	pthread_mutex_unlock(&s->mutex);
	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		for (unsigned int i = 0; !r && i < all[k].count; i++)
			r = piece_copy(s, &all[k].pieces[i], record);
	}
	return r ? r : 1;
}

void segments_copy_lost(struct segments *s)
{
	pthread_mutex_lock(&s->mutex);
	s->unsynced.many = true;
	pthread_mutex_unlock(&s->mutex);
}

int segment_restore(int dirfd, struct data_loc loc, struct slice bytes)
{
	char name[SEGMENT_NAME_LEN + 1];
	autoclose int fd = -1;

	segment_name(loc.segment, name);
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	return fd < 0 ? -errno
		      : io_write_at(fd, bytes.data, bytes.len, loc.offset);
}
