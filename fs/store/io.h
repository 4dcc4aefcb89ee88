/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes at an offset, and what the system is asked for. */
#ifndef KINFS_STORE_IO_H
#define KINFS_STORE_IO_H

#include <stddef.h>
#include <stdint.h>

#include "fs/base/macro.h"

must_check int io_write_at(int fd, const void *data, size_t len,
			   uint64_t offset);
/*
 * The same for bytes that nobody reads soon: where the kernel can
 * (RWF_DONTCACHE, Linux 6.16) they are on their way to the disk at once, and
 * out of memory when they are there.
 */
must_check int io_write_once_at(int fd, const void *data, size_t len,
				uint64_t offset);
/* Errors: -ENODATA the file ends before. */
must_check int io_read_at(int fd, void *ret, size_t len, uint64_t offset);
must_check int io_size(int fd, uint64_t *ret);
/* Bytes that are free for ordinary users on the disk of an open file. */
must_check int io_free_bytes(int fd, uint64_t *ret);
/* fdatasync() and fsync(). */
must_check int io_datasync(int fd);
must_check int io_sync(int fd);
/* Bytes of a boot's id at most; the kernel's has 36. */
#define BOOT_ID_BYTES_MAX 64
/* The kernel's id of this boot, as text that ends with a 0. */
must_check int io_boot_id(char ret[BOOT_ID_BYTES_MAX + 1]);
/* CLOCK_MONOTONIC. */
uint64_t io_now_ms(void);

#endif
