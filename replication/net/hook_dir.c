/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder's path is resolved first, and then walked from the root by
 * descriptors, without following any link, so that each directory that is
 * judged is the one that is used. (If somebody renames something meanwhile,
 * the walk fails, or judges what is there now.)
 */
#include "replication/net/hook_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replication/net/hook_place.h"

int hook_folder_make(const char *folder)
{
	autofree char *path = strdup(folder);

	if (!path)
		return -ENOMEM;
	for (char *at = path + 1; at[-1]; at++) {
		char end = *at;

		if (end && end != '/')
			continue;
		*at = '\0';
		/* (a daemon's umask leaves nothing to others) */
		if (mkdir(path, 0755) == 0 ? chmod(path, 0755) < 0 :
					     errno != EEXIST)
			return -errno;
		*at = end;
	}
	return 0;
}

static int system_error(struct buf *why, const char *path)
{
	int r = -errno;

	buf_printf(why, "%s: %s", path, strerror(-r));
	return r;
}

static int judge_owner(const struct stat *st, const char *path,
		       struct buf *why)
{
	if (st->st_uid == 0 || st->st_uid == geteuid())
		return 0;
	buf_printf(why, "refused: owner: %s belongs to uid %u, neither to uid "
		   "%u, which kin runs as, nor to root; `chown` it", path,
		   (unsigned)st->st_uid, (unsigned)geteuid());
	return -EPERM;
}

static int judge_mode(const struct stat *st, const char *path,
		      struct buf *why)
{
	if (!(st->st_mode & 022))
		return 0;
	buf_printf(why, "refused: mode: %s is writable by %s (mode %04o); "
		   "`chmod go-w '%s'`", path,
		   st->st_mode & 02 ? "others" : "its group",
		   (unsigned)st->st_mode & 07777, path);
	return -EPERM;
}

static int judge_place(int fd, const char *path, struct buf *why)
{
	int r = hook_place_is_volume(fd);

	if (r < 0) {
		errno = -r;
		return system_error(why, path);
	}
	if (!r)
		return 0;
	buf_printf(why, "refused: %s is in a volume of kinfs, in which other "
		   "nodes write; mount it with an XDG_CONFIG_HOME elsewhere",
		   path);
	return -EPERM;
}

/* What is above the folder may be sticky. */
static int judge_dir(int fd, const char *path, bool above, struct buf *why)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return system_error(why, path);
	r = judge_place(fd, path, why);
	if (r == 0)
		r = judge_owner(&st, path, why);
	if (r < 0 || (above && (st.st_mode & S_ISVTX)))
		return r;
	return judge_mode(&st, path, why);
}

/* Walks an absolute path without links; cuts and mends it on the way. */
static int walk(char *path, struct buf *why, int *ret_fd)
{
	autoclose int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *name = path + 1;
	int r;

	if (fd < 0)
		return system_error(why, "/");
	r = judge_dir(fd, "/", *name != '\0', why);
	while (r == 0 && *name) {
		char *slash = strchrnul(name, '/'), end = *slash;
		int next;

		*slash = '\0';
		/* (Directories above may be closed to reading.) */
		next = openat(fd, name, (end ? O_PATH : O_RDONLY) |
			      O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return system_error(why, path);
		close(fd);
		fd = next;
		r = judge_dir(fd, path, end != '\0', why);
		*slash = end;
		name = end ? slash + 1 : slash;
	}
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int open_folder(const char *folder, struct buf *why, char **ret_path,
		       int *ret_fd)
{
	autofree char *path = realpath(folder, NULL);
	int r;

	if (!path)
		return system_error(why, folder);
	r = walk(path, why, ret_fd);
	if (r < 0)
		return r;
	*ret_path = steal(&path);
	return 0;
}

static int open_file(int dir, const char *name, const char *path,
		     struct buf *why, int *ret)
{
	/* (What is no file is not waited for.) */
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
			O_NOCTTY | O_CLOEXEC);

	if (fd < 0 && errno == ELOOP) {
		buf_printf(why, "refused: %s is a symbolic link; put the "
			   "executable itself there", path);
		return -EPERM;
	}
	if (fd < 0 && errno == EACCES) {
		buf_printf(why, "refused: mode: %s is not readable; `chmod "
			   "u+r '%s'`", path, path);
		return -EPERM;
	}
	if (fd < 0)
		return system_error(why, path);
	*ret = fd;
	return 0;
}

static int judge_file(struct hook *h, struct buf *why)
{
	char start[2] = "";
	struct stat st;
	int r;

	if (fstat(h->fd, &st) < 0)
		return system_error(why, h->path);
	if (!S_ISREG(st.st_mode)) {
		buf_printf(why, "refused: %s is not a regular file",
			   h->path);
		return -EPERM;
	}
	r = judge_owner(&st, h->path, why);
	if (r == 0)
		r = judge_mode(&st, h->path, why);
	if (r < 0)
		return r;
	if (!(st.st_mode & 0111)) {
		buf_printf(why, "refused: mode: %s is not executable; `chmod "
			   "+x '%s'`", h->path, h->path);
		return -EPERM;
	}
	if (pread(h->fd, start, sizeof(start), 0) < 0)
		return system_error(why, h->path);
	h->script = !memcmp(start, "#!", 2);
	h->dev = st.st_dev;
	h->ino = st.st_ino;
	return 0;
}

static int open_at(int dir, const char *folder, const char *name,
		   struct buf *why, struct hook *ret)
{
	struct hook h = HOOK_INIT;
	int r;

	if (!hook_name_valid(SLICE_STR(name))) {
		buf_printf(why, "refused: a hook is named by 1 to %d of "
			   "A-Z a-z 0-9 . _ -, not beginning with a dot",
			   HOOK_NAME_BYTES_MAX);
		return -EINVAL;
	}
	if (asprintf(&h.path, "%s/%s", folder[1] ? folder : "", name) < 0) {
		h.path = NULL;
		return -ENOMEM;
	}
	h.name = strrchr(h.path, '/') + 1;
	r = open_file(dir, name, h.path, why, &h.fd);
	if (r == 0)
		r = judge_file(&h, why);
	if (r < 0) {
		hook_close(&h);
		return r;
	}
	*ret = h;
	return 0;
}

int hook_open(const char *folder, const char *name, struct buf *why,
	      struct hook *ret)
{
	autofree char *path = NULL;
	autoclose int dir = -1;
	int r = open_folder(folder, why, &path, &dir);

	return r < 0 ? r : open_at(dir, path, name, why, ret);
}

void hook_close(struct hook *h)
{
	if (h->fd >= 0)
		close(h->fd);
	free(h->path);
	*h = HOOK_INIT;
}

/* ---- the list */

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes the descriptor. */
static int read_names(int fd, char **names, size_t *count)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (errno = 0, r == 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (*count == HOOKS_MAX)
			r = -E2BIG;
		else if (!(names[*count] = strdup(e->d_name)))
			r = -ENOMEM;
		else
			++*count;
	}
	if (r == 0)
		r = -errno;
	closedir(dir);
	return r;
}

static int tell(int dir, const char *folder, const char *name,
		int (*fn)(void *arg, const char *name, const char *why),
		void *arg)
{
	cleanup(buf_release) struct buf text = BUF_INIT;
	cleanup(hook_close) struct hook h = HOOK_INIT;
	int r = open_at(dir, folder, name, &text, &h);

	/* It went away meanwhile. */
	if (r == -ENOENT)
		return 0;
	if (r < 0 && !text.len)
		return r;
	buf_put_u8(&text, '\0');
	if (buf_error(&text))
		return buf_error(&text);
	return fn(arg, name, r < 0 ? (const char *)text.data : NULL);
}

int hook_list(const char *folder, struct buf *why,
	      int (*fn)(void *arg, const char *name, const char *why),
	      void *arg)
{
	autofree char **names = calloc(HOOKS_MAX, sizeof(*names));
	autofree char *path = NULL;
	autoclose int dir = -1;
	size_t count = 0;
	int fd, r;

	if (!names)
		return -ENOMEM;
	r = open_folder(folder, why, &path, &dir);
	if (r < 0)
		return r;
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return system_error(why, path);
	r = read_names(fd, names, &count);
	if (r < 0)
		buf_printf(why, "%s: %s", path, r == -E2BIG ?
			   "too many files for a folder of hooks" :
			   strerror(-r));
	qsort(names, count, sizeof(*names), by_bytes);
	for (size_t i = 0; i < count; i++) {
		if (r == 0)
			r = tell(dir, path, names[i], fn, arg);
		free(names[i]);
	}
	return r;
}

/* ---- what it says of itself */

static struct slice trimmed(struct slice s)
{
	while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = SLICE(s.data + 1, s.len - 1);
	while (s.len && (s.data[s.len - 1] == ' ' ||
			 s.data[s.len - 1] == '\t' ||
			 s.data[s.len - 1] == '\r'))
		s.len--;
	return s;
}

bool hook_text_is_deterministic(struct slice text)
{
	while (text.len) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		size_t n = end ? (size_t)(end - text.data) : text.len;
		struct slice line = trimmed(SLICE(text.data, n));

		if (line.len && line.data[0] != '#')
			return false;
		if (line.len)
			line = trimmed(SLICE(line.data + 1, line.len - 1));
		if (slice_equal(line, SLICE_STR("kinfs: deterministic")))
			return true;
		n += end != NULL;
		text = SLICE(text.data + n, text.len - n);
	}
	return false;
}

bool hook_is_deterministic(const struct hook *h)
{
	autofree uint8_t *head = malloc(HOOK_HEAD_BYTES);
	ssize_t n = head ? pread(h->fd, head, HOOK_HEAD_BYTES, 0) : -1;

	return n > 0 && hook_text_is_deterministic(SLICE(head, (size_t)n));
}
