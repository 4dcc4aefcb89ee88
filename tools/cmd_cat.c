/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin cat. The daemon writes into a pipe of ours, and never into what
 * standard output is: that may be something that blocks, and its flags are
 * not ours to change. A thread carries the bytes on while we wait for the
 * answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/thread.h"
#include "tools/control_client.h"
#include "tools/version_spec.h"

static const char help[] =
"usage: kin cat FILE@VERSION\n"
"Prints a version of a file, as `kin log FILE` lists them, byte by byte.\n"
"\n"
VERSION_SPEC_HELP
"\n"
"Exits with 1, and may have printed a part, if not all bytes are on this node\n"
"or standard output takes no more.\n";

static const struct option options[] = { { NULL, 0, NULL, 0 } };

#define PIECE_BYTES 65536

struct carrier {
	int from;
	int error;		/* of standard output */
};

static int write_out(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static void *carry(void *arg)
{
	static char piece[PIECE_BYTES];
	struct carrier *c = arg;

	while (!c->error) {
		ssize_t n = read(c->from, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		c->error = write_out(piece, (size_t)n);
	}
	/* (who still writes hears of it) */
	close(c->from);
	return NULL;
}

static int cat(const struct subject *subject, json_t *request)
{
	struct carrier c = { .error = 0 };
	json_t *answer = NULL;
	pthread_t thread;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		json_decref(request);
		return complain(subject->command, EXIT_FAILED, "pipe: %s",
				strerror(errno));
	}
	c.from = fds[0];
	r = thread_start(&thread, carry, &c);
	if (r) {
		json_decref(request);
		close(fds[0]);
		close(fds[1]);
		return complain(subject->command, EXIT_FAILED, "%s",
				strerror(-r));
	}
	r = control_call_with(subject, request, fds[1], &answer);
	close(fds[1]);
	pthread_join(thread, NULL);
	if (c.error)
		r = complain(subject->command, EXIT_FAILED,
			     "standard output: %s", strerror(-c.error));
	json_decref(answer);
	return r;
}

int cmd_cat(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct version_spec spec;
	struct subject subject;
	json_t *request;
	int c = cmdline_next(&line), r;

	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = version_spec_parse(argv[0], argv[optind], &spec);
	if (r != EXIT_OK)
		return r;
	r = subject_init(&subject, argv[0], spec.path);
	if (r == EXIT_OK) {
		request = json_pack("{s:s}", "cmd", "cat");
		subject_put_path(&subject, request);
		version_spec_put(&spec, request);
		r = cat(&subject, request);
		subject_release(&subject);
	}
	version_spec_release(&spec);
	return r;
}
