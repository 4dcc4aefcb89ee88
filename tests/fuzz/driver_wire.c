/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of frames: the first byte is the frame's type (that of the wire, so
 * that golden files are inputs). What decodes is encoded, and must decode to
 * the same again: compared by its bytes, for what follows the fields that
 * are known is ignored.
 */
#include <errno.h>
#include <string.h>

#include "replication/core/head.h"
#include "replication/core/member.h"
#include "replication/core/members.h"
#include "replication/core/status.h"
#include "replication/core/sums.h"
#include "replication/core/wire.h"
#include "replication/net/join_wire.h"
#include "tests/fuzz/fuzz.h"

/* Inputs that are no frames. */
enum {
	BODY_KNOW = 100,
	BODY_MEMBER,
	BODY_REMOVAL,
	BODY_STATUS_ROW,
	BODY_RECORDS,
};

static bool is_error_of_decoders(int r)
{
	return r == -EBADMSG || r == -E2BIG;
}

/* Reads a whole of what it is, writes it: 0, or what a decoder says. */
typedef int again_fn(struct reader *, struct buf *ret);

static int again_know(struct reader *r, struct buf *b)
{
	struct know k = KNOW_INIT;
	int e = know_decode(r, &k);

	if (!e) {
		know_encode(&k, b);
		for (size_t i = 0; i < k.count; i++) {
			kin_assert(k.entries[i].origin && k.entries[i].seq);
			kin_assert(!i || k.entries[i - 1].origin <
						 k.entries[i].origin);
		}
		kin_assert(k.count <= ORIGINS_MAX);
	}
	know_release(&k);
	return e;
}

static int again_hello(struct reader *r, struct buf *b)
{
	struct hello h;
	int e = hello_decode(r, &h);

	if (!e)
		hello_encode(&h, b);
	return e;
}

static int again_member(struct reader *r, struct buf *b)
{
	struct member m;
	int e = member_decode(r, &m);

	if (!e) {
		kin_assert(strlen(m.label) <= LABEL_BYTES_MAX);
		member_encode(&m, b);
	}
	return e;
}

static int again_removal(struct reader *r, struct buf *b)
{
	struct member_removal m;
	int e = removal_decode(r, &m);

	if (!e)
		removal_encode(&m, b);
	return e;
}

static int put_member(void *arg, const struct member *m)
{
	struct buf *b = arg;

	kin_assert(strlen(m->label) <= LABEL_BYTES_MAX);
	member_encode(m, b);
	return 0;
}

static int put_removal(void *arg, const struct member_removal *m)
{
	removal_encode(m, arg);
	return 0;
}

/* (The counts are the set's: what is written here is one record behind the
 * other, and is not read again.) */
static int again_members(struct reader *r, struct buf *b)
{
	cleanup(buf_release) struct buf records = BUF_INIT;
	int e = members_decode(r, put_member, &records);

	(void)b;
	return e ? e : removals_decode(r, put_removal, &records);
}

static int again_status_row(struct reader *r, struct buf *b)
{
	struct slice raw = reader_bytes(r, reader_left(r));
	static const struct device none;
	struct status s;
	int e;

	status_init(&s, &none);
	e = status_decode(raw, &s);
	if (!e) {
		kin_assert(slice_equal(buf_slice(&s.raw), raw));
		kin_assert(know_leq(&s.c, &s.k) && know_leq(&s.v, &s.k));
		kin_assert(know_leq(&s.g, &s.k));
		kin_assert(strlen(s.addresses) <= ADDRESSES_BYTES_MAX);
		kin_assert(s.answer_count <= MEMBERS_MAX);
		e = status_encode(&s);
		kin_assert(!e || e == -E2BIG);
		buf_put_slice(b, buf_slice(&s.raw));
	}
	status_release(&s);
	return e;
}

static int again_cut(struct reader *r, struct buf *b)
{
	struct cut c;
	int e = cut_decode(r, &c);

	if (e)
		return e;
	cut_encode(&c, b);
	cut_release(&c);
	return 0;
}

static int again_stream(struct reader *r, struct buf *b)
{
	struct stream s;
	int e = stream_decode(r, &s);

	if (!e)
		stream_encode(&s, b);
	return e;
}

static int again_resume(struct reader *r, struct buf *b)
{
	struct resume s;
	int e = resume_decode(r, &s);

	if (e)
		return e;
	resume_encode(&s, b);
	resume_release(&s);
	return 0;
}

static int again_ask(struct reader *r, struct buf *b)
{
	struct ask a;
	int e = ask_decode(r, &a);

	if (!e)
		ask_encode(&a, b);
	return e;
}

static int again_tell(struct reader *r, struct buf *b)
{
	struct tell t;
	int e = tell_decode(r, &t);

	if (!e)
		tell_encode(&t, b);
	return e;
}

static int again_runs(struct reader *r, struct buf *b)
{
	int e = 0;

	while (!e && reader_left(r)) {
		struct mark_run run;

		e = run_decode(r, &run);
		if (e)
			break;
		kin_assert(run.count && run.count <= RUN_MARKS_MAX);
		kin_assert(run_end(&run) > run.after);
		for (size_t i = 0; i < run.count; i++)
			kin_assert(run.marks[i]);
		run_encode(&run, b);
	}
	return e;
}

static int again_hashes(struct reader *r, struct buf *b)
{
	struct hash_list l;
	int e = hash_list_decode(r, &l);

	if (!e)
		hash_list_encode(&l, b);
	return e;
}

static int again_chunk(struct reader *r, struct buf *b)
{
	struct chunk_frame c;
	int e = chunk_frame_decode(r, &c);

	if (e)
		return e;
	kin_assert(c.len && c.len <= CHUNK_BYTES_MAX);
	chunk_frame_encode(&c, b);
	return 0;
}

static int again_bye(struct reader *r, struct buf *b)
{
	struct bye bye;
	int e = bye_decode(r, &bye);

	if (e)
		return e;
	for (const char *p = bye.text; *p; p++)
		kin_assert(*p >= ' ' && *p < 0x7f);
	bye_encode(&bye, b);
	return 0;
}

static int again_verify(struct reader *r, struct buf *b)
{
	struct verify v;
	int e = verify_decode(r, &v);

	if (!e)
		verify_encode(&v, b);
	return e;
}

/* (What is behind the head is taken apart by the core: driver session.) */
static int again_sums(struct reader *r, struct buf *b)
{
	struct sum sums[PARENTS];
	struct hash mark;
	uint8_t level;
	int e = sums_decode_head(r, &mark, &level);

	if (e || level != SUMS_PARENTS)
		return e;
	sums_decode(r, sums, PARENTS);
	if (reader_ok(r))
		return -EBADMSG;
	sums_encode_head(&mark, level, b);
	sums_encode(sums, PARENTS, b);
	return 0;
}

static int again_head(struct reader *r, struct buf *b)
{
	struct head h;
	int e = head_decode(r, &h);

	if (!e)
		head_encode(&h, b);
	return e;
}

static int again_records(struct reader *r, struct buf *b)
{
	struct rec rec;

	while (rec_next(r, &rec))
		rec_encode(&rec, b);
	return reader_done(r);
}

/* ---- joining: whole frames come out of the encoders */

static void put_body(struct buf *b, const struct buf *frame)
{
	buf_put(b, frame->data + 5, frame->len - 5);
}

static int again_join(struct reader *r, struct buf *b)
{
	cleanup(buf_release) struct buf frame = BUF_INIT;
	struct join_request q;
	int e = join_decode(r, &q);

	if (e || q.version != JOIN_VERSION)
		return e;
	fuzz_must(join_encode(&q, &frame));
	put_body(b, &frame);
	return 0;
}

static int again_joined(struct reader *r, struct buf *b)
{
	cleanup(buf_release) struct buf frame = BUF_INIT;
	struct join_result j = { .label = "" };
	int e = joined_decode(r, &j);

	if (!e) {
		e = joined_encode(&j, &frame);
		kin_assert(!e);
		put_body(b, &frame);
	}
	join_result_release(&j);
	return e;
}

static int again_refused(struct reader *r, struct buf *b)
{
	cleanup(buf_release) struct buf frame = BUF_INIT;
	char text[JOIN_TEXT_MAX + 1];
	uint16_t code;
	int e = refused_decode(r, &code, text);

	if (e)
		return e;
	kin_assert(strlen(text) <= JOIN_TEXT_MAX);
	fuzz_must(refused_encode(code, text, &frame));
	put_body(b, &frame);
	return 0;
}

static again_fn *const bodies[] = {
	[FRAME_HELLO] = again_hello,
	[FRAME_MEMBERS] = again_members,
	[FRAME_PULL] = again_know,
	[FRAME_CUT] = again_cut,
	[FRAME_WANT] = again_hashes,
	[FRAME_CHUNK] = again_chunk,
	[FRAME_NOHAVE] = again_hashes,
	[FRAME_BYE] = again_bye,
	[FRAME_VERIFY] = again_verify,
	[FRAME_SUMS] = again_sums,
	[FRAME_STREAM] = again_stream,
	[FRAME_RESUME] = again_resume,
	[FRAME_MARKS] = again_runs,
	[FRAME_ASK] = again_ask,
	[FRAME_TELL] = again_tell,
	[FRAME_HEAD] = again_head,
	[FRAME_JOIN] = again_join,
	[FRAME_JOINED] = again_joined,
	[FRAME_REFUSED] = again_refused,
	[BODY_KNOW] = again_know,
	[BODY_MEMBER] = again_member,
	[BODY_REMOVAL] = again_removal,
	[BODY_STATUS_ROW] = again_status_row,
	[BODY_RECORDS] = again_records,
};

void fuzz_wire(struct slice in)
{
	cleanup(buf_release) struct buf one = BUF_INIT, two = BUF_INIT;
	uint8_t type = in.len ? in.data[0] : 0;
	struct reader r = READER(in.data + 1, in.len ? in.len - 1 : 0);
	int e;

	if (type >= ARRAY_SIZE(bodies) || !bodies[type])
		return;
	e = bodies[type](&r, &one);
	kin_assert(!e || is_error_of_decoders(e));
	fuzz_must(buf_error(&one));
	if (e || !one.len)
		return;
	r = READER(one.data, one.len);
	kin_assert(!bodies[type](&r, &two));
	kin_assert(slice_equal(buf_slice(&one), buf_slice(&two)));
}
