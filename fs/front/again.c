/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount that outlives its process.
 *
 * The kernel keeps what it asked for until it is answered. Who takes over the
 * device of a process that was killed has it send all that again
 * (FUSE_NOTIFY_RESEND, Linux 6.9): the same numbers, with the uppermost bit
 * set. Some of it was performed, and only the answer got lost. Each worker
 * names the request that it performs to the tree (tree_request), which keeps
 * what it came to with what it did; a request that is found there is
 * answered from that, here, and not performed. Everything else is performed,
 * since it changed nothing yet.
 *
 * The answer is made for the kernel's protocol itself, as libfuse would do
 * everything else again too.
 */
#include <errno.h>
#include <linux/fuse.h>

#include "fs/base/log.h"
#include "fs/front/front_internal.h"

/* Protocol 7.40: the uppermost bit of a number that is sent again. */
#define UNIQUE_RESENT (UINT64_C(1) << 63)
/* A notification of protocol 7.40; libfuse 3.14 has no call for it. */
#define NOTIFY_RESEND 7

static bool is_resent(const struct fuse_in_header *in)
{
	return in->unique & UNIQUE_RESENT;
}

/* ---- answers */

union answer {
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} created;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	struct fuse_write_out write;
};

static void put_attr(const struct attr *a, struct fuse_attr *ret)
{
	struct stat st = attr_to_stat(a);

	*ret = (struct fuse_attr){
		.ino = st.st_ino,
		.size = (uint64_t)st.st_size,
		.blocks = (uint64_t)st.st_blocks,
		.atime = (uint64_t)st.st_atim.tv_sec,
		.mtime = (uint64_t)st.st_mtim.tv_sec,
		.ctime = (uint64_t)st.st_ctim.tv_sec,
		.atimensec = (uint32_t)st.st_atim.tv_nsec,
		.mtimensec = (uint32_t)st.st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st.st_ctim.tv_nsec,
		.mode = st.st_mode,
		.nlink = (uint32_t)st.st_nlink,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.rdev = (uint32_t)st.st_rdev,
		.blksize = (uint32_t)st.st_blksize,
	};
}

/* The kernel may believe none of it for long: others may have changed it. */
static int put_entry(struct front *front, uint64_t ino,
		     struct fuse_entry_out *ret)
{
	struct attr a;
	int r = tree_getattr(front->tree, ino, &a);

	if (r < 0)
		return r;
	*ret = (struct fuse_entry_out){ .nodeid = ino };
	put_attr(&a, &ret->attr);
	return 0;
}

/* For writing: what was made, or emptied. */
static int open_made(struct front *front, uint64_t ino)
{
	int r = tree_open_again(front->tree, ino, true);

	if (!r)
		opens_note(front, ino, true);
	return r;
}

/* Returns the bytes behind the header, or -errno: what is answered then. */
static int put_answer(struct front *front, const struct fuse_in_header *in,
		      uint64_t result, union answer *a)
{
	const void *arg = in + 1;
	struct attr attr;
	int r;

	switch (in->opcode) {
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		r = put_entry(front, result, &a->created.entry);
		return r < 0 ? r : (int)sizeof(a->created.entry);
	case FUSE_CREATE:
	case OPCODE_TMPFILE:
		r = put_entry(front, result, &a->created.entry);
		if (r < 0)
			return r;
		r = open_made(front, result);
		a->created.open = (struct fuse_open_out){
			.fh = true, .open_flags = FOPEN_KEEP_CACHE };
		return r < 0 ? r : (int)sizeof(a->created);
	case FUSE_OPEN:
		r = open_made(front, in->nodeid);
		a->open = (struct fuse_open_out){
			.fh = true, .open_flags = FOPEN_KEEP_CACHE };
		return r < 0 ? r : (int)sizeof(a->open);
	case FUSE_SETATTR:
		r = tree_getattr(front->tree, in->nodeid, &attr);
		a->attr = (struct fuse_attr_out){ 0 };
		if (!r)
			put_attr(&attr, &a->attr.attr);
		return r < 0 ? r : (int)sizeof(a->attr);
	case FUSE_WRITE:
		a->write = (struct fuse_write_out){
			.size = ((const struct fuse_write_in *)arg)->size };
		return sizeof(a->write);
	case FUSE_COPY_FILE_RANGE:
		a->write = (struct fuse_write_out){ .size = (uint32_t)result };
		return sizeof(a->write);
	default:
		return 0;
	}
}

static void answer(struct front *front, const struct fuse_in_header *in,
		   uint64_t result)
{
	union answer a;
	int n = put_answer(front, in, result, &a);
	int r = raw_reply(front, in->unique, MIN_OF(n, 0), &a,
			  (size_t)MAX_OF(n, 0));

	/* Interrupted: nobody will release it. */
	if (r == -ENOENT && n > 0 && in->opcode == FUSE_OPEN)
		opens_remove(front, in->nodeid, true);
	else if (r == -ENOENT && n > 0 && (in->opcode == FUSE_CREATE ||
					   in->opcode == OPCODE_TMPFILE))
		opens_remove(front, result, true);
}

/* ---- requests */

/* Of this thread, to close a file; number 0: none. */
static __thread struct tree_request closing;

/* Those that change something: what is asked twice of others is the same. */
static bool is_change(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_SETATTR:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
	case FUSE_OPEN:		/* with O_TRUNC */
	case FUSE_WRITE:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_CREATE:
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
	case OPCODE_TMPFILE:
		return true;
	default:
		return false;
	}
}

/* Not one of the last processes before this one: what they came to is wanted
 * until the kernel has asked again for all that was not answered. */
static unsigned int slot_of(const struct worker *worker)
{
	uint32_t turn = handover_turns(worker->front->handover);

	return turn % (STORE_ANSWERS / WORKERS_MAX) * WORKERS_MAX +
	       worker->slot;
}

bool request_begin(struct worker *worker)
{
	struct front *front = worker->front;
	const struct fuse_in_header *in = worker->request.mem;
	struct tree_request request;
	uint64_t result;
	int r;

	if (!front->handover || worker->request.size < sizeof(*in))
		return false;
	if (in->opcode == FUSE_INIT)
		front->init = SLICE(worker->request.mem, in->len);
	if (!is_change(in->opcode) && in->opcode != FUSE_RELEASE)
		return false;
	request = (struct tree_request){
		.mount = handover_mount(front->handover),
		.number = in->unique & ~UNIQUE_RESENT,
		.slot = slot_of(worker),
	};
	if (in->opcode == FUSE_RELEASE) {
		closing = request;
		if (!is_resent(in) ||
		    !handover_knows_close(front->handover, request.number))
			return false;
		answer(front, in, 0);
		return true;
	}
	r = is_resent(in) ? tree_performed(front->tree, request.mount,
					   request.number, &result) : 0;
	if (r < 0) {
		log_errno(r, "what became of a request is not known");
		(void)raw_reply(front, in->unique, -EIO, NULL, 0);
		return true;
	}
	if (r > 0) {
		answer(front, in, result);
		return true;
	}
	tree_request(&request);
	return false;
}

void request_end(void)
{
	closing.number = 0;
	tree_request(NULL);
}

/* ---- taking over */

uint32_t session_want(struct front *front, uint32_t want)
{
	if (handover_init(front->handover).len)
		return handover_want(front->handover);
	handover_note_init(front->handover, front->init, want);
	if (front->no_resend)
		handover_deny_resend(front->handover);
	return want;
}

int session_replay(struct front *front)
{
	struct slice init = handover_init(front->handover);
	struct fuse_buf request = { .mem = (void *)init.data,
				    .size = init.len };

	if (!init.len)
		return 0;
	/* The kernel had its answer from another: this one it drops. */
	fuse_session_process_buf(front->session, &request);
	return fuse_session_exited(front->session) ? -EPROTO : 0;
}

void session_resend(struct front *front)
{
	int r = handover_can_resend(front->handover) ?
			raw_notify(front, NOTIFY_RESEND) : 0;

	if (r < 0)
		log_errno(r, "requests that were not answered cannot be had "
			  "again");
}

static int open_again(void *arg, uint64_t ino, uint32_t opens,
		      uint32_t writers)
{
	struct front *front = arg;
	int r = 0;

	for (uint32_t k = 0; !r && k < opens; k++)
		r = tree_open_again(front->tree, ino, k < writers);
	return r;
}

int opens_take(struct front *front)
{
	return handover_each(front->handover, open_again, front);
}

void opens_note(struct front *front, fuse_ino_t ino, bool write)
{
	if (front->handover)
		handover_opened(front->handover, ino, write);
}

int opens_add(struct front *front, fuse_ino_t ino, bool write)
{
	int r = tree_open_file(front->tree, ino, write);

	if (!r)
		opens_note(front, ino, write);
	return r;
}

void opens_remove(struct front *front, fuse_ino_t ino, bool write)
{
	tree_release_file(front->tree, ino, write);
	if (!front->handover)
		return;
	/* (killed in between, one is noted that is not open: what it keeps
	 * goes at the unmount) */
	if (closing.number)
		handover_note_close(front->handover, closing.slot,
				    closing.number);
	handover_closed(front->handover, ino, write);
}

void front_note_removed(struct front *front, uint64_t ino)
{
	opens_note(front, ino, false);
}

static void forget(struct front *front, fuse_ino_t ino)
{
	if (tree_forgotten(front->tree, ino) && front->handover)
		handover_closed(front->handover, ino, false);
}

void front_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)count;
	forget(front_of(req), ino);
	fuse_reply_none(req);
}

void front_forget_multi(fuse_req_t req, size_t count,
			struct fuse_forget_data *list)
{
	for (size_t k = 0; k < count; k++)
		forget(front_of(req), list[k].ino);
	fuse_reply_none(req);
}

bool reply_left(struct front *front, fuse_req_t req)
{
	if (!atomic_load(&front->leaving) ||
	    !handover_can_resend(front->handover))
		return false;
	fuse_reply_none(req);
	return true;
}
