/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the check share: check.h. */
#ifndef KINFS_TREE_CHECK_INTERNAL_H
#define KINFS_TREE_CHECK_INTERNAL_H

#include "fs/tree/bucket.h"
#include "fs/tree/check.h"
#include "fs/tree/tree_internal.h"

/* Damaged chunks that are known by name while contents are looked at: 2 MiB.
 * If there are more, contents are read once more. */
#define CHECK_BAD_MAX (1u << 16)

/* A content that the entry in hand names. */
struct check_content {
	struct content content;
	enum check_part part;
	struct entry_name name;	/* dot 0: none */
	bool may_miss;		/* it is still coming, or may be */
};

struct check_count {
	uint64_t rows, claims, remains, marks, bases;
	uint64_t hist_entries, hist_gone, hist_bytes, hist_times, hist_places,
		hist_counted, hist_settled;
};

struct check {
	struct tree *tree;
	struct check_options o;
	struct check_result result;
	struct recount recount;
	struct sum *leaves;	/* still: LEAVES, counted again */
	struct check_count count;
	/* Which chunks are damaged: a table of hashes, and how many. */
	struct hash *bad;
	bool *bad_needed;	/* and something shown, or unsent, has it */
	uint64_t bad_count;
	/* What contents lack, or is damaged: to be looked for. Those from
	 * `lost_sure` on are of the content in hand, and may be on their way. */
	struct check_lost {
		struct hash hash;
		uint32_t len;	/* 0: not known, or of a block */
	} *lost;
	size_t lost_count, lost_alloc, lost_sure;
	/* Objects with content that is not whole; with a row that is none. */
	struct idlist incomplete, unreadable;
	/* Numbers of inodes with unsent writes, and of staged cuts, that
	 * cannot be read. */
	struct check_numbers {
		uint64_t *list;
		size_t count, alloc;
	} unsent, staged;
	/* Unsent bytes of the inode in hand, by its extents. */
	uint64_t unsent_ino, unsent_bytes;
	uint64_t staged_number;	/* of the header behind us */
	/* Bytes of segments, sorted by number. */
	struct check_segment {
		uint32_t number;
		uint64_t bytes;
	} *segments;
	size_t segment_count, segment_alloc;
	/* Where the walk is. */
	unsigned int phase;
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	size_t key_len;
	/* The entry in hand, and what it names. */
	enum store_table table;
	uint8_t entry[STORE_KEY_BYTES_MAX];
	size_t entry_len;
	bool has_id;
	struct objid id;
	struct check_content *contents;
	size_t content_count, content_alloc, content_next;
	uint64_t content_at;
	struct content_faults found;
	/* Faults to be told when the lock is free. */
	struct check_fault *told;
	uint8_t *told_keys;	/* STORE_KEY_BYTES_MAX each */
	size_t told_count, told_alloc;
	int error;		/* no memory for one of these */
};

/* ---- check.c [locked] */
/* A fault of the entry in hand, or of an object. */
void check_tell(struct check *, enum check_part, const char *what);
void check_tell_id(struct check *, enum check_part, struct objid,
		   const char *what);
/* A content of the entry in hand, to be looked at. */
void check_add_content(struct check *, const struct check_content *);
/* A chunk that unsent writes name by its hash: is it here, and sound? */
void check_chunk(struct check *, const struct hash *);
/* Do the bytes lie within a segment? */
bool check_has_bytes(struct check *, struct data_loc, uint64_t len);
/* The row in hand cannot be read. */
must_check int check_unreadable(struct check *);

#define CHECK_WRONG_KEY "has a key that cannot be"
#define CHECK_WRONG_VALUE "is nothing that can be"
/* Lengths; what is wrong is told. */
bool check_form(struct check *, enum check_part, struct slice key,
		size_t key_len, struct slice value, size_t value_len);

/* The row that the entry in hand is of. 1: there; 0: not, which is told, or it
 * cannot be read, which is told elsewhere. */
must_check int check_load_row(struct check *, struct objid, struct row *ret);

/* Notes one that is to be mended, of those that are told in order. */
void check_note_number(struct check *, struct check_numbers *, uint64_t number);

/* ---- the tables: each looks at the entry in hand [locked]. Errors: of the
 * store, -ENOMEM; faults are told. */
must_check int check_row(struct check *, struct slice value);
must_check int check_entry(struct check *, struct slice key,
			   struct slice value);
must_check int check_dir(struct check *, struct slice key,
			 struct slice value);
must_check int check_mark(struct check *, struct slice key,
			  struct slice value);
must_check int check_subdirs(struct check *, struct slice key,
			     struct slice value);
must_check int check_group(struct check *, struct slice key,
			   struct slice value);
must_check int check_hist(struct check *, struct slice key,
			  struct slice value);
/* Of INO: has what it says of a sibling its like under the number? */
bool check_sibling_number(struct tree *, struct slice key,
			  struct slice value);
/* Its value is damaged. */
must_check int check_damaged(struct check *, struct slice key);
/* At the end, if the store is still. */
must_check int check_totals(struct check *);

#endif
