/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch_support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/macro.h"

char *scratch_make(void)
{
	const char *tmp = getenv("TMPDIR");
	char *path;

	kin_assert(asprintf(&path, "%s/kinfs-test-XXXXXX",
			    tmp && *tmp ? tmp : "/tmp") > 0);
	kin_assert(mkdtemp(path));
	return path;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void scratch_remove(char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(path);
}

char *scratch_path(const char *path, const char *name)
{
	char *ret;

	kin_assert(asprintf(&ret, "%s/%s", path, name) > 0);
	return ret;
}

/* xorshift64*: its high bits are good. */
uint32_t scratch_random(uint64_t *state, uint32_t below)
{
	uint64_t x = *state ? *state : 0x9e3779b97f4a7c15u;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1du) >> 33) % below;
}
