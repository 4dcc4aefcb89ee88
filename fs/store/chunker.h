/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where content is cut: FastCDC over contiguous bytes. A pure function, and
 * part of the format: two nodes that cut differently share nothing.
 */
#ifndef KINFS_STORE_CHUNKER_H
#define KINFS_STORE_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Length of the chunk that starts at data. `len` must be all that is left
 * of the content, or at least CHUNK_BYTES_MAX (more is not looked at); it
 * must not be 0. The result depends on the chunk's own bytes only, and on
 * where the content ends. Zeros are never cut before CHUNK_BYTES_MAX.
 */
size_t chunker_cut(const uint8_t *data, size_t len);
/* All bytes are zero. */
bool bytes_are_zero(const void *data, size_t len);

/* For the test that the table follows its rule. */
extern const uint64_t chunker_gear[256];

#endif
