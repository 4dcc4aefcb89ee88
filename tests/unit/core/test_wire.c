/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: golden bytes, round trips, and what must be refused. */
#include "tests/unit/core/core_support.h"

#include <errno.h>
#include <string.h>

#include "replication/core/wire.h"

static struct hello test_hello(void)
{
	struct hello h;

	hello_init(&h);
	h.volume = test_volume();
	h.device = test_device(1);
	h.origin = 0x1122334455667788;
	h.wall_ms = 1763700000000;
	return h;
}

/* Every shorter input must fail, whatever it is cut off at. */
#define assert_no_prefix_decodes(b, decode_call)                               \
	for (size_t cut_at = 0; cut_at < (b).len; cut_at++) {                  \
		r = READER((b).data, cut_at);                                  \
		assert_true((decode_call) < 0);                                \
	}

static void test_frame_limits(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;

	(void)state;
	frame_begin(&b, FRAME_PING);
	buf_put_u64(&b, 7);
	assert_int_equal(frame_end(&b), 0);
	assert_memory_equal(b.data, "\x09\0\0\0\x0a\x07\0\0\0\0\0\0\0", 13);
	frame_begin(&b, FRAME_CHUNK);
	assert_non_null(buf_extend(&b, FRAME_BYTES_MAX - 1));
	assert_int_equal(frame_end(&b), 0);
	buf_put_u8(&b, 0);
	assert_int_equal(frame_end(&b), -E2BIG);
}

static void test_hello_bytes(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	struct hello h = test_hello(), back;
	struct reader r;

	(void)state;
	frame_begin(&b, FRAME_HELLO);
	hello_encode(&h, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-hello.hex", buf_slice(&b));

	hello_encode(&h, &body);
	r = READER(body.data, body.len);
	assert_int_equal(hello_decode(&r, &back), 0);
	assert_int_equal(reader_left(&r), 0);
	assert_true(volid_equal(back.volume, h.volume));
	assert_true(device_equal(&back.device, &h.device));
	assert_true(back.origin == h.origin && back.wall_ms == h.wall_ms);
	assert_no_prefix_decodes(body, hello_decode(&r, &back));
	/* Fields of a newer version behind it are no matter. */
	buf_put(&body, "new", 3);
	r = READER(body.data, body.len);
	assert_int_equal(hello_decode(&r, &back), 0);
}

static void test_hello_refuse(void **state)
{
	struct hello mine = test_hello(), theirs = test_hello();

	(void)state;
	theirs.origin++;
	assert_int_equal(hello_refuse(&mine, &theirs), 0);
	theirs.proto_min = PROTO_MIN;
	theirs.proto_max = PROTO_MAX + 5;
	assert_int_equal(hello_refuse(&mine, &theirs), 0);
	theirs.proto_min = PROTO_MAX + 1;
	assert_int_equal(hello_refuse(&mine, &theirs), BYE_VERSION);
	theirs.proto_min = PROTO_MIN;
	theirs.volume.b[3] ^= 1;
	assert_int_equal(hello_refuse(&mine, &theirs), BYE_VOLUME);
	theirs.volume = mine.volume;
	theirs.chunk_avg *= 2;
	assert_int_equal(hello_refuse(&mine, &theirs), BYE_FORMAT);
	theirs.chunk_avg = mine.chunk_avg;
	theirs.origin = mine.origin;
	assert_int_equal(hello_refuse(&mine, &theirs), BYE_FORK);
}

static void test_cut_bytes(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	struct cut c = {.k = test_know(3, 5, 9, 300, 0),
			.rows = 17,
			.hlc = 0x19a9f00000010002};
	struct cut back;
	struct reader r;

	(void)state;
	c.heads = test_heads(&c.k, 5);
	frame_begin(&b, FRAME_CUT);
	cut_encode(&c, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-cut.hex", buf_slice(&b));
	cut_encode(&c, &body);
	r = READER(body.data, body.len);
	assert_int_equal(cut_decode(&r, &back), 0);
	assert_true(know_equal(&back.k, &c.k));
	assert_int_equal(back.rows, 17);
	assert_true(back.hlc == c.hlc);
	assert_int_equal(back.heads.marks[1], c.heads.marks[1]);
	assert_int_equal(back.heads.birth_count, 1);
	assert_int_equal(back.heads.births[0].alias, c.heads.births[0].alias);
	assert_int_equal(back.heads.births[0].first, 5);
	cut_release(&back);
	assert_no_prefix_decodes(body, cut_decode(&r, &back));
	cut_release(&c);
}

/* With the horizon, and the number of objects. */
static void test_full_cut(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	struct cut c = {.k = test_know(3, 5, 9, 300, 0),
			.g = test_know(3, 4, 0),
			.rows = 17,
			.flags = CUT_FULL,
			.objects = 15,
			.hlc = 0x19a9f00000010002};
	struct cut back;
	struct reader r;

	(void)state;
	frame_begin(&b, FRAME_CUT);
	cut_encode(&c, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-cut-full.hex", buf_slice(&b));
	cut_encode(&c, &body);
	r = READER(body.data, body.len);
	assert_int_equal(cut_decode(&r, &back), 0);
	assert_true(know_equal(&back.k, &c.k) && know_equal(&back.g, &c.g));
	assert_int_equal(back.objects, 15);
	assert_int_equal(back.flags, CUT_FULL);
	cut_release(&back);
	assert_no_prefix_decodes(body, cut_decode(&r, &back));
	cut_release(&c);
}

/* Alias without a name of its own, or that K does not reach. */
static void test_heads_refused(void **state)
{
	cleanup(know_release) struct know k = test_know(3, 5, 9, 300, 0);
	struct heads h = test_heads(&k, 5), back = {.marks = NULL};
	struct buf b = BUF_INIT;
	struct reader r;

	(void)state;
	heads_encode(&h, k.count, &b);
	r = READER(b.data, b.len);
	assert_int_equal(heads_decode(&r, &k, &back), 0);
	heads_release(&back);
	b.data[b.len - 1] ^= 1; /* its mark */
	r = READER(b.data, b.len);
	assert_int_equal(heads_decode(&r, &k, &back), -EBADMSG);
	buf_reset(&b);
	heads_encode(&h, k.count, &b);
	assert_int_equal(know_set(&k, h.births[0].alias, 4), 0);
	r = READER(b.data, b.len);
	assert_int_equal(heads_decode(&r, &k, &back), -EBADMSG);
	heads_release(&h);
	buf_release(&b);
}

static void test_mark_runs(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	static struct mark_run m = {.origin = 0x1122334455667788,
				    .after = 300,
				    .before = 0xa1b2c3d4,
				    .skip = 700,
				    .count = 2,
				    .marks = {1, 0xffffffff}};
	static struct mark_run back;
	struct reader r;

	(void)state;
	frame_begin(&b, FRAME_MARKS);
	run_encode(&m, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-marks.hex", buf_slice(&b));
	run_encode(&m, &body);
	r = READER(body.data, body.len);
	assert_int_equal(run_decode(&r, &back), 0);
	assert_int_equal(run_end(&back), 1002);
	assert_int_equal(back.before, m.before);
	assert_int_equal(back.marks[1], 0xffffffff);
	assert_no_prefix_decodes(body, run_decode(&r, &back));
	/* No mark at all, or of no operation; too many. */
	m.marks[0] = 0;
	buf_reset(&body);
	run_encode(&m, &body);
	r = READER(body.data, body.len);
	assert_int_equal(run_decode(&r, &back), -EBADMSG);
	m.marks[0] = 1;
	m.before = 0;
	buf_reset(&body);
	run_encode(&m, &body);
	r = READER(body.data, body.len);
	assert_int_equal(run_decode(&r, &back), -EBADMSG);
	/* One that ends behind the greatest number would begin anew at 0. */
	m.before = 1;
	m.after = INT64_MAX;
	m.skip = INT64_MAX;
	buf_reset(&body);
	run_encode(&m, &body);
	r = READER(body.data, body.len);
	assert_int_equal(run_decode(&r, &back), -EBADMSG);
	m.after = 300;
	m.skip = INT64_MAX - 302;
	buf_reset(&body);
	run_encode(&m, &body);
	r = READER(body.data, body.len);
	assert_int_equal(run_decode(&r, &back), 0);
	assert_true(run_end(&back) == INT64_MAX);
	buf_reset(&body);
	buf_put_u64(&body, 1);
	buf_put_varint(&body, 0);
	buf_put_u32(&body, 0);
	buf_put_varint(&body, 0);
	buf_put_varint(&body, RUN_MARKS_MAX + 1);
	r = READER(body.data, body.len);
	assert_int_equal(run_decode(&r, &back), -EBADMSG);
}

static void test_ask_tell(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	struct ask a = {.origin = 7, .after = 3, .count = 2,
			.numbers = {5, 70000}}, a_back;
	struct tell t = {.origin = 7, .after = 3, .next = 4,
			 .next_mark = 0x01020304, .count = 2,
			 .marks = {0xa1b2c3d4, 0}}, t_back;
	struct reader r;

	(void)state;
	frame_begin(&b, FRAME_ASK);
	ask_encode(&a, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-ask.hex", buf_slice(&b));
	ask_encode(&a, &body);
	r = READER(body.data, body.len);
	assert_int_equal(ask_decode(&r, &a_back), 0);
	assert_true(a_back.count == 2 && a_back.numbers[1] == 70000);
	assert_no_prefix_decodes(body, ask_decode(&r, &a_back));
	frame_begin(&b, FRAME_TELL);
	tell_encode(&t, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-tell.hex", buf_slice(&b));
	buf_reset(&body);
	tell_encode(&t, &body);
	r = READER(body.data, body.len);
	assert_int_equal(tell_decode(&r, &t_back), 0);
	assert_true(t_back.next == 4 && t_back.marks[0] == 0xa1b2c3d4);
	assert_no_prefix_decodes(body, tell_decode(&r, &t_back));
}

static void test_streams(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	struct stream s = {.life = 0x1122334455667788, .after = 300}, s_back;
	struct resume v = {.life = 0x1122334455667788, .position = 70000};
	struct resume back;
	struct reader r;

	(void)state;
	frame_begin(&b, FRAME_STREAM);
	stream_encode(&s, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-stream.hex", buf_slice(&b));
	stream_encode(&s, &body);
	r = READER(body.data, body.len);
	assert_int_equal(stream_decode(&r, &s_back), 0);
	assert_true(s_back.life == s.life && s_back.after == 300);
	assert_no_prefix_decodes(body, stream_decode(&r, &s_back));

	v.complete = true;
	v.k = test_know(3, 5, 9, 300, 0);
	frame_begin(&b, FRAME_RESUME);
	resume_encode(&v, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-resume.hex", buf_slice(&b));
	buf_reset(&body);
	resume_encode(&v, &body);
	r = READER(body.data, body.len);
	assert_int_equal(resume_decode(&r, &back), 0);
	assert_true(back.life == v.life && back.position == 70000);
	assert_true(back.complete && know_equal(&back.k, &v.k));
	resume_release(&back);
	assert_no_prefix_decodes(body, resume_decode(&r, &back));
	body.data[11] = 2; /* neither yes nor no */
	r = READER(body.data, body.len);
	assert_int_equal(resume_decode(&r, &back), -EBADMSG);
	resume_release(&v);
}

static void test_hash_lists(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	struct hash_list l = {.count = 2}, back;
	struct reader r;

	(void)state;
	memset(l.hash[0].b, 0xaa, 32);
	memset(l.hash[1].b, 0xbb, 32);
	frame_begin(&b, FRAME_WANT);
	hash_list_encode(&l, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-want.hex", buf_slice(&b));
	hash_list_encode(&l, &body);
	r = READER(body.data, body.len);
	assert_int_equal(hash_list_decode(&r, &back), 0);
	assert_int_equal(back.count, 2);
	assert_memory_equal(back.hash[1].b, l.hash[1].b, 32);
	assert_no_prefix_decodes(body, hash_list_decode(&r, &back));
	buf_reset(&body);
	buf_put_varint(&body, WANT_HASHES_MAX + 1);
	assert_non_null(buf_extend(&body, 32 * (WANT_HASHES_MAX + 1)));
	r = READER(body.data, body.len);
	assert_int_equal(hash_list_decode(&r, &back), -EBADMSG);
}

static int decode_chunk(struct chunk_frame *f, struct chunk_frame *ret)
{
	cleanup(buf_release) struct buf body = BUF_INIT;
	struct reader r;

	chunk_frame_encode(f, &body);
	r = READER(body.data, body.len);
	return chunk_frame_decode(&r, ret);
}

static void test_chunks(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct chunk_frame f = {.len = 4, .bytes = SLICE("abcd", 4)}, back;

	(void)state;
	memset(f.hash.b, 0xcc, 32);
	frame_begin(&b, FRAME_CHUNK);
	chunk_frame_encode(&f, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-chunk.hex", buf_slice(&b));
	assert_int_equal(decode_chunk(&f, &back), 0);
	f.len = 5; /* says more than there is */
	assert_int_equal(decode_chunk(&f, &back), -EBADMSG);
	f.flags = CHUNK_ZSTD;
	assert_int_equal(decode_chunk(&f, &back), 0);
	f.len = CHUNK_BYTES_MAX + 1;
	assert_int_equal(decode_chunk(&f, &back), -EBADMSG);
	f.len = 0;
	assert_int_equal(decode_chunk(&f, &back), -EBADMSG);
	f.len = 4;
	f.flags = 2;
	assert_int_equal(decode_chunk(&f, &back), -EBADMSG);
}

static void test_bye(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT, body = BUF_INIT;
	struct bye bye = {.code = BYE_VOLUME, .text = "another volume"};
	struct bye back;
	struct reader r;

	(void)state;
	frame_begin(&b, FRAME_BYE);
	bye_encode(&bye, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden("wire-bye.hex", buf_slice(&b));
	bye_encode(&bye, &body);
	r = READER(body.data, body.len);
	assert_int_equal(bye_decode(&r, &back), 0);
	assert_int_equal(back.code, BYE_VOLUME);
	assert_string_equal(back.text, "another volume");
	assert_no_prefix_decodes(body, bye_decode(&r, &back));
	/* It goes to our log: no control characters. */
	buf_reset(&body);
	buf_put_u16(&body, 1);
	buf_put_string(&body, SLICE("a\n\x1b[1m\0z", 8));
	r = READER(body.data, body.len);
	assert_int_equal(bye_decode(&r, &back), 0);
	assert_string_equal(back.text, "a??[1m?z");
}

static void test_records(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct rec one = {.row = SLICE("row", 3)}, two = one, back;
	struct reader r;

	(void)state;
	two.id.b[15] = 2;
	two.row = SLICE("", 0);
	rec_encode(&one, &b);
	rec_encode(&two, &b);
	r = READER(b.data, b.len);
	assert_true(rec_next(&r, &back));
	assert_true(slice_equal(back.row, one.row));
	assert_true(rec_next(&r, &back));
	assert_true(objid_equal(back.id, two.id));
	assert_false(rec_next(&r, &back));
	assert_int_equal(reader_done(&r), 0);
	r = READER(b.data, b.len - 1);
	while (rec_next(&r, &back))
		;
	assert_int_equal(reader_done(&r), -EBADMSG);
}

/* No input may crash a decoder or make it read beyond the end. */
static void test_garbage(void **state)
{
	uint64_t x = 88172645463325252ull;
	uint8_t bytes[200];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)round % sizeof(bytes);
		struct hash_list list;
		struct chunk_frame chunk;
		struct hello hello;
		struct bye bye;
		struct cut cut;
		struct reader r;

		for (size_t i = 0; i < len; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			bytes[i] = (uint8_t)(x >> (x & 31));
		}
		r = READER(bytes, len);
		(void)!hello_decode(&r, &hello);
		r = READER(bytes, len);
		if (cut_decode(&r, &cut) == 0)
			cut_release(&cut);
		r = READER(bytes, len);
		(void)!hash_list_decode(&r, &list);
		r = READER(bytes, len);
		(void)!chunk_frame_decode(&r, &chunk);
		r = READER(bytes, len);
		(void)!bye_decode(&r, &bye);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_limits),
		cmocka_unit_test(test_hello_bytes),
		cmocka_unit_test(test_hello_refuse),
		cmocka_unit_test(test_cut_bytes),
		cmocka_unit_test(test_full_cut),
		cmocka_unit_test(test_heads_refused),
		cmocka_unit_test(test_mark_runs),
		cmocka_unit_test(test_ask_tell),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_hash_lists),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_bye),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
