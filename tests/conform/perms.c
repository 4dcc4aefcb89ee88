/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions: what modes allow to whom, access(), umask, groups, and what
 * sticky directories refuse. Who may change modes and owners: owners.c.
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
		ERR(EACCES, open("write", O_RDWR));
		ERR(EACCES, truncate("read", 0));
		OK(open("read", O_RDONLY));
		OK(open("write", O_WRONLY));
	}
	OK(open("none", O_RDWR));
}

/* The first class that fits decides, even if another would allow more. */
static void classes(void)
{
	const gid_t further[] = { GROUP_B, GROUP_C };

	make_file("f", 0077);
	OK(chown("f", USER_A, GROUP_B));
	AS(USER_A, GROUP_B)
		ERR(EACCES, open("f", O_RDONLY));
	OK(chmod("f", 0707));
	AS(USER_B, GROUP_B)
		ERR(EACCES, open("f", O_RDONLY));
	/* A further group counts as the first does. */
	AS_WITH(USER_B, GROUP_A, 2, further)
		ERR(EACCES, open("f", O_RDONLY));
	OK(chmod("f", 0040));
	AS_WITH(USER_B, GROUP_A, 2, further) {
		OK(open("f", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
	}
	AS(USER_B, GROUP_A)
		ERR(EACCES, open("f", O_RDONLY));
	OK(chmod("f", 0004));
	AS(USER_B, GROUP_A)
		OK(open("f", O_RDONLY));
}

static void directories(void)
{
	make_dir("d", 0755);
	make_file("d/f", 0666);
	make_dir("d/e", 0777);
	AS(USER_A, GROUP_A) {
		ERR(EACCES, open("d/g", O_CREAT | O_WRONLY, 0644));
		ERR(EACCES, mkdir("d/g", 0755));
		ERR(EACCES, symlink("x", "d/g"));
		ERR(EACCES, mkfifo("d/g", 0644));
		ERR(EACCES, link("d/f", "d/g"));
		ERR(EACCES, unlink("d/f"));
		ERR(EACCES, rmdir("d/e"));
		ERR(EACCES, rename("d/f", "d/g"));
		ERR(EACCES, rename("d/f", "g"));
		OK(open("d/f", O_WRONLY | O_CREAT, 0644));
		ERR(EEXIST, mkdir("d/e", 0755));
		ERR(EEXIST, open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	}
	/* To be listed, but not gone through. */
	OK(chmod("d", 0744));
	AS(USER_A, GROUP_A) {
		OK(open("d", O_RDONLY | O_DIRECTORY));
		ERR(EACCES, open("d/f", O_RDONLY));
		ERR(EACCES, chdir("d"));
		ERR(EACCES, stat("d/f", &(struct stat){ 0 }));
		ERR(EACCES, access("d/none", F_OK));
		ERR(EACCES, chmod("d/f", 0600));
		ERR(EACCES, readlink("d/f", (char[1]){ 0 }, 1));
	}
	/* To be gone through, but not listed. */
	OK(chmod("d", 0711));
	AS(USER_A, GROUP_A) {
		ERR(EACCES, open("d", O_RDONLY | O_DIRECTORY));
		OK(chdir("d"));
		OK(open("f", O_RDWR));
		ERR(ENOENT, open("none", O_RDONLY));
	}
	/* To be written without being read. */
	OK(chmod("d", 0733));
	AS(USER_A, GROUP_A) {
		OK(mkdir("d/new", 0755));
		OK(rmdir("d/new"));
		OK(unlink("d/f"));
	}
}

/* A directory that moves elsewhere gets a new "..": it must be writable. */
static void move_directory(void)
{
	make_dir("a", 0777);
	make_dir("b", 0777);
	make_dir("a/d", 0755);
	AS(USER_A, GROUP_A) {
		OK(rename("a/d", "a/e"));
		ERR(EACCES, rename("a/e", "b/e"));
	}
	OK(chown("a/e", USER_A, GROUP_A));
	AS(USER_A, GROUP_A)
		OK(rename("a/e", "b/e"));
}

static void access_calls(void)
{
	make_file("f", 0640);
	OK(chown("f", USER_A, GROUP_A));
	make_file("x", 0755);
	OK(access("f", R_OK | W_OK));
	ERR(EACCES, access("f", X_OK));
	OK(access("x", X_OK));
	ERR(EINVAL, access("f", 8));
	ERR(EINVAL, faccessat(AT_FDCWD, "f", R_OK, 1 << 30));
	AS(USER_A, GROUP_B) {
		OK(access("f", R_OK | W_OK));
		ERR(EACCES, access("f", X_OK));
		ERR(EACCES, access("f", R_OK | X_OK));
	}
	AS(USER_B, GROUP_A) {
		OK(access("f", R_OK));
		ERR(EACCES, access("f", W_OK));
		OK(access("x", R_OK | X_OK));
	}
	AS(USER_B, GROUP_B) {
		OK(access("f", F_OK));
		ERR(EACCES, access("f", R_OK));
		OK(faccessat(AT_FDCWD, "x", X_OK, AT_EACCESS));
		ERR(EACCES, faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
	}
	/* access() asks for the real user, AT_EACCESS for the other. */
	AS(0, 0) {
		OK(setresuid(0, USER_B, 0));
		OK(access("f", R_OK | W_OK));
		ERR(EACCES, faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
		ERR(EACCES, open("f", O_RDONLY));
	}
}

static void execute(void)
{
	static const char script[] = "#!/bin/true\n";
	char *argv[] = { "f", NULL }, *env[] = { NULL };

	make_text("f", script);
	ERR(EACCES, execve("./f", argv, env));
	ERR(EACCES, access("f", X_OK));
	OK(chmod("f", 0744));
	AS(USER_A, GROUP_A)
		ERR(EACCES, execve("./f", argv, env));
	OK(chmod("f", 0711));
	OK(mkdir("d", 0755));
	ERR(EACCES, execve("./d", argv, env));
	ERR(ENOENT, execve("./none", argv, env));
	ERR(ENOTDIR, execve("./f/x", argv, env));
	AS(USER_A, GROUP_A) {
		ERR(EACCES, open("f", O_WRONLY));
		OK(execve("./f", argv, env));
	}
}

/* Who runs a program writes into it only when it has ended. */
static void execute_busy(void)
{
	char *argv[] = { "sleep", "100", NULL }, *env[] = { NULL };
	int ends[2], in, out;
	char data[65536];
	ssize_t n;
	pid_t pid;

	in = open("/bin/sleep", O_RDONLY);
	if (in < 0)
		conform_skip("there is no /bin/sleep");
	out = open_ok("sleep", O_WRONLY | O_CREAT, 0755);
	while ((n = read(in, data, sizeof(data))) > 0)
		IS(n, write(out, data, (size_t)n));
	ERR(ETXTBSY, execve("./sleep", argv, env));
	OK(close(out));
	OK(pipe2(ends, O_CLOEXEC));
	pid = (pid_t)OK(fork());
	if (!pid) {
		execve("./sleep", argv, env);
		_exit(1);
	}
	/* The pipe closes when the program has begun. */
	OK(close(ends[1]));
	IS(0, read(ends[0], data, 1));
	ERR(ETXTBSY, open("sleep", O_WRONLY));
	ERR(ETXTBSY, truncate("sleep", 0));
	OK(unlink("sleep"));
}

static void umask_applies(void)
{
	umask(077);
	OK(close(open_ok("f", O_CREAT | O_WRONLY, 0666)));
	IS(0600, perm_of("f"));
	OK(mkdir("d", 0777));
	IS(0700, perm_of("d"));
	OK(mkfifo("p", 0666));
	IS(0600, perm_of("p"));
	OK(symlink("x", "l"));
	IS(0777, perm_of("l"));
	umask(0);
	OK(close(open_ok("g", O_CREAT | O_WRONLY, 0666)));
	IS(0666, perm_of("g"));
	OK(close(open_ok("h", O_CREAT | O_WRONLY, 04777)));
	IS(04777, perm_of("h"));
	OK(chmod("d", 0777));
	umask(0777);
	OK(close(open_ok("i", O_CREAT | O_RDWR, 0666)));
	IS(0, perm_of("i"));
	OK(chmod("i", 0666));
	IS(0666, perm_of("i"));
}

/* ---- sticky directories */

static void sticky_unlink(void)
{
	make_dir("d", 01777);
	make_file("d/b", 0666);
	OK(chown("d/b", USER_B, GROUP_B));
	make_dir("d/bd", 0777);
	OK(chown("d/bd", USER_B, GROUP_B));
	AS(USER_A, GROUP_A) {
		ERR(EPERM, unlink("d/b"));
		ERR(EPERM, rmdir("d/bd"));
		ERR(EPERM, rename("d/b", "d/c"));
		ERR(EPERM, rename("d/b", "c"));
		OK(open("d/a", O_CREAT | O_WRONLY, 0644));
		ERR(EPERM, rename("d/a", "d/b"));
		OK(mkdir("d/ad", 0755));
		ERR(EPERM, rename("d/ad", "d/bd"));
		OK(rename("d/a", "d/a2"));
		OK(unlink("d/a2"));
		OK(rmdir("d/ad"));
	}
	AS(USER_B, GROUP_B)
		OK(unlink("d/b"));
	/* The directory's owner may as well. */
	OK(chown("d", USER_A, GROUP_A));
	AS(USER_A, GROUP_A)
		OK(rmdir("d/bd"));
}

/* ---- who owns what is made */

static void new_owner(void)
{
	AS(USER_A, GROUP_A) {
		OK(close(open_ok("f", O_CREAT | O_WRONLY, 0644)));
		OK(mkdir("d", 0755));
		OK(symlink("f", "l"));
		OK(mkfifo("p", 0644));
	}
	for (const char *const *name = (const char *const[]){ "f", "d", "l",
							      "p", NULL };
	     *name; name++) {
		IS(USER_A, stat_of(*name).st_uid);
		IS(GROUP_A, stat_of(*name).st_gid);
	}
}

/* A set-group-ID directory gives its group, and directories the bit too. */
static void new_group(void)
{
	const gid_t further[] = { GROUP_B };

	make_dir("d", 0777);
	OK(chown("d", 0, GROUP_B));
	OK(chmod("d", 02777));
	AS(USER_A, GROUP_A) {
		OK(close(open_ok("d/f", O_CREAT | O_WRONLY, 0644)));
		OK(mkdir("d/e", 0755));
		OK(symlink("f", "d/l"));
		OK(mkfifo("d/p", 0644));
		OK(close(open_ok("d/e/f", O_CREAT | O_WRONLY, 0644)));
		umask(0);
		/* (one who is not of that group gets no such program) */
		OK(close(open_ok("d/s", O_CREAT | O_WRONLY, 02755)));
	}
	IS(GROUP_B, stat_of("d/f").st_gid);
	IS(0644, perm_of("d/f"));
	IS(GROUP_B, stat_of("d/e").st_gid);
	IS(02755, perm_of("d/e"));
	IS(GROUP_B, stat_of("d/l").st_gid);
	IS(GROUP_B, stat_of("d/p").st_gid);
	IS(GROUP_B, stat_of("d/e/f").st_gid);
	IS(0755, perm_of("d/s"));
	AS_WITH(USER_A, GROUP_A, 1, further) {
		umask(0);
		OK(close(open_ok("d/t", O_CREAT | O_WRONLY, 02755)));
	}
	IS(02755, perm_of("d/t"));
}

const struct conform_case perms_cases[] = {
	{ "open_modes", open_modes, NEEDS_ROOT },
	{ "classes", classes, NEEDS_ROOT },
	{ "directories", directories, NEEDS_ROOT },
	{ "move_directory", move_directory, NEEDS_ROOT },
	{ "access_calls", access_calls, NEEDS_ROOT },
	{ "execute", execute, NEEDS_ROOT },
	{ "execute_busy", execute_busy, 0 },
	{ "umask_applies", umask_applies, 0 },
	{ "sticky_unlink", sticky_unlink, NEEDS_ROOT },
	{ "new_owner", new_owner, NEEDS_ROOT },
	{ "new_group", new_group, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
