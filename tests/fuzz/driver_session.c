/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that says anything: the frames that a real core with a real store
 * gets over one link. The input is u8 options (1: more than two rows of a
 * cut are staged in the store, 2: it has a mount), then
 *
 *	u8 type, varint length, body	a frame. Of REC (5) the body is varint
 *					position and the records, which are
 *					packed here: a fuzzer does not find
 *					what zstd takes
 *	200, u8 n			time goes on by n * n milliseconds
 *	201				the link falls and is there again
 *	202, varint length, body	a REC frame as it is
 *
 * Whatever came, the tree must be sound afterwards (replica_check() knows
 * what that is), also after a restart of the node, and time and memory are
 * bounded by the fuzzer's limits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/core/pack.h"
#include "replication/core/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

#define OPTION_FEW_ROWS 1
#define OPTION_MOUNT 2

/* What is no frame; both are beyond any type. */
#define STEP_TIME 200
#define STEP_LINK 201
#define STEP_RAW_REC 202

/* Calls of core_tick() for one step: it says when it wants to be called. */
#define TICKS_MAX 64

static const char *victim_dir, *peer_dir;

/* The node that the frames come to: with some files, and a second member. */
static void victim_open(struct fuzz_node *n, uint8_t options,
			struct buf *ret_records)
{
	struct fuzz_node_options o = {
		.index = 0,
		.few_rows = options & OPTION_FEW_ROWS,
		.has_mount = options & OPTION_MOUNT,
	};
	struct device peer = fuzz_device(1);
	char label[LABEL_BYTES_MAX + 1];

	if (!victim_dir)
		victim_dir = fuzz_dir("victim");
	o.dir = victim_dir;
	fuzz_node_open(n, &o);
	fuzz_write(n, "a.txt", "one\ntwo\nthree\n");
	fuzz_mkdir(n, "d");
	fuzz_write(n, "d/b.txt", "b");
	fuzz_write_long(n, "d/long", 9000);
	fuzz_mkdir(n, "e");
	fuzz_write(n, "e/c", "c");
	fuzz_must(fuzz_node_core(n, &o));
	fuzz_must(core_admit(n->core, n->now_ms, &peer, SLICE_STR("node1"),
			     label, ret_records));
}

static void ticks(struct fuzz_node *n)
{
	for (int i = 0; i < TICKS_MAX; i++)
		if (core_tick(n->core, n->now_ms) > n->now_ms)
			return;
}

static void step(struct fuzz_node *n, uint64_t ms)
{
	n->now_ms += ms;
	(void)tree_cut_due(n->tree);
	ticks(n);
}

static void link_up(struct fuzz_node *n, struct packer *p)
{
	struct device peer = fuzz_device(n->index ? 0 : 1);

	packer_release(p);
	*p = (struct packer){ NULL };
	n->closed = false;
	buf_reset(&n->out);
	/* (it may have been removed, or be no member any more itself) */
	if (core_link_up(n->core, n->now_ms, FUZZ_LINK, &peer))
		n->closed = true;
}

static void give_rec(struct fuzz_node *n, struct packer *p, struct slice body)
{
	cleanup(buf_release) struct buf frame = BUF_INIT;
	struct reader r = READER(body.data, body.len);
	uint64_t position = reader_varint(&r);
	struct slice raw = reader_bytes(&r, reader_left(&r));

	buf_put_u8(&frame, FRAME_REC);
	buf_put_varint(&frame, position);
	buf_put_varint(&frame, raw.len);
	fuzz_must(packer_put(p, raw, &frame));
	fuzz_must(buf_error(&frame));
	core_receive(n->core, n->now_ms, FUZZ_LINK, buf_slice(&frame));
}

static void give(struct fuzz_node *n, uint8_t type, struct slice body)
{
	cleanup(buf_release) struct buf frame = BUF_INIT;

	buf_put_u8(&frame, type);
	buf_put_slice(&frame, body);
	fuzz_must(buf_error(&frame));
	core_receive(n->core, n->now_ms, FUZZ_LINK, buf_slice(&frame));
}

/* Does what the input says next; false at its end. */
static bool play(struct fuzz_node *n, struct packer *p, struct reader *r)
{
	uint8_t type = reader_u8(r);
	struct slice body;

	if (r->failed)
		return false;
	if (type == STEP_TIME) {
		uint64_t k = reader_u8(r);

		step(n, k * k);
		return true;
	}
	if (type == STEP_LINK) {
		if (!n->closed)
			core_link_down(n->core, n->now_ms, FUZZ_LINK);
		link_up(n, p);
		return true;
	}
	body = reader_string(r, FRAME_BYTES_MAX);
	if (r->failed)
		return false;
	if (n->closed)
		return true;
	if (type == FRAME_REC)
		give_rec(n, p, body);
	else
		give(n, type == STEP_RAW_REC ? (uint8_t)FRAME_REC : type, body);
	ticks(n);
	buf_reset(&n->out);
	return true;
}

static void check(struct fuzz_node *n)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	int r = replica_check(n->tree, &why);

	if (r) {
		fprintf(stderr, "%.*s\n", (int)why.len, (char *)why.data);
		abort();
	}
}

void fuzz_session(struct slice in)
{
	cleanup(packer_release) struct packer p = { NULL };
	cleanup(buf_release) struct buf records = BUF_INIT;
	struct reader r = READER(in.data, in.len);
	uint8_t options = reader_u8(&r);
	struct fuzz_node n;

	victim_open(&n, options, &records);
	link_up(&n, &p);
	while (play(&n, &p, &r))
		;
	for (int i = 0; i < 8; i++)
		step(&n, 5000);
	if (!core_is_applying(n.core))
		check(&n);
	core_free(steal(&n.core));
	fuzz_must(store_failure(n.store));
	fuzz_must(fuzz_node_core(&n,
				 &(struct fuzz_node_options){ .index = 0 }));
	for (int i = 0; i < 8; i++)
		step(&n, 5000);
	check(&n);
	fuzz_node_close(&n);
}

/* ---- seeds: what a second real node says */

struct recording {
	struct buf *to;
	struct unpacker unpacker;
	size_t at; /* of the peer's output */
};

static void record_rec(struct recording *rec, struct slice body)
{
	cleanup(buf_release) struct buf raw = BUF_INIT, plain = BUF_INIT;
	struct reader r = READER(body.data, body.len);
	uint64_t position = reader_varint(&r), len = reader_varint(&r);

	fuzz_must(unpacker_get(&rec->unpacker,
			       reader_bytes(&r, reader_left(&r)), (size_t)len,
			       &raw));
	buf_put_varint(&plain, position);
	buf_put_slice(&plain, buf_slice(&raw));
	buf_put_u8(rec->to, FRAME_REC);
	buf_put_string(rec->to, buf_slice(&plain));
}

/* Gives all that one has sent to the other; notes it, if it is the peer's. */
static bool carry(struct fuzz_node *from, struct fuzz_node *to,
		  struct recording *rec)
{
	cleanup(buf_release) struct buf out = from->out;
	struct reader r = READER(out.data, out.len);
	bool any = out.len;

	buf_init(&from->out);
	while (reader_left(&r)) {
		struct slice frame = reader_bytes(&r, reader_u32(&r));
		struct slice body = SLICE(frame.data + 1, frame.len - 1);

		fuzz_must(reader_ok(&r));
		if (rec && frame.data[0] == FRAME_REC) {
			record_rec(rec, body);
		} else if (rec) {
			buf_put_u8(rec->to, frame.data[0]);
			buf_put_string(rec->to, body);
		}
		core_receive(to->core, to->now_ms, FUZZ_LINK, frame);
		ticks(to);
	}
	return any;
}

/* Both go on until nothing is said any more for some time. */
static void run(struct fuzz_node *victim, struct fuzz_node *peer,
		struct recording *rec)
{
	for (int quiet = 0; quiet < 6;) {
		bool any = carry(victim, peer, NULL);

		any |= carry(peer, victim, rec);
		quiet = any ? 0 : quiet + 1;
		if (any)
			continue;
		/* 20 * 20 ms */
		buf_put_u8(rec->to, STEP_TIME);
		buf_put_u8(rec->to, 20);
		step(victim, 400);
		step(peer, 400);
	}
}

static void peer_open(struct fuzz_node *peer, struct fuzz_node *victim,
		      struct slice records)
{
	uint8_t secret[SECRET_BYTES];
	struct device self = fuzz_device(1), inviter = fuzz_device(0);
	struct fuzz_node_options o = { .index = 1, .secret = secret };

	if (!peer_dir)
		peer_dir = fuzz_dir("peer");
	o.dir = peer_dir;
	store_lock(victim->store);
	bucket_secret(victim->tree, secret);
	store_unlock(victim->store);
	fuzz_node_open(peer, &o);
	peer->now_ms = victim->now_ms;
	fuzz_must(core_adopt_members(peer->tree, records, &self, &inviter));
	fuzz_must(fuzz_node_core(peer, &o));
}

static void edit(struct fuzz_node *n, int scene)
{
	switch (scene) {
	case 0:
		fuzz_write(n, "a.txt", "one\nTWO\nthree\n");
		fuzz_move(n, "d/b.txt", "e/b2.txt");
		fuzz_remove(n, "e/c");
		fuzz_write_long(n, "new", 6000);
		break;
	case 1:
		fuzz_mkdir(n, "f");
		for (int i = 0; i < 8; i++) {
			char path[8] = "f/0";

			path[2] = (char)('0' + i);
			fuzz_write(n, path, path);
		}
		fuzz_move(n, "d", "f/d");
		fuzz_must(tree_setxattr(n->tree, fuzz_ino(n, "f"),
					SLICE_STR("user.kin.policy"),
					SLICE_STR("latest"), 0));
		fuzz_must(tree_setxattr(n->tree, fuzz_ino(n, "a.txt"),
					SLICE_STR("user.x"), SLICE_STR("y"),
					0));
		break;
	case 2:
		fuzz_remove(n, "d/long");
		fuzz_remove(n, "d/b.txt");
		fuzz_remove(n, "d");
		fuzz_write(n, "a.txt", "other");
		fuzz_move(n, "a.txt", "e/a.txt");
		break;
	}
	n->now_ms += 1000;
}

static void seed(int scene, uint8_t options, struct buf *b,
		 struct buf *ret_dump)
{
	cleanup(buf_release) struct buf records = BUF_INIT;
	cleanup(packer_release) struct packer p = { NULL };
	struct recording rec = { .to = b };
	struct fuzz_node victim, peer;

	buf_put_u8(b, options);
	victim_open(&victim, options, &records);
	peer_open(&peer, &victim, buf_slice(&records));
	link_up(&victim, &p);
	link_up(&peer, &p);
	run(&victim, &peer, &rec);
	edit(&peer, scene);
	run(&victim, &peer, &rec);
	core_verify_begin(peer.core, peer.now_ms);
	run(&victim, &peer, &rec);
	/* Apart, and each for itself: conflicts, in the victim's store too.
	 * (What the victim does is not in the input: a dump has it.) */
	if (ret_dump) {
		core_link_down(victim.core, victim.now_ms, FUZZ_LINK);
		core_link_down(peer.core, peer.now_ms, FUZZ_LINK);
		for (int k = 0; k < 2; k++) {
			struct fuzz_node *n = k ? &victim : &peer;

			fuzz_write(n, "both", k ? "victim" : "peer");
			fuzz_write(n, "e/b2.txt", k ? "mine" : "yours");
			fuzz_move(n, "e", k ? "e1" : "e2");
		}
		fuzz_write_long(&victim, "new", 7000);
		fuzz_remove(&victim, "d/long");
		unpacker_release(&rec.unpacker);
		rec.unpacker = (struct unpacker){ NULL };
		link_up(&victim, &p);
		link_up(&peer, &p);
		run(&victim, &peer, &rec);
		fuzz_must(tree_open_file(victim.tree, fuzz_ino(&victim, "a.txt"),
					 true));
		fuzz_must(tree_write(victim.tree, fuzz_ino(&victim, "a.txt"), 1,
				     SLICE_STR("unsent"), false));
		fuzz_store_dump(victim.store, ret_dump);
	}
	unpacker_release(&rec.unpacker);
	fuzz_node_close(&victim);
	fuzz_node_close(&peer);
}

void fuzz_session_seeds(void (*put)(const char *, struct slice))
{
	for (int scene = 0; scene < 3; scene++)
		for (uint8_t options = 0; options < 2; options++) {
			cleanup(buf_release) struct buf b = BUF_INIT;
			char name[] = "scene-00";

			name[6] = (char)('0' + scene);
			name[7] = (char)('0' + options);
			seed(scene, options, &b, NULL);
			put(name, buf_slice(&b));
		}
}

/* The tables of a node that has lived: for the driver of them. */
void fuzz_tables_seeds(void (*put)(const char *, struct slice))
{
	cleanup(buf_release) struct buf b = BUF_INIT, dump = BUF_INIT;

	seed(0, 0, &b, &dump);
	put("lived", buf_slice(&dump));
}
