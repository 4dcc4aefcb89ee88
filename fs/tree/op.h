/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations on names share. [locked, in an operation] */
#ifndef KINFS_TREE_OP_H
#define KINFS_TREE_OP_H

#include "fs/tree/tree_internal.h"

must_check int check_name(struct slice name);
must_check int touch_dir(struct tree *, struct objid dir);
struct objid new_objid(struct tree *);
uint64_t first_slot(struct objid);
/* A new object in a row of its own, not yet stored. Released on error. */
must_check int object_make(struct tree *, struct place at,
			   const struct tree_new *, const struct content *,
			   struct timespec mtime, struct row *ret);
/* tree_create(), in an operation. */
must_check int create_locked(struct tree *, uint64_t parent,
			     struct slice name, const struct tree_new *,
			     struct entry *ret, uint64_t *ret_ino);
/* Removes an empty directory, all members of its group. -ENOTEMPTY. */
must_check int dir_remove(struct tree *, struct objid dir);
/* op_begin(), once no cut of this inode is being made. */
must_check int begin_uncut(struct tree *, uint64_t ino);
/* Moves a shown file or directory to a place where others may claim too. */
must_check int entry_move(struct tree *, const struct shown *,
			  struct place to);
/* -EINVAL if a directory would come to lie in itself. */
must_check int check_within(struct tree *, const struct shown *,
			    struct objid to);
/* Attributes of an object (of its group's canonical one), but no size. */
must_check int object_setattr(struct tree *, struct objid,
			      const struct tree_setattr *);
/* The row that carries an inode's attributes (of a group: its canonical
 * one's), to look at or to change. */
must_check int carrier_load(struct tree *, uint64_t ino, bool change,
			    struct row *ret);
/* A MODE of its own dot; the slice is borrowed until the row is stored. */
must_check int row_set_mode(struct tree *, struct row *, uint32_t perm,
			    struct slice acl);
/* Writes the register and stores the row. NULL removes. */
must_check int row_put_xattr(struct tree *, struct row *, struct slice name,
			     const struct slice *value);
/* An extended attribute of an object, as it was elsewhere; none: removed. */
must_check int object_setxattr(struct tree *, struct objid, struct slice name,
			       const struct slice *value);
/* Any operation on an entry of twins acts on all: the other twins go. */
must_check int remove_twins(struct tree *, const struct shown *);
/* The same for an object that is written or gets other attributes, in its
 * row; the info is read again. */
must_check int remove_twins_of(struct tree *, struct row *, struct info *);
/* Settles in favour of the sibling: its content replaces main, and with
 * over_all all other siblings that are shown. */
must_check int sibling_take_main(struct tree *, struct objid file,
				 struct dot tag, bool over_all);
/* -EBUSY: one of the files of this name has unsent writes. */
must_check int claimants_unsent(struct tree *, const struct place_view *);

#endif
