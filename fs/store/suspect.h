/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May LMDB be let loose on the tables' file? It crashes on some damage. A
 * small file is always walked before it is opened (pages.h), a larger one
 * when the process that had it last has crashed: then a file `suspect` is
 * there. So nobody starts again and again into the same crash.
 */
#ifndef KINFS_STORE_SUSPECT_H
#define KINFS_STORE_SUSPECT_H

#include "fs/base/bytes.h"

/* In the store's directory: made by who crashes, empty. */
#define SUSPECT_NAME "suspect"
/* A file up to this is walked at each opening: some 20 ms. */
#define SUSPECT_ALWAYS_BYTES (32u << 20)

/*
 * Looks at the file `db` in the directory, if it is to be looked at. keep:
 * the mark stays whatever is found. A file
 * that is not there is sound. `why` (may be NULL) receives what is wrong; `path` is for that.
 * Errors: -EUCLEAN, -EIO.
 */
must_check int suspect_look(int dirfd, const char *path, bool keep,
			    struct buf *why);

#endif
