/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading directories: what is there is given once, whatever comes and goes
 * meanwhile, and places in a listing stay good.
 */
#include <dirent.h>
#include <sys/syscall.h>

#include "tests/conform/conform.h"

/* Entries of a directory that takes many requests to read. */
#define MANY 3000

struct kernel_dirent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static long getdents(int fd, void *ret, size_t len)
{
	return syscall(SYS_getdents64, fd, ret, len);
}

static void make_many(const char *dir, int from, int to)
{
	char path[64];

	for (int k = from; k < to; k++) {
		snprintf(path, sizeof(path), "%s/%05d", dir, k);
		make_file(path, 0644);
	}
}

/* "." and ".." are not counted. */
static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static void all_once(void)
{
	static int seen[MANY];
	struct dirent *e;
	int dots = 0;
	DIR *dir;

	make_dir("d", 0755);
	make_many("d", 0, MANY);
	dir = opendir("d");
	TRUE(dir);
	while ((e = readdir(dir))) {
		if (is_dot(e->d_name))
			dots++;
		else
			seen[atoi(e->d_name)]++;
	}
	IS(2, dots);
	for (int k = 0; k < MANY; k++)
		IS(1, seen[k]);
	OK(closedir(dir));
}

/* Half of them goes, and as many come, while it is read: the others are
 * given once each. */
static void while_others_change(void)
{
	static int seen[MANY];
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	make_dir("d", 0755);
	make_many("d", 0, MANY);
	dir = opendir("d");
	TRUE(dir);
	while ((e = readdir(dir))) {
		if (is_dot(e->d_name) || e->d_name[0] == 'n')
			continue;
		seen[atoi(e->d_name)]++;
		if (n < MANY / 2) {
			snprintf(path, sizeof(path), "d/%05d", 2 * n + 1);
			OK(unlink(path));
			snprintf(path, sizeof(path), "d/n%05d", n++);
			make_file(path, 0644);
		}
	}
	for (int k = 0; k < MANY; k += 2)
		IS(1, seen[k]);
	for (int k = 1; k < MANY; k += 2)
		TRUE(seen[k] <= 1);
	OK(closedir(dir));
}

/* As `rm -r` does it. */
static void remove_while_reading(void)
{
	struct dirent *e;
	DIR *dir;

	make_dir("d", 0755);
	make_many("d", 0, MANY);
	dir = opendir("d");
	TRUE(dir);
	while ((e = readdir(dir)))
		if (!is_dot(e->d_name))
			OK(unlinkat(dirfd(dir), e->d_name, 0));
	OK(closedir(dir));
	OK(rmdir("d"));
}

static void telldir_seekdir(void)
{
	static long place[MANY];
	static char name[MANY][16];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	make_dir("d", 0755);
	make_many("d", 0, MANY);
	dir = opendir("d");
	TRUE(dir);
	for (;;) {
		long at = telldir(dir);

		e = readdir(dir);
		if (!e)
			break;
		if (is_dot(e->d_name))
			continue;
		TRUE(n < MANY);
		place[n] = at;
		snprintf(name[n++], sizeof(name[0]), "%.15s",
			 e->d_name);
	}
	IS(MANY, n);
	for (int k = MANY - 1; k >= 0; k -= 7) {
		seekdir(dir, place[k]);
		e = readdir(dir);
		TRUE(e && !strcmp(e->d_name, name[k]));
	}
	/* Places stay good when others come and go. */
	OK(unlinkat(dirfd(dir), name[0], 0));
	OK(unlinkat(dirfd(dir), name[MANY / 2], 0));
	make_file("d/new", 0644);
	seekdir(dir, place[MANY / 2 + 1]);
	e = readdir(dir);
	TRUE(e && (!strcmp(e->d_name, name[MANY / 2 + 1]) ||
		   !strcmp(e->d_name, "new")));
	OK(closedir(dir));
}

static void rewinddir_sees_new(void)
{
	struct dirent *e;
	bool found = false;
	DIR *dir;

	make_dir("d", 0755);
	make_many("d", 0, 10);
	dir = opendir("d");
	TRUE(dir);
	while (readdir(dir))
		;
	make_file("d/new", 0644);
	OK(unlink("d/00003"));
	rewinddir(dir);
	while ((e = readdir(dir))) {
		found |= !strcmp(e->d_name, "new");
		TRUE(strcmp(e->d_name, "00003"));
	}
	TRUE(found);
	OK(closedir(dir));
}

static void small_buffers(void)
{
	static int seen[100];
	char bytes[64];
	int fd, dots = 0;
	long n;

	make_dir("d", 0755);
	make_many("d", 0, 100);
	fd = open_ok("d", O_RDONLY | O_DIRECTORY, 0);
	ERR(EINVAL, getdents(fd, bytes, 10));
	while ((n = OK(getdents(fd, bytes, sizeof(bytes)))) > 0) {
		for (long at = 0; at < n;) {
			struct kernel_dirent *e = (void *)(bytes + at);

			if (is_dot(e->name))
				dots++;
			else
				seen[atoi(e->name)]++;
			at += e->reclen;
		}
	}
	IS(2, dots);
	for (int k = 0; k < 100; k++)
		IS(1, seen[k]);
	/* From the start again. */
	IS(0, lseek(fd, 0, SEEK_SET));
	TRUE(getdents(fd, bytes, sizeof(bytes)) > 0);
	OK(close(fd));
}

static unsigned char type_of(const char *name)
{
	struct dirent *e;
	DIR *dir = opendir(".");
	unsigned char type = 255;

	TRUE(dir);
	while ((e = readdir(dir)))
		if (!strcmp(e->d_name, name)) {
			struct stat st = stat_of(name);

			type = e->d_type;
			IS(st.st_ino, e->d_ino);
		}
	OK(closedir(dir));
	return type;
}

static void types(void)
{
	make_file("file", 0644);
	make_dir("dir", 0755);
	OK(symlink("file", "link"));
	IS(DT_REG, type_of("file"));
	IS(DT_DIR, type_of("dir"));
	IS(DT_LNK, type_of("link"));
	OK(mkfifo("fifo", 0644));
	IS(DT_FIFO, type_of("fifo"));
}

static void dots_are_right(void)
{
	struct stat here, above;
	struct dirent *e;
	DIR *dir;

	make_dir("d", 0755);
	here = stat_of("d");
	above = stat_of(".");
	dir = opendir("d");
	TRUE(dir);
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, "."))
			IS(here.st_ino, e->d_ino);
		if (!strcmp(e->d_name, ".."))
			IS(above.st_ino, e->d_ino);
		IS(DT_DIR, e->d_type);
	}
	OK(closedir(dir));
}

/* A directory that is gone is empty, and takes no new names. */
static void removed_directory(void)
{
	char bytes[512];
	int fd;

	make_dir("d", 0755);
	fd = open_ok("d", O_RDONLY | O_DIRECTORY, 0);
	OK(rmdir("d"));
	TRUE(getdents(fd, bytes, sizeof(bytes)) <= 0);
	ERR(ENOENT, openat(fd, "f", O_CREAT | O_WRONLY, 0644));
	ERR(ENOENT, mkdirat(fd, "e", 0755));
	OK(close(fd));
}

static void errors(void)
{
	char bytes[512];
	int fd;

	make_text("f", "text");
	make_dir("d", 0);
	ERR(ENOENT, open("none", O_RDONLY | O_DIRECTORY));
	ERR(ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
	fd = open_ok("f", O_RDONLY, 0);
	ERR(ENOTDIR, getdents(fd, bytes, sizeof(bytes)));
	OK(close(fd));
	ERR(EBADF, getdents(fd, bytes, sizeof(bytes)));
	fd = open_ok(".", O_RDONLY | O_DIRECTORY, 0);
	ERR(EFAULT, getdents(fd, (void *)8, 512));
	ERR(EINVAL, lseek(fd, -1, SEEK_SET));
	OK(close(fd));
}

static void unreadable(void)
{
	make_dir("d", 0311);
	AS(USER_A, GROUP_A) {
		ERR(EACCES, open("d", O_RDONLY | O_DIRECTORY));
		OK(close((int)OK(open("d", O_PATH | O_DIRECTORY))));
	}
}

/* Two who read one directory do not disturb each other. */
static void two_readers(void)
{
	struct dirent *e;
	int n = 0, m = 0;
	DIR *a, *b;

	make_dir("d", 0755);
	make_many("d", 0, 500);
	a = opendir("d");
	b = opendir("d");
	TRUE(a && b);
	while ((e = readdir(a))) {
		n += !is_dot(e->d_name);
		if (n % 3 == 0 && (e = readdir(b)))
			m += !is_dot(e->d_name);
	}
	while ((e = readdir(b)))
		m += !is_dot(e->d_name);
	IS(500, n);
	IS(500, m);
	OK(closedir(a));
	OK(closedir(b));
}

static void names_of_all_bytes(void)
{
	char name[3] = { 'x', 0, 0 };
	bool seen[256] = { false };
	struct dirent *e;
	DIR *dir;

	make_dir("d", 0755);
	OK(chdir("d"));
	for (int byte = 1; byte < 256; byte++) {
		name[1] = (char)byte;
		if (byte != '/')
			make_file(name, 0644);
	}
	dir = opendir(".");
	TRUE(dir);
	while ((e = readdir(dir)))
		if (!is_dot(e->d_name)) {
			IS(2, strlen(e->d_name));
			seen[(unsigned char)e->d_name[1]] = true;
		}
	for (int byte = 1; byte < 256; byte++)
		TRUE(seen[byte] || byte == '/');
	OK(closedir(dir));
}

static void longest_names(void)
{
	struct dirent *e;
	int n = 0;
	DIR *dir;

	make_dir("d", 0755);
	OK(chdir("d"));
	for (char c = 'a'; c <= 'z'; c++)
		make_file(name_of(255, c), 0644);
	dir = opendir(".");
	TRUE(dir);
	while ((e = readdir(dir)))
		n += strlen(e->d_name) == 255;
	IS(26, n);
	OK(closedir(dir));
}

const struct conform_case dirs_cases[] = {
	{ "all_once", all_once, 0 },
	{ "while_others_change", while_others_change, 0 },
	{ "remove_while_reading", remove_while_reading, 0 },
	{ "telldir_seekdir", telldir_seekdir, 0 },
	{ "rewinddir_sees_new", rewinddir_sees_new, 0 },
	{ "small_buffers", small_buffers, 0 },
	{ "types", types, 0 },
	{ "dots_are_right", dots_are_right, 0 },
	{ "removed_directory", removed_directory, 0 },
	{ "errors", errors, 0 },
	{ "unreadable", unreadable, NEEDS_ROOT },
	{ "two_readers", two_readers, 0 },
	{ "names_of_all_bytes", names_of_all_bytes, 0 },
	{ "longest_names", longest_names, 0 },
	{ NULL, NULL, 0 },
};
