/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of judgement in invites_use() says what a stranger can learn:
 * only who proves to know the secret hears more than "unknown". A wrong
 * proof counts against an open invitation, and its fifth ends it.
 */
#include "replication/net/invites.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/net/meta.h"
#include "replication/net/sys.h"

#define PREFIX "invite/"
#define RECORD_VERSION 1

struct invite_name {
	char s[sizeof(PREFIX) + 2 * INVITE_ID_BYTES];
};

static struct invite_name name_of(struct invite_id id)
{
	struct invite_name n = { PREFIX };

	hex_encode(id.b, sizeof(id.b), n.s + strlen(PREFIX));
	return n;
}

static int invite_put(struct store *s, const struct invite *i)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r;

	buf_put_u8(&b, RECORD_VERSION);
	buf_put_u8(&b, (uint8_t)i->state);
	buf_put_u8(&b, i->failures);
	buf_put_u64(&b, i->created_ms);
	buf_put_u64(&b, i->expires_ms);
	buf_put(&b, i->key.b, sizeof(i->key.b));
	buf_put(&b, i->used_by.b, sizeof(i->used_by.b));
	r = buf_error(&b);
	return r ? r : meta_put(s, name_of(i->id).s, buf_slice(&b));
}

static int invite_decode_record(struct slice value, struct invite *ret)
{
	struct reader r = READER(value.data, value.len);

	if (reader_u8(&r) != RECORD_VERSION)
		return -EUCLEAN;
	ret->state = reader_u8(&r);
	ret->failures = reader_u8(&r);
	ret->created_ms = reader_u64(&r);
	ret->expires_ms = reader_u64(&r);
	reader_copy(&r, ret->key.b, sizeof(ret->key.b));
	reader_copy(&r, ret->used_by.b, sizeof(ret->used_by.b));
	if (reader_done(&r) || ret->state < INVITE_OPEN ||
	    ret->state > INVITE_FAILED)
		return -EUCLEAN;
	return 0;
}

static int invite_get(struct store *s, struct invite_id id,
		      struct invite *ret)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r = meta_get(s, name_of(id).s, &b);

	if (r)
		return r;
	ret->id = id;
	return invite_decode_record(buf_slice(&b), ret);
}

struct listing {
	struct invite *at;
	size_t count;
};

static int list_one(void *arg, struct slice key, struct slice value)
{
	struct listing *l = arg;
	char hex[2 * INVITE_ID_BYTES + 1] = "";
	struct invite *i = &l->at[l->count];

	if (l->count == INVITES_MAX)
		return -EUCLEAN;
	if (key.len != strlen(PREFIX) + 2 * INVITE_ID_BYTES)
		return -EUCLEAN;
	memcpy(hex, key.data + strlen(PREFIX), 2 * INVITE_ID_BYTES);
	if (hex_decode(hex, i->id.b, sizeof(i->id.b)) ||
	    invite_decode_record(value, i))
		return -EUCLEAN;
	l->count++;
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct invite *x = a, *y = b;

	return (x->created_ms > y->created_ms) -
	       (x->created_ms < y->created_ms);
}

int64_t invites_list(struct store *s, struct invite ret[INVITES_MAX])
{
	struct listing l = { .at = ret };
	int r = meta_each(s, PREFIX, list_one, &l);

	if (r)
		return r;
	qsort(ret, l.count, sizeof(*ret), by_age);
	return (int64_t)l.count;
}

static bool is_open(const struct invite *i, uint64_t now_ms)
{
	return i->state == INVITE_OPEN && now_ms < i->expires_ms;
}

const char *invite_state_name(const struct invite *i, uint64_t now_ms)
{
	switch (i->state) {
	case INVITE_OPEN:
		return is_open(i, now_ms) ? "open" : "expired";
	case INVITE_USED:
		return "used";
	case INVITE_REVOKED:
		return "revoked";
	case INVITE_FAILED:
		return "failed";
	}
	return "unknown";
}

/* Checks the bound of open ones and gives up the oldest that is not. */
static int make_room(struct store *s, uint64_t now_ms)
{
	autofree struct invite *all = calloc(INVITES_MAX, sizeof(*all));
	size_t open = 0;
	int64_t n;

	if (!all)
		return -ENOMEM;
	n = invites_list(s, all);
	if (n < 0)
		return (int)n;
	for (int64_t i = 0; i < n; i++)
		open += is_open(&all[i], now_ms);
	if (open >= INVITES_OPEN_MAX)
		return -E2BIG;
	for (int64_t i = 0; n == INVITES_MAX && i < n; i++)
		if (!is_open(&all[i], now_ms))
			return meta_delete(s, name_of(all[i].id).s);
	return 0;
}

int invites_create(struct store *s, uint64_t now_ms,
		   uint8_t ret_secret[INVITE_SECRET_BYTES], struct invite *ret)
{
	struct invite i = {
		.state = INVITE_OPEN,
		.created_ms = now_ms,
		.expires_ms = now_ms + INVITE_LIFE_MS,
	}, other;
	uint8_t secret[INVITE_SECRET_BYTES];
	int r = make_room(s, now_ms);

	if (r)
		return r;
	/* Ids are short: draw again in the unlikely case. */
	do {
		sys_random(secret, sizeof(secret));
		invite_id_of(secret, &i.id);
		r = invite_get(s, i.id, &other);
	} while (!r);
	if (r != -ENOENT)
		return r;
	invite_key_of(secret, &i.key);
	r = invite_put(s, &i);
	if (r)
		return r;
	memcpy(ret_secret, secret, sizeof(secret));
	*ret = i;
	return 0;
}

int64_t invites_revoke(struct store *s, uint64_t now_ms, const char *id)
{
	autofree struct invite *all = calloc(INVITES_MAX, sizeof(*all));
	int64_t n, revoked = 0;

	if (!all)
		return -ENOMEM;
	n = invites_list(s, all);
	for (int64_t i = 0; i < n; i++) {
		char hex[2 * INVITE_ID_BYTES + 1];
		int r;

		hex_encode(all[i].id.b, sizeof(all[i].id.b), hex);
		if (!is_open(&all[i], now_ms) || (id && strcasecmp(id, hex)))
			continue;
		all[i].state = INVITE_REVOKED;
		r = invite_put(s, &all[i]);
		if (r)
			return r;
		revoked++;
	}
	return n < 0 ? n : revoked;
}

static int count_failure(struct store *s, struct invite *i, uint64_t now_ms)
{
	int r;

	if (!is_open(i, now_ms))
		return REFUSED_UNKNOWN;
	if (++i->failures >= INVITE_FAILURES_MAX)
		i->state = INVITE_FAILED;
	r = invite_put(s, i);
	return r ? r : REFUSED_UNKNOWN;
}

int invites_use(struct store *s, uint64_t now_ms,
		const struct join_request *req, const struct join_scene *scene)
{
	struct invite i = { 0 };
	int r = invite_get(s, req->id, &i);

	if (r)
		return r == -ENOENT ? REFUSED_UNKNOWN : r;
	if (!join_proof_is(&i.key, scene, &req->proof))
		return count_failure(s, &i, now_ms);
	switch (i.state) {
	case INVITE_USED:
		return device_equal(&i.used_by, &scene->joiner) ? 0 :
								  REFUSED_USED;
	case INVITE_REVOKED:
		return REFUSED_REVOKED;
	case INVITE_FAILED:
		return REFUSED_FAILURES;
	case INVITE_OPEN:
		break;
	}
	if (!is_open(&i, now_ms))
		return REFUSED_EXPIRED;
	i.state = INVITE_USED;
	i.used_by = scene->joiner;
	return invite_put(s, &i);
}
