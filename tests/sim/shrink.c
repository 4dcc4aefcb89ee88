/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As delta debugging does it: leaves out runs of actions, long ones first,
 * then half as long, down to single ones, and begins again while that helps.
 * "The same way" is the text of the failure without numbers, names and
 * quotations: up to the first of those.
 */
#include "tests/sim/shrink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/macro.h"

/* Histories run at most. */
#define TRIES_MAX 3000

static bool is_same_failure(const char *a, const char *b)
{
	while (*a && *b) {
		if (*a == '\'' || *a == '"' || *a == ':')
			return *b == *a;
		if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
			a += strspn(a, "0123456789abcdef.");
			b += strspn(b, "0123456789abcdef.");
			continue;
		}
		if (*a++ != *b++)
			return false;
	}
	return *a == *b;
}

struct shrink {
	struct history_options *options;
	char failure[512];
	bool did[HISTORY_ACTIONS_MAX]; /* of the smallest that failed */
	int tries;
};

static bool still_fails(struct shrink *s)
{
	struct history_result r;

	s->tries++;
	history_run(s->options, &r);
	if (!r.failure[0] || !is_same_failure(s->failure, r.failure))
		return false;
	memcpy(s->did, r.did, sizeof(s->did));
	return true;
}

/* Leaves out `len` actions that there were, from the i-th one on. */
static bool leave_out(struct shrink *s, int first, int len)
{
	bool before[HISTORY_ACTIONS_MAX];

	memcpy(before, s->options->skip, sizeof(before));
	for (int i = first; i < HISTORY_ACTIONS_MAX && len; i++) {
		if (!s->did[i])
			continue;
		s->options->skip[i] = true;
		len--;
	}
	if (still_fails(s))
		return true;
	memcpy(s->options->skip, before, sizeof(before));
	return false;
}

static int count_left(const struct shrink *s)
{
	int n = 0;

	for (int i = 0; i < HISTORY_ACTIONS_MAX; i++)
		n += s->did[i];
	return n;
}

/* From the end: what comes last is needed least. */
static bool one_round(struct shrink *s, int len)
{
	bool any = false;
	int in_run = 0;

	for (int i = HISTORY_ACTIONS_MAX - 1; i >= 0; i--) {
		if (!s->did[i] || ++in_run < len)
			continue;
		in_run = 0;
		if (s->tries < TRIES_MAX && leave_out(s, i, len))
			any = true;
	}
	return any;
}

int history_shrink(struct history_options *o)
{
	struct shrink s = {.options = o};
	struct history_result r;
	int len;

	o->trace = false;
	history_run(o, &r);
	if (!r.failure[0])
		return -ENOENT;
	memcpy(s.failure, r.failure, sizeof(s.failure));
	memcpy(s.did, r.did, sizeof(s.did));
	for (len = 64; len >= 1; len /= 2)
		one_round(&s, len);
	while (one_round(&s, 1))
		;
	return count_left(&s);
}

bool skip_parse(const char *text, bool ret[HISTORY_ACTIONS_MAX])
{
	while (*text) {
		char *end;
		unsigned long a = strtoul(text, &end, 10), b = a;

		if (end == text)
			return false;
		if (*end == '-') {
			text = end + 1;
			b = strtoul(text, &end, 10);
			if (end == text)
				return false;
		}
		for (unsigned long i = a; i <= b && i < HISTORY_ACTIONS_MAX;
		     i++)
			ret[i] = true;
		text = end + (*end == ',');
		if (*end && *end != ',')
			return false;
	}
	return true;
}

void skip_print(const bool skip[HISTORY_ACTIONS_MAX])
{
	const char *comma = "";

	for (int i = 0; i < HISTORY_ACTIONS_MAX; i++) {
		int last = i;

		if (!skip[i])
			continue;
		while (last + 1 < HISTORY_ACTIONS_MAX && skip[last + 1])
			last++;
		if (last > i)
			printf("%s%d-%d", comma, i, last);
		else
			printf("%s%d", comma, i);
		comma = ",";
		i = last;
	}
}
