/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACLs between the kernel's form (numbers, the attributes
 * system.posix_acl_access and _default) and the tree's (names). The kernel
 * checks them, as it checks modes.
 *
 * A name that is unknown here is shown as the mount's owner, once, however
 * many they are; and whoever writes back what he was shown means those names
 * again. So an ACL that is edited on a laptop that does not know somebody
 * keeps him.
 *
 * A price, in requests (counted on Linux 6.18): who is not a file's owner has
 * the kernel ask once for its ACL, if its group may do anything; and for that
 * of the mount's root at each path, since it keeps none of a directory that it
 * made before it knew of ACLs. The owner costs nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/front/front_internal.h"
#include "fs/tree/acl.h"

/* Of the kernel's form. */
#define ACL_VERSION 2
#define ACL_HEADER_BYTES 4
#define ACL_ENTRY_BYTES 8
#define ACL_NO_ID UINT32_MAX

int acl_type_of(const char *name)
{
	if (!strcmp(name, ACL_ACCESS_NAME))
		return ACL_TYPE_ACCESS;
	if (!strcmp(name, ACL_DEFAULT_NAME))
		return ACL_TYPE_DEFAULT;
	return -1;
}

static bool is_known(const struct acl_entry *e)
{
	return e->tag == ACL_USER ? idmap_user_is_known(e->name) :
				    idmap_group_is_known(e->name);
}

static uint32_t id_of(const struct acl_entry *e)
{
	if (e->tag == ACL_USER)
		return idmap_uid(NULL, e->name);
	return e->tag == ACL_GROUP ? idmap_gid(NULL, e->name) : ACL_NO_ID;
}

/* ---- to the kernel */

struct numbered {
	uint32_t id;
	bool unknown;
	uint8_t tag, perm;
};

static int numbered_order(const void *pa, const void *pb)
{
	const struct numbered *a = pa, *b = pb;

	if (a->tag != b->tag)
		return a->tag < b->tag ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	if (a->unknown != b->unknown)
		return a->unknown ? 1 : -1;
	/* (of several unknown ones the least that any of them may) */
	return (int)a->perm - (int)b->perm;
}

static int put_entries(const struct acl *acl, struct buf *ret)
{
	struct numbered *all = calloc(ACL_ENTRIES_MAX, sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (size_t k = 0; k < acl->count; k++) {
		const struct acl_entry *e = &acl->entries[k];

		all[k] = (struct numbered){ .id = id_of(e), .tag = e->tag,
					    .perm = e->perm };
		all[k].unknown = all[k].id != ACL_NO_ID && !is_known(e);
	}
	qsort(all, acl->count, sizeof(*all), numbered_order);
	buf_put_u32(ret, ACL_VERSION);
	for (size_t k = 0; k < acl->count; k++) {
		if (k && all[k].tag == all[k - 1].tag &&
		    all[k].id == all[k - 1].id)
			continue;
		buf_put_u16(ret, all[k].tag);
		buf_put_u16(ret, all[k].perm);
		buf_put_u32(ret, all[k].id);
	}
	free(all);
	return buf_error(ret);
}

int front_getacl(struct tree *tree, fuse_ino_t ino, int type, struct buf *ret)
{
	cleanup(buf_release) struct buf names = BUF_INIT;
	autofree struct acl *acl = malloc(sizeof(*acl));
	int r;

	if (!acl)
		return -ENOMEM;
	r = tree_getacl(tree, ino, (enum acl_type)type, &names, acl);
	return r ? r : put_entries(acl, ret);
}

/* ---- from the kernel */

/* Where names of numbers are kept while an ACL is made of them. */
struct named {
	struct acl acl, old;
	struct buf old_names;
	char names[ACL_ENTRIES_MAX][PRINCIPAL_BYTES_MAX];
};

static int add_entry(struct named *n, uint16_t tag, uint16_t perm,
		     struct slice name)
{
	if (n->acl.count == ACL_ENTRIES_MAX)
		return -E2BIG;
	if (tag > ACL_OTHERS || perm > 7)
		return -EINVAL;
	/* Somebody named twice: the first counts, as it does for Linux. */
	for (size_t k = 0; name.len && k < n->acl.count; k++)
		if (n->acl.entries[k].tag == tag &&
		    slice_equal(n->acl.entries[k].name, name))
			return 0;
	n->acl.entries[n->acl.count++] = (struct acl_entry){
		(uint8_t)tag, (uint8_t)perm, name };
	return 0;
}

/* For whom the number stood: unknown names, and maybe for the one whose it
 * is. Returns how many there were, or negative. */
static int add_shown(struct named *n, uint16_t tag, uint16_t perm, uint32_t id)
{
	int count = 0, unknown = 0, r;

	for (size_t k = 0; k < n->old.count; k++) {
		const struct acl_entry *e = &n->old.entries[k];

		unknown += e->tag == tag && id_of(e) == id && !is_known(e);
	}
	for (size_t k = 0; unknown && k < n->old.count; k++) {
		const struct acl_entry *e = &n->old.entries[k];

		if (e->tag != tag || id_of(e) != id)
			continue;
		r = add_entry(n, tag, perm, e->name);
		if (r)
			return r;
		count++;
	}
	return count;
}

static int add_numbered(struct named *n, uint16_t tag, uint16_t perm,
			uint32_t id)
{
	char *to = n->names[n->acl.count % ACL_ENTRIES_MAX];
	int r;

	if (tag != ACL_USER && tag != ACL_GROUP)
		return add_entry(n, tag, perm, SLICE(NULL, 0));
	r = add_shown(n, tag, perm, id);
	if (r)
		return MIN_OF(r, 0);
	return add_entry(n, tag, perm, tag == ACL_USER ?
			 idmap_user(id, to) : idmap_group(id, to));
}

static int parse_acl(struct slice bytes, struct named *n)
{
	struct reader r = READER(bytes.data, bytes.len);
	int e = 0;

	if (bytes.len < ACL_HEADER_BYTES ||
	    (bytes.len - ACL_HEADER_BYTES) % ACL_ENTRY_BYTES)
		return -EINVAL;
	if (reader_u32(&r) != ACL_VERSION)
		return -ENOTSUP;
	while (!e && reader_left(&r)) {
		uint16_t tag = reader_u16(&r), perm = reader_u16(&r);

		e = add_numbered(n, tag, perm, reader_u32(&r));
	}
	return e;
}

/* As chmod(2): who is not of a file's group makes it no program of it. */
static int lost_bits(fuse_req_t req, fuse_ino_t ino, uint32_t *ret)
{
	struct attr attr;
	int r = tree_getattr(front_of(req)->tree, ino, &attr);

	*ret = 0;
	if (!r && attr.mode & S_ISGID && !caller_keeps_group(req, attr.gid))
		*ret = S_ISGID;
	return r;
}

int front_setacl(fuse_req_t req, fuse_ino_t ino, int type, struct slice bytes)
{
	struct tree *tree = front_of(req)->tree;
	autofree struct named *n = calloc(1, sizeof(*n));
	uint32_t drop = 0;
	int r;

	if (!n)
		return -ENOMEM;
	r = tree_getacl(tree, ino, (enum acl_type)type, &n->old_names,
			&n->old);
	if (r == -ENODATA) {
		n->old.count = 0;
		r = 0;
	}
	if (!r)
		r = parse_acl(bytes, n);
	if (!r && type == ACL_TYPE_ACCESS)
		r = lost_bits(req, ino, &drop);
	if (!r)
		r = tree_setacl(tree, ino, (enum acl_type)type, &n->acl, drop);
	buf_release(&n->old_names);
	return r;
}

int front_removeacl(struct tree *tree, fuse_ino_t ino, int type)
{
	struct acl none = { .count = 0 };

	return tree_setacl(tree, ino, (enum acl_type)type, &none, 0);
}
