/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The joiner's side, by itself on a loop of its own: it calls every address
 * of the code at once, and the first that answers with the right key gets
 * the request. The others are dropped without a word.
 *
 * Wrong keys are no alarm while another address may still be right: an
 * address such as 192.168.1.5 or 127.0.0.1 is somebody else elsewhere.
 */
#include "replication/net/invite.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/hash.h"
#include "replication/core/wire.h"
#include "replication/net/conn.h"
#include "replication/net/join_wire.h"
#include "replication/net/meta.h"
#include "replication/net/sys.h"

#define JOIN_MS 30000
/* To reach anybody at all; the rest of the time is for the answer. */
#define JOIN_CONNECT_MS 10000

struct joining {
	const struct invite_code *code;
	const struct identity *identity;
	const char *label;
	struct buf *why;
	struct join_result *result;
	struct loop loop;
	struct conn_pool pool;
	struct conn *tries[INVITE_ADDRESSES_MAX];
	size_t open;			/* of tries */
	struct conn *chosen;		/* has the right key */
	bool wrong_key;			/* somebody had another key */
	bool done;
	int error;			/* when done, or the last so far */
};

static void joining_end(struct joining *j, int error)
{
	j->done = true;
	j->error = error;
}

static void forget(struct joining *j, const struct conn *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(j->tries); i++) {
		if (j->tries[i] != c)
			continue;
		j->tries[i] = NULL;
		j->open--;
	}
	if (j->chosen == c)
		j->chosen = NULL;
}

static int request(struct joining *j, struct conn *c)
{
	cleanup(buf_release) struct buf frame = BUF_INIT;
	struct join_request req = { .version = JOIN_VERSION,
				    .volume = j->code->volume };
	struct join_scene scene = { .inviter = conn_device(c),
				    .joiner = j->identity->device };
	struct hash key;
	int r = conn_export(c, scene.exported);

	if (r)
		return r;
	invite_id_of(j->code->secret, &req.id);
	invite_key_of(j->code->secret, &key);
	join_prove(&key, &scene, &req.proof);
	snprintf(req.label, sizeof(req.label), "%s", j->label);
	r = join_encode(&req, &frame);
	if (!r)
		conn_send(c, buf_slice(&frame));
	return r;
}

static void on_ready(struct conn *c, void *owner)
{
	struct joining *j = owner;
	struct device device = conn_device(c);
	struct hash hash;
	int r;

	hash_bytes(device.b, sizeof(device.b), &hash);
	if (j->chosen || !hash_equal(&hash, &j->code->key_hash)) {
		j->wrong_key |= !j->chosen;
		forget(j, c);
		conn_drop(c);
		return;
	}
	j->chosen = c;
	conn_set_deadline(c, sys_now_ms() + JOIN_MS);
	conn_set_frame_max(c, FRAME_BYTES_MAX);
	r = request(j, c);
	if (r)
		joining_end(j, r);
}

static const struct {
	uint16_t code;
	int error;
	const char *text;
} refusals[] = {
	{ REFUSED_UNKNOWN, -ENOKEY, "the inviting node does not know this "
	  "code; ask for a new one" },
	{ REFUSED_USED, -EKEYREVOKED, "this code was used already; each code "
	  "admits one device, ask for a new one" },
	{ REFUSED_EXPIRED, -EKEYEXPIRED, "this code has expired; ask for a "
	  "new one" },
	{ REFUSED_REVOKED, -EKEYREVOKED, "this code was revoked; ask for a "
	  "new one" },
	{ REFUSED_FAILURES, -EKEYREVOKED, "this code was ended after too many "
	  "wrong attempts; ask for a new one" },
	{ REFUSED_VOLUME, -ENOKEY, "this code is of another volume than the "
	  "one the inviting node serves now" },
	{ REFUSED_VERSION, -EPROTONOSUPPORT, "the inviting node runs another "
	  "version of kinfs; update the older one" },
};

static void refused(struct joining *j, struct reader *r)
{
	char text[JOIN_TEXT_MAX + 1];
	uint16_t code;

	if (refused_decode(r, &code, text)) {
		joining_end(j, -EPROTO);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		if (refusals[i].code != code)
			continue;
		buf_printf(j->why, "%s", refusals[i].text);
		joining_end(j, refusals[i].error);
		return;
	}
	buf_printf(j->why, "the inviting node refused: %s", text);
	joining_end(j, -EPROTO);
}

static void on_frame(struct conn *c, void *owner, struct slice frame)
{
	struct joining *j = owner;
	struct reader r = READER(frame.data, frame.len);
	uint8_t type = reader_u8(&r);

	if (j->done)
		return;
	if (type == FRAME_REFUSED) {
		refused(j, &r);
		return;
	}
	if (type != FRAME_JOINED || joined_decode(&r, j->result) ||
	    !volid_equal(j->result->volume, j->code->volume)) {
		joining_end(j, -EPROTO);
		return;
	}
	j->result->inviter = conn_device(c);
	joining_end(j, 0);
}

static void on_queued(struct conn *c, void *owner, size_t bytes)
{
	(void)c;
	(void)owner;
	(void)bytes;
}

static void on_closed(struct conn *c, void *owner, int error,
		      const char *why)
{
	struct joining *j = owner;

	(void)why;
	/* After the answer, its sender closes: that is no error. */
	if (j->chosen == c && !j->done)
		joining_end(j, error == -ETIMEDOUT ? error : -EPROTO);
	else if (!j->done)
		j->error = error;
	forget(j, c);
}

static const struct conn_ops ops = { .ready = on_ready, .frame = on_frame,
				     .queued = on_queued,
				     .closed = on_closed };

static void call_all(struct joining *j)
{
	for (size_t i = 0; i < j->code->address_count; i++) {
		struct address a;
		int r = address_parse(j->code->addresses[i], ADDRESS_NUMERIC,
				      &a);

		if (!r)
			r = conn_dial(&j->pool, &a, TLS_JOIN, &ops, j,
				      &j->tries[i]);
		if (r)
			j->error = r;
		else
			j->open++;
	}
}

static void turn_until_done(struct joining *j)
{
	uint64_t start_ms = sys_now_ms();

	while (!j->done && j->open) {
		uint64_t limit_ms = start_ms + (j->chosen ? JOIN_MS :
							    JOIN_CONNECT_MS);

		if (sys_now_ms() >= limit_ms) {
			j->error = -ETIMEDOUT;
			break;
		}
		loop_turn(&j->loop, limit_ms);
	}
}

/* No answer at all: says what was tried, so that a person can look. */
static int explain_unreached(struct joining *j)
{
	if (j->wrong_key) {
		buf_printf(j->why, "the node that answers has another key than "
			   "the code says; is the code of another machine?");
		return -EKEYREJECTED;
	}
	if (j->chosen) {
		buf_printf(j->why, "the inviting node did not answer in time");
		return -ETIMEDOUT;
	}
	buf_printf(j->why, "no node answers at");
	for (size_t i = 0; i < j->code->address_count; i++)
		buf_printf(j->why, " %s", j->code->addresses[i]);
	if (!j->code->address_count)
		buf_printf(j->why, " any address: the code has none");
	buf_printf(j->why, "; is the inviting node mounted and not paused, "
		   "and reachable from here?");
	return -EHOSTUNREACH;
}

static int joining_run(struct joining *j)
{
	call_all(j);
	turn_until_done(j);
	if (!j->done)
		return explain_unreached(j);
	if (j->error && !j->why->len)
		buf_printf(j->why, "%s", j->error == -ETIMEDOUT ?
			   "the inviting node did not answer in time" :
			   "the connection ended without an answer; try the "
			   "same code again");
	return j->error;
}

int invite_join(const struct invite_code *code, const struct identity *id,
		const char *label, struct buf *why, struct join_result *ret)
{
	struct join_result result = { 0 };
	struct joining j = {
		.code = code,
		.identity = id,
		.label = label,
		.why = why,
		.result = &result,
	};
	int r;

	if (!label_is_valid(SLICE_STR(label))) {
		buf_printf(why, "a label is 1 to %d letters, digits, '.', '_' "
			   "or '-'", LABEL_BYTES_MAX);
		return -EINVAL;
	}
	r = loop_init(&j.loop);
	if (r)
		return r;
	r = conn_pool_init(&j.pool, &j.loop, id);
	if (!r) {
		r = joining_run(&j);
		conn_pool_release(&j.pool);
	}
	loop_release(&j.loop);
	if (r)
		join_result_release(&result);
	else
		*ret = result;
	return r;
}

void join_result_release(struct join_result *j)
{
	buf_release(&j->members);
	buf_release(&j->addresses);
	OPENSSL_cleanse(j->secret, sizeof(j->secret));
}

int join_result_remember(struct tree *t, const struct join_result *j)
{
	char key[sizeof(META_DIAL) + 2 * sizeof(j->inviter.b)] = META_DIAL;

	hex_encode(j->inviter.b, sizeof(j->inviter.b), key + strlen(META_DIAL));
	return meta_put(tree_store(t), key, buf_slice(&j->addresses));
}
