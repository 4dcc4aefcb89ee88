/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread, which waits for three things: a message of the daemon, its
 * end, and signals, which it passes on. It has no store and no lock, so
 * that nothing that happens to the daemon happens to it.
 *
 * The first daemon is a fork and has all that its command was told (the code
 * of a join). Later ones are executed, by the path that this program had
 * when it began: after an upgrade that is the new one. If that one does not
 * come as far as to ask for the mount, the next try is this program itself.
 * One that hangs before it serves is killed, and the next one tries.
 *
 * A daemon that dies again and again is given up, and the mount with it:
 * then it is unmounted, which ends what waits for it. So is the mount of a
 * kernel that cannot send again what the daemon had not answered, unless it
 * went away by itself, with everything answered.
 */
#include "tools/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/front/handover.h"
#include "tools/command.h"
#include "tools/mount_remove.h"
#include "tools/mounts.h"

#define PROTOCOL 1
#define MESSAGE_BYTES_MAX 8192
/* Deaths after which the mount is given up, within so many seconds. */
#define DEATHS_MAX 5
#define DEATHS_S 60
/* Seconds in which a daemon cannot be started, before it is given up. */
#define START_TRIES 60
/* Seconds for a daemon to take the mount over: whoever uses it waits. What it
 * does by then is not much, but a disk may be very slow, and who is killed
 * has to begin again. */
#define SERVE_S 600
/* For the lock, which the supervisor of a mount before may still have. */
#define LOCK_TRIES 40
#define LOCK_PAUSE_MS 50
/* After a death, so that a disk or a peer that causes them is not besieged. */
#define PAUSE_MS 100

/* ---- messages with descriptors */

static int message_send(int socket, struct slice bytes, const int *fds,
			size_t count)
{
	struct iovec iov = { (void *)bytes.data, bytes.len };
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Returns the bytes, 0 at the end; fds that do not come are -1. */
static ssize_t message_receive(int socket, uint8_t *bytes, size_t max,
			       int fds[2])
{
	struct iovec iov = { bytes, max };
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c;
	ssize_t n;

	fds[0] = fds[1] = -1;
	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c),
		       MIN_OF(c->cmsg_len - CMSG_LEN(0), 2 * sizeof(int)));
	return n;
}

/* The rest of a message. */
static void put_text(struct buf *b, struct slice text)
{
	buf_put(b, text.data, text.len);
}

/* ---- the daemon's side */

static int answer_read(struct slice bytes, const int fds[2], struct buf *why,
		       struct supervised *ret)
{
	struct reader in = READER(bytes.data, bytes.len);
	int r = (int)reader_u32(&in);
	uint32_t version = reader_u32(&in);

	ret->uid = reader_u32(&in);
	ret->gid = reader_u32(&in);
	if (reader_left(&in))
		put_text(why, reader_bytes(&in, reader_left(&in)));
	if (reader_done(&in))
		return -EPROTO;
	if (version != PROTOCOL) {
		buf_printf(why, "the mount is held by another version of "
			   "kinfs: unmount it and mount it again");
		return -EPROTONOSUPPORT;
	}
	if (r)
		return r < 0 ? r : -EPROTO;
	if (fds[0] < 0 || fds[1] < 0)
		return -EPROTO;
	r = handover_open(fds[1], &ret->handover);
	if (r == -EPROTONOSUPPORT)
		buf_printf(why, "the mount is held by another version of "
			   "kinfs: unmount it and mount it again");
	return r;
}

/* How it is to be mounted, in what the daemon asks for. */
enum ask_flags { ASK_ALLOW_OTHER = 1, ASK_SUID = 2, ASK_DEV = 4 };

int supervised_mount(int socket, const struct front_options *o,
		     struct buf *why, struct supervised *ret)
{
	cleanup(buf_release) struct buf ask = BUF_INIT;
	uint8_t bytes[MESSAGE_BYTES_MAX];
	int fds[2], r;
	ssize_t n;

	*ret = (struct supervised){ .device = -1 };
	buf_put_u32(&ask, PROTOCOL);
	buf_put_u8(&ask, (o->allow_other ? ASK_ALLOW_OTHER : 0) |
				 (o->suid ? ASK_SUID : 0) |
				 (o->dev ? ASK_DEV : 0));
	put_text(&ask, SLICE_STR(o->source));
	r = buf_error(&ask);
	if (!r)
		r = message_send(socket, buf_slice(&ask), NULL, 0);
	if (r)
		return r;
	n = message_receive(socket, bytes, sizeof(bytes), fds);
	r = n < 0 ? (int)n : n == 0 ? -EPIPE :
	    answer_read(SLICE(bytes, (size_t)n), fds, why, ret);
	if (fds[1] >= 0)
		close(fds[1]);
	if (r < 0 && fds[0] >= 0)
		close(fds[0]);
	else if (!r)
		ret->device = fds[0];
	return r;
}

int supervised_serves(int socket)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r;

	buf_put_u32(&b, PROTOCOL);
	r = buf_error(&b);
	return r ? r : message_send(socket, buf_slice(&b), NULL, 0);
}

/* ---- the supervisor's side */

struct state {
	const struct supervisor *s;
	int memory, device;
	struct handover *handover;
	int signals;
	int socket;		/* to the daemon, or -1 */
	pid_t pid;
	uint32_t turn;		/* daemons before this one */
	bool asked;		/* this one came as far as to ask, */
	bool served;		/* ... and this far */
	bool late;		/* ... or was killed, since it did not by */
	time_t serve_by;
	unsigned int unserved;	/* daemons in a row that did not */
	char *source;		/* of the mount, once it is made */
	int lock;		/* SUPERVISOR_LOCK */
	bool own;		/* the next is this program itself */
	bool ending;		/* it was signalled */
	struct stat under;	/* the directory that is mounted on */
	time_t deaths[DEATHS_MAX];
	char self[PATH_MAX];
};

static time_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Not having it is no reason not to serve. */
static void take_lock(struct state *st)
{
	struct mount_entry e = { .type = (char *)"fuse.kinfs",
				 .source = st->source };
	struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	autofree char *socket = mount_socket_of(&e), *path = NULL;
	int r = -1;

	if (socket && asprintf(&path, "%s" SUPERVISOR_LOCK, socket) > 0)
		st->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC |
				O_NOFOLLOW, 0600);
	/* (the one of the mount before this may not be gone yet) */
	for (int k = 0; st->lock >= 0 && r < 0 && k < LOCK_TRIES; k++) {
		if (k)
			nanosleep(&pause, NULL);
		r = flock(st->lock, LOCK_EX | LOCK_NB);
	}
	if (r < 0)
		log_errno(-errno, "\"%s\": the lock of its supervisor",
			  st->s->mountpoint);
}

static int mount_now(struct state *st, struct slice ask, struct buf *why)
{
	struct reader in = READER(ask.data, ask.len);
	struct front_options o = { .mountpoint = st->s->mountpoint };
	autofree char *source = NULL;
	struct slice text;
	uint8_t flags;
	int r;

	if (reader_u32(&in) != PROTOCOL)
		return -EPROTONOSUPPORT;
	flags = reader_u8(&in);
	o.allow_other = flags & ASK_ALLOW_OTHER;
	o.suid = flags & ASK_SUID;
	o.dev = flags & ASK_DEV;
	text = reader_bytes(&in, reader_left(&in));
	if (reader_done(&in))
		return -EPROTO;
	source = strndup((const char *)text.data, text.len);
	if (!source)
		return -ENOMEM;
	o.source = source;
	if (st->device >= 0) {
		handover_take(st->handover);
		return 0;
	}
	if (stat(st->s->mountpoint, &st->under) < 0)
		return -errno;
	r = front_mount(&o, why, &st->device);
	if (r < 0)
		return r;
	st->source = steal(&source);
	take_lock(st);
	return 0;
}

/* What the daemon asks for; returns false if it asks no more. */
static bool serve(struct state *st)
{
	cleanup(buf_release) struct buf answer = BUF_INIT, why = BUF_INIT;
	uint8_t bytes[MESSAGE_BYTES_MAX];
	int none[2], r;
	ssize_t n = message_receive(st->socket, bytes, sizeof(bytes), none);

	for (int k = 0; k < 2; k++)
		if (none[k] >= 0)
			close(none[k]);
	if (n <= 0)
		return false;
	if (n == sizeof(uint32_t)) {
		st->served = true;
		st->unserved = 0;
		return true;
	}
	if (st->asked)
		return false;
	st->asked = true;
	r = mount_now(st, SLICE(bytes, (size_t)n), &why);
	buf_put_u32(&answer, (uint32_t)r);
	buf_put_u32(&answer, PROTOCOL);
	buf_put_u32(&answer, st->under.st_uid);
	buf_put_u32(&answer, st->under.st_gid);
	put_text(&answer, buf_slice(&why));
	if (!buf_error(&answer))
		r = message_send(st->socket, buf_slice(&answer),
				 (int[2]){ st->device, st->memory },
				 r ? 0 : 2);
	if (r < 0)
		log_errno(r, "the daemon of \"%s\" has no mount",
			  st->s->mountpoint);
	return true;
}

/* In the child. */
static int daemon_begin(struct state *st, int socket, pid_t parent)
{
	char number[16];
	sigset_t none;

	/* Killed, it takes its daemon along, which unmounts. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		return EXIT_FAILED;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(st->signals);
	if (!st->turn)
		return st->s->first(st->s->arg, socket);
	if (fcntl(socket, F_SETFD, 0) < 0)
		return EXIT_FAILED;
	snprintf(number, sizeof(number), "%d", socket);
	st->s->argv[0] = st->self;
	st->s->argv[SUPERVISOR_SOCKET_ARG] = number;
	if (!st->own)
		execv(st->self, st->s->argv);
	execv("/proc/self/exe", st->s->argv);
	log_errno(-errno, "cannot start \"%s\"", st->self);
	return EXIT_FAILED;
}

static int daemon_start(struct state *st)
{
	pid_t parent = getpid();
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	st->pid = fork();
	if (st->pid == 0) {
		close(ends[0]);
		r = daemon_begin(st, ends[1], parent);
		fflush(NULL);
		_exit(r);
	}
	close(ends[1]);
	if (st->pid < 0) {
		r = -errno;
		close(ends[0]);
		return r;
	}
	st->socket = ends[0];
	st->asked = st->served = st->late = false;
	if (!st->turn && st->s->started)
		st->s->started(st->s->arg);
	return 0;
}

/* Until it is to be killed; -1: for ever. (The first one may be joining, and
 * whoever waits for that sees it.) */
static int left_ms(const struct state *st)
{
	time_t now = now_s();

	if (!st->turn || st->served || st->late)
		return -1;
	return st->serve_by > now ? (int)(st->serve_by - now) * 1000 : 0;
}

/* Until the daemon ends; its status as of waitpid(2). */
static int daemon_wait(struct state *st, int pidfd)
{
	unsigned int within_s = st->s->serve_s ? st->s->serve_s : SERVE_S;
	int status, n;

	st->serve_by = now_s() + within_s;
	for (;;) {
		struct pollfd p[3] = {
			{ .fd = pidfd, .events = POLLIN },
			{ .fd = st->socket, .events = POLLIN },
			{ .fd = st->signals, .events = POLLIN },
		};
		struct signalfd_siginfo info;

		n = poll(p, 3, left_ms(st));
		if (!n) {
			log_error("the daemon of \"%s\" does not serve after "
				  "%u s: it is killed", st->s->mountpoint,
				  within_s);
			st->late = true;
			kill(st->pid, SIGKILL);
		}
		if (n <= 0)
			continue;
		if (p[1].revents && !serve(st)) {
			close(st->socket);
			st->socket = -1;
		}
		if (p[2].revents &&
		    read(st->signals, &info, sizeof(info)) == sizeof(info)) {
			st->ending = true;
			kill(st->pid, (int)info.ssi_signo);
		}
		if (p[0].revents && waitpid(st->pid, &status, 0) == st->pid)
			return status;
	}
}

static bool is_mounted(const struct state *st)
{
	return st->device >= 0 && front_is_mounted(st->device);
}

static void mount_end(struct state *st)
{
	if (is_mounted(st) && st->source)
		mount_remove_ours(st->s->mountpoint, st->source);
}

static bool dies_too_often(struct state *st)
{
	time_t now = now_s(), first = st->deaths[0];

	memmove(st->deaths, st->deaths + 1,
		(DEATHS_MAX - 1) * sizeof(st->deaths[0]));
	st->deaths[DEATHS_MAX - 1] = now;
	return first && now - first < DEATHS_S;
}

/* Says what ended it, and whether another one is to follow. */
static bool goes_on(struct state *st, int status)
{
	struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	const char *at = st->s->mountpoint;
	bool left = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_LEFT;

	if ((WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK) ||
	    st->ending || !is_mounted(st))
		return false;
	/* (who asked for the mount is told that it failed) */
	if (st->turn == 1 && !st->served)
		return false;
	if (left) {
		memset(st->deaths, 0, sizeof(st->deaths));
		return true;
	}
	if (WIFSIGNALED(status))
		log_error("the daemon of \"%s\" was killed by signal %d", at,
			  WTERMSIG(status));
	else
		log_error("the daemon of \"%s\" ended with code %d", at,
			  WEXITSTATUS(status));
	st->own = !st->served && !st->own;
	st->unserved += !st->served;
	if (st->unserved > DEATHS_MAX) {
		log_error("\"%s\": %d daemons in a row ended before they "
			  "served; it is unmounted", at, DEATHS_MAX + 1);
		return false;
	}
	if (dies_too_often(st)) {
		log_error("\"%s\": %d daemons ended within %d s; it is "
			  "unmounted", at, DEATHS_MAX + 1, DEATHS_S);
		return false;
	}
	if (st->served && !handover_can_resend(st->handover)) {
		log_error("\"%s\": this kernel loses what was asked of a "
			  "daemon that was killed (Linux 6.9 does not): it is "
			  "unmounted", at);
		return false;
	}
	nanosleep(&pause, NULL);
	return true;
}

/* One daemon, from its start to its end. */
static int run_one(struct state *st, int *ret_status)
{
	autoclose int pidfd = -1;
	int r = daemon_start(st);

	if (r < 0)
		return r;
	pidfd = (int)syscall(SYS_pidfd_open, st->pid, 0);
	if (pidfd < 0) {
		r = -errno;
		kill(st->pid, SIGTERM);
		waitpid(st->pid, ret_status, 0);
	} else {
		*ret_status = daemon_wait(st, pidfd);
		st->turn++;
	}
	if (st->socket >= 0)
		close(st->socket);
	st->socket = -1;
	return r;
}

static int run(struct state *st)
{
	struct timespec pause = { .tv_sec = 1 };
	int status = 0, tries = 0, r;

	for (;;) {
		r = run_one(st, &status);
		st->s->reopen_log(st->s->arg);
		/* (memory is short, and that is why the last one died) */
		if (r < 0 && st->turn && tries++ < START_TRIES) {
			log_errno(r, "the daemon of \"%s\" cannot be started "
				  "yet", st->s->mountpoint);
			nanosleep(&pause, NULL);
			continue;
		}
		if (r < 0 || !goes_on(st, status))
			break;
		tries = 0;
	}
	mount_end(st);
	if (r < 0) {
		log_errno(r, "the daemon of \"%s\" cannot be started",
			  st->s->mountpoint);
		return EXIT_FAILED;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static int signals_open(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int supervise(const struct supervisor *s)
{
	struct state st = { .s = s, .device = -1, .socket = -1,
			    .memory = -1, .signals = -1, .lock = -1 };
	uint64_t mount;
	ssize_t n;
	int r = 0;

	n = readlink("/proc/self/exe", st.self, sizeof(st.self) - 1);
	if (n < 0 || getrandom(&mount, sizeof(mount), 0) != sizeof(mount))
		r = -errno;
	if (!r)
		r = st.memory = handover_create(mount);
	if (r >= 0)
		r = handover_open(st.memory, &st.handover);
	if (r >= 0)
		r = st.signals = signals_open();
	if (r < 0)
		log_errno(r, "\"%s\" cannot be supervised", s->mountpoint);
	r = r < 0 ? EXIT_FAILED : run(&st);
	handover_close(st.handover);
	free(st.source);
	if (st.lock >= 0)
		close(st.lock);
	if (st.device >= 0)
		close(st.device);
	if (st.memory >= 0)
		close(st.memory);
	if (st.signals >= 0)
		close(st.signals);
	return r;
}
