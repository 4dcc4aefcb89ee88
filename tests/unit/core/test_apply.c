/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large cuts: staged, resumed, applied in slices, over crashes of either
 * side, with local operations between slices; and what must be refused
 * whole. On the simulator's cluster, with small limits.
 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replication/core/core_internal.h"

#define FILES 40

/* bandwidth: bytes a ms. */
static void open_cluster(struct cluster *c, int nodes, uint32_t bandwidth)
{
	struct cluster_options o = nodes_options(nodes, 1);

	o.delay_max = 2;
	o.bandwidth = bandwidth;
	o.small_rows = 5;
	o.slice_rows = 3;
	nodes_open(c, o);
}

static uint64_t staged(struct cluster *c, int node)
{
	uint64_t n;

	store_lock(c->nodes[node].store);
	n = store_count(c->nodes[node].store, TABLE_STAGE);
	store_unlock(c->nodes[node].store);
	return n;
}

/* The end of every test: all equal, and nothing left over. */
static void go_quiet(struct cluster *c)
{
	nodes_quiet(c);
	for (int i = 0; i < c->node_count; i++)
		assert_int_equal(staged(c, i), 0);
}

static const char *file_name(const char *prefix, int i)
{
	static char name[2][64];
	static int turn;

	turn = !turn;
	snprintf(name[turn], sizeof(name[turn]), "%s%d", prefix, i);
	return name[turn];
}

static void write_many(struct cluster *c, int node, const char *prefix,
		       const char *text)
{
	for (int i = 0; i < FILES; i++)
		write_file(c, node, file_name(prefix, i), text);
}

static void assert_shows_many(struct cluster *c, int node, const char *prefix)
{
	for (int i = 0; i < FILES; i++)
		assert_true(is_there(c, node, file_name(prefix, i)));
}

static size_t count_shown(struct cluster *c, int node, const char *prefix)
{
	size_t n = 0;

	for (int i = 0; i < FILES; i++)
		n += is_there(c, node, file_name(prefix, i));
	return n;
}

static bool applying(struct cluster *c, int node)
{
	return core_is_applying(c->nodes[node].core);
}

static void run_until_applying(struct cluster *c, int node)
{
	for (int i = 0; i < 200000 && !applying(c, node); i++)
		cluster_run(c, c->now_ms + 1);
	assert_true(applying(c, node));
}

static uint64_t rows_sent(struct cluster *c, int node)
{
	struct core_counters n;

	core_counters(c->nodes[node].core, &n);
	return n.rows_sent;
}

/* ---- crashes */

/* Names appear as slices pass; each slice is followed by kill -9; and the
 * sender is away for good. */
static void test_crash_after_every_slice(void **state)
{
	struct cluster c;
	size_t shown = 0;
	int kills = 0;

	(void)state;
	open_cluster(&c, 2, 10000);
	write_many(&c, 0, "f", "text");
	cluster_connect(&c, 0, 1);
	run_until_applying(&c, 1);
	cluster_cut(&c, 0, 1);
	while (applying(&c, 1)) {
		size_t now = count_shown(&c, 1, "f");

		assert_true(now >= shown && now <= shown + 3);
		shown = now;
		cluster_check_nodes(&c);
		node_kill(&c.nodes[1], 0);
		kills++;
		cluster_run(&c, c.now_ms + 1); /* a start, and a slice */
		assert_true(c.nodes[1].running);
		assert_true(kills < 100);
	}
	assert_true(kills >= FILES / 3);
	assert_shows_many(&c, 1, "f");
	cluster_mend(&c, 0, 1);
	go_quiet(&c);
	assert_int_equal(rows_sent(&c, 0), FILES + 1);
	nodes_close(&c);
}

static void test_crash_while_staging(void **state)
{
	struct cluster c;
	uint64_t most = 0;

	(void)state;
	open_cluster(&c, 2, 2);
	write_many(&c, 0, "f", "text");
	cluster_connect(&c, 0, 1);
	for (;;) {
		cluster_run(&c, c.now_ms + 700);
		if (applying(&c, 1))
			break;
		most = MAX_OF(most, staged(&c, 1));
		assert_int_equal(count_shown(&c, 1, "f"), 0);
		node_kill(&c.nodes[1], 10);
		cluster_run(&c, c.now_ms + 20);
	}
	assert_true(most > 10);
	go_quiet(&c);
	assert_shows_many(&c, 1, "f");
	nodes_close(&c);
}

/* The link falls again and again: the stream goes on where it was. */
static void test_resume(void **state)
{
	struct cluster c;
	struct core_counters n;
	uint64_t before = 0;
	int falls = 0;

	(void)state;
	open_cluster(&c, 2, 20);
	for (int i = 0; i < 10; i++) {
		char prefix[32];

		snprintf(prefix, sizeof(prefix), "f%d-", i);
		write_many(&c, 0, prefix, "text");
	}
	cluster_connect(&c, 0, 1);
	while (!applying(&c, 1)) {
		cluster_run(&c, c.now_ms + 600);
		if (applying(&c, 1))
			break;
		assert_true(staged(&c, 1) >= before);
		before = staged(&c, 1);
		cluster_cut(&c, 0, 1);
		cluster_mend(&c, 0, 1);
		assert_true(++falls < 100);
	}
	assert_true(falls > 3);
	go_quiet(&c);
	/* Each row came once: what was on its way is no more than a frame. */
	core_counters(c.nodes[1].core, &n);
	assert_true(n.rows_received <= 10 * FILES + 1 + 3 * (uint64_t)falls);
	nodes_close(&c);
}

/* A restarted sender begins anew: its places may mean other rows. */
static void test_sender_restarts(void **state)
{
	struct cluster c;

	(void)state;
	open_cluster(&c, 2, 5);
	write_many(&c, 0, "f", "text");
	cluster_connect(&c, 0, 1);
	for (int i = 0; i < 5; i++) {
		cluster_run(&c, c.now_ms + 1000);
		node_kill(&c.nodes[0], 10);
		cluster_run(&c, c.now_ms + 20);
		write_file(&c, 0, file_name("f", i), "text, changed");
		remove_path(&c, 0, file_name("f", FILES - 1 - i));
	}
	go_quiet(&c);
	assert_false(is_there(&c, 1, file_name("f", FILES - 1)));
	assert_int_equal(count_shown(&c, 1, "f"), FILES - 5);
	nodes_close(&c);
}

static uint64_t tag_of(struct cluster *c, int node)
{
	return get_le64(c->nodes[node].device.b);
}

/* A cut that came whole while another was applied needs no peer either. */
static void test_two_peers_at_once(void **state)
{
	struct cluster c;

	(void)state;
	open_cluster(&c, 3, 10000);
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 0, 2);
	cluster_connect(&c, 1, 2);
	go_quiet(&c);
	cluster_cut(&c, 0, 1);
	cluster_cut(&c, 0, 2);
	cluster_cut(&c, 1, 2);
	write_many(&c, 0, "a", "text a");
	write_many(&c, 1, "b", "text b");
	cluster_run(&c, c.now_ms + 2000);
	cluster_mend(&c, 0, 2);
	cluster_mend(&c, 1, 2);
	run_until_applying(&c, 2);
	while (!stage_of(c.nodes[2].core, tag_of(&c, 0), STAGE_COMPLETE) &&
	       !stage_of(c.nodes[2].core, tag_of(&c, 1), STAGE_COMPLETE))
		cluster_run(&c, c.now_ms + 1);
	assert_true(applying(&c, 2));
	/* One after the other. */
	assert_true(!count_shown(&c, 2, "a") || !count_shown(&c, 2, "b"));
	cluster_cut(&c, 0, 2);
	cluster_cut(&c, 1, 2);
	for (int i = 0; i < 20; i++) {
		node_kill(&c.nodes[2], 0);
		cluster_run(&c, c.now_ms + 50);
	}
	cluster_run(&c, c.now_ms + 20000);
	assert_shows_many(&c, 2, "a");
	assert_shows_many(&c, 2, "b");
	cluster_mend(&c, 0, 2);
	cluster_mend(&c, 1, 2);
	go_quiet(&c);
	assert_shows_many(&c, 0, "b");
	nodes_close(&c);
}

/* ---- what arrives while a stream goes out */

/* More than a peer's queue takes: the stream has to wait for the link. */
static void write_bulk(struct cluster *c, int node)
{
	enum { BULK_FILES = 120, BULK_BYTES = 60000 };
	static char text[BULK_BYTES + 1];
	uint32_t x = 1;

	for (int i = 0; i < BULK_FILES; i++) {
		for (int k = 0; k < BULK_BYTES; k++) {
			x = x * 1664525 + 1013904223;
			text[k] = (char)('!' + (x >> 24) % 90);
		}
		write_file(c, node, file_name("bulk", i), text);
	}
}

static uint32_t perm_of(struct cluster *c, int node, const char *path)
{
	const char *name;
	struct entry e;
	uint64_t dir = parent_of(c, node, path, &name);

	assert_int_equal(tree_lookup(c->nodes[node].tree, dir, SLICE_STR(name),
				     &e), 0);
	return e.attr.mode & 07777;
}

/*
 * A row goes out, and then what the peer did to it meanwhile arrives here.
 * K at the end of the stream covers that; so it has to go out once more,
 * although the peer gave it: the peer staged the one from before.
 */
static void change_while_it_streams(bool break_link)
{
	struct tree_setattr chmod = {.set = TREE_SET_MODE, .perm = 0600};
	struct cluster c;
	struct attr attr;
	struct entry e;
	uint64_t sent;

	open_cluster(&c, 3, 1000);
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 0, 2);
	cluster_connect(&c, 1, 2);
	go_quiet(&c);
	cluster_cut(&c, 0, 1);
	cluster_cut(&c, 1, 2);
	write_file(&c, 2, "x", "text");
	assert_true(cluster_run_quiet(&c, 7000, 300000));
	cluster_cut(&c, 0, 2);
	/* One cut to node 1: so x is in its stream to node 0, too. */
	write_bulk(&c, 2);
	cluster_mend(&c, 1, 2);
	assert_true(cluster_run_quiet(&c, 7000, 300000));
	cluster_cut(&c, 1, 2);

	sent = rows_sent(&c, 1);
	cluster_mend(&c, 0, 1);
	while (rows_sent(&c, 1) == sent)
		cluster_run(&c, c.now_ms + 1);
	assert_int_equal(tree_lookup(c.nodes[0].tree, TREE_ROOT_INO,
				     SLICE_STR("x"), &e), 0);
	assert_int_equal(tree_setattr(c.nodes[0].tree, e.attr.ino, &chmod,
				      &attr), 0);
	node_poke(&c.nodes[0]);
	while (perm_of(&c, 1, "x") != 0600)
		cluster_run(&c, c.now_ms + 1);
	/* It is still on its way. */
	assert_false(is_there(&c, 0, "bulk0"));
	if (break_link) {
		while (!staged(&c, 0))
			cluster_run(&c, c.now_ms + 1);
		cluster_cut(&c, 0, 1);
		cluster_run(&c, c.now_ms + 100);
		cluster_mend(&c, 0, 1);
	}
	assert_true(cluster_run_quiet(&c, 7000, 300000));
	assert_true(is_there(&c, 0, "bulk0"));
	assert_int_equal(perm_of(&c, 0, "x"), 0600);
	cluster_mend(&c, 0, 2);
	cluster_mend(&c, 1, 2);
	go_quiet(&c);
	assert_int_equal(perm_of(&c, 2, "x"), 0600);
	nodes_close(&c);
}

static void test_changed_while_it_streams(void **state)
{
	(void)state;
	change_while_it_streams(false);
}

static void test_changed_while_it_resumes(void **state)
{
	(void)state;
	change_while_it_streams(true);
}

/* ---- local operations between slices */

/* Files that both have, and both edit: nothing is lost, and an edit of a
 * file whose slice has passed is no conflict. */
static void test_edits_between_slices(void **state)
{
	uint64_t conflicts;
	struct cluster c;
	int done = 0;

	(void)state;
	open_cluster(&c, 2, 10000);
	cluster_connect(&c, 0, 1);
	write_many(&c, 0, "f", "old");
	go_quiet(&c);
	cluster_cut(&c, 0, 1);
	write_many(&c, 0, "f", "theirs");
	cluster_mend(&c, 0, 1);
	run_until_applying(&c, 1);
	while (applying(&c, 1) && done < FILES) {
		write_file(&c, 1, file_name("f", done++), "mine");
		cluster_run(&c, c.now_ms + 20);
		cluster_check_nodes(&c);
	}
	while (done < FILES)
		write_file(&c, 1, file_name("f", done++), "mine");
	go_quiet(&c);
	conflicts = tree_conflict_count(c.nodes[0].tree);
	assert_true(conflicts > 0 && conflicts < FILES);
	nodes_close(&c);
}

/* What was merged and edited or removed since is not merged again. */
static void test_removed_between_slices(void **state)
{
	struct cluster c;
	int removed = 0;

	(void)state;
	open_cluster(&c, 2, 10000);
	write_many(&c, 0, "f", "text");
	cluster_connect(&c, 0, 1);
	run_until_applying(&c, 1);
	while (applying(&c, 1)) {
		for (int i = 0; i < FILES; i++)
			if (is_there(&c, 1, file_name("f", i))) {
				remove_path(&c, 1, file_name("f", i));
				removed++;
			}
		node_kill(&c.nodes[1], 0);
		cluster_run(&c, c.now_ms + 1);
	}
	go_quiet(&c);
	assert_true(removed > FILES / 2);
	assert_int_equal(count_shown(&c, 0, "f"), FILES - removed);
	nodes_close(&c);
}

/* A directory dies in one slice and something lives in it at the end, or its
 * parent comes after it: revived after the last slice, with crashes. */
static void test_revival_after_slices(void **state)
{
	struct cluster c;

	(void)state;
	open_cluster(&c, 2, 10000);
	cluster_connect(&c, 0, 1);
	make_dir(&c, 0, "d");
	make_dir(&c, 0, "d/e");
	write_file(&c, 0, "d/e/x", "x");
	go_quiet(&c);
	cluster_cut(&c, 0, 1);
	remove_path(&c, 0, "d/e/x");
	remove_path(&c, 0, "d/e");
	remove_path(&c, 0, "d");
	write_many(&c, 0, "f", "text");
	write_file(&c, 1, "d/e/new", "unseen by the remover");
	cluster_run(&c, c.now_ms + 1500);
	cluster_mend(&c, 0, 1);
	run_until_applying(&c, 1);
	while (applying(&c, 1)) {
		node_kill(&c.nodes[1], 0);
		cluster_run(&c, c.now_ms + 1);
	}
	assert_true(is_there(&c, 1, "d/e/new"));
	assert_false(is_there(&c, 1, "d/e/x"));
	go_quiet(&c);
	assert_true(is_there(&c, 0, "d/e/new"));
	nodes_close(&c);
}

/* ---- peers at fault */

struct fake {
	struct cluster c;
	struct packer *packer; /* node 0's own: one stream a link */
	struct buf frame;
	uint64_t origin;
	struct objid parent; /* of the rows */
};

static bool fake_send(struct fake *f)
{
	struct wire *w = &f->c.wires[0][1];
	struct node *n = &f->c.nodes[1];

	assert_int_equal(frame_end(&f->frame), 0);
	core_receive(n->core, f->c.now_ms, w->link,
		     SLICE(f->frame.data + 4, f->frame.len - 4));
	n->tick_ms = core_tick(n->core, f->c.now_ms);
	return w->closing;
}

/* A row of a directory "badN" in `parent`, with the numbers of its dots. */
static bool fake_row(struct fake *f, int i, uint64_t kind, uint64_t link)
{
	cleanup(buf_release) struct buf row = BUF_INIT, raw = BUF_INIT;
	const char *name = file_name("bad", i);
	struct object o;
	struct version v = {.dot = {f->origin, kind}, .hlc = 1 << 20};
	struct rec rec;

	object_init(&o, (struct objid){{7, (uint8_t)i}});
	v.reg = REG_KIND;
	v.kind.kind = KIND_DIR;
	assert_non_null(object_add(&o, &v));
	v.dot.seq = link;
	v.reg = REG_LINK;
	v.link = (struct link_value){.slot = SLOT_DIR,
				     .at = {f->parent, SLICE_STR(name)},
				     .since = {1 << 20, v.dot, 0},
				     .label = SLICE("x", 1)};
	assert_non_null(object_add(&o, &v));
	assert_int_equal(object_encode(&o, &row), 0);
	rec = (struct rec){o.id, buf_slice(&row)};
	rec_encode(&rec, &raw);
	object_release(&o);
	frame_begin(&f->frame, FRAME_REC);
	buf_put_varint(&f->frame, (uint64_t)i + 1);
	buf_put_varint(&f->frame, raw.len);
	assert_int_equal(packer_put(f->packer, buf_slice(&raw), &f->frame), 0);
	return fake_send(f);
}

static void fake_begin(struct fake *f)
{
	struct stream stream = {.life = 2};

	frame_begin(&f->frame, FRAME_STREAM);
	stream_encode(&stream, &f->frame);
	assert_false(fake_send(f));
}

static void fake_open(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	open_cluster(&f->c, 2, 10000);
	f->c.options.bad_frames = true;
	cluster_connect(&f->c, 0, 1);
	cluster_run(&f->c, f->c.now_ms + 2000);
	f->packer = &f->c.nodes[0].core->peers[0]->push.packer;
	f->origin = 4711;
	fake_begin(f);
}

/* A stream of 30 rows in which row number 15 has this dot. */
static void fake_stream(struct fake *f, uint64_t odd_seq)
{
	fake_open(f);
	for (int i = 0; i < 30; i++)
		assert_false(fake_row(f, i, 5, i == 15 ? odd_seq : 5));
	assert_true(staged(&f->c, 1) > 20);
}

/* Any mark will do, as long as it is always the same. */
static mark_t fake_mark(uint64_t seq)
{
	return (mark_t)(seq ? 100 + seq : 0);
}

static void fake_marks(struct fake *f, struct cut *cut, uint64_t after)
{
	uint64_t k = know_get(&cut->k, f->origin);
	struct mark_run run = {.origin = f->origin,
			       .after = after,
			       .before = fake_mark(after),
			       .count = k - after};
	struct tree *t = f->c.nodes[1].tree;

	for (size_t i = 0; i < run.count; i++)
		run.marks[i] = fake_mark(after + 1 + i);
	frame_begin(&f->frame, FRAME_MARKS);
	run_encode(&run, &f->frame);
	assert_false(fake_send(f));
	store_lock(f->c.nodes[1].store);
	assert_int_equal(heads_take(t, &cut->k, &cut->heads), 0);
	store_unlock(f->c.nodes[1].store);
	for (size_t i = 0; i < cut->k.count; i++)
		if (cut->k.entries[i].origin == f->origin)
			cut->heads.marks[i] = fake_mark(k);
}

static bool fake_cut(struct fake *f, uint64_t k, uint64_t own, uint64_t rows)
{
	struct node *n = &f->c.nodes[1];
	struct cut cut = {.k = KNOW_INIT, .rows = rows};
	uint64_t after;

	store_lock(n->store);
	assert_int_equal(know_copy(&cut.k, replica_know(n->tree)), 0);
	after = know_get(&cut.k, f->origin);
	assert_int_equal(know_set(&cut.k, f->origin, k), 0);
	assert_int_equal(know_set(&cut.k, replica_origin(n->tree),
				  know_get(&cut.k, replica_origin(n->tree)) +
					  own),
			 0);
	store_unlock(n->store);
	fake_marks(f, &cut, after);
	frame_begin(&f->frame, FRAME_CUT);
	cut_encode(&cut, &f->frame);
	cut_release(&cut);
	return fake_send(f);
}

static void fake_end(struct fake *f, bool refused)
{
	cluster_run(&f->c, f->c.now_ms + 10000);
	assert_int_equal(staged(&f->c, 1), 0);
	assert_int_equal(count_shown(&f->c, 1, "bad"), refused ? 0 : 30);
	assert_false(applying(&f->c, 1));
	buf_release(&f->frame);
	nodes_close(&f->c);
}

static void test_bad_row_rejects_all(void **state)
{
	struct fake f;

	(void)state;
	fake_stream(&f, 5); /* all is well: so it is the row below */
	assert_false(fake_cut(&f, 5, 0, 30));
	cluster_cut(&f.c, 0, 1); /* (node 0 never heard of them) */
	fake_end(&f, false);
	fake_stream(&f, 6); /* which the sender does not know */
	assert_true(fake_cut(&f, 5, 0, 30));
	fake_end(&f, true);
	fake_stream(&f, 5); /* knows more of us than we do */
	assert_true(fake_cut(&f, 5, 1, 30));
	fake_end(&f, true);
	fake_stream(&f, 5); /* rows were lost */
	assert_true(fake_cut(&f, 5, 0, 31));
	fake_end(&f, true);
}

/* The same with a row that is none, after others went to the table. */
static void test_malformed_row_rejects_all(void **state)
{
	struct fake f;

	(void)state;
	fake_stream(&f, 5);
	frame_begin(&f.frame, FRAME_REC);
	buf_put_varint(&f.frame, 100);
	buf_put_varint(&f.frame, 20);
	assert_int_equal(packer_put(f.packer,
				    SLICE("0123456789abcdef\003xyz", 20),
				    &f.frame),
			 0);
	assert_true(fake_send(&f));
	fake_end(&f, true);
}

/* What is in a directory that nobody knows is shown in the root. */
static void test_lost_rows(void **state)
{
	static const int counts[] = {3, 30};
	struct core_counters n;
	struct fake f;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
		fake_open(&f);
		f.parent = (struct objid){{9}};
		for (int i = 0; i < counts[k]; i++)
			assert_false(fake_row(&f, i, 5, 5));
		assert_false(fake_cut(&f, 5, 0, (uint64_t)counts[k]));
		cluster_run(&f.c, f.c.now_ms + 10000);
		assert_int_equal(count_shown(&f.c, 1, "bad"), counts[k]);
		assert_int_equal(replica_check(f.c.nodes[1].tree, NULL), 0);
		core_counters(f.c.nodes[1].core, &n);
		assert_int_equal(n.lost, counts[k]);
		buf_release(&f.frame);
		nodes_close(&f.c);
	}
}

/* It comes with them, in a later slice. */
static void test_parent_in_later_slice(void **state)
{
	struct fake f;

	(void)state;
	fake_open(&f);
	f.parent = (struct objid){{7, 30}};
	for (int i = 0; i < 30; i++)
		assert_false(fake_row(&f, i, 5, 5));
	f.parent = ROOT_ID;
	assert_false(fake_row(&f, 30, 5, 5));
	assert_false(fake_cut(&f, 5, 0, 31));
	cluster_run(&f.c, f.c.now_ms + 10000);
	assert_int_equal(count_shown(&f.c, 1, "bad30/bad"), 30);
	assert_int_equal(count_shown(&f.c, 1, "bad"), 1);
	buf_release(&f.frame);
	nodes_close(&f.c);
}

/* What was purged here is revived elsewhere: its KIND, which K covers, is
 * written again after the last slice, over crashes. */
static void test_restamps(void **state)
{
	struct fake f;
	struct node *n = &f.c.nodes[1];

	(void)state;
	fake_stream(&f, 5);
	assert_false(fake_cut(&f, 5, 0, 30));
	/* (who never heard of them will not ask for them) */
	f.c.nodes[0].core->failure = -EIO;
	cluster_run(&f.c, f.c.now_ms + 3000);
	assert_int_equal(count_shown(&f.c, 1, "bad"), 30);
	for (int i = 0; i < 30; i++) {
		struct object none;

		object_init(&none, (struct objid){{7, (uint8_t)i}});
		store_lock(n->store);
		assert_int_equal(replica_begin(n->tree), 0);
		assert_int_equal(
			replica_end(n->tree,
				    replica_row_store(n->tree, &none, 0)),
			0);
		store_unlock(n->store);
	}
	assert_int_equal(count_shown(&f.c, 1, "bad"), 0);
	fake_begin(&f);
	for (int i = 0; i < 30; i++)
		assert_false(fake_row(&f, i, 5, 6));
	assert_false(fake_cut(&f, 6, 0, 30));
	f.c.nodes[0].core->failure = 0;
	cluster_cut(&f.c, 0, 1);
	run_until_applying(&f.c, 1);
	while (applying(&f.c, 1)) {
		node_kill(n, 0);
		cluster_run(&f.c, f.c.now_ms + 1);
	}
	fake_end(&f, false);
}

/* Of several values the one that is shown comes back, whichever stands first
 * in the row. */
static void test_restamp_of_several(void **state)
{
	(void)state;
	for (uint64_t first = 0; first < 2; first++) {
		struct objid id = {{7}};
		struct version kind = {.dot = {3, 1}, .reg = REG_KIND,
				       .kind.kind = KIND_FILE};
		cleanup(buf_release) struct buf bytes = BUF_INIT;
		struct object row, theirs;
		struct merge m = {.mine = KNOW_INIT};
		struct know k = KNOW_INIT;
		struct info i;
		struct cluster c;
		struct tree *t;

		open_cluster(&c, 1, 10000);
		t = c.nodes[0].tree;
		object_init(&row, id);
		object_init(&theirs, id);
		assert_non_null(object_add(&row, &kind));
		for (uint64_t n = 0; n < 2; n++) {
			struct version v = {.dot = {8 + n, 1},
					    .hlc = n == first ? 20 : 10,
					    .reg = REG_MODE,
					    .mode.perm = n == first ? 0640
								    : 0600};

			assert_non_null(object_add(&theirs, &v));
			assert_int_equal(know_set(&k, 8 + n, 1), 0);
		}
		assert_int_equal(object_encode(&theirs, &bytes), 0);
		store_lock(c.nodes[0].store);
		assert_int_equal(replica_begin(t), 0);
		assert_int_equal(replica_know_join(t, &k), 0);
		assert_int_equal(merge_init(&m, t, &k, 0), 0);
		assert_int_equal(replica_row_store(t, &row, 0), 0);
		assert_int_equal(merge_restamp(&m, id, buf_slice(&bytes)), 0);
		object_release(&row);
		assert_int_equal(replica_row_load(t, id, &row), 0);
		assert_int_equal(info_init(&i, &row), 0);
		assert_int_equal(i.mode->mode.perm, 0640);
		info_release(&i);
		assert_int_equal(replica_end(t, -ECANCELED), -ECANCELED);
		store_unlock(c.nodes[0].store);
		merge_release(&m);
		know_release(&k);
		object_release(&row);
		object_release(&theirs);
		nodes_close(&c);
	}
}

/* Of what was purged here came a new attribute: the object stays removed, and
 * says where it was, for somebody may have made something in it meanwhile. */
static void restamp_removed(bool named)
{
	struct objid id = {{7}};
	struct version kind = {.dot = {3, 1}, .reg = REG_KIND,
			       .kind.kind = KIND_DIR};
	struct version mode = {.dot = {9, 1}, .reg = REG_MODE,
			       .mode.perm = 0700};
	struct version link = {.dot = {3, 1}, .hlc = 5, .reg = REG_LINK,
			       .link.since = {5, {3, 1}, 0},
			       .link.at.name = SLICE_STR("strong")};
	struct version weak = {.dot = {3, 2}, .hlc = 6, .reg = REG_LINK,
			       .flags = VERSION_WEAK,
			       .link.since = {5, {3, 1}, 0},
			       .link.at.name = SLICE_STR("weak")};
	struct version fresh = {.dot = {9, 2}, .reg = REG_LINK,
				.link.since = {7, {9, 2}, 0},
				.link.at.name = SLICE_STR("fresh")};
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	struct object row, theirs;
	struct merge m = {.mine = KNOW_INIT};
	struct know k = KNOW_INIT;
	struct info i;
	struct cluster c;
	struct tree *t;

	open_cluster(&c, 1, 10000);
	t = c.nodes[0].tree;
	object_init(&row, id);
	object_init(&theirs, id);
	assert_non_null(object_add(&theirs, &kind));
	assert_non_null(object_add(&theirs, &weak));
	assert_non_null(object_add(&theirs, &link));
	assert_non_null(object_add(&theirs, &mode));
	assert_non_null(object_add(&row, &mode));
	if (named)
		assert_non_null(object_add(&row, &fresh));
	assert_int_equal(know_set(&k, 3, 2), 0);
	assert_int_equal(object_encode(&theirs, &bytes), 0);
	store_lock(c.nodes[0].store);
	assert_int_equal(replica_begin(t), 0);
	assert_int_equal(replica_know_join(t, &k), 0);
	assert_int_equal(merge_init(&m, t, &k, 0), 0);
	assert_int_equal(replica_row_store(t, &row, 0), 0);
	/* (done again after a crash, it is the same) */
	for (int n = 0; n < 2; n++)
		assert_int_equal(merge_restamp(&m, id, buf_slice(&bytes)), 0);
	object_release(&row);
	assert_int_equal(replica_row_load(t, id, &row), 0);
	assert_int_equal(info_init(&i, &row), 0);
	assert_int_equal(i.kind, KIND_DIR);
	assert_int_equal(i.link_count, named);
	assert_int_equal(!i.tomb, named);
	assert_int_equal(row.count, 3);
	if (i.tomb)
		assert_true(slice_equal(i.tomb->tomb.link.at.name,
					SLICE_STR("strong")));
	info_release(&i);
	assert_int_equal(replica_end(t, -ECANCELED), -ECANCELED);
	store_unlock(c.nodes[0].store);
	merge_release(&m);
	know_release(&k);
	object_release(&row);
	object_release(&theirs);
	nodes_close(&c);
}

static void test_restamp_of_removed(void **state)
{
	(void)state;
	restamp_removed(false);
	restamp_removed(true);
}

/* ---- the table */

static void test_table(void **state)
{
	struct store_options o = {.path = nodes_dir(), .no_sync = true};
	char command[100];
	struct stage *s, *loaded = NULL;
	cleanup(buf_release) struct buf row = BUF_INIT;
	struct store *store;
	struct object last;
	struct objid id;
	struct slice v;

	(void)state;
	assert_int_equal(store_open(&o, NULL, &store), 0);
	assert_int_equal(stage_new(store, 3, &s), 0);
	s->tag = 9;
	s->life = 8;
	for (uint64_t i = 1; i <= 100; i++) {
		struct version k = {.dot = {1, i}, .reg = REG_KIND,
				    .kind.kind = KIND_DIR};
		struct object ob;

		object_init(&ob, (struct objid){{(uint8_t)(i % 60 + 1)}});
		assert_non_null(object_add(&ob, &k));
		buf_reset(&row);
		assert_int_equal(object_encode(&ob, &row), 0);
		assert_int_equal(stage_put(s, ob.id, buf_slice(&row)), 0);
		object_release(&ob);
		s->position = i;
		if (i % 30 == 0)
			assert_int_equal(stage_flush(s, 7), 0);
	}
	/* The rest in memory is lost; what is in the table is not. */
	stage_free(s);
	store_abandon(store);
	assert_int_equal(store_open(&o, NULL, &store), 0);
	assert_int_equal(stages_load(store, &loaded), 0);
	assert_non_null(loaded);
	assert_null(loaded->next);
	assert_true(loaded->number == 3 && loaded->tag == 9 &&
		    loaded->life == 8 && loaded->position == 90 &&
		    loaded->state == STAGE_OPEN &&
		    know_get(&loaded->dots, 1) == 90);
	store_lock(store);
	assert_int_equal(store_count(store, TABLE_STAGE), 61);
	assert_int_equal(stage_seek(loaded, STAGE_ROW, NULL, &id, &v), 0);
	assert_int_equal(id.b[0], 1);
	/* The last record of an object wins. */
	id = (struct objid){{31}};
	assert_int_equal(stage_get(loaded, STAGE_ROW, id, &v), 0);
	object_init(&last, id);
	assert_int_equal(object_decode(v, &last), 0);
	assert_int_equal(last.versions[0].dot.seq, 90);
	object_release(&last);
	store_unlock(store);
	assert_int_equal(stage_set_state(loaded, STAGE_DROPPED), 0);
	store_lock(store);
	for (int left = 60; left > 0; left -= 25) {
		assert_int_equal(store_op_begin(store), 0);
		assert_int_equal(stage_sweep(loaded, 25), MIN_OF(left, 25));
		assert_int_equal(store_op_end(store), 0);
	}
	assert_int_equal(store_count(store, TABLE_STAGE), 0);
	store_unlock(store);
	stage_free(loaded);
	store_abandon(store);
	snprintf(command, sizeof(command), "rm -rf '%s'", o.path);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_crash_after_every_slice),
		cmocka_unit_test(test_crash_while_staging),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_sender_restarts),
		cmocka_unit_test(test_two_peers_at_once),
		cmocka_unit_test(test_changed_while_it_streams),
		cmocka_unit_test(test_changed_while_it_resumes),
		cmocka_unit_test(test_edits_between_slices),
		cmocka_unit_test(test_removed_between_slices),
		cmocka_unit_test(test_revival_after_slices),
		cmocka_unit_test(test_bad_row_rejects_all),
		cmocka_unit_test(test_malformed_row_rejects_all),
		cmocka_unit_test(test_lost_rows),
		cmocka_unit_test(test_parent_in_later_slice),
		cmocka_unit_test(test_restamps),
		cmocka_unit_test(test_restamp_of_several),
		cmocka_unit_test(test_restamp_of_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
