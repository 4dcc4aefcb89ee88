/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzing. A driver is one function that takes any bytes and gives them to
 * decoders; it aborts where something is not as it must be. With clang and
 * KINFS_FUZZ each becomes a libFuzzer program, kin-fuzz-NAME; in all builds
 * kin-fuzz runs them over files: tests/fuzz/corpus, as a test. README.md
 * says which decoder has which driver.
 *
 * A driver must do the same for the same bytes, in any order of inputs: it
 * makes what it needs anew, or puts back what it changed.
 */
#ifndef KINFS_TESTS_FUZZ_H
#define KINFS_TESTS_FUZZ_H

#include "fs/base/bytes.h"
#include "fs/base/macro.h"

struct fuzz_driver {
	const char *name;
	void (*one)(struct slice input);
	/* Calls put() for each input that the code itself can make; NULL:
	 * the files of tests/golden alone are to begin with. */
	void (*seeds)(void (*put)(const char *name, struct slice));
};

extern const struct fuzz_driver fuzz_drivers[];
extern const size_t fuzz_driver_count;

void fuzz_content(struct slice);
void fuzz_control(struct slice);
void fuzz_cookie(struct slice);
void fuzz_log(struct slice);
void fuzz_log_seeds(void (*put)(const char *, struct slice));
void fuzz_manifest(struct slice);
void fuzz_manifest_seeds(void (*put)(const char *, struct slice));
void fuzz_names(struct slice);
void fuzz_pack(struct slice);
void fuzz_pages(struct slice);
void fuzz_pages_seeds(void (*put)(const char *, struct slice));
void fuzz_row(struct slice);
void fuzz_session(struct slice);
void fuzz_session_seeds(void (*put)(const char *, struct slice));
void fuzz_tables(struct slice);
void fuzz_tables_seeds(void (*put)(const char *, struct slice));
void fuzz_text(struct slice);
void fuzz_wire(struct slice);
void fuzz_xattr(struct slice);

/* What may fail for want of memory only, here. */
void fuzz_must(int r);

#endif
