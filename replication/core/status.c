/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding of STATUS rows. K, C and V are mostly equal, and then stand
 * there once; a flag says so.
 */
#include "replication/core/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status_flags { STATUS_C_IS_K = 1, STATUS_V_IS_K = 2 };

void status_init(struct status *s, const struct device *device)
{
	*s = (struct status){.device = *device};
}

static void answers_clear(struct status *s)
{
	for (size_t i = 0; i < s->answer_count; i++)
		know_release(&s->answers[i].k);
	s->answer_count = 0;
}

void status_release(struct status *s)
{
	answers_clear(s);
	free(s->answers);
	know_release(&s->k);
	know_release(&s->c);
	know_release(&s->v);
	know_release(&s->g);
	heads_release(&s->heads);
	buf_release(&s->raw);
	status_init(s, &s->device);
}

const struct status_answer *status_answer_to(const struct status *s,
					     const struct device *asker)
{
	for (size_t i = 0; i < s->answer_count; i++)
		if (device_equal(&s->answers[i].asker, asker))
			return &s->answers[i];
	return NULL;
}

int status_set_answer(struct status *s, const struct device *asker,
		      uint64_t nonce, const struct know *k)
{
	struct status_answer *a = NULL;
	int r;

	for (size_t i = 0; i < s->answer_count; i++)
		if (device_equal(&s->answers[i].asker, asker))
			a = &s->answers[i];
	if (!a) {
		struct status_answer *p;

		if (s->answer_count == MEMBERS_MAX)
			return -E2BIG;
		p = realloc(s->answers, (s->answer_count + 1) * sizeof(*p));
		if (!p)
			return -ENOMEM;
		s->answers = p;
		a = &p[s->answer_count++];
		*a = (struct status_answer){.asker = *asker};
	}
	r = know_copy(&a->k, k);
	if (r < 0)
		return r;
	a->nonce = nonce;
	return 0;
}

void status_drop_answer(struct status *s, const struct device *asker)
{
	for (size_t i = 0; i < s->answer_count; i++) {
		if (!device_equal(&s->answers[i].asker, asker))
			continue;
		know_release(&s->answers[i].k);
		s->answers[i] = s->answers[--s->answer_count];
		return;
	}
}

static void status_encode_head(const struct status *s, struct buf *b)
{
	bool same_c = know_equal(&s->k, &s->c);
	bool same_v = know_equal(&s->k, &s->v);

	buf_put(b, s->device.b, sizeof(s->device.b));
	buf_put_u64(b, s->origin);
	buf_put_u64(b, s->beat);
	buf_put_varint(b, (same_c ? STATUS_C_IS_K : 0) |
				  (same_v ? STATUS_V_IS_K : 0));
	know_encode(&s->k, b);
	heads_encode(&s->heads, s->k.count, b);
	if (!same_c)
		know_encode(&s->c, b);
	if (!same_v)
		know_encode(&s->v, b);
	know_encode(&s->g, b);
	buf_put_varint(b, s->debt_objects);
	buf_put_varint(b, s->debt_bytes);
	buf_put_string(b, SLICE_STR(s->addresses));
	buf_put_u64(b, s->ask);
}

int status_encode(struct status *s)
{
	cleanup(buf_release) struct buf answers = BUF_INIT;
	size_t room, count = 0;

	buf_reset(&s->raw);
	status_encode_head(s, &s->raw);
	/* A head of four full vectors with marks takes 430 KiB at most. */
	room = STATUS_ROW_BYTES_MAX - s->raw.len - 2;
	for (size_t i = 0; i < s->answer_count; i++) {
		size_t before = answers.len;

		buf_put(&answers, s->answers[i].asker.b, sizeof(struct device));
		buf_put_u64(&answers, s->answers[i].nonce);
		know_encode(&s->answers[i].k, &answers);
		if (answers.len > room) {
			answers.len = before;
			break;
		}
		count++;
	}
	buf_put_varint(&s->raw, count);
	buf_put_slice(&s->raw, buf_slice(&answers));
	if (buf_error(&answers) < 0)
		return -ENOMEM;
	return buf_error(&s->raw);
}

static int status_decode_answers(struct reader *r, struct status *s)
{
	uint64_t count = reader_varint(r);

	if (reader_ok(r) < 0 || count > MEMBERS_MAX)
		return -EBADMSG;
	for (uint64_t i = 0; i < count; i++) {
		cleanup(know_release) struct know k = KNOW_INIT;
		struct device asker;
		uint64_t nonce;
		int e;

		reader_copy(r, asker.b, sizeof(asker.b));
		nonce = reader_u64(r);
		e = know_decode(r, &k);
		if (e == 0)
			e = status_set_answer(s, &asker, nonce, &k);
		if (e < 0)
			return e;
	}
	return reader_ok(r);
}

static int status_decode_fields(struct reader *r, struct status *s)
{
	struct slice addresses;
	uint64_t flags;
	int e;

	reader_copy(r, s->device.b, sizeof(s->device.b));
	s->origin = reader_u64(r);
	s->beat = reader_u64(r);
	flags = reader_varint(r);
	e = know_decode(r, &s->k);
	if (e == 0)
		e = heads_decode(r, &s->k, &s->heads);
	if (e == 0)
		e = flags & STATUS_C_IS_K ? know_copy(&s->c, &s->k)
					  : know_decode(r, &s->c);
	if (e == 0)
		e = flags & STATUS_V_IS_K ? know_copy(&s->v, &s->k)
					  : know_decode(r, &s->v);
	if (e == 0)
		e = know_decode(r, &s->g);
	if (e < 0)
		return e;
	s->debt_objects = reader_varint(r);
	s->debt_bytes = reader_varint(r);
	addresses = reader_string(r, ADDRESSES_BYTES_MAX);
	s->ask = reader_u64(r);
	/* What is complete, shown or purged must be known. */
	if (reader_ok(r) < 0 || !s->origin || !addresses_are_valid(addresses) ||
	    !know_leq(&s->c, &s->k) || !know_leq(&s->v, &s->k) ||
	    !know_leq(&s->g, &s->k))
		return -EBADMSG;
	snprintf(s->addresses, sizeof(s->addresses), "%.*s", (int)addresses.len,
		 (const char *)addresses.data);
	return status_decode_answers(r, s);
}

int status_decode(struct slice raw, struct status *ret)
{
	struct reader r = READER(raw.data, raw.len);
	int e;

	if (raw.len > STATUS_ROW_BYTES_MAX)
		return -E2BIG;
	e = status_decode_fields(&r, ret);
	if (e < 0)
		return e;
	buf_reset(&ret->raw);
	buf_put_slice(&ret->raw, raw);
	return buf_error(&ret->raw);
}
