/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that a test makes and removes, and a seeded generator. */
#ifndef KINFS_TESTS_SCRATCH_SUPPORT_H
#define KINFS_TESTS_SCRATCH_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

/* Makes an empty directory, mode 0700. The caller frees the path. */
char *scratch_make(void);
/* Removes all in it, and it, and frees the path. */
void scratch_remove(char *path);
/* path/name, to be freed by the caller. */
char *scratch_path(const char *path, const char *name);
/* A number in 0..below-1; changes the state. */
uint32_t scratch_random(uint64_t *state, uint32_t below);

#endif
