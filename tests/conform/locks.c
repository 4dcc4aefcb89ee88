/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between processes of one node: flock(), and fcntl() of both kinds
 * (of the process, and of the open file description).
 */
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "tests/conform/conform.h"

/* ---- helpers */

static int lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET,
			   .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &l);
}

/* Runs fn in a child, with a descriptor of its own. */
static void in_child(void (*fn)(int fd))
{
	pid_t pid = (pid_t)OK(fork());
	int status;

	if (!pid) {
		fn(open_ok("f", O_RDWR, 0));
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	IS(0, status);
}

/* A child that holds what fn takes until it is killed. */
static pid_t holder(void (*fn)(int fd))
{
	int ready[2];
	char byte;
	pid_t pid;

	OK(pipe(ready));
	pid = (pid_t)OK(fork());
	if (!pid) {
		fn(open_ok("f", O_RDWR, 0));
		IS(1, write(ready[1], "r", 1));
		for (;;)
			pause();
	}
	OK(close(ready[1]));
	IS(1, read(ready[0], &byte, 1));
	OK(close(ready[0]));
	return pid;
}

static void end(pid_t pid)
{
	int status;

	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, &status, 0));
}

static int new_file(void)
{
	return open_ok("f", O_CREAT | O_RDWR, 0666);
}

/* ---- flock */

static void cannot_flock(int fd)
{
	ERR(EWOULDBLOCK, flock(fd, LOCK_EX | LOCK_NB));
	ERR(EWOULDBLOCK, flock(fd, LOCK_SH | LOCK_NB));
}

static void can_share(int fd)
{
	ERR(EWOULDBLOCK, flock(fd, LOCK_EX | LOCK_NB));
	OK(flock(fd, LOCK_SH | LOCK_NB));
}

static void can_flock(int fd)
{
	OK(flock(fd, LOCK_EX | LOCK_NB));
}

static void flock_excludes(void)
{
	int fd = new_file(), twin;

	OK(flock(fd, LOCK_EX));
	in_child(cannot_flock);
	OK(flock(fd, LOCK_SH));
	in_child(can_share);
	OK(flock(fd, LOCK_UN));
	in_child(can_flock);
	/* It belongs to the open file: a duplicate has it too. */
	OK(flock(fd, LOCK_EX));
	twin = (int)OK(dup(fd));
	OK(close(fd));
	in_child(cannot_flock);
	OK(close(twin));
	in_child(can_flock);
}

static void flock_same_process(void)
{
	int fd = new_file(), other = open_ok("f", O_RDONLY, 0);

	OK(flock(fd, LOCK_EX));
	ERR(EWOULDBLOCK, flock(other, LOCK_EX | LOCK_NB));
	OK(close(fd));
	OK(flock(other, LOCK_EX | LOCK_NB));
	OK(close(other));
}

static void flock_errors(void)
{
	int fd = new_file(), dir;

	ERR(EINVAL, flock(fd, 0));
	ERR(EINVAL, flock(fd, LOCK_EX | LOCK_SH));
	OK(close(fd));
	ERR(EBADF, flock(fd, LOCK_EX));
	dir = open_ok(".", O_RDONLY | O_DIRECTORY, 0);
	OK(flock(dir, LOCK_EX | LOCK_NB));
	OK(close(dir));
}

static void flock_released_by_death(void)
{
	int fd = new_file();
	pid_t pid = holder(can_flock);

	ERR(EWOULDBLOCK, flock(fd, LOCK_EX | LOCK_NB));
	end(pid);
	OK(flock(fd, LOCK_EX | LOCK_NB));
	OK(close(fd));
}

static void wait_for_flock(int fd)
{
	OK(flock(fd, LOCK_EX));
}

/* One who waits gets it when it is let go. */
static void flock_waits(void)
{
	int fd = new_file(), status;
	pid_t pid;

	OK(flock(fd, LOCK_EX));
	pid = (pid_t)OK(fork());
	if (!pid) {
		wait_for_flock(open_ok("f", O_RDWR, 0));
		_exit(0);
	}
	usleep(50000);
	IS(0, waitpid(pid, &status, WNOHANG));
	OK(flock(fd, LOCK_UN));
	OK(waitpid(pid, &status, 0));
	IS(0, status);
	OK(close(fd));
}

/* ---- locks of the process */

static void cannot_lock_start(int fd)
{
	TRUE(lock(fd, F_SETLK, F_WRLCK, 0, 10) < 0 &&
	     (errno == EAGAIN || errno == EACCES));
	ERR(EAGAIN, lock(fd, F_SETLK, F_RDLCK, 9, 1));
	OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
}

static void cannot_lock_all(int fd)
{
	ERR(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

static void can_lock_all(int fd)
{
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

static void can_read_lock(int fd)
{
	OK(lock(fd, F_SETLK, F_RDLCK, 0, 0));
	ERR(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

static void posix_ranges(void)
{
	int fd = new_file();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	in_child(cannot_lock_start);
	OK(lock(fd, F_SETLK, F_RDLCK, 0, 0));
	in_child(can_read_lock);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	in_child(can_lock_all);
	OK(close(fd));
}

static void hole_is_free(int fd)
{
	ERR(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 0, 31));
	OK(lock(fd, F_SETLK, F_WRLCK, 30, 10));
	ERR(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 40, 1));
}

static void posix_split(void)
{
	int fd = new_file();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	OK(lock(fd, F_SETLK, F_UNLCK, 30, 10));
	in_child(hole_is_free);
	OK(close(fd));
}

static void check_getlk(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			   .l_start = 0, .l_len = 0 };

	OK(fcntl(fd, F_GETLK, &l));
	IS(F_WRLCK, l.l_type);
	IS(5, l.l_start);
	IS(10, l.l_len);
	IS(SEEK_SET, l.l_whence);
	IS(getppid(), l.l_pid);
	l = (struct flock){ .l_type = F_RDLCK, .l_start = 15, .l_len = 100 };
	OK(fcntl(fd, F_GETLK, &l));
	IS(F_UNLCK, l.l_type);
}

static void posix_getlk(void)
{
	struct flock l = { .l_type = F_WRLCK };
	int fd = new_file();

	OK(lock(fd, F_SETLK, F_WRLCK, 5, 10));
	in_child(check_getlk);
	/* One's own are not in the way. */
	OK(fcntl(fd, F_GETLK, &l));
	IS(F_UNLCK, l.l_type);
	OK(close(fd));
}

/* Any close of the file by the process lets all of them go. */
static void posix_released_by_close(void)
{
	int fd = new_file(), other = open_ok("f", O_RDONLY, 0);

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	in_child(cannot_lock_all);
	OK(close(other));
	in_child(can_lock_all);
	OK(close(fd));
}

static void posix_released_by_death(void)
{
	int fd = new_file();
	pid_t pid = holder(can_lock_all);

	ERR(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 0, 0));
	end(pid);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(close(fd));
}

static void posix_not_inherited(void)
{
	int fd = new_file(), status;
	pid_t pid;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	pid = (pid_t)OK(fork());
	if (!pid) {
		ERR(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 0, 0));
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	IS(0, status);
	OK(close(fd));
}

static void posix_errors(void)
{
	int ro, wo, fd = new_file();

	ro = open_ok("f", O_RDONLY, 0);
	wo = open_ok("f", O_WRONLY, 0);
	ERR(EBADF, lock(ro, F_SETLK, F_WRLCK, 0, 0));
	ERR(EBADF, lock(wo, F_SETLK, F_RDLCK, 0, 0));
	ERR(EINVAL, lock(fd, F_SETLK, 99, 0, 0));
	ERR(EINVAL, lock(fd, F_SETLK, F_WRLCK, -1, 0));
	OK(lock(fd, F_SETLK, F_WRLCK, 10, -5));
	ERR(EINVAL, lock(fd, F_SETLK, F_WRLCK, 10, -11));
	ERR(EFAULT, fcntl(fd, F_SETLK, (void *)8));
	OK(close(fd));
	ERR(EBADF, lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

static void lock_second(int fd)
{
	OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
}

static void posix_deadlock(void)
{
	int fd = new_file(), ready[2], status;
	char byte;
	pid_t pid;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	OK(pipe(ready));
	pid = (pid_t)OK(fork());
	if (!pid) {
		int own = open_ok("f", O_RDWR, 0);

		lock_second(own);
		IS(1, write(ready[1], "r", 1));
		/* (until the parent gives up its own) */
		OK(lock(own, F_SETLKW, F_WRLCK, 0, 1));
		_exit(0);
	}
	IS(1, read(ready[0], &byte, 1));
	usleep(50000);
	ERR(EDEADLK, lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	OK(waitpid(pid, &status, 0));
	IS(0, status);
	OK(close(fd));
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void posix_wait_interrupted(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int fd = new_file();
	pid_t pid = holder(can_lock_all);

	OK(sigaction(SIGALRM, &action, NULL));
	alarm(1);
	ERR(EINTR, lock(fd, F_SETLKW, F_WRLCK, 0, 0));
	end(pid);
	OK(close(fd));
}

/* ---- locks of the open file description */

static void cannot_ofd(int fd)
{
	ERR(EAGAIN, lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
}

static void can_ofd(int fd)
{
	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
}

static void ofd_locks(void)
{
	struct flock l = { .l_type = F_WRLCK };
	int fd = new_file(), other = open_ok("f", O_RDWR, 0), twin;

	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
	/* Other than those of the process: in one process, too. */
	ERR(EAGAIN, lock(other, F_OFD_SETLK, F_WRLCK, 0, 0));
	ERR(EAGAIN, lock(other, F_SETLK, F_WRLCK, 0, 0));
	OK(fcntl(other, F_OFD_GETLK, &l));
	IS(F_WRLCK, l.l_type);
	IS(-1, l.l_pid);
	OK(close(other));
	in_child(cannot_ofd);
	twin = (int)OK(dup(fd));
	OK(close(fd));
	in_child(cannot_ofd);
	OK(close(twin));
	in_child(can_ofd);
}

static void ofd_errors(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_pid = 1 };
	int fd = new_file();

	ERR(EINVAL, fcntl(fd, F_OFD_SETLK, &l));
	OK(close(fd));
}

static void lockf_works(void)
{
	int fd = new_file();

	OK(lockf(fd, F_TLOCK, 0));
	in_child(cannot_lock_all);
	OK(lockf(fd, F_ULOCK, 0));
	in_child(can_lock_all);
	OK(close(fd));
}

/* flock and fcntl do not know of each other. */
static void kinds_are_apart(void)
{
	int fd = new_file();

	OK(flock(fd, LOCK_EX));
	in_child(can_lock_all);
	OK(close(fd));
}

const struct conform_case locks_cases[] = {
	{ "flock_excludes", flock_excludes, 0 },
	{ "flock_same_process", flock_same_process, 0 },
	{ "flock_errors", flock_errors, 0 },
	{ "flock_released_by_death", flock_released_by_death, 0 },
	{ "flock_waits", flock_waits, 0 },
	{ "posix_ranges", posix_ranges, 0 },
	{ "posix_split", posix_split, 0 },
	{ "posix_getlk", posix_getlk, 0 },
	{ "posix_released_by_close", posix_released_by_close, 0 },
	{ "posix_released_by_death", posix_released_by_death, 0 },
	{ "posix_not_inherited", posix_not_inherited, 0 },
	{ "posix_errors", posix_errors, 0 },
	{ "posix_deadlock", posix_deadlock, 0 },
	{ "posix_wait_interrupted", posix_wait_interrupted, 0 },
	{ "ofd_locks", ofd_locks, 0 },
	{ "ofd_errors", ofd_errors, 0 },
	{ "lockf_works", lockf_works, 0 },
	{ "kinds_are_apart", kinds_are_apart, 0 },
	{ NULL, NULL, 0 },
};
