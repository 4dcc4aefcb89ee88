/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/hook_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replication/net/sys.h"

#define PATIENCE_MS 60000

static void pause_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

bool hook_has_spaces(void)
{
	static pid_t known_of;
	static bool known;
	int status = 1;
	pid_t pid;

	if (known_of == getpid())
		return known;
	pid = fork();
	if (pid == 0)
		/* (There are systems that let an ordinary user make them, and
		 * do nothing in them.) */
		_exit(unshare((geteuid() ? CLONE_NEWUSER : 0) | CLONE_NEWPID |
			      CLONE_NEWNS) ||
		      mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	known_of = getpid();
	known = status == 0;
	return known;
}

const struct hook_way *hook_ways(void)
{
	static const struct hook_way root[] = {
		{ "root", 0, HOOK_SPACES_TRY },
		{ "root without namespaces", 0, HOOK_SPACES_NEVER },
		{ "nobody by root", OTHER_ID, HOOK_SPACES_TRY },
		{ "nobody by root without namespaces", OTHER_ID,
		  HOOK_SPACES_NEVER },
		{ .name = NULL },
	};
	static struct hook_way user[] = {
		{ "user", 0, HOOK_SPACES_TRY },
		{ "user without namespaces", 0, HOOK_SPACES_NEVER },
		{ .name = NULL },
	};

	if (geteuid() == 0)
		return root;
	user[0].uid = user[1].uid = geteuid();
	return user;
}

void hook_test_init(struct hook_test *t, const struct hook_way *way)
{
	static struct hook_var vars[1];
	uint64_t mark;

	/* Asked before there are threads. */
	(void)hook_has_spaces();
	*t = (struct hook_test){ .hook = HOOK_INIT };
	strcpy(t->top, "/tmp/kin-hooks-XXXXXX");
	assert_non_null(mkdtemp(t->top));
	assert_int_equal(chmod(t->top, 0711), 0);
	snprintf(t->folder, sizeof(t->folder), "%s/hooks", t->top);
	snprintf(t->rooms, sizeof(t->rooms), "%s/tmp", t->top);
	assert_int_equal(mkdir(t->folder, 0755), 0);
	assert_int_equal(chmod(t->folder, 0755), 0);
	sys_random(&mark, sizeof(mark));
	snprintf(t->mark, sizeof(t->mark), "%016llx",
		 (unsigned long long)mark);
	vars[0] = (struct hook_var){ "KIN_MARK", t->mark };
	t->options = (struct hook_run_options){
		.hook = &t->hook,
		.vars = vars,
		.var_count = 1,
		.rooms = t->rooms,
		.uid = way->uid,
		.gid = way->uid == OTHER_ID ? OTHER_ID : getegid(),
		.wants_output = true,
		.limits = HOOK_LIMITS_DEFAULT,
		.spaces = way->spaces,
	};
	/* Tests that take longer are wrong. */
	t->options.limits.time_ms = 20000;
}

void hook_test_next(struct hook_test *t)
{
	hook_run_free(t->run);
	t->run = NULL;
	t->outcome = NULL;
	hook_close(&t->hook);
}

static void assert_no_rooms(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			fail_msg("%s is left of a run", e->d_name);
	if (dir)
		closedir(dir);
}

void hook_test_release(struct hook_test *t)
{
	char command[128];

	hook_test_next(t);
	assert_int_equal(hook_test_alive(t), 0);
	assert_no_rooms(t->rooms);
	snprintf(command, sizeof(command), "rm -rf '%s'", t->top);
	assert_int_equal(system(command), 0);
}

void hook_test_write(struct hook_test *t, const char *name, mode_t mode,
		     const void *text, size_t len)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", t->folder, name);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

void hook_test_script(struct hook_test *t, const char *text)
{
	char *whole;

	assert_true(asprintf(&whole, "#!/bin/sh\n%s\n", text) > 0);
	hook_test_write(t, "hook", 0755, whole, strlen(whole));
	free(whole);
}

void hook_test_program(struct hook_test *t, const char *path)
{
	char command[300];

	snprintf(command, sizeof(command), "cp '%s' '%s/' && chmod 755 "
		 "'%s'/*", path, t->folder, t->folder);
	assert_int_equal(system(command), 0);
}

void hook_test_start(struct hook_test *t, const char *name)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	int r = hook_open(t->folder, name, &why, &t->hook);

	if (r)
		fail_msg("%s: %.*s", name, (int)why.len,
			 why.data ? (char *)why.data : "");
	t->took_ms = sys_now_ms();
	assert_int_equal(hook_run_start(&t->options, &t->run), 0);
}

void hook_test_wait(struct hook_test *t)
{
	uint64_t until_ms = sys_now_ms() + PATIENCE_MS;

	while (!hook_run_done(t->run)) {
		if (sys_now_ms() > until_ms)
			fail_msg("the run does not end");
		pause_ms(2);
	}
	t->took_ms = sys_now_ms() - t->took_ms;
	t->outcome = hook_run_outcome(t->run);
}

void hook_test_run(struct hook_test *t, const char *text)
{
	hook_test_next(t);
	hook_test_script(t, text);
	hook_test_start(t, "hook");
	hook_test_wait(t);
}

static bool is_marked(const char *pid, const char *mark)
{
	char path[300], text[32768];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && memmem(text, (size_t)n, mark, strlen(mark));
}

unsigned int hook_test_alive(const struct hook_test *t)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	unsigned int count = 0;

	assert_non_null(proc);
	while ((e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
		    is_marked(e->d_name, t->mark))
			count++;
	closedir(proc);
	return count;
}

void hook_test_await_alive(const struct hook_test *t)
{
	uint64_t until_ms = sys_now_ms() + PATIENCE_MS;

	while (!hook_test_alive(t)) {
		if (sys_now_ms() > until_ms)
			fail_msg("the hook does not begin");
		pause_ms(5);
	}
}

void hook_test_output(const struct hook_test *t, char *ret, size_t size)
{
	ssize_t n;

	if (t->outcome->result != HOOK_SETTLED)
		fail_msg("not settled: %s; %.*s", t->outcome->reason,
			 (int)t->outcome->err.len,
			 t->outcome->err.data ? (char *)t->outcome->err.data :
						"");
	n = pread(t->outcome->output_fd, ret, size - 1, 0);
	assert_true(n >= 0);
	assert_true((uint64_t)n == t->outcome->output_bytes ||
		    (size_t)n == size - 1);
	ret[n] = '\0';
}

void assert_text(const struct buf *text, const char *expected)
{
	if (!slice_equal(buf_slice(text), SLICE_STR(expected)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)text->len,
			 text->data ? (char *)text->data : "", expected);
}

void assert_failed(const struct hook_test *t, const char *reason)
{
	assert_int_equal(t->outcome->result, HOOK_FAILED);
	assert_int_equal(t->outcome->output_fd, -1);
	if (!strstr(t->outcome->reason, reason))
		fail_msg("\"%s\" does not say \"%s\"", t->outcome->reason,
			 reason);
}
