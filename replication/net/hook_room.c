/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hook may leave anything in its room: very many files, directories as
 * deep as it likes, or closed to their owner. So the removal knows no
 * recursion and no paths: what is in a directory of the room is removed, or,
 * if that is a directory that holds something, moved up into the room; then
 * the directory is empty and goes. So each directory is moved once at most.
 *
 * Nothing is opened through a link, and no mode is changed through one: the
 * daemon may be root, and something of the hook may have survived.
 */
#include "replication/net/hook_room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "replication/net/sys.h"

#define ROOM_PREFIX "hook-"
#define VARIANTS "variants"
#define BASE "base"
#define HOME "home"
#define OUTPUT "output"
/* Names of what is moved up; no other name in a room begins so. */
#define MOVED_PREFIX ".moved-"
/* Of what is free all copies may take one part in this: another hook's copies
 * and two results have place, too. */
#define SPACE_PART 4
/* Files and directories of one room that are removed at once; what a hook
 * makes in a minute. The rest is for the next start. */
#define REMOVED_MAX 1000000

/* Another user's hook has to come through to its room. */
#define ROOMS_MODE 0711

static int parent_open(const char *path, bool make, int *ret)
{
	autoclose int fd = -1;
	struct stat st;

	if (make && mkdir(path, ROOMS_MODE) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return -EPERM;
	/* (whatever the umask is) */
	if (make && (st.st_mode & 07777) != ROOMS_MODE &&
	    fchmod(fd, ROOMS_MODE) < 0)
		return -errno;
	*ret = fd;
	fd = -1;
	return 0;
}

/* Root gives it to the hook's user. */
static int give(int fd, const struct hook_room *room)
{
	if (room->uid == geteuid() && room->gid == getegid())
		return 0;
	return fchown(fd, room->uid, room->gid) < 0 ? -errno : 0;
}

static int make_dir(int at, const char *name, const struct hook_room *room,
		    int *ret_fd)
{
	autoclose int fd = -1;
	int r;

	if (mkdirat(at, name, 0700) < 0)
		return -errno;
	fd = openat(at, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 || fchmod(fd, 0700) < 0 ? -errno : give(fd, room);
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* The room itself is given away last: until then nobody else gets in. */
static int fill(struct hook_room *room)
{
	autoclose int home = -1;
	int r;

	room->fd = openat(room->parent, room->name,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = room->fd < 0 || fchmod(room->fd, 0700) < 0 ? -errno : 0;
	if (r == 0)
		r = make_dir(room->fd, VARIANTS, room, &room->variants_fd);
	if (r == 0)
		r = make_dir(room->fd, HOME, room, &home);
	return r ? r : give(room->fd, room);
}

int hook_room_make(const char *parent, uid_t uid, gid_t gid,
		   struct hook_room *ret)
{
	struct hook_room room = HOOK_ROOM_INIT;
	autofree char *resolved = NULL;
	uint64_t number;
	int r = parent_open(parent, true, &room.parent);

	room.uid = uid;
	room.gid = gid;
	if (r < 0)
		return r;
	resolved = realpath(parent, NULL);
	sys_random(&number, sizeof(number));
	if (!resolved ||
	    asprintf(&room.path, "%s/" ROOM_PREFIX "%016" PRIx64, resolved,
		     number) < 0) {
		r = -errno;
		close(room.parent);
		return r;
	}
	room.name = strrchr(room.path, '/') + 1;
	if (mkdirat(room.parent, room.name, 0700) < 0) {
		r = -errno;
		close(room.parent);
		free(room.path);
		return r;
	}
	r = fill(&room);
	if (r < 0)
		hook_room_remove(&room);
	else
		*ret = room;
	return r;
}

/* ---- what goes in */

/* (One name in an open directory: its user may have put a link in place of
 * any directory, and we may be root.) */
static int make_file(const struct hook_room *room, int at, const char *name,
		     int *ret)
{
	autoclose int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL |
				  O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : give(fd, room);

	if (r < 0)
		return r;
	*ret = fd;
	fd = -1;
	return 0;
}

int hook_room_variant(struct hook_room *room, struct slice label,
		      int *ret_fd)
{
	char name[NAME_MAX + 1];
	int n, r;

	if (room->variants == HOOK_VARIANTS_MAX)
		return -E2BIG;
	if (label.len > LABEL_BYTES_MAX ||
	    (label.len && (memchr(label.data, '/', label.len) ||
			   memchr(label.data, '\0', label.len))))
		return -EINVAL;
	n = snprintf(name, sizeof(name), "%u-%.*s", room->variants + 1,
		     (int)label.len, (const char *)label.data);
	kin_assert(n > 0 && n < (int)sizeof(name));
	r = make_file(room, room->variants_fd, name, ret_fd);
	if (r == 0)
		room->variants++;
	return r;
}

int hook_room_base(struct hook_room *room, int *ret_fd)
{
	int r = make_file(room, room->fd, BASE, ret_fd);

	if (r == 0)
		room->has_base = true;
	return r;
}

int hook_room_has_space(const struct hook_room *room, uint64_t bytes)
{
	struct statvfs fs;

	if (fstatvfs(room->fd, &fs) < 0)
		return -errno;
	return bytes > fs.f_bavail * fs.f_frsize / SPACE_PART ? -ENOSPC : 0;
}

/* ---- what comes out */

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return "a symbolic link";
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	}
	return "a device";
}

static int judge_output(const struct hook_room *room, const struct stat *st,
			uint64_t size_max, struct buf *why)
{
	if (!S_ISREG(st->st_mode)) {
		buf_printf(why, "its output is %s, not a regular file",
			   type_name(st->st_mode));
		return -EINVAL;
	}
	/* (A link to a file of somebody else that it cannot read itself.) */
	if (st->st_uid != room->uid) {
		buf_printf(why, "its output belongs to uid %u",
			   (unsigned)st->st_uid);
		return -EPERM;
	}
	if ((uint64_t)st->st_size > size_max) {
		buf_printf(why, "its output has more than %" PRIu64 " bytes",
			   size_max);
		return -EFBIG;
	}
	return 0;
}

int hook_room_output(const struct hook_room *room, uint64_t size_max,
		     struct buf *why, int *ret_fd, uint64_t *ret_size)
{
	autoclose int fd = -1;
	struct stat st;
	int r;

	/* Looked at before it is opened: to open a device may do something. */
	if (fstatat(room->fd, OUTPUT, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = -errno;
		buf_printf(why, r == -ENOENT ? "it made no output" :
			   "its output cannot be looked at");
		return r;
	}
	r = judge_output(room, &st, size_max, why);
	if (r < 0)
		return r;
	fd = openat(room->fd, OUTPUT, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
		    O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		buf_printf(why, "its output cannot be read: %s",
			   strerror(-r));
		return r;
	}
	r = judge_output(room, &st, size_max, why);
	if (r < 0)
		return r;
	*ret_size = (uint64_t)st.st_size;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* ---- removing */

struct removal {
	int top;
	uint64_t moved, done;
};

/* Opens a directory to change it, whatever its mode is. */
static int open_closed(int at, const char *name)
{
	autoclose int fd = openat(at, name, O_PATH | O_DIRECTORY |
				  O_NOFOLLOW | O_CLOEXEC);
	char self[64];

	if (fd < 0)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (chmod(self, 0700) < 0)
		return -errno;
	at = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return at < 0 ? -errno : at;
}

static bool remove_one(struct removal *m, int at, const char *name)
{
	if (unlinkat(at, name, 0) < 0 && unlinkat(at, name, AT_REMOVEDIR) < 0)
		return false;
	m->done++;
	return true;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static void move_up(struct removal *m, int at, const char *name)
{
	char to[sizeof(MOVED_PREFIX) + 20];
	int fd = open_closed(at, name);

	if (fd >= 0)
		close(fd);
	snprintf(to, sizeof(to), MOVED_PREFIX "%" PRIu64, m->moved);
	if (renameat(at, name, m->top, to) == 0)
		m->moved++;
}

/* Takes the descriptor. */
static void empty_into(struct removal *m, int fd, bool top)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		close(fd);
		return;
	}
	while (m->done < REMOVED_MAX && (e = readdir(dir))) {
		if (is_dots(e->d_name) || remove_one(m, fd, e->d_name))
			continue;
		if (!top) {
			move_up(m, fd, e->d_name);
			continue;
		}
		int sub = open_closed(fd, e->d_name);

		if (sub < 0)
			continue;
		empty_into(m, sub, false);
		(void)remove_one(m, fd, e->d_name);
	}
	closedir(dir);
}

/* Passes over the room until one changes nothing: a listing need not tell
 * of what came while it was read. */
static int remove_room(int parent, const char *name)
{
	autoclose int top = open_closed(parent, name);
	struct removal m = { .top = top };
	uint64_t before;

	/* It is no directory. */
	if (top == -ENOTDIR || top == -ELOOP)
		return unlinkat(parent, name, 0) < 0 ? -errno : 0;
	if (top < 0)
		return top;
	do {
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		before = m.done + m.moved;
		empty_into(&m, fd, true);
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
			return 0;
	} while (m.done + m.moved > before && m.done < REMOVED_MAX);
	return -ENOTEMPTY;
}

void hook_room_remove(struct hook_room *room)
{
	int r;

	if (!room->path)
		return;
	r = remove_room(room->parent, room->name);
	if (r < 0)
		log_errno(r, "'%s' of a hook cannot be removed", room->path);
	if (room->fd >= 0)
		close(room->fd);
	if (room->variants_fd >= 0)
		close(room->variants_fd);
	close(room->parent);
	free(room->path);
	*room = HOOK_ROOM_INIT;
}

/* Takes the descriptor. */
static int sweep(int parent)
{
	DIR *dir = fdopendir(parent);
	const struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(parent);
		return r;
	}
	while ((e = readdir(dir)))
		if (!strncmp(e->d_name, ROOM_PREFIX, strlen(ROOM_PREFIX)) &&
		    remove_room(parent, e->d_name) < 0)
			r = -ENOTEMPTY;
	closedir(dir);
	return r;
}

int hook_rooms_sweep(const char *parent)
{
	int fd, r = parent_open(parent, false, &fd);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : sweep(fd);
}
