/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of variants.h share. [locked] */
#ifndef KINFS_TREE_VARIANTS_INTERNAL_H
#define KINFS_TREE_VARIANTS_INTERNAL_H

#include "fs/store/content.h"
#include "fs/tree/variants.h"

/* The attribute by which a file shows that it is in conflict: read only. */
#define XATTR_CONFLICT "user.kin.conflict"

bool conflict_is_shown(struct tree *, uint64_t ino);
/* Its value. -ENODATA: it is in none. */
must_check int conflict_describe(struct tree *, uint64_t ino,
				 struct buf *ret);

/* What a CONTENT version shows; no name, and not main. Borrows from it. */
struct variant variant_of(struct tree *, const struct version *);

/* Of the CONTENT versions of a row: equal sets, equal tokens. */
must_check int contents_token(const struct object *, struct hash *ret);

/* ---- variants_settle.c: the bytes of a result */
struct result {
	struct content_extent *list;
	size_t count, alloc;
	uint64_t size;
	uint8_t *first;		/* of a small one: its bytes */
	struct content content;
	struct buf bytes;
	struct content_build *build;
};

#define RESULT_INIT { .bytes = BUF_INIT }

/* Stores and hashes them. [not locked] */
must_check int result_read(struct tree *, int fd, struct result *);
/* In the operation that uses x->content, before it does. */
must_check int result_commit(struct tree *, const struct result *);
void result_release(struct result *);

#endif
