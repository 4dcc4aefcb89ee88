/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands print: JSON for scripts, and lines for people. Names of
 * files may hold any byte: for people, those that would move the cursor or
 * break a line are written \xHH.
 */
#ifndef KINFS_TOOLS_OUTPUT_H
#define KINFS_TOOLS_OUTPUT_H

#include <jansson.h>
#include <stdint.h>

#include "fs/base/bytes.h"

/* Bytes of every text below that is made for one column. */
#define TEXT_BYTES 64

/* Pretty printed, one object or array, with a newline. Returns an
 * exit_code: printing fails on a full disk or a closed pipe. */
int output_json(const char *command, const json_t *value);
/* Flushes; as output_json. */
int output_done(const char *command);
void output_name(struct slice name);
/* Lines, indented, written as names are, but for their tabs. No more than
 * `max` are shown; what is missing is said. */
void output_lines(struct slice text, size_t max);
/* The same of a file. */
void output_file(const char *path, size_t max);
/* `path`, or `path_hex`, of a JSON object; the caller releases ret. */
void output_path_of(const json_t *object, struct buf *ret);
void output_bytes_of(const json_t *object, const char *key,
		     const char *hex_key, struct buf *ret);
/* "1.5 MiB", "12 bytes". */
const char *text_bytes(uint64_t bytes, char ret[TEXT_BYTES]);
/* "3 changes", "1 change". */
const char *text_count(uint64_t n, const char *noun, char ret[TEXT_BYTES]);
/* Local time, "2026-11-20 12:00:00". */
const char *text_time(int64_t seconds, char ret[TEXT_BYTES]);

/* Fields of answers; what is missing is 0, "" or false. */
uint64_t json_number(const json_t *object, const char *key);
const char *json_text(const json_t *object, const char *key);

#endif
