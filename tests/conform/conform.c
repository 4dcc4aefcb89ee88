/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-conform [--before COMMAND] DIRECTORY [PATTERN...]: runs the cases of
 * conform.h in a directory of any file system and prints a line for each:
 *
 *	ok NAME
 *	FAIL NAME: expected ERRNO, got ERRNO (FILE:LINE CALL)
 *	skip NAME: WHY
 *
 * Exit status: 0 nothing failed, 1 something did, 2 it could not run. A
 * pattern is as of the shell and chooses cases; --list only names them. The
 * command is the shell's, and runs before each case (and fails none).
 *
 * Each case has its own process and its own directory, DIRECTORY/AREA.CASE,
 * which goes afterwards. A case that hangs is killed, and so is whatever it
 * left behind: each is a process group.
 */
#include "tests/conform/conform.h"

#include <fnmatch.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Seconds for one case; generous, since machines that test are busy. */
#define CASE_SECONDS_MAX 120
/* Bytes of a case's one line. */
#define VERDICT_MAX 1024
/* How many names name_of() gives at a time. */
#define NAMES_AT_A_TIME 4

#define EXIT_PASSED 0
#define EXIT_FAIL 1
#define EXIT_TROUBLE 2
#define EXIT_SKIP 3

/* Where the process of a case writes its verdict. */
static int verdict_fd = -1;
/* What conform_at() said. */
static char place[VERDICT_MAX / 2];

/* ---- in the process of a case */

_Noreturn static void verdict(int status, const char *text)
{
	ssize_t n = write(verdict_fd, text, strlen(text));

	_exit(n < 0 ? EXIT_TROUBLE : status);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void conform_at(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(place, sizeof(place), format, args);
	va_end(args);
}

void conform_fail(const char *expected, const char *got, const char *file,
		  int line, const char *call)
{
	char text[VERDICT_MAX];

	snprintf(text, sizeof(text), "expected %s, got %s (%s:%d %s%s%s)",
		 expected, got, base_name(file), line, call,
		 place[0] ? "; " : "", place);
	verdict(EXIT_FAIL, text);
}

void conform_skip(const char *why)
{
	verdict(EXIT_SKIP, why);
}

static const char *errno_name(int number)
{
	const char *name = strerrorname_np(number);

	return name ? name : "an unknown error";
}

long long conform_ok(long long result, const char *file, int line,
		     const char *call)
{
	if (result < 0)
		conform_fail("success", errno_name(errno), file, line, call);
	return result;
}

void conform_err(int expected, long long result, const char *file, int line,
		 const char *call)
{
	if (result >= 0)
		conform_fail(errno_name(expected), "success", file, line,
			     call);
	if (errno != expected)
		conform_fail(errno_name(expected), errno_name(errno), file,
			     line, call);
}

void conform_is(long long expected, long long got, const char *file, int line,
		const char *call)
{
	char a[32], b[32];

	if (expected == got)
		return;
	snprintf(a, sizeof(a), "%lld", expected);
	snprintf(b, sizeof(b), "%lld", got);
	conform_fail(a, b, file, line, call);
}

int conform_fork(uid_t uid, gid_t gid, size_t count, const gid_t *groups)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		conform_fail("a process", errno_name(errno), __FILE__,
			     __LINE__, "fork()");
	if (pid == 0) {
		OK(setgroups(count, groups));
		OK(setresgid(gid, gid, gid));
		OK(setresuid(uid, uid, uid));
		return 0;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			break;
	if (!WIFEXITED(status))
		conform_fail("a child that ends", "one that was killed",
			     __FILE__, __LINE__, "waitpid()");
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	return -1;
}

void own_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		conform_skip("there may be no namespace of mounts");
}

void bind_read_only(const char *dir)
{
	OK(mount(dir, dir, NULL, MS_BIND, NULL));
	OK(mount("none", dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
}

int open_ok(const char *path, int flags, mode_t perm)
{
	return (int)OK(open(path, flags | O_CLOEXEC, perm));
}

void make_file(const char *path, mode_t perm)
{
	int fd = open_ok(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	OK(fchmod(fd, perm));
	OK(close(fd));
}

void make_text(const char *path, const char *text)
{
	int fd = open_ok(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	IS(strlen(text), write(fd, text, strlen(text)));
	OK(close(fd));
}

void make_dir(const char *path, mode_t perm)
{
	OK(mkdir(path, 0700));
	OK(chmod(path, perm));
}

struct stat stat_of(const char *path)
{
	struct stat st;

	OK(lstat(path, &st));
	return st;
}

bool is_listed(const char *path, const char *name)
{
	char names[4096];
	ssize_t n = OK(llistxattr(path, names, sizeof(names)));

	for (const char *at = names; at < names + n; at += strlen(at) + 1)
		if (!strcmp(at, name))
			return true;
	return false;
}

mode_t perm_of(const char *path)
{
	return stat_of(path).st_mode & 07777;
}

void tick(void)
{
	usleep(12000);
}

int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct times times_of(const char *path)
{
	struct stat st = stat_of(path);

	return (struct times){ ns_of(st.st_atim), ns_of(st.st_mtim),
			       ns_of(st.st_ctim) };
}

static const struct {
	const char *name;
	mode_t type;
	unsigned int major, minor;
} kinds[FILE_KINDS] = {
	[A_FILE] = { "file", S_IFREG, 0, 0 },
	[A_DIR] = { "directory", S_IFDIR, 0, 0 },
	[A_FIFO] = { "fifo", S_IFIFO, 0, 0 },
	[A_SOCKET] = { "socket", S_IFSOCK, 0, 0 },
	[A_CHAR] = { "char device", S_IFCHR, 1, 3 },
	[A_BLOCK] = { "block device", S_IFBLK, 259, 70000 },
	[A_SYMLINK] = { "symlink", S_IFLNK, 0, 0 },
};

const char *kind_name(enum file_kind kind)
{
	return kinds[kind].name;
}

void make_kind(const char *path, enum file_kind kind)
{
	if (kind == A_SYMLINK) {
		OK(symlink("nowhere", path));
	} else if (kind == A_DIR) {
		make_dir(path, 0755);
	} else {
		OK(mknod(path, kinds[kind].type | 0644,
			 makedev(kinds[kind].major, kinds[kind].minor)));
		OK(chmod(path, 0644));
	}
}

bool is_kind(const char *path, enum file_kind kind)
{
	struct stat st = stat_of(path);

	return (st.st_mode & S_IFMT) == kinds[kind].type &&
	       st.st_rdev == makedev(kinds[kind].major, kinds[kind].minor);
}

const char *name_of(size_t n, char letter)
{
	static char names[NAMES_AT_A_TIME][PATH_MAX + 2];
	static size_t next;
	char *name = names[next++ % NAMES_AT_A_TIME];

	TRUE(n <= PATH_MAX);
	memset(name, letter, n);
	name[n] = '\0';
	return name;
}

/* ---- running */

struct outcome {
	int status;		/* EXIT_... */
	char text[VERDICT_MAX];
};

static const char *unmet_need(unsigned int needs)
{
	if (needs & (NEEDS_ROOT | NEEDS_MOUNT) && geteuid() != 0)
		return "only root can do that";
	return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

_Noreturn static void run_in_child(const struct conform_case *c,
				   const char *dir)
{
	const char *unmet = unmet_need(c->needs);

	if (unmet)
		conform_skip(unmet);
	umask(022);
	if (setpgid(0, 0) < 0 || chdir(dir) < 0 || chmod(".", 0777) < 0)
		conform_fail("a directory", errno_name(errno), __FILE__,
			     __LINE__, "chdir()");
	c->run();
	verdict(EXIT_PASSED, "");
}

/* Until the case has said its verdict, or its time is over. */
static void read_verdict(int fd, pid_t pid, struct outcome *o)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = 0;
	int r;

	do {
		r = poll(&p, 1, CASE_SECONDS_MAX * 1000);
	} while (r < 0 && errno == EINTR);
	if (r == 0) {
		snprintf(o->text, sizeof(o->text), "expected an end within %d "
			 "s, got none", CASE_SECONDS_MAX);
		kill(pid, SIGKILL);
		return;
	}
	n = read(fd, o->text, sizeof(o->text) - 1);
	o->text[n > 0 ? n : 0] = '\0';
}

static int wait_for(pid_t pid, struct outcome *o)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	kill(-pid, SIGKILL);	/* what it left behind */
	if (WIFEXITED(status)) {
		o->status = WEXITSTATUS(status);
		return 0;
	}
	o->status = EXIT_FAIL;
	if (!o->text[0])
		snprintf(o->text, sizeof(o->text), "expected an end, got "
			 "SIG%s", sigabbrev_np(WTERMSIG(status)));
	return 0;
}

static int run_case(const struct conform_case *c, const char *dir,
		    struct outcome *o)
{
	int fds[2];
	pid_t pid;

	*o = (struct outcome){ .status = EXIT_TROUBLE };
	if (mkdir(dir, 0777) < 0 || pipe2(fds, O_CLOEXEC) < 0) {
		perror(dir);
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		verdict_fd = fds[1];
		close(fds[0]);
		run_in_child(c, dir);
	}
	close(fds[1]);
	if (pid < 0) {
		perror("fork");
		close(fds[0]);
		return -1;
	}
	read_verdict(fds[0], pid, o);
	close(fds[0]);
	if (wait_for(pid, o) < 0)
		return -1;
	if (remove_tree(dir) < 0) {
		perror(dir);
		return -1;
	}
	return 0;
}

struct run {
	const char *top, *before;
	char **patterns;
	bool list, failed;
};

static bool is_chosen(const struct run *run, const char *name)
{
	char **pattern = run->patterns;

	if (!*pattern)
		return true;
	for (; *pattern; pattern++)
		if (fnmatch(*pattern, name, 0) == 0)
			return true;
	return false;
}

static int run_area(struct run *run, const char *area,
		    const struct conform_case *c)
{
	struct outcome o;
	char name[NAME_MAX], dir[PATH_MAX];

	for (; c->name; c++) {
		snprintf(name, sizeof(name), "%s/%s", area, c->name);
		if (!is_chosen(run, name))
			continue;
		if (run->list) {
			printf("%s\n", name);
			continue;
		}
		snprintf(dir, sizeof(dir), "%s/%s.%s", run->top, area,
			 c->name);
		if (run->before)
			(void)!system(run->before);
		if (run_case(c, dir, &o) < 0)
			return -1;
		if (o.status == EXIT_PASSED)
			printf("ok %s\n", name);
		else if (o.status == EXIT_SKIP)
			printf("skip %s: %s\n", name, o.text);
		else
			printf("FAIL %s: %s\n", name, o.text);
		fflush(stdout);
		run->failed |= o.status != EXIT_PASSED &&
			       o.status != EXIT_SKIP;
	}
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: kin-conform [--before COMMAND] DIRECTORY "
			"[PATTERN...]\n"
			"       kin-conform --list\n");
	return EXIT_TROUBLE;
}

int main(int argc, char **argv)
{
	struct run run = { .patterns = argv + argc };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 2 && !strcmp(argv[1], "--before")) {
		run.before = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		run.list = true;
	} else if (argc < 2 || argv[1][0] == '-') {
		return usage();
	} else {
		run.top = argv[1];
		run.patterns = argv + 2;
	}
#define X(area) \
	if (run_area(&run, #area, area##_cases) < 0) \
		return EXIT_TROUBLE;
	CONFORM_AREAS(X)
#undef X
	return run.failed ? EXIT_FAIL : EXIT_PASSED;
}
