/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance by system call and errno: what a case is, and what it may use.
 *
 * A case is a function of no arguments. It runs in a process of its own
 * whose working directory is new, empty and of mode 0777, so that all names
 * are relative, and nothing need be tidied up but mounts (which go with the
 * namespace, see own_mounts()). The first check that fails ends it: the
 * process says what and where, and exits. A case that returns has passed.
 *
 * To add an area: one file tests/conform/AREA.c with one table
 *
 *	const struct conform_case AREA_cases[] = {
 *		{ "open_excl", open_excl, 0 },
 *		{ NULL, NULL, 0 },
 *	};
 *
 * a line for it below (CONFORM_AREAS), and nothing else. The printed name is
 * "AREA/open_excl". ext4 is the measure: a case has to pass there.
 */
#ifndef KINFS_TESTS_CONFORM_CONFORM_H
#define KINFS_TESTS_CONFORM_CONFORM_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* What a case needs beyond a directory. */
enum conform_need {
	NEEDS_ROOT = 1 << 0,	/* capabilities, other users */
	NEEDS_MOUNT = 1 << 1,	/* root that may mount in a namespace */
};

struct conform_case {
	const char *name;
	void (*run)(void);
	unsigned int needs;	/* of enum conform_need */
};

/* The areas, in the order in which they run. */
#define CONFORM_AREAS(X) \
	X(data) \
	X(dirs) \
	X(locks) \
	X(names) \
	X(links) \
	X(orphans) \
	X(special) \
	X(kinds) \
	X(perms) \
	X(sticky) \
	X(owners) \
	X(caps) \
	X(times) \
	X(xattrs) \
	X(acls) \
	X(calls) \
	X(pages) \
	X(async) \
	X(limits) \
	X(spaces)

#define X(area) extern const struct conform_case area##_cases[];
CONFORM_AREAS(X)
#undef X

/* ---- ends of a case */

/* "FAIL NAME: expected A, got B (FILE:LINE CALL)" */
_Noreturn void conform_fail(const char *expected, const char *got,
			    const char *file, int line, const char *call);
/* "skip NAME: why"; for what the kernel or the file system has not. */
_Noreturn void conform_skip(const char *why);

/* What a check that fails from now on says beside its call; for loops over
 * tables. */
void conform_at(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* ---- checks; each evaluates its arguments once */

long long conform_ok(long long result, const char *file, int line,
		     const char *call);
void conform_err(int expected, long long result, const char *file, int line,
		 const char *call);
void conform_is(long long expected, long long got, const char *file, int line,
		const char *call);

/* The call succeeds (is not negative); its result. */
#define OK(call) conform_ok((call), __FILE__, __LINE__, #call)
/* The call returns -1 with this errno. */
#define ERR(number, call) conform_err((number), (call), __FILE__, __LINE__, \
				      #call)
/* Two integers are equal; shown in decimal. */
#define IS(expected, value) conform_is((long long)(expected), \
				       (long long)(value), __FILE__, \
				       __LINE__, #value)
#define TRUE(condition) \
	((condition) ? (void)0 : \
		       conform_fail("true", "false", __FILE__, __LINE__, \
				    #condition))

/* ---- other users: root only */

/*
 * Runs the block in a child that is this user, of this group, with these
 * further groups. A failed check in it fails the case. No return or break
 * out of it.
 *
 *	AS(USER_A, GROUP_A)
 *		ERR(EACCES, open("f", O_RDONLY));
 */
#define AS(uid, gid) AS_WITH(uid, gid, 0, NULL)
#define AS_WITH(uid, gid, count, groups) \
	for (int child_ = conform_fork((uid), (gid), (count), (groups)); \
	     child_ == 0; _exit(0))
/* 0 in the child; -1 in the parent, when the child has ended well. */
int conform_fork(uid_t uid, gid_t gid, size_t count, const gid_t *groups);

/* Users and groups that need no entry in the system's tables. */
#define USER_A 65501
#define USER_B 65502
#define GROUP_A 65503
#define GROUP_B 65504
#define GROUP_C 65505

/* ---- small things */

/* A namespace of mounts of our own: all that is mounted goes with the case.
 * Skips the case where that is not allowed. */
void own_mounts(void);
/* mount -o bind,ro of a directory onto itself. */
void bind_read_only(const char *dir);

/* Creates a file with these permissions, whatever the umask. */
void make_file(const char *path, mode_t perm);
/* ... with this text. */
void make_text(const char *path, const char *text);
void make_dir(const char *path, mode_t perm);
/* Facts of lstat(), which must succeed. */
struct stat stat_of(const char *path);
mode_t perm_of(const char *path);	/* & 07777 */
/* Is there an extended attribute of that name? */
bool is_listed(const char *path, const char *name);
/* Longer than what clocks of file systems count in. */
void tick(void);
int64_t ns_of(struct timespec);
/* Times of a file, ns. */
struct times {
	int64_t atime, mtime, ctime;
};
struct times times_of(const char *path);
enum { OF_MTIME = 1, OF_CTIME = 2, OF_BOTH = 3, ANY_ATIME = 4 };
/* Exactly these of the file's times are newer than before. Its atime is what
 * it was, unless it is said that it need not be. */
#define CHANGED(which, before, path) \
	do { \
		struct times now_ = times_of(path); \
		IS(!!((which) & OF_MTIME), now_.mtime > (before).mtime); \
		IS(!!((which) & OF_CTIME), now_.ctime > (before).ctime); \
		if (!((which) & ANY_ATIME)) \
			IS((before).atime, now_.atime); \
	} while (0)

/* ---- kinds of files */
enum file_kind { A_FILE, A_DIR, A_FIFO, A_SOCKET, A_CHAR, A_BLOCK, A_SYMLINK,
		 FILE_KINDS };
const char *kind_name(enum file_kind);
/* Makes one, of permissions 0644 (0755 a directory); a symlink leads
 * nowhere. Devices are the null device, and a block device nobody has. */
void make_kind(const char *path, enum file_kind);
/* Is it one? */
bool is_kind(const char *path, enum file_kind);

/* open() must succeed; the descriptor. */
int open_ok(const char *path, int flags, mode_t perm);
/* Entries of a table. */
#define LEN(a) (sizeof(a) / sizeof((a)[0]))
/* A name of n bytes of this letter; static memory, four at a time. */
const char *name_of(size_t n, char letter);

#endif
