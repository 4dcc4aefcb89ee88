/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/front/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/macro.h"

#define HANDOVER_MAGIC UINT64_C(0x6b696e6668616e64) /* "kinfhand" */
#define HANDOVER_VERSION 1
/* The request is 104 bytes in protocol 7.36 and may grow. */
#define INIT_BYTES_MAX 1024
#define HEAD_BYTES 4096u
/* Slots of the first table, and of the last: no Linux has more open files. */
#define TABLE_BITS_MIN 10u
#define TABLE_BITS_MAX 26u
/* Address space for all tables: those up to the last, one after another. */
#define MAP_BYTES (HEAD_BYTES + (sizeof(struct slot) << (TABLE_BITS_MAX + 1)))

struct slot {
	_Atomic uint64_t ino;		/* 0: free */
	_Atomic uint64_t counts;	/* opens, and in the upper half writers */
};

struct handover_head {
	uint64_t magic;
	uint32_t version;
	uint32_t init_len;
	uint64_t mount;
	uint32_t want;
	_Atomic uint32_t turns;
	/* Of the table that counts: log2 of its slots, and in the upper half
	 * where it begins in the file. One word, so it changes at once. */
	_Atomic uint64_t table;
	_Atomic uint64_t closes[HANDOVER_SLOTS];
	uint8_t init[INIT_BYTES_MAX];
};

_Static_assert(sizeof(struct handover_head) <= HEAD_BYTES, "one page");

struct handover {
	pthread_mutex_t mutex;	/* of the table; other processes have none */
	int fd;
	size_t bytes;		/* of the file */
	size_t used;		/* slots that are taken */
	union {
		struct handover_head *head;
		uint8_t *map;
	};
};

static struct slot *table_of(const struct handover *h, size_t *ret_slots)
{
	uint64_t t = atomic_load(&h->head->table);

	*ret_slots = (size_t)1 << (t & 0xffffffff);
	return (struct slot *)(h->map + (size_t)(t >> 32) * HEAD_BYTES);
}

static uint64_t table_word(size_t at, unsigned int bits)
{
	return (uint64_t)(at / HEAD_BYTES) << 32 | bits;
}

int handover_create(uint64_t mount)
{
	struct handover_head head = {
		.magic = HANDOVER_MAGIC,
		.version = HANDOVER_VERSION,
		.mount = mount,
		.table = table_word(HEAD_BYTES, TABLE_BITS_MIN),
	};
	off_t bytes = HEAD_BYTES +
		      (off_t)(sizeof(struct slot) << TABLE_BITS_MIN);
	autoclose int fd = memfd_create("kinfs-handover", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	/* (allocated, so that no write to it can fail) */
	if (fallocate(fd, 0, 0, bytes) < 0 ||
	    pwrite(fd, &head, sizeof(head), 0) != sizeof(head))
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

static int check(const struct handover *h)
{
	const struct handover_head *head = h->head;
	uint64_t t = atomic_load(&head->table);
	uint64_t bits = t & 0xffffffff, at = (t >> 32) * HEAD_BYTES;

	if (head->magic != HANDOVER_MAGIC)
		return -EUCLEAN;
	if (head->version != HANDOVER_VERSION)
		return -EPROTONOSUPPORT;
	if (head->init_len > INIT_BYTES_MAX || bits < TABLE_BITS_MIN ||
	    bits > TABLE_BITS_MAX || at < HEAD_BYTES || at > h->bytes ||
	    (sizeof(struct slot) << bits) > h->bytes - at)
		return -EUCLEAN;
	return 0;
}

static void count_used(struct handover *h)
{
	size_t slots;
	struct slot *table = table_of(h, &slots);

	for (size_t k = 0; k < slots; k++)
		h->used += atomic_load(&table[k].ino) != 0;
}

int handover_open(int fd, struct handover **ret)
{
	struct handover *h = calloc(1, sizeof(*h));
	struct stat st;
	int r = 0;

	if (!h)
		return -ENOMEM;
	pthread_mutex_init(&h->mutex, NULL);
	h->map = MAP_FAILED;
	h->fd = -1;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (st.st_size < (off_t)HEAD_BYTES)
		r = -EUCLEAN;
	if (r == 0) {
		h->bytes = (size_t)st.st_size;
		h->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		/* More than there is yet: it grows. */
		h->map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_NORESERVE, fd, 0);
		if (h->fd < 0 || h->map == MAP_FAILED)
			r = -errno;
	}
	if (r == 0)
		r = check(h);
	if (r < 0) {
		handover_close(h);
		return r;
	}
	count_used(h);
	*ret = h;
	return 0;
}

void handover_close(struct handover *h)
{
	if (!h)
		return;
	if (h->map != MAP_FAILED)
		munmap(h->map, MAP_BYTES);
	if (h->fd >= 0)
		close(h->fd);
	pthread_mutex_destroy(&h->mutex);
	free(h);
}

uint64_t handover_mount(const struct handover *h)
{
	return h->head->mount;
}

uint32_t handover_turns(const struct handover *h)
{
	return atomic_load(&h->head->turns);
}

void handover_take(struct handover *h)
{
	atomic_fetch_add(&h->head->turns, 1);
}

struct slice handover_init(const struct handover *h)
{
	return SLICE(h->head->init, h->head->init_len);
}

uint32_t handover_want(const struct handover *h)
{
	return h->head->want;
}

void handover_note_init(struct handover *h, struct slice request,
			uint32_t want)
{
	struct handover_head *head = h->head;

	if (head->init_len || request.len > INIT_BYTES_MAX)
		return;
	memcpy(head->init, request.data, request.len);
	head->want = want;
	atomic_thread_fence(memory_order_release);
	head->init_len = (uint32_t)request.len;
}

/* Protocol 7.36 has a second word of flags, if the first one says so; 7.40
 * (Linux 6.9) has the flag in it. */
#define INIT_FLAGS_AT 52
#define INIT_FLAGS2_AT 56
#define INIT_EXT (UINT32_C(1) << 30)
#define INIT2_HAS_RESEND (UINT32_C(1) << 7)

static uint32_t init_word(const struct handover *h, size_t at)
{
	uint32_t word = 0;

	if (h->head->init_len >= at + sizeof(word))
		memcpy(&word, h->head->init + at, sizeof(word));
	return word;
}

bool handover_can_resend(const struct handover *h)
{
	return init_word(h, INIT_FLAGS_AT) & INIT_EXT &&
	       init_word(h, INIT_FLAGS2_AT) & INIT2_HAS_RESEND;
}

void handover_deny_resend(struct handover *h)
{
	uint32_t word = init_word(h, INIT_FLAGS2_AT) & ~INIT2_HAS_RESEND;

	if (h->head->init_len >= INIT_FLAGS2_AT + sizeof(word))
		memcpy(h->head->init + INIT_FLAGS2_AT, &word, sizeof(word));
}

/* ---- open files */

/* The slot of the inode, or the free one that it may have. There is one. */
static struct slot *slot_find(struct slot *table, size_t slots, uint64_t ino)
{
	size_t k = (ino * UINT64_C(0x9e3779b97f4a7c15)) >> 32;

	for (;; k++) {
		struct slot *s = &table[k & (slots - 1)];
		uint64_t there = atomic_load(&s->ino);

		if (!there || there == ino)
			return s;
	}
}

/* Writes a table with room, without what is closed, behind the last one, or
 * where the first tables were if that is enough; then it counts. */
static int table_renew(struct handover *h)
{
	size_t slots, live = 0, at, bytes;
	struct slot *old = table_of(h, &slots), *new;
	unsigned int bits = TABLE_BITS_MIN;

	for (size_t k = 0; k < slots; k++)
		live += (uint32_t)atomic_load(&old[k].counts) != 0;
	while ((size_t)1 << bits < 4 * live)
		bits++;
	if (bits > TABLE_BITS_MAX)
		return -ENFILE;
	bytes = sizeof(struct slot) << bits;
	/* Before the old one, if it fits there. */
	at = (size_t)((uint8_t *)old - h->map);
	at = at >= HEAD_BYTES + bytes ? HEAD_BYTES :
					at + sizeof(struct slot) * slots;
	if (at + bytes > MAP_BYTES)
		return -ENFILE;
	if (at + bytes > h->bytes) {
		if (fallocate(h->fd, 0, (off_t)at, (off_t)bytes) < 0)
			return -errno;
		h->bytes = at + bytes;
	}
	new = (struct slot *)(h->map + at);
	memset(new, 0, bytes);
	for (size_t k = 0; k < slots; k++) {
		uint64_t ino = atomic_load(&old[k].ino);
		uint64_t counts = atomic_load(&old[k].counts);
		struct slot *s;

		if (!(uint32_t)counts)
			continue;
		s = slot_find(new, (size_t)1 << bits, ino);
		atomic_store(&s->ino, ino);
		atomic_store(&s->counts, counts);
	}
	h->used = live;
	atomic_store(&h->head->table, table_word(at, bits));
	return 0;
}

static uint64_t one(bool write)
{
	return write ? (UINT64_C(1) << 32) + 1 : 1;
}

void handover_opened(struct handover *h, uint64_t ino, bool write)
{
	struct slot *table, *s;
	size_t slots;
	int r = 0;

	pthread_mutex_lock(&h->mutex);
	table = table_of(h, &slots);
	s = slot_find(table, slots, ino);
	if (!atomic_load(&s->ino) && h->used >= slots / 2) {
		r = table_renew(h);
		table = table_of(h, &slots);
		s = slot_find(table, slots, ino);
	}
	if (r < 0 && h->used >= slots - 1) {
		log_errno(r, "an open file is forgotten when the daemon is "
			  "replaced");
	} else {
		if (!atomic_load(&s->ino)) {
			atomic_store(&s->ino, ino);
			h->used++;
		}
		atomic_fetch_add(&s->counts, one(write));
	}
	pthread_mutex_unlock(&h->mutex);
}

void handover_closed(struct handover *h, uint64_t ino, bool write)
{
	struct slot *table, *s;
	size_t slots;
	uint64_t c;

	pthread_mutex_lock(&h->mutex);
	table = table_of(h, &slots);
	s = slot_find(table, slots, ino);
	c = atomic_load(&s->counts);
	if (atomic_load(&s->ino) == ino && (uint32_t)c &&
	    (!write || c >> 32))
		atomic_fetch_sub(&s->counts, one(write));
	pthread_mutex_unlock(&h->mutex);
}

void handover_note_close(struct handover *h, unsigned int slot,
			 uint64_t request)
{
	atomic_store(&h->head->closes[slot % HANDOVER_SLOTS], request);
}

bool handover_knows_close(const struct handover *h, uint64_t request)
{
	for (size_t k = 0; k < HANDOVER_SLOTS; k++)
		if (atomic_load(&h->head->closes[k]) == request)
			return true;
	return false;
}

int handover_each(struct handover *h,
		  int (*fn)(void *arg, uint64_t ino, uint32_t opens,
			    uint32_t writers),
		  void *arg)
{
	size_t slots;
	struct slot *table = table_of(h, &slots);

	for (size_t k = 0; k < slots; k++) {
		uint64_t ino = atomic_load(&table[k].ino);
		uint64_t c = atomic_load(&table[k].counts);
		int r = 0;

		if (ino && (uint32_t)c)
			r = fn(arg, ino, (uint32_t)c, (uint32_t)(c >> 32));
		if (r < 0)
			return r;
	}
	return 0;
}
