/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals of a crash: only calls that a handler may make. The signal comes
 * again, with its usual end, when the handler returns.
 */
#include "tools/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fs/store/suspect.h"

static int store_dir = -1;

static void crashed(int signal)
{
	static const char text[] =
		"kin: crashed; the next `kin mount` looks at the store's "
		"tables first\n";
	int fd = openat(store_dir, SUSPECT_NAME,
			O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		close(fd);
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		fd = -1;
	raise(signal);
}

int crash_watch(const char *store_path)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL,
				       SIGFPE };
	struct sigaction action = { .sa_handler = crashed,
				    .sa_flags = (int)SA_RESETHAND };

	store_dir = open(store_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store_dir < 0)
		return -errno;
	for (size_t k = 0; k < ARRAY_SIZE(signals); k++)
		if (sigaction(signals[k], &action, NULL) < 0)
			return -errno;
	return 0;
}
