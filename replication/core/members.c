/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set is small (laptops of people), so it is an array, searched from
 * the start. Records in the store were checked before they went there; they
 * are read in order of key and put in order of signing again, for a peer
 * takes a set only in that order.
 *
 * Two inviters may admit two devices with one label while they are apart.
 * Labels are for people, so both stay and the younger (added_ms, then
 * device) is shown with a number behind: a pure function of the set.
 */
#include "replication/core/members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of one encoded record: 16+32+1+32+8+32+64 and a few. */
#define MEMBER_BYTES_MAX 512

void members_release(struct members *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->list[i]);
	m->count = 0;
}

struct member_entry *members_find(struct members *m,
				  const struct device *device)
{
	for (size_t i = 0; i < m->count; i++)
		if (device_equal(&m->list[i]->member.device, device))
			return m->list[i];
	return NULL;
}

bool members_has(struct members *m, const struct device *device)
{
	const struct member_entry *e = members_find(m, device);

	return e && !e->removed;
}

bool addresses_are_valid(struct slice text)
{
	if (text.len > ADDRESSES_BYTES_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] >= 0x7f)
			return false;
	return true;
}

/* ---- labels as shown */

static bool label_is_shown(const struct members *m, size_t before,
			   const char *label)
{
	for (size_t i = 0; i < before; i++)
		if (!strcmp(m->list[i]->label, label))
			return true;
	return false;
}

static void label_make_free(const struct members *m, size_t before,
			    const char *wanted, char ret[LABEL_BYTES_MAX + 1])
{
	snprintf(ret, LABEL_BYTES_MAX + 1, "%s", wanted);
	for (unsigned int n = 2; label_is_shown(m, before, ret); n++) {
		char tail[12];
		int len = snprintf(tail, sizeof(tail), "-%u", n);

		snprintf(ret, LABEL_BYTES_MAX + 1, "%.*s%s",
			 LABEL_BYTES_MAX - len, wanted, tail);
	}
}

void members_free_label(const struct members *m, struct slice wanted,
			char ret[LABEL_BYTES_MAX + 1])
{
	char text[LABEL_BYTES_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int)wanted.len,
		 (const char *)wanted.data);
	label_make_free(m, m->count, text, ret);
}

static int member_compare_age(const void *a, const void *b)
{
	const struct member *x = &(*(struct member_entry *const *)a)->member;
	const struct member *y = &(*(struct member_entry *const *)b)->member;

	if (x->added_ms != y->added_ms)
		return x->added_ms < y->added_ms ? -1 : 1;
	return device_compare(&x->device, &y->device);
}

static void members_name(struct members *m)
{
	struct members by_age = {.count = m->count};

	memcpy(by_age.list, m->list, m->count * sizeof(m->list[0]));
	qsort(by_age.list, by_age.count, sizeof(by_age.list[0]),
	      member_compare_age);
	for (size_t i = 0; i < by_age.count; i++)
		label_make_free(&by_age, i, by_age.list[i]->member.label,
				by_age.list[i]->label);
}

/* ---- the store */

static int member_read(struct slice value, struct member_entry *ret)
{
	struct reader r = READER(value.data, value.len);
	struct slice record = reader_string(&r, MEMBER_BYTES_MAX);
	struct slice addresses = reader_string(&r, ADDRESSES_BYTES_MAX);
	struct slice removal = reader_string(&r, MEMBER_BYTES_MAX);
	struct reader rec = READER(record.data, record.len);
	struct reader gone = READER(removal.data, removal.len);

	if (reader_done(&r) < 0 || member_decode(&rec, &ret->member) < 0 ||
	    !addresses_are_valid(addresses))
		return -EUCLEAN;
	ret->removed = removal.len;
	if (ret->removed && removal_decode(&gone, &ret->removal) < 0)
		return -EUCLEAN;
	snprintf(ret->addresses, sizeof(ret->addresses), "%.*s",
		 (int)addresses.len, (const char *)addresses.data);
	return 0;
}

int members_check(struct slice key, struct slice value)
{
	struct member_entry e = { .removed = false };

	return key.len == sizeof(struct device) ? member_read(value, &e) :
						  -EUCLEAN;
}

/* Signers first: each pass takes whose signer is taken already. Those whose
 * signer's record was lost to damage were checked before, and come last. */
static void members_sort(struct members *m)
{
	size_t done = 0;

	while (done < m->count) {
		size_t before = done;

		for (size_t i = done; i < m->count; i++) {
			struct member_entry *e = m->list[i];
			struct members taken = {.count = done};

			memcpy(taken.list, m->list, done * sizeof(e));
			if (!device_equal(&e->member.signer,
					  &e->member.device) &&
			    !members_find(&taken, &e->member.signer))
				continue;
			m->list[i] = m->list[done];
			m->list[done++] = e;
		}
		if (done == before)
			break;
	}
}

int members_load(struct members *m, struct store *store)
{
	struct slice key = {NULL, 0}, value;
	uint8_t from[sizeof(struct device) + 1];
	int r = store_seek(store, TABLE_MEMBER, key, &key, &value);

	for (; r == 0;
	     r = store_seek(store, TABLE_MEMBER, SLICE(from, sizeof(from)),
			    &key, &value)) {
		struct member_entry *e;

		if (key.len != sizeof(struct device) || m->count == MEMBERS_MAX)
			return -EUCLEAN;
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		m->list[m->count++] = e;
		r = member_read(value, e);
		if (r < 0)
			return r;
		/* The key after this one: the same and a zero. */
		memcpy(from, key.data, key.len);
		from[key.len] = 0;
	}
	if (r != -ENOENT)
		return r;
	members_sort(m);
	members_name(m);
	return 0;
}

int members_volume(struct store *store, struct volid *ret)
{
	uint8_t from[sizeof(struct device) + 1];
	struct slice key, value;
	size_t len = 0;
	bool sound;

	while (!store_peek(store, TABLE_MEMBER, SLICE(from, len), &key, &value,
			   &sound) && key.len == sizeof(struct device)) {
		struct member_entry e = {.removed = false};

		if (sound && !member_read(value, &e) &&
		    !member_verify(&e.member)) {
			*ret = e.member.volume;
			return 0;
		}
		memcpy(from, key.data, key.len);
		from[key.len] = 0;
		len = sizeof(from);
	}
	return -ENOENT;
}

static int member_put(struct store *store, const struct member_entry *e)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	cleanup(buf_release) struct buf record = BUF_INIT;

	member_encode(&e->member, &record);
	buf_put_string(&b, buf_slice(&record));
	buf_put_string(&b, SLICE_STR(e->addresses));
	buf_reset(&record);
	if (e->removed)
		removal_encode(&e->removal, &record);
	buf_put_string(&b, buf_slice(&record));
	if (buf_error(&record) < 0 || buf_error(&b) < 0)
		return -ENOMEM;
	return store_put(store, TABLE_MEMBER,
			 SLICE(e->member.device.b, sizeof(struct device)),
			 buf_slice(&b));
}

int members_save(struct store *store, const struct members *m, size_t from,
		 size_t to)
{
	int r;

	store_lock(store);
	r = store_op_begin(store);
	if (r == 0) {
		for (size_t i = from; r == 0 && i < to; i++)
			r = member_put(store, m->list[i]);
		if (r == 0)
			r = store_op_end(store);
		else
			store_op_abort(store);
	}
	store_unlock(store);
	return r;
}

/* ---- adopting */

static int members_add(struct members *m, const struct member *record)
{
	struct member_entry *e;

	if (m->count == MEMBERS_MAX)
		return -E2BIG;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->member = *record;
	m->list[m->count++] = e;
	members_name(m);
	return 1;
}

/* Is it the founder's, whose record was lost, and not those that it signed? */
static bool is_signer(const struct members *m, const struct member *record)
{
	if (!device_equal(&record->signer, &record->device))
		return false;
	for (size_t i = 0; i < m->count; i++)
		if (device_equal(&m->list[i]->member.signer, &record->device))
			return true;
	return false;
}

int members_adopt(struct members *m, const struct member *record)
{
	int r;

	if (!volid_equal(m->volume, record->volume))
		return -EBADMSG;
	if (members_find(m, &record->device))
		return 0;
	if (!members_find(m, &record->signer) && !is_signer(m, record))
		return -EBADMSG;
	r = member_verify(record);
	return r < 0 ? r : members_add(m, record);
}

int members_adopt_first(struct members *m, const struct member *record)
{
	int r;

	if (m->count || !volid_equal(m->volume, record->volume) ||
	    !device_equal(&record->signer, &record->device))
		return -EBADMSG;
	r = member_verify(record);
	return r < 0 ? r : members_add(m, record);
}

int members_remove(struct members *m, const struct member_removal *removal)
{
	struct member_entry *e = members_find(m, &removal->device);
	int r;

	if (!volid_equal(m->volume, removal->volume) || !e ||
	    !members_find(m, &removal->signer))
		return -EBADMSG;
	if (e->removed)
		return 0;
	r = removal_verify(removal);
	if (r < 0)
		return r;
	e->removal = *removal;
	e->removed = true;
	return 1;
}

/* ---- MEMBERS */

static void removals_encode(const struct members *m, struct buf *b)
{
	size_t count = 0;

	for (size_t i = 0; i < m->count; i++)
		count += m->list[i]->removed;
	buf_put_varint(b, count);
	for (size_t i = 0; i < m->count; i++) {
		cleanup(buf_release) struct buf record = BUF_INIT;

		if (!m->list[i]->removed)
			continue;
		removal_encode(&m->list[i]->removal, &record);
		buf_put_string(b, buf_slice(&record));
		if (record.failed)
			b->failed = true;
	}
}

void members_encode(const struct members *m, size_t from, struct buf *b)
{
	buf_put_varint(b, m->count - from);
	for (size_t i = from; i < m->count; i++) {
		cleanup(buf_release) struct buf record = BUF_INIT;

		member_encode(&m->list[i]->member, &record);
		buf_put_string(b, buf_slice(&record));
		if (record.failed)
			b->failed = true;
	}
	removals_encode(m, b);
}

int members_decode(struct reader *r,
		   int (*fn)(void *arg, const struct member *), void *arg)
{
	uint64_t count = reader_varint(r);

	if (count > MEMBERS_MAX)
		return -EBADMSG;
	for (uint64_t i = 0; i < count; i++) {
		struct slice s = reader_string(r, MEMBER_BYTES_MAX);
		struct reader record = READER(s.data, s.len);
		struct member m;
		int e;

		if (reader_ok(r) < 0 || member_decode(&record, &m) < 0)
			return -EBADMSG;
		e = fn(arg, &m);
		if (e < 0)
			return e;
	}
	return reader_ok(r);
}

int removals_decode(struct reader *r,
		    int (*fn)(void *arg, const struct member_removal *), void *arg)
{
	uint64_t count = reader_varint(r);

	if (count > MEMBERS_MAX)
		return -EBADMSG;
	for (uint64_t i = 0; i < count; i++) {
		struct slice s = reader_string(r, MEMBER_BYTES_MAX);
		struct reader record = READER(s.data, s.len);
		struct member_removal m;
		int e;

		if (reader_ok(r) < 0 || removal_decode(&record, &m) < 0)
			return -EBADMSG;
		e = fn(arg, &m);
		if (e < 0)
			return e;
	}
	return reader_ok(r);
}
