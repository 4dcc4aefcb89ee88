/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a recorded history, one JSON object a line. When an
 * operation of a store has ended, the versions with its numbers say what it
 * was: a program's call, as record_calls.c has noted it; unsent writes that
 * became a version; or a merge, a slice of one, a purge, a return. Of what
 * the versions hold only that is told which chance or a clock gave.
 */
#include "tests/sim/record_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/items.h"

/* Events of a node between two of its views: a view is long. */
#define VIEW_EVERY 3

struct recorder *recorder(void)
{
	static struct recorder the_one;

	return &the_one;
}

struct record_node *record_node(const struct node *n)
{
	return &recorder()->nodes[n->index];
}

static void op_release(struct record_op *op)
{
	idlist_release(&op->rows);
	idlist_release(&op->gone);
	free(op->restamps);
}

static void recorder_release(struct recorder *rec)
{
	for (int i = 0; i < CLUSTER_NODES_MAX; i++) {
		op_release(&rec->nodes[i].op);
	}
	buf_release(&rec->call.path);
	buf_release(&rec->call.to);
	*rec = (struct recorder){.cluster = NULL};
}

/* ---- lines */

static void put_text(struct buf *b, struct slice text)
{
	buf_put_u8(b, '"');
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			buf_printf(b, "\\u%04x", c);
		else
			buf_put_u8(b, c);
	}
	buf_put_u8(b, '"');
}

static void put_path(struct buf *b, const char *field, const struct buf *path)
{
	buf_printf(b, ",\"%s\":", field);
	put_text(b, buf_slice(path));
}

static void put_id(struct buf *b, struct objid id)
{
	char hex[33];

	hex_encode(id.b, sizeof(id.b), hex);
	buf_printf(b, "\"%s\"", hex);
}

static void put_ids(struct buf *b, const char *field,
		    const struct idlist *list)
{
	buf_printf(b, ",\"%s\":[", field);
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			buf_put_u8(b, ',');
		put_id(b, list->ids[i]);
	}
	buf_put_u8(b, ']');
}

static void put_dot(struct buf *b, const char *field, struct dot dot)
{
	buf_printf(b, ",\"%s\":[\"%016" PRIx64 "\",%" PRIu64 "]", field,
		   dot.origin, dot.seq);
}

void content_name(const struct content *c, char ret[20])
{
	snprintf(ret, 20, "%016" PRIx64, content_hash64(c));
}

static void line_begin(struct buf *b, const char *ev, const struct node *n)
{
	buf_printf(b, "{\"ev\":\"%s\"", ev);
	if (n)
		buf_printf(b, ",\"node\":%d", n->index);
}

/* Takes the buffer's memory. */
static void line_end(struct buf *b)
{
	buf_printf(b, "}\n");
	kin_assert(!buf_error(b));
	fwrite(b->data, 1, b->len, recorder()->out);
	buf_release(b);
}

void record_stop(const char *why)
{
	struct recorder *rec = recorder();

	if (!rec->cluster)
		return;
	fprintf(rec->out, "# cannot be told: %s\n", why);
	recorder_release(rec);
}

/* ---- what changed */

/* The versions of one operation, told apart by their numbers: those of the
 * program's call have the first, events that it caused have their own. */
struct changes {
	struct node *node;
	const struct record_node *rn;
	const struct record_call *call;
	uint64_t first, hlc;
	struct objid made;	/* what has a KIND of it */
	bool is_made;
	uint64_t slot;		/* of the strong LINK where the call says */
	uint32_t mode;
	char hash[20];		/* of what was made, or cut */
	bool removes;		/* some TOMB is of it */
	struct objid opened;	/* what is in conflict again */
	bool opens;
	struct buf drawn;
};

static void draw(struct buf *b, const char *why, struct objid id, uint64_t seq,
		 uint64_t hlc)
{
	if (b->len)
		buf_put_u8(b, ',');
	buf_printf(b, "{\"why\":\"%s\",\"seq\":%" PRIu64 ",\"hlc\":%" PRIu64
		      ",\"id\":",
		   why, seq, hlc);
	put_id(b, id);
}

static void put_restamp(struct buf *drawn, struct objid id, struct dot dot,
			uint64_t hlc, struct dot of, const char *reg)
{
	draw(drawn, "restamp", id, dot.seq, hlc);
	put_dot(drawn, "of", of);
	buf_printf(drawn, ",\"reg\":\"%s\"}", reg);
}

static bool is_undo(const struct changes *x)
{
	return x->call->node == x->node && x->call->what == CALL_UNDO;
}

/* Main bears the mark, or what was shown comes again. */
static void add_opened(struct changes *x, struct objid id,
		       const struct version *v)
{
	x->opens = true;
	x->opened = id;
	if (v->dot.seq != x->first)
		put_restamp(&x->drawn, id, v->dot, v->hlc,
			    v->content.anc[0].dot, "CONTENT");
}

static void add_event(struct changes *x, struct objid id,
		      const struct version *v)
{
	const char *why;

	if (v->reg == REG_LINK && v->flags & VERSION_WEAK)
		why = x->rn->doing == DOING_RETURN ? "undelete" : "revive";
	else if (v->reg == REG_TOMB && x->rn->doing == DOING_PURGE)
		why = "purge";
	else
		return;
	draw(&x->drawn, why, id, v->dot.seq, v->hlc);
	buf_put_u8(&x->drawn, '}');
}

static bool is_where_called(const struct changes *x, const struct version *v)
{
	const struct record_call *call = x->call;
	size_t len = v->link.at.name.len;

	return objid_equal(v->link.at.parent, call->to_dir) &&
	       call->to.len >= len &&
	       !memcmp(call->to.data + call->to.len - len,
		       v->link.at.name.data, len);
}

static bool is_settlement(const struct changes *x)
{
	return x->call->node == x->node && x->call->what == CALL_SETTLE;
}

static void add_written(struct changes *x, struct objid id,
			const struct version *v)
{
	const struct record_op *op = &x->rn->op;

	x->hlc = v->hlc;
	switch (v->reg) {
	case REG_KIND:
		x->made = id;
		x->is_made = true;
		break;
	case REG_LINK:
		if (!(v->flags & VERSION_WEAK) && is_where_called(x, v))
			x->slot = v->link.slot;
		break;
	case REG_MODE:
		x->mode = v->mode.perm;
		break;
	case REG_TOMB:
		x->removes = true;
		break;
	case REG_CONTENT:
		if (is_settlement(x)) {
			content_name(&v->content.content, x->hash);
			break;
		}
		if (op->commits ? objid_equal(id, op->written)
				: x->is_made && objid_equal(id, x->made))
			content_name(&v->content.content, x->hash);
		break;
	}
}

static bool is_restamp(const struct record_op *op, struct objid id,
		       const struct version *v)
{
	for (size_t i = 0; i < op->restamp_count; i++)
		if (objid_equal(op->restamps[i].id, id) &&
		    dot_equal(op->restamps[i].dot, v->dot))
			return true;
	return false;
}

static int add_row(void *arg, const struct replica_row *row)
{
	struct changes *x = arg;
	struct object o;
	int r;

	object_init(&o, row->id);
	r = object_decode(row->row, &o);
	for (size_t i = 0; r == 0 && i < o.count; i++) {
		const struct version *v = &o.versions[i];

		if (v->dot.origin != x->node->tree->origin ||
		    v->dot.seq <= x->rn->seq || is_restamp(&x->rn->op, o.id, v))
			continue;
		if (is_undo(x) && v->flags & VERSION_REOPENED)
			add_opened(x, row->id, v);
		if (v->dot.seq == x->first)
			add_written(x, row->id, v);
		else
			add_event(x, row->id, v);
	}
	object_release(&o);
	return r;
}

static void changes_find(struct changes *x)
{
	kin_assert(replica_rows_look(x->node->tree, x->rn->lseq, SIZE_MAX,
				     add_row, x) >= 0);
}

/* ---- operations of programs */

/* A rename over another file: if the file that was renamed is gone, or was
 * removed by this, it was a temporary. */
static const char *adopted_how(struct changes *x)
{
	struct tree *t = x->node->tree;
	bool linked = false, buried = false;
	size_t count;
	struct object o;

	kin_assert(!replica_row_load(t, x->call->entry.id, &o));
	count = o.count;
	for (size_t i = 0; i < o.count; i++) {
		const struct version *v = &o.versions[i];

		linked |= v->reg == REG_LINK;
		buried |= v->reg == REG_TOMB && v->dot.origin == t->origin &&
			  v->dot.seq == x->first;
	}
	object_release(&o);
	return !count ? "erase" : buried && !linked ? "tomb" : NULL;
}

static void tell_rename(struct changes *x, struct buf *b)
{
	const struct record_call *call = x->call;
	bool sibling = call->entry.type == SHOWN_SIBLING;
	const char *how = NULL;

	/* Over its own main. */
	if (sibling && !x->is_made) {
		buf_printf(b, ",\"op\":\"take\"");
		put_path(b, "path", &call->path);
		return;
	}
	buf_printf(b, ",\"op\":\"move\"");
	put_path(b, "path", &call->path);
	put_path(b, "to", &call->to);
	if (sibling) {
		buf_printf(b, ",\"id\":");
		put_id(b, x->made);
		buf_printf(b, ",\"slot\":%" PRIu64, x->slot);
	} else if (call->entry.type != SHOWN_DIR && call->is_there) {
		how = adopted_how(x);
	}
	if (how)
		buf_printf(b, ",\"how\":\"%s\"", how);
	else
		put_ids(b, "erased", &x->rn->op.gone);
}

static void tell_create(struct changes *x, struct buf *b)
{
	bool dir = !x->hash[0];

	buf_printf(b, ",\"op\":\"%s\"", dir ? "mkdir" : x->call->symlink
							? "symlink"
							: "create");
	put_path(b, "to", &x->call->to);
	buf_printf(b, ",\"id\":");
	put_id(b, x->made);
	buf_printf(b, ",\"mode\":%" PRIu32, x->mode);
	if (!dir)
		buf_printf(b, ",\"slot\":%" PRIu64 ",\"hash\":\"%s\"", x->slot,
			   x->hash);
	if (x->call->open)
		buf_printf(b, ",\"how\":\"open\"");
}

static void tell_attributes(struct changes *x, struct buf *b)
{
	uint32_t set = x->call->set;

	buf_printf(b, ",\"op\":\"%s\"", set & TREE_SET_MODE    ? "chmod"
					: set & TREE_SET_MTIME ? "touch"
							       : "attr");
	put_path(b, "path", &x->call->path);
	if (set & TREE_SET_MODE)
		buf_printf(b, ",\"mode\":%" PRIu32, x->mode);
}

/* Unsent writes become a version, whoever asked for that. */
static void tell_write(struct changes *x, struct buf *b)
{
	const struct record_op *op = &x->rn->op;

	buf_printf(b, ",\"op\":\"write\",\"object\":");
	put_id(b, op->written);
	put_dot(b, "base", op->base);
	/* (no version: they were what it held before) */
	buf_printf(b, ",\"hash\":\"%s\"", x->hash[0] ? x->hash
						      : op->base_hash);
}

static bool tell_call(struct changes *x, struct buf *b)
{
	const struct record_call *call = x->call;

	/* (the rules know of no content that is on its way) */
	if (call->coming)
		return false;
	switch (call->what) {
	case CALL_CREATE:
		tell_create(x, b);
		return true;
	case CALL_UNLINK:
		buf_printf(b, ",\"op\":\"remove\"");
		put_path(b, "path", &call->path);
		put_ids(b, "erased", &x->rn->op.gone);
		return true;
	case CALL_RMDIR:
		buf_printf(b, ",\"op\":\"rmdir\"");
		put_path(b, "path", &call->path);
		return true;
	case CALL_RENAME:
		tell_rename(x, b);
		return true;
	case CALL_EXCHANGE:
		buf_printf(b, ",\"op\":\"exchange\"");
		put_path(b, "path", &call->path);
		put_path(b, "to", &call->to);
		return true;
	case CALL_LINK:
		buf_printf(b, ",\"op\":\"link\"");
		put_path(b, "path", &call->path);
		put_path(b, "to", &call->to);
		buf_printf(b, ",\"slot\":%" PRIu64, x->slot);
		return true;
	case CALL_SETATTR:
		tell_attributes(x, b);
		return true;
	case CALL_RESOLVE:
		/* (a contest for a name, not for a content) */
		if (x->removes)
			return false;
		buf_printf(b, ",\"op\":\"take\",\"all\":true");
		put_path(b, "path", &call->path);
		if (call->take_main)
			buf_printf(b, ",\"how\":\"main\"");
		return true;
	case CALL_SETTLE:
		buf_printf(b, ",\"op\":\"auto\",\"object\":");
		put_id(b, call->object);
		buf_printf(b, ",\"hash\":\"%s\"", x->hash);
		if (call->by_person)
			buf_printf(b, ",\"how\":\"person\"");
		return true;
	case CALL_UNDO:
		if (!x->opens)
			return false;
		buf_printf(b, ",\"op\":\"reopen\",\"object\":");
		put_id(b, x->opened);
		return true;
	case CALL_NONE:
		break;
	}
	return false;
}

static void tell_operation(struct node *n, struct changes *x)
{
	struct buf b = BUF_INIT;
	bool told = true;

	x->first = n->tree->op_first;
	changes_find(x);
	/* (what it wrote is gone again) */
	if (!x->hlc)
		x->hlc = n->tree->op_hlc;
	line_begin(&b, "op", n);
	buf_printf(&b, ",\"seq\":%" PRIu64 ",\"hlc\":%" PRIu64, x->first,
		   x->hlc);
	if (x->rn->op.commits && !is_settlement(x))
		tell_write(x, &b);
	else
		told = x->call->node == n && tell_call(x, &b);
	if (x->drawn.len)
		buf_printf(&b, ",\"drawn\":[%.*s]", (int)x->drawn.len,
			   (char *)x->drawn.data);
	if (told)
		line_end(&b);
	else
		record_stop("an operation of its own kind");
	buf_release(&b);
}

/* A file that nobody has heard of goes, and no number is drawn for it: not
 * even the directory's time is written, where that is not here yet. */
static void tell_erased(struct node *n)
{
	struct buf b = BUF_INIT;

	line_begin(&b, "erase", n);
	put_ids(&b, "ids", &record_node(n)->op.gone);
	line_end(&b);
}

/* ---- merges */

static void put_restamps(struct node *n, struct buf *drawn)
{
	static const char *const registers[] = {
		[REG_KIND] = "KIND",   [REG_LINK] = "LINK",
		[REG_MODE] = "MODE",   [REG_CONTENT] = "CONTENT",
		[REG_TIMES] = "TIMES", [REG_TOMB] = "TOMB",
	};
	const struct record_op *op = &record_node(n)->op;

	for (size_t i = 0; i < op->restamp_count; i++) {
		const struct record_restamp *x = &op->restamps[i];

		const char *reg = x->reg < ARRAY_SIZE(registers)
					  ? registers[x->reg]
					  : NULL;

		/* (the model has no other registers) */
		put_restamp(drawn, x->id, x->dot, n->tree->op_hlc, x->of,
			    reg ? reg : "OTHER");
	}
}

static void put_drawn(struct buf *b, const struct buf *drawn)
{
	buf_printf(b, ",\"drawn\":[%.*s]", (int)drawn->len,
		   drawn->len ? (char *)drawn->data : "");
}

static void tell_apply(struct node *n, const char *cut, const struct buf *drawn)
{
	struct buf b = BUF_INIT;

	line_begin(&b, "apply", n);
	buf_printf(&b, ",\"cut\":\"%s\"", cut);
	put_drawn(&b, drawn);
	line_end(&b);
}

static void tell_slice(struct node *n, struct changes *x)
{
	struct record_node *rn = record_node(n);
	struct buf b = BUF_INIT;

	if (rn->op.rows.count || (x->drawn.len && !rn->op.ends)) {
		line_begin(&b, "slice", n);
		buf_printf(&b, ",\"cut\":\"%s\"", rn->large);
		put_ids(&b, "ids", &rn->op.rows);
		if (!rn->op.ends)
			put_drawn(&b, &x->drawn);
		line_end(&b);
	}
	if (rn->op.ends)
		tell_apply(n, rn->large, &x->drawn);
}

/* A merge, or what it led to. False: there was nothing. */
static bool tell_merge(struct node *n, struct changes *x, bool drawn)
{
	struct record_node *rn = record_node(n);
	struct buf b = BUF_INIT;

	changes_find(x);
	put_restamps(n, &x->drawn);
	if (rn->small[0]) {
		tell_apply(n, rn->small, &x->drawn);
	} else if (rn->doing == DOING_PURGE) {
		line_begin(&b, "purge", n);
		put_ids(&b, "ids", &rn->op.gone);
		put_drawn(&b, &x->drawn);
		line_end(&b);
	} else if (rn->doing == DOING_RETURN) {
		if (!drawn)
			return false;
		line_begin(&b, "return", n);
		put_drawn(&b, &x->drawn);
		line_end(&b);
	} else if (rn->op.rows.count || rn->op.ends ||
		   n->tree->is_applying) {
		tell_slice(n, x);
	} else if (drawn) {
		record_stop("numbers were drawn for something else");
	} else {
		return false;
	}
	return true;
}

void record_op_ended(struct node *n)
{
	struct recorder *rec = recorder();
	struct record_node *rn = record_node(n);
	struct tree *t = n->tree;
	struct changes x = {.node = n, .rn = rn, .call = &rec->call};
	uint64_t seq = know_get(&t->know, t->origin);
	bool drawn = t->ticked && seq > rn->seq;
	bool merges = t->remote && !is_undo(&x);

	if (!rn->started || rn->op.begins)
		return;
	if (merges)
		rn->events += tell_merge(n, &x, drawn);
	else if (drawn)
		tell_operation(n, &x);
	else if (rn->op.gone.count)
		tell_erased(n);
	rn->events += !merges && drawn;
	buf_release(&x.drawn);
	rn->lseq = t->lseq;
	rn->seq = seq;
}

/* (as of the moment when K was taken: nothing has happened since) */
void record_cut(struct node *n, const char *name)
{
	struct buf b = BUF_INIT;

	line_begin(&b, "cut", n);
	buf_printf(&b, ",\"cut\":\"%s\"", name);
	line_end(&b);
}

/* ---- nodes */

static void tell_start(struct node *n)
{
	struct record_node *rn = record_node(n);
	struct buf b = BUF_INIT;
	struct object o;

	store_lock(n->store);
	kin_assert(!replica_row_load(n->tree, ROOT_ID, &o));
	rn->lseq = n->tree->lseq;
	rn->seq = know_get(&n->tree->know, n->tree->origin);
	store_unlock(n->store);
	rn->started = true;
	line_begin(&b, "node", n);
	buf_printf(&b, ",\"label\":\"%s\",\"origin\":\"%016" PRIx64 "\"",
		   n->label, n->tree->origin);
	for (size_t i = 0; i < o.count; i++)
		if (o.versions[i].reg == REG_KIND)
			buf_printf(&b, ",\"root\":{\"seq\":%" PRIu64
				       ",\"hlc\":%" PRIu64 "}",
				   o.versions[i].dot.seq, o.versions[i].hlc);
	line_end(&b);
	object_release(&o);
}

static int add_entry(void *arg, const struct replica_view_entry *e)
{
	struct buf *b = arg;
	char hash[20] = "";

	if (b->data[b->len - 1] != '[')
		buf_put_u8(b, ',');
	buf_put_u8(b, '[');
	put_text(b, e->path);
	if (e->kind != KIND_DIR)
		content_name(&e->content, hash);
	buf_printf(b, ",\"%s\",\"%s\"]",
		   e->kind == KIND_DIR	   ? "d"
		   : e->kind == KIND_FILE ? "f"
					  : "l",
		   hash);
	return 0;
}

static void tell_view(struct node *n)
{
	struct buf b = BUF_INIT, k = BUF_INIT;
	const struct know *know;

	line_begin(&b, "view", n);
	buf_printf(&b, ",\"entries\":[");
	kin_assert(replica_view(n->tree, add_entry, &b) >= 0);
	buf_put_u8(&b, ']');
	line_end(&b);
	line_begin(&k, "know", n);
	store_lock(n->store);
	know = replica_know(n->tree);
	for (size_t i = 0; i < know->count; i++)
		buf_printf(&k, "%s\"%016" PRIx64 "\":%" PRIu64,
			   i ? "," : ",\"k\":{", know->entries[i].origin,
			   know->entries[i].seq);
	buf_printf(&k, know->count ? "}" : ",\"k\":{}");
	store_unlock(n->store);
	line_end(&k);
	record_node(n)->events = 0;
}

static void start_or_view(struct node *n, uint64_t view_every)
{
	if (!recorder()->cluster || !n->running)
		return;
	if (!record_node(n)->started)
		tell_start(n);
	/* (between the slices of a cut it is nobody's) */
	if (record_node(n)->events >= view_every && !core_is_applying(n->core))
		tell_view(n);
}

void record_look(struct node *n)
{
	start_or_view(n, VIEW_EVERY);
}

void record_begin(struct cluster *c, FILE *out)
{
	struct recorder *rec = recorder();
	struct buf b = BUF_INIT;
	char hex[33];

	rec->cluster = c;
	rec->out = out;
	hex_encode(c->volume.b, sizeof(c->volume.b), hex);
	line_begin(&b, "volume", NULL);
	buf_printf(&b, ",\"id\":\"%s\"", hex);
	line_end(&b);
	for (int i = 0; i < c->node_count; i++)
		start_or_view(&c->nodes[i], VIEW_EVERY);
}

void record_end(void)
{
	struct recorder *rec = recorder();

	for (int i = 0; rec->cluster && i < rec->cluster->node_count; i++)
		start_or_view(&rec->cluster->nodes[i], 0);
	recorder_release(rec);
}
