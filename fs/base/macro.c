/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void cleanup_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

void kin_assert_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "kin: bug: %s is false at %s:%d\n", what, file, line);
	abort();
}
