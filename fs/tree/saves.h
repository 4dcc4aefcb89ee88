/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How programs save files, so that a save is a new content of the file that
 * people know and not another file of its name: adopt.c (a temporary renamed
 * over its target), backup.c (the file moved aside, a new one made in its
 * place), unsettled.c (when it is too early to tell). [locked, in an
 * operation, where it does not say otherwise]
 */
#ifndef KINFS_TREE_SAVES_H
#define KINFS_TREE_SAVES_H

#include "fs/tree/tree_internal.h"

/* ---- adopt.c */
/* A temporary that was sent is adopted up to this age: what is older is a
 * file of its own, which somebody may know. */
#define TEMP_YOUNG_MS (60 * 60 * 1000)

/* It was made here, and nothing but this store's open group holds the row: no
 * peer was sent it, no commit has it. Then it may go without a trace. */
bool row_is_here_only(const struct tree *, const struct row *);
/* Takes the row away without a trace. It must be here only. */
must_check int row_erase(struct tree *, struct row *);
/* A regular file of one name, which shows its main: who makes another file
 * that one saves main. Siblings, and what a policy hides, may be there too. */
bool row_may_be_saved(const struct row *, const struct info *);
/* ... of one content, all of it here. */
bool row_is_simple(const struct row *, const struct info *);
/* Such a file, made by this node not long ago. */
bool row_is_temporary(struct tree *, const struct row *,
		      const struct info *, uint64_t young_ms);
/* Are its unsent writes, if any, all there is of it? Else they must be made
 * a version before another object can have them. */
must_check int dirty_is_whole(struct tree *, uint64_t ino, bool *ret);
/*
 * `to` gets the content of `from` (a version, or its unsent writes), its
 * mode, owner, extended attributes (and keeps no others), mtime and inode
 * number. `from` is not changed. Invalidates to's info. Both rows must live
 * until `to` is stored.
 */
must_check int file_hand_over(struct tree *, struct row *to,
			      const struct info *, const struct row *from,
			      const struct info *);
/* Its object is in `to` now; it goes. Invalidates its info. */
must_check int temporary_remove(struct tree *, struct row *,
				const struct info *, const struct row *to);
/* Open handles of the file's number keep what they show, which has no name
 * any more; nobody else finds it. */
must_check int file_leave_number(struct tree *, const struct row *,
				 const struct info *);
/* rename(2) of one shown file over another, or over a sibling. 1: done; 0: no adoption, the
 * files are moved and removed as any. */
must_check int adopt(struct tree *, const struct shown *temp,
		     const struct shown *target);
/*
 * Begins an operation that may adopt the inode: no cut of it is being made,
 * and its unsent writes are whole, if that can be had. 0: none is, so
 * nothing can stand in the way. [not locked]
 */
must_check int begin_adopting(struct tree *, uint64_t ino);
/* Number of the file at a name, if it is to go over another. [not locked] */
uint64_t adopt_number(struct tree *, uint64_t parent, struct slice name,
		      uint64_t new_parent, struct slice new_name);
/* After the end of such an operation, with its result. */
void saves_ended(struct tree *, int r);

/* ---- xattr.c */
/* Would one file have room for the extended attributes of both? */
bool xattrs_fit(const struct object *, const struct object *);
/* Those of `from`, beside what `to` has of its own: programs that save
 * seldom copy them. */
must_check int xattrs_hand_over(struct tree *, struct row *to,
				const struct info *from);
/* Removes those that `from` has not. */
must_check int xattrs_drop_beyond(struct tree *, struct row *,
				  const struct info *from);

/* ---- backup.c */
/* Before and after a file is renamed within its directory, maybe over an
 * older backup: it may be one. left_prepare() looks at the file as it is. */
must_check int left_prepare(struct tree *, const struct shown *,
			    struct objid dir, struct left *ret);
must_check int left_note(struct tree *, struct left *);
void left_release(struct left *);
void lefts_release(struct tree *);
/* An object took a free name, newly made (or a moved temporary). */
void left_taken(struct tree *, struct objid dir, struct slice name,
		struct objid taker);
/* The same for a file that was moved to a free name, if it is a temporary:
 * closed, it is complete. */
must_check int left_moved(struct tree *, struct objid, struct place to);
/* The name of the backup goes: 1: what took its place was handed over to
 * it, and it is back under its name; 0: nothing was done. */
must_check int backup_fold(struct tree *, const struct shown *);
/* A temporary is renamed over a file that got a second name just before:
 * 1: that is the backup's, and the two have changed; 0: nothing was done. */
must_check int backup_of_link(struct tree *, const struct shown *temp,
			      const struct shown *target);
/* The number of what took the place of the file shown, or 0. [not locked] */
uint64_t backup_number(struct tree *, uint64_t parent, struct slice name);
/* The file is complete, by its close or move: if it took the place of a
 * backup that still is there, the two change their contents and names. */
must_check int backup_swap(struct tree *, struct objid taker);
/* The same after a close. [not locked] */
void backup_closed(struct tree *, uint64_t ino);

/* ---- unsettled.c */
/* A file was born under this number. */
void unsettled_born(struct tree *, struct objid, uint64_t ino);
/* A file left its name. */
void unsettled_left(struct tree *, struct objid);
/* It became what it was to be. */
void unsettled_drop(struct tree *, struct objid);

#endif
