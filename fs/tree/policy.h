/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of conflicts below a directory: its extended attribute
 * user.kin.policy, replicated and merged as any other; the nearest one on
 * the way up, by effective place, holds.
 *
 *	keep			siblings, for a person to settle (as without)
 *	latest			the newest content shows
 *	node:LABEL[,LABEL...]	the newest content written by the first of
 *				these that has written one shows; if none has,
 *				as keep
 *	merge			three-way, of text
 *	union			the lines of all
 *	hook:NAME[@LABEL]	an executable of the node decides. NAME: 1 to
 *				64 of [A-Za-z0-9._-], not beginning with a
 *				dot: a policy names a hook, it carries none.
 *				With a LABEL: that node alone runs it
 *
 * latest and node are *view*: nothing is written. The contents that lose are
 * hidden (info.h), live on, and go with the next write, which replaces all
 * that was known when it was made. The others are acted on elsewhere.
 *
 * A text that is not understood, of a newer kinfs, is as keep.
 */
#ifndef KINFS_TREE_POLICY_H
#define KINFS_TREE_POLICY_H

#include "fs/tree/object.h"
#include "fs/tree/tree.h"

#define XATTR_POLICY "user.kin.policy"
#define POLICY_LABELS_MAX 16
/* Bytes of a hook's name: short enough for a column. */
#define HOOK_NAME_BYTES_MAX 64

enum policy_rule {
	POLICY_KEEP = 1,
	POLICY_LATEST,
	POLICY_NODE,
	POLICY_MERGE,
	POLICY_UNION,
	POLICY_HOOK,
};

struct policy {
	enum policy_rule rule;
	/* NODE: */
	char labels[POLICY_LABELS_MAX][LABEL_BYTES_MAX + 1];
	size_t label_count;
	char hook[HOOK_NAME_BYTES_MAX + 1]; /* HOOK */
	char hook_node[LABEL_BYTES_MAX + 1]; /* HOOK; "": all, in turns */
};

struct policy_found {
	struct policy policy;	/* KEEP where nothing is said */
	bool set;		/* a directory says so: */
	uint64_t dir;		/* its inode number */
	bool understood;
	/* As it was set; cut off where it is too long to be understood. */
	uint8_t text[POLICY_BYTES_MAX];
	size_t text_len;
};

/* One component of [A-Za-z0-9._-], not too long, not beginning with a dot:
 * it leads out of no folder. */
bool hook_name_valid(struct slice name);
/* Errors: -EINVAL, and nothing is changed. */
must_check int policy_parse(struct slice text, struct policy *ret);

/* Which holds for what is shown there: of a directory, for what is in it; of
 * a file with several names, by its smallest shown slot. [not locked]
 * Errors: -ESTALE. */
must_check int tree_policy(struct tree *, uint64_t ino,
			   struct policy_found *ret);
/* The same of an object. [locked] */
must_check int policy_of(struct tree *, struct objid,
			 struct policy_found *ret);
/* Does any directory have one? (An error is a yes.) [not locked] */
bool tree_has_policies(struct tree *);

/* A directory that has a policy of its own, and is shown. */
struct policy_set {
	struct slice path;	/* relative to the root */
	struct slice text;	/* as policy_found.text */
	bool understood;
	struct policy policy;	/* if it is understood */
};

/*
 * Lists them by the index of them, in the order of their ids: costs what
 * there is to list. fn runs without the lock, its first non-zero result ends
 * it. At most max are looked at; 1: there are more.
 */
must_check int tree_policies(struct tree *, size_t max,
			     int (*fn)(void *arg, const struct policy_set *),
			     void *arg);

/* A content that a policy hides now. */
struct policy_hidden {
	struct slice path;	/* of the file, relative to the root */
	struct objid id;
	enum kind kind;		/* file or symlink */
	uint64_t ino;		/* of its main */
	struct dot dot;		/* of the content's newest version */
	struct content content;
	bool here;		/* all of its bytes are */
};

/* Lists them. As tree_conflicts(): fn runs without the lock, its first
 * non-zero result ends it; costs what there is to list. */
must_check int tree_policy_hidden(struct tree *,
				  int (*fn)(void *arg,
					    const struct policy_hidden *),
				  void *arg);

#endif
