/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/id.h"
#include "tools/command.h"

int output_done(const char *command)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_OK;
	return complain(command, EXIT_FAILED, "standard output: %s",
			strerror(errno));
}

int output_json(const char *command, const json_t *value)
{
	/* The order in which the daemon wrote the fields is the documented
	 * one. */
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	return output_done(command);
}

/* Length of the UTF-8 character at s, 0 if it is none. Overlong forms and
 * surrogates do no harm to a terminal and pass. */
static size_t character(struct slice s)
{
	uint8_t c = s.data[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 :
		   c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s.data[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

void output_name(struct slice name)
{
	while (name.len) {
		size_t n = character(name);
		bool control = n == 1 && (name.data[0] < 0x20 ||
					  name.data[0] == 0x7f);

		/* C1 controls, U+0080 to U+009F. */
		if (n == 2 && name.data[0] == 0xc2 && name.data[1] < 0xa0)
			control = true;
		if (n && !control) {
			fwrite(name.data, 1, n, stdout);
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				printf("\\x%02x", name.data[i]);
		}
		name.data += n;
		name.len -= n;
	}
}

static void output_line(struct slice line)
{
	fputs("    ", stdout);
	for (;;) {
		const uint8_t *tab = line.len ? memchr(line.data, '\t',
						       line.len) : NULL;
		size_t n = tab ? (size_t)(tab - line.data) : line.len;

		output_name(SLICE(line.data, n));
		if (!tab)
			break;
		putchar('\t');
		line = SLICE(tab + 1, line.len - n - 1);
	}
	putchar('\n');
}

static const char more[] = "    ... and more";

void output_lines(struct slice text, size_t max)
{
	while (text.len) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		size_t n = end ? (size_t)(end - text.data) : text.len;

		if (!max--) {
			puts(more);
			return;
		}
		output_line(SLICE(text.data, n));
		n += end != NULL;
		text = SLICE(text.data + n, text.len - n);
	}
}

void output_file(const char *path, size_t max)
{
	FILE *in = fopen(path, "re");
	autofree char *line = NULL;
	size_t alloc = 0;
	ssize_t len;

	while (in && (len = getline(&line, &alloc, in)) > 0) {
		if (!max--) {
			puts(more);
			break;
		}
		output_line(SLICE(line, (size_t)len -
				  (line[len - 1] == '\n')));
	}
	if (in)
		fclose(in);
}

void output_path_of(const json_t *object, struct buf *ret)
{
	output_bytes_of(object, "path", "path_hex", ret);
}

void output_bytes_of(const json_t *object, const char *key,
		     const char *hex_key, struct buf *ret)
{
	const json_t *path = json_object_get(object, key);
	const char *hex = json_text(object, hex_key);
	size_t len = strlen(hex) / 2;
	uint8_t *to;

	if (json_is_string(path)) {
		buf_put(ret, json_string_value(path),
			json_string_length(path));
		return;
	}
	to = buf_extend(ret, len);
	if (to && hex_decode(hex, to, len) < 0)
		memset(to, '?', len);
}

const char *text_bytes(uint64_t bytes, char ret[TEXT_BYTES])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB",
					     "PiB", "EiB" };
	double n = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024)
		return text_count(bytes, "byte", ret);
	for (; n >= 1023.95 && unit + 1 < ARRAY_SIZE(units); unit++)
		n /= 1024;
	snprintf(ret, TEXT_BYTES, "%.1f %s", n, units[unit]);
	return ret;
}

const char *text_count(uint64_t n, const char *noun, char ret[TEXT_BYTES])
{
	snprintf(ret, TEXT_BYTES, "%llu %s%s", (unsigned long long)n, noun,
		 n == 1 ? "" : "s");
	return ret;
}

const char *text_time(int64_t seconds, char ret[TEXT_BYTES])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm) ||
	    !strftime(ret, TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(ret, TEXT_BYTES, "?");
	return ret;
}

uint64_t json_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? (uint64_t)json_integer_value(value) :
	       json_is_real(value) ? (uint64_t)json_real_value(value) : 0;
}

const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}
