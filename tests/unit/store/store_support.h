/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to do with a store what most tests do. */
#ifndef KINFS_TESTS_STORE_SUPPORT_H
#define KINFS_TESTS_STORE_SUPPORT_H

#include "fs/store/store.h"

/* Bytes of the smallest log segment: laps come soon. */
#define SMALL_LOG 4096

/* Opens a store; the test fails if that fails. */
struct store *store_make(const struct store_options *);
/* As the simulator opens it: no threads, no sync, small. */
struct store_options options_sim(const char *path);
/* One operation with one put into TABLE_OBJ. */
void put_one(struct store *, const char *key, const char *value);
/* TABLE_OBJ has this value, or NULL: nothing, under the key. */
void assert_holds(struct store *, const char *key, const char *value);

#endif
