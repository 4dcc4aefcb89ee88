/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All descriptors are made closed-on-exec, and above the standard ones, so
 * that a daemon whose own are closed does not hand one over as another.
 *
 * The guard's end is what is waited for, by its pidfd; not the end of the
 * pipes, which something that survived could hold open.
 */
#include "replication/net/hook_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How much longer than its limits say a guard may take: it kills for 10 s
 * at most. And how long one that was stopped has after it was told to go
 * on. */
#define GUARD_MS 20000
#define GUARD_AGAIN_MS 5000
#define READ_BYTES 16384
/* Bytes read of a pipe when all has ended: more than a pipe holds. */
#define DRAIN_BYTES_MAX (4 * 1024 * 1024)

struct ends {
	int read, write;
};

struct watch {
	struct ends out, err, report, lifeline;
	int null, pidfd;
	pid_t pid;
};

/* ---- descriptors */

static void end_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int above_stdio(int fd)
{
	int high;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return high;
}

static int ends_open(struct ends *ret)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	ret->read = above_stdio(fds[0]);
	ret->write = above_stdio(fds[1]);
	if (ret->read < 0 || ret->write < 0 ||
	    fcntl(ret->read, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static void ends_close(struct ends *e)
{
	end_close(&e->read);
	end_close(&e->write);
}

static void watch_release(struct watch *w)
{
	ends_close(&w->out);
	ends_close(&w->err);
	ends_close(&w->report);
	ends_close(&w->lifeline);
	end_close(&w->null);
	end_close(&w->pidfd);
}

static int watch_open(struct watch *w)
{
	const struct ends none = { -1, -1 };
	int r;

	*w = (struct watch){ none, none, none, none, -1, -1, -1 };
	w->null = above_stdio(open("/dev/null", O_RDWR | O_CLOEXEC));
	r = w->null < 0 ? -errno : ends_open(&w->out);
	if (r == 0)
		r = ends_open(&w->err);
	if (r == 0)
		r = ends_open(&w->report);
	return r ? r : ends_open(&w->lifeline);
}

static int start(struct watch *w, struct hook_child *c)
{
	c->null_fd = w->null;
	c->out_fd = w->out.write;
	c->err_fd = w->err.write;
	c->report_fd = w->report.write;
	c->lifeline_fd = w->lifeline.read;
	w->pid = fork();
	if (w->pid < 0)
		return -errno;
	if (w->pid == 0)
		hook_guard(c);
	end_close(&w->out.write);
	end_close(&w->err.write);
	end_close(&w->report.write);
	end_close(&w->lifeline.read);
	end_close(&w->null);
	w->pidfd = pidfd_open(w->pid, 0);
	return w->pidfd < 0 ? -errno : 0;
}

/* ---- what it says */

/* Keeps the end of it. Returns false when there is no more to come. */
static bool take_text(int fd, struct buf *text, bool *cut, size_t *ret_taken)
{
	uint8_t bytes[READ_BYTES];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	size_t over;

	*ret_taken = 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	*ret_taken = (size_t)n;
	buf_put(text, bytes, (size_t)n);
	if (text->failed || text->len <= HOOK_TEXT_BYTES_MAX)
		return true;
	over = text->len - HOOK_TEXT_BYTES_MAX;
	memmove(text->data, text->data + over, HOOK_TEXT_BYTES_MAX);
	text->len = HOOK_TEXT_BYTES_MAX;
	*cut = true;
	return true;
}

static void drain(int fd, struct buf *text, bool *cut)
{
	size_t taken = 0, all = 0;

	if (fd < 0)
		return;
	do
		all += taken;
	while (all < DRAIN_BYTES_MAX && take_text(fd, text, cut, &taken) &&
	       taken);
}

static void take_report(const struct hook_report *m, struct hook_end *end)
{
	switch (m->kind) {
	case REPORT_SPACES:
		end->spaces = (unsigned int)m->value;
		break;
	case REPORT_FAILED:
		end->failed = true;
		end->stage = (enum hook_stage)m->stage;
		end->error = m->value;
		break;
	case REPORT_TIME:
		end->timed_out = true;
		break;
	case REPORT_PROCESSES:
		end->too_many = true;
		break;
	case REPORT_EXIT:
		end->exited = true;
		end->status = m->value;
		break;
	case REPORT_SURVIVORS:
		end->survivors = true;
		break;
	}
}

static void take_reports(int fd, struct hook_end *end)
{
	struct hook_report m;

	while (read(fd, &m, sizeof(m)) == sizeof(m))
		take_report(&m, end);
}

/* ---- waiting */

static uint64_t now_ms(void)
{
	struct timespec ts;

	kin_assert(!clock_gettime(CLOCK_MONOTONIC, &ts));
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The guard does not end in time: something stopped it. */
static uint64_t urge(struct watch *w, bool again, struct hook_end *end)
{
	end->survivors = end->survivors || again;
	(void)pidfd_send_signal(w->pidfd, again ? SIGKILL : SIGCONT, NULL, 0);
	return now_ms() + GUARD_AGAIN_MS;
}

static void wait_for(struct watch *w, uint64_t due_ms, int cancel_fd,
		     struct hook_outcome *o, struct hook_end *end)
{
	struct pollfd fds[] = { { w->pidfd, POLLIN, 0 },
				{ w->out.read, POLLIN, 0 },
				{ w->err.read, POLLIN, 0 },
				{ cancel_fd, POLLIN, 0 } };
	bool urged = false;
	size_t taken;

	while (!fds[0].revents) {
		uint64_t at_ms = now_ms();

		if (at_ms >= due_ms) {
			due_ms = urge(w, urged, end);
			urged = true;
			continue;
		}
		if (poll(fds, ARRAY_SIZE(fds),
			 (int)MIN_OF(due_ms - at_ms, INT_MAX)) <= 0)
			continue;
		if (fds[1].revents &&
		    !take_text(fds[1].fd, &o->out, &o->out_cut, &taken))
			fds[1].fd = -1;
		if (fds[2].revents &&
		    !take_text(fds[2].fd, &o->err, &o->err_cut, &taken))
			fds[2].fd = -1;
		if (fds[3].revents) {
			fds[3].fd = -1;
			end_close(&w->lifeline.write);
			due_ms = now_ms() + GUARD_MS;
		}
	}
}

int hook_watch(struct hook_child *c, int cancel_fd, struct hook_outcome *o,
	       struct hook_end *ret)
{
	struct watch w;
	int r = watch_open(&w);

	*ret = (struct hook_end){ .failed = false };
	if (r == 0)
		r = start(&w, c);
	if (r == 0) {
		wait_for(&w, now_ms() + c->time_ms + c->grace_ms + GUARD_MS,
			 cancel_fd, o, ret);
		drain(w.out.read, &o->out, &o->out_cut);
		drain(w.err.read, &o->err, &o->err_cut);
		take_reports(w.report.read, ret);
	} else {
		/* Without a pidfd: it ends when the lifeline does. */
		end_close(&w.lifeline.write);
	}
	/* (It is gone already if the daemon ignores SIGCHLD.) */
	if (w.pid > 0)
		while (waitpid(w.pid, NULL, 0) < 0 && errno == EINTR)
			;
	watch_release(&w);
	return r;
}
