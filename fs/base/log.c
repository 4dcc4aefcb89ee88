/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum log_level level = LOG_LEVEL_INFO;

void log_set_level(enum log_level l)
{
	level = l;
}

/* One write(2) a line, so that lines of threads do not mix. */
static void log_emit(enum log_level l, const char *suffix, const char *fmt,
		     va_list ap)
{
	static const char *const prefix[] = { "error: ", "warning: ", "", "" };
	char line[1024];
	int n;

	if (l > level)
		return;
	n = snprintf(line, sizeof(line), "kin: %s", prefix[l]);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	if ((size_t)n < sizeof(line) && suffix)
		snprintf(line + n, sizeof(line) - (size_t)n, ": %s", suffix);
	fprintf(stderr, "%s\n", line);
}

void log_line(enum log_level l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_emit(l, NULL, fmt, ap);
	va_end(ap);
}

int log_errno(int r, const char *fmt, ...)
{
	va_list ap;
	char text[128];

	va_start(ap, fmt);
	log_emit(LOG_LEVEL_ERROR, strerror_r(-r, text, sizeof(text)), fmt, ap);
	va_end(ap);
	return r;
}
