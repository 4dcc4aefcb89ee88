/* SPDX-License-Identifier: Apache-2.0 */
/* Where hooks may not stand: hook_dir.h. */
#ifndef KINFS_NET_HOOK_PLACE_H
#define KINFS_NET_HOOK_PLACE_H

#include "fs/base/macro.h"

/* 1 if the directory is in a volume of kinfs, of whichever node, 0 if not.
 * The descriptor may be of O_PATH. Errors: of the system. */
must_check int hook_place_is_volume(int dir);

#endif
