/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of ours that nobody else may look into: mode 0700, owned by
 * the effective user. They are made and checked through descriptors, so
 * that what was checked is what is used.
 */
#ifndef KINFS_TOOLS_PRIVATE_DIR_H
#define KINFS_TOOLS_PRIVATE_DIR_H

#include <stdbool.h>

#include "fs/base/bytes.h"
#include "fs/base/macro.h"

/*
 * Opens an absolute path, making it and its missing parents with mode 0700.
 * The last component must be a real directory of ours that is closed to
 * others; an empty one of ours is closed. `why` receives a sentence.
 * ret_made may be NULL. Errors: -EPERM, -ENOTDIR, of the system.
 */
must_check int private_dir_open(const char *path, struct buf *why,
				bool *ret_made, int *ret_fd);
/* The same for a subdirectory of an open directory; `path` is its name in
 * messages. */
must_check int private_dir_open_at(int parent, const char *name,
				   const char *path, struct buf *why,
				   bool *ret_made, int *ret_fd);
/* 1 when the directory holds nothing, 0 when it holds something. */
must_check int dir_is_empty(int fd);
/* Removes a directory that this process made, with all that is in it. */
void private_dir_remove(const char *path);

#endif
