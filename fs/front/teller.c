/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each message is one write to the device, and one packet of the socket in
 * each direction: what is to be written, and what came of it. The process is
 * a fork that executes nothing, since this is a library and no program; it
 * calls the system only, for other threads may have held any lock.
 *
 * If it is gone (nobody else kills it) its work is done here.
 */
#include "fs/front/teller.h"

#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/limits.h"
#include "fs/base/log.h"

/* The longest is a name: two heads, 255 bytes, and a NUL. */
#define MESSAGE_BYTES_MAX 512
/* Of protocol 7.38 (Linux 6.2); headers may be older. */
#define ENTRY_EXPIRE_ONLY 1u

/* ---- the process */

static int device_write(int device, const void *message, size_t len)
{
	ssize_t n = write(device, message, len);

	return n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
}

/* Descriptor 0 is the socket, 1 the device. */
static void serve(void)
{
	uint8_t message[MESSAGE_BYTES_MAX];
	ssize_t n;

	while ((n = recv(0, message, sizeof(message), 0)) > 0) {
		int32_t r = device_write(1, message, (size_t)n);

		if (send(0, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
			break;
	}
}

static _Noreturn void child_main(int socket, int device)
{
	sigset_t all;

	/* (what ends it is the end of the socket) */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	/* Above both, so that neither is in the other's place. */
	socket = dup(socket);
	device = dup(device);
	if (socket >= 0 && device >= 0 && dup2(socket, 0) == 0 &&
	    dup2(device, 1) == 1) {
		close_range(2, ~0u, 0);
		serve();
	}
	_exit(0);
}

int teller_start(struct teller *ret, int device)
{
	int sockets[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child_main(sockets[1], device);
	r = pid < 0 ? -errno : 0;
	close(sockets[1]);
	if (r < 0) {
		close(sockets[0]);
		return r;
	}
	*ret = (struct teller){ sockets[0], device, pid };
	return 0;
}

void teller_stop(struct teller *t)
{
	if (t->socket < 0)
		return;
	close(t->socket);
	t->socket = -1;
	while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- messages */

struct message {
	uint8_t bytes[MESSAGE_BYTES_MAX];
	size_t len;
};

static void put(struct message *m, const void *bytes, size_t len)
{
	kin_assert(len <= sizeof(m->bytes) - m->len);
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

static void message_begin(struct message *m, int code)
{
	struct fuse_out_header head = { .error = code };

	m->len = 0;
	put(m, &head, sizeof(head));
}

static int tell(struct teller *t, struct message *m)
{
	uint32_t len = (uint32_t)m->len;
	int32_t r;

	memcpy(m->bytes + offsetof(struct fuse_out_header, len), &len,
	       sizeof(len));
	if (t->socket >= 0 &&
	    send(t->socket, m->bytes, m->len, MSG_NOSIGNAL) ==
		    (ssize_t)m->len &&
	    recv(t->socket, &r, sizeof(r), MSG_WAITALL) == sizeof(r))
		return r;
	return device_write(t->device, m->bytes, m->len);
}

static int tell_name(struct teller *t, uint64_t parent, struct slice name,
		     uint32_t flags)
{
	struct fuse_notify_inval_entry_out entry = {
		.parent = parent,
		.namelen = (uint32_t)name.len,
	};
	struct message m;

	if (name.len > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	/* (the field has had another name) */
	memcpy((uint8_t *)&entry + sizeof(entry) - sizeof(flags), &flags,
	       sizeof(flags));
	message_begin(&m, FUSE_NOTIFY_INVAL_ENTRY);
	put(&m, &entry, sizeof(entry));
	put(&m, name.data, name.len);
	put(&m, "", 1);
	return tell(t, &m);
}

int teller_drop_name(struct teller *t, uint64_t parent, struct slice name)
{
	return tell_name(t, parent, name, 0);
}

int teller_expire_name(struct teller *t, uint64_t parent, struct slice name)
{
	return tell_name(t, parent, name, ENTRY_EXPIRE_ONLY);
}

int teller_drop_inode(struct teller *t, uint64_t ino, int64_t offset)
{
	struct fuse_notify_inval_inode_out inode = { .ino = ino,
						     .off = offset };
	struct message m;

	message_begin(&m, FUSE_NOTIFY_INVAL_INODE);
	put(&m, &inode, sizeof(inode));
	return tell(t, &m);
}
