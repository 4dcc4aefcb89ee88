/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: open and creat, mkdir and rmdir, unlink, symlink and readlink, and
 * the paths that lead there. Renaming and hard links: links.c.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/conform/conform.h"

/* Bytes of a name, and of a symlink's target. */
#define NAME_BYTES 255
#define TARGET_BYTES 4095
/* Directories in each other: their path is longer than PATH_MAX. */
#define DEEP 100

/* ---- open */

static void open_excl(void)
{
	make_file("f", 0644);
	OK(symlink("nowhere", "l"));
	make_dir("d", 0755);
	ERR(EEXIST, open("f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	ERR(EEXIST, open("l", O_CREAT | O_EXCL | O_WRONLY, 0644));
	ERR(EEXIST, open("d", O_CREAT | O_EXCL | O_WRONLY, 0644));
	OK(close(open_ok("g", O_CREAT | O_EXCL | O_WRONLY, 0644)));
	ERR(ENOENT, access("nowhere", F_OK));
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

static void open_directory(void)
{
	int fd;
	char byte;

	make_file("f", 0644);
	make_dir("d", 0755);
	OK(symlink("d", "l"));
	ERR(ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
	ERR(ENOENT, open("g", O_RDONLY | O_DIRECTORY));
	ERR(EISDIR, open("d", O_WRONLY));
	ERR(EISDIR, open("d", O_RDWR));
	ERR(EISDIR, open("d", O_RDONLY | O_CREAT, 0644));
	ERR(EISDIR, open("d", O_RDONLY | O_TRUNC));
	ERR(EISDIR, creat("d", 0644));
	ERR(ENOTDIR, open("l", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	fd = open_ok("d", O_RDONLY, 0);
	ERR(EISDIR, read(fd, &byte, 1));
	ERR(EBADF, write(fd, "x", 1));
	OK(close(fd));
	OK(close(open_ok("l", O_RDONLY | O_DIRECTORY, 0)));
}

static void open_trunc(void)
{
	int fd;

	make_text("f", "some text");
	fd = open_ok("f", O_RDWR | O_TRUNC, 0);
	IS(0, stat_of("f").st_size);
	IS(0, lseek(fd, 0, SEEK_END));
	OK(close(fd));
	make_text("g", "some text");
	OK(close(OK(creat("g", 0600))));
	IS(0, stat_of("g").st_size);
	IS(0644, perm_of("g"));
	ERR(ENOENT, open("h", O_WRONLY | O_TRUNC));
}

static void open_descriptor(void)
{
	char byte;
	int fd;

	make_text("f", "text");
	fd = open_ok("f", O_RDONLY, 0);
	ERR(EBADF, write(fd, "x", 1));
	ERR(EINVAL, ftruncate(fd, 0));
	OK(close(fd));
	fd = open_ok("f", O_WRONLY, 0);
	ERR(EBADF, read(fd, &byte, 1));
	OK(close(fd));
	fd = open_ok("f", O_PATH, 0);
	ERR(EBADF, read(fd, &byte, 1));
	ERR(EBADF, fchmod(fd, 0600));
	OK(close(fd));
	ERR(EBADF, close(fd));
	ERR(EFAULT, open((const char *)1, O_RDONLY));
}

/* A file that may not be opened again by its mode is open all the same. */
static void open_creates_read_only(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT, 0);
	char text[4];

	IS(4, write(fd, "text", 4));
	IS(4, pread(fd, text, 4, 0));
	IS(0, perm_of("f"));
	OK(close(fd));
	fd = open_ok("g", O_RDONLY | O_CREAT, 0644);
	ERR(EBADF, write(fd, "x", 1));
	OK(close(fd));
}

static void open_read_only_mount(void)
{
	own_mounts();
	make_dir("d", 0777);
	make_file("d/f", 0666);
	make_dir("d/e", 0777);
	bind_read_only("d");
	OK(chdir("d"));
	OK(close(open_ok("f", O_RDONLY, 0)));
	ERR(EROFS, open("f", O_WRONLY));
	ERR(EROFS, open("f", O_RDONLY | O_TRUNC));
	ERR(EROFS, open("g", O_WRONLY | O_CREAT, 0644));
	ERR(EROFS, mkdir("h", 0755));
	ERR(EROFS, rmdir("e"));
	ERR(EROFS, unlink("f"));
	ERR(EROFS, rename("f", "g"));
	ERR(EROFS, link("f", "g"));
	ERR(EROFS, symlink("f", "g"));
	ERR(EROFS, mkfifo("g", 0644));
	ERR(EROFS, chmod("f", 0600));
	ERR(EROFS, chown("f", 1, 1));
	ERR(EROFS, truncate("f", 0));
	ERR(EROFS, utimensat(AT_FDCWD, "f", NULL, 0));
	ERR(EROFS, access("f", W_OK));
	ERR(EEXIST, mkdir("e", 0755));
}

/* ---- names and paths */

static void name_lengths(void)
{
	const char *most = name_of(NAME_BYTES, 'n');
	const char *more = name_of(NAME_BYTES + 1, 'n');

	make_file(most, 0644);
	OK(stat_of(most).st_size);
	ERR(ENAMETOOLONG, open(more, O_RDONLY));
	ERR(ENAMETOOLONG, open(more, O_CREAT | O_WRONLY, 0644));
	ERR(ENAMETOOLONG, mkdir(more, 0755));
	ERR(ENAMETOOLONG, rmdir(more));
	ERR(ENAMETOOLONG, unlink(more));
	ERR(ENAMETOOLONG, mkfifo(more, 0644));
	ERR(ENAMETOOLONG, symlink("x", more));
	ERR(ENAMETOOLONG, link(most, more));
	ERR(ENAMETOOLONG, link(more, "x"));
	ERR(ENAMETOOLONG, rename(most, more));
	ERR(ENAMETOOLONG, rename(more, "x"));
	ERR(ENAMETOOLONG, chmod(more, 0644));
	ERR(ENAMETOOLONG, chown(more, 1, 1));
	ERR(ENAMETOOLONG, truncate(more, 0));
	ERR(ENAMETOOLONG, access(more, F_OK));
	ERR(ENAMETOOLONG, utimensat(AT_FDCWD, more, NULL, 0));
	OK(rename(most, "x"));
	OK(mkdir(most, 0755));
	OK(rmdir(most));
	OK(symlink("x", most));
	OK(unlink(most));
	OK(link("x", most));
	OK(unlink(most));
	OK(mkfifo(most, 0644));
}

static void path_lengths(void)
{
	char path[PATH_MAX + 2];

	make_file("f", 0644);
	memset(path, '/', sizeof(path));
	path[0] = '.';
	/* PATH_MAX counts the NUL. */
	memcpy(path + PATH_MAX - 2, "f", 2);
	OK(close(open_ok(path, O_RDONLY, 0)));
	memcpy(path + PATH_MAX - 2, "/f", 3);
	ERR(ENAMETOOLONG, open(path, O_RDONLY));
	ERR(ENAMETOOLONG, mkdir(path, 0755));
	ERR(ENAMETOOLONG, unlink(path));
	ERR(ENAMETOOLONG, rename("f", path));
	ERR(ENAMETOOLONG, link("f", path));
	ERR(ENAMETOOLONG, symlink("f", path));
	ERR(ENAMETOOLONG, symlink(path, "l"));
}

/* All bytes but '/' and NUL are of a name. */
static void name_bytes(void)
{
	char name[3] = "x";

	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		name[1] = (char)c;
		make_file(name, 0644);
	}
	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		name[1] = (char)c;
		OK(unlink(name));
	}
	make_file("A", 0644);
	make_file("a", 0644);
	OK(rename("A", "\xff\xfe"));
	ERR(ENOENT, access("A", F_OK));
	OK(mkdir("...", 0755));
	OK(mkdir(" ", 0755));
	/* Two spellings of one letter are two names. */
	make_file("\xc3\xa9", 0644);
	ERR(ENOENT, access("e\xcc\x81", F_OK));
}

static void path_components(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	ERR(ENOTDIR, open("f/x", O_RDONLY));
	ERR(ENOTDIR, open("f/", O_RDONLY));
	ERR(ENOTDIR, open("f/x", O_CREAT | O_WRONLY, 0644));
	ERR(ENOTDIR, mkdir("f/x", 0755));
	ERR(ENOTDIR, rmdir("f/x"));
	ERR(ENOTDIR, unlink("f/x"));
	ERR(ENOTDIR, rename("f/x", "y"));
	ERR(ENOTDIR, rename("f", "f/x"));
	ERR(ENOTDIR, link("f/x", "y"));
	ERR(ENOTDIR, link("f", "f/x"));
	ERR(ENOTDIR, symlink("x", "f/x"));
	ERR(ENOTDIR, mkfifo("f/x", 0644));
	ERR(ENOTDIR, chmod("f/x", 0644));
	ERR(ENOTDIR, chown("f/x", 1, 1));
	ERR(ENOTDIR, truncate("f/x", 0));
	ERR(ENOTDIR, access("f/x", F_OK));
	ERR(ENOENT, open("g/x", O_CREAT | O_WRONLY, 0644));
	ERR(ENOENT, mkdir("g/x", 0755));
	ERR(ENOENT, rmdir("g"));
	ERR(ENOENT, unlink("g"));
	ERR(ENOENT, rename("g", "h"));
	ERR(ENOENT, rename("f", "g/x"));
	ERR(ENOENT, link("g", "h"));
	ERR(ENOENT, link("f", "g/x"));
	ERR(ENOENT, symlink("x", "g/x"));
	ERR(ENOENT, mkfifo("g/x", 0644));
	ERR(ENOENT, chmod("g", 0644));
	ERR(ENOENT, chown("g", 1, 1));
	ERR(ENOENT, truncate("g", 0));
	ERR(ENOENT, open("", O_RDONLY));
	ERR(ENOENT, mkdir("", 0755));
	ERR(ENOENT, unlink(""));
	ERR(EISDIR, open("g/", O_CREAT | O_WRONLY, 0644));
	OK(mkdir("d/e/", 0755));
	OK(rmdir("d/e/"));
	ERR(ENOTDIR, unlink("f/"));
	ERR(ENOTDIR, rename("f/", "g"));
	ERR(ENOTDIR, rename("f", "g/"));
	OK(rename("d/", "e/"));
	OK(access("./e/../f", F_OK));
	ERR(ENOENT, access("f2/../f", F_OK));
}

/* Deeper than a path can say. */
static void path_depth(void)
{
	const char *name = name_of(NAME_BYTES, 'd');
	char *cwd;

	for (int k = 0; k < DEEP; k++) {
		OK(mkdir(name, 0755));
		OK(chdir(name));
	}
	make_text("f", "text");
	IS(4, stat_of("f").st_size);
	cwd = getcwd(NULL, 0);
	TRUE(!cwd || strlen(cwd) > (size_t)DEEP * NAME_BYTES);
	OK(unlink("f"));
	for (int k = 0; k < DEEP; k++) {
		OK(chdir(".."));
		OK(rmdir(name));
	}
}

static void path_loops(void)
{
	char from[16], to[16];

	OK(symlink("l", "l"));
	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	ERR(ELOOP, open("l", O_RDONLY));
	ERR(ELOOP, open("a", O_RDONLY));
	ERR(ELOOP, open("a", O_RDWR | O_CREAT, 0644));
	ERR(ELOOP, open("a/x", O_RDONLY));
	ERR(ELOOP, mkdir("a/x", 0755));
	ERR(ELOOP, rmdir("a/x"));
	ERR(ELOOP, unlink("a/x"));
	ERR(ELOOP, rename("a/x", "y"));
	ERR(ELOOP, link("a/x", "y"));
	ERR(ELOOP, symlink("y", "a/x"));
	ERR(ELOOP, chmod("a", 0644));
	ERR(ELOOP, chown("a", 1, 1));
	ERR(ELOOP, truncate("a", 0));
	/* Forty are followed, no more. */
	make_file("0", 0644);
	for (int k = 1; k <= 41; k++) {
		snprintf(from, sizeof(from), "%d", k - 1);
		snprintf(to, sizeof(to), "%d", k);
		OK(symlink(from, to));
	}
	OK(access("40", F_OK));
	ERR(ELOOP, access("41", F_OK));
}

/* ---- mkdir, rmdir */

static void mkdir_basics(void)
{
	struct stat st;

	make_file("f", 0644);
	OK(symlink("nowhere", "l"));
	OK(mkdir("d", 0777));
	IS(0755, perm_of("d"));
	st = stat_of("d");
	TRUE(S_ISDIR(st.st_mode));
	ERR(EEXIST, mkdir("d", 0777));
	ERR(EEXIST, mkdir("f", 0777));
	ERR(EEXIST, mkdir("l", 0777));
	ERR(EEXIST, mkdir(".", 0777));
	ERR(EEXIST, mkdir("d/..", 0777));
	IS(st.st_ino, stat_of("d/.").st_ino);
	OK(mkdir("d/e", 0700));
	IS(st.st_ino, stat_of("d/e/..").st_ino);
	ERR(EEXIST, mkdir("/", 0777));
}

static void mkdir_mode(void)
{
	umask(0);
	OK(mkdir("a", 0777));
	IS(0777, perm_of("a"));
	OK(mkdir("b", 01777));
	IS(01777, perm_of("b"));
	/* The set-id bits are not taken from mkdir. */
	OK(mkdir("c", 06755));
	IS(0755, perm_of("c"));
	umask(027);
	OK(mkdir("d", 0777));
	IS(0750, perm_of("d"));
}

static void rmdir_basics(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	make_dir("d/e", 0755);
	OK(symlink("d/e", "l"));
	ERR(ENOTDIR, rmdir("f"));
	ERR(ENOTDIR, rmdir("l"));
	ERR(ENOTEMPTY, rmdir("d"));
	ERR(EINVAL, rmdir("."));
	ERR(EINVAL, rmdir("d/."));
	ERR(ENOTEMPTY, rmdir("d/e/.."));
	OK(rmdir("d/e"));
	ERR(ENOENT, rmdir("d/e"));
	OK(rmdir("d"));
	ERR(ENOTDIR, unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
	ERR(EINVAL, unlinkat(AT_FDCWD, "f", ~AT_REMOVEDIR));
}

/* A directory in use goes, and nothing more can be made in it. */
static void rmdir_open(void)
{
	int fd;

	make_dir("d", 0755);
	fd = open_ok("d", O_RDONLY | O_DIRECTORY, 0);
	OK(chdir("d"));
	OK(rmdir("../d"));
	ERR(ENOENT, open("f", O_CREAT | O_WRONLY, 0644));
	ERR(ENOENT, mkdir("e", 0755));
	ERR(ENOENT, symlink("x", "l"));
	ERR(ENOENT, openat(fd, "f", O_CREAT | O_WRONLY, 0644));
	ERR(ENOENT, fstatat(fd, "f", &(struct stat){ 0 }, 0));
	TRUE(!getcwd((char[PATH_MAX]){ 0 }, PATH_MAX) && errno == ENOENT);
	OK(fstat(fd, &(struct stat){ 0 }));
}

static void rmdir_mountpoint(void)
{
	own_mounts();
	make_dir("d", 0755);
	make_dir("e", 0755);
	OK(mount("none", "d", "tmpfs", 0, NULL));
	ERR(EBUSY, rmdir("d"));
	ERR(EBUSY, rename("d", "x"));
	ERR(EBUSY, rename("e", "d"));
	make_file("f", 0644);
	ERR(EXDEV, rename("f", "d/f"));
	ERR(EXDEV, link("f", "d/f"));
}

/* ---- unlink */

static void unlink_basics(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	OK(symlink("f", "l"));
	ERR(EISDIR, unlink("d"));
	ERR(EISDIR, unlink("."));
	OK(unlink("l"));
	OK(access("f", F_OK));
	OK(unlink("f"));
	ERR(ENOENT, unlink("f"));
	ERR(ENOENT, access("f", F_OK));
}

static void unlink_open(void)
{
	char text[4];
	struct stat st;
	int fd;

	make_text("f", "text");
	fd = open_ok("f", O_RDWR, 0);
	OK(unlink("f"));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	IS(4, pread(fd, text, sizeof(text), 0));
	IS(4, pwrite(fd, "more", 4, 4));
	OK(fstat(fd, &st));
	IS(8, st.st_size);
	OK(fchmod(fd, 0600));
	OK(ftruncate(fd, 2));
	OK(fstat(fd, &st));
	IS(2, st.st_size);
	IS(0600, st.st_mode & 07777);
	make_text("f", "other");
	IS(2, read(fd, text, sizeof(text)));
	OK(close(fd));
}

/* What has no name is opened again by its descriptor. */
static void unlink_reopened(void)
{
	char path[64], text[8];
	int fd, again;

	make_text("f", "text");
	fd = open_ok("f", O_RDONLY, 0);
	OK(unlink("f"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open_ok(path, O_RDWR, 0);
	IS(4, write(again, "more", 4));
	IS(4, pread(fd, text, sizeof(text), 0));
	TRUE(!memcmp(text, "more", 4));
	OK(close(fd));
	OK(ftruncate(again, 2));
	IS(2, pread(again, text, sizeof(text), 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", again);
	OK(chmod(path, 0600));
	OK(truncate(path, 7));
	IS(7, lseek(again, 0, SEEK_END));
	OK(close(open_ok(path, O_WRONLY | O_TRUNC, 0)));
	IS(0, lseek(again, 0, SEEK_END));
	OK(close(again));
}

/* ---- many at once */

#define RACERS 6
#define RACES 60
#define SAVED_BYTES 64

enum race { BY_OPEN, BY_MKDIR, BY_SYMLINK, BY_LINK, BY_RENAME, BY_UNLINK,
	    BY_RMDIR, RACE_KINDS };

static int race_once(enum race race, const char *name, const char *own)
{
	int fd;

	switch (race) {
	case BY_OPEN:
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		return fd < 0 ? fd : close(fd);
	case BY_MKDIR:
		return mkdir(name, 0755);
	case BY_SYMLINK:
		return symlink("x", name);
	case BY_LINK:
		return link("f", name);
	case BY_RENAME:
		return renameat2(AT_FDCWD, own, AT_FDCWD, name,
				 RENAME_NOREPLACE);
	case BY_UNLINK:
		return unlink(name);
	default:
		return rmdir(name);
	}
}

/* How many names it got, and that it was refused the others rightly. */
static void racer(enum race race, int number, int out)
{
	int refused = race >= BY_UNLINK ? ENOENT : EEXIST;
	char name[32], own[32];
	uint8_t got = 0;

	for (int k = 0; k < RACES; k++) {
		snprintf(name, sizeof(name), "n%d", k);
		snprintf(own, sizeof(own), "own%d", number);
		if (race == BY_RENAME)
			OK(close(open_ok(own, O_CREAT | O_WRONLY, 0644)));
		if (race_once(race, name, own) == 0)
			got++;
		else
			IS(refused, errno);
	}
	IS(1, write(out, &got, 1));
}

static void one_wins(enum race race)
{
	int ends[2], sum = 0;

	conform_at("way %d", race);
	for (int k = 0; race >= BY_UNLINK && k < RACES; k++) {
		char name[32];

		snprintf(name, sizeof(name), "n%d", k);
		if (race == BY_UNLINK)
			make_file(name, 0644);
		else
			make_dir(name, 0755);
	}
	OK(pipe(ends));
	for (int n = 0; n < RACERS; n++)
		if (OK(fork()) == 0) {
			racer(race, n, ends[1]);
			_exit(0);
		}
	for (int n = 0; n < RACERS; n++) {
		uint8_t got;

		IS(1, read(ends[0], &got, 1));
		sum += got;
	}
	IS(RACES, sum);
	OK(close(ends[0]));
	OK(close(ends[1]));
}

/* Of all who make or remove one name exactly one does. */
static void races(void)
{
	char name[32];

	make_file("f", 0644);
	for (enum race race = 0; race < RACE_KINDS; race++) {
		one_wins(race);
		for (int k = 0; race < BY_UNLINK && k < RACES; k++) {
			snprintf(name, sizeof(name), "n%d", k);
			OK(remove(name));
		}
	}
	IS(1, stat_of("f").st_nlink);
}

/* Who opens a file that others save finds one of them whole, always. */
static void open_while_saved(void)
{
	char text[SAVED_BYTES + 1];
	int fd = open_ok("f", O_RDONLY, 0);
	struct stat st;

	OK(fstat(fd, &st));
	IS(SAVED_BYTES, st.st_size);
	IS(SAVED_BYTES, read(fd, text, sizeof(text)));
	for (int k = 1; k < SAVED_BYTES; k++)
		IS(text[0], text[k]);
	OK(close(fd));
}

static void save(int number)
{
	char own[32], text[SAVED_BYTES + 1] = "";

	snprintf(own, sizeof(own), "own%d", number);
	memset(text, 'a' + number, SAVED_BYTES);
	make_text(own, text);
	OK(rename(own, "f"));
}

/* ... and of one that is made and removed finds it, or that there is none. */
static void open_while_removed(void)
{
	struct stat st;
	int fd = open("n", O_RDONLY);

	if (fd < 0) {
		IS(ENOENT, errno);
		return;
	}
	OK(fstat(fd, &st));
	TRUE(S_ISREG(st.st_mode));
	OK(close(fd));
}

static void make_and_remove(int number)
{
	int fd = open("n", O_CREAT | O_RDWR, 0644);

	(void)number;
	OK(fd);
	OK(close(fd));
	if (unlink("n") < 0)
		IS(ENOENT, errno);
}

/* Half of them act, and half look. */
static void race_between(void (*act)(int number), int acts,
			 void (*look)(void), int looks)
{
	int status;

	act(0);
	for (int n = 0; n < RACERS; n++)
		if (OK(fork()) == 0) {
			for (int k = 0; n % 2 == 0 && k < acts; k++)
				act(n);
			for (int k = 0; n % 2 && k < looks; k++)
				look();
			_exit(0);
		}
	for (int n = 0; n < RACERS; n++) {
		OK(wait(&status));
		IS(0, status);
	}
}

static void saves_race(void)
{
	race_between(save, 10 * RACES, open_while_saved, 10 * RACES);
}

static void removals_race(void)
{
	race_between(make_and_remove, 20 * RACES, open_while_removed,
		     2000 * RACES);
}

/* ---- symlink, readlink */

static void symlink_basics(void)
{
	char text[16];

	OK(symlink("target", "l"));
	IS(0777, perm_of("l"));
	TRUE(S_ISLNK(stat_of("l").st_mode));
	IS(6, stat_of("l").st_size);
	IS(6, readlink("l", text, sizeof(text)));
	TRUE(!memcmp(text, "target", 6));
	/* What does not fit is cut. */
	IS(3, readlink("l", text, 3));
	ERR(EINVAL, readlink("l", text, 0));
	ERR(EEXIST, symlink("other", "l"));
	ERR(ENOENT, symlink("", "m"));
	make_file("f", 0644);
	ERR(EINVAL, readlink("f", text, sizeof(text)));
	ERR(EINVAL, readlink(".", text, sizeof(text)));
	ERR(ENOENT, readlink("g", text, sizeof(text)));
	ERR(ENOTDIR, readlink("f/x", text, sizeof(text)));
}

static void symlink_length(void)
{
	char target[TARGET_BYTES + 1], got[TARGET_BYTES + 1];

	for (size_t k = 0; k < TARGET_BYTES; k++)
		target[k] = (char)(k % 200 == 0 ? '/' : 'a' + k % 26);
	target[TARGET_BYTES] = '\0';
	OK(symlink(target, "l"));
	IS(TARGET_BYTES, stat_of("l").st_size);
	IS(TARGET_BYTES, readlink("l", got, sizeof(got)));
	TRUE(!memcmp(target, got, TARGET_BYTES));
	OK(symlink("\xff\x01\n", "m"));
	IS(3, readlink("m", got, sizeof(got)));
	TRUE(!memcmp(got, "\xff\x01\n", 3));
}

static void symlink_through(void)
{
	make_dir("d", 0755);
	OK(symlink("d", "l"));
	make_file("l/f", 0644);
	OK(access("d/f", F_OK));
	OK(symlink("f", "d/m"));
	OK(truncate("l/m", 5));
	IS(5, stat_of("d/f").st_size);
	OK(rename("l/f", "g"));
	ERR(ENOENT, access("d/m", F_OK));
	ERR(ENOENT, stat("l/m", &(struct stat){ 0 }));
	ERR(ENOENT, chmod("l/m", 0600));
}

const struct conform_case names_cases[] = {
	{ "open_excl", open_excl, 0 },
	{ "open_nofollow", open_nofollow, 0 },
	{ "open_directory", open_directory, 0 },
	{ "open_trunc", open_trunc, 0 },
	{ "open_descriptor", open_descriptor, 0 },
	{ "open_creates_read_only", open_creates_read_only, 0 },
	{ "open_read_only_mount", open_read_only_mount, NEEDS_MOUNT },
	{ "name_lengths", name_lengths, 0 },
	{ "name_bytes", name_bytes, 0 },
	{ "path_lengths", path_lengths, 0 },
	{ "path_components", path_components, 0 },
	{ "path_depth", path_depth, 0 },
	{ "path_loops", path_loops, 0 },
	{ "mkdir_basics", mkdir_basics, 0 },
	{ "mkdir_mode", mkdir_mode, 0 },
	{ "rmdir_basics", rmdir_basics, 0 },
	{ "rmdir_open", rmdir_open, 0 },
	{ "rmdir_mountpoint", rmdir_mountpoint, NEEDS_MOUNT },
	{ "unlink_basics", unlink_basics, 0 },
	{ "unlink_open", unlink_open, 0 },
	{ "unlink_reopened", unlink_reopened, 0 },
	{ "races", races, 0 },
	{ "saves_race", saves_race, 0 },
	{ "removals_race", removals_race, 0 },
	{ "symlink_basics", symlink_basics, 0 },
	{ "symlink_length", symlink_length, 0 },
	{ "symlink_through", symlink_through, 0 },
	{ NULL, NULL, 0 },
};
