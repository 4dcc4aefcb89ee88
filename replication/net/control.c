/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client sends one line and gets one answer; its states are: reading the
 * line, waiting for the command, writing the answer. A client that hangs in
 * reading or writing is ended, so that it cannot hold its place for ever.
 *
 * A descriptor may come with the line (SCM_RIGHTS): one; more are closed.
 */
#include "replication/net/control_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/base/bytes.h"
#include "fs/base/log.h"
#include "replication/net/sys.h"

/* To send the request, and to take the answer once there is one. */
#define REQUEST_MS 10000
#define ANSWER_MS 60000
/* Bytes of an answer: very many conflicts. */
#define ANSWER_BYTES_MAX (256u * 1024 * 1024)
#define READ_BYTES 4096

enum client_state { CLIENT_READING, CLIENT_WAITING, CLIENT_WRITING,
		    CLIENT_GONE };

struct control_client {
	struct control *control;
	enum client_state state;
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_job free;
	struct buf in, out;
	size_t out_at;
	int fd;			/* that came with the request, or -1 */
	void *data;
	void (*then)(void *arg);
	void *then_arg;
	LIST_ENTRY(control_client) entry;
};

struct control {
	struct loop *loop;
	struct loop_watch watch;
	int dir;		/* where the socket is */
	char *name;		/* in that directory */
	const struct control_ops *ops;
	void *arg;
	size_t count;
	LIST_HEAD(, control_client) clients;
};

/* ---- clients */

static void client_free_job(struct loop_job *job)
{
	struct control_client *c = container_of(job, struct control_client,
						free);

	buf_release(&c->in);
	buf_release(&c->out);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static void client_end(struct control_client *c)
{
	struct control *control = c->control;
	int fd = c->watch.fd;

	if (c->state == CLIENT_GONE)
		return;
	if (c->state == CLIENT_WAITING && c->data)
		control->ops->gone(control->arg, c, c->data);
	c->state = CLIENT_GONE;
	loop_unwatch(control->loop, &c->watch);
	close(fd);
	loop_timer_set(control->loop, &c->timer, LOOP_NEVER);
	LIST_REMOVE(c, entry);
	control->count--;
	loop_job(control->loop, &c->free);
	if (c->then)
		c->then(c->then_arg);
}

static void client_timer(struct loop_timer *t, uint64_t now_ms)
{
	(void)now_ms;
	client_end(container_of(t, struct control_client, timer));
}

static void client_write(struct control_client *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n = send(c->watch.fd, c->out.data + c->out_at,
				 c->out.len - c->out_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_watch_events(c->control->loop, &c->watch,
					  EPOLLOUT);
			return;
		}
		if (n < 0) {
			client_end(c);
			return;
		}
		c->out_at += (size_t)n;
	}
	if (c->state == CLIENT_WRITING)
		client_end(c);
	else
		loop_watch_events(c->control->loop, &c->watch, 0);
}

static int put_json(void *out, const json_t *line)
{
	struct buf *b = out;
	autofree char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	if (!text)
		return -ENOMEM;
	if (strlen(text) > ANSWER_BYTES_MAX - b->len)
		return -E2BIG;
	buf_put(b, text, strlen(text));
	buf_put_u8(b, '\n');
	return buf_error(b);
}

int control_take_fd(struct control_client *c)
{
	int fd = c->fd;

	c->fd = -1;
	return fd;
}

void control_set_data(struct control_client *c, void *data)
{
	c->data = data;
}

/* Written by the loop: a client that turns out to be gone is not ended under
 * the hands of whoever tells it something. */
void control_event(struct control_client *c, json_t *event)
{
	if (c->state == CLIENT_WAITING && c->out_at == c->out.len) {
		buf_reset(&c->out);
		c->out_at = 0;
		if (put_json(&c->out, event))
			buf_reset(&c->out);
		else
			loop_watch_events(c->control->loop, &c->watch,
					  EPOLLOUT);
	}
	json_decref(event);
}

void control_answer(struct control_client *c, json_t *answer)
{
	control_answer_then(c, answer, NULL, NULL);
}

void control_answer_then(struct control_client *c, json_t *answer,
			 void (*fn)(void *arg), void *arg)
{
	int r = put_json(&c->out, answer);

	json_decref(answer);
	c->state = CLIENT_WRITING;
	c->then = fn;
	c->then_arg = arg;
	if (r) {
		json_t *error = control_error(r, CONTROL_FAILED,
						"the answer is too large");

		buf_reset(&c->out);
		c->out_at = 0;
		r = put_json(&c->out, error);
		json_decref(error);
	}
	if (r) {
		client_end(c);
		return;
	}
	loop_timer_set(c->control->loop, &c->timer, sys_now_ms() + ANSWER_MS);
	client_write(c);
}

json_t *control_error(int r, enum control_exit exit_code, const char *fmt,
		      ...)
{
	const char *name = strerrorname_np(-r);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A name that is not UTF-8 may have got into the message. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p >= 128 || (unsigned char)*p < ' ')
			*p = '?';
	return json_pack("{s:b, s:s, s:s, s:i}", "ok", 0, "error",
			 name ? name : "EIO", "message", text, "exit",
			 (int)exit_code);
}

/* ---- requests */

static void client_request(struct control_client *c, size_t len)
{
	json_t *request = json_loadb((const char *)c->in.data, len,
				     JSON_REJECT_DUPLICATES, NULL);

	c->state = CLIENT_WAITING;
	loop_timer_set(c->control->loop, &c->timer, LOOP_NEVER);
	loop_watch_events(c->control->loop, &c->watch, 0);
	if (json_is_object(request))
		c->control->ops->request(c->control->arg, c, request);
	else
		control_answer(c, control_error(-EBADMSG, CONTROL_USAGE,
						"the request is not one line "
						"of JSON"));
	json_decref(request);
}

/* Keeps the first descriptor of a message, and no other. */
static void take_descriptors(struct control_client *c, struct msghdr *message)
{
	struct cmsghdr *h;

	for (h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd),
			       sizeof(fd));
			if (c->fd < 0)
				c->fd = fd;
			else
				close(fd);
		}
	}
}

static ssize_t client_receive(struct control_client *c, uint8_t *at)
{
	/* Room for one: the kernel closes what does not fit. */
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} room;
	struct iovec part = { at, READ_BYTES };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room.bytes,
		.msg_controllen = sizeof(room.bytes),
	};
	ssize_t n = recvmsg(c->watch.fd, &message,
			    MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n >= 0)
		take_descriptors(c, &message);
	return n;
}

static void client_read(struct control_client *c)
{
	uint8_t *at = buf_extend(&c->in, READ_BYTES), *end;
	ssize_t n;

	if (!at) {
		client_end(c);
		return;
	}
	n = client_receive(c, at);
	c->in.len -= READ_BYTES - (size_t)MAX_OF(n, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_end(c);
		return;
	}
	end = memchr(at, '\n', (size_t)n);
	if (end)
		client_request(c, (size_t)(end - c->in.data));
	else if (c->in.len > CONTROL_REQUEST_BYTES_MAX)
		control_answer(c, control_error(-E2BIG, CONTROL_USAGE,
						"the request is longer than "
						"%d bytes",
						CONTROL_REQUEST_BYTES_MAX));
}

static void client_event(struct loop_watch *w, uint32_t events)
{
	struct control_client *c = container_of(w, struct control_client,
						watch);

	if (c->state == CLIENT_READING)
		client_read(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		client_end(c);
	else if (events & EPOLLOUT)
		client_write(c);
}

/* ---- the listening socket */

static bool may_talk(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static int client_new(struct control *control, int fd)
{
	struct control_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct control_client){
		.control = control,
		.fd = -1,
		.watch = { .fd = -1, .fn = client_event },
		.timer.fn = client_timer,
		.free.fn = client_free_job,
	};
	buf_init(&c->in);
	buf_init(&c->out);
	r = loop_watch(control->loop, &c->watch, fd, EPOLLIN);
	if (r) {
		free(c);
		return r;
	}
	LIST_INSERT_HEAD(&control->clients, c, entry);
	control->count++;
	loop_timer_set(control->loop, &c->timer, sys_now_ms() + REQUEST_MS);
	return 0;
}

static void control_event_accept(struct loop_watch *w, uint32_t events)
{
	struct control *c = container_of(w, struct control, watch);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (c->count >= CONTROL_CLIENTS_MAX || !may_talk(fd) ||
	    client_new(c, fd))
		close(fd);
}

/*
 * An address of the socket that is short however long its path is: the
 * directory is opened, and /proc has a short name for what is open.
 */
static int short_address(int dir, const char *name, struct sockaddr_un *ret)
{
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path, sizeof(ret->sun_path),
		     "/proc/self/fd/%d/%s", dir, name);
	return n < (int)sizeof(ret->sun_path) ? 0 : -ENAMETOOLONG;
}

static int open_dir(const char *path, struct buf *why, int *ret_dir,
		    char **ret_name)
{
	const char *slash = strrchr(path, '/');
	autofree char *dir_path = slash ? strndup(path, (size_t)(slash - path) +
						  1) : strdup(".");
	autofree char *name = strdup(slash ? slash + 1 : path);
	autoclose int dir = -1;
	struct stat st;

	if (!dir_path || !name)
		return -ENOMEM;
	dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st))
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 022)) {
		buf_printf(why, "the directory \"%s\" of the control socket "
			   "must belong to this user and be writable by "
			   "nobody else", dir_path);
		return -EPERM;
	}
	*ret_dir = dir;
	dir = -1;
	*ret_name = steal(&name);
	return 0;
}

/* What a dead daemon left; the store's lock says that it is dead. */
static int remove_stale(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlinkat(dir, name, 0) ? -errno : 0;
}

static int listen_at(int dir, const char *name, int *ret)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
						   SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	int r = short_address(dir, name, &address);

	if (!r)
		r = remove_stale(dir, name);
	if (r)
		return r;
	/* Linux gives the file the mode that the socket has at bind(2), so it
	 * is never open to others, not even for a moment. */
	if (fd < 0 || fchmod(fd, 0600) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, CONTROL_CLIENTS_MAX))
		return -errno;
	*ret = fd;
	fd = -1;
	return 0;
}

int control_open(struct loop *loop, const char *path,
		 const struct control_ops *ops, void *arg, struct buf *why,
		 struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	int fd = -1, r;

	if (!c)
		return -ENOMEM;
	*c = (struct control){ .loop = loop, .dir = -1, .ops = ops,
			       .arg = arg, .watch = { .fd = -1 } };
	c->watch.fn = control_event_accept;
	LIST_INIT(&c->clients);
	r = open_dir(path, why, &c->dir, &c->name);
	if (!r)
		r = listen_at(c->dir, c->name, &fd);
	if (!r)
		r = loop_watch(loop, &c->watch, fd, EPOLLIN);
	if (r) {
		if (!why->len)
			buf_printf(why, "cannot make the control socket "
				   "\"%s\": %s", path, strerror(-r));
		if (fd >= 0)
			close(fd);
		control_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_flush(struct control *control)
{
	struct control_client *c, *next;

	for (c = LIST_FIRST(&control->clients); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (c->state == CLIENT_WRITING)
			client_write(c);
	}
}

void control_close(struct control *c)
{
	int fd;

	if (!c)
		return;
	while (!LIST_EMPTY(&c->clients))
		client_end(LIST_FIRST(&c->clients));
	fd = c->watch.fd;
	loop_unwatch(c->loop, &c->watch);
	if (fd >= 0) {
		unlinkat(c->dir, c->name, 0);
		close(fd);
	}
	if (c->dir >= 0)
		close(c->dir);
	free(c->name);
	free(c);
}
