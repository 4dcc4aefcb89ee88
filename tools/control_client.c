/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection a request. A socket is believed only if its server runs
 * under our uid or root's (SO_PEERCRED): anybody may mount something whose
 * source looks like ours.
 */
#include "tools/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/base/id.h"
#include "tools/mount_served.h"
#include "tools/mounts.h"
#include "tools/output.h"

/* Bytes of one line of an answer: a list of very many conflicts. */
#define ANSWER_BYTES_MAX (256u * 1024 * 1024)

/* ---- finding the volume */

void subject_release(struct subject *t)
{
	free(t->mountpoint);
	free(t->socket);
	free(t->path);
}

bool subject_of_command(int argc, char **argv, const char *help, int min,
			bool *ret_json, struct subject *ret, int *ret_exit)
{
	enum { OPTION_JSON = OPTION_FIRST };
	static const struct option options[] = {
		{ "json", no_argument, NULL, OPTION_JSON },
		{ NULL, 0, NULL, 0 },
	};
	struct cmdline line = { argc, argv, help, options };
	int c;

	*ret_json = false;
	while ((c = cmdline_next(&line)) == OPTION_JSON)
		*ret_json = true;
	if (c != CMDLINE_END) {
		*ret_exit = cmdline_exit(c);
		return false;
	}
	*ret_exit = cmdline_operands(&line, min, 1);
	if (*ret_exit != EXIT_OK)
		return false;
	*ret_exit = subject_init(ret, argv[0], argv[optind]);
	return *ret_exit == EXIT_OK;
}

static int subject_set(struct subject *t, const struct mount_entry *e,
		      const char *path)
{
	const char *rest = path_below(path, e->at);

	t->mountpoint = strdup(e->at);
	t->socket = mount_socket_of(e);
	/* A bind mount of a part of the volume has that part as its root. */
	if (asprintf(&t->path, "%s%s%s", e->root + 1,
		     e->root[1] && rest[0] ? "/" : "", rest) < 0)
		t->path = NULL;
	return t->mountpoint && t->socket && t->path ? 0 : -ENOMEM;
}

/* Is it a mount that we can see, of a daemon that may talk to us? */
static bool subject_usable(const struct mounts *m, const struct mount_entry *e)
{
	autofree char *path = NULL;

	if (!mount_is_kinfs(e) || mounts_find(m, e->at) != e)
		return false;
	path = mount_socket_of(e);
	return path && (access(path, F_OK) == 0 || errno != EACCES);
}

/* Without a path: the only volume that is mounted, of those we may use. */
static int subject_only(struct subject *t, const struct mounts *m)
{
	const struct mount_entry *only = NULL;

	for (size_t i = 0; i < m->count; i++) {
		const struct mount_entry *e = &m->entries[i];

		if (!subject_usable(m, e))
			continue;
		if (only)
			return complain(t->command, EXIT_USAGE,
					"several volumes are mounted, %s and "
					"%s; name one", only->at, e->at);
		only = e;
	}
	if (!only)
		return complain(t->command, EXIT_NOT_MOUNTED,
				"no kinfs is mounted; `kin mount DIR` mounts "
				"one");
	return subject_set(t, only, only->at) < 0 ?
		       complain(t->command, EXIT_FAILED, "out of memory") :
		       EXIT_OK;
}

static int subject_find(struct subject *t, const struct mounts *m,
		       const char *path)
{
	autofree char *resolved = NULL;
	const struct mount_entry *e;
	int r = path_resolve(m, path ? path : ".", &resolved);

	if (r < 0)
		return complain(t->command, EXIT_NOT_MOUNTED, "%s: %s",
				path ? path : ".", strerror(-r));
	e = mounts_find(m, resolved);
	if (!mount_is_kinfs(e)) {
		if (!path)
			return subject_only(t, m);
		return complain(t->command, EXIT_NOT_MOUNTED,
				"%s: is not in a kinfs mount; `kin mount` "
				"mounts one", path);
	}
	return subject_set(t, e, resolved) < 0 ?
		       complain(t->command, EXIT_FAILED, "out of memory") :
		       EXIT_OK;
}

int subject_init(struct subject *t, const char *command, const char *path)
{
	struct mounts m;
	int r;

	*t = (struct subject){ command, NULL, NULL, NULL };
	r = mounts_load(&m);
	if (r < 0)
		return complain(command, EXIT_FAILED,
				"/proc/self/mountinfo: %s", strerror(-r));
	r = subject_find(t, &m, path);
	mounts_release(&m);
	if (r != EXIT_OK)
		subject_release(t);
	return r;
}

void subject_put_path(const struct subject *t, json_t *request)
{
	json_t *text = json_string(t->path);	/* NULL unless UTF-8 */
	autofree char *hex = NULL;

	if (text) {
		json_object_set_new(request, "path", text);
		return;
	}
	hex = malloc(2 * strlen(t->path) + 1);
	if (!hex)
		return;
	hex_encode(t->path, strlen(t->path), hex);
	json_object_set_new(request, "path_hex", json_string(hex));
}

/* ---- the socket */

static int set_timeout(int fd, double timeout_s)
{
	struct timeval tv = { .tv_sec = (time_t)timeout_s };

	tv.tv_usec = (suseconds_t)((timeout_s - (double)tv.tv_sec) * 1e6);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	return 0;
}

/* A socket address holds 107 bytes: through the opened directory, any path
 * is short. */
static int socket_address(const char *path, int *ret_dir,
			  struct sockaddr_un *ret)
{
	const char *slash = strrchr(path, '/');
	autofree char *dir = slash ? strndup(path, (size_t)(slash - path) + 1)
				   : NULL;
	int n;

	if (!dir)
		return -ENOMEM;
	*ret_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dir < 0)
		return -errno;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path, sizeof(ret->sun_path),
		     "/proc/self/fd/%d%s", *ret_dir, slash);
	return n < (int)sizeof(ret->sun_path) ? 0 : -ENAMETOOLONG;
}

bool subject_is_mounted(const struct subject *t)
{
	struct mounts m;
	bool found = false;

	if (mounts_load(&m) < 0)
		return false;
	for (size_t i = 0; i < m.count && !found; i++) {
		autofree char *socket = mount_socket_of(&m.entries[i]);

		found = socket && !strcmp(socket, t->socket) &&
			!strcmp(m.entries[i].at, t->mountpoint);
	}
	mounts_release(&m);
	return found;
}

int control_connect(const char *socket_path, double timeout_s, int *ret_fd,
		    pid_t *ret_pid)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	autoclose int dir = -1;
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int r;

	if (fd < 0)
		return -errno;
	r = set_timeout(fd, timeout_s);
	if (r == 0)
		r = socket_address(socket_path, &dir, &address);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	if (geteuid() != 0 && peer.uid != geteuid() && peer.uid != 0)
		return -EPERM;
	*ret_pid = peer.pid;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int complain_unreachable(const struct subject *t, int r)
{
	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
		return complain(t->command, EXIT_NOT_MOUNTED,
				"%s: its daemon is gone; `kin unmount %s` "
				"cleans up, then mount it again",
				t->mountpoint, t->mountpoint);
	case -EACCES:
	case -EPERM:
		return complain(t->command, EXIT_NOT_MOUNTED,
				"%s: is another user's volume; run kin as "
				"that user", t->mountpoint);
	case -EAGAIN:
		return complain(t->command, EXIT_FAILED,
				"%s: its daemon does not answer; see kin.log "
				"in its store", t->mountpoint);
	default:
		return complain(t->command, EXIT_FAILED,
				"%s: no answer from its daemon: %s",
				t->mountpoint, strerror(-r));
	}
}

/* The descriptor, or -1, goes with the first bytes. */
static ssize_t send_with(int fd, const char *text, size_t len, int with)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} room = { .bytes = { 0 } };
	struct iovec part = { (char *)text, len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *h;

	if (with >= 0) {
		message.msg_control = room.bytes;
		message.msg_controllen = sizeof(room.bytes);
		h = CMSG_FIRSTHDR(&message);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(with));
		memcpy(CMSG_DATA(h), &with, sizeof(with));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static int send_line(int fd, const json_t *request, int with)
{
	autofree char *text = json_dumps(request, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	size_t sent = 0;

	if (!text)
		return -ENOMEM;
	text[len++] = '\n';	/* in place of the NUL */
	while (sent < len) {
		ssize_t n = send_with(fd, text + sent, len - sent,
				      sent ? -1 : with);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		sent += (size_t)n;
	}
	return 0;
}

/* The last line is the first that says `ok`. */
static int read_answer(int fd, void (*fn)(void *arg, const json_t *event),
		       void *arg, json_t **ret)
{
	autofree char *line = NULL;
	size_t alloc = 0;
	FILE *in = fdopen(fd, "r");
	int r = -ECONNRESET;

	if (!in) {
		r = -errno;
		close(fd);
		return r;
	}
	for (;;) {
		ssize_t n;
		json_t *value;

		errno = 0;
		n = getline(&line, &alloc, in);
		if (n <= 0) {
			r = ferror(in) && errno ? -errno : -ECONNRESET;
			break;
		}
		value = n < ANSWER_BYTES_MAX ?
			json_loadb(line, (size_t)n, 0, NULL) : NULL;
		if (!json_is_object(value)) {
			json_decref(value);
			r = -EBADMSG;
			break;
		}
		if (json_object_get(value, "ok")) {
			*ret = value;
			r = 0;
			break;
		}
		if (fn)
			fn(arg, value);
		json_decref(value);
	}
	fclose(in);
	return r;
}

int control_ask(const struct subject *t, json_t *request, double timeout_s,
		json_t **ret_answer)
{
	return control_ask_watching(t, request, timeout_s, NULL, NULL,
				    ret_answer);
}

int control_ask_with(const struct subject *t, json_t *request, int with,
		     double timeout_s,
		     void (*fn)(void *arg, const json_t *event), void *arg,
		     json_t **ret_answer)
{
	pid_t pid;
	int fd, exit_code;
	int r = mount_connect(t->socket, timeout_s, &fd, &pid);

	*ret_answer = NULL;
	if (r == 0) {
		r = send_line(fd, request, with);
		if (r < 0)
			close(fd);
		else
			r = read_answer(fd, fn, arg, ret_answer);
	}
	json_decref(request);
	if (r < 0)
		return complain_unreachable(t, r);
	if (json_is_true(json_object_get(*ret_answer, "ok"))) {
		json_object_del(*ret_answer, "ok");
		return EXIT_OK;
	}
	exit_code = (int)json_number(*ret_answer, "exit");
	return exit_code > 0 && exit_code < 128 ? exit_code : EXIT_FAILED;
}

int control_ask_watching(const struct subject *t, json_t *request,
			 double timeout_s,
			 void (*fn)(void *arg, const json_t *event),
			 void *arg, json_t **ret_answer)
{
	return control_ask_with(t, request, -1, timeout_s, fn, arg,
				ret_answer);
}

int control_refused(const struct subject *t, const json_t *answer,
		    int exit_code)
{
	const char *message = json_text(answer, "message");

	if (!answer)
		return exit_code;	/* complained already */
	return complain(t->command, exit_code, "%s",
			message[0] ? message : json_text(answer, "error"));
}

int control_call(const struct subject *t, json_t *request,
		 json_t **ret_answer)
{
	return control_call_with(t, request, -1, ret_answer);
}

int control_call_with(const struct subject *t, json_t *request, int fd,
		      json_t **ret_answer)
{
	int r = control_ask_with(t, request, fd, CONTROL_TIMEOUT_S, NULL,
				 NULL, ret_answer);

	if (r != EXIT_OK) {
		r = control_refused(t, *ret_answer, r);
		json_decref(*ret_answer);
		*ret_answer = NULL;
	}
	return r;
}
