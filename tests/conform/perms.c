/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions: modes, owners, the set-id and sticky bits, umask, groups.
 */
#include "tests/conform/conform.h"

static void open_modes(void)
{
	make_file("none", 0);
	make_file("read", 0444);
	make_file("write", 0222);
	AS(USER_A, GROUP_A) {
		ERR(EACCES, open("none", O_RDONLY));
		ERR(EACCES, open("read", O_WRONLY));
		ERR(EACCES, open("read", O_RDWR));
		ERR(EACCES, open("read", O_RDONLY | O_TRUNC));
		ERR(EACCES, open("write", O_RDONLY));
		OK(open("read", O_RDONLY));
		OK(open("write", O_WRONLY));
	}
	OK(open("none", O_RDWR));
}

const struct conform_case perms_cases[] = {
	{ "open_modes", open_modes, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
