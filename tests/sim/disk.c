/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each write notes what was there before it, until a sync of its file makes
 * it last. A cut of the power goes back through the notes, newest first, and
 * takes back what it likes: so a sector has some content that it had since
 * the last sync, each of which a disk may have.
 */
#include "tests/sim/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/macro.h"

#define SECTOR_BYTES 512
#define DISKS_MAX 16

struct disk_file {
	ino_t ino;
	char *path;
	bool named; /* its name is on the disk */
	bool born;  /* made while frozen */
};

struct disk_write {
	size_t file_index; /* in files, which move */
	uint64_t offset, len, old_size;
	uint8_t *old; /* of len bytes; 0 beyond the old end */
	bool frozen;
};

static struct disk *disks[DISKS_MAX];
static size_t disk_count;
static uint64_t clock_ms;

void disk_clock(uint64_t ms)
{
	clock_ms = ms;
}

uint64_t disk_now_ms(void)
{
	return clock_ms;
}

void disk_init(struct disk *d, const char *dir, uint64_t seed)
{
	*d = (struct disk){.used = true};
	snprintf(d->dir, sizeof(d->dir), "%s", dir);
	d->dir_len = strlen(d->dir);
	rng_init(&d->rng, seed);
	kin_assert(disk_count < DISKS_MAX);
	disks[disk_count++] = d;
}

static void forget_writes(struct disk *d)
{
	for (size_t i = 0; i < d->write_count; i++)
		free(d->writes[i].old);
	d->write_count = 0;
}

static void forget_files(struct disk *d)
{
	for (size_t i = 0; i < d->file_count; i++)
		free(d->files[i].path);
	d->file_count = 0;
}

void disk_release(struct disk *d)
{
	if (!d->used)
		return;
	forget_writes(d);
	forget_files(d);
	free(d->writes);
	free(d->files);
	for (size_t i = 0; i < disk_count; i++)
		if (disks[i] == d)
			disks[i] = disks[--disk_count];
	d->used = false;
}

/* ---- what is written */

static struct disk_file *file_add(struct disk *d, const char *path, ino_t ino)
{
	struct disk_file *f;

	d->files = realloc(d->files, (d->file_count + 1) * sizeof(*d->files));
	kin_assert(d->files);
	f = &d->files[d->file_count++];
	*f = (struct disk_file){.ino = ino, .path = strdup(path)};
	kin_assert(f->path);
	return f;
}

static struct disk_file *file_find(struct disk *d, ino_t ino)
{
	for (size_t i = 0; i < d->file_count; i++)
		if (d->files[i].ino == ino)
			return &d->files[i];
	return NULL;
}

static struct disk *disk_of_path(const char *path)
{
	for (size_t i = 0; i < disk_count; i++)
		if (!strncmp(path, disks[i]->dir, disks[i]->dir_len) &&
		    (path[disks[i]->dir_len] == '/' ||
		     !path[disks[i]->dir_len]))
			return disks[i];
	return NULL;
}

struct disk *disk_of_fd(int fd, struct disk_file **ret_file, struct stat *st)
{
	char link[64], path[4096];
	struct disk *d;
	ssize_t n;

	if (!disk_count || fstat(fd, st) < 0 || !S_ISREG(st->st_mode))
		return NULL;
	for (size_t i = 0; i < disk_count; i++) {
		*ret_file = file_find(disks[i], st->st_ino);
		if (*ret_file)
			return disks[i];
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	d = disk_of_path(path);
	if (!d)
		return NULL;
	*ret_file = file_add(d, path, st->st_ino);
	(*ret_file)->born = d->frozen;
	/* (Empty: it was made just now.) */
	(*ret_file)->named = st->st_size > 0;
	return d;
}

/* All that is there when it freezes: what is new later goes. */
static void note_files(struct disk *d, const char *sub)
{
	char path[600];
	struct dirent *e;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "%s%s", d->dir, sub);
	dir = opendir(path);
	if (!dir)
		return;
	while ((e = readdir(dir))) {
		snprintf(path, sizeof(path), "%s%s%s", d->dir, sub, e->d_name);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		    !file_find(d, st.st_ino))
			file_add(d, path, st.st_ino)->named = true;
	}
	closedir(dir);
}

static void count_down(struct disk *d)
{
	if (!d->freeze_in || --d->freeze_in)
		return;
	note_files(d, "/");
	note_files(d, "/log/");
	note_files(d, "/seg/");
	d->frozen = true;
}

void disk_freeze_in(struct disk *d, uint64_t writes)
{
	if (d->used && !d->frozen)
		d->freeze_in = writes;
}

static int maybe_error(struct disk *d)
{
	if (d->state != DISK_BROKEN || !rng_one_in(&d->rng, 4))
		return 0;
	d->hurt = true;
	return -EIO;
}

int disk_before_sync(struct disk *d)
{
	count_down(d);
	return maybe_error(d);
}

/* (A file that is removed is not there after a power cut either: it may be,
 * or may not.) */
bool disk_before_remove(const char *path)
{
	struct disk *d = disk_of_path(path);

	if (!d || !d->used)
		return true;
	count_down(d);
	for (size_t i = 0; !d->frozen && i < d->file_count; i++)
		if (!strcmp(d->files[i].path, path))
			d->files[i].ino = 0; /* another may get its number */
	return !d->frozen;
}

/* Opened once more: where LMDB says that a commit is valid it writes by a
 * descriptor that cannot read. */
static void read_old(int of, uint8_t *ret, uint64_t offset, uint64_t len)
{
	char link[64];
	int fd;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", of);
	fd = open(link, O_RDONLY | O_CLOEXEC);
	kin_assert(fd >= 0);
	while (len) {
		ssize_t n = pread(fd, ret, len, (off_t)offset);

		kin_assert(n >= 0);
		if (!n)
			break;
		ret += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	close(fd);
}

/* Taking back what was written before leaves these bytes. */
static void make_last(struct disk *d, size_t index, const uint8_t *data,
		      uint64_t offset, uint64_t len)
{
	for (size_t i = 0; i < d->write_count; i++) {
		struct disk_write *w = &d->writes[i];
		uint64_t from = MAX_OF(offset, w->offset);
		uint64_t to = MIN_OF(offset + len, w->offset + w->len);

		if (w->file_index != index || from >= to)
			continue;
		memcpy(w->old + (from - w->offset), data + (from - offset),
		       to - from);
		w->old_size = MAX_OF(w->old_size, to);
	}
}

int disk_before_write(struct disk *d, struct disk_file *f, int fd,
		      const struct stat *st, const void *data, uint64_t offset,
		      uint64_t len)
{
	struct disk_write *w;
	uint64_t size = (uint64_t)st->st_size;
	size_t index = (size_t)(f - d->files);
	uint64_t from = len ? offset : MIN_OF(offset, size);
	uint64_t bytes = len ? len : size - from;
	int r = maybe_error(d);

	if (r)
		return r;
	if (d->state == DISK_FULL && offset + len > size) {
		d->hurt = true;
		return -ENOSPC;
	}
	count_down(d);
	/* Bytes written with O_DSYNC are there when the call returns. */
	if (!d->frozen && len && fcntl(fd, F_GETFL) & O_DSYNC) {
		make_last(d, index, data, offset, len);
		return 0;
	}
	if (!(d->write_count & (d->write_count - 1))) {
		d->writes = realloc(d->writes,
				    (d->write_count ? 2 * d->write_count : 1) *
					    sizeof(*d->writes));
		kin_assert(d->writes);
	}
	w = &d->writes[d->write_count++];
	*w = (struct disk_write){.file_index = index,
				 .offset = from,
				 .len = bytes,
				 .old_size = size,
				 .frozen = d->frozen,
				 .old = calloc(1, bytes + 1)};
	kin_assert(w->old);
	read_old(fd, w->old, from, bytes);
	return 0;
}

/* While frozen, no sync makes anything last. */
void disk_synced(struct disk *d, struct disk_file *f)
{
	size_t index = (size_t)(f - d->files), left = 0;

	if (d->frozen)
		return;
	for (size_t i = 0; i < d->write_count; i++) {
		if (d->writes[i].file_index == index)
			free(d->writes[i].old);
		else
			d->writes[left++] = d->writes[i];
	}
	d->write_count = left;
}

void disk_synced_dir(const char *path)
{
	struct disk *d = disk_of_path(path);
	size_t len = strlen(path);
	char sub[256];

	if (!d || d->frozen)
		return;
	/* (Also of what nobody has written to yet.) */
	snprintf(sub, sizeof(sub), "%s/", path + d->dir_len);
	note_files(d, sub);
	for (size_t i = 0; i < d->file_count; i++)
		if (!strncmp(d->files[i].path, path, len) &&
		    d->files[i].path[len] == '/')
			d->files[i].named = true;
}

bool disk_path_full(const char *path)
{
	struct disk *d = disk_of_path(path);

	if (!d || d->state != DISK_FULL)
		return false;
	d->hurt = true;
	return true;
}

/* ---- what is taken back */

static bool sector_stays(struct disk *d, unsigned int percent)
{
	return rng_below(&d->rng, 100) < percent;
}

/* Takes back a write; of each sector, with this chance, not. */
static void take_back(struct disk *d, const struct disk_write *w,
		      unsigned int stays_percent)
{
	const struct disk_file *f = &d->files[w->file_index];
	int fd = open(f->path, O_RDWR | O_CLOEXEC);
	uint64_t at = w->offset, end = w->offset + w->len;
	struct stat st;
	bool all = true;

	if (fd < 0)
		return; /* its name is gone already */
	kin_assert(fstat(fd, &st) == 0);
	while (at < end) {
		uint64_t n = MIN_OF(SECTOR_BYTES - at % SECTOR_BYTES, end - at);

		if (stays_percent && sector_stays(d, stays_percent))
			all = false;
		else if (pwrite(fd, w->old + (at - w->offset), n, (off_t)at) <
			 0)
			kin_assert(!"a disk of the simulator is really full");
		at += n;
	}
	/* What it had made longer is short again, if nothing of it is left */
	if (all && w->old_size < (uint64_t)st.st_size &&
	    (uint64_t)st.st_size <= MAX_OF(end, w->old_size))
		kin_assert(ftruncate(fd, (off_t)w->old_size) == 0);
	close(fd);
}

void disk_thaw(struct disk *d)
{
	struct disk used = *d;

	if (!d->used)
		return;
	d->freeze_in = 0;
	if (!d->frozen)
		return;
	/* The calls below are not the store's. */
	d->used = d->frozen = false;
	while (d->write_count && d->writes[d->write_count - 1].frozen) {
		struct disk_write *w = &d->writes[--d->write_count];

		take_back(d, w, 0);
		free(w->old);
	}
	for (size_t i = 0; i < d->file_count; i++) {
		if (d->files[i].born)
			unlink(d->files[i].path);
		/* (another may get its name) */
		d->files[i].born = false;
	}
	d->used = used.used;
}

void disk_replaced(struct disk *d)
{
	if (!d->used)
		return;
	forget_writes(d);
	forget_files(d);
}

void disk_cut_power(struct disk *d)
{
	/* The whole of it, nothing, or pieces. */
	static const unsigned int chances[] = {0, 0, 30, 70, 100};

	if (!d->used)
		return;
	disk_thaw(d);
	d->used = false;
	while (d->write_count) {
		struct disk_write *w = &d->writes[--d->write_count];
		unsigned int stays =
			chances[rng_below(&d->rng, ARRAY_SIZE(chances))];

		if (stays < 100)
			take_back(d, w, stays);
		free(w->old);
	}
	for (size_t i = 0; i < d->file_count; i++)
		if (!d->files[i].named && rng_one_in(&d->rng, 2) &&
		    strstr(d->files[i].path, "/seg/"))
			unlink(d->files[i].path);
	forget_files(d);
	note_files(d, "/seg/");
	d->used = true;
}
