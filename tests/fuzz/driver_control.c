/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests on the control socket of a running agent: u8 which descriptor
 * goes with it (1 a directory, 2 a pipe, 3 a file with text, else none), then
 * the bytes that are sent. What comes back, if anything does, is lines of
 * JSON. A request that waits is given up: the client goes.
 *
 * The agent is a real one, with threads and the machine's clock, and lives
 * as long as the program; so this driver alone is not the same every time.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "replication/net/agent.h"
#include "replication/net/control.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

/* What does not answer in this time, waits. */
#define ANSWER_MS 30

static struct fuzz_node node;
static struct identity identity;
static struct agent *agent;
static const char *socket_path, *files_dir;

static void on_stop(void *arg)
{
	(void)arg;
}

static int64_t real_now(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void stop(void)
{
	agent_stop(agent);
	fuzz_node_close(&node);
	identity_close(&identity);
}

static void start(void)
{
	const char *dir = fuzz_dir("control");
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct agent_options o = {
		.listen = "127.0.0.1:0",
		.mountpoint = "/nowhere",
		.stop = on_stop,
	};

	files_dir = fuzz_dir("files");
	socket_path = fuzz_path(dir, "control");
	fuzz_must(identity_open(dir, &why, &identity));
	fuzz_node_open(&node, &(struct fuzz_node_options){
				      .dir = fuzz_dir("node") });
	node.env.now_ns = real_now;
	fuzz_write(&node, "a", "text");
	fuzz_write(&node, "a", "text that is longer");
	fuzz_mkdir(&node, "d");
	fuzz_write(&node, "d/b", "b");
	fuzz_remove(&node, "d/b");
	o.tree = node.tree;
	o.identity = &identity;
	o.control_path = socket_path;
	fuzz_must(agent_start(&o, &why, &agent));
	atexit(stop);
}

static int descriptor(uint8_t which)
{
	int fd, pair[2];

	switch (which) {
	case 1:
		return open(files_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 2:
		kin_assert(!pipe2(pair, O_CLOEXEC | O_NONBLOCK));
		close(pair[0]);
		return pair[1];
	case 3:
		fd = memfd_create("text", MFD_CLOEXEC);
		kin_assert(fd >= 0 && write(fd, "merged\n", 7) == 7);
		return fd;
	}
	return -1;
}

static void send_request(int to, struct slice bytes, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = { .room = { 0 } };
	struct iovec part = { (void *)bytes.data, bytes.len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *h;

		m.msg_control = u.room;
		m.msg_controllen = sizeof(u.room);
		h = CMSG_FIRSTHDR(&m);
		*h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	n = sendmsg(to, &m, MSG_NOSIGNAL);
	while (n > 0 && (size_t)n < bytes.len) {
		bytes = SLICE(bytes.data + n, bytes.len - (size_t)n);
		n = send(to, bytes.data, bytes.len, MSG_NOSIGNAL);
	}
	(void)send(to, "\n", 1, MSG_NOSIGNAL);
}

static void check_lines(struct slice text)
{
	const uint8_t *at = text.data, *end = at + text.len, *line;

	for (; at < end && (line = memchr(at, '\n', (size_t)(end - at)));
	     at = line + 1) {
		json_t *o = json_loadb((const char *)at, (size_t)(line - at),
				       0, NULL);

		kin_assert(json_is_object(o));
		json_decref(o);
	}
}

void fuzz_control(struct slice in)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	cleanup(buf_release) struct buf answer = BUF_INIT;
	autoclose int fd = -1, client = -1;
	struct pollfd p;

	if (!in.len || in.len > CONTROL_REQUEST_BYTES_MAX)
		return;
	if (!agent)
		start();
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	kin_assert(!connect(client, (struct sockaddr *)&to, sizeof(to)));
	fd = descriptor(in.data[0]);
	send_request(client, SLICE(in.data + 1, in.len - 1), fd);
	p = (struct pollfd){ .fd = client, .events = POLLIN };
	while (poll(&p, 1, ANSWER_MS) == 1) {
		uint8_t *at = buf_extend(&answer, 4096);
		ssize_t n = recv(client, at, 4096, 0);

		answer.len -= 4096 - (size_t)MAX_OF(n, 0);
		if (n <= 0)
			break;
	}
	check_lines(buf_slice(&answer));
	fuzz_dir_clear(files_dir);
}
