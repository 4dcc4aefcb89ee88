/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to requests (store.h). An operation writes its answer into its own
 * log record, as an entry of META, so recovery needs no code of its own; but
 * into the tables it comes by the commit, once for a slot and not once for an
 * operation.
 */
#include <errno.h>
#include <string.h>

#include "fs/store/store_internal.h"

#define ANSWER_BYTES 24
#define ANSWER_KEY_BYTES (sizeof(META_ANSWER) - 1 + 1)

_Static_assert(STORE_ANSWERS <= 64, "a bit each in store.answered");

static struct slice answer_key(uint8_t key[ANSWER_KEY_BYTES],
			       unsigned int slot)
{
	memcpy(key, META_ANSWER, ANSWER_KEY_BYTES - 1);
	key[ANSWER_KEY_BYTES - 1] = (uint8_t)slot;
	return SLICE(key, ANSWER_KEY_BYTES);
}

static struct slice answer_encode(const struct store_answer *a,
				  uint8_t value[ANSWER_BYTES])
{
	put_le64(value, a->mount);
	put_le64(value + 8, a->request);
	put_le64(value + 16, a->result);
	return SLICE(value, ANSWER_BYTES);
}

void store_op_answers(struct store *s, unsigned int slot,
		      const struct store_answer *a)
{
	store_assert_locked(s);
	kin_assert(s->op.active && slot < STORE_ANSWERS);
	s->op.answers = true;
	s->op.slot = slot;
	s->op.answer = *a;
}

int store_answer(struct store *s, unsigned int slot, struct store_answer *ret)
{
	uint8_t key[ANSWER_KEY_BYTES];
	struct reader in;
	struct slice v;
	int r;

	store_assert_locked(s);
	*ret = (struct store_answer){ 0 };
	if (s->answered & UINT64_C(1) << slot) {
		*ret = s->answers[slot];
		return 0;
	}
	r = store_get(s, TABLE_META, answer_key(key, slot), &v);
	if (r)
		return r;
	in = READER(v.data, v.len);
	ret->mount = reader_u64(&in);
	ret->request = reader_u64(&in);
	ret->result = reader_u64(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

struct store_answer answer_note(struct store *s)
{
	struct op *op = &s->op;
	struct store_answer was = s->answers[op->slot];
	uint8_t key[ANSWER_KEY_BYTES], value[ANSWER_BYTES];
	struct slice k, v;

	log_record_put(&op->record, TABLE_META, answer_key(key, op->slot),
		       answer_encode(&op->answer, value), &k, &v);
	if (!(s->answered & UINT64_C(1) << op->slot))
		was.request = 0;
	s->answers[op->slot] = op->answer;
	s->answered |= UINT64_C(1) << op->slot;
	return was;
}

void answer_undo(struct store *s, const struct store_answer *was)
{
	s->answers[s->op.slot] = *was;
	if (!was->request)
		s->answered &= ~(UINT64_C(1) << s->op.slot);
}

int answers_put(struct store *s)
{
	int r = 0;

	for (unsigned int k = 0; !r && k < STORE_ANSWERS; k++) {
		uint8_t key[ANSWER_KEY_BYTES], value[ANSWER_BYTES];

		if (s->answered & UINT64_C(1) << k)
			r = table_put(s, TABLE_META, answer_key(key, k),
				      answer_encode(&s->answers[k], value));
	}
	return r;
}
