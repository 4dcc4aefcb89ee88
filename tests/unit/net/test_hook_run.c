/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks that do what they should, and hooks that do what they should not.
 * Each test runs in all ways that this user has: with and without
 * namespaces, root also as another user. And root runs all of them as that
 * other user, who then is the daemon's.
 */
#include "tests/unit/net/hook_support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EACH_WAY(t) \
	for (const struct hook_way *way = hook_ways(); way->name; way++) \
		for (bool once = (hook_test_init(&(t), way), true); once; \
		     once = (hook_test_release(&(t)), false))

/* ---- what a hook gets */

static void test_arguments(void **state)
{
	static const char *const args[] = { "-rf", "a b", "", "new\nline",
					    "$(id)`id`", "\"'\\", "\xff\x01",
					    NULL };
	struct hook_test t;
	char path[100];

	(void)state;
	EACH_WAY (t) {
		t.options.args = args;
		hook_test_run(&t, "printf '%s|' \"$@\"\n"
				  "echo \"$0\" >&2; exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		snprintf(path, sizeof(path), "%s/hook\n", t.folder);
		assert_text(&t.outcome->out,
			    "-rf|a b||new\nline|$(id)`id`|\"'\\|\xff\x01|");
		assert_text(&t.outcome->err, path);
	}
}

/* printenv(1) as hook: what it was executed with, and nothing of a shell. */
static void test_environment(void **state)
{
	static const struct hook_var vars[] = {
		{ "KIN_PATH", "-a b\n$(c)'\"" }, { "KIN_EVENT", "" },
	};
	struct hook_test t;
	char expected[1000], *room;

	(void)state;
	assert_int_equal(setenv("KIN_LEAK", "x", 1), 0);
	assert_int_equal(setenv("LD_LIBRARY_PATH", "/nowhere", 1), 0);
	EACH_WAY (t) {
		t.options.vars = vars;
		t.options.var_count = 2;
		t.options.wants_output = false;
		hook_test_program(&t, "/usr/bin/printenv");
		hook_test_start(&t, "printenv");
		hook_test_wait(&t);
		assert_int_equal(t.outcome->result, HOOK_SETTLED);
		assert_int_equal(t.outcome->output_fd, -1);
		buf_put_u8(&t.outcome->out, '\0');
		room = strstr((char *)t.outcome->out.data, "/hook-");
		assert_non_null(room);
		snprintf(expected, sizeof(expected),
			 "PATH=/usr/local/bin:/usr/bin:/bin\n"
			 "LANG=C.UTF-8\n"
			 "HOME=%s%.22s/home\n"
			 "KIN_PATH=-a b\n$(c)'\"\n"
			 "KIN_EVENT=\n", t.rooms, room);
		assert_string_equal((char *)t.outcome->out.data, expected);
	}
	unsetenv("LD_LIBRARY_PATH");
}

static void write_all(int fd, const char *text, time_t mtime)
{
	const struct timespec times[2] = { { .tv_sec = mtime },
					   { .tv_sec = mtime } };

	assert_int_equal(write(fd, text, strlen(text)),
			 (ssize_t)strlen(text));
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static const char *const odd_labels[] = { "laptop", "-n", "a b\nc", "$(id)",
					  "'\"\\", "\xff*?" };

static int fill_odd(void *arg, struct hook_room *room)
{
	int fd;

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(odd_labels); i++) {
		assert_int_equal(hook_room_variant(
			room, SLICE_STR(odd_labels[i]), &fd), 0);
		write_all(fd, odd_labels[i], (time_t)(1000 + i));
	}
	assert_int_equal(hook_room_base(room, &fd), 0);
	write_all(fd, "base\n", 999);
	return 0;
}

static void test_variants(void **state)
{
	char expected[1000], got[1000];
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		size_t len = 0;

		t.options.fill = fill_odd;
		hook_test_run(&t,
			"set -eu; cat \"$KIN_BASE\"\n"
			"test ! -e \"$KIN_OUTPUT\"\n"
			"cd \"$KIN_VARIANTS_DIR\"\n"
			"for f in *; do printf '%s=' \"$f\"; cat \"./$f\"\n"
			"stat -c =%Y \"./$f\"; echo more >>\"./$f\"; done"
			" >\"$KIN_OUTPUT\"");
		assert_text(&t.outcome->out, "base\n");
		for (size_t i = 0; i < ARRAY_SIZE(odd_labels); i++)
			len += (size_t)snprintf(
				expected + len, sizeof(expected) - len,
				"%zu-%s=%s=%zu\n", i + 1, odd_labels[i],
				odd_labels[i], 1000 + i);
		hook_test_output(&t, got, sizeof(got));
		assert_string_equal(got, expected);
	}
}

static void test_no_base(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t, "test -z \"${KIN_BASE+set}\" || exit 3\n"
				  "exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
	}
}

static void test_cwd(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t,
			"[ \"$(ls -A | wc -l)\" = 0 ] || exit 10\n"
			"[ \"$(pwd -P)\" = \"$HOME\" ] || exit 11\n"
			"[ \"$(umask)\" = 0077 ] || exit 12\n"
			"[ \"$(stat -c %a .)\" = 700 ] || exit 13\n"
			"echo >file || exit 14\n"
			"[ \"$(readlink /proc/self/fd/0)\" = /dev/null ] ||"
			" exit 15\n"
			"[ \"$(wc -c)\" = 0 ] || exit 16\n"
			"read -r pid _ _ _ group session _ </proc/self/stat\n"
			"[ \"$group $session\" = \"$pid $pid\" ] || exit 17\n"
			"exec 2>/dev/null; (: </dev/tty) && exit 18; exit 1");
		assert_string_equal(t.outcome->reason, "");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
	}
}

/* ls(1) as hook, by its descriptor, and below a script. */
static void test_descriptors(void **state)
{
	static const char *const args[] = { "/proc/self/fd", NULL };
	int open_ended[40];
	struct hook_test t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(open_ended); i++)
		open_ended[i] = open("/dev/zero", O_RDONLY);
	EACH_WAY (t) {
		t.options.args = args;
		t.options.wants_output = false;
		hook_test_program(&t, "/bin/ls");
		hook_test_start(&t, "ls");
		hook_test_wait(&t);
		/* The last is the directory that it reads. */
		assert_text(&t.outcome->out, "0\n1\n2\n3\n");
		hook_test_run(&t, "exec ls /proc/self/fd");
		assert_text(&t.outcome->out, "0\n1\n2\n3\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(open_ended); i++)
		close(open_ended[i]);
}

/* The daemon's own may even be closed. */
static int fill_closes(void *arg, struct hook_room *room)
{
	int *saved = arg;

	(void)room;
	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
		close(i);
	}
	return 0;
}

static void finish_opens(void *arg, struct hook_outcome *o)
{
	int *saved = arg, fd = o->output_fd;

	if (fd >= 0) {
		o->output_fd = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		close(fd);
	}
	for (int i = 0; i < 3; i++) {
		(void)dup2(saved[i], i);
		close(saved[i]);
	}
}

static void test_without_stdio(void **state)
{
	char got[10];
	int saved[3];
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		t.options.fill = fill_closes;
		t.options.finish = finish_opens;
		t.options.arg = saved;
		hook_test_script(&t, "cat; echo out; echo err >&2\n"
				     "echo made >\"$KIN_OUTPUT\"");
		hook_test_start(&t, "hook");
		hook_test_wait(&t);
		hook_test_output(&t, got, sizeof(got));
		assert_string_equal(got, "made\n");
		assert_text(&t.outcome->out, "out\n");
		assert_text(&t.outcome->err, "err\n");
	}
}

static void test_signals(void **state)
{
	struct hook_test t;
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	assert_ptr_not_equal(signal(SIGPIPE, SIG_IGN), SIG_ERR);
	assert_ptr_not_equal(signal(SIGHUP, SIG_IGN), SIG_ERR);
	EACH_WAY (t) {
		assert_ptr_not_equal(signal(SIGCHLD, SIG_IGN), SIG_ERR);
		hook_test_run(&t, "grep -E '^Sig(Blk|Ign|Pnd)' "
				  "/proc/self/status | cut -f2 | sort -u\n"
				  "exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		assert_text(&t.outcome->out, "0000000000000000\n");
		/* (The end of the test waits for a program.) */
		signal(SIGCHLD, SIG_DFL);
	}
}

static int default_signals(void **state)
{
	sigset_t none;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static void test_user(void **state)
{
	static const gid_t groups[] = { 12, 34 };
	char expected[100];
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		bool other = geteuid() == 0 && way->uid;

		if (other) {
			t.options.groups = groups;
			t.options.group_count = 2;
		}
		hook_test_run(&t,
			"grep -E '^(Uid|Gid|NoNewPrivs|Cap...):' "
			"/proc/self/status >&2\n"
			"id -u; id -g; id -G; exit 1");
		snprintf(expected, sizeof(expected), "%u\n%u\n%u%s\n",
			 (unsigned)t.options.uid, (unsigned)t.options.gid,
			 (unsigned)t.options.gid, other ? " 12 34" : "");
		if (geteuid() == 0)
			assert_text(&t.outcome->out, expected);
		snprintf(expected, sizeof(expected), "Uid:\t%u\t%u\t%u\t%u\n",
			 (unsigned)t.options.uid, (unsigned)t.options.uid,
			 (unsigned)t.options.uid, (unsigned)t.options.uid);
		buf_put_u8(&t.outcome->err, '\0');
		assert_non_null(strstr((char *)t.outcome->err.data,
				       expected));
		assert_non_null(strstr((char *)t.outcome->err.data,
				       "NoNewPrivs:\t1\n"));
		assert_non_null(strstr((char *)t.outcome->err.data,
				       "CapInh:\t0000000000000000\n"
				       "CapPrm:\t0000000000000000\n"
				       "CapEff:\t0000000000000000\n"));
	}
}

/* ---- how it ends */

static void test_settled(void **state)
{
	char got[100];
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t, "echo a >\"$KIN_OUTPUT\"");
		hook_test_output(&t, got, sizeof(got));
		assert_string_equal(got, "a\n");
		assert_int_equal(t.outcome->output_bytes, 2);
		if (hook_has_spaces())
			assert_int_equal(!!(t.outcome->spaces & SPACE_PID),
					 way->spaces == HOOK_SPACES_TRY);
		/* A variant may be the result as it is, as a link too. */
		t.options.fill = fill_odd;
		hook_test_run(&t, "ln \"$KIN_VARIANTS_DIR\"/1-laptop "
				  "\"$KIN_OUTPUT\"");
		hook_test_output(&t, got, sizeof(got));
		assert_string_equal(got, "laptop");
		/* Empty is an output. */
		hook_test_run(&t, ": >\"$KIN_OUTPUT\"");
		hook_test_output(&t, got, sizeof(got));
		assert_string_equal(got, "");
	}
}

static void test_status(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t, "echo x >\"$KIN_OUTPUT\"; exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		assert_int_equal(t.outcome->output_fd, -1);
		hook_test_run(&t, "echo x >\"$KIN_OUTPUT\"; exit 2");
		assert_failed(&t, "it ended with status 2");
		hook_test_run(&t, "echo x >\"$KIN_OUTPUT\"; exit 255");
		assert_failed(&t, "it ended with status 255");
		hook_test_run(&t, "echo why >&2; kill -SEGV $$");
		assert_failed(&t, "it was killed by signal 11 (SIGSEGV)");
		assert_text(&t.outcome->err, "why\n");
		hook_test_run(&t, "kill -KILL $$");
		assert_failed(&t, "it was killed by signal 9 (SIGKILL)");
		hook_test_run(&t, "exit 0");
		assert_failed(&t, "it made no output");
	}
}

static void test_odd_outputs(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t, "ln -s /etc/passwd \"$KIN_OUTPUT\"");
		assert_failed(&t, "its output is a symbolic link");
		hook_test_run(&t, "echo x >file\n"
				  "ln -s \"$HOME/file\" \"$KIN_OUTPUT\"");
		assert_failed(&t, "its output is a symbolic link");
		hook_test_run(&t, "mkfifo \"$KIN_OUTPUT\"");
		assert_failed(&t, "its output is a pipe");
		hook_test_run(&t, "mkdir \"$KIN_OUTPUT\"; echo >\"$KIN_OUTPUT"
				  "/file\"; chmod 0 \"$KIN_OUTPUT\"");
		assert_failed(&t, "its output is a directory");
		hook_test_run(&t, "echo >\"$KIN_OUTPUT\"; chmod 0 \""
				  "$KIN_OUTPUT\"");
		if (geteuid())
			assert_failed(&t, "its output cannot be read");
		else
			assert_int_equal(t.outcome->result, HOOK_SETTLED);
		/* Instead of the room another one. */
		hook_test_run(&t, "cd /; d=${KIN_OUTPUT%/*}; mv \"$d/home\" "
				  "\"$d/h\"; rm -rf \"$d\"/*\n"
				  "ln -s / \"$d/home\"; mkdir \"$d/a b\"");
		assert_failed(&t, "it made no output");
	}
}

static void test_deletes_its_input(void **state)
{
	struct hook_test t;
	char got[10];

	(void)state;
	EACH_WAY (t) {
		t.options.fill = fill_odd;
		hook_test_run(&t, "rm -rf \"$KIN_VARIANTS_DIR\" \"$HOME\" "
				  "\"$KIN_BASE\"; echo ok >\"$KIN_OUTPUT\"");
		hook_test_output(&t, got, sizeof(got));
		assert_string_equal(got, "ok\n");
	}
}

static void test_closes_everything(void **state)
{
	struct hook_test t;
	char got[10];

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t, "exec <&- >&- 2>&-; sleep 0.2\n"
				  "echo ok >\"$KIN_OUTPUT\"");
		hook_test_output(&t, got, sizeof(got));
		assert_string_equal(got, "ok\n");
	}
}

static void test_cannot_run(void **state)
{
	static const char elf[] = "\177ELF no program at all";
	static const char lost[] = "#!/nonexistent/interpreter\n";
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_write(&t, "text", 0755, "echo text\n", 10);
		hook_test_start(&t, "text");
		hook_test_wait(&t);
		assert_failed(&t, "nor a script that begins with #!");
		hook_test_next(&t);
		hook_test_write(&t, "elf", 0755, elf, sizeof(elf));
		hook_test_start(&t, "elf");
		hook_test_wait(&t);
		assert_failed(&t, "neither a program for this machine");
		hook_test_next(&t);
		hook_test_write(&t, "lost", 0755, lost, sizeof(lost) - 1);
		hook_test_start(&t, "lost");
		hook_test_wait(&t);
		assert_failed(&t, "the interpreter that it names does not");
		hook_test_next(&t);
		hook_test_write(&t, "closed", 0700, "#!/bin/sh\n", 10);
		hook_test_start(&t, "closed");
		hook_test_wait(&t);
		if (way->uid != geteuid())
			assert_failed(&t, "uid 65534 may not execute it");
		else
			assert_failed(&t, "it made no output");
	}
}

static void test_replaced(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_script(&t, "exit 1");
		assert_int_equal(hook_open(t.folder, "hook", &why, &t.hook),
				 0);
		/* (The old file lives on, so the new one is another.) */
		hook_test_script(&t, "echo evil >&2; exit 1");
		assert_int_equal(hook_run_start(&t.options, &t.run), 0);
		hook_test_wait(&t);
		assert_failed(&t, "it was replaced meanwhile");
		assert_text(&t.outcome->err, "");
	}
}

/* ---- limits */

static void test_time(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		t.options.limits.time_ms = 300;
		t.options.limits.grace_ms = 10000;
		hook_test_run(&t, "echo x >\"$KIN_OUTPUT\"; exec sleep 1000");
		assert_failed(&t, "it took longer than 0.3 s");
		assert_in_range(t.took_ms, 300, 9000);
		/* It may say something, but it has not settled. */
		hook_test_run(&t,
			"trap 'echo term >&2; echo x >\"$KIN_OUTPUT\"; exit 0'"
			" TERM; while :; do sleep 0.05; done");
		assert_failed(&t, "it took longer than 0.3 s");
		/* (The shell may tell of its own child.) */
		buf_put_u8(&t.outcome->err, '\0');
		assert_non_null(strstr((char *)t.outcome->err.data,
				       "term\n"));
		assert_in_range(t.took_ms, 300, 9000);
		/* All of its group is told. */
		hook_test_run(&t, "(trap 'echo sub >&2; exit' TERM\n"
				  "while :; do sleep 0.05; done) & wait");
		assert_failed(&t, "it took longer than 0.3 s");
		t.options.limits.grace_ms = 200;
		hook_test_run(&t,
			"trap '' TERM HUP INT; while :; do sleep 1; done");
		assert_failed(&t, "it took longer than 0.3 s");
		assert_in_range(t.took_ms, 500, 9000);
		/* One that is stopped. */
		hook_test_run(&t, "kill -STOP $$");
		assert_failed(&t, "it took longer than 0.3 s");
	}
}

static void test_survivors(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		/* In another session, twice forked, deaf, with its pipes. */
		hook_test_run(&t,
			"setsid sh -c \"trap '' TERM HUP; (sleep 1000 &"
			" sleep 1000) & sleep 1000\" &\n"
			"(setsid sleep 1000 &) ; nohup sleep 1000 "
			">/dev/null 2>&1 &\n"
			"sleep 0.2; exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		assert_int_equal(hook_test_alive(&t), 0);
		assert_in_range(t.took_ms, 0, 9000);
		/* The same, when the time is over. */
		t.options.limits.time_ms = 300;
		t.options.limits.grace_ms = 100;
		hook_test_run(&t,
			"setsid sh -c \"trap '' TERM; sleep 1000 & sleep 1000\""
			" & trap '' TERM; sleep 1000; sleep 1000");
		assert_failed(&t, "it took longer than 0.3 s");
		assert_int_equal(hook_test_alive(&t), 0);
		/* Those that are stopped. */
		hook_test_run(&t, "setsid sh -c 'kill -STOP $$' & sleep 0.1\n"
				  "exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		assert_int_equal(hook_test_alive(&t), 0);
	}
}

static void test_kills_its_parent(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		t.options.limits.time_ms = 500;
		t.options.limits.grace_ms = 100;
		hook_test_run(&t, "setsid sleep 1000 & sleep 0.1\n"
				  "kill -9 $PPID; sleep 1000");
		if (t.outcome->spaces & SPACE_PID)
			assert_failed(&t, "it took longer than 0.5 s");
		else if (way->uid == geteuid())
			assert_failed(&t, "what watched over it was killed");
		assert_int_equal(t.outcome->result, HOOK_FAILED);
		assert_int_equal(hook_test_alive(&t), 0);
		hook_test_run(&t, "kill -STOP $PPID; sleep 1000");
		assert_failed(&t, "it took longer than 0.5 s");
		hook_test_run(&t, "kill -TERM $PPID; sleep 1000");
		assert_int_equal(t.outcome->result, HOOK_FAILED);
		assert_int_equal(hook_test_alive(&t), 0);
		if (!(t.outcome->spaces & SPACE_PID))
			continue;
		/* All that it may signal: itself not, we not. */
		hook_test_run(&t, "setsid sleep 1000 & sleep 0.1\n"
				  "kill -9 -1; exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		assert_int_equal(hook_test_alive(&t), 0);
	}
}

/* As many as it may have, and no more. */
static void test_processes(void **state)
{
	static const char fills[] = "exec 2>/dev/null\n"
				    "sleep 1000 & (for i in $(seq 300); do\n"
				    "sleep 1000 & done); wait";
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		unsigned int alive = 0, most = 0;

		if (!way->uid)
			continue;
		t.options.limits.processes = 20;
		hook_test_script(&t, fills);
		hook_test_start(&t, "hook");
		while (alive < 15 && !hook_run_done(t.run))
			alive = hook_test_alive(&t);
		for (int i = 0; i < 20; i++)
			most = MAX_OF(most, hook_test_alive(&t));
		hook_run_cancel(t.run);
		hook_test_wait(&t);
		/* (The supervisor has a place, where it is of that user.)
		 * Where the user's others are counted too, some of them may
		 * have ended since. */
		assert_in_range(most, 15,
				t.outcome->spaces & SPACE_COUNT ? 21 : 200);
	}
}

/* Those of root are counted from time to time. (No bomb: who knows.) */
static void test_processes_of_root(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		if (way->uid || way->spaces != HOOK_SPACES_TRY)
			continue;
		t.options.limits.processes = 20;
		hook_test_run(&t, "for i in $(seq 18); do sleep 1000 & done\n"
				  "sleep 0.3; exit 1");
		if (!(t.outcome->spaces & SPACE_PROC))
			continue;
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		hook_test_run(&t, "for i in $(seq 100); do sleep 1000 & done\n"
				  "wait");
		assert_failed(&t, "it had more than 20 processes");
		assert_int_equal(hook_test_alive(&t), 0);
	}
}

static void test_fork_bomb(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		unsigned int most = 0;

		/* As root it would not be bounded at once. */
		if (!way->uid)
			continue;
		t.options.limits.time_ms = 500;
		t.options.limits.grace_ms = 100;
		t.options.limits.processes = 20;
		hook_test_script(&t, "exec 2>/dev/null; trap '' TERM\n"
				     "b() { b & b & b & b; }; b & b & wait\n"
				     "exit 2");
		hook_test_start(&t, "hook");
		while (!hook_run_done(t.run))
			most = MAX_OF(most, hook_test_alive(&t));
		hook_test_wait(&t);
		assert_int_equal(t.outcome->result, HOOK_FAILED);
		assert_in_range(most, 0,
				t.outcome->spaces & SPACE_COUNT ? 21 : 200);
		assert_int_equal(hook_test_alive(&t), 0);
	}
}

static void test_flood(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t,
			"yes out | head -c 20000000\n"
			"yes err | head -c 20000000 >&2\n"
			"echo last; echo at last >&2; exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		assert_int_equal(t.outcome->out.len, HOOK_TEXT_BYTES_MAX);
		assert_int_equal(t.outcome->err.len, HOOK_TEXT_BYTES_MAX);
		assert_true(t.outcome->out_cut && t.outcome->err_cut);
		assert_memory_equal(t.outcome->out.data +
				    t.outcome->out.len - 9, "out\nlast\n", 9);
		assert_memory_equal(t.outcome->err.data +
				    t.outcome->err.len - 12, "err\nat last\n",
				    12);
		/* What stays below is whole. */
		hook_test_run(&t, "head -c 65536 /dev/zero; exit 1");
		assert_int_equal(t.outcome->out.len, 65536);
		assert_false(t.outcome->out_cut);
		/* One that never stops. */
		t.options.limits.time_ms = 300;
		hook_test_run(&t, "exec yes");
		assert_failed(&t, "it took longer than 0.3 s");
		assert_int_equal(t.outcome->out.len, HOOK_TEXT_BYTES_MAX);
	}
}

static void test_sizes(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		t.options.limits.file_bytes = 1000000;
		t.options.limits.memory_bytes = 100000000;
		t.options.limits.files = 20;
		t.options.limits.cpu_s = 1;
		hook_test_run(&t, "exec head -c 2000000 /dev/zero >\""
				  "$KIN_OUTPUT\"");
		assert_failed(&t, "a file of more than 1000000 bytes");
		hook_test_run(&t, "exec truncate -s 1000001 \"$KIN_OUTPUT\"");
		assert_failed(&t, "a file of more than 1000000 bytes");
		/* One that does not mind makes no more either. */
		hook_test_run(&t, "trap '' XFSZ; head -c 2000000 /dev/zero "
				  ">\"$KIN_OUTPUT\"; exit 0");
		assert_int_equal(t.outcome->result, HOOK_SETTLED);
		assert_int_equal(t.outcome->output_bytes, 1000000);
		hook_test_run(&t, "head -c 300000000 /dev/zero | tail -n 1 "
				  ">/dev/null || exit 5");
		assert_failed(&t, "it ended with status 5");
		hook_test_run(&t, "exec 2>/dev/null; ulimit -n; ulimit -c\n"
				  "ulimit -n 100 && exit 3; exit 1");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		assert_text(&t.outcome->out, "20\n0\n");
		hook_test_run(&t, "while :; do :; done");
		assert_failed(&t, "it used more than 1 s of the processor");
	}
}

static int fill_much(void *arg, struct hook_room *room)
{
	(void)arg;
	(void)room;
	return -ENOSPC;
}

static void test_fill_fails(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		t.options.fill = fill_much;
		hook_test_run(&t, "exit 1");
		assert_failed(&t, "its files cannot be made: No space left");
	}
}

/* What it leaves in its room goes, however deep and closed. */
static void test_rubbish(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_run(&t,
			"d=$(printf '%0200d' 0 | sed 's|0|d/|g')\n"
			"mkdir -p \"$d\"; cd \"$d\"; mkdir -p \"$d\"\n"
			": >\"$d/f\"; mkdir \"$d/e\"; : >\"$d/e/f\"\n"
			"chmod 0 \"$d/e\" \"$d\" d; cd \"$HOME\"\n"
			"mkdir -p .moved-0/x .moved-1; : >.moved-1/y\n"
			"mkdir ../.moved-0 ../.moved-2; : >../.moved-2/z\n"
			": >../.moved-1; mkfifo p; ln -s / l; ln -s . m\n"
			"seq 500 | (mkdir many; cd many; xargs touch)\n"
			"chmod 0 many \"$HOME\" ../variants ..; exit 1");
		assert_string_equal(t.outcome->reason, "");
		assert_int_equal(t.outcome->result, HOOK_LEFT);
	}
}

/* ---- canceling, and the end of the daemon */

static void test_cancel(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		hook_test_script(&t,
			"trap '' TERM; echo x >\"$KIN_OUTPUT\"\n"
			"setsid sleep 1000 & sleep 1000; sleep 1000");
		hook_test_start(&t, "hook");
		hook_test_await_alive(&t);
		hook_run_cancel(t.run);
		hook_test_wait(&t);
		assert_int_equal(t.outcome->result, HOOK_CANCELED);
		assert_int_equal(t.outcome->output_fd, -1);
		assert_int_equal(hook_test_alive(&t), 0);
		/* Before it began, or just then; without being asked. */
		for (int i = 0; i < 20; i++) {
			hook_test_next(&t);
			hook_test_start(&t, "hook");
			(void)poll(NULL, 0, i);
			hook_run_cancel(t.run);
			hook_test_wait(&t);
			assert_int_equal(t.outcome->result, HOOK_CANCELED);
		}
		hook_test_next(&t);
		hook_test_start(&t, "hook");
		hook_test_await_alive(&t);
	}
}

/* The daemon is killed: so are its hooks; the next one cleans up. */
static void test_daemon_killed(void **state)
{
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		unsigned int alive = 1;
		pid_t daemon;

		hook_test_script(&t, "trap '' TERM\n"
				     "setsid sleep 1000 & sleep 1000");
		daemon = fork();
		if (daemon == 0) {
			hook_test_start(&t, "hook");
			for (;;)
				pause();
		}
		hook_test_await_alive(&t);
		assert_int_equal(kill(daemon, SIGKILL), 0);
		assert_int_equal(waitpid(daemon, NULL, 0), daemon);
		for (int i = 0; i < 1000 && alive; i++) {
			(void)poll(NULL, 0, 10);
			alive = hook_test_alive(&t);
		}
		assert_int_equal(alive, 0);
		assert_int_equal(hook_rooms_sweep(t.rooms), 0);
	}
}

/* ---- what it cannot see */

static void test_hidden(void **state)
{
	char store[100], secret[120], script[1000], got[100];
	const char *hide[] = { store, "/nonexistent/kin", NULL };
	/* The daemon's: another user's hook comes to its room all the same. */
	mode_t mask = umask(077);
	struct hook_test t;
	mode_t before;
	int fd;

	(void)state;
	EACH_WAY (t) {
		snprintf(store, sizeof(store), "%s/store", t.top);
		snprintf(secret, sizeof(secret), "%s/secret", store);
		snprintf(t.rooms, sizeof(t.rooms), "%s/store/tmp", t.top);
		/* Nobody else comes through it outside. */
		assert_int_equal(mkdir(store, 0700), 0);
		fd = open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		close(fd);
		t.options.hide = hide;
		t.options.fill = fill_odd;
		snprintf(script, sizeof(script),
			 "cat '%s' && echo seen\n"
			 "touch '%s/new' 2>/dev/null && echo written\n"
			 "ls '%s' 2>/dev/null | wc -l >&2\n"
			 "umount '%s' 2>/dev/null && echo mounted\n"
			 "cat \"$KIN_BASE\" >\"$KIN_OUTPUT\"",
			 secret, store, store, store);
		before = umask(077); /* as the daemon's is */
		hook_test_run(&t, script);
		umask(before);
		if (t.outcome->spaces & SPACE_HIDDEN) {
			hook_test_output(&t, got, sizeof(got));
			assert_string_equal(got, "base\n");
			assert_text(&t.outcome->out, "");
		} else if (way->uid == geteuid()) {
			assert_int_equal(t.outcome->result, HOOK_SETTLED);
		} else {
			/* And without namespaces not to its room either. */
			assert_failed(&t, "cannot be run: its directory");
		}
		if (way->spaces == HOOK_SPACES_TRY && hook_has_spaces())
			assert_true(t.outcome->spaces & SPACE_HIDDEN);
	}
	umask(mask);
}

/* Neither the daemon's memory and descriptors nor the copy in the processes
 * between. (An ordinary user without namespaces may look at the daemon as at
 * all that is its own.) */
static void test_daemon_is_unseen(void **state)
{
	char script[500];
	struct hook_test t;

	(void)state;
	EACH_WAY (t) {
		snprintf(script, sizeof(script),
			 "exec 2>/dev/null\n"
			 "readlink /proc/$PPID/fd/* && echo above\n"
			 "head -c 1 /proc/$PPID/environ && echo above\n"
			 "head -c 1 /proc/$PPID/maps && echo above\n"
			 "set -- /proc/[0-9]*; [ $# -gt 5 ] && echo many\n"
			 "kill -0 %d && echo daemon\n"
			 "head -c 1 /proc/%d/environ && echo daemon\n"
			 "exit 1", (int)getpid(), (int)getpid());
		hook_test_run(&t, script);
		assert_int_equal(t.outcome->result, HOOK_LEFT);
		if (t.outcome->spaces & SPACE_PROC) {
			assert_text(&t.outcome->out, "");
		} else {
			buf_put_u8(&t.outcome->out, '\0');
			assert_null(strstr((char *)t.outcome->out.data,
					   "above"));
		}
	}
}

/* ---- many, and what is refused */

#define MANY 6

static void test_many(void **state)
{
	struct hook_run *runs[MANY] = { NULL };
	struct loop loop;
	struct hook_test t;
	char got[10];

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	EACH_WAY (t) {
		size_t done;

		t.options.loop = &loop;
		hook_test_script(&t, "sleep 0.1; echo ok >\"$KIN_OUTPUT\"");
		hook_test_start(&t, "hook");
		for (int i = 0; i < MANY; i++)
			assert_int_equal(hook_run_start(&t.options, &runs[i]),
					 0);
		do {
			loop_turn(&loop, UINT64_MAX);
			done = 0;
			for (int i = 0; i < MANY; i++)
				done += hook_run_done(runs[i]);
		} while (done < MANY);
		hook_test_wait(&t);
		hook_test_output(&t, got, sizeof(got));
		for (int i = 0; i < MANY; i++) {
			assert_int_equal(hook_run_outcome(runs[i])->result,
					 HOOK_SETTLED);
			hook_run_free(runs[i]);
		}
	}
	loop_release(&loop);
}

static void finish_takes(void *arg, struct hook_outcome *o)
{
	*(int *)arg = o->output_fd;
	o->output_fd = -1;
}

static void test_finish(void **state)
{
	struct hook_test t;
	char got[10];
	int fd;

	(void)state;
	EACH_WAY (t) {
		fd = -1;
		t.options.finish = finish_takes;
		t.options.arg = &fd;
		hook_test_run(&t, "echo ok >\"$KIN_OUTPUT\"");
		assert_int_equal(t.outcome->result, HOOK_SETTLED);
		hook_test_next(&t);
		assert_int_equal(read(fd, got, sizeof(got)), 3);
		assert_memory_equal(got, "ok\n", 3);
		close(fd);
	}
}

static void test_refusals(void **state)
{
	static const char *const bad[] = { "PATH", "KIN_", "KIN_x", "KIN_A=",
					   "kin_A", "KIN_OUTPUT", "KIN_BASE",
					   "KIN_VARIANTS_DIR", "" };
	static const char *const relative[] = { "store", NULL };
	const char *many[HOOK_WORDS_MAX + 2] = { NULL };
	struct hook_var var = { "", "value" };
	struct hook_test t;

	(void)state;
	for (size_t i = 0; i <= HOOK_WORDS_MAX; i++)
		many[i] = "word";
	EACH_WAY (t) {
		cleanup(buf_release) struct buf why = BUF_INIT;

		hook_test_script(&t, "exit 1");
		assert_int_equal(hook_open(t.folder, "hook", &why, &t.hook),
				 0);
		t.options.vars = &var;
		t.options.var_count = 1;
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			var.name = bad[i];
			assert_int_equal(hook_run_start(&t.options, &t.run),
					 -EINVAL);
		}
		t.options.var_count = HOOK_WORDS_MAX + 1;
		assert_int_equal(hook_run_start(&t.options, &t.run), -E2BIG);
		t.options.var_count = 0;
		t.options.args = many;
		assert_int_equal(hook_run_start(&t.options, &t.run), -E2BIG);
		t.options.args = NULL;
		t.options.hide = relative;
		assert_int_equal(hook_run_start(&t.options, &t.run), -EINVAL);
		t.options.hide = NULL;
		if (geteuid()) {
			t.options.uid = geteuid() + 1;
			assert_int_equal(hook_run_start(&t.options, &t.run),
					 -EPERM);
		}
	}
}

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_no_base),
		cmocka_unit_test(test_cwd),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_without_stdio),
		cmocka_unit_test_teardown(test_signals, default_signals),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_odd_outputs),
		cmocka_unit_test(test_deletes_its_input),
		cmocka_unit_test(test_closes_everything),
		cmocka_unit_test(test_cannot_run),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_survivors),
		cmocka_unit_test(test_kills_its_parent),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_processes_of_root),
		cmocka_unit_test(test_fork_bomb),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_fill_fails),
		cmocka_unit_test(test_rubbish),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_daemon_killed),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_daemon_is_unseen),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_refusals),
	};

	cmocka_set_test_filter(getenv("FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* By an ordinary user, who also wants to be looked at by LeakSanitizer. */
static int run_as_other(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(0, NULL) || setresgid(OTHER_ID, OTHER_ID,
						    OTHER_ID) ||
		    setresuid(OTHER_ID, OTHER_ID, OTHER_ID) ||
		    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
			_exit(1);
		exit(run_all());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return status ? 1 : 0;
}

int main(void)
{
	int failed = 0;

	umask(022);
	if (geteuid() == 0)
		failed = run_as_other();
	return run_all() || failed;
}
