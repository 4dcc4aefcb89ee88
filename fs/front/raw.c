/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the kernel that libfuse 3.14 does not know.
 *
 * TMPFILE (protocol 7.37) is a CREATE whose name is no name, and its answer
 * is that of a CREATE: so it is handed to libfuse as one.
 *
 * STATX (7.39) is answered here: the kernel sends it only to who asks for a
 * time of birth, which GETATTR has no room for. A kernel that does not know
 * these sends them not; neither has to be agreed on when mounting. Nor does
 * libfuse know all notifications: those without a body are sent here.
 *
 * HANDLE_KILLPRIV_V2 (7.33) is asked for in libfuse's answer to INIT, which
 * is changed on its way, and what it says of a SETATTR is noted here: libfuse
 * hides it. OVER_IO_URING (7.42) is asked for there, too, if there are rings;
 * all that libfuse answers passes here, and what was asked by a ring is
 * answered there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/front/front_internal.h"

/* Not in the headers of older kernels. */
#define OPCODE_STATX 52
/* struct fuse_init_in of protocol 7.6: up to the flags. */
#define FUSE_COMPAT_INIT_IN_BYTES 16
/* OVER_IO_URING, which is in flags2. */
#define INIT2_OVER_IO_URING (1u << 9)
/* The unit of st_blksize: attr.c. */
#define BLOCK_BYTES 4096

/* struct fuse_statx_in, fuse_sx_time, fuse_statx, fuse_statx_out. */
struct statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t flags;
	uint32_t mask;
};

struct statx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct statx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};
_Static_assert(sizeof(struct statx_in) == 24, "as the kernel has it");
_Static_assert(sizeof(struct statx_out) == 288, "as the kernel has it");

static ssize_t session_writev(int fd, struct iovec *iov, int count,
			      void *userdata);

int raw_reply(struct front *front, uint64_t unique, int error, void *out,
	      size_t len)
{
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + (error ? 0 : len)),
		.error = error,
		.unique = unique,
	};
	struct iovec iov[2] = { { &header, sizeof(header) }, { out, len } };

	if (session_writev(fuse_session_fd(front->session), iov, error ? 1 : 2,
			   front) >= 0)
		return 0;
	/* (interrupted, or unmounted: nobody waits for it) */
	if (errno != ENOENT && errno != ENODEV)
		return log_errno(-errno, "cannot answer a request");
	return -errno;
}

int raw_notify(struct front *front, int code)
{
	struct fuse_out_header header = { .len = sizeof(header),
					  .error = code };

	return write(fuse_session_fd(front->session), &header,
		     sizeof(header)) < 0 ? -errno : 0;
}

static struct statx_time statx_time_of(struct timespec t)
{
	return (struct statx_time){ t.tv_sec, (uint32_t)t.tv_nsec, 0 };
}

static void front_statx(struct front *front, const struct fuse_in_header *in)
{
	struct statx_out out = { 0 };
	struct attr attr;
	struct stat st;
	int r = tree_getattr(front->tree, in->nodeid, &attr);

	if (r < 0) {
		(void)raw_reply(front, in->unique, r, NULL, 0);
		return;
	}
	st = attr_to_stat(&attr);
	out.attr_valid = (uint64_t)CACHE_SECONDS;
	out.mask = STATX_BASIC_STATS | STATX_BTIME;
	out.blksize = BLOCK_BYTES;
	out.nlink = (uint32_t)st.st_nlink;
	out.uid = st.st_uid;
	out.gid = st.st_gid;
	out.mode = (uint16_t)st.st_mode;
	out.ino = st.st_ino;
	out.size = (uint64_t)st.st_size;
	out.blocks = (uint64_t)st.st_blocks;
	out.atime = statx_time_of(st.st_atim);
	out.btime = statx_time_of(attr.btime);
	out.ctime = statx_time_of(st.st_ctim);
	out.mtime = statx_time_of(st.st_mtim);
	out.rdev_major = major(st.st_rdev);
	out.rdev_minor = minor(st.st_rdev);
	(void)raw_reply(front, in->unique, 0, &out, sizeof(out));
}

/* ---- HANDLE_KILLPRIV_V2 */

/* Of the request that this thread performs. */
static _Thread_local bool kills_set_ids;

bool request_kills_set_ids(void)
{
	return kills_set_ids;
}

static void note_kill(const struct fuse_in_header *in, size_t size)
{
	const struct fuse_setattr_in *set = (const void *)(in + 1);

	kills_set_ids = in->opcode == FUSE_SETATTR &&
			size >= sizeof(*in) + sizeof(*set) &&
			set->valid & FATTR_KILL_SUIDGID;
}

static void note_init(struct front *front, const struct fuse_in_header *in,
		      size_t size)
{
	const struct fuse_init_in *init = (const void *)(in + 1);

	if (size >= sizeof(*in) + FUSE_COMPAT_INIT_IN_BYTES)
		front->may_kill = init->flags & FUSE_HANDLE_KILLPRIV_V2;
	front->may_ring = front->rings && size >= sizeof(*in) + sizeof(*init) &&
			  init->flags & FUSE_INIT_EXT &&
			  init->flags2 & INIT2_OVER_IO_URING;
	front->init_number = in->unique;
	front->asked = true;
}

static void ask_in_init(struct front *front, struct fuse_init_out *init)
{
	if (front->may_kill)
		init->flags |= FUSE_HANDLE_KILLPRIV_V2;
	if (front->may_ring) {
		init->flags |= FUSE_INIT_EXT;
		init->flags2 |= INIT2_OVER_IO_URING;
	}
}

/* The kernel knows what it was asked for, and waits for the rings. */
static void begin_rings(struct front *front)
{
	if (front->may_ring) {
		front_loop_add_rings(front);
		log_info("'%s': requests come by io_uring, %zu rings",
			 front->mountpoint, rings_count(front->rings));
	} else if (front->rings) {
		log_error("'%s': the kernel does not have io_uring for FUSE "
			  "any more", front->mountpoint);
		front_loop_end(&front->loop, -EOPNOTSUPP);
	}
}

/* All that libfuse answers. */
static ssize_t session_writev(int fd, struct iovec *iov, int count,
			      void *userdata)
{
	struct front *front = userdata;
	const struct fuse_out_header *head = iov[0].iov_base;
	ssize_t n;

	if (front->rings && rings_answer(front->rings, iov, count))
		return 0;
	if (!front->asked || count != 2 || head->error ||
	    head->unique != front->init_number ||
	    iov[1].iov_len < FUSE_COMPAT_22_INIT_OUT_SIZE)
		return writev(fd, iov, count);
	front->asked = false;
	ask_in_init(front, iov[1].iov_base);
	n = writev(fd, iov, count);
	front_read_ahead(front);
	begin_rings(front);
	return n;
}

static ssize_t session_read(int fd, void *bytes, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, bytes, len);
}

int session_asks(struct front *front)
{
	static const struct fuse_custom_io io = { .writev = session_writev,
						  .read = session_read };

	return fuse_session_custom_io(front->session, &io,
				      fuse_session_fd(front->session));
}

/* ---- requests */

bool front_raw(struct front *front, const struct fuse_buf *request)
{
	struct fuse_in_header *in = request->mem;

	if (request->flags & FUSE_BUF_IS_FD || request->size < sizeof(*in))
		return false;
	note_kill(in, request->size);
	if (in->opcode == FUSE_INIT)
		note_init(front, in, request->size);
	if (in->opcode == OPCODE_STATX &&
	    request->size >= sizeof(*in) + sizeof(struct statx_in)) {
		front_statx(front, in);
		return true;
	}
	if (in->opcode == OPCODE_TMPFILE)
		in->opcode = FUSE_CREATE;
	return false;
}
