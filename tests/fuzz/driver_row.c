/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows, as they come from peers and stand in the store. There is one way to
 * write a set of versions: what decodes must encode to the bytes it came as.
 * And what is read from a row (info.h) is looked at for what must hold of
 * any, with each sort of policy over it.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/info.h"
#include "fs/tree/tree_internal.h"
#include "tests/fuzz/fuzz.h"

static int count_content(void *arg, const struct content *c)
{
	kin_assert(c->depth >= 1 && c->depth <= MANIFEST_DEPTH_MAX);
	kin_assert(c->size > INLINE_BYTES_MAX && c->size <= FILE_BYTES_MAX);
	++*(size_t *)arg;
	return 0;
}

static void check_version(const struct version *v)
{
	kin_assert(v->reg && v->dot.seq && v->dot.origin);
	switch (v->reg) {
	case REG_LINK:
		kin_assert(name_is_valid(v->link.at.name));
		kin_assert(label_is_valid(v->link.label));
		kin_assert(v->link.prev_count <= LINK_PREV_MAX);
		break;
	case REG_CONTENT:
		kin_assert(v->content.anc_count <= ANCESTORS_RESTAMPED_MAX);
		kin_assert(v->content.seen_count <= SEEN_MAX);
		kin_assert(v->content.leaves_count <= LEAVES_MAX);
		kin_assert(v->content.far_count <= FAR_MAX);
		(void)version_entry_name(v);
		break;
	case REG_XATTR:
		kin_assert(xattr_name_is_valid(v->xattr.name));
		kin_assert(v->xattr.value.len <= XATTR_BYTES_MAX);
		break;
	case REG_MODE:
		kin_assert(v->mode.perm <= 07777);
		break;
	}
}

/* Every version once, in order, and found under its own name. */
static void check_order(const struct object *o)
{
	for (size_t i = 0; i < o->count; i++) {
		check_version(&o->versions[i]);
		kin_assert(object_find(o, &o->versions[i]) == (int)i);
		if (i)
			kin_assert(version_order(&o->versions[i - 1],
						 &o->versions[i]) < 0);
	}
}

static void check_contents(struct slice row, const struct object *o)
{
	size_t named = 0, walked = 0;

	for (size_t i = 0; i < o->count; i++) {
		const struct version *v = &o->versions[i];

		named += v->reg == REG_CONTENT &&
			 !(v->flags & VERSION_VOID) && v->content.content.depth;
	}
	kin_assert(!object_contents_each(row, count_content, &walked));
	kin_assert(walked == named);
}

/* Each CONTENT version is in exactly one branch. */
static void check_info(const struct object *o)
{
	struct info info;
	size_t n = 0;

	fuzz_must(info_init(&info, o));
	for (size_t i = 0; i < info.branch_count + info.hidden_count; i++) {
		kin_assert(info.branches[i].count);
		n += info.branches[i].count;
	}
	kin_assert(n == object_contents(o));
	kin_assert(info.real_count <= info.branch_count);
	kin_assert(info.shown_count <= info.link_count);
	for (size_t i = 0; i < info.link_count; i++)
		kin_assert(info.links[i].strong ==
			   !(info.links[i].link->flags & VERSION_WEAK));
	for (size_t i = 0; i < info.branch_count; i++)
		kin_assert(info_branch(&info, info.branches[i].tag));
	if (info_live_file(&info))
		kin_assert(info.shown_count && info.real_count);
	info_release(&info);
}

void fuzz_row(struct slice in)
{
	static const char *const rules[] = { "", "latest", "node:a,b" };
	cleanup(buf_release) struct buf again = BUF_INIT;
	struct object o;
	int r;

	object_init(&o, (struct objid){ { 1 } });
	r = object_decode(in, &o);
	kin_assert(r == 0 || r == -EBADMSG);
	if (!r) {
		check_order(&o);
		check_contents(in, &o);
		fuzz_must(object_encode(&o, &again));
		kin_assert(slice_equal(buf_slice(&again), in));
		for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
			o.rule = SLICE_STR(rules[i]);
			check_info(&o);
		}
	}
	object_release(&o);
}
