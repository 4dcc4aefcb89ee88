/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of handlers: what it means, and what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/net/handler_conf.h"

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/kin-test-conf-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/x.conf", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void put(const void *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static const char *hook_for(const struct handler_conf *c,
			    enum handler_event event, const char *file)
{
	const struct handler_rule *rule = handler_conf_find(c, event, file);

	return rule ? rule->hook : "";
}

static void test_none(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf c;

	(void)state;
	unlink(path);
	assert_int_equal(handler_conf_read(path, &why, &c), 0);
	assert_int_equal(c.count, 0);
	assert_null(handler_conf_find(&c, HANDLER_APPLIED, NULL));
	handler_conf_release(&c);
}

static void test_rules(void **state)
{
	static const char text[] =
		"# all of them\n\n"
		"conflict *.kdbx merge-keepass\n"
		"  conflict\t\"my \\\"own\\\" notes\\\\/*.txt\" union.lines \r\n"
		"conflict a/* below-a\n"
		"conflict *.kdbx never\n"
		"open *.ics merge-pim\n"
		"applied reindex\npeer hello\nlag 3600 mail-me";
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf c;

	(void)state;
	put(text, sizeof(text) - 1);
	assert_int_equal(handler_conf_read(path, &why, &c), 0);
	assert_int_equal(c.count, 8);
	assert_string_equal(hook_for(&c, HANDLER_CONFLICT, "x/y.kdbx"),
			    "merge-keepass");
	assert_string_equal(hook_for(&c, HANDLER_CONFLICT,
				     "my \"own\" notes\\/z.txt"), "");
	assert_string_equal(hook_for(&c, HANDLER_CONFLICT, "a/z.txt"),
			    "below-a");
	/* with a slash in the pattern, a star goes over none */
	assert_string_equal(hook_for(&c, HANDLER_CONFLICT, "a/b/z.txt"), "");
	assert_string_equal(hook_for(&c, HANDLER_CONFLICT, "b/z.ics"), "");
	assert_string_equal(hook_for(&c, HANDLER_OPEN, "b/z.ics"),
			    "merge-pim");
	assert_string_equal(hook_for(&c, HANDLER_APPLIED, NULL), "reindex");
	assert_string_equal(hook_for(&c, HANDLER_PEER, NULL), "hello");
	assert_int_equal(handler_conf_find(&c, HANDLER_LAG, NULL)->seconds,
			 3600);
	handler_conf_release(&c);
}

static struct hook_limits limits_of(const struct handler_conf *c,
				    const char *hook)
{
	struct hook_limits l = HOOK_LIMITS_DEFAULT;

	handler_conf_limits(c, hook, &l);
	return l;
}

static void test_limits(void **state)
{
	static const char text[] =
		"limit time 300 slow\nlimit time 5\n"
		"limit output 100K\nlimit memory 2G slow\n"
		"limit output 1073741824 large";
	const struct hook_limits usual = HOOK_LIMITS_DEFAULT;
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf c;
	struct hook_limits l;

	(void)state;
	put(text, sizeof(text) - 1);
	assert_int_equal(handler_conf_read(path, &why, &c), 0);
	assert_int_equal(c.count, 0);
	l = limits_of(&c, "slow");
	assert_int_equal(l.time_ms, 300000);
	assert_int_equal(l.cpu_s, 300);
	assert_int_equal(l.memory_bytes, UINT64_C(2) << 30);
	assert_int_equal(l.file_bytes, 100 << 10);
	assert_int_equal(l.processes, usual.processes);
	l = limits_of(&c, "large");
	assert_int_equal(l.time_ms, 5000);
	assert_int_equal(l.memory_bytes, usual.memory_bytes);
	assert_int_equal(l.file_bytes, 1 << 30);
	/* what is built in */
	l = limits_of(&c, NULL);
	assert_int_equal(l.time_ms, 5000);
	assert_int_equal(l.file_bytes, 100 << 10);
	handler_conf_release(&c);
	put("", 0);
	assert_int_equal(handler_conf_read(path, &why, &c), 0);
	l = limits_of(&c, "slow");
	assert_memory_equal(&l, &usual, sizeof(l));
	handler_conf_release(&c);
}

/* Gives the file the age that it has on any but the first day. */
static void age(void)
{
	struct handler_conf_stamp s;

	do
		handler_conf_look(path, &s);
	while (s.young);
}

static void test_changed_or_not(void **state)
{
	struct handler_conf_stamp none = { .known = false }, then, now;

	(void)state;
	unlink(path);
	handler_conf_look(path, &then);
	assert_false(handler_conf_same(&none, &then));
	handler_conf_look(path, &now);
	assert_true(handler_conf_same(&then, &now));
	put("applied a\n", 10);
	handler_conf_look(path, &now);
	assert_false(handler_conf_same(&then, &now));
	/* It may be written once more, within a tick of the clock. */
	then = now;
	handler_conf_look(path, &now);
	assert_false(handler_conf_same(&then, &now));
	age();
	handler_conf_look(path, &then);
	handler_conf_look(path, &now);
	assert_true(handler_conf_same(&then, &now));
	/* As long as before, and by its owner's will as old. */
	put("applied b\n", 10);
	assert_int_equal(utimensat(AT_FDCWD, path,
				   (struct timespec[]){ then.modified,
							then.modified }, 0),
			 0);
	handler_conf_look(path, &now);
	assert_false(handler_conf_same(&then, &now));
	age();
	handler_conf_look(path, &then);
	assert_int_equal(chmod(path, 0622), 0);
	handler_conf_look(path, &now);
	assert_false(handler_conf_same(&then, &now));
	unlink(path);
	handler_conf_look(path, &now);
	assert_false(handler_conf_same(&then, &now));
}

static void refused(const char *text, const char *line)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf c;
	char want[128];

	put(text, strlen(text));
	assert_int_equal(handler_conf_read(path, &why, &c), -EINVAL);
	assert_int_equal(c.count, 0);
	snprintf(want, sizeof(want), "%s:%s: ", path, line);
	assert_true(why.len > strlen(want));
	assert_memory_equal(why.data, want, strlen(want));
}

static void test_wrong_lines(void **state)
{
	(void)state;
	refused("applied a\nconflict *\n", "2");
	refused("applied a b\n", "1");
	refused("conflict * ../x\n", "1");
	refused("conflict * .x\n", "1");
	refused("conflict \"* x\n", "1");
	refused("\n\nopened * x\n", "3");
	refused("lag 0 x\n", "1");
	refused("lag 5s x\n", "1");
	refused("lag -5 x\n", "1");
	refused("lag 99999999999999999999 x\n", "1");
	refused("conflict a b c d e\n", "1");
	refused("limit\n", "1");
	refused("limit time\n", "1");
	refused("limit space 5\n", "1");
	refused("limit time 0\n", "1");
	refused("limit time 3601\n", "1");
	refused("limit time 5m\n", "1");
	refused("limit time 5 a b\n", "1");
	refused("limit time 5 ../a\n", "1");
	refused("limit memory 15M\n", "1");
	refused("limit memory 512\n", "1");
	refused("limit memory 65G\n", "1");
	refused("limit memory 17179869184G\n", "1");
	refused("limit memory 1MB\n", "1");
	refused("limit output 0\n", "1");
	refused("limit output 1025M\n", "1");
	refused("limit output -1\n", "1");
	refused("limit output 1M a\nlimit output 2M\nlimit output 1M a\n",
		"3");
}

static void test_wrong_files(void **state)
{
	static const char zero[] = "applied a\0b\n";
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf c;
	autofree char *big = malloc(HANDLER_CONF_BYTES_MAX + 1);

	(void)state;
	put(zero, sizeof(zero) - 1);
	assert_int_equal(handler_conf_read(path, &why, &c), -EINVAL);
	put("applied a\n", 10);
	assert_int_equal(chmod(path, 0620), 0);
	assert_int_equal(handler_conf_read(path, &why, &c), -EPERM);
	assert_int_equal(chmod(path, 0602), 0);
	assert_int_equal(handler_conf_read(path, &why, &c), -EPERM);
	assert_non_null(big);
	memset(big, '\n', HANDLER_CONF_BYTES_MAX + 1);
	put(big, HANDLER_CONF_BYTES_MAX + 1);
	assert_int_equal(handler_conf_read(path, &why, &c), -E2BIG);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(handler_conf_read(path, &why, &c), -EPERM);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_true(handler_conf_read(path, &why, &c) < 0);
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_changed_or_not),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_wrong_files),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
