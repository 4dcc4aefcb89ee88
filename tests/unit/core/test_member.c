/* SPDX-License-Identifier: Apache-2.0 */
/* Member records and the rule by which a set grows. */
#include "tests/unit/core/core_support.h"

#include <errno.h>
#include <string.h>

#include "replication/core/head.h"
#include "replication/core/members.h"

static void test_record(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct member m = test_member(2, "bob", 1), back;
	struct reader r;

	(void)state;
	member_encode(&m, &b);
	assert_golden("wire-member.hex", buf_slice(&b));
	r = READER(b.data, b.len);
	assert_int_equal(member_decode(&r, &back), 0);
	assert_int_equal(reader_done(&r), 0);
	assert_string_equal(back.label, "bob");
	assert_int_equal(member_verify(&back), 0);
	for (size_t len = 0; len < b.len; len++) {
		r = READER(b.data, len);
		assert_int_equal(member_decode(&r, &back), -EBADMSG);
	}
	/* Any change of what is signed shows, or is no record. */
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		r = READER(b.data, b.len);
		if (member_decode(&r, &back) == 0 && reader_done(&r) == 0)
			assert_int_equal(member_verify(&back), -EBADMSG);
		b.data[i] ^= 1;
	}
}

static void test_head(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, message = BUF_INIT;
	struct head h = {
		.device = test_device(1),
		.origin = 0x1122334455667788,
		.seq = 300,
		.hlc = UINT64_C(1763700000000) << 16,
	}, back;
	struct volid other = test_volume();
	struct reader r;

	(void)state;
	head_encode_signed(&h, test_volume(), &message);
	test_sign(1, buf_slice(&message), h.signature);
	head_encode(&h, &b);
	assert_golden("wire-head.hex", buf_slice(&b));
	r = READER(b.data, b.len);
	assert_int_equal(head_decode(&r, &back), 0);
	assert_int_equal(reader_done(&r), 0);
	assert_int_equal(head_verify(&back, test_volume()), 0);
	other.b[0] ^= 1;
	assert_int_equal(head_verify(&back, other), -EBADMSG);
	for (size_t len = 0; len < b.len; len++) {
		r = READER(b.data, len);
		assert_int_equal(head_decode(&r, &back), -EBADMSG);
	}
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		r = READER(b.data, b.len);
		if (head_decode(&r, &back) == 0 && reader_done(&r) == 0)
			assert_int_equal(head_verify(&back, test_volume()),
					 -EBADMSG);
		b.data[i] ^= 1;
	}
}

static void test_adopt(void **state)
{
	struct members m = {.volume = test_volume()};
	struct member a = test_member(1, "alice", 1);
	struct member b = test_member(2, "bob", 1);
	struct member c = test_member(3, "carol", 2);
	struct member stranger = test_member(4, "eve", 4);
	struct member other = test_member(5, "dave", 1);

	(void)state;
	assert_int_equal(members_adopt(&m, &a), -EBADMSG);
	assert_int_equal(members_adopt_first(&m, &b), -EBADMSG);
	assert_int_equal(members_adopt_first(&m, &a), 1);
	assert_int_equal(members_adopt_first(&m, &stranger), -EBADMSG);
	assert_int_equal(members_adopt(&m, &stranger), -EBADMSG);
	/* Its signer is not here yet. */
	assert_int_equal(members_adopt(&m, &c), -EBADMSG);
	assert_int_equal(members_adopt(&m, &b), 1);
	assert_int_equal(members_adopt(&m, &b), 0);
	assert_int_equal(members_adopt(&m, &c), 1);
	other.volume.b[0] ^= 1;
	assert_int_equal(members_adopt(&m, &other), -EBADMSG);
	other.volume.b[0] ^= 1;
	strcpy(other.label, "root");
	assert_int_equal(members_adopt(&m, &other), -EBADMSG);
	assert_int_equal(m.count, 3);
	members_release(&m);
}

struct collect {
	struct members *m;
	int refused;
};

static int collect_one(void *arg, const struct member *record)
{
	struct collect *c = arg;
	int r = c->m->count ? members_adopt(c->m, record)
			    : members_adopt_first(c->m, record);

	if (r < 0)
		c->refused++;
	return 0;
}

static void test_frame(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct members m = {.volume = test_volume()};
	struct members back = {.volume = test_volume()};
	struct collect c = {.m = &back};
	struct member record;
	struct reader r;

	(void)state;
	record = test_member(1, "alice", 1);
	assert_int_equal(members_adopt_first(&m, &record), 1);
	for (uint8_t i = 2; i < 10; i++) {
		record = test_member(i, "x", (uint8_t)(i - 1));
		assert_int_equal(members_adopt(&m, &record), 1);
	}
	members_encode(&m, 0, &b);
	r = READER(b.data, b.len);
	assert_int_equal(members_decode(&r, collect_one, &c), 0);
	assert_int_equal(c.refused, 0);
	assert_int_equal(back.count, 9);
	members_release(&back);
	r = READER(b.data, b.len - 2); /* (the last byte: no removals) */
	assert_int_equal(members_decode(&r, collect_one, &c), -EBADMSG);
	members_release(&back);
	members_release(&m);
}

static int remove_one(void *arg, const struct member_removal *record)
{
	struct collect *c = arg;

	if (members_remove(c->m, record) < 0)
		c->refused++;
	return 0;
}

/* It wins for ever, whoever of the set signed it, and in any order. */
static void test_removal_record(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	cleanup(buf_release) struct buf frame = BUF_INIT;
	struct members m = {.volume = test_volume()};
	struct members back = {.volume = test_volume()};
	struct collect c = {.m = &back};
	struct member_removal gone = test_removal(2, 1), other;
	struct member alice = test_member(1, "alice", 1);
	struct member bob = test_member(2, "bob", 1);
	struct member carol = test_member(3, "carol", 2);
	struct reader r;

	(void)state;
	removal_encode(&gone, &b);
	assert_golden("wire-removal.hex", buf_slice(&b));
	r = READER(b.data, b.len);
	assert_int_equal(removal_decode(&r, &other), 0);
	assert_int_equal(removal_verify(&other), 0);
	other.removed_ms++;
	assert_int_equal(removal_verify(&other), -EBADMSG);
	r = READER(b.data, b.len - 1);
	assert_int_equal(removal_decode(&r, &other), -EBADMSG);

	assert_int_equal(members_adopt_first(&m, &alice), 1);
	/* Not of one that is not there; nor by one that is not. */
	assert_int_equal(members_remove(&m, &gone), -EBADMSG);
	assert_int_equal(members_adopt(&m, &bob), 1);
	other = test_removal(2, 3);
	assert_int_equal(members_remove(&m, &other), -EBADMSG);
	other = gone;
	other.signature[0] ^= 1;
	assert_int_equal(members_remove(&m, &other), -EBADMSG);
	assert_true(members_has(&m, &bob.device));
	assert_int_equal(members_remove(&m, &gone), 1);
	assert_int_equal(members_remove(&m, &gone), 0);
	assert_false(members_has(&m, &bob.device));
	assert_non_null(members_find(&m, &bob.device));
	/* Its record again changes nothing; what it signed stays good. */
	assert_int_equal(members_adopt(&m, &bob), 0);
	assert_false(members_has(&m, &bob.device));
	assert_int_equal(members_adopt(&m, &carol), 1);
	other = test_removal(1, 2);
	assert_int_equal(members_remove(&m, &other), 1);

	members_encode(&m, 0, &frame);
	r = READER(frame.data, frame.len);
	assert_int_equal(members_decode(&r, collect_one, &c), 0);
	assert_int_equal(removals_decode(&r, remove_one, &c), 0);
	assert_int_equal(reader_done(&r), 0);
	assert_int_equal(c.refused, 0);
	assert_int_equal(back.count, 3);
	assert_false(members_has(&back, &alice.device));
	assert_false(members_has(&back, &bob.device));
	assert_true(members_has(&back, &carol.device));
	members_release(&m);
	members_release(&back);
}

/* The same names everywhere, in whatever order the records came. */
static void test_labels(void **state)
{
	struct members m = {.volume = test_volume()};
	struct members n = {.volume = test_volume()};
	struct member a = test_member(1, "pc", 1), b = test_member(2, "pc", 1);
	struct member c = test_member(3, "pc", 1);
	char label[LABEL_BYTES_MAX + 1];

	(void)state;
	assert_int_equal(members_adopt_first(&m, &a), 1);
	assert_int_equal(members_adopt(&m, &b), 1);
	assert_int_equal(members_adopt(&m, &c), 1);
	assert_int_equal(members_adopt_first(&n, &a), 1);
	assert_int_equal(members_adopt(&n, &c), 1);
	assert_int_equal(members_adopt(&n, &b), 1);
	assert_string_equal(members_find(&m, &b.device)->label, "pc-2");
	assert_string_equal(members_find(&n, &b.device)->label, "pc-2");
	assert_string_equal(members_find(&m, &c.device)->label, "pc-3");
	assert_string_equal(members_find(&n, &c.device)->label, "pc-3");
	members_free_label(&m, SLICE_STR("pc"), label);
	assert_string_equal(label, "pc-4");
	members_free_label(&m, SLICE_STR("mac"), label);
	assert_string_equal(label, "mac");
	members_release(&m);
	members_release(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_removal_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
