/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs as they travel: entries by name, in an order of their own, so
 * that equal ACLs are equal bytes.
 *
 * An *access* ACL is one value with the mode (REG_MODE), and is never at odds
 * with it: what the mode says (owner, mask, others) stands there alone. So a
 * chmod changes the mask and leaves the entries as they are. A *default* ACL,
 * of a directory, is the extended attribute ACL_DEFAULT_NAME. FORMAT.md,
 * "Rows", has the bytes.
 */
#ifndef KINFS_TREE_ACL_H
#define KINFS_TREE_ACL_H

#include "fs/base/bytes.h"
#include "fs/base/limits.h"

struct tree;

/* The register of default ACLs, and how both are called by programs. */
#define ACL_DEFAULT_NAME "system.posix_acl_default"
#define ACL_ACCESS_NAME "system.posix_acl_access"

/* Entries of one ACL: what a page holds of 8 bytes each, as the kernel asks
 * for them. */
#define ACL_ENTRIES_MAX 511

/* The numbers of Linux. */
enum acl_tag {
	ACL_OWNER = 1,
	ACL_USER = 2,		/* has a name */
	ACL_OWNERS_GROUP = 4,
	ACL_GROUP = 8,		/* has a name */
	ACL_MASK = 16,
	ACL_OTHERS = 32,
};

struct acl_entry {
	uint8_t tag;		/* enum acl_tag */
	uint8_t perm;		/* 0..7 */
	struct slice name;	/* borrowed */
};

/* Sorted by (tag, name) when it comes from here. Empty: there is none. */
struct acl {
	struct acl_entry entries[ACL_ENTRIES_MAX];
	size_t count;
};

/*
 * Sorts it. Errors: -EINVAL: without one of OWNER, OWNERS_GROUP and OTHERS,
 * with one twice, or with named entries and no mask; -E2BIG.
 */
must_check int acl_check(struct acl *);
/* No more than a mode says: it needs no ACL. */
bool acl_is_mode(const struct acl *);

/* The bytes of an access ACL are good. */
bool acl_access_is_valid(struct slice bytes);
/* Of REG_MODE: its permission bits for whoever knows no ACL of it. Group is
 * the owning group's, never the mask. */
uint32_t acl_plain_perm(uint32_t perm, struct slice access);
/* The bytes borrow nothing; *perm is changed to what the ACL says. */
must_check int acl_encode_access(const struct acl *, uint32_t *perm,
				 struct buf *ret);
must_check int acl_encode_default(const struct acl *, struct buf *ret);
/* Names borrow from the bytes. Errors: -EBADMSG. */
must_check int acl_decode_access(struct slice bytes, uint32_t perm,
				 struct acl *ret);
must_check int acl_decode_default(struct slice bytes, struct acl *ret);

/*
 * What a new object has in a directory with that default ACL, as
 * acl(5) says: *perm is what was asked for, and becomes what it gets. The
 * bytes may be empty: its mode says all.
 */
must_check int acl_inherit(struct slice default_bytes, uint32_t *perm,
			   struct buf *ret_access);

/* ---- operations */
enum acl_type { ACL_TYPE_ACCESS, ACL_TYPE_DEFAULT };

/*
 * The ACL, with names that borrow from `names`. Errors: -ENODATA there is
 * none: the mode says all; -ENOTSUP of a symlink.
 */
must_check int tree_getacl(struct tree *, uint64_t ino, enum acl_type,
			   struct buf *names, struct acl *ret);
/*
 * An empty one removes it. drop_perm: mode bits that go with it (set-id).
 * Errors: of acl_check(); -EACCES a default one, of no directory; -ENOTSUP of
 * a symlink; -ENOSPC with all extended attributes too large.
 */
must_check int tree_setacl(struct tree *, uint64_t ino, enum acl_type,
			   struct acl *, uint32_t drop_perm);

#endif
