/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that says which store was mounted last: u8 flags, then its bytes.
 * With flag 1 the first byte, the facts of this database and the number of
 * cookies are put right, so that what is compared is the cookies. Any bytes
 * make the store a copy, or the one, but nothing else; and after a renewal
 * it is the one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/cookie.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

/* u8 1 | u64 inode | u64 birth | u8 count | cookies */
#define COUNT_AT 17
#define HEAD_BYTES (COUNT_AT + 1)

static void write_file(const char *path, struct slice bytes)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				0600);

	kin_assert(fd >= 0 && write(fd, bytes.data, bytes.len) ==
				      (ssize_t)bytes.len);
}

static size_t read_file(const char *path, uint8_t *ret, size_t max)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, ret, max);

	kin_assert(n > 0);
	return (size_t)n;
}

void fuzz_cookie(struct slice in)
{
	static const char *dir, *path;
	const uint8_t one[COOKIE_BYTES] = { 1 }, two[COOKIE_BYTES] = { 2 };
	uint8_t bytes[256], real[256];
	struct store *s;
	size_t len;
	bool copy;

	if (!in.len || in.len > sizeof(bytes))
		return;
	if (!dir) {
		dir = fuzz_dir("cookie-store");
		path = fuzz_path(fuzz_dir("cookie"), "file");
	}
	s = fuzz_store_open(dir);
	fuzz_must(cookie_renew(s, path, one));
	len = read_file(path, real, sizeof(real));
	kin_assert(len == HEAD_BYTES + COOKIE_BYTES);
	memcpy(bytes, in.data + 1, in.len - 1);
	if (in.data[0] & 1 && in.len - 1 >= HEAD_BYTES)
		memcpy(bytes, real, COUNT_AT);
	write_file(path, SLICE(bytes, in.len - 1));
	fuzz_must(cookie_is_copy(s, path, &copy));
	if (!copy)
		kin_assert(in.len - 1 >= len &&
			   !memcmp(bytes, real, COUNT_AT) &&
			   memmem(bytes, in.len - 1, one, sizeof(one)));
	fuzz_must(cookie_renew(s, path, two));
	fuzz_must(cookie_is_copy(s, path, &copy));
	kin_assert(!copy);
	store_abandon(s);
	fuzz_dir_clear(dir);
}
