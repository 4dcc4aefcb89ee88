/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sticky directories: every kind of file, each owner of the file and of the
 * directory, and every call that takes a name away. In a sticky directory a
 * name goes by the hand of the file's owner, of the directory's, or of root;
 * in others, of whoever may write there.
 */
#include "tests/conform/conform.h"

static int rename_flags(const char *from, const char *to, unsigned int flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* Who owns what; USER_A acts. */
struct owners {
	bool sticky;
	uid_t dir, file;
	bool may;
};

static const struct owners table[] = {
	{ true, USER_A, USER_A, true },
	{ true, USER_A, USER_B, true },
	{ true, USER_A, 0, true },
	{ true, USER_B, USER_A, true },
	{ true, 0, USER_A, true },
	{ true, USER_B, USER_B, false },
	{ true, USER_B, 0, false },
	{ true, 0, 0, false },
	{ true, 0, USER_B, false },
	{ false, USER_B, USER_B, true },
	{ false, 0, 0, true },
};

static void prepare(const struct owners *o, enum file_kind k, const char *call)
{
	conform_at("%s: %s of %d in a directory of %d, sticky %d", call,
		   kind_name(k), (int)o->file, (int)o->dir, o->sticky);
	make_dir("d", 0777);
	make_kind("d/x", k);
	OK(lchown("d/x", o->file, 65534));
	/* (who moves a directory must be able to write into it) */
	if (k == A_DIR)
		OK(chmod("d/x", 0777));
	OK(chown("d", o->dir, 65534));
	OK(chmod("d", o->sticky ? 01777 : 0777));
}

static void finish(void)
{
	(void)!remove("d/x");
	(void)!remove("d/y");
	(void)!remove("y");
	OK(rmdir("d"));
}

/* `may`, or else EPERM */
#define MAY(may, call) \
	do { \
		if (may) \
			OK(call); \
		else \
			ERR(EPERM, call); \
	} while (0)

static void removing(void)
{
	for (enum file_kind k = 0; k < FILE_KINDS; k++)
		for (size_t n = 0; n < LEN(table); n++) {
			prepare(&table[n], k, "remove");
			AS(USER_A, GROUP_A)
				MAY(table[n].may, k == A_DIR ? rmdir("d/x") :
							       unlink("d/x"));
			finish();
		}
}

static void renaming(void)
{
	for (enum file_kind k = 0; k < FILE_KINDS; k++)
		for (size_t n = 0; n < LEN(table); n++) {
			prepare(&table[n], k, "rename");
			AS(USER_A, GROUP_A)
				MAY(table[n].may, rename("d/x", "d/y"));
			finish();
			prepare(&table[n], k, "rename away");
			AS(USER_A, GROUP_A)
				MAY(table[n].may, rename("d/x", "y"));
			finish();
		}
}

static void replacing(void)
{
	for (enum file_kind k = 0; k < FILE_KINDS; k++)
		for (size_t n = 0; n < LEN(table); n++) {
			prepare(&table[n], k, "replace");
			make_kind("y", k);
			OK(lchown("y", USER_A, GROUP_A));
			AS(USER_A, GROUP_A)
				MAY(table[n].may, rename("y", "d/x"));
			finish();
		}
}

static void exchanging(void)
{
	for (enum file_kind k = 0; k < FILE_KINDS; k++)
		for (size_t n = 0; n < LEN(table); n++) {
			prepare(&table[n], k, "exchange");
			make_kind("y", k);
			OK(lchown("y", USER_A, GROUP_A));
			AS(USER_A, GROUP_A) {
				MAY(table[n].may, rename_flags("y", "d/x",
						RENAME_EXCHANGE));
				MAY(table[n].may, rename_flags("d/x", "y",
						RENAME_EXCHANGE));
			}
			finish();
		}
}

/* Making names is not forbidden by it; nor are other changes. */
static void not_affected(void)
{
	make_dir("d", 01777);
	make_file("d/x", 0666);
	OK(chown("d/x", USER_A, GROUP_A));
	AS(USER_A, GROUP_A) {
		OK(close(open_ok("d/f", O_CREAT | O_WRONLY, 0644)));
		OK(link("d/x", "d/l"));
		OK(mkdir("d/e", 0755));
		OK(symlink("x", "d/s"));
		OK(truncate("d/x", 0));
		OK(unlink("d/l"));
	}
	make_text("d/o", "text");
	OK(chmod("d/o", 0666));
	AS(USER_A, GROUP_A) {
		OK(truncate("d/o", 1));
		ERR(EPERM, unlink("d/o"));
	}
	IS(1, stat_of("d/o").st_size);
}

/* A file that is linked into a sticky directory by somebody else. */
static void link_of_other(void)
{
	make_dir("d", 01777);
	make_file("f", 0666);
	OK(chown("f", USER_B, GROUP_B));
	OK(link("f", "d/f"));
	AS(USER_A, GROUP_A) {
		ERR(EPERM, unlink("d/f"));
		ERR(EPERM, rename("d/f", "d/g"));
		OK(unlink("f"));
	}
	IS(1, stat_of("d/f").st_nlink);
}

const struct conform_case sticky_cases[] = {
	{ "removing", removing, NEEDS_ROOT },
	{ "renaming", renaming, NEEDS_ROOT },
	{ "replacing", replacing, NEEDS_ROOT },
	{ "exchanging", exchanging, NEEDS_ROOT },
	{ "not_affected", not_affected, NEEDS_ROOT },
	{ "link_of_other", link_of_other, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
