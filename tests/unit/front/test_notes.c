/* SPDX-License-Identifier: Apache-2.0 */
/* The set of notes: order, once each, parents, the bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/base/limits.h"
#include "fs/front/notes.h"

static void assert_note(const struct note *note, uint64_t ino,
			const char *name)
{
	assert_non_null(note);
	assert_int_equal(note->ino, ino);
	assert_int_equal(note->name.len, strlen(name));
	assert_memory_equal(note->name.data, name, strlen(name));
}

static void test_order_and_once(void **state)
{
	struct notes notes = NOTES_INIT;
	const struct note *note;

	(void)state;
	assert_true(notes_is_empty(&notes));
	notes_add_entry(&notes, 7, SLICE_STR("b"));
	notes_add_entry(&notes, 7, SLICE_STR("a"));
	notes_add_entry(&notes, 7, SLICE_STR("b"));
	notes_add_inode(&notes, 7);
	notes_add_inode(&notes, 9);
	notes_add_inode(&notes, 9);
	assert_false(notes_is_empty(&notes));
	note = notes.table;
	assert_note(note, 7, "b");
	note = note->hh.next;
	assert_note(note, 7, "");	/* the parent, with its first name */
	note = note->hh.next;
	assert_note(note, 7, "a");
	note = note->hh.next;
	assert_note(note, 9, "");
	assert_null(note->hh.next);
	notes_release(&notes);
	assert_true(notes_is_empty(&notes));
}

static void test_same_name_elsewhere(void **state)
{
	struct notes notes = NOTES_INIT;

	(void)state;
	notes_add_entry(&notes, 7, SLICE_STR("x"));
	notes_add_entry(&notes, 8, SLICE_STR("x"));
	assert_int_equal(HASH_COUNT(notes.table), 4);
	notes_release(&notes);
}

static void test_applied(void **state)
{
	struct notes notes = NOTES_INIT, taken;

	(void)state;
	notes_add_applied(&notes, 0);
	assert_false(notes_is_empty(&notes));
	notes_add_applied(&notes, 12);
	notes_add_applied(&notes, 11);
	notes_add_inode(&notes, 3);
	taken = notes_take(&notes);
	assert_true(notes_is_empty(&notes));
	assert_true(taken.has_applied);
	assert_int_equal(taken.applied, 12);
	assert_note(taken.table, 3, "");
	notes_release(&taken);
}

static void test_name_lengths(void **state)
{
	struct notes notes = NOTES_INIT;
	uint8_t name[NAME_BYTES_MAX + 1];

	(void)state;
	memset(name, 'n', sizeof(name));
	notes_add_entry(&notes, 1, SLICE(name, NAME_BYTES_MAX));
	assert_int_equal(notes.table->name.len, NAME_BYTES_MAX);
	notes_release(&notes);
	/* No such name exists; its directory is told of all the same. */
	notes_add_entry(&notes, 1, SLICE(name, NAME_BYTES_MAX + 1));
	assert_note(notes.table, 1, "");
	assert_null(notes.table->hh.next);
	notes_release(&notes);
}

static void test_overflow(void **state)
{
	struct notes notes = NOTES_INIT, taken;
	uint64_t ino;

	(void)state;
	for (ino = 1; ino <= NOTES_MAX; ino++)
		notes_add_inode(&notes, ino);
	assert_false(notes.everything);
	assert_int_equal(HASH_COUNT(notes.table), NOTES_MAX);
	notes_add_inode(&notes, 1);
	assert_false(notes.everything);
	notes_add_entry(&notes, 1, SLICE_STR("one more"));
	assert_true(notes.everything);
	assert_null(notes.table);
	notes_add_inode(&notes, 5);
	assert_null(notes.table);
	notes_add_applied(&notes, 77);
	taken = notes_take(&notes);
	assert_true(taken.everything);
	assert_int_equal(taken.applied, 77);
	notes_release(&taken);
	/* Afterwards it fills again. */
	notes_add_inode(&notes, 5);
	assert_note(notes.table, 5, "");
	notes_release(&notes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_once),
		cmocka_unit_test(test_same_name_elsewhere),
		cmocka_unit_test(test_applied),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
