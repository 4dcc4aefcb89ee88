/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts that people write or carry: u8 which, then the text.
 *
 *	0 policy	1 acks		2 token		3 invitation code
 *	4 FOLDER.conf	5 address	6 list of addresses
 *	7 hex		8 base32	9 token, made of the bytes here
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/id.h"
#include "fs/tree/acks.h"
#include "fs/tree/policy.h"
#include "replication/core/members.h"
#include "replication/net/address.h"
#include "replication/net/handler_conf.h"
#include "replication/net/invite.h"
#include "replication/net/token.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

static void text_policy(struct slice s)
{
	struct policy p;

	if (policy_parse(s, &p))
		return;
	kin_assert(p.rule >= POLICY_KEEP && p.rule <= POLICY_HOOK);
	kin_assert(p.label_count <= POLICY_LABELS_MAX);
	kin_assert((p.rule == POLICY_NODE) == (p.label_count > 0));
	for (size_t i = 0; i < p.label_count; i++)
		kin_assert(label_is_valid(SLICE_STR(p.labels[i])));
	kin_assert(p.rule != POLICY_HOOK ||
		   hook_name_valid(SLICE_STR(p.hook)));
	kin_assert(p.rule != POLICY_HOOK || !p.hook_node[0] ||
		   label_is_valid(SLICE_STR(p.hook_node)));
}

static void text_acks(struct slice s)
{
	struct acks a;

	if (acks_parse(s, &a))
		return;
	kin_assert(a.label_count <= ACKS_LABELS_MAX);
	kin_assert(!a.count || !a.label_count);
	kin_assert(a.timeout_ms <= 1000u * ACKS_TIMEOUT_S_MAX);
	for (size_t i = 0; i < a.label_count; i++)
		kin_assert(label_is_valid(SLICE_STR(a.labels[i])));
}

static const struct volid volume = { { 1, 2, 3 } };

static void text_token(struct slice s)
{
	cleanup(buf_release) struct buf again = BUF_INIT;
	struct know k = KNOW_INIT;
	int r = token_decode(s, volume, &k);

	kin_assert(!r || r == -EBADMSG || r == -EPROTONOSUPPORT || r == -EXDEV);
	if (!r) {
		fuzz_must(token_encode(volume, &k, &again));
		kin_assert(slice_equal(buf_slice(&again), s));
	}
	know_release(&k);
}

/* A token of a vector that the bytes are. */
static void text_token_of(struct slice s)
{
	cleanup(buf_release) struct buf text = BUF_INIT;
	struct know k = KNOW_INIT, back = KNOW_INIT;
	struct reader r = READER(s.data, s.len);

	if (!know_decode(&r, &k)) {
		fuzz_must(token_encode(volume, &k, &text));
		if (text.len <= TOKEN_TEXT_BYTES_MAX) {
			fuzz_must(token_decode(buf_slice(&text), volume,
					       &back));
			kin_assert(know_equal(&k, &back));
			text_token(buf_slice(&text));
		}
		/* One letter less is a token no more. */
		kin_assert(token_decode(SLICE(text.data, text.len - 1), volume,
					&back) < 0);
	}
	know_release(&k);
	know_release(&back);
}

static void text_invite(const char *text)
{
	cleanup(buf_release) struct buf again = BUF_INIT, third = BUF_INIT;
	struct invite_code code, back;
	int r = invite_decode(text, &code);

	kin_assert(!r || r == -EBADMSG || r == -EPROTONOSUPPORT ||
		   r == -E2BIG || r == -EINVAL);
	if (r)
		return;
	kin_assert(code.address_count <= INVITE_ADDRESSES_MAX);
	for (size_t i = 0; i < code.address_count; i++)
		kin_assert(memchr(code.addresses[i], 0, 64));
	fuzz_must(invite_encode(&code, &again));
	buf_put_u8(&again, 0);
	fuzz_must(invite_decode((const char *)again.data, &back));
	fuzz_must(invite_encode(&back, &third));
	buf_put_u8(&third, 0);
	kin_assert(slice_equal(buf_slice(&again), buf_slice(&third)));
}

static void text_conf(struct slice s)
{
	static const char *path;
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf c;
	struct hook_limits limits = { .time_ms = 1 };
	FILE *f;
	int r;

	if (!path)
		path = fuzz_path(fuzz_dir("text"), "hooks.conf");
	f = fopen(path, "w");
	kin_assert(f && fwrite(s.data, 1, s.len, f) == s.len && !fclose(f));
	r = handler_conf_read(path, &why, &c);
	kin_assert(!r || r == -EINVAL || r == -E2BIG);
	kin_assert(!r == !why.len);
	if (r)
		return;
	kin_assert(c.count <= HANDLER_RULES_MAX);
	kin_assert(c.limit_count <= HANDLER_RULES_MAX);
	for (size_t i = 0; i < c.count; i++)
		kin_assert(hook_name_valid(SLICE_STR(c.rules[i].hook)));
	(void)handler_conf_find(&c, HANDLER_CONFLICT, "a/b.txt");
	(void)handler_conf_find(&c, HANDLER_OPEN, "b");
	handler_conf_limits(&c, "merge", &limits);
	kin_assert(limits.time_ms && limits.time_ms <= 1000u * LIMIT_TIME_S_MAX);
	handler_conf_release(&c);
}

static void text_address(const char *text)
{
	struct address a, b;
	char one[ADDRESS_TEXT_BYTES], two[ADDRESS_TEXT_BYTES];

	if (address_parse(text, ADDRESS_NUMERIC, &a))
		return;
	address_format(&a, one);
	fuzz_must(address_parse(one, ADDRESS_NUMERIC, &b));
	address_format(&b, two);
	kin_assert(!strcmp(one, two));
}

static void text_addresses(struct slice s)
{
	char one[ADDRESS_TEXT_BYTES];
	size_t n = 0;

	(void)addresses_are_valid(s);
	for (struct slice list = s; address_next(&list, one); n++)
		kin_assert(*one && !strchr(one, ' '));
	kin_assert(n <= s.len);
}

static void text_hex(const char *text)
{
	uint8_t bytes[64];
	char again[129];
	size_t len = strlen(text) / 2;

	if (len > sizeof(bytes) || hex_decode(text, bytes, len))
		return;
	hex_encode(bytes, len, again);
	kin_assert(!strcasecmp(again, text));
}

static void text_base32(const char *text)
{
	uint8_t bytes[64], back[64];
	char again[128];
	int n = base32_decode(text, bytes, sizeof(bytes));

	if (n < 0)
		return;
	kin_assert((size_t)n <= sizeof(bytes));
	base32_encode(bytes, (size_t)n, again);
	kin_assert(base32_decode(again, back, sizeof(back)) == n);
	kin_assert(!memcmp(bytes, back, (size_t)n));
}

void fuzz_text(struct slice in)
{
	struct slice s = SLICE(in.data + 1, in.len ? in.len - 1 : 0);
	autofree char *text = strndup((const char *)s.data, s.len);

	if (!in.len)
		return;
	switch (in.data[0]) {
	case 0:
		text_policy(s);
		break;
	case 1:
		text_acks(s);
		break;
	case 2:
		text_token(s);
		break;
	case 3:
		text_invite(text);
		break;
	case 4:
		text_conf(s);
		break;
	case 5:
		text_address(text);
		break;
	case 6:
		text_addresses(s);
		break;
	case 7:
		text_hex(text);
		break;
	case 8:
		text_base32(text);
		break;
	case 9:
		text_token_of(s);
		break;
	}
}
