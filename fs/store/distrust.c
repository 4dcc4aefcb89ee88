/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A note is 16 hexadecimal digits that are different each time. Anything
 * else in the file is no note of ours, and means as much: something failed.
 */
#include "fs/store/distrust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "fs/base/id.h"

#define NOTE_BYTES 8
#define NOTE_CHARS (2 * NOTE_BYTES)
#define SEPARATOR "+"

int distrust_read(const char *path, char id[BOOT_ID_BYTES_MAX + 1])
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char note[NOTE_CHARS + 1] = "";
	size_t len = strlen(id);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = read(fd, note, NOTE_CHARS);
	if (n < 0)
		return -errno;
	if (strspn(note, "0123456789abcdef") != NOTE_CHARS)
		strcpy(note, "unknown");
	if (len + strlen(SEPARATOR) + strlen(note) > BOOT_ID_BYTES_MAX)
		return -E2BIG;
	strcat(strcat(id, SEPARATOR), note);
	return 0;
}

int distrust_note(const char *path)
{
	char temp[PATH_MAX], note[NOTE_CHARS + 1];
	uint8_t bytes[NOTE_BYTES];
	autoclose int fd = -1;
	int r;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	hex_encode(bytes, sizeof(bytes), note);
	if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		  0600);
	if (fd < 0)
		return -errno;
	r = io_write_at(fd, note, NOTE_CHARS, 0);
	if (!r && rename(temp, path) < 0)
		r = -errno;
	return r;
}
