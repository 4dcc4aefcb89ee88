/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/base/id.h"

#include <errno.h>
#include <string.h>

bool objid_equal(struct objid a, struct objid b)
{
	return !memcmp(a.b, b.b, sizeof(a.b));
}

int objid_compare(struct objid a, struct objid b)
{
	return memcmp(a.b, b.b, sizeof(a.b));
}

bool objid_is_root(struct objid id)
{
	return objid_equal(id, ROOT_ID);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

int hash_compare(const struct hash *a, const struct hash *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool volid_equal(struct volid a, struct volid b)
{
	return !memcmp(a.b, b.b, sizeof(a.b));
}

bool device_equal(const struct device *a, const struct device *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

int device_compare(const struct device *a, const struct device *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool dot_equal(struct dot a, struct dot b)
{
	return a.origin == b.origin && a.seq == b.seq;
}

int dot_compare(struct dot a, struct dot b)
{
	if (a.origin != b.origin)
		return a.origin < b.origin ? -1 : 1;
	return (a.seq > b.seq) - (a.seq < b.seq);
}

bool dot_is_none(struct dot d)
{
	return !d.origin && !d.seq;
}

void hex_encode(const void *data, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*ret++ = digits[p[i] >> 4];
		*ret++ = digits[p[i] & 15];
	}
	*ret = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *text, void *ret, size_t len)
{
	uint8_t *out = ret;

	if (strlen(text) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(text[2 * i]);
		int lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";

void base32_encode(const void *data, size_t len, char *ret)
{
	const uint8_t *p = data;
	uint32_t bits = 0;
	int n = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | p[i];
		n += 8;
		while (n >= 5) {
			*ret++ = base32_digits[bits >> (n - 5) & 31];
			n -= 5;
		}
	}
	if (n)
		*ret++ = base32_digits[bits << (5 - n) & 31];
	*ret = '\0';
}

int base32_decode(const char *text, void *ret, size_t max)
{
	uint8_t *out = ret;
	uint32_t bits = 0;
	int n = 0;
	size_t len = 0;

	for (; *text; text++) {
		char c = *text >= 'A' && *text <= 'Z' ?
				 (char)(*text - 'A' + 'a') : *text;
		const char *at = strchr(base32_digits, c);

		if (!at)
			return -EINVAL;
		bits = bits << 5 | (uint32_t)(at - base32_digits);
		n += 5;
		if (n < 8)
			continue;
		if (len == max)
			return -E2BIG;
		out[len++] = (uint8_t)(bits >> (n - 8));
		n -= 8;
	}
	if (n >= 5 || (bits & ((1u << n) - 1)))
		return -EINVAL; /* a digit too many, or stray bits */
	return (int)len;
}
