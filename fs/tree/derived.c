/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/tree/derived.h"

#include <string.h>

#include "fs/tree/xattr_local.h"

/* Of a table with several sorts of entries. */
#define SORTS_SEVERAL ((enum entry_sort)-1)

/* (No default: the compiler says which table is missing.) */
static enum entry_sort table_sort(enum store_table table)
{
	switch (table) {
	case TABLE_OBJ:
	case TABLE_CHUNK:
	case TABLE_DIRTY:
	case TABLE_STAGE:
		return ENTRY_OWN;
	case TABLE_CHAIN:
		return ENTRY_LOST;
	case TABLE_MEMBER:
	case TABLE_BASE:
		return ENTRY_ASIDE;
	case TABLE_CUT:
		return ENTRY_SPARE;
	case TABLE_SEQ:
	case TABLE_DIR:
	case TABLE_BUCKET:
	case TABLE_MARK:
	case TABLE_GROUP:
	case TABLE_PENDING:
	case TABLE_SUBDIRS:
		return ENTRY_DERIVED;
	case TABLE_META:
	case TABLE_INO:
	case TABLE_HIST:
	case TABLE_DEAD:
	case TABLE_COUNT:
		break;
	}
	return SORTS_SEVERAL;
}

/* Bytes of all keys of the table; 0: of several lengths. */
static size_t key_bytes(enum store_table table)
{
	switch (table) {
	case TABLE_OBJ:
	case TABLE_DIRTY:
	case TABLE_CHAIN:
		return 16;
	case TABLE_CHUNK:
	case TABLE_MEMBER:
		return 32;
	case TABLE_BASE:
		return 40;
	default:
		return 0;
	}
}

static bool begins_with_one_of(struct slice key, const char *letters)
{
	return key.len && key.data[0] && strchr(letters, key.data[0]);
}

static enum entry_sort meta_sort(struct slice key)
{
	if (slice_has_prefix(key, "policy/") ||
	    slice_has_prefix(key, "acks/") ||
	    slice_equal(key, SLICE_STR(META_LOCAL)))
		return ENTRY_DERIVED;
	/* (what the tree or the store cannot do without was mended when they
	 * were opened) */
	return ENTRY_ASIDE;
}

enum entry_sort entry_sort(enum store_table table, struct slice key)
{
	enum entry_sort sort = table_sort(table);

	if (key_bytes(table) && key.len != key_bytes(table))
		return ENTRY_ODD;
	if (sort != SORTS_SEVERAL)
		return sort;
	if (table == TABLE_META)
		return meta_sort(key);
	if (table == TABLE_HIST)
		return begins_with_one_of(key, "vos") ? ENTRY_ASIDE :
							ENTRY_DERIVED;
	if (table == TABLE_DEAD)
		return begins_with_one_of(key, "qu") ? ENTRY_SPARE :
						      ENTRY_DERIVED;
	/* (numbers that were given out stay, as far as they are right) */
	kin_assert(table == TABLE_INO);
	return begins_with_one_of(key, "iads") ? ENTRY_SPARE : ENTRY_DERIVED;
}
