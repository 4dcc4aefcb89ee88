/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of changes to show: one hash table whose key is the inode number
 * followed by the name, if any. uthash keeps the order of insertion, so the
 * kernel hears of changes in the order in which they were made.
 */
#include <stdlib.h>
#include <string.h>

#include "fs/base/limits.h"
#include "fs/front/notes.h"

#define KEY_BYTES_MAX (sizeof(uint64_t) + NAME_BYTES_MAX)

static void free_all(struct notes *notes)
{
	struct note *note, *next;

	HASH_ITER(hh, notes->table, note, next) {
		HASH_DEL(notes->table, note);
		free(note);
	}
	notes->table = NULL;
}

static void overflow(struct notes *notes)
{
	free_all(notes);
	notes->everything = true;
}

static void add(struct notes *notes, uint64_t ino, struct slice name)
{
	uint8_t key[KEY_BYTES_MAX];
	size_t key_len = sizeof(ino) + name.len;
	struct note *note;

	if (notes->everything)
		return;
	if (name.len > NAME_BYTES_MAX)
		return;	/* no such name was ever shown */
	memcpy(key, &ino, sizeof(ino));
	if (name.len)
		memcpy(key + sizeof(ino), name.data, name.len);
	HASH_FIND(hh, notes->table, key, key_len, note);
	if (note)
		return;
	if (HASH_COUNT(notes->table) >= NOTES_MAX) {
		overflow(notes);
		return;
	}
	note = malloc(sizeof(*note) + key_len + 1);
	if (!note) {
		overflow(notes);
		return;
	}
	note->ino = ino;
	memcpy(note->key, key, key_len);
	note->key[key_len] = '\0';
	note->name = SLICE(note->key + sizeof(ino), name.len);
	HASH_ADD_KEYPTR(hh, notes->table, note->key, key_len, note);
	if (!note->hh.tbl) {	/* not added: no memory for the table */
		free(note);
		overflow(notes);
	}
}

void notes_add_inode(struct notes *notes, uint64_t ino)
{
	add(notes, ino, SLICE(NULL, 0));
}

void notes_add_entry(struct notes *notes, uint64_t parent, struct slice name)
{
	add(notes, parent, name);
	add(notes, parent, SLICE(NULL, 0));
}

void notes_add_applied(struct notes *notes, uint64_t lseq)
{
	notes->applied = notes->has_applied ? MAX_OF(notes->applied, lseq) :
					      lseq;
	notes->has_applied = true;
}

bool notes_is_empty(const struct notes *notes)
{
	return !notes->table && !notes->everything && !notes->has_applied;
}

struct notes notes_take(struct notes *from)
{
	struct notes all = *from;

	*from = NOTES_INIT;
	return all;
}

void notes_release(struct notes *notes)
{
	free_all(notes);
	*notes = NOTES_INIT;
}
