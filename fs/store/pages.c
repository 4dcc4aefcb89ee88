/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking LMDB's file.
 *
 * Layout (LMDB 0.9, 64 bits, the byte order of the machine): pages of one
 * size. A page begins with its own number (8), two bytes of no use, flags (2),
 * and lower and upper bound of its free room (2, 2), or of an overflow page how
 * many pages there are (4). Pages 0 and 1 are the roots: magic, version,
 * address, map size, the records of the tree of free pages and of the tree
 * of trees, the greatest page number, the number of the commit, which is odd
 * on page 1. A record of a tree (48): pad (4), flags (2), depth (2), branch,
 * leaf, overflow pages and entries (8 each), page of its root.
 *
 * Branches and leaves hold offsets (2 each) of nodes, ordered by key. A
 * node: 4 bytes of the value's length, flags (2), length of the key (2),
 * the key, the value. In a branch the first three numbers are a page, and
 * the first key does not count. Flag 1: the value is the number of an
 * overflow page; 2: it is the record of a tree.
 *
 * A key bounds what may stand below it, so a frame of the walk keeps copies
 * of its page, and the bounds point into the pages above.
 */
#include "fs/store/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/store/format.h"
#include "fs/store/io.h"

/* LMDB's own bound of the depth of a tree. */
#define DEPTH_MAX 32
#define PAGE_HEADER_BYTES 16u
#define NODE_HEADER_BYTES 8u
#define TREE_BYTES 48u
#define ROOT_BYTES 136u
#define NO_PAGE UINT64_MAX
#define ROOT_MAGIC 0xBEEFC0DEu
#define ROOT_VERSION 1
/* Pages of a map of 1 TiB, which is what a store has (32 MiB of bits). */
#define PAGES_MAX (UINT64_C(1) << 28)

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_ROOT = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };
/* Of the tree of free pages: numbers as keys, and how LMDB was opened. */
#define FREE_FLAGS 0x4008

static const char pages_name[] = "pages", root_name[] = "root",
		  free_name[] = "free pages";

struct tree_record {
	uint32_t pad;
	uint16_t flags, depth;
	uint64_t branches, leaves, overflows, entries, root;
};

struct root {
	bool sound;
	uint64_t last, number;
	struct tree_record free, main;
};

struct node {
	uint64_t size;	/* of the value; or the page, in a branch */
	uint16_t flags;
	struct slice key, value;
	size_t bytes; /* that it takes on the page */
};

/* A page of the path from a root to the place in hand. */
struct frame {
	uint8_t *page;
	uint64_t number;
	unsigned int count, next;
	struct slice low, high; /* keys below: low <= key < high */
	bool has_high;
};

struct walk {
	int fd;
	bool silent;
	const struct pages_ops *ops;
	struct pages_result *result;
	size_t page_bytes;
	uint64_t last;	  /* greatest page number there may be */
	uint64_t in_file; /* pages that the file has */
	uint8_t *seen;	  /* a bit a page */
	struct frame frames[DEPTH_MAX];
	struct buf value; /* of overflow pages */
	/* Of the tree in hand. */
	const char *name;
	int table; /* -1: none of ours */
	bool integer_keys;
	struct tree_record found;
	uint8_t before[STORE_KEY_BYTES_MAX];
	size_t before_len;
	bool has_before;
	/* Trees that the tree of trees names. */
	struct tree_record trees[TABLE_COUNT];
	bool named[TABLE_COUNT];
};

static void fault(struct walk *w, uint64_t page, const char *what)
{
	struct pages_fault f = { page, w->name, what };

	w->result->faults++;
	if (w->silent)
		return;
	if (w->ops->fault)
		w->ops->fault(w->ops->arg, &f);
}

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static struct tree_record tree_decode(const uint8_t *p)
{
	return (struct tree_record){
		.pad = get_le32(p),
		.flags = get_u16(p + 4),
		.depth = get_u16(p + 6),
		.branches = get_le64(p + 8),
		.leaves = get_le64(p + 16),
		.overflows = get_le64(p + 24),
		.entries = get_le64(p + 32),
		.root = get_le64(p + 40),
	};
}

/* ---- pages */

/* False: it is used already, or cannot be. */
static bool take_page(struct walk *w, uint64_t page)
{
	uint8_t *at, bit = (uint8_t)(1 << page % 8);

	if (page < 2 || page > w->last)
		return false;
	at = &w->seen[page / 8];
	if (*at & bit)
		return false;
	*at |= bit;
	return true;
}

/* 1: a fault was told. */
static int read_page(struct walk *w, uint64_t page, uint8_t *ret)
{
	int r;

	if (!take_page(w, page)) {
		fault(w, page, "is used twice, or is none");
		return 1;
	}
	w->result->pages++;
	if (page >= w->in_file) {
		fault(w, page, "lies behind the end of the file");
		return 1;
	}
	r = io_read_at(w->fd, ret, w->page_bytes, page * w->page_bytes);
	if (r == -EIO) {
		fault(w, page, "cannot be read from the disk");
		return 1;
	}
	if (!r && get_le64(ret) != page) {
		fault(w, page, "says that it is another");
		return 1;
	}
	return r;
}

/* ---- nodes */

static bool node_at(const struct walk *w, const uint8_t *page, unsigned int k,
		    struct node *ret)
{
	bool branch = get_u16(page + 10) & PAGE_BRANCH;
	size_t upper = get_u16(page + 14), room;
	size_t at = get_u16(page + PAGE_HEADER_BYTES + 2 * k);
	const uint8_t *p = page + at;
	uint64_t value;

	if (at < upper || at % 2 || at + NODE_HEADER_BYTES > w->page_bytes)
		return false;
	room = w->page_bytes - at - NODE_HEADER_BYTES;
	*ret = (struct node){ .size = get_le32(p), .flags = get_u16(p + 4) };
	ret->key = SLICE(p + NODE_HEADER_BYTES, get_u16(p + 6));
	if (branch) {
		ret->size |= (uint64_t)ret->flags << 32;
		ret->flags = 0;
		value = 0;
	} else {
		value = ret->flags & NODE_BIG ? 8 : ret->size;
	}
	if (ret->key.len > room || value > room - ret->key.len)
		return false;
	ret->value = SLICE(ret->key.data + ret->key.len, value);
	ret->bytes = NODE_HEADER_BYTES + ret->key.len + (size_t)value;
	ret->bytes += ret->bytes % 2;
	return true;
}

/* What can be said of a page by itself. Returns what is wrong, or NULL. */
static const char *page_form(const struct walk *w, const uint8_t *page,
			     bool branch, bool integer_keys)
{
	unsigned int flags = get_u16(page + 10);
	size_t lower = get_u16(page + 12), upper = get_u16(page + 14);
	size_t used = 0, count;

	if (flags != (branch ? PAGE_BRANCH : PAGE_LEAF))
		return "is not of the kind that belongs here";
	if (lower < PAGE_HEADER_BYTES + 2 || lower % 2 || lower > upper ||
	    upper > w->page_bytes)
		return "has impossible bounds";
	count = (lower - PAGE_HEADER_BYTES) / 2;
	if (branch && count < 2 && !integer_keys)
		return "is a branch with one entry";
	for (unsigned int k = 0; k < count; k++) {
		struct node n;

		if (!node_at(w, page, k, &n))
			return "has an entry that does not fit";
		if (!branch || k) {
			if (!n.key.len || n.key.len > STORE_KEY_BYTES_MAX ||
			    (integer_keys && n.key.len != 8))
				return "has a key that cannot be";
		}
		used += n.bytes;
	}
	return used == w->page_bytes - upper ?
		       NULL : "has entries that overlap, or gaps";
}

static int key_compare(const struct walk *w, struct slice a, struct slice b)
{
	uint64_t x, y;

	if (!w->integer_keys)
		return slice_compare(a, b);
	x = get_le64(a.data);
	y = get_le64(b.data);
	return x < y ? -1 : x > y;
}

/* ---- values */

/* Reads an overflow value. 1: a fault was told. */
static int read_big(struct walk *w, uint64_t leaf, const struct node *n,
		    struct slice *ret)
{
	uint64_t first = get_le64(n->value.data), pages, have;
	uint8_t *head;
	int r;

	if (n->size > PAGES_VALUE_BYTES_MAX && !w->integer_keys) {
		fault(w, leaf, "names a value that is too long");
		return 1;
	}
	pages = (n->size + PAGE_HEADER_BYTES + w->page_bytes - 1) /
		w->page_bytes;
	if (first < 2 || first > w->last || pages > w->last - first + 1 ||
	    first + pages > w->in_file) {
		fault(w, leaf, "names a value behind the end");
		return 1;
	}
	buf_reset(&w->value);
	head = buf_extend(&w->value, (size_t)(pages * w->page_bytes));
	if (!head)
		return -ENOMEM;
	r = io_read_at(w->fd, head, (size_t)(pages * w->page_bytes),
		       first * w->page_bytes);
	if (r && r != -EIO)
		return r;
	have = get_le32(head + 12);
	if (r || get_le64(head) != first ||
	    get_u16(head + 10) != PAGE_OVERFLOW || have < pages ||
	    have > w->last - first + 1) {
		fault(w, first, "is not the value that is to be here");
		return 1;
	}
	for (uint64_t k = 0; k < have; k++)
		if (!take_page(w, first + k)) {
			fault(w, first + k, "is used twice");
			return 1;
		}
	w->result->pages += have;
	w->found.overflows += have;
	*ret = SLICE(head + PAGE_HEADER_BYTES, (size_t)n->size);
	return 0;
}

static int name_tree(struct walk *w, uint64_t page, const struct node *n)
{
	for (unsigned int t = 0; t < TABLE_COUNT; t++) {
		if (!slice_equal(n->key, SLICE_STR(table_name(t))))
			continue;
		if (n->flags != NODE_TREE || n->size != TREE_BYTES ||
		    w->named[t])
			break;
		w->trees[t] = tree_decode(n->value.data);
		w->named[t] = true;
		return 0;
	}
	fault(w, page, "names what is no table");
	return 0;
}

/* A list of free pages: how many, then as many, descending. */
static int free_list(struct walk *w, uint64_t page, struct slice list)
{
	uint64_t count, before = NO_PAGE;

	if (list.len < 8 || list.len % 8 ||
	    (count = get_le64(list.data)) > list.len / 8 - 1) {
		fault(w, page, "has a list that is too short");
		return 0;
	}
	for (uint64_t k = 1; k <= count; k++) {
		uint64_t at = get_le64(list.data + 8 * k);

		if (at >= before) {
			fault(w, page, "has a list without order");
			return 0;
		}
		before = at;
		if (!take_page(w, at)) {
			fault(w, at, "is free, and in use or free twice");
			return 0;
		}
	}
	return 0;
}

static int take_entry(struct walk *w, uint64_t page, const struct node *n)
{
	struct slice value = n->value;
	bool tree = w->name == root_name;
	int r;

	if (n->flags & ~(NODE_BIG | NODE_TREE) ||
	    (!tree && n->flags & NODE_TREE)) {
		fault(w, page, "has an entry of no known kind");
		return 0;
	}
	if (tree)
		return name_tree(w, page, n);
	if (n->flags & NODE_BIG) {
		r = read_big(w, page, n, &value);
		if (r)
			return r < 0 ? r : 0;
	}
	if (w->name == free_name)
		return free_list(w, page, value);
	if (w->table < 0 || !w->ops->entry)
		return 0;
	return w->ops->entry(w->ops->arg, w->table, n->key, value);
}

/* ---- a tree */

static void check_key(struct walk *w, const struct frame *f,
		      const struct node *n)
{
	struct slice before = SLICE(w->before, w->before_len);

	if (w->has_before && key_compare(w, before, n->key) >= 0)
		fault(w, f->number, "has keys without order");
	else if ((f->low.len && key_compare(w, n->key, f->low) < 0) ||
		 (f->has_high && key_compare(w, n->key, f->high) >= 0))
		fault(w, f->number, "has a key that no search finds");
	memcpy(w->before, n->key.data, n->key.len);
	w->before_len = n->key.len;
	w->has_before = true;
}

static int walk_leaf(struct walk *w, struct frame *f)
{
	int r = 0;

	w->found.leaves++;
	for (unsigned int k = 0; !r && k < f->count; k++) {
		struct node n;

		kin_assert(node_at(w, f->page, k, &n));
		check_key(w, f, &n);
		w->found.entries++;
		r = take_entry(w, f->number, &n);
	}
	return r;
}

/* Reads the page of a frame. 1: it is not to be walked. */
static int frame_enter(struct walk *w, struct frame *f, uint64_t page,
		       bool branch)
{
	const char *what;
	int r;

	if (!f->page)
		f->page = malloc(w->page_bytes);
	if (!f->page)
		return -ENOMEM;
	f->number = page;
	f->next = 0;
	r = read_page(w, page, f->page);
	if (r)
		return r;
	what = page_form(w, f->page, branch, w->integer_keys);
	if (what) {
		fault(w, page, what);
		return 1;
	}
	f->count = (get_u16(f->page + 12) - PAGE_HEADER_BYTES) / 2;
	return 0;
}

/* The bounds of what is below entry k of a branch. */
static void bound(const struct walk *w, const struct frame *f, unsigned int k,
		  struct frame *below)
{
	struct node n;

	below->low = f->low;
	below->high = f->high;
	below->has_high = f->has_high;
	if (k && node_at(w, f->page, k, &n))
		below->low = n.key;
	if (k + 1 < f->count && node_at(w, f->page, k + 1, &n)) {
		below->high = n.key;
		below->has_high = true;
	}
}

static int walk_pages(struct walk *w, const struct tree_record *t)
{
	unsigned int depth = 1;
	struct frame *f = &w->frames[0];
	int r;

	f->low = f->high = SLICE(NULL, 0);
	f->has_high = false;
	r = frame_enter(w, f, t->root, t->depth > 1);
	if (r)
		return r < 0 ? r : 0;
	while (depth) {
		struct node n;

		f = &w->frames[depth - 1];
		if (depth == t->depth) {
			r = walk_leaf(w, f);
			if (r)
				return r;
			depth--;
			continue;
		}
		if (!f->next)
			w->found.branches++;
		if (f->next == f->count) {
			depth--;
			continue;
		}
		kin_assert(node_at(w, f->page, f->next, &n));
		bound(w, f, f->next++, f + 1);
		r = frame_enter(w, f + 1, n.size, depth + 1 < t->depth);
		if (r < 0)
			return r;
		depth += !r;
	}
	return 0;
}

static int walk_tree(struct walk *w, const char *name, int table,
		     const struct tree_record *t)
{
	int r;

	w->name = name;
	w->table = table;
	w->integer_keys = name == free_name;
	w->found = (struct tree_record){ 0 };
	w->has_before = false;
	if (t->root == NO_PAGE) {
		if (t->depth || t->entries || t->branches || t->leaves ||
		    t->overflows)
			fault(w, t->root, "is empty, and counts entries");
		return 0;
	}
	if (!t->depth || t->depth > DEPTH_MAX ||
	    (table >= 0 && (t->flags || t->pad))) {
		fault(w, t->root, "is described in a way that cannot be");
		return 0;
	}
	r = walk_pages(w, t);
	if (!r && (w->found.entries != t->entries ||
		   w->found.branches != t->branches ||
		   w->found.leaves != t->leaves ||
		   w->found.overflows != t->overflows))
		fault(w, t->root, "has not the pages and entries it counts");
	return r;
}

/* ---- the roots */

static struct root root_decode(const uint8_t *page, unsigned int number,
			       size_t page_bytes)
{
	const uint8_t *p = page + PAGE_HEADER_BYTES;
	struct root root = {
		.free = tree_decode(p + 24),
		.main = tree_decode(p + 24 + TREE_BYTES),
		.last = get_le64(p + 24 + 2 * TREE_BYTES),
		.number = get_le64(p + 32 + 2 * TREE_BYTES),
	};

	root.sound = get_le64(page) == number &&
		     get_u16(page + 10) == PAGE_ROOT &&
		     get_le32(p) == ROOT_MAGIC && get_le32(p + 4) ==
							  ROOT_VERSION &&
		     root.free.pad == page_bytes && !root.main.pad &&
		     root.free.flags == FREE_FLAGS &&
		     !root.main.flags && root.last >= 1 &&
		     root.last < PAGES_MAX;
	return root;
}

/* Chooses as LMDB does: which, or -1. */
static int roots_read(struct walk *w, const uint8_t *pages, int wanted,
		      struct root roots[2])
{
	int k = wanted;

	for (int n = 0; n < 2; n++) {
		roots[n] = root_decode(pages + (size_t)n * w->page_bytes,
				       (unsigned int)n, w->page_bytes);
		if (!roots[n].sound && (wanted < 0 || wanted == n))
			fault(w, (uint64_t)n, "is no root");
	}
	if (k < 0) {
		k = roots[1].number > roots[0].number;
		k = roots[k].sound ? k : !k;
	}
	return roots[k].sound ? k : -1;
}

/* Which page is in no tree, and not free? Runs of them are one fault. */
static void find_lost(struct walk *w)
{
	uint64_t page = 2;

	w->name = pages_name;
	while (page <= w->last) {
		if (w->seen[page / 8] == 0xff) {
			page = (page / 8 + 1) * 8;
			continue;
		}
		if (!(w->seen[page / 8] >> page % 8 & 1)) {
			fault(w, page, "is neither in use nor free");
			while (page <= w->last &&
			       !(w->seen[page / 8] >> page % 8 & 1))
				page++;
		}
		page++;
	}
}

/*
 * Each commit frees pages, and lists them under its number: so the greatest
 * key among the free pages tells of which commit a root is.
 */
static bool is_of_its_commit(const struct walk *w, const struct root *root)
{
	return root->number < 2 ||
	       (w->has_before && get_le64(w->before) == root->number);
}

/*
 * The root that is not taken: is it a newer one, with a wrong number? (What
 * it names need not be sound, when its commit failed.) Not if its number is
 * the one before: when a root cannot be synced, LMDB puts the old number back
 * into it, and leaves the rest. So a number that a flipped bit made just that
 * is not told from a commit that failed, and what the log has is done again.
 */
static int walk_other(struct walk *w, const struct root *root, uint64_t page,
		      uint64_t number)
{
	struct pages_result kept = *w->result;
	uint64_t last = w->last;
	bool newer;
	int r;

	w->last = root->last;
	w->seen = calloc((size_t)(w->last / 8 + 1), 1);
	if (!w->seen)
		return -ENOMEM;
	w->silent = true;
	r = walk_tree(w, free_name, -1, &root->free);
	newer = w->result->faults == kept.faults && w->has_before &&
		get_le64(w->before) > root->number &&
		root->number + 1 != number;
	w->silent = false;
	free(steal(&w->seen));
	w->last = last;
	*w->result = kept;
	w->name = root_name;
	if (!r && newer)
		fault(w, page, "is not of the commit that it says");
	return r;
}

static int walk_all(struct walk *w, const struct root *root, uint64_t page)
{
	int r = walk_tree(w, free_name, -1, &root->free);

	w->name = root_name;
	if (!r && !is_of_its_commit(w, root))
		fault(w, page, "is not of the commit that it says");
	if (!r)
		r = walk_tree(w, root_name, -1, &root->main);
	for (int t = 0; !r && t < TABLE_COUNT; t++)
		if (w->named[t])
			r = walk_tree(w, table_name(t), t, &w->trees[t]);
	if (!r)
		find_lost(w);
	return r;
}

static int walk_file(struct walk *w, int wanted)
{
	autofree uint8_t *pages = malloc(2 * w->page_bytes);
	struct root roots[2];
	uint64_t size;
	int r, k;

	if (!pages)
		return -ENOMEM;
	r = io_size(w->fd, &size);
	if (r || !size)
		return r;
	w->name = root_name;
	w->in_file = size / w->page_bytes;
	if (w->in_file < 2) {
		fault(w, 0, "is missing: the file is too short");
		return 0;
	}
	r = io_read_at(w->fd, pages, 2 * w->page_bytes, 0);
	if (r)
		return r;
	k = roots_read(w, pages, wanted, roots);
	if (k < 0)
		return 0;
	if (wanted < 0 && roots[!k].sound)
		r = walk_other(w, &roots[!k], (uint64_t)!k, roots[k].number);
	if (r)
		return r;
	w->last = roots[k].last;
	w->result->number = roots[k].number;
	/* (the bits of more pages than the file has are for free ones) */
	w->seen = calloc((size_t)(w->last / 8 + 1), 1);
	if (!w->seen)
		return -ENOMEM;
	w->seen[0] = 3;
	return walk_all(w, &roots[k], (uint64_t)k);
}

int pages_walk(int fd, int root, const struct pages_ops *ops,
	       struct pages_result *ret)
{
	struct walk *w = calloc(1, sizeof(*w));
	int r;

	*ret = (struct pages_result){ 0 };
	if (!w)
		return -ENOMEM;
	w->fd = fd;
	w->ops = ops;
	w->result = ret;
	w->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	r = walk_file(w, root);
	for (unsigned int k = 0; k < DEPTH_MAX; k++)
		free(w->frames[k].page);
	buf_release(&w->value);
	free(w->seen);
	free(w);
	return r;
}
