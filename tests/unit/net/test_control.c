/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket without the commands: lines, bounds, who may talk. */
#include "tests/unit/net/net_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replication/net/control_server.h"
#include "replication/net/sys.h"

struct server {
	struct net_dir dir;
	struct loop loop;
	struct control *control;
	int requests, gone, then;
	bool later;			/* do not answer at once */
	struct control_client *client;
};

static void on_request(void *arg, struct control_client *c,
		       const json_t *request)
{
	struct server *s = arg;

	s->requests++;
	s->client = c;
	if (s->later) {
		control_set_data(c, s);
		return;
	}
	control_answer(c, json_pack("{s:b, s:O}", "ok", 1, "echo", request));
}

static void on_gone(void *arg, struct control_client *c, void *data)
{
	struct server *s = arg;

	(void)c;
	assert_ptr_equal(data, s);
	s->gone++;
}

static const struct control_ops ops = { on_request, on_gone };

static void server_init(struct server *s, const char *name)
{
	cleanup(buf_release) struct buf why = BUF_INIT;

	memset(s, 0, sizeof(*s));
	net_dir_init(&s->dir);
	assert_int_equal(loop_init(&s->loop), 0);
	assert_int_equal(control_open(&s->loop, net_dir_file(&s->dir, name),
				      &ops, s, &why, &s->control), 0);
}

static void server_release(struct server *s)
{
	control_close(s->control);
	loop_release(&s->loop);
	net_dir_release(&s->dir);
}

static int try_dial(struct server *s, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(chdir(s->dir.path), 0);
	strcpy(a.sun_path, name);
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -errno;
}

static int dial(struct server *s)
{
	int fd = try_dial(s, "s");

	assert_true(fd >= 0);
	return fd;
}

/* Sends, and reads until the server closes. NULL: it closed silently. */
static json_t *ask_bytes(struct server *s, const void *data, size_t len)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint64_t until_ms = sys_now_ms() + 15000;
	size_t sent = 0;
	json_t *answer;
	int fd = dial(s);

	for (;;) {
		char part[4096];
		ssize_t n;

		assert_true(sys_now_ms() < until_ms);
		if (sent < len) {
			n = send(fd, (const char *)data + sent, len - sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		}
		loop_turn(&s->loop, sys_now_ms() + 1);
		n = recv(fd, part, sizeof(part), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n > 0)
			buf_put(&b, part, (size_t)n);
	}
	close(fd);
	if (!b.len)
		return NULL;
	assert_int_equal(b.data[b.len - 1], '\n');
	answer = json_loadb((char *)b.data, b.len, 0, NULL);
	assert_non_null(answer);
	return answer;
}

static void expect(struct server *s, const void *data, size_t len,
		   const char *error)
{
	json_t *a = ask_bytes(s, data, len);

	assert_non_null(a);
	assert_true(json_is_boolean(json_object_get(a, "ok")));
	if (error) {
		assert_false(json_is_true(json_object_get(a, "ok")));
		assert_string_equal(json_string_value(
			json_object_get(a, "error")), error);
		assert_true(json_is_string(json_object_get(a, "message")));
		assert_true(json_integer_value(json_object_get(a, "exit")) > 0);
	} else {
		assert_true(json_is_true(json_object_get(a, "ok")));
	}
	json_decref(a);
}

static void expect_text(struct server *s, const char *text, const char *error)
{
	expect(s, text, strlen(text), error);
}

static void test_lines(void **state)
{
	struct server s;
	struct stat st;

	(void)state;
	umask(0);
	server_init(&s, "s");
	assert_int_equal(stat(net_dir_file(&s.dir, "s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	expect_text(&s, "{\"cmd\": \"status\"}\n", NULL);
	expect_text(&s, "{}\nmore after the line\n", NULL);
	assert_int_equal(s.requests, 2);
	server_release(&s);
}

static void test_garbage(void **state)
{
	static const char *const texts[] = {
		"\n", "nonsense\n", "[1]\n", "1\n", "\"cmd\"\n", "{\"a\":\n",
		"{\"a\": 1, \"a\": 2}\n", "{\"a\": \"\xff\"}\n",
		"{\"a\": \"\\u0000\"}\n", "{} {}\n",
	};
	struct server s;

	(void)state;
	server_init(&s, "s");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		expect_text(&s, texts[i], "EBADMSG");
	expect(&s, "\0\0\0\n", 4, "EBADMSG");
	assert_int_equal(s.requests, 0);
	server_release(&s);
}

static void test_oversized(void **state)
{
	size_t len = CONTROL_REQUEST_BYTES_MAX * 2;
	char *text = malloc(len);
	struct server s;

	(void)state;
	memset(text, '[', len);
	server_init(&s, "s");
	expect(&s, text, len, "E2BIG");
	/* A deep one that fits: refused by depth, no crash. */
	text[CONTROL_REQUEST_BYTES_MAX - 1] = '\n';
	expect(&s, text, CONTROL_REQUEST_BYTES_MAX, "EBADMSG");
	server_release(&s);
	free(text);
}

static void test_cut_off(void **state)
{
	struct server s;
	int fd;

	(void)state;
	server_init(&s, "s");
	fd = dial(&s);
	assert_int_equal(send(fd, "{\"cmd\"", 6, 0), 6);
	net_turn_for(&s.loop, 30);
	close(fd);
	net_turn_for(&s.loop, 30);
	assert_int_equal(s.requests, 0);
	expect_text(&s, "{}\n", NULL);
	server_release(&s);
}

static void after(void *arg)
{
	struct server *s = arg;

	s->then++;
}

static void test_later(void **state)
{
	struct server s;
	char text[256];
	int fd;

	(void)state;
	server_init(&s, "s");
	s.later = true;
	/* One that goes away while it waits. */
	fd = dial(&s);
	assert_int_equal(send(fd, "{}\n", 3, 0), 3);
	net_turn_for(&s.loop, 30);
	assert_int_equal(s.requests, 1);
	close(fd);
	net_turn_for(&s.loop, 30);
	assert_int_equal(s.gone, 1);
	/* One that gets its answer. */
	fd = dial(&s);
	assert_int_equal(send(fd, "{}\n", 3, 0), 3);
	net_turn_for(&s.loop, 30);
	assert_int_equal(s.requests, 2);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	control_answer_then(s.client, control_error(-ETIMEDOUT, 3, "x \xff"),
			    after, &s);
	assert_true(recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0);
	assert_non_null(strstr(text, "ETIMEDOUT"));
	assert_int_equal(s.then, 1);
	assert_int_equal(s.gone, 1);
	close(fd);
	server_release(&s);
}

static void test_too_many(void **state)
{
	int fd[CONTROL_CLIENTS_MAX + 1];
	struct server s;
	char c;

	(void)state;
	server_init(&s, "s");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = dial(&s);
		net_turn_for(&s.loop, 2);
	}
	assert_int_equal(recv(fd[CONTROL_CLIENTS_MAX], &c, 1, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	net_turn_for(&s.loop, 30);
	expect_text(&s, "{}\n", NULL);
	server_release(&s);
}

/* Another user gets no answer even if the file lets him connect. */
static void test_other_user(void **state)
{
	struct server s;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	server_init(&s, "s");
	assert_int_equal(chmod(s.dir.path, 0755), 0);
	for (int open = 0; open < 2; open++) {
		assert_int_equal(chmod(net_dir_file(&s.dir, "s"),
				       open ? 0666 : 0600), 0);
		pid = fork();
		if (!pid) {
			char c;
			int fd;

			if (setgid(65534) || setuid(65534))
				_exit(10);
			fd = try_dial(&s, "s");
			if (fd < 0)
				_exit(open ? 11 : 0);
			if (send(fd, "{}\n", 3, MSG_NOSIGNAL) < 0)
				_exit(0);
			_exit(recv(fd, &c, 1, 0) > 0 ? 12 : 0);
		}
		net_turn_for(&s.loop, 300);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	assert_int_equal(s.requests, 0);
	server_release(&s);
}

static void test_stale_and_foreign_files(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct control *other;
	struct server s;
	FILE *f;

	(void)state;
	server_init(&s, "s");
	/* As after kill -9: the file is there, nobody listens. */
	assert_int_equal(link(net_dir_file(&s.dir, "s"),
			      net_dir_file(&s.dir, "t")), 0);
	assert_int_equal(control_open(&s.loop, net_dir_file(&s.dir, "t"), &ops,
				      &s, &why, &other), 0);
	control_close(other);
	assert_int_equal(access(net_dir_file(&s.dir, "t"), F_OK), -1);
	f = fopen(net_dir_file(&s.dir, "file"), "w");
	fclose(f);
	assert_int_equal(control_open(&s.loop, net_dir_file(&s.dir, "file"),
				      &ops, &s, &why, &other), -EEXIST);
	assert_true(why.len > 0);
	assert_int_equal(chmod(s.dir.path, 0777), 0);
	assert_int_equal(control_open(&s.loop, net_dir_file(&s.dir, "u"), &ops,
				      &s, &why, &other), -EPERM);
	assert_int_equal(chmod(s.dir.path, 0700), 0);
	server_release(&s);
}

static void test_long_path(void **state)
{
	char name[201];
	struct server s;

	(void)state;
	memset(name, 'n', 60);
	name[60] = '\0';
	server_init(&s, name);
	server_release(&s);
	/* The directory's own path is what usually is long. */
	net_dir_init(&s.dir);
	memset(name, 'd', 200);
	name[200] = '\0';
	assert_int_equal(mkdir(net_dir_file(&s.dir, name), 0700), 0);
	{
		cleanup(buf_release) struct buf why = BUF_INIT, path = BUF_INIT;

		buf_printf(&path, "%s/%s/sock", s.dir.path, name);
		buf_put_u8(&path, 0);
		assert_int_equal(loop_init(&s.loop), 0);
		assert_int_equal(control_open(&s.loop, (char *)path.data, &ops,
					      &s, &why, &s.control), 0);
		assert_int_equal(access((char *)path.data, F_OK), 0);
	}
	server_release(&s);
}

/* ---- descriptors */

struct taking {
	struct server server;
	int fd;
};

static void on_request_take(void *arg, struct control_client *c,
			    const json_t *request)
{
	struct taking *t = arg;

	(void)request;
	t->fd = control_take_fd(c);
	/* It is the caller's now, and there is no other. */
	assert_int_equal(control_take_fd(c), -1);
	control_answer(c, json_pack("{s:b}", "ok", 1));
}

static const struct control_ops taking_ops = { on_request_take, NULL };

#define DESCRIPTORS_MAX 20

/* A line in two messages, each with so many descriptors of pipes' ends. */
static void send_with(int fd, const char *text, int write_end, size_t n)
{
	union {
		char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
		struct cmsghdr align;
	} room = { .bytes = { 0 } };
	int fds[DESCRIPTORS_MAX];
	struct iovec part = { (char *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *h;

	for (size_t i = 0; i < n; i++)
		fds[i] = write_end;
	if (n) {
		m.msg_control = room.bytes;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(h), fds, n * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), strlen(text));
}

/* Who holds the other end of the pipe? */
static bool pipe_is_closed(int read_end)
{
	char c;

	return read(read_end, &c, 1) == 0;
}

/* first, then: descriptors with the two halves of a request. */
static void try_descriptors(size_t first, size_t then, bool taken)
{
	struct taking t = { .fd = -1 };
	cleanup(buf_release) struct buf why = BUF_INIT;
	uint64_t until_ms = sys_now_ms() + 15000;
	int ends[2], fd;
	char answer[64];

	server_init(&t.server, "unused");
	control_close(t.server.control);
	assert_int_equal(control_open(&t.server.loop,
				      net_dir_file(&t.server.dir, "s"),
				      &taking_ops, &t, &why,
				      &t.server.control), 0);
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	fd = dial(&t.server);
	send_with(fd, "{\"cmd\":", ends[1], first);
	for (int i = 0; i < 3; i++)
		loop_turn(&t.server.loop, sys_now_ms() + 1);
	send_with(fd, "\"x\"}\n", ends[1], then);
	close(ends[1]);
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) <= 0) {
		assert_true(sys_now_ms() < until_ms);
		loop_turn(&t.server.loop, sys_now_ms() + 1);
	}
	assert_int_equal(t.fd >= 0, taken);
	if (taken) {
		assert_true(fcntl(t.fd, F_GETFD) & FD_CLOEXEC);
		assert_false(pipe_is_closed(ends[0]));
		close(t.fd);
	}
	/* All others were closed. */
	assert_true(pipe_is_closed(ends[0]));
	close(ends[0]);
	close(fd);
	server_release(&t.server);
}

static void test_descriptors(void **state)
{
	(void)state;
	try_descriptors(0, 0, false);
	try_descriptors(1, 0, true);
	try_descriptors(0, 1, true);
	try_descriptors(1, 1, true);
	try_descriptors(2, 3, true);
	try_descriptors(DESCRIPTORS_MAX, DESCRIPTORS_MAX, true);
}

/* One that nobody takes goes with its client. */
static void test_descriptor_left(void **state)
{
	struct server s;
	uint64_t until_ms = sys_now_ms() + 15000;
	int ends[2], fd;

	(void)state;
	server_init(&s, "s");
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	fd = dial(&s);
	send_with(fd, "{\"cmd\":\"x\"}\n", ends[1], 1);
	close(ends[1]);
	while (!s.requests || !pipe_is_closed(ends[0])) {
		assert_true(sys_now_ms() < until_ms);
		loop_turn(&s.loop, sys_now_ms() + 1);
	}
	close(ends[0]);
	close(fd);
	server_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_oversized),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_other_user),
		cmocka_unit_test(test_stale_and_foreign_files),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_descriptor_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
