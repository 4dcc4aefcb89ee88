/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file names one or two cookies, and the store has one of them:
 *
 *	file {old}, store old -> file {old, new} -> store new -> file {new}
 *
 * each step durable before the next. So after a crash between two steps
 * they still fit, and a store from before the last step does not. A store
 * that has none yet counts as one with a cookie of zeros.
 *
 * The time of birth stands beside the inode number because a file that is
 * restored often gets the number of the one that it replaces. Device
 * numbers say nothing: they change from boot to boot.
 */
#include "fs/store/cookie.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/store_internal.h"

#define COOKIE_FORMAT 1
#define COOKIES_MAX 2
/* Of the file: two cookies. */
#define COOKIE_FILE_BYTES_MAX (2 + 16 + COOKIES_MAX * COOKIE_BYTES)
#define META_COOKIE "cookie"
#define DATABASE "db"

struct cookies {
	uint64_t inode, birth_ns;
	uint8_t count;
	uint8_t list[COOKIES_MAX][COOKIE_BYTES];
};

/* ---- the database */

static int database_facts(struct store *s, struct cookies *ret)
{
	struct statx st;

	if (statx(s->dirfd, DATABASE, AT_SYMLINK_NOFOLLOW,
		  STATX_INO | STATX_BTIME, &st) < 0)
		return -errno;
	ret->inode = st.stx_ino;
	ret->birth_ns = 0;
	if (st.stx_mask & STATX_BTIME)
		ret->birth_ns = (uint64_t)st.stx_btime.tv_sec * 1000000000 +
				st.stx_btime.tv_nsec;
	return 0;
}

/* -ENOENT: it has none yet, which is said by zeros. */
static int store_cookie(struct store *s, uint8_t ret[COOKIE_BYTES])
{
	struct slice v;
	int r;

	memset(ret, 0, COOKIE_BYTES);
	store_lock(s);
	r = store_get(s, TABLE_META, SLICE_STR(META_COOKIE), &v);
	if (!r && v.len != COOKIE_BYTES)
		r = -EUCLEAN;
	if (!r)
		memcpy(ret, v.data, COOKIE_BYTES);
	store_unlock(s);
	return r;
}

static int store_set_cookie(struct store *s, const uint8_t c[COOKIE_BYTES])
{
	int r;

	store_lock(s);
	r = store_op_begin(s);
	if (!r) {
		r = store_put(s, TABLE_META, SLICE_STR(META_COOKIE),
			      SLICE(c, COOKIE_BYTES));
		if (!r)
			r = store_op_end(s);
		else
			store_op_abort(s);
	}
	store_unlock(s);
	return r ? r : store_commit(s);
}

/* ---- the file */

/* -ENOENT: there is none, or it is none of ours. */
static int file_read(const char *path, struct cookies *ret)
{
	uint8_t bytes[COOKIE_FILE_BYTES_MAX + 1];
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct reader in;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, bytes, sizeof(bytes));
	if (n < 0)
		return -errno;
	in = READER(bytes, n);
	if (reader_u8(&in) != COOKIE_FORMAT)
		reader_fail(&in);
	ret->inode = reader_u64(&in);
	ret->birth_ns = reader_u64(&in);
	ret->count = reader_u8(&in);
	if (ret->count > COOKIES_MAX)
		reader_fail(&in);
	for (uint8_t k = 0; !in.failed && k < ret->count; k++)
		reader_copy(&in, ret->list[k], COOKIE_BYTES);
	return reader_done(&in) ? -ENOENT : 0;
}

static int sync_parent(const char *path)
{
	autofree char *copy = strdup(path);
	autoclose int fd = -1;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : io_sync(fd);
}

static int file_write(const char *path, const struct cookies *c)
{
	uint8_t bytes[COOKIE_FILE_BYTES_MAX];
	struct buf b = { bytes, 0, sizeof(bytes), false };
	autofree char *temp = NULL;
	autoclose int fd = -1;
	int r;

	buf_put_u8(&b, COOKIE_FORMAT);
	buf_put_u64(&b, c->inode);
	buf_put_u64(&b, c->birth_ns);
	buf_put_u8(&b, c->count);
	buf_put(&b, c->list, (size_t)c->count * COOKIE_BYTES);
	if (asprintf(&temp, "%s.new", path) < 0)
		return -ENOMEM;
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		  0600);
	if (fd < 0)
		return -errno;
	r = io_write_at(fd, bytes, b.len, 0);
	if (!r)
		r = io_sync(fd);
	if (!r && rename(temp, path) < 0)
		r = -errno;
	return r ? r : sync_parent(path);
}

/* ---- both */

int cookie_is_copy(struct store *s, const char *path, bool *ret)
{
	struct cookies file, now = { .count = 0 };
	uint8_t own[COOKIE_BYTES];
	int r = store_cookie(s, own);
	bool has_own = !r;

	if (r && r != -ENOENT)
		return r;
	r = database_facts(s, &now);
	if (r)
		return r;
	r = file_read(path, &file);
	if (r == -ENOENT) {
		/* Without both it is new. */
		*ret = has_own;
		return 0;
	}
	if (r)
		return r;
	*ret = true;
	if (file.inode != now.inode || file.birth_ns != now.birth_ns)
		return 0;
	for (uint8_t k = 0; k < file.count; k++)
		if (!memcmp(file.list[k], own, COOKIE_BYTES))
			*ret = false;
	return 0;
}

int cookie_renew(struct store *s, const char *path,
		 const uint8_t fresh[COOKIE_BYTES])
{
	struct cookies c = { .count = COOKIES_MAX };
	int r = store_cookie(s, c.list[0]);

	if (r && r != -ENOENT)
		return r;
	memcpy(c.list[1], fresh, COOKIE_BYTES);
	r = database_facts(s, &c);
	if (!r)
		r = file_write(path, &c);
	if (!r)
		r = store_set_cookie(s, fresh);
	if (r)
		return r;
	memcpy(c.list[0], fresh, COOKIE_BYTES);
	c.count = 1;
	return file_write(path, &c);
}
