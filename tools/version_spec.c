/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last '@' ends the name of the file, which may have others. An id is
 * hexadecimal, and no time or age is: a time has a '-', and an age is shorter
 * than the shortest id.
 */
#include "tools/version_spec.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ID_CHARS_MIN 5
#define ID_CHARS_MAX 10

void version_spec_release(struct version_spec *s)
{
	free(s->path);
	*s = (struct version_spec){ 0 };
}

/* "2h": so long ago. */
static int64_t age_parse(const char *text)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		      { 'w', 7 * 86400 } };
	size_t digits = strspn(text, "0123456789");
	int64_t n, now;

	if (!digits || digits > 4 || strlen(text) != digits + 1)
		return -1;
	n = strtol(text, NULL, 10);
	for (size_t k = 0; k < ARRAY_SIZE(units); k++) {
		if (text[digits] != units[k].unit)
			continue;
		now = (int64_t)time(NULL);
		return MAX_OF((now - n * units[k].seconds) * 1000 + 999,
			      (int64_t)0);
	}
	return -1;
}

/* Local time, with a 'T' or a space between; what is left out is the last
 * there is. */
static int64_t time_parse(const char *text)
{
	static const struct {
		const char *format;
		int hour, minute, second;
	} forms[] = {
		{ "%Y-%m-%dT%H:%M:%S", -1, -1, -1 },
		{ "%Y-%m-%d %H:%M:%S", -1, -1, -1 },
		{ "%Y-%m-%dT%H:%M", -1, -1, 59 },
		{ "%Y-%m-%d %H:%M", -1, -1, 59 },
		{ "%Y-%m-%d", 23, 59, 59 },
	};

	for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[k].format, &tm);
		time_t at;

		if (!end || *end)
			continue;
		if (forms[k].hour >= 0)
			tm.tm_hour = forms[k].hour;
		if (forms[k].minute >= 0)
			tm.tm_min = forms[k].minute;
		if (forms[k].second >= 0)
			tm.tm_sec = forms[k].second;
		tm.tm_isdst = -1;
		at = mktime(&tm);
		return at < 0 ? -1 : (int64_t)at * 1000 + 999;
	}
	return -1;
}

int64_t moment_parse(const char *text)
{
	int64_t at = age_parse(text);

	return at >= 0 ? at : time_parse(text);
}

static bool is_id(const char *text)
{
	size_t n = strlen(text);

	return n >= ID_CHARS_MIN && n <= ID_CHARS_MAX &&
	       strspn(text, "0123456789abcdef") == n;
}

int version_spec_parse(const char *command, const char *text,
		       struct version_spec *ret)
{
	const char *at = strrchr(text, '@');

	*ret = (struct version_spec){ 0 };
	if (!at || at == text || !at[1])
		return complain(command, EXIT_USAGE, "%s: which version? say "
				"FILE@VERSION; `kin log FILE` lists them",
				text);
	ret->at_ms = moment_parse(at + 1);
	if (ret->at_ms < 0 && !is_id(at + 1))
		return complain(command, EXIT_USAGE, "%s: \"%s\" is no id, "
				"time or age; `kin log FILE` lists the "
				"versions", text, at + 1);
	if (ret->at_ms < 0)
		strcpy(ret->id, at + 1);
	ret->path = strndup(text, (size_t)(at - text));
	return ret->path ? EXIT_OK :
			   complain(command, EXIT_FAILED, "out of memory");
}

void version_spec_put(const struct version_spec *s, json_t *request)
{
	if (s->id[0])
		json_object_set_new(request, "version", json_string(s->id));
	else
		json_object_set_new(request, "at_ms", json_integer(s->at_ms));
}
