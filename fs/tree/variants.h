/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file in conflict as what merges it sees it: its variants, what they were
 * made from, and a way to put the result in their place. For `kin resolve`,
 * for policies and for hooks; none of them is known here.
 *
 * The base of two versions is their newest common ancestor (SEMANTICS in
 * FORMAT.md, "Rows": CONTENT names its newest ancestors). A row holds only
 * what is live, so a content that is replaced is remembered in table BASE
 * (base.c) as long as somebody may still make something of it: until a newer
 * version of that line is known to every member that counts.
 *
 * With more than two variants the base is the newest common ancestor of all;
 * none, if several are as new as each other and differ (criss-cross).
 */
#ifndef KINFS_TREE_VARIANTS_H
#define KINFS_TREE_VARIANTS_H

#include "fs/tree/tree.h"

struct variant {
	struct dot dot;		/* of its newest version; names it */
	struct dot first;	/* ... and the one that it keeps for ever */
	struct slice label;	/* author of that version */
	/* As shown beside main; main's: its name. Empty: it is not shown (its
	 * bytes are not here yet, or there are too many siblings). */
	struct slice name;
	struct timespec time;	/* when it was written, by its author's clock */
	struct timespec mtime;
	struct content content;
	bool main;		/* it has the plain name now */
	bool automatic;		/* made by a policy or a hook */
	bool here;		/* all of its bytes are here */
};

struct variants {
	struct objid id;
	struct variant *list;	/* ascending by first dot: alike on all nodes */
	size_t count;		/* 2 or more; void ones are left out */
	/* Somebody took a settlement back, and has written none of them
	 * since: they are for a person to settle. */
	bool reopened;
	bool base_known;
	struct variant base;	/* dot, content, here */
	/* Of what is there now: equal sets, equal tokens, on every node. */
	struct hash token;
	/* The human versions that all of it is made of, ascending; none if
	 * they are more than LEAVES_MAX. */
	struct dot *leaves;
	size_t leaves_count;
	/* Of namesakes: the name that all have, and where. */
	struct objid dir;
	struct slice name;
	/* internal: what the others borrow from */
	struct object row;
	/* Their bytes stay until this is ended, or all is released. */
	struct store_hold hold;
};

/*
 * The variants of the file shown at ino (main or a sibling), or of an object.
 * Errors: -ENODATA not in conflict (or no regular file), -ENOENT, -ESTALE.
 */
must_check int tree_variants(struct tree *, uint64_t ino,
			     struct variants *ret);
must_check int tree_variants_of(struct tree *, struct objid,
				struct variants *ret);
void variants_release(struct variants *);

/* Who settles: a person (KEEP, a version as any other), or a policy or hook
 * (VERSION_AUTO with the leaves of all; see info.h for how two of these
 * relate). */
enum settle_by { SETTLE_PERSON, SETTLE_AUTO };

/*
 * Puts the bytes of fd (read from its start, at most FILE size limit) in
 * place of exactly these variants, as main. Whatever was written since is
 * not lost: if the token is no more that of what is there, nothing is done.
 * Not locked; takes as long as the bytes take.
 * Errors: -ESTALE something else is there now; -EAGAIN not all variants are
 * here, and nobody can have merged what he could not read (a person may take
 * one of those that are: tree_resolve); -E2BIG too many leaves for an
 * automatic version; -EFBIG; of reading and storing.
 */
must_check int tree_settle(struct tree *, const struct variants *, int fd,
			   enum settle_by);

/*
 * Different files that were made under one name, one of which is shown there:
 * a variant for each, as a file; no base, no leaves.
 * Errors: -ENODATA there is one file only; -EISDIR a directory has the name;
 * -ENOTSUP not all are regular files; -ENOTUNIQ one of them is in conflict
 * itself; -ENOENT, -ESTALE.
 */
must_check int tree_namesakes(struct tree *, uint64_t parent,
			      struct slice name, struct variants *ret);
/*
 * Puts the bytes of fd into the one that has the plain name, and removes the
 * others, in one operation. As tree_settle(), by a person. Errors: -ESTALE;
 * -EAGAIN; -EBUSY one of them has unsent writes.
 */
must_check int tree_settle_namesakes(struct tree *, const struct variants *,
				     int fd);

/* Calls fn for each file in a content conflict, in a defined order: cheap, by
 * the marks, some at a time. fn runs without the lock; its first non-zero
 * result ends it. */
must_check int tree_each_conflict(struct tree *,
				  int (*fn)(void *arg, struct objid,
					    uint64_t ino),
				  void *arg);

#endif
