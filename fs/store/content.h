/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content: the bytes of one version of one file, by hash.
 *
 * Content of at most INLINE_BYTES_MAX bytes is *inline*: depth 0, its bytes
 * stand in the version itself. Longer content is cut by FastCDC (Xia et al.,
 * "The Design of Fast Content-Defined Chunking", 2020) into chunks of
 * CHUNK_BYTES_MIN..MAX; the list of (length, hash) entries is itself cut
 * into blocks of about 256 entries, each block stored and named by its hash
 * like a chunk, and so on up to one root block. depth is the number of
 * levels of blocks (1: the root lists chunks).
 *
 * Canonical: equal bytes have an equal (size, depth, root), however they
 * were written. So:
 *  - the first chunk starts at 0, each next one where the one before ended,
 *    and where a chunk ends depends on its own bytes only (and on the end of
 *    the file): content cut again from any old boundary meets the old ones;
 *  - a chunk that is all zeros is a *hole* entry without a hash, and holes
 *    that follow each other are one entry (a 1 TiB hole is one entry);
 *  - block boundaries depend on the entries only: after an entry whose
 *    hash's first 8 bytes, as a little-endian number, are 0 modulo 256 (a
 *    hole's: never), or after 512 entries; a block of blocks has at least
 *    two entries (but for the last), so that the levels always converge.
 *
 * Bytes of chunks and blocks lie in data segments, table CHUNK says where.
 */
#ifndef KINFS_STORE_CONTENT_H
#define KINFS_STORE_CONTENT_H

#include "fs/base/id.h"
#include "fs/base/limits.h"
#include "fs/store/store.h"

struct content {
	uint64_t size;		/* bytes */
	uint8_t depth;		/* 0: inline */
	struct hash root;	/* SHA-256 of the inline bytes or root block */
	struct slice inline_bytes; /* depth 0 only; borrowed */
};

/* An empty content, with the hash of no bytes. */
void content_empty(struct content *ret);
/* Inline content that borrows the bytes; at most INLINE_BYTES_MAX. */
void content_inline(struct slice bytes, struct content *ret);
/* Same bytes: same size, depth and root. */
bool content_equal(const struct content *, const struct content *);
/* The same where the root of an inline content may not be computed. */
bool content_has_same_bytes(const struct content *, const struct content *);
/* A total order over (depth, size, root), for ties only. */
int content_compare(const struct content *, const struct content *);

/* ---- in a value (FORMAT.md): u8 depth, varint size, then the root, or what
 * is inline */
void content_put(struct buf *, const struct content *);
/* Borrows; inline content without its root. What is none fails the reader. */
void content_get(struct reader *, struct content *ret);

/* ---- chunks and blocks, by hash [locked] */
struct chunk_place {
	struct data_loc loc;
	uint32_t len;
	uint32_t check; /* lower half of XXH64 of the bytes; 0: not known */
};
/* Of these bytes, which lie there. [any] */
struct chunk_place chunk_place(struct data_loc, struct slice bytes);
bool chunk_exists(struct store *, const struct hash *);
/*
 * Says where a chunk lies. Errors: -ENOENT not here.
 */
must_check int chunk_find(struct store *, const struct hash *,
			  struct chunk_place *ret);
/*
 * Names bytes that lie in a segment already. In an operation. If the chunk
 * is here already nothing changes.
 */
must_check int chunk_add(struct store *, const struct hash *,
			 const struct chunk_place *);
/*
 * Reads a chunk and checks its hash; replaces ret's bytes. Takes and
 * releases the lock by itself [not locked].
 * Errors: -ENOENT not here, -EIO the bytes are damaged.
 */
must_check int chunk_read(struct store *, const struct hash *,
			  struct buf *ret);

/*
 * Reads len bytes at `skip` of a chunk that lies there. All of it is read and
 * checked, unless that was done a while ago: by its check, which is some five
 * times as fast as its hash, or by that. What is made from it, or sent, is
 * read by chunk_read().
 * Errors: -EIO, and what was read is worth nothing. [any]
 */
must_check int chunk_read_at(struct store *, const struct hash *,
			     const struct chunk_place *, uint64_t skip,
			     void *ret, size_t len);

/* ---- reading [not locked: each takes and releases the lock by itself] */
/*
 * Whoever has the content from a table holds since then: store_hold().
 *
 * Reads up to len bytes at offset, fewer only at the end of the content.
 * Returns the number of bytes. Errors: -ENOENT a chunk is not here, -EIO.
 */
must_check int64_t content_read(struct store *, const struct content *,
				uint64_t offset, void *ret, size_t len);

/*
 * Writes all of it to an open file, from the start of that on. Errors: as
 * content_read(), of writing.
 */
must_check int content_copy(struct store *, const struct content *, int fd);

/*
 * Calls fn for each hash (block or chunk) of the content that is not here,
 * as far as the blocks that are here tell; at most max calls. Returns how
 * many. 0: the content is complete. A negative of fn stops and is returned.
 * Errors: -EIO a block is damaged. [locked]
 */
must_check int64_t content_missing(struct store *, const struct content *,
				   uint64_t max,
				   int (*fn)(void *arg, const struct hash *),
				   void *arg);
/* The same for what len bytes at offset are made of. */
must_check int64_t content_missing_in(struct store *, const struct content *,
				      uint64_t offset, uint64_t len,
				      uint64_t max,
				      int (*fn)(void *arg, const struct hash *),
				      void *arg);
/*
 * Calls fn for each block and chunk of the content, blocks first, in order;
 * for what stands in a block that comes again, once.
 * All must be here. Stops at and returns the first non-zero of fn. [locked]
 */
must_check int content_walk(struct store *, const struct content *,
			    int (*fn)(void *arg, const struct hash *,
				      uint32_t len),
			    void *arg);
/*
 * 1: `new` begins with all bytes of `old`. Reads blocks as far as they
 * differ, and at most one chunk of each. [locked]
 * Errors: -ENOENT something that it needs is not here, -EIO, -ENOMEM.
 */
must_check int content_grows(struct store *, const struct content *old,
			     const struct content *new);
/*
 * Reads all of a content that lies in the max_bytes from *at on, and checks
 * the hash of every block and chunk; *at becomes where to go on, the size at
 * the end. Counts what is not here, and what is not what its hash says.
 * [not locked]
 */
struct content_faults {
	uint64_t missing, damaged;
};
must_check int content_check(struct store *, const struct content *,
			     uint64_t *at, uint64_t max_bytes,
			     struct content_faults *ret);
/*
 * The same, but chunks are not read: is_bad knows, of what is here, what is
 * damaged. It is told, and asked, of blocks that turn out to be damaged too,
 * whatever it says then. lost is told of all that is not here, or damaged, as
 * often as it is named; len is 0 for a block. [not locked]
 */
struct content_judge {
	bool (*is_bad)(void *arg, const struct hash *, bool block);
	void (*lost)(void *arg, const struct hash *, uint32_t len);
	void *arg;
};
must_check int content_check_names(struct store *, const struct content *,
				   uint64_t *at, uint64_t max_bytes,
				   const struct content_judge *,
				   struct content_faults *ret);
/*
 * Bytes of it that are no hole, as its entries say; what is behind a bound of
 * blocks looked at counts as bytes. 1: so does what is not here. [locked]
 */
must_check int content_stored(struct store *, const struct content *,
			      uint64_t *ret);

/*
 * Checks a received block: well formed, its entries' lengths add up to
 * span bytes. The caller checks its hash. Errors: -EBADMSG.
 */
must_check int manifest_check(struct slice block, uint8_t level,
			      uint64_t span);

/* ---- making content: changed extents over a base */
/* A run of new bytes, or of zeros, over the base. */
struct content_extent {
	uint64_t offset;
	uint64_t len;
	enum content_extent_kind {
		EXTENT_ZERO,	/* a hole */
		EXTENT_DATA,	/* in a segment, at loc */
		EXTENT_BYTES,	/* in memory, at bytes; len <= 64 KiB */
		EXTENT_CHUNK,	/* a part of a chunk that has a name */
	} kind;
	struct data_loc loc;
	const uint8_t *bytes;
	/* Of a chunk: len bytes from `skip` on. Where it is the last one of
	 * a content, its bytes may not be why it ends where it does. */
	struct hash hash;
	uint32_t chunk_len, skip;
	bool chunk_last;
};

/*
 * Computes the content that the base becomes when it is truncated or
 * extended (with zeros) to size and the extents (sorted by offset, not
 * overlapping, within size) are written over it. Bytes of the base beyond
 * min(base size, kept) count as zeros: `kept` is the smallest size the file
 * had since the base.
 *
 * Cuts, hashes and stores only what changed. Chunks whose bytes lie in one
 * piece in a segment are named there; others, and blocks, are appended. The
 * names are put by content_commit() in an operation of the caller; what
 * the result needs stays until content_build_free(), and the caller holds
 * since he got base and extents, until then. [not locked: reads under its
 * own short locks]
 * `ret_bytes` receives the bytes of an inline result, which ret borrows.
 * Errors: -ENOENT the base is not complete here, -ENOSPC, -EIO, -ENOMEM.
 */
struct content_build;
must_check int content_build(struct store *, const struct content *base,
			     uint64_t kept, uint64_t size,
			     const struct content_extent *extents,
			     size_t count, struct buf *ret_bytes,
			     struct content *ret, struct content_build **
			     ret_build);
/* Puts the names of the new chunks and blocks. [locked, in an operation] */
must_check int content_commit(struct store *, struct content_build *);
void content_build_free(struct content_build *);

/* ---- looking at it, without making it */
/*
 * Of the bytes that these make, as content_build() would: what stands at
 * offset, below size, as one extent of at most len bytes. What it points to
 * is the base's and the extents'. [not locked]
 * Errors: -ENOENT a block of the base is not here, -EIO, -ENOMEM.
 */
struct content_over {
	const struct content *base;
	uint64_t kept, size;
	const struct content_extent *extents;
	size_t count;
};
struct content_view;
must_check int content_view_new(struct store *, const struct content_over *,
				struct content_view **ret);
void content_view_free(struct content_view *);
must_check int content_view_piece(struct content_view *, uint64_t offset,
				  uint64_t len, struct content_extent *ret);
/*
 * The first place from offset on that is in a block of 4 KiB with any byte
 * that is not zero (data), or in one without (a hole; so is the end of the
 * file). What would take too much reading, or is not here, counts as data.
 * Errors: -ENXIO there is none, or offset is not below size.
 */
must_check int content_view_seek(struct content_view *, uint64_t offset,
				 bool hole, uint64_t *ret);

#endif
