/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of ACLs: bytes, and what is inherited. Bytes come from peers too:
 * an access ACL is checked where the row is decoded, since the mode beside it
 * is of no use without; a default one where it is used, as any attribute.
 */
#include "fs/tree/acl.h"

#include <errno.h>
#include <stdlib.h>

#define PERM_MAX 7
/* In the bytes of a default ACL: it has no mask. */
#define NO_MASK 8

static bool has_name(uint8_t tag)
{
	return tag == ACL_USER || tag == ACL_GROUP;
}

static int entry_order(const void *pa, const void *pb)
{
	const struct acl_entry *a = pa, *b = pb;

	if (a->tag != b->tag)
		return a->tag < b->tag ? -1 : 1;
	return slice_compare(a->name, b->name);
}

static const struct acl_entry *find(const struct acl *acl, uint8_t tag)
{
	for (size_t k = 0; k < acl->count; k++)
		if (acl->entries[k].tag == tag)
			return &acl->entries[k];
	return NULL;
}

static uint8_t perm_of(const struct acl *acl, uint8_t tag)
{
	const struct acl_entry *e = find(acl, tag);

	return e ? e->perm : 0;
}

static void add(struct acl *acl, uint8_t tag, uint8_t perm, struct slice name)
{
	acl->entries[acl->count++] = (struct acl_entry){ tag, perm, name };
}

static bool entry_is_valid(const struct acl_entry *e)
{
	if (e->perm > PERM_MAX)
		return false;
	switch (e->tag) {
	case ACL_USER:
	case ACL_GROUP:
		return e->name.len && e->name.len <= PRINCIPAL_BYTES_MAX;
	case ACL_OWNER:
	case ACL_OWNERS_GROUP:
	case ACL_MASK:
	case ACL_OTHERS:
		return !e->name.len;
	}
	return false;
}

int acl_check(struct acl *acl)
{
	bool named = false;

	if (acl->count > ACL_ENTRIES_MAX)
		return -E2BIG;
	qsort(acl->entries, acl->count, sizeof(acl->entries[0]), entry_order);
	for (size_t k = 0; k < acl->count; k++) {
		if (!entry_is_valid(&acl->entries[k]))
			return -EINVAL;
		if (k && !entry_order(&acl->entries[k - 1], &acl->entries[k]))
			return -EINVAL;
		named |= has_name(acl->entries[k].tag);
	}
	if (!find(acl, ACL_OWNER) || !find(acl, ACL_OWNERS_GROUP) ||
	    !find(acl, ACL_OTHERS) || (named && !find(acl, ACL_MASK)))
		return -EINVAL;
	return 0;
}

bool acl_is_mode(const struct acl *acl)
{
	return !find(acl, ACL_USER) && !find(acl, ACL_GROUP) &&
	       !find(acl, ACL_MASK);
}

/* ---- bytes */

static void put_named(const struct acl *acl, struct buf *b)
{
	for (size_t k = 0; k < acl->count; k++) {
		const struct acl_entry *e = &acl->entries[k];

		if (!has_name(e->tag))
			continue;
		buf_put_u8(b, e->tag);
		buf_put_u8(b, e->perm);
		buf_put_string(b, e->name);
	}
}

static int get_named(struct reader *r, struct acl *acl)
{
	struct acl_entry last = { 0 };

	while (reader_left(r) && !reader_ok(r)) {
		struct acl_entry e = { .tag = reader_u8(r),
				       .perm = reader_u8(r) };

		e.name = reader_string(r, PRINCIPAL_BYTES_MAX);
		/* (room for those without a name) */
		if (reader_ok(r) || !has_name(e.tag) || !entry_is_valid(&e) ||
		    entry_order(&last, &e) >= 0 ||
		    acl->count >= ACL_ENTRIES_MAX - 4)
			return -EBADMSG;
		add(acl, e.tag, e.perm, e.name);
		last = e;
	}
	return reader_done(r);
}

int acl_encode_access(const struct acl *acl, uint32_t *perm, struct buf *ret)
{
	const struct acl_entry *mask = find(acl, ACL_MASK);
	uint8_t group = perm_of(acl, ACL_OWNERS_GROUP);

	*perm &= ~0777U;
	*perm |= (uint32_t)perm_of(acl, ACL_OWNER) << 6;
	*perm |= (uint32_t)(mask ? mask->perm : group) << 3;
	*perm |= perm_of(acl, ACL_OTHERS);
	if (acl_is_mode(acl))
		return 0;
	buf_put_u8(ret, group);
	put_named(acl, ret);
	return buf_error(ret);
}

int acl_encode_default(const struct acl *acl, struct buf *ret)
{
	const struct acl_entry *mask = find(acl, ACL_MASK);

	buf_put_u8(ret, perm_of(acl, ACL_OWNER));
	buf_put_u8(ret, perm_of(acl, ACL_OWNERS_GROUP));
	buf_put_u8(ret, mask ? mask->perm : NO_MASK);
	buf_put_u8(ret, perm_of(acl, ACL_OTHERS));
	put_named(acl, ret);
	return buf_error(ret);
}

int acl_decode_access(struct slice bytes, uint32_t perm, struct acl *ret)
{
	struct reader r = READER(bytes.data, bytes.len);
	uint8_t group = bytes.len ? reader_u8(&r) : perm >> 3 & PERM_MAX;
	int e;

	ret->count = 0;
	if (group > PERM_MAX)
		return -EBADMSG;
	e = get_named(&r, ret);
	if (e)
		return e;
	add(ret, ACL_OWNER, perm >> 6 & PERM_MAX, SLICE(NULL, 0));
	add(ret, ACL_OWNERS_GROUP, group, SLICE(NULL, 0));
	if (bytes.len)
		add(ret, ACL_MASK, perm >> 3 & PERM_MAX, SLICE(NULL, 0));
	add(ret, ACL_OTHERS, perm & PERM_MAX, SLICE(NULL, 0));
	return acl_check(ret) ? -EBADMSG : 0;
}

int acl_decode_default(struct slice bytes, struct acl *ret)
{
	struct reader r = READER(bytes.data, bytes.len);
	uint8_t owner = reader_u8(&r), group = reader_u8(&r);
	uint8_t mask = reader_u8(&r), others = reader_u8(&r);
	int e;

	ret->count = 0;
	e = get_named(&r, ret);
	if (e)
		return e;
	add(ret, ACL_OWNER, owner, SLICE(NULL, 0));
	add(ret, ACL_OWNERS_GROUP, group, SLICE(NULL, 0));
	if (mask != NO_MASK)
		add(ret, ACL_MASK, mask, SLICE(NULL, 0));
	add(ret, ACL_OTHERS, others, SLICE(NULL, 0));
	return acl_check(ret) ? -EBADMSG : 0;
}

bool acl_access_is_valid(struct slice bytes)
{
	struct acl acl;

	return !acl_decode_access(bytes, 0, &acl);
}

uint32_t acl_plain_perm(uint32_t perm, struct slice access)
{
	if (!access.len)
		return perm;
	/* No more than the mask lets through. */
	return (perm & ~070U) |
	       (perm & (uint32_t)(access.data[0] & PERM_MAX) << 3);
}

/* ---- what is inherited */

int acl_inherit(struct slice default_bytes, uint32_t *perm,
		struct buf *ret_access)
{
	autofree struct acl *acl = malloc(sizeof(*acl));
	bool mask;
	int r;

	if (!acl)
		return -ENOMEM;
	r = acl_decode_default(default_bytes, acl);
	if (r)
		return r;
	mask = find(acl, ACL_MASK);
	for (size_t k = 0; k < acl->count; k++) {
		struct acl_entry *e = &acl->entries[k];

		if (e->tag == ACL_OWNER)
			e->perm &= *perm >> 6;
		else if (e->tag == (mask ? ACL_MASK : ACL_OWNERS_GROUP))
			e->perm &= *perm >> 3;
		else if (e->tag == ACL_OTHERS)
			e->perm &= *perm;
	}
	return acl_encode_access(acl, perm, ret_access);
}
