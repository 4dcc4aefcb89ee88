/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds of objects, and what they are to programs. All but directories are
 * *files* to the merge: they have links, and a content. That of a FIFO and
 * of a socket is empty, that of a device its number; nobody writes either.
 */
#ifndef KINFS_TREE_KIND_H
#define KINFS_TREE_KIND_H

#include <sys/types.h>

#include "fs/store/content.h"

enum kind {
	KIND_FILE = 1,
	KIND_DIR = 2,
	KIND_SYMLINK = 3,
	KIND_FIFO = 4,
	KIND_SOCKET = 5,
	KIND_CHAR = 6,
	KIND_BLOCK = 7,
	KIND_LAST = KIND_BLOCK,
};

/* Bytes of the content of a device: major, minor. */
#define DEVICE_CONTENT_BYTES 8

/* S_IFMT bits. A kind that is none of these is a regular file. */
uint32_t kind_type(enum kind);
/* Of S_IFMT bits; 0: there is none. */
enum kind kind_of_type(uint32_t type);
bool kind_is_device(enum kind);
/* Neither file, directory nor symlink. */
bool kind_is_special(enum kind);

void device_content(dev_t, uint8_t ret[DEVICE_CONTENT_BYTES]);
/* 0 if the content is not that of a device. */
dev_t device_number(const struct content *);

#endif
