/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that are pure view: generated and looked up, never stored, so that
 * they cannot nest; and parsed only for a hint where to look first.
 *
 *	stem (conflict LABEL YYYY-MM-DD TAG).ext
 *
 * The extension begins at the last dot that is not the first character;
 * ".tar" before it belongs to it; one of more than 32 bytes is no extension.
 * Where the whole would exceed 255 bytes the stem is cut, at the start of a
 * UTF-8 character. The tag is base32 of a hash: its length is the caller's,
 * who lengthens it until the name is free.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/tree/tree_internal.h"

#define EXTENSION_BYTES_MAX 32
#define MIDDLE " (conflict "

/* Where the extension starts; the name's length when it has none. */
static size_t stem_length(struct slice name)
{
	size_t at = name.len;

	while (at > 1 && name.data[at - 1] != '.')
		at--;
	if (at <= 1 || name.len - at + 1 > EXTENSION_BYTES_MAX)
		return name.len;
	at--; /* the dot */
	if (!at || at == name.len - 1)
		return name.len;
	if (at > 4 && !memcmp(name.data + at - 4, ".tar", 4))
		at -= 4;
	return at;
}

/* The longest prefix of at most max bytes that ends no character early. */
static size_t cut_utf8(struct slice s, size_t max)
{
	size_t n = max;

	if (s.len <= max)
		return s.len;
	/* Not more than three steps: what is no UTF-8 is cut anywhere. */
	for (int i = 0; i < 3 && n && (s.data[n] & 0xc0) == 0x80; i++)
		n--;
	return (s.data[n] & 0xc0) == 0x80 ? max : n;
}

size_t conflict_name(struct slice name,
		     struct slice label, uint64_t hlc, const struct hash *tag,
		     size_t tag_len, uint8_t ret[NAME_BYTES_MAX])
{
	char middle[LABEL_BYTES_MAX + CONFLICT_TAG_MAX + 64];
	char text[CONFLICT_TAG_MAX + 4];
	time_t seconds = (time_t)((hlc >> 16) / 1000);
	size_t stem = stem_length(name), ext = name.len - stem, n;
	struct tm tm;

	base32_encode(tag->b, sizeof(tag->b), text);
	gmtime_r(&seconds, &tm);
	n = (size_t)snprintf(middle, sizeof(middle),
			     MIDDLE "%.*s %04d-%02d-%02d %.*s)",
			     (int)label.len, (const char *)label.data,
			     (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
			     tm.tm_mday, (int)tag_len, text);
	if (stem + n + ext > NAME_BYTES_MAX)
		stem = cut_utf8(SLICE(name.data, stem),
				NAME_BYTES_MAX - n - ext);
	memcpy(ret, name.data, stem);
	memcpy(ret + stem, middle, n);
	memcpy(ret + stem + n, name.data + name.len - ext, ext);
	return stem + n + ext;
}

bool conflict_name_guess(struct slice name, uint8_t ret[NAME_BYTES_MAX],
			 size_t *ret_len)
{
	const size_t middle = strlen(MIDDLE);
	size_t at = name.len;
	const uint8_t *end;

	if (name.len <= middle || name.len > NAME_BYTES_MAX)
		return false;
	for (at = name.len - middle; memcmp(name.data + at, MIDDLE, middle);)
		if (!at--)
			return false;
	end = memchr(name.data + at, ')', name.len - at);
	end = end ? end + 1 : name.data + name.len;
	memcpy(ret, name.data, at);
	*ret_len = (size_t)(name.data + name.len - end);
	memcpy(ret + at, end, *ret_len);
	*ret_len += at;
	return true;
}
