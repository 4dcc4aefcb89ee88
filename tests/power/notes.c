/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes of how long syncs took, and how long their threads waited for a
 * processor: what a machine that is busy is excused for when it is judged
 * whether something was durable in time. KIN_POWER_NOTES names the file, of
 * zeros, which is mapped (a daemon closes descriptors that it does not know):
 * u64 notes so far, then the notes. When it is full, the daemon dies: a rig
 * that has no notes would excuse too little.
 *
 * /proc/thread-self/schedstat: the time on a processor, then the time in
 * wait for one, in ns.
 */
#undef _FILE_OFFSET_BITS

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/macro.h"
#include "preload.h"

#define NS_PER_S 1000000000u
/* Less time is taken by any write. */
#define SLOW_NS 5000000u

static struct notes {
	uint64_t count;
	struct note notes[];
} * notes;
static uint64_t notes_max;

__attribute__((constructor)) static void notes_open(void)
{
	const char *path = getenv("KIN_POWER_NOTES");

	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct stat st;
	void *map;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && st.st_size > (off_t)sizeof(*notes)) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
		if (map != MAP_FAILED)
			notes = map;
		notes_max = ((size_t)st.st_size - sizeof(*notes)) /
			    sizeof(notes->notes[0]);
	}
	close(fd);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t waited_ns(void)
{
	char text[100], *end;
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[MAX_OF(n, 0)] = '\0';
	(void)!strtoull(text, &end, 10);
	return strtoull(end, NULL, 10);
}

struct note note_begin(int fd)
{
	struct note note = {0};

	if (!notes || fd < 0)
		return note;
	note.kind = (unsigned char)kind_of(fd);
	if (!note.kind)
		return note;
	note.thread = (uint32_t)gettid();
	note.begin_waited_ns = waited_ns();
	note.begin_ns = now_ns();
	return note;
}

struct note note_begin_write(int fd)
{
	struct note note = {0};
	char kind = notes ? kind_of(fd) : 0;

	/* (LMDB writes its root so that it is durable at once) */
	if (kind == 't')
		return note_begin(fd);
	if (kind == 's' || kind == 'l') {
		note.kind = 'w';
		note.thread = (uint32_t)gettid();
		note.begin_ns = now_ns();
	}
	return note;
}

void note_end(struct note *note)
{
	uint64_t n;

	if (!note->kind)
		return;
	note->end_ns = now_ns();
	if (note->kind == 'w' && note->end_ns - note->begin_ns < SLOW_NS)
		return;
	note->end_waited_ns = waited_ns();
	n = __atomic_fetch_add(&notes->count, 1, __ATOMIC_RELAXED);
	if (n >= notes_max)
		abort();
	notes->notes[n] = *note;
}
