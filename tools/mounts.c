/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mounts.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOURCE_PREFIX "kinfs@"
/* As the kernel's own limit on symlinks in one path. */
#define SYMLINKS_MAX 40

static void mount_entry_release(struct mount_entry *e)
{
	free(e->root);
	free(e->at);
	free(e->type);
	free(e->source);
}

void mounts_release(struct mounts *m)
{
	for (size_t i = 0; i < m->count; i++)
		mount_entry_release(&m->entries[i]);
	free(m->entries);
	*m = (struct mounts){ NULL, 0 };
}

static bool is_octal(const char *s)
{
	for (int i = 0; i < 3; i++)
		if (s[i] < '0' || s[i] > '7')
			return false;
	return true;
}

/* mountinfo writes space, tab, newline, '\\' and '#' as \ooo. In place. */
static void unescape_octal(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && is_octal(s + 1)) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				       (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static char *field_dup(const char *field)
{
	char *copy = field ? strdup(field) : NULL;

	if (copy)
		unescape_octal(copy);
	return copy;
}

/*
 * id parent major:minor root mountpoint options [tag]... - type source ...
 */
static int parse_line(char *line, struct mount_entry *ret)
{
	char *rest = strstr(line, " - "), *save = NULL, *root, *at;

	if (!rest)
		return -EBADMSG;
	*rest = '\0';
	rest += 3;
	for (int i = 0; i < 3; i++)
		if (!strtok_r(i ? NULL : line, " ", &save))
			return -EBADMSG;
	root = strtok_r(NULL, " ", &save);
	at = strtok_r(NULL, " ", &save);
	if (!root || !at)
		return -EBADMSG;
	save = NULL;
	ret->root = field_dup(root);
	ret->at = field_dup(at);
	ret->type = field_dup(strtok_r(rest, " \n", &save));
	ret->source = field_dup(strtok_r(NULL, " \n", &save));
	if (ret->root && ret->at && ret->type && ret->source)
		return 0;
	mount_entry_release(ret);
	return -ENOMEM;
}

int mounts_load(struct mounts *m)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	autofree char *line = NULL;
	size_t alloc = 0;
	int r = 0;

	*m = (struct mounts){ NULL, 0 };
	if (!f)
		return -errno;
	while (getline(&line, &alloc, f) > 0) {
		struct mount_entry *more, e;

		r = parse_line(line, &e);
		if (r < 0)
			break;
		more = realloc(m->entries, (m->count + 1) * sizeof(*more));
		if (!more) {
			mount_entry_release(&e);
			r = -ENOMEM;
			break;
		}
		m->entries = more;
		m->entries[m->count++] = e;
	}
	fclose(f);
	if (r < 0)
		mounts_release(m);
	return r;
}

const char *path_below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 1 && prefix[0] == '/')
		return path + 1;
	if (strncmp(path, prefix, n) || (path[n] && path[n] != '/'))
		return NULL;
	return path[n] ? path + n + 1 : path + n;
}

const struct mount_entry *mounts_find(const struct mounts *m, const char *path)
{
	const struct mount_entry *best = NULL;

	/* Of several mounts at one place the last one covers the others. */
	for (size_t i = 0; i < m->count; i++) {
		const struct mount_entry *e = &m->entries[i];

		if (path_below(path, e->at) &&
		    (!best || strlen(e->at) >= strlen(best->at)))
			best = e;
	}
	return best;
}

bool mount_is_kinfs(const struct mount_entry *e)
{
	return e && !strncmp(e->type, "fuse", 4) &&
	       !strncmp(e->source, SOURCE_PREFIX "/",
			sizeof(SOURCE_PREFIX "/") - 1);
}

char *mount_source_of(const char *socket_path)
{
	char *source = malloc(sizeof(SOURCE_PREFIX) + 3 * strlen(socket_path));
	char *to = source;

	if (!source)
		return NULL;
	to = stpcpy(to, SOURCE_PREFIX);
	for (; *socket_path; socket_path++) {
		unsigned char c = (unsigned char)*socket_path;

		if (c < 128 && (isalnum(c) || strchr("/._-", c)))
			*to++ = (char)c;
		else
			to += sprintf(to, "%%%02x", c);
	}
	*to = '\0';
	return source;
}

char *mount_socket_of(const struct mount_entry *e)
{
	const char *from;
	char *path, *to;

	if (!mount_is_kinfs(e))
		return NULL;
	from = e->source + sizeof(SOURCE_PREFIX) - 1;
	path = to = malloc(strlen(from) + 1);
	for (; path && *from; from++) {
		unsigned byte;

		if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1 &&
		    byte && strlen(from) > 2) {
			*to++ = (char)byte;
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	if (path)
		*to = '\0';
	return path;
}

/* Takes the last component off an absolute path; "" is the root. */
static void path_pop(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

/*
 * If `done` is a symlink, puts its target before what is left to walk.
 * Returns 1 then, 0 if it is none.
 */
static int follow(char *done, char *left)
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t n = readlink(done, target, sizeof(target) - 1);

	if (n < 0)
		return errno == EINVAL || errno == ENOENT ||
				       errno == ENOTDIR ? 0 : -errno;
	target[n] = '\0';
	if (snprintf(joined, sizeof(joined), "%s/%s", target, left) >=
	    (int)sizeof(joined))
		return -ENAMETOOLONG;
	strcpy(left, joined);
	if (target[0] == '/')
		done[0] = '\0';
	else
		path_pop(done);
	return 1;
}

int path_resolve(const struct mounts *m, const char *path, char **ret)
{
	char left[PATH_MAX], done[PATH_MAX] = "";
	unsigned links = 0;
	char *at = left;

	if (path[0] != '/') {
		/* Not realpath("."): a dead mount must not fail here. */
		if (!getcwd(done, sizeof(done)) || done[0] != '/')
			return done[0] ? -ENOENT : -errno;
		if (!done[1])
			done[0] = '\0';
	}
	if (!path[0])
		return -ENOENT;
	if (strlen(path) >= sizeof(left))
		return -ENAMETOOLONG;
	strcpy(left, path);
	while (*at) {
		size_t n = strcspn(at, "/"), len = strlen(done);
		int r;

		if (!n || (n == 1 && at[0] == '.')) {
			at += n + (at[n] == '/');
			continue;
		}
		if (n == 2 && at[0] == '.' && at[1] == '.') {
			path_pop(done);
			at += n + (at[n] == '/');
			continue;
		}
		if (len + 1 + n >= sizeof(done))
			return -ENAMETOOLONG;
		done[len] = '/';
		memcpy(done + len + 1, at, n);
		done[len + 1 + n] = '\0';
		at += n + (at[n] == '/');
		if (mount_is_kinfs(mounts_find(m, done)))
			continue;
		memmove(left, at, strlen(at) + 1);
		at = left;
		r = follow(done, left);
		if (r < 0)
			return r;
		if (r && ++links > SYMLINKS_MAX)
			return -ELOOP;
	}
	*ret = strdup(done[0] ? done : "/");
	return *ret ? 0 : -ENOMEM;
}
