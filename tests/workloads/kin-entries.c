/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-entries DIRECTORY [COUNT [PID]]: a directory of many entries, on any
 * file system: made, listed, listed from where telldir() was, listed while
 * others come and go, looked up, and removed as rm -r does it.
 *
 * What nobody touches has to be listed exactly once, always; a place that
 * telldir() told of has to be the same place later, in another open
 * directory, and while others come and go. With the PID of a daemon its
 * memory is looked at after each step: kinfs may use 64 MiB and 400 bytes for
 * each inode that the kernel remembers.
 *
 * Exit status: 0, or 1 with what is wrong. Times are printed for people.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COUNT_DEFAULT 20000
/* Places that are kept, and gone back to. */
#define PLACES 500
/* Entries that come and go; one is touched after each few that are listed. */
#define GUESTS 500
#define TOUCH_EVERY 7
#define STATS 20000
#define MEMORY_BYTES (UINT64_C(64) << 20)
#define MEMORY_INODE_BYTES 400

struct place {
	long at;
	unsigned long next;	/* what is listed from there */
};

struct run {
	unsigned long count;
	int dir;
	long pid;
	uint8_t *seen;		/* how often each was listed */
	bool guest[GUESTS];
	struct place places[PLACES];
	size_t place_count;
	uint64_t seed;
	struct timespec begin;
};

static uint64_t draw(struct run *r)
{
	uint64_t z = r->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void check(bool ok, const char *what, unsigned long number)
{
	if (ok)
		return;
	printf("FAIL %s, entry %lu (%s)\n", what, number, strerror(errno));
	exit(1);
}

/* RssAnon of the daemon; 0: nobody asked, or it is gone. */
static uint64_t memory_of(long pid)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	f = pid ? fopen(path, "re") : NULL;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %lu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (uint64_t)kib << 10;
}

/* Ends a step; `inodes`: what the kernel may remember. */
static void step_done(struct run *r, const char *what, unsigned long inodes)
{
	uint64_t memory = memory_of(r->pid);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%-34s %8.2f s", what,
	       (double)(now.tv_sec - r->begin.tv_sec) +
		       (double)(now.tv_nsec - r->begin.tv_nsec) / 1e9);
	if (memory)
		printf("  %6.1f MiB", (double)memory / (1 << 20));
	printf("\n");
	fflush(stdout);
	errno = 0;
	check(memory <= MEMORY_BYTES + MEMORY_INODE_BYTES * (uint64_t)inodes,
	      "the daemon's memory is too large", inodes);
	clock_gettime(CLOCK_MONOTONIC, &r->begin);
}

/* ---- names */

static void name_of(unsigned long number, char ret[32])
{
	snprintf(ret, 32, "entry-%07lu", number);
}

/* The number of an entry, or count: a guest, a dot. */
static unsigned long number_of(const struct run *r, const char *name)
{
	unsigned long n;

	if (sscanf(name, "entry-%lu", &n) != 1)
		return r->count;
	check(n < r->count, "a name that nobody made", n);
	return n;
}

static void make_all(struct run *r)
{
	char name[32];

	for (unsigned long k = 0; k < r->count; k++) {
		name_of(k, name);
		check(!mknodat(r->dir, name, S_IFREG | 0644, 0), "mknod", k);
	}
	step_done(r, "made", r->count);
}

/* One that comes, goes, or gets another name. */
static void touch_guest(struct run *r)
{
	size_t k = draw(r) % GUESTS, to = draw(r) % GUESTS;
	char name[32], new[32];

	snprintf(name, sizeof(name), "guest-%zu", k);
	snprintf(new, sizeof(new), "guest-%zu", to);
	if (!r->guest[k]) {
		check(!mknodat(r->dir, name, S_IFREG | 0644, 0), "mknod", k);
		r->guest[k] = true;
	} else if (draw(r) % 2) {
		check(!unlinkat(r->dir, name, 0), "unlink", k);
		r->guest[k] = false;
	} else {
		check(!renameat(r->dir, name, r->dir, new), "rename", k);
		r->guest[k] = k == to;
		r->guest[to] = true;
	}
}

/* ---- listing */

static DIR *open_again(const struct run *r)
{
	DIR *d = fdopendir(openat(r->dir, ".", O_RDONLY | O_CLOEXEC));

	check(d != NULL, "opendir", 0);
	return d;
}

static struct dirent *next(DIR *d)
{
	struct dirent *e;

	errno = 0;
	e = readdir(d);
	check(e || !errno, "readdir", 0);
	return e;
}

/* The next entry that is no guest; count: none. */
static unsigned long next_number(const struct run *r, DIR *d)
{
	struct dirent *e;

	while ((e = next(d))) {
		unsigned long n = number_of(r, e->d_name);

		if (n < r->count)
			return n;
	}
	return r->count;
}

static void all_seen_once(struct run *r)
{
	errno = 0;
	for (unsigned long k = 0; k < r->count; k++)
		check(r->seen[k] == 1, r->seen[k] ? "listed twice"
						  : "not listed", k);
	memset(r->seen, 0, r->count);
}

static void list_all(struct run *r, bool guests, bool places)
{
	unsigned long every = r->count / PLACES + 1, n = 0, number;
	DIR *d = open_again(r);
	long at = telldir(d);

	while ((number = next_number(r, d)) < r->count) {
		r->seen[number] += r->seen[number] < 2;
		if (places && n % every == 0)
			r->places[r->place_count++] =
				(struct place){ at, number };
		if (guests && n % TOUCH_EVERY == 0)
			touch_guest(r);
		n++;
		at = telldir(d);
	}
	closedir(d);
	all_seen_once(r);
}

/* In any order, in a directory opened anew, with guests. */
static void go_back(struct run *r, bool guests)
{
	DIR *d = open_again(r);

	for (size_t k = 0; k < r->place_count * 2; k++) {
		struct place *p = &r->places[draw(r) % r->place_count];

		seekdir(d, p->at);
		check(next_number(r, d) == p->next, "another place", p->next);
		if (guests)
			touch_guest(r);
	}
	closedir(d);
}

static void look_up(struct run *r)
{
	struct stat st;
	char name[32];

	for (int k = 0; k < STATS; k++) {
		unsigned long n = draw(r) % r->count;

		name_of(n, name);
		check(!fstatat(r->dir, name, &st, 0), "stat", n);
		name[0] = 'n';
		check(fstatat(r->dir, name, &st, 0) && errno == ENOENT,
		      "what is not there", n);
	}
	step_done(r, "looked up 20,000, and as many others", r->count);
}

/* While it is listed, from the beginning until nothing is left. */
static void remove_all(struct run *r)
{
	unsigned long left = 1;

	while (left) {
		DIR *d = open_again(r);
		struct dirent *e;

		left = 0;
		while ((e = next(d))) {
			if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
				continue;
			check(!unlinkat(r->dir, e->d_name, 0), "unlink", left);
			left++;
		}
		closedir(d);
	}
	step_done(r, "removed", r->count);
}

int main(int argc, char **argv)
{
	static struct run run = { .count = COUNT_DEFAULT, .seed = 1 };
	struct run *r = &run;

	if (argc > 2)
		r->count = strtoul(argv[2], NULL, 10);
	if (argc > 3)
		r->pid = strtol(argv[3], NULL, 10);
	r->seen = calloc(r->count + 1, 1);
	if (argc < 2 || !r->count || !r->seen || chdir(argv[1]) ||
	    mkdir("entries", 0755)) {
		fprintf(stderr, "usage: %s DIRECTORY [COUNT [PID]]\n",
			argv[0]);
		return 2;
	}
	r->dir = open("entries", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(r->dir >= 0, "open", 0);
	clock_gettime(CLOCK_MONOTONIC, &r->begin);
	make_all(r);
	list_all(r, false, true);
	step_done(r, "listed", r->count);
	list_all(r, false, false);
	step_done(r, "listed again", r->count);
	go_back(r, false);
	step_done(r, "gone back to 1,000 places", r->count);
	list_all(r, true, false);
	step_done(r, "listed while others come and go", r->count);
	go_back(r, true);
	step_done(r, "gone back while others come and go", r->count);
	look_up(r);
	remove_all(r);
	check(!rmdir("entries"), "rmdir", 0);
	free(r->seen);
	printf("ok %lu entries\n", r->count);
	return 0;
}
