/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds as types of files, and the number of a device as bytes: two
 * numbers, little endian, since dev_t is another one on each system.
 */
#include "fs/tree/kind.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

static const uint32_t types[KIND_LAST + 1] = {
	[KIND_FILE] = S_IFREG, [KIND_DIR] = S_IFDIR,
	[KIND_SYMLINK] = S_IFLNK, [KIND_FIFO] = S_IFIFO,
	[KIND_SOCKET] = S_IFSOCK, [KIND_CHAR] = S_IFCHR,
	[KIND_BLOCK] = S_IFBLK,
};

uint32_t kind_type(enum kind kind)
{
	return kind > 0 && kind <= KIND_LAST ? types[kind] : S_IFREG;
}

enum kind kind_of_type(uint32_t type)
{
	for (unsigned int k = KIND_FILE; k <= KIND_LAST; k++)
		if (types[k] == type)
			return k;
	return 0;
}

bool kind_is_device(enum kind kind)
{
	return kind == KIND_CHAR || kind == KIND_BLOCK;
}

bool kind_is_special(enum kind kind)
{
	return kind >= KIND_FIFO && kind <= KIND_LAST;
}

void device_content(dev_t number, uint8_t ret[DEVICE_CONTENT_BYTES])
{
	put_le32(ret, major(number));
	put_le32(ret + 4, minor(number));
}

dev_t device_number(const struct content *c)
{
	const uint8_t *bytes = c->inline_bytes.data;

	if (c->depth || c->size != DEVICE_CONTENT_BYTES ||
	    c->inline_bytes.len != DEVICE_CONTENT_BYTES)
		return 0;
	return makedev(get_le32(bytes), get_le32(bytes + 4));
}
