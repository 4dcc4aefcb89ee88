/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object (file, directory, symlink, ...) as a set of live, dotted versions of
 * its registers, and its encoding as a row. The same bytes stand in the
 * store, on the wire and under hashes. FORMAT.md, "Rows".
 *
 * A version is immutable; (dot, register, slot) names one value for ever.
 * Several concurrent versions of one register may be live at once; how they
 * are read is a pure function of the set: info.h.
 */
#ifndef KINFS_TREE_OBJECT_H
#define KINFS_TREE_OBJECT_H

#include <time.h>

#include "fs/base/id.h"
#include "fs/base/limits.h"
#include "fs/store/content.h"
#include "fs/tree/kind.h"

/*
 * Registers. A row may hold registers of a newer kinfs: they are kept and
 * forwarded as they are (REG_FIRST_OPAQUE and above).
 */
enum reg {
	REG_KIND = 1,
	REG_LINK = 2,		/* one register for each slot */
	REG_CONTENT = 3,	/* multi-value: see info.h */
	REG_MODE = 4,
	REG_OWNER = 5,
	REG_TIMES = 6,
	REG_TOMB = 7,		/* trace and last place of a removal */
	REG_XATTR = 8,		/* one register for each name */
	/* (9 is no register) */
	REG_HOME = 10,		/* of a directory: who may write below it */
	REG_FIRST_OPAQUE = 11,
};

enum home_mode { HOME_STRICT = 1, HOME_SOFT = 2 };

enum version_flags {
	VERSION_WEAK = 1,	/* LINK: a keep-stamp or a revival */
	VERSION_AUTO = 2,	/* CONTENT: made by a policy or a hook */
	VERSION_VOID = 4,	/* CONTENT: main was removed, siblings stay */
	/* (8 is taken in rows: row_codec.h) */
	/* CONTENT: what anc[0] names once more, and no edit of it: who only
	 * had that and replaced it has replaced this. */
	VERSION_AGAIN = 16,
	/* CONTENT: somebody took a settlement back, and this is one of the
	 * contents that came again: no policy or hook is to settle them. */
	VERSION_REOPENED = 32,
	/* KIND: a re-stamp, so the object is older than this dot. (It is
	 * written once else: by whoever made the object.) */
	VERSION_RENEWED = 64,
};

/* A directory has the one slot 0; a file's slots are random, never 0. */
#define SLOT_DIR 0

struct place {
	struct objid parent;
	struct slice name;
};

/*
 * A point in the total order of writes, with a level to go just above or
 * below it. Compared by hlc, origin, seq, level.
 */
struct stamp {
	uint64_t hlc;
	struct dot dot;
	int64_t level;
};

/* How `anc` and `seen` name a CONTENT version, for ever. */
struct entry_name {
	uint64_t hlc;
	struct dot dot;
	uint64_t hash64;	/* first 8 bytes of the root hash */
};

struct link_value {
	uint64_t slot;
	struct place at;
	struct place prev[LINK_PREV_MAX];	/* newest first */
	uint8_t prev_count;
	struct stamp since;	/* seniority of the name, not of the LINK */
	struct slice label;	/* who placed it: names it if it is contested */
};

struct content_value {
	/*
	 * Size 0, depth 0 when void. The root of inline content is computed
	 * only when a row has several CONTENT versions; elsewhere use
	 * version_entry_name() or content_inline().
	 */
	struct content content;
	struct timespec mtime;	/* of this content: siblings, history */
	struct stamp rank;
	struct dot branch;	/* what its sibling is named by ... */
	uint64_t branch_hlc;	/* ... with this date */
	struct slice label;	/* ... and its author's label */
	struct slice author;	/* label of who wrote this version */
	/* Newest ancestors, newest first; but of what is there again, that
	 * stands before the others. */
	struct entry_name *anc;
	size_t anc_count;
	/* Older ones, newest first, by first dots: only to find what several
	 * versions were made from (base.c). */
	struct dot *far;
	size_t far_count;
	struct entry_name *seen; /* versions its writer saw and left beside */
	size_t seen_count;
	struct dot *leaves;	/* automatic versions only */
	size_t leaves_count;
};

struct version {
	struct dot dot;
	uint64_t hlc;
	/* CONTENT: the origin under which it was written, if a fork gave it
	 * another (fork.c), else 0. */
	uint64_t first_origin;
	uint8_t reg;
	uint8_t flags;
	union {
		struct {
			uint8_t kind;
		} kind;
		struct link_value link;
		struct content_value content;
		struct {
			uint32_t perm;	/* 07777 */
			struct slice acl; /* reserved, empty */
		} mode;
		struct {
			struct slice user, group;
		} owner;
		struct {
			struct timespec mtime, btime;
		} times;
		/* The LINK that went, as it comes back if it does; and when
		 * the run of removals began that this one is of: the hlc of
		 * its first (returned.c). */
		struct {
			struct link_value link;
			uint64_t run;
		} tomb;
		struct {
			struct slice name;
			bool removed;	/* then without value */
			struct slice value;
		} xattr;
		struct {
			struct device device;
			uint64_t epoch;
			uint8_t mode;	/* enum home_mode */
		} home;
		struct slice opaque;
	};
};

/*
 * A decoded row. Slices and arrays of its versions live in the object's own
 * arena, or are borrowed by whoever added the version, who must keep them
 * until the object is encoded or released.
 */
struct object {
	struct objid id;
	struct version *versions;
	size_t count, alloc;
	struct arena *arena;
	/* No part of the versions: the policy by which several contents are
	 * read (info.h); empty: as all are. In the arena. */
	struct slice rule;
};

void object_init(struct object *, struct objid);
void object_release(struct object *);
/*
 * Decodes a row's versions, checking every limit; replaces *ret, whose id
 * stays. The bytes are copied. Errors: -EBADMSG, -ENOMEM.
 */
must_check int object_decode(struct slice row, struct object *ret);
/*
 * Calls fn for each content that a row's versions name by hash, without more
 * of a look than that takes. Stops at, and returns, its first non-zero.
 * Errors: -EBADMSG.
 */
must_check int object_contents_each(struct slice row,
				    int (*fn)(void *arg,
					      const struct content *),
				    void *arg);
/*
 * Encodes the versions in canonical order: equal sets give equal bytes.
 * Sorts o->versions. Errors: -ENOMEM, -E2BIG over ROW_BYTES_MAX.
 */
must_check int object_encode(struct object *o, struct buf *ret);
/*
 * Appends a version. The value's slices are borrowed (use object_dup() to
 * put them into the arena). The pointer is good until the next add.
 */
struct version *object_add(struct object *, const struct version *);
void object_remove(struct object *, size_t index);
/* Memory that lives as long as the object. NULL when out of memory. */
void *object_alloc(struct object *, size_t bytes);
struct slice object_dup(struct object *, struct slice);

/* Copies a version of another object, with all that it borrows. */
must_check int object_add_copy(struct object *, const struct version *);
/* Has it any version of this register? */
bool object_has(const struct object *, uint8_t reg);
/* Its KIND; 0: not known. */
uint8_t object_kind(const struct object *);
/* How many CONTENT versions? */
size_t object_contents(const struct object *);
/* Index of the version with this identity, or -1. */
int object_find(const struct object *, const struct version *like);

/* Same register, with its slot or name: a write of one replaces the other. */
bool version_same_register(const struct version *a, const struct version *b);
/* Same (dot, register, slot or name). */
bool version_same(const struct version *a, const struct version *b);
/* The canonical order of versions in a row; for qsort(3). */
int version_order(const void *a, const void *b);
/* key: (hlc, origin, seq). */
int version_key_compare(const struct version *a, const struct version *b);
int stamp_compare(const struct stamp *a, const struct stamp *b);
/* Is it among these n? */
bool entry_names_have(const struct entry_name *list, size_t n,
		      const struct entry_name *);
int entry_name_compare(const struct entry_name *a,
		       const struct entry_name *b);
/* The dot under which it was written: the same for ever. */
struct dot version_first_dot(const struct version *);
struct entry_name version_entry_name(const struct version *);

/* A name of one path component: 1..255 bytes, no '/', NUL, "." or "..". */
bool name_is_valid(struct slice name);
bool label_is_valid(struct slice label);
/* Of an extended attribute: 1..255 bytes without NUL. */
bool xattr_name_is_valid(struct slice name);

#endif
