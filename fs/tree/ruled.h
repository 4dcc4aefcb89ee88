/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of which a policy hides contents: policy.h. All [locked].
 */
#ifndef KINFS_TREE_RULED_H
#define KINFS_TREE_RULED_H

#include "fs/tree/policy.h"
#include "fs/tree/tree_internal.h"

/* ---- policy.c */
/* A directory's row is stored (NULL: deleted): brings the index up to
 * date, and the files below it when it changes. */
must_check int policy_note(struct tree *, struct objid, const struct info *);
/* Does the index say what the row says? -EUCLEAN. */
must_check int policy_check(struct tree *, const struct info *);
must_check int policies_exist(struct tree *, bool *ret);
/* As policy_of(), for what the object is now. */
must_check int policy_of_object(struct tree *, const struct object *,
				struct policy_found *ret);

/* ---- ruled.c */
/* The rule by which several contents of the object are read now, into its
 * arena: o->rule. Empty: keep, or one content only. */
must_check int rule_find(struct tree *, struct object *);
/* Is it the one by which the row is read? -EUCLEAN. */
must_check int rule_check(struct tree *, const struct object *);
/* What lies below these directories, or what holds there, changed. */
must_check int rules_moved(struct tree *, struct objid dir);
/* Reads by the rule that holds now what the operation touched, and if
 * t->work.rules, all files with several contents. */
must_check int rules_settle(struct tree *);

#endif
