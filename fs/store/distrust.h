/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After an error of a disk the page cache is not to be believed any more: a
 * page may be marked clean that is not on the disk, and the file system may
 * be taken off and mounted again. It is as after a loss of power, but in the
 * same boot. So a store that failed leaves a *note* outside of its disk, in a
 * place that goes with the boot; what it says is a part of the boot's id from
 * then on.
 */
#ifndef KINFS_STORE_DISTRUST_H
#define KINFS_STORE_DISTRUST_H

#include "fs/base/macro.h"
#include "fs/store/io.h"

/* Appends what the note says to the id of a boot. No note: nothing. Errors:
 * -E2BIG no room for it, of the system. */
must_check int distrust_read(const char *path, char id[BOOT_ID_BYTES_MAX + 1]);
/* Leaves a note, or another than before. Errors: of the system. */
must_check int distrust_note(const char *path);

#endif
