/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: open and creat, mkdir and rmdir, unlink, rename, link, symlink and
 * readlink, and the paths that lead there.
 */
#include "tests/conform/conform.h"

static void open_excl(void)
{
	make_file("f", 0644);
	OK(symlink("nowhere", "l"));
	make_dir("d", 0755);
	ERR(EEXIST, open("f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	ERR(EEXIST, open("l", O_CREAT | O_EXCL | O_WRONLY, 0644));
	ERR(EEXIST, open("d", O_CREAT | O_EXCL | O_WRONLY, 0644));
	OK(close(open_ok("g", O_CREAT | O_EXCL | O_WRONLY, 0644)));
}

static void open_nofollow(void)
{
	make_file("f", 0644);
	OK(symlink("f", "l"));
	OK(symlink("nowhere", "m"));
	ERR(ELOOP, open("l", O_RDONLY | O_NOFOLLOW));
	ERR(ELOOP, open("m", O_CREAT | O_WRONLY | O_NOFOLLOW, 0644));
	OK(close(open_ok("l", O_PATH | O_NOFOLLOW, 0)));
	ERR(ENOENT, open("m", O_RDONLY));
	OK(close(open_ok("m", O_CREAT | O_WRONLY, 0644)));
	TRUE(S_ISREG(stat_of("nowhere").st_mode));
}

const struct conform_case names_cases[] = {
	{ "open_excl", open_excl, 0 },
	{ "open_nofollow", open_nofollow, 0 },
	{ NULL, NULL, 0 },
};
