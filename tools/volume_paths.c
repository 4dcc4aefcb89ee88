/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of questions when a volume is looked for, for `kin mount`:
 *
 *  1. The index knows the mountpoint: its store is meant. If that is gone,
 *     or --store names another place without a volume, it is refused: to
 *     forget is the user's decision, not ours. A --store that does exist is
 *     taken: stores may be moved. (Store and directory both gone, and the
 *     directory made anew since: that is another directory, and the user is
 *     told so.)
 *  2. --store, or the default store; made if it is not there.
 *
 * `kin join` wants a mountpoint that the index does not know and a store
 * that is not there, or empty.
 *
 * The index holds symlinks because making one is atomic and reading one
 * needs no parser; `ls -l` shows it all.
 */
#include "tools/volume_paths.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "tools/private_dir.h"

/* The escaped form may not begin with '.', so this is no mountpoint's. */
#define INDEX_DIR ".mounts"
#define COOKIES_DIR ".cookies"
/* Bytes of an escaped mountpoint before it is cut and hashed. */
#define ESCAPED_MAX 200
#define ROOT_DATA_DIR "/var/lib/kinfs"
#define ROOT_RUN_DIR "/run/kinfs"
#define ROOT_CONFIG_DIR "/etc/kinfs"

void volume_place_release(struct volume_place *p)
{
	free(p->mountpoint);
	free(p->store);
	*p = (struct volume_place){ .store = NULL };
}

void path_escape(const char *path, char *ret)
{
	bool first = true;

	for (;; first = false) {
		unsigned char c;

		while (*path == '/' && (first || !path[1] || path[1] == '/'))
			path++;
		c = (unsigned char)*path++;
		if (!c)
			break;
		if (c == '/')
			*ret++ = '-';
		else if (c < 128 && (isalnum(c) || c == ':' || c == '_' ||
				     (c == '.' && !first)))
			*ret++ = (char)c;
		else
			ret += sprintf(ret, "\\x%02x", c);
	}
	if (first)
		*ret++ = '-';
	*ret = '\0';
}

static void hash_name(const char *text, char ret[17])
{
	struct hash h;

	hash_bytes(text, strlen(text), &h);
	hex_encode(h.b, 8, ret);
}

/* The escaped mountpoint, short enough for a file name: PATH_MAX allows
 * more. */
static void store_name(const char *mountpoint, char ret[NAME_MAX + 1])
{
	char escaped[4 * PATH_MAX + 2], digits[17];

	path_escape(mountpoint, escaped);
	if (strlen(escaped) <= ESCAPED_MAX) {
		strcpy(ret, escaped);
		return;
	}
	hash_name(mountpoint, digits);
	snprintf(ret, NAME_MAX + 1, "%.*s-%s", ESCAPED_MAX, escaped, digits);
}

/* A variable that names a directory: absolute, or it counts as unset. */
static const char *directory_variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

/* Does the directory of this variable belong to somebody else? */
static int check_owner(const char *variable, const char *path,
		       struct buf *why)
{
	struct stat st;

	if (stat(path, &st) < 0 || st.st_uid == geteuid())
		return 0;
	buf_printf(why, "$%s: %s belongs to uid %u and you are uid %u; run "
		   "kin as that user, or set %s to a directory of yours",
		   variable, path, (unsigned)st.st_uid, (unsigned)geteuid(),
		   variable);
	return -EPERM;
}

static int data_dir(struct buf *why, char **ret)
{
	const char *data = directory_variable("XDG_DATA_HOME");
	const char *home = directory_variable("HOME");
	int r;

	if (data) {
		r = check_owner("XDG_DATA_HOME", data, why);
		if (r < 0)
			return r;
		r = asprintf(ret, "%s/kinfs", data);
		return r < 0 ? -ENOMEM : 0;
	}
	/* Root does not need it; but with somebody's $HOME it is likely that
	 * the volume is meant to be theirs. */
	if (home) {
		r = check_owner("HOME", home, why);
		if (r < 0)
			return r;
	}
	if (geteuid() == 0) {
		*ret = strdup(ROOT_DATA_DIR);
		return *ret ? 0 : -ENOMEM;
	}
	if (!home) {
		buf_printf(why, "$HOME is not set; set it, or XDG_DATA_HOME");
		return -ENOENT;
	}
	r = asprintf(ret, "%s/.local/share/kinfs", home);
	return r < 0 ? -ENOMEM : 0;
}

/* Reads the index; *ret is NULL when it does not know the mountpoint. */
static int index_read(const char *data, const char *name, struct buf *why,
		      char **ret_link, char **ret)
{
	char target[PATH_MAX];
	ssize_t n;

	if (asprintf(ret_link, "%s/" INDEX_DIR "/%s", data, name) < 0) {
		*ret_link = NULL;
		return -ENOMEM;
	}
	*ret = NULL;
	n = readlink(*ret_link, target, sizeof(target) - 1);
	if (n < 0 && errno != ENOENT) {
		int r = -errno;

		buf_printf(why, "%s: %s", *ret_link, strerror(-r));
		return r;
	}
	if (n < 0)
		return 0;
	target[n] = '\0';
	*ret = strdup(target);
	return *ret ? 0 : -ENOMEM;
}

enum store_state { STORE_ABSENT, STORE_EMPTY, STORE_USED };

static int store_state(const char *path, struct buf *why,
		       enum store_state *ret)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT) {
		*ret = STORE_ABSENT;
		return 0;
	}
	r = fd < 0 ? -errno : dir_is_empty(fd);
	if (r < 0) {
		buf_printf(why, "%s: cannot be the store: %s", path,
			   strerror(-r));
		return r;
	}
	*ret = r ? STORE_EMPTY : STORE_USED;
	return 0;
}

/* Absolute; resolved as far as it exists. */
static int store_path_of(const char *option, struct buf *why, char **ret)
{
	autofree char *absolute = NULL;
	char cwd[PATH_MAX];

	*ret = realpath(option, NULL);
	if (*ret)
		return 0;
	if (errno != ENOENT) {
		int r = -errno;

		buf_printf(why, "%s: %s", option, strerror(-r));
		return r;
	}
	if (option[0] == '/') {
		*ret = strdup(option);
	} else if (!getcwd(cwd, sizeof(cwd)) ||
		   asprintf(ret, "%s/%s", cwd, option) < 0) {
		*ret = NULL;
		return -errno;
	}
	return *ret ? 0 : -ENOMEM;
}

/* Was the directory made after the index came to know its path? */
static bool is_newer(const char *mountpoint, const char *link)
{
	struct statx dir;
	struct stat record;

	if (lstat(link, &record) < 0 ||
	    statx(AT_FDCWD, mountpoint, 0, STATX_BTIME, &dir) < 0 ||
	    !(dir.stx_mask & STATX_BTIME))
		return false;
	if (dir.stx_btime.tv_sec != record.st_ctim.tv_sec)
		return dir.stx_btime.tv_sec > record.st_ctim.tv_sec;
	return (long)dir.stx_btime.tv_nsec > record.st_ctim.tv_nsec;
}

/* A record of a directory and a store that are both gone. */
static int forget_stale(const char *mountpoint, const char *link,
			char **known, struct buf *why)
{
	enum store_state state;
	int r;

	if (!is_newer(mountpoint, link))
		return 0;
	r = store_state(*known, why, &state);
	if (r < 0 || state == STORE_USED)
		return r;
	fprintf(stderr, "kin: %s: its path once belonged to the volume in "
		"%s, which is gone; it is a new directory, so that is "
		"forgotten\n", mountpoint, *known);
	free(*known);
	*known = NULL;
	return 0;
}

/* The mountpoint is in the index. */
static int find_known(struct volume_place *p, const char *link, char *known,
		      bool by_option, struct buf *why)
{
	enum store_state state = STORE_ABSENT;
	int r;

	if (by_option && strcmp(known, p->store)) {
		r = store_state(p->store, why, &state);
		if (r < 0)
			return r;
		if (state != STORE_USED) {
			buf_printf(why, "%s: belongs to the volume in %s; "
				   "leave out --store, or `rm '%s'` to "
				   "forget that", p->mountpoint, known, link);
			return -EEXIST;
		}
	} else {
		free(p->store);
		p->store = strdup(known);
		if (!p->store)
			return -ENOMEM;
		r = store_state(p->store, why, &state);
		if (r < 0)
			return r;
		if (state != STORE_USED) {
			buf_printf(why, "%s: belongs to the volume in %s, "
				   "which is gone; bring that back, or `rm "
				   "'%s'` to begin anew", p->mountpoint,
				   known, link);
			return -ENOENT;
		}
	}
	p->known = true;
	return 0;
}

static int find_for_join(struct volume_place *p, const char *link,
			 const char *known, struct buf *why)
{
	enum store_state state;
	int r;

	if (known) {
		buf_printf(why, "%s: belongs to the volume in %s; join into "
			   "another directory, or `rm '%s'` to forget that",
			   p->mountpoint, known, link);
		return -EEXIST;
	}
	r = store_state(p->store, why, &state);
	if (r < 0)
		return r;
	if (state == STORE_USED) {
		buf_printf(why, "%s: is in use as a store; name another with "
			   "--store, or `kin mount` that one", p->store);
		return -EEXIST;
	}
	return 0;
}

int volume_place_find(const char *mountpoint, const char *option,
		      enum volume_use use, struct buf *why,
		      struct volume_place *ret)
{
	autofree char *data = NULL, *link = NULL, *known = NULL;
	char name[NAME_MAX + 1];
	struct volume_place p = { .mountpoint = strdup(mountpoint) };
	int r = p.mountpoint ? data_dir(why, &data) : -ENOMEM;

	if (r < 0)
		goto out;
	store_name(mountpoint, name);
	r = index_read(data, name, why, &link, &known);
	if (r == 0 && known)
		r = forget_stale(mountpoint, link, &known, why);
	if (r < 0)
		goto out;
	if (option)
		r = store_path_of(option, why, &p.store);
	else if (asprintf(&p.store, "%s/%s", data, name) < 0)
		r = -ENOMEM;
	if (r < 0)
		goto out;
	if (use == VOLUME_JOIN)
		r = find_for_join(&p, link, known, why);
	else if (known)
		r = find_known(&p, link, known, option != NULL, why);
	if (r < 0)
		goto out;
	*ret = p;
	return 0;
out:
	volume_place_release(&p);
	return r;
}

/* A directory that holds something holds a store, or the beginning of one:
 * --store may have been mistyped. */
static int check_is_store(int fd, const char *path, struct buf *why)
{
	static const char *const signs[] = { "db", "lock", "kin.log" };

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (faccessat(fd, signs[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
	buf_printf(why, "%s: holds files but no store; name a new directory, "
		   "or an empty one", path);
	return -EEXIST;
}

int volume_place_make(struct volume_place *p, struct buf *why)
{
	autofree char *data = NULL;
	autoclose int parent = -1, fd = -1;
	const char *name = strrchr(p->store, '/') + 1;
	char *resolved;
	int r = data_dir(why, &data);

	if (r < 0)
		return r;
	/* A default store: the directory above it is ours too. */
	if (!strncmp(p->store, data, strlen(data)) &&
	    p->store + strlen(data) + 1 == name) {
		r = private_dir_open(data, why, NULL, &parent);
		if (r == 0)
			r = private_dir_open_at(parent, name, p->store, why,
						&p->made, &fd);
	} else {
		r = private_dir_open(p->store, why, &p->made, &fd);
	}
	if (r == 0)
		r = dir_is_empty(fd);
	if (r < 0)
		return r;
	p->fresh = r == 1;
	if (!p->fresh) {
		r = check_is_store(fd, p->store, why);
		if (r < 0)
			return r;
	}
	resolved = realpath(p->store, NULL);
	if (!resolved)
		return -errno;
	free(p->store);
	p->store = resolved;
	return 0;
}

int volume_place_remember(const struct volume_place *p, struct buf *why)
{
	autofree char *data = NULL, *dir = NULL;
	autoclose int parent = -1, fd = -1;
	char name[NAME_MAX + 1], fresh[32];
	int r = data_dir(why, &data);

	if (r < 0)
		return r;
	if (asprintf(&dir, "%s/" INDEX_DIR, data) < 0)
		return -ENOMEM;
	r = private_dir_open(data, why, NULL, &parent);
	if (r == 0)
		r = private_dir_open_at(parent, INDEX_DIR, dir, why, NULL,
					&fd);
	if (r < 0)
		return r;
	store_name(p->mountpoint, name);
	/* No escaped path begins with '.', and no other process has our
	 * number. */
	snprintf(fresh, sizeof(fresh), ".new-%d", (int)getpid());
	unlinkat(fd, fresh, 0);
	if (symlinkat(p->store, fd, fresh) < 0 ||
	    renameat(fd, fresh, fd, name) < 0) {
		r = -errno;
		buf_printf(why, "%s: %s", dir, strerror(-r));
		return r;
	}
	return 0;
}

void volume_place_undo(const struct volume_place *p)
{
	autofree char *data = NULL, *link = NULL, *store = NULL;
	struct buf why = BUF_INIT;
	char name[NAME_MAX + 1];

	if (!p->fresh)
		return;
	store_name(p->mountpoint, name);
	if (data_dir(&why, &data) == 0 &&
	    index_read(data, name, &why, &link, &store) == 0 && store &&
	    !strcmp(store, p->store))
		unlink(link);
	buf_release(&why);
	private_dir_remove(p->store);
	if (!p->made)
		mkdir(p->store, 0700);
}

/* Where sockets go: 1 and *ret, or 0 for "into the store". */
static int run_dir(char **ret)
{
	const char *run = directory_variable("XDG_RUNTIME_DIR");
	struct stat st;

	if (run) {
		/* Often inherited through su(1), or never made. */
		if (stat(run, &st) < 0 || !S_ISDIR(st.st_mode) ||
		    st.st_uid != geteuid())
			return 0;
		return asprintf(ret, "%s/kinfs", run) < 0 ? -ENOMEM : 1;
	}
	if (geteuid() != 0)
		return 0;
	*ret = strdup(ROOT_RUN_DIR);
	return *ret ? 1 : -ENOMEM;
}

int volume_place_cookie(struct slice key, struct buf *why, char **ret)
{
	autofree char *data = NULL, *dir = NULL;
	autoclose int parent = -1, fd = -1;
	char digits[17];
	struct hash h;
	int r = data_dir(why, &data);

	if (r < 0)
		return r;
	if (asprintf(&dir, "%s/" COOKIES_DIR, data) < 0)
		return -ENOMEM;
	r = private_dir_open(data, why, NULL, &parent);
	if (r == 0)
		r = private_dir_open_at(parent, COOKIES_DIR, dir, why, NULL,
					&fd);
	if (r < 0)
		return r;
	hash_bytes(key.data, key.len, &h);
	hex_encode(h.b, 8, digits);
	return asprintf(ret, "%s/%s", dir, digits) < 0 ? -ENOMEM : 0;
}

int volume_place_hooks(const struct volume_place *p, struct buf *why,
		       char **ret)
{
	const char *config = directory_variable("XDG_CONFIG_HOME");
	const char *home = directory_variable("HOME");
	char name[NAME_MAX + 1];
	int r;

	store_name(p->mountpoint, name);
	if (config)
		r = asprintf(ret, "%s/kinfs/hooks/%s", config, name);
	else if (geteuid() == 0)
		r = asprintf(ret, ROOT_CONFIG_DIR "/hooks/%s", name);
	else if (home)
		r = asprintf(ret, "%s/.config/kinfs/hooks/%s", home, name);
	else {
		buf_printf(why, "$HOME is not set; set it, or "
			   "XDG_CONFIG_HOME");
		return -ENOENT;
	}
	return r < 0 ? -ENOMEM : 0;
}

/* A file of the daemon's, in the directory that goes with the boot, or, if
 * there is none, beside the store's own. */
static int run_file(const struct volume_place *p, const char *suffix,
		    const char *in_store, struct buf *why, char **ret)
{
	autofree char *dir = NULL;
	autoclose int fd = -1;
	char name[17];
	int r = run_dir(&dir);

	if (r < 0)
		return r;
	if (r) {
		r = private_dir_open(dir, why, NULL, &fd);
		if (r < 0)
			return r;
		hash_name(p->store, name);
		r = asprintf(ret, "%s/%s%s", dir, name, suffix);
	} else {
		r = asprintf(ret, "%s/%s", p->store, in_store);
	}
	return r < 0 ? -ENOMEM : 0;
}

int volume_place_socket(const struct volume_place *p, struct buf *why,
			char **ret)
{
	return run_file(p, ".sock", "control.sock", why, ret);
}

int volume_place_distrust(const struct volume_place *p, struct buf *why,
			  char **ret)
{
	return run_file(p, ".failed", "failed", why, ret);
}
