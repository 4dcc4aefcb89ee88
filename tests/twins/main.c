/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-twins DIRECTORY DIRECTORY [SEED [OPERATIONS [trace]]]: random calls in
 * two directories, which may be of different file systems, in both the same;
 * what they answer and what they do has to be the same, and is compared after
 * each. One of the two is ext4, which is the measure.
 *
 * Done is what calls.c has: files, names, links, attributes, by root (if
 * root runs it) and by two other users; few names, so that they meet often.
 * Paths that do not exist, are too long, end in a slash or go through
 * symlinks in circles are tried like others. look.c says what is compared.
 *
 * Not compared is what is known to be different: room, access times, the
 * order of a directory, and where holes are.
 *
 * One seed does the same always. Exit status: 0, or 1 with the difference and
 * the last operations; 2 if it could not begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tests/twins/twins.h"

#define OPERATIONS_DEFAULT 10000
/* Operations between two looks at all of the trees. */
#define WHOLE_EVERY 200
#define NAME_LEN_MAX 255
#define SHOWN_BYTES 64
/* Times that are set: 1970 to 2001, long ago. */
#define TIME_MAX_S 1000000000

static uint64_t draw(struct twins *t)
{
	uint64_t z = t->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bool one_in(struct twins *t, unsigned int n)
{
	return draw(t) % n == 0;
}

void twins_fail(const struct twins *t, const char *format, ...)
{
	va_list args;

	printf("FAIL after operation %llu: ", (unsigned long long)t->op);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	for (uint64_t k = 1; k <= RECENT; k++)
		if (t->recent[(t->op + k) % RECENT][0])
			printf("%s\n", t->recent[(t->op + k) % RECENT]);
	exit(1);
}

/* ---- what is drawn */

static void draw_name(struct twins *t, char *ret, bool odd)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	size_t len;

	if (!odd || !one_in(t, 24)) {
		strcpy(ret, names[draw(t) % 5]);
		return;
	}
	/* As long as may be, or longer; of any bytes. */
	len = NAME_LEN_MAX + (one_in(t, 4) ? 1 : 0);
	memset(ret, one_in(t, 2) ? 0xff : 'l', len);
	ret[len] = '\0';
}

static void draw_path(struct twins *t, char *ret)
{
	static const unsigned int depths[] = { 1, 1, 1, 2, 2, 2, 2, 3 };
	unsigned int depth = depths[draw(t) % 8];
	size_t end;

	*ret = '\0';
	for (unsigned int k = 0; k < depth; k++) {
		if (k)
			strcat(ret, one_in(t, 40) ? "/./" : "/");
		draw_name(t, ret + strlen(ret), true);
	}
	switch (draw(t) % 150) {
	case 0:
		strcat(ret, "/");
		break;
	case 1:
		strcat(ret, "/.");
		break;
	case 2:
		/* (never above the top: targets of symlinks have none) */
		strcat(ret, "/..");
		break;
	case 3:
		*ret = '\0';
		break;
	case 4:
		end = PATH_MAX - 40 + draw(t) % 80;
		while (strlen(ret) < end)
			strcat(ret, "/d");
		break;
	}
}

/* What a symlink leads to may be anything, but not out of the tree. */
static bool leads_out(const char *target)
{
	size_t len = strlen(target);

	return len >= 2 && !strcmp(target + len - 2, "..");
}

static void put_le(uint8_t **at, uint32_t value, int bytes)
{
	for (int k = 0; k < bytes; k++)
		*(*at)++ = (uint8_t)(value >> 8 * k);
}

static void draw_acl(struct twins *t, struct args *a)
{
	static const uint16_t tags[] = { 1, 2, 4, 8, 16, 32 };
	uint8_t *at = a->value;

	put_le(&at, 2, 4);
	for (size_t k = 0; k < 6; k++) {
		bool of = tags[k] == 2 || tags[k] == 8;
		uint64_t leave = draw(t);

		if (leave % (of ? 2 : 30) == 0)
			continue;
		put_le(&at, tags[k], 2);
		put_le(&at, (uint32_t)(draw(t) % 8), 2);
		put_le(&at, of ? 1 + (uint32_t)(draw(t) % 2) : UINT32_MAX, 4);
	}
	a->value_len = (size_t)(at - a->value) - (one_in(t, 60) ? 1 : 0);
	if (one_in(t, 12))
		a->value_len = 4;	/* no ACL any more */
}

static void draw_xattr(struct twins *t, struct args *a)
{
	static const char *const names[] = {
		"user.a", "user.a", "user.b", "trusted.a", "user.", "other.a",
		"system.posix_acl_access", "system.posix_acl_access",
		"system.posix_acl_default", "security.a",
	};

	a->name = names[draw(t) % 10];
	if (!strncmp(a->name, "system.", 7)) {
		draw_acl(t, a);
		return;
	}
	a->value_len = draw(t) % 60;
	for (size_t k = 0; k < a->value_len; k++)
		a->value[k] = (uint8_t)draw(t);
}

static struct timespec draw_time(struct twins *t)
{
	struct timespec time = {
		.tv_sec = (time_t)(draw(t) % TIME_MAX_S),
		.tv_nsec = (long)(draw(t) % 1000000000),
	};

	if (one_in(t, 5))
		time.tv_nsec = UTIME_NOW;
	else if (one_in(t, 5))
		time.tv_nsec = UTIME_OMIT;
	return time;
}

static void draw_args(struct twins *t, struct args *ret)
{
	static const mode_t modes[] = { 0, 0644, 0755, 0777, 0700, 0600 };

	draw_path(t, ret->path[0]);
	if (one_in(t, 30))
		strcpy(ret->path[1], ret->path[0]);
	else
		draw_path(t, ret->path[1]);
	for (int k = 0; k < 2; k++)
		ret->fd[k] = (unsigned int)(draw(t) % FDS);
	ret->flags = (unsigned int)draw(t);
	ret->mode = modes[draw(t) % 6] | (one_in(t, 6) ? draw(t) % 010000 : 0);
	ret->uid = (uid_t)(draw(t) % 3);
	ret->gid = (gid_t)(draw(t) % 3);
	ret->at = (off_t)(draw(t) % (one_in(t, 3) ? SIZE_MAX_BYTES : 6000));
	ret->to = (off_t)(draw(t) % (one_in(t, 3) ? SIZE_MAX_BYTES : 6000));
	ret->len = draw(t) % (one_in(t, 3) ? SIZE_MAX_BYTES / 2 : 5000);
	if (one_in(t, 50))
		ret->len = 0;
	draw_xattr(t, ret);
	ret->times[0] = draw_time(t);
	ret->times[1] = draw_time(t);
}

static const struct call *draw_call(struct twins *t)
{
	unsigned int sum = 0, at;
	size_t k;

	for (k = 0; k < calls_count; k++)
		sum += calls[k].weight;
	at = (unsigned int)(draw(t) % sum);
	for (k = 0; at >= calls[k].weight; k++)
		at -= calls[k].weight;
	return &calls[k];
}

/* ---- users */

/* Which may be root's own group, and belongs to the other's as well. */
static void become(const struct twins *t, unsigned int who)
{
	static const gid_t groups[][2] = { { 0, 0 }, { 2, 0 }, { 0, 1 } };
	int r = 0;

	if (!t->root)
		return;
	if (who == 0)
		r = seteuid(0) || setegid(0) || setgroups(0, NULL);
	else
		r = setgroups(1, &groups[who][who - 1]) || setegid(who) ||
		    seteuid(who);
	if (r)
		twins_fail(t, "cannot be user %u", who);
}

/* ---- one operation */

static const char *shown(const char *path, char ret[SHOWN_BYTES])
{
	size_t len = strlen(path);

	if (len < 36)
		return path;
	snprintf(ret, SHOWN_BYTES, "%.12s...%.8s (%zu)",
		 (uint8_t)path[0] == 0xff ? "\\377" : path,
		 path + len - 8, len);
	return ret;
}

static void note(struct twins *t, const struct call *call,
		 const struct args *a, long result)
{
	char p[SHOWN_BYTES], q[SHOWN_BYTES], *line = t->recent[t->op % RECENT];
	const char *uses = call->uses;

	snprintf(line, LINE_BYTES, "%8llu by %u %s", (unsigned long long)t->op,
		 t->who, call->name);
	for (; *uses; uses++) {
		size_t len = strlen(line);

		if (*uses == 'p' || *uses == 'q')
			snprintf(line + len, LINE_BYTES - len, " %s",
				 shown(a->path[*uses - 'p'],
				       *uses == 'p' ? p : q));
		else
			snprintf(line + len, LINE_BYTES - len, " #%u",
				 a->fd[*uses - 'f']);
	}
	snprintf(line + strlen(line), LINE_BYTES - strlen(line),
		 " [flags %x mode %o ids %u:%u at %lld to %lld len %zu "
		 "attr %s, %zu]: %s%ld", a->flags, a->mode, a->uid, a->gid,
		 (long long)a->at, (long long)a->to, a->len, a->name,
		 a->value_len, result < 0 ? strerror((int)-result) : "",
		 result);
}

static void step(struct twins *t)
{
	const struct call *call = draw_call(t);
	static struct args args;
	struct before before;
	long result[SIDES];

	draw_args(t, &args);
	t->who = one_in(t, 4) ? 1 + (unsigned int)(draw(t) % 2) : 0;
	if (!strcmp(call->name, "symlink") && leads_out(args.path[1]))
		return;
	look_lost(t);
	look_before(t, &args, &before);
	become(t, t->who);
	for (int s = 0; s < SIDES; s++) {
		t->side[s].out_len = 0;
		result[s] = call->run(t, &t->side[s], &args);
	}
	become(t, 0);
	note(t, call, &args, result[0]);
	if (t->trace)
		printf("%s\n", t->recent[t->op % RECENT]);
	if (result[0] != result[1])
		twins_fail(t, "%s: %ld%s%s, and %ld%s%s", call->name,
			   result[0], result[0] < 0 ? " " : "",
			   result[0] < 0 ? strerror((int)-result[0]) : "",
			   result[1], result[1] < 0 ? " " : "",
			   result[1] < 0 ? strerror((int)-result[1]) : "");
	if (memcmp(t->side[0].out, t->side[1].out, t->side[0].out_len) != 0)
		twins_fail(t, "%s: other bytes", call->name);
	t->succeeded += result[0] >= 0;
	look_behind(t, &args, &before);
}

/* ---- trees */

static void remove_below(const struct twins *t, const char *what)
{
	for (int s = 0; s < SIDES; s++) {
		char *command;

		/* (a path may be longer than a call takes) */
		if (asprintf(&command, "cd /proc/%d/fd/%d && "
			     "find . -mindepth 1 -maxdepth 1 -name '%s' "
			     "-exec rm -rf '{}' +", getpid(),
			     t->side[s].root, what) < 0 ||
		    system(command) != 0)
			twins_fail(t, "cannot remove in %s",
				   t->side[s].given);
		free(command);
	}
}

static void tidy(struct twins *t)
{
	static const char *const parts[] = { "a", "b", "c", "d", "e", "*" };
	size_t count = look_whole(t);

	for (int k = 0; k < 6 && count > ENTRIES_MAX; k++) {
		remove_below(t, parts[k]);
		count = look_whole(t);
	}
}

/* Does one change after another get another ctime? */
static bool times_are_fine(const struct side *s)
{
	struct timespec before = { 0 };
	struct stat st;

	for (int k = 0; k < 20; k++, before = st.st_ctim)
		if (fchmod(s->root, 0755) || fstat(s->root, &st) ||
		    (st.st_ctim.tv_sec == before.tv_sec &&
		     st.st_ctim.tv_nsec == before.tv_nsec))
			return false;
	return true;
}

static int side_begin(struct side *s, const char *given)
{
	char path[4096];

	s->given = given;
	for (int k = 0; k < FDS; k++)
		s->fd[k] = -1;
	/* Two deep, so that what is above it is alike, too. */
	snprintf(path, sizeof(path), "%s/twins", given);
	if (mkdir(path, 0755))
		return -errno;
	strcat(path, "/top");
	if (mkdir(path, 0755))
		return -errno;
	s->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->out = malloc(SIZE_MAX_BYTES);
	return s->root < 0 ? -errno : s->out ? 0 : -ENOMEM;
}

static void side_end(struct side *s)
{
	char path[4096];

	for (int k = 0; k < FDS; k++)
		if (s->fd[k] >= 0)
			close(s->fd[k]);
	close(s->root);
	free(s->out);
	snprintf(path, sizeof(path), "%s/twins/top", s->given);
	if (rmdir(path))
		perror(path);
	*strrchr(path, '/') = '\0';
	if (rmdir(path))
		perror(path);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	uint64_t operations = argc > 4 ? strtoull(argv[4], NULL, 10)
				       : OPERATIONS_DEFAULT;
	static struct twins twins;
	struct twins *t = &twins;

	if (argc < 3) {
		fprintf(stderr, "usage: %s DIRECTORY DIRECTORY [SEED "
			"[OPERATIONS [trace]]]\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	t->seed = seed;
	t->trace = argc > 5;
	t->root = geteuid() == 0;
	clock_gettime(CLOCK_REALTIME, &t->begin);
	t->bytes = malloc(SIZE_MAX_BYTES);
	for (int s = 0; s < SIDES; s++) {
		int r = side_begin(&t->side[s], argv[1 + s]);

		if (r < 0 || !t->bytes) {
			fprintf(stderr, "%s: %s\n", argv[1 + s], strerror(-r));
			return 2;
		}
	}
	for (size_t k = 0; k < SIZE_MAX_BYTES; k++)
		t->bytes[k] = (uint8_t)draw(t);
	t->fine = times_are_fine(&t->side[0]) && times_are_fine(&t->side[1]);
	for (; t->op < operations; t->op++) {
		step(t);
		if (t->op % WHOLE_EVERY == 0)
			tidy(t);
	}
	look_whole(t);
	remove_below(t, "*");
	for (int s = 0; s < SIDES; s++)
		side_end(&t->side[s]);
	free(t->bytes);
	printf("ok seed %llu, %llu operations, %llu succeeded%s\n",
	       (unsigned long long)seed, (unsigned long long)operations,
	       (unsigned long long)t->succeeded,
	       t->fine ? "" : ", times not compared");
	return 0;
}
