/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes that people set: u8 flags (1: on a directory, 2: CREATE,
 * 4: REPLACE), varint length and bytes of the name, then the value. What was
 * taken must be there as it was given, and what kinfs takes as a setting of
 * its own must be found as one; afterwards it is removed again.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/acks.h"
#include "fs/tree/policy.h"
#include "fs/tree/xattr_local.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

static void check_own(struct fuzz_node *n, uint64_t ino, struct slice name,
		      struct slice value)
{
	struct policy_found found;
	struct acks acks;

	if (slice_equal(name, SLICE_STR(XATTR_POLICY))) {
		fuzz_must(tree_policy(n->tree, ino, &found));
		kin_assert(found.set && found.understood && found.dir == ino);
		kin_assert(slice_equal(SLICE(found.text, found.text_len),
				       value));
	} else {
		kin_assert(slice_equal(name, SLICE_STR(XATTR_ACKS)));
		/* ("0" is that of a directory above no more) */
		fuzz_must(acks_parse(value, &acks));
		kin_assert(tree_acks(n->tree, ino, &acks) ==
			   (acks.count || acks.label_count));
	}
}

static bool is_listed(struct slice list, struct slice name)
{
	struct reader r = READER(list.data, list.len);

	while (reader_left(&r)) {
		size_t len = strnlen((const char *)r.at, reader_left(&r));

		if (slice_equal(SLICE(r.at, len), name))
			return true;
		(void)reader_bytes(&r, len + 1);
	}
	return false;
}

static void set(struct fuzz_node *n, uint64_t ino, struct slice name,
		struct slice value, uint32_t flags)
{
	cleanup(buf_release) struct buf got = BUF_INIT, list = BUF_INIT;
	int r = tree_setxattr(n->tree, ino, name, value, flags);

	if (r) {
		kin_assert(r == -ENOTSUP || r == -EINVAL || r == -ENODATA ||
			   r == -E2BIG || r == -ENOSPC || r == -ERANGE);
		return;
	}
	kin_assert(slice_has_prefix(name, "user.") || xattr_is_local(name));
	fuzz_must(tree_getxattr(n->tree, ino, name, &got));
	kin_assert(slice_equal(buf_slice(&got), value));
	fuzz_must(tree_listxattr(n->tree, ino, &list));
	kin_assert(is_listed(buf_slice(&list), name));
	if (name.len > 9 && !memcmp(name.data, "user.kin.", 9))
		check_own(n, ino, name, value);
	fuzz_must(tree_removexattr(n->tree, ino, name));
	kin_assert(tree_getxattr(n->tree, ino, name, &got) == -ENODATA);
}

void fuzz_xattr(struct slice in)
{
	static const char *dir;
	struct fuzz_node n;
	struct reader r = READER(in.data, in.len);
	uint8_t flags = reader_u8(&r);
	struct slice name = reader_string(&r, 4096);
	struct slice value = reader_bytes(&r, reader_left(&r));

	if (r.failed)
		return;
	if (!dir)
		dir = fuzz_dir("xattr");
	fuzz_node_open(&n, &(struct fuzz_node_options){ .dir = dir });
	fuzz_write(&n, "file", "text");
	fuzz_mkdir(&n, "dir");
	set(&n, fuzz_ino(&n, flags & 1 ? "dir" : "file"), name, value,
	    (flags & 2 ? TREE_XATTR_CREATE : 0) |
		    (flags & 4 ? TREE_XATTR_REPLACE : 0));
	fuzz_node_close(&n);
}
