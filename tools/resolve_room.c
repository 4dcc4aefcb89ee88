/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging is done on copies, in a directory of mode 0700 that is removed in
 * the end: a program may do with them what it likes. The daemon writes them,
 * so that all are of one instant, and it alone has what they were made from.
 * The result goes back with the token of that instant; the daemon takes it
 * only if nothing came meanwhile.
 *
 * Different files of one name are copied and settled in the same way: what
 * has the plain name gets the result, and the others go.
 *
 * The directory must not lie in a volume: the copies would be sent around.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/output.h"
#include "tools/private_dir.h"
#include "tools/resolve.h"

#define PIECE_BYTES ((size_t)64 * 1024)
/* Letters of an extension that a program may go by. */
#define EXTENSION_CHARS_MAX 16

char *room_path(const struct room *room, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", room->dir, name) < 0 ? NULL : path;
}

void room_release(struct room *room)
{
	if (room->dir)
		private_dir_remove(room->dir);
	for (size_t i = 0; i < room->count; i++)
		free(room->copies[i].path);
	free(room->copies);
	free(room->base);
	free(room->extension);
	free(room->dir);
	json_decref(room->answer);
	*room = (struct room){ .subject = NULL };
}

/* ---- making it */

static bool lies_in_volume(const char *dir)
{
	autofree char *resolved = NULL;
	struct mounts m;
	bool yes = false;

	if (mounts_load(&m) < 0)
		return false;
	if (path_resolve(&m, dir, &resolved) == 0)
		yes = mount_is_kinfs(mounts_find(&m, resolved));
	mounts_release(&m);
	return yes;
}

int room_dir_make(const struct subject *subject, char **ret, int *ret_fd)
{
	const char *top = getenv("TMPDIR");
	char *dir;
	int fd;

	if (!top || top[0] != '/' || lies_in_volume(top))
		top = "/tmp";
	if (asprintf(&dir, "%s/kin-%s-XXXXXX", top, subject->command) < 0)
		return complain(subject->command, EXIT_FAILED,
				"out of memory");
	if (!mkdtemp(dir)) {
		complain(subject->command, 0, "%s: %s", dir, strerror(errno));
		free(dir);
		return EXIT_FAILED;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		complain(subject->command, 0, "%s: %s", dir, strerror(errno));
		private_dir_remove(dir);
		free(dir);
		return EXIT_FAILED;
	}
	*ret = dir;
	*ret_fd = fd;
	return EXIT_OK;
}

/* The extension, if it can be part of any file's name without harm. */
static char *extension_of(const json_t *conflict)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	struct slice name;
	size_t n = 0;

	output_path_of(conflict, &path);
	name = last_component(buf_slice(&path));
	while (n < name.len && n < EXTENSION_CHARS_MAX) {
		uint8_t c = name.data[name.len - 1 - n];

		if (c == '.' && n && n + 1 < name.len)
			return strndup((const char *)name.data + name.len -
					       1 - n, n + 1);
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9')))
			break;
		n++;
	}
	return strdup("");
}

/* Gives a copy a name that says what it is, with the file's extension. */
static char *room_rename(const struct room *room, const char *from,
			 const char *to)
{
	autofree char *old = room_path(room, from);
	char *new;

	if (!old || asprintf(&new, "%s/%s%s", room->dir, to,
			     room->extension) < 0)
		return NULL;
	if (rename(old, new) == 0)
		return new;
	free(new);
	return NULL;
}

static int add_copy(struct room *room, const json_t *version)
{
	size_t at = room->count++;
	struct copy *c = &room->copies[at];
	char name[32];

	snprintf(name, sizeof(name), at ? "theirs-%zu" : "ours", at);
	c->version = version;
	c->path = room_rename(room, json_text(version, "file"), name);
	c->label = json_text(version, "label");
	c->size = json_number(version, "size");
	c->main = json_is_true(json_object_get(version, "main"));
	return c->path ? 0 : -ENOMEM;
}

/* The copy of a version of the list. */
static const json_t *copy_of(const json_t *copies, const json_t *version)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	const json_t *v;
	size_t i;

	output_path_of(version, &path);
	json_array_foreach(copies, i, v) {
		cleanup(buf_release) struct buf name = BUF_INIT;

		output_bytes_of(v, "name", "name_hex", &name);
		if (path.len && slice_equal(buf_slice(&name),
					    last_component(buf_slice(&path))))
			return v;
	}
	return NULL;
}

static bool was_added(const struct room *room, const json_t *version)
{
	for (size_t i = 0; i < room->count; i++)
		if (room->copies[i].version == version)
			return true;
	return false;
}

static int take_copies(struct room *room)
{
	const json_t *list = json_object_get(room->answer, "versions"), *v;
	size_t i, count = json_array_size(list);
	int r = 0;

	room->base_known = json_is_true(json_object_get(room->answer,
							"base_known"));
	room->extension = extension_of(room->conflict);
	room->copies = calloc(count + 1, sizeof(*room->copies));
	if (!room->copies || !room->extension || count < 2)
		return count < 2 ? -EBADMSG : -ENOMEM;
	/* In the order in which they were listed, then what is not shown. */
	for (i = 1; !r && (v = conflict_version(room->conflict, i)); i++) {
		v = copy_of(list, v);
		if (v && !was_added(room, v))
			r = add_copy(room, v);
	}
	json_array_foreach(list, i, v)
		if (!r && !was_added(room, v))
			r = add_copy(room, v);
	if (!r && json_is_true(json_object_get(room->answer, "base"))) {
		room->base = room_rename(room, "base", "base");
		r = room->base ? 0 : -ENOMEM;
	}
	return r;
}

static void put_conflict(const json_t *conflict, json_t *request)
{
	/* A version's: main may be gone. */
	const json_t *v = json_array_get(json_object_get(conflict,
							 "versions"), 0);

	if (json_object_get(v, "path_hex"))
		json_object_set(request, "path_hex",
				json_object_get(v, "path_hex"));
	else
		json_object_set(request, "path", json_object_get(v, "path"));
	json_object_set(request, "kind", json_object_get(conflict, "kind"));
}

bool room_fits(const json_t *conflict)
{
	return json_is_true(json_object_get(conflict, "files"));
}

char *room_no_base(const struct room *room)
{
	char *path = room_path(room, "no-base");
	FILE *f = path ? fopen(path, "we") : NULL;

	if (f && !fclose(f))
		return path;
	free(path);
	return NULL;
}

int room_open(const struct subject *subject, const json_t *conflict,
	      struct room *ret)
{
	struct room room = { .subject = subject, .conflict = conflict,
			     .apart = !strcmp(json_text(conflict, "kind"),
					      "name") };
	json_t *request;
	int fd, r = room_dir_make(subject, &room.dir, &fd);

	if (r != EXIT_OK)
		return r;
	request = json_pack("{s:s}", "cmd", "versions");
	put_conflict(conflict, request);
	r = control_call_with(subject, request, fd, &room.answer);
	close(fd);
	if (r == EXIT_OK && take_copies(&room))
		r = complain(subject->command, EXIT_FAILED, "%s: its daemon "
			     "did not copy the versions; is it another "
			     "version?", subject->mountpoint);
	if (r != EXIT_OK)
		room_release(&room);
	else
		*ret = room;
	return r;
}

/* ---- the result */

int room_settle(const struct room *room, const char *result)
{
	const struct subject *subject = room->subject;
	int fd = open(result, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	json_t *request, *answer = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		r = complain(subject->command, EXIT_FAILED, "%s: %s", result,
			     fd < 0 ? strerror(errno) : "is no regular file");
		if (fd >= 0)
			close(fd);
		return r;
	}
	request = json_pack("{s:s, s:s}", "cmd", "settle", "token",
			    json_text(room->answer, "token"));
	put_conflict(room->conflict, request);
	r = control_call_with(subject, request, fd, &answer);
	close(fd);
	json_decref(answer);
	return r;
}

static int copy_fd(int in, int out)
{
	autofree char *piece = malloc(PIECE_BYTES);
	ssize_t n;

	if (!piece)
		return -ENOMEM;
	while ((n = read(in, piece, PIECE_BYTES)) > 0)
		for (ssize_t at = 0, m; at < n; at += m) {
			m = write(out, piece + at, (size_t)(n - at));
			if (m < 0)
				return -errno;
		}
	return n < 0 ? -errno : 0;
}

int file_copy(const char *from, const char *to)
{
	autoclose int in = open(from, O_RDONLY | O_CLOEXEC);
	autoclose int out = -1;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		   0600);
	return out < 0 ? -errno : copy_fd(in, out);
}
