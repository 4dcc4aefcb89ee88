/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of replication/core. Includes cmocka for them. */
#ifndef KINFS_TESTS_CORE_SUPPORT_H
#define KINFS_TESTS_CORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/tree/know.h"
#include "replication/core/marks.h"
#include "replication/core/member.h"

/* A device made of one byte; its key signs for it. */
struct device test_device(uint8_t n);
void test_sign(uint8_t n, struct slice message, uint8_t ret[64]);
/* A record of device n, signed by device `signer`. */
struct member test_member(uint8_t n, const char *label, uint8_t signer);
struct member_removal test_removal(uint8_t n, uint8_t signer);
struct volid test_volume(void);

/* Origins and numbers in pairs, ended by 0. */
struct know test_know(uint64_t origin, ...);

/* Marks at K, and the birth of one alias, which is put into K. */
struct heads test_heads(struct know *, uint64_t first);

/*
 * Compares with tests/golden/NAME, which is hex in lines. With
 * KINFS_GOLDEN_WRITE in the environment the file is written instead: for a
 * change of format, which carries its document.
 */
void assert_golden(const char *name, struct slice bytes);

#endif
