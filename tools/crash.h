/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that crashes with a store open leaves a mark there: damaged
 * tables may be why, and the next one looks at them first
 * (fs/store/suspect.h).
 */
#ifndef KINFS_TOOLS_CRASH_H
#define KINFS_TOOLS_CRASH_H

#include "fs/base/macro.h"

/* Of the store in this directory, from now on. Errors: of the system. */
must_check int crash_watch(const char *store_path);

#endif
