/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-power-disk: a disk whose writes are known one by one.
 *
 * A FUSE file system with one file, `disk`, to be put under a loop device.
 * Its bytes lie in an ordinary image file. Each write and each flush (an
 * fsync of the file: that is what the loop driver makes of a flush, and FUA
 * is a write and a flush to it) is an entry of the log:
 *
 *	LOG.index	u64 offset, u64 length, u64 where in LOG.data,
 *			u64 CLOCK_MONOTONIC in ns; length 0: a flush;
 *			2^64-1 as the place in LOG.data: zeros (a discard)
 *	LOG.data	the bytes
 *	LOG.count	u64: entries so far; u64: what the disk is; u64: ns
 *			that a flush takes. Others map it, and write the
 *			second: 0 well, 1 nothing can be written (EIO), and
 *			nothing is logged; and the third
 *
 * Integers are of the machine. An entry is counted before its request is
 * answered, and requests are served one after the other: what a program saw
 * happen when the count was n, rests on the entries before n, and what was
 * written before a flush in the log was done when that flush began.
 *
 * The kernel caches nothing of the file (direct I/O), so that the entries
 * are the requests of the loop device as they come.
 */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/macro.h"

#define DISK_NAME "disk"
#define DISK_INO 2
/* Nothing changes behind the kernel's back. */
#define TIMEOUT_S 86400.0
#define ZEROS UINT64_MAX
#define COUNT_BYTES (3 * sizeof(uint64_t))
#define NS_PER_S 1000000000u

struct entry {
	uint64_t offset, len, at, time_ns;
};

struct disk {
	int image, index, data;
	uint64_t size, logged_bytes;
	uint64_t *count; /* mapped */
};

static struct disk *disk_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static bool is_broken(const struct disk *d)
{
	return __atomic_load_n(&d->count[1], __ATOMIC_ACQUIRE);
}

/* ---- the log */

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* bytes: NULL for zeros, and for a flush, which has no length. */
static int disk_log(struct disk *d, uint64_t offset, const void *bytes,
		    uint64_t len)
{
	struct entry e = {offset, len, bytes ? d->logged_bytes : ZEROS, 0};
	struct timespec now;
	int r = bytes ? write_all(d->data, bytes, len) : 0;

	if (r)
		return r;
	if (bytes)
		d->logged_bytes += len;
	clock_gettime(CLOCK_MONOTONIC, &now);
	e.time_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	r = write_all(d->index, &e, sizeof(e));
	if (!r)
		__atomic_add_fetch(d->count, 1, __ATOMIC_RELEASE);
	return r;
}

/* ---- requests */

static int stat_of(const struct disk *d, fuse_ino_t ino, struct stat *ret)
{
	*ret = (struct stat){.st_ino = ino, .st_nlink = 1};
	if (ino == FUSE_ROOT_ID) {
		ret->st_mode = S_IFDIR | 0700;
		ret->st_nlink = 2;
	} else if (ino == DISK_INO) {
		ret->st_mode = S_IFREG | 0600;
		ret->st_size = (off_t)d->size;
	} else {
		return -ENOENT;
	}
	return 0;
}

static void disk_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.ino = DISK_INO,
				     .attr_timeout = TIMEOUT_S,
				     .entry_timeout = TIMEOUT_S};

	if (parent != FUSE_ROOT_ID || strcmp(name, DISK_NAME) ||
	    stat_of(disk_of(req), DISK_INO, &e.attr))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &e);
}

static void disk_getattr(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (stat_of(disk_of(req), ino, &st))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_attr(req, &st, TIMEOUT_S);
}

static void disk_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (ino != DISK_INO) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void disk_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(size);

	(void)ino;
	(void)fi;
	buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	buf.buf[0].fd = disk_of(req)->image;
	buf.buf[0].pos = offset;
	fuse_reply_data(req, &buf, 0);
}

static void disk_write(fuse_req_t req, fuse_ino_t ino, const char *bytes,
		       size_t len, off_t offset, struct fuse_file_info *fi)
{
	struct disk *d = disk_of(req);
	ssize_t n;
	int r;

	(void)ino;
	(void)fi;
	if (is_broken(d)) {
		fuse_reply_err(req, EIO);
		return;
	}
	if ((uint64_t)offset > d->size || len > d->size - (uint64_t)offset) {
		fuse_reply_err(req, ENOSPC);
		return;
	}
	n = pwrite(d->image, bytes, len, offset);
	if (n != (ssize_t)len) {
		fuse_reply_err(req, EIO);
		return;
	}
	r = disk_log(d, (uint64_t)offset, bytes, len);
	if (r)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, len);
}

/* Nothing else is served meanwhile. */
static void flush_slowly(const struct disk *d)
{
	uint64_t ns = __atomic_load_n(&d->count[2], __ATOMIC_ACQUIRE);
	struct timespec time = {.tv_sec = (time_t)(ns / NS_PER_S),
				.tv_nsec = (long)(ns % NS_PER_S)};

	if (ns)
		nanosleep(&time, NULL);
}

static void disk_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		       struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	flush_slowly(disk_of(req));
	fuse_reply_err(req, is_broken(disk_of(req))
				    ? EIO
				    : -disk_log(disk_of(req), 0, NULL, 0));
}

/* Discards, and zeros written without bytes. */
static void disk_fallocate(fuse_req_t req, fuse_ino_t ino, int mode,
			   off_t offset, off_t len, struct fuse_file_info *fi)
{
	struct disk *d = disk_of(req);

	(void)ino;
	(void)fi;
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (is_broken(d)) {
		fuse_reply_err(req, EIO);
		return;
	}
	if (fallocate(d->image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      offset, len) < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	fuse_reply_err(req,
		       -disk_log(d, (uint64_t)offset, NULL, (uint64_t)len));
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = disk_lookup,
	.getattr = disk_getattr,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
	.fallocate = disk_fallocate,
};

/* ---- the program */

static int log_open(const char *log, const char *suffix, int flags)
{
	autofree char *path = NULL;
	int fd;

	if (asprintf(&path, "%s.%s", log, suffix) < 0)
		return -ENOMEM;
	fd = open(path, flags | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int disk_begin(struct disk *d, const char *image, const char *log)
{
	struct stat st;
	int count;

	d->image = open(image, O_RDWR | O_CLOEXEC);
	if (d->image < 0 || fstat(d->image, &st) < 0)
		return -errno;
	d->size = (uint64_t)st.st_size;
	d->index = log_open(log, "index", O_WRONLY);
	d->data = log_open(log, "data", O_WRONLY);
	count = log_open(log, "count", O_RDWR);
	if (d->index < 0 || d->data < 0 || count < 0)
		return -EIO;
	if (ftruncate(count, COUNT_BYTES) < 0)
		return -errno;
	d->count = mmap(NULL, COUNT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			count, 0);
	close(count);
	return d->count == MAP_FAILED ? -errno : 0;
}

/*
 * This process must not hold the mount of a file system that lies on its
 * disk: as the last one there it would unmount it at its own end, and wait
 * for ever for what it no longer serves.
 */
static int leave_namespace(const char *mountpoint)
{
	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	return umount2(mountpoint, MNT_DETACH) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	char *words[] = {argv[0], NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, words);
	struct fuse_session *session;
	struct disk d = {0};
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: %s IMAGE LOG MOUNTPOINT\n", argv[0]);
		return 2;
	}
	r = disk_begin(&d, argv[1], argv[2]);
	if (r) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	session = fuse_session_new(&args, &operations, sizeof(operations), &d);
	if (!session || fuse_set_signal_handlers(session))
		return 1;
	if (fuse_session_mount(session, argv[3]))
		return 1;
	r = leave_namespace(argv[3]);
	if (r) {
		fprintf(stderr, "%s: %s\n", argv[3], strerror(-r));
		fuse_session_unmount(session);
		return 1;
	}
	if (fuse_daemonize(0))
		return 1;
	r = fuse_session_loop(session); /* until somebody unmounts it */
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return r ? 1 : 0;
}
