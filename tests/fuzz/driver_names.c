/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that are pure view: u8 length of the tag, u64 hlc, string label, the
 * name. What is made of a valid name is one itself, not longer than may be,
 * with the same ending; what is guessed from it is the plain name, unless it
 * had to be cut. And guessing from any name gives none that is too long.
 */
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/tree_internal.h"
#include "tests/fuzz/fuzz.h"

static void guess(struct slice name)
{
	uint8_t plain[NAME_BYTES_MAX];
	size_t len;

	if (conflict_name_guess(name, plain, &len))
		kin_assert(len < name.len);
}

static bool is_utf8(struct slice s)
{
	for (size_t i = 0; i < s.len;) {
		uint8_t c = s.data[i++];
		int more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;

		if ((c >= 0x80 && c < 0xc0) || c >= 0xf8)
			return false;
		for (; more; more--)
			if (i >= s.len || (s.data[i++] & 0xc0) != 0x80)
				return false;
	}
	return true;
}

void fuzz_names(struct slice in)
{
	struct reader r = READER(in.data, in.len);
	uint8_t made[NAME_BYTES_MAX], plain[NAME_BYTES_MAX];
	size_t tag_len = reader_u8(&r), len, plain_len, middle;
	uint64_t hlc = reader_u64(&r);
	struct slice label = reader_string(&r, LABEL_BYTES_MAX);
	struct slice name = reader_bytes(&r, reader_left(&r));
	struct hash tag;

	if (r.failed)
		return;
	guess(name);
	(void)name_hash(name);
	if (!name_is_valid(name) || !label_is_valid(label))
		return;
	hash_bytes(in.data, in.len, &tag);
	tag_len = CONFLICT_TAG_MIN +
		  tag_len % (CONFLICT_TAG_MAX - CONFLICT_TAG_MIN + 1);
	len = conflict_name(name, label, hlc, &tag, tag_len, made);
	kin_assert(len <= NAME_BYTES_MAX && len > tag_len);
	kin_assert(name_is_valid(SLICE(made, len)));
	if (is_utf8(name))
		kin_assert(is_utf8(SLICE(made, len)));
	/* " (conflict " LABEL " YYYY-MM-DD " TAG ")" */
	middle = 11 + label.len + 12 + tag_len + 1;
	if (name.len + middle > NAME_BYTES_MAX)
		return;
	/* (it is only a hint, and a name may have the words in its ending) */
	if (memmem(name.data, name.len, " (conflict ", 11))
		return;
	kin_assert(len == name.len + middle);
	kin_assert(conflict_name_guess(SLICE(made, len), plain, &plain_len));
	kin_assert(slice_equal(SLICE(plain, plain_len), name));
}
