/* SPDX-License-Identifier: Apache-2.0 */
/* The inviter's table: once, 24 hours, five failures, after a restart. */
#include "tests/unit/net/net_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/net/invites.h"
#include "replication/net/meta.h"

#define NOW 1700000000000ull

struct desk {
	struct net_dir dir;
	struct store *store;
};

static void desk_open(struct desk *d)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct store_options o = { .path = net_dir_file(&d->dir, "store"),
				   .map_bytes = 16 << 20 };

	assert_int_equal(store_open(&o, &why, &d->store), 0);
}

static void desk_init(struct desk *d)
{
	net_dir_init(&d->dir);
	desk_open(d);
}

/* As kill -9 and a restart: what was answered before must hold. */
static void desk_crash(struct desk *d)
{
	store_abandon(d->store);
	desk_open(d);
}

static void desk_release(struct desk *d)
{
	assert_int_equal(store_close(d->store), 0);
	net_dir_release(&d->dir);
}

struct guest {
	struct join_scene scene;
	struct join_request req;
};

static struct guest guest_of(const uint8_t secret[INVITE_SECRET_BYTES],
			     uint8_t who)
{
	struct guest g = { .req = { .version = JOIN_VERSION,
				    .label = "bob" } };
	struct hash key;

	memset(g.scene.exported, who + 1, sizeof(g.scene.exported));
	memset(g.scene.joiner.b, who, sizeof(g.scene.joiner.b));
	invite_id_of(secret, &g.req.id);
	invite_key_of(secret, &key);
	join_prove(&key, &g.scene, &g.req.proof);
	return g;
}

static int use(struct desk *d, uint64_t now_ms, const struct guest *g)
{
	return invites_use(d->store, now_ms, &g->req, &g->scene);
}

static void assert_state(struct desk *d, uint64_t now_ms, const char *state)
{
	struct invite *all = calloc(INVITES_MAX, sizeof(*all));

	assert_int_equal(invites_list(d->store, all), 1);
	assert_string_equal(invite_state_name(&all[0], now_ms), state);
	free(all);
}

static void test_used_once(void **state)
{
	uint8_t secret[INVITE_SECRET_BYTES];
	struct guest bob, eve;
	struct invite i;
	struct desk d;

	(void)state;
	desk_init(&d);
	assert_int_equal(invites_create(d.store, NOW, secret, &i), 0);
	assert_int_equal(i.expires_ms, NOW + 24 * 3600 * 1000);
	desk_crash(&d);
	assert_state(&d, NOW, "open");
	bob = guest_of(secret, 1);
	eve = guest_of(secret, 2);
	assert_int_equal(use(&d, NOW + 5, &bob), 0);
	desk_crash(&d);
	assert_state(&d, NOW, "used");
	assert_int_equal(use(&d, NOW + 6, &eve), REFUSED_USED);
	/* Bob's answer was lost: he, and only he, may ask again. */
	bob = guest_of(secret, 1);
	assert_int_equal(use(&d, NOW + 7, &bob), 0);
	assert_int_equal(use(&d, NOW + 8, &eve), REFUSED_USED);
	desk_release(&d);
}

static void test_expired(void **state)
{
	uint8_t secret[INVITE_SECRET_BYTES];
	struct guest bob;
	struct invite i;
	struct desk d;

	(void)state;
	desk_init(&d);
	assert_int_equal(invites_create(d.store, NOW, secret, &i), 0);
	bob = guest_of(secret, 1);
	assert_int_equal(use(&d, i.expires_ms, &bob), REFUSED_EXPIRED);
	assert_state(&d, i.expires_ms, "expired");
	assert_int_equal(use(&d, i.expires_ms - 1, &bob), 0);
	desk_release(&d);
}

static void test_revoked(void **state)
{
	uint8_t secret[2][INVITE_SECRET_BYTES];
	struct guest bob;
	struct invite i;
	struct desk d;
	char id[2 * INVITE_ID_BYTES + 1];

	(void)state;
	desk_init(&d);
	assert_int_equal(invites_create(d.store, NOW, secret[0], &i), 0);
	hex_encode(i.id.b, sizeof(i.id.b), id);
	assert_int_equal(invites_create(d.store, NOW, secret[1], &i), 0);
	assert_int_equal(invites_revoke(d.store, NOW, "00"), 0);
	assert_int_equal(invites_revoke(d.store, NOW, id), 1);
	assert_int_equal(invites_revoke(d.store, NOW, id), 0);
	bob = guest_of(secret[0], 1);
	assert_int_equal(use(&d, NOW, &bob), REFUSED_REVOKED);
	assert_int_equal(invites_revoke(d.store, NOW, NULL), 1);
	bob = guest_of(secret[1], 1);
	assert_int_equal(use(&d, NOW, &bob), REFUSED_REVOKED);
	desk_release(&d);
}

static void test_failures(void **state)
{
	uint8_t secret[INVITE_SECRET_BYTES];
	struct guest bob, eve;
	struct invite i;
	struct desk d;

	(void)state;
	desk_init(&d);
	assert_int_equal(invites_create(d.store, NOW, secret, &i), 0);
	bob = guest_of(secret, 1);
	eve = bob;
	eve.req.proof.b[0] ^= 1;
	for (int n = 1; n < INVITE_FAILURES_MAX; n++)
		assert_int_equal(use(&d, NOW, &eve), REFUSED_UNKNOWN);
	desk_crash(&d);
	assert_state(&d, NOW, "open");
	assert_int_equal(use(&d, NOW, &eve), REFUSED_UNKNOWN);
	assert_state(&d, NOW, "failed");
	/* The wrong proof hears no more than before, the right one why. */
	assert_int_equal(use(&d, NOW, &eve), REFUSED_UNKNOWN);
	assert_int_equal(use(&d, NOW, &bob), REFUSED_FAILURES);
	desk_release(&d);
}

/* A proof is good for its connection and its two keys only. */
static void test_relayed(void **state)
{
	uint8_t secret[INVITE_SECRET_BYTES];
	struct guest g;
	struct invite i;
	struct desk d;

	(void)state;
	desk_init(&d);
	assert_int_equal(invites_create(d.store, NOW, secret, &i), 0);
	g = guest_of(secret, 1);
	g.scene.exported[31] ^= 1;
	assert_int_equal(use(&d, NOW, &g), REFUSED_UNKNOWN);
	g = guest_of(secret, 1);
	g.scene.joiner.b[0] ^= 1;
	assert_int_equal(use(&d, NOW, &g), REFUSED_UNKNOWN);
	g = guest_of(secret, 1);
	g.scene.inviter.b[0] ^= 1;
	assert_int_equal(use(&d, NOW, &g), REFUSED_UNKNOWN);
	g = guest_of(secret, 1);
	assert_int_equal(use(&d, NOW, &g), 0);
	desk_release(&d);
}

static void test_foreign(void **state)
{
	uint8_t secret[INVITE_SECRET_BYTES] = { 1, 2, 3 };
	struct guest g = guest_of(secret, 1);
	struct desk d;

	(void)state;
	desk_init(&d);
	assert_int_equal(use(&d, NOW, &g), REFUSED_UNKNOWN);
	desk_release(&d);
}

static void test_bounds(void **state)
{
	uint8_t secret[INVITE_SECRET_BYTES];
	struct invite *all = calloc(INVITES_MAX, sizeof(*all)), i;
	uint64_t now_ms = NOW;
	struct desk d;

	(void)state;
	desk_init(&d);
	for (int n = 0; n < INVITES_OPEN_MAX; n++)
		assert_int_equal(invites_create(d.store, now_ms++, secret, &i),
				 0);
	assert_int_equal(invites_create(d.store, now_ms, secret, &i), -E2BIG);
	/* Old ones make room in the end. */
	for (int n = 0; n < 2 * INVITES_MAX; n++) {
		if (n % INVITES_OPEN_MAX == 0)
			now_ms += INVITE_LIFE_MS + 1;
		assert_int_equal(invites_create(d.store, now_ms++, secret, &i),
				 0);
	}
	assert_int_equal(invites_list(d.store, all), INVITES_MAX);
	assert_memory_equal(all[INVITES_MAX - 1].id.b, i.id.b, sizeof(i.id.b));
	desk_release(&d);
	free(all);
}

/* The secret is nowhere in the record. */
static void test_secret_not_kept(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t secret[INVITE_SECRET_BYTES];
	struct invite i;
	struct desk d;
	char key[64] = "invite/";

	(void)state;
	desk_init(&d);
	assert_int_equal(invites_create(d.store, NOW, secret, &i), 0);
	hex_encode(i.id.b, sizeof(i.id.b), key + strlen(key));
	assert_int_equal(meta_get(d.store, key, &b), 0);
	assert_null(memmem(b.data, b.len, secret, 4));
	desk_release(&d);
}

static void assert_line(FILE *f, const void *data, size_t len)
{
	char line[256] = "", hex[256];

	hex_encode(data, len, hex);
	assert_non_null(fgets(line, sizeof(line), f));
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(line, hex);
}

static void fill(uint8_t *ret, size_t len, uint8_t first)
{
	for (size_t i = 0; i < len; i++)
		ret[i] = (uint8_t)(first + i);
}

static void test_golden_proof(void **state)
{
	FILE *f = fopen(KINFS_GOLDEN_DIR "/invite-code-proof.txt", "r");
	uint8_t secret[INVITE_SECRET_BYTES];
	struct join_scene scene;
	struct hash key, proof;
	struct invite_id id;

	(void)state;
	assert_non_null(f);
	fill(secret, sizeof(secret), 0x80);
	fill(scene.exported, sizeof(scene.exported), 0);
	fill(scene.inviter.b, sizeof(scene.inviter.b), 0x20);
	fill(scene.joiner.b, sizeof(scene.joiner.b), 0x60);
	invite_id_of(secret, &id);
	invite_key_of(secret, &key);
	join_prove(&key, &scene, &proof);
	assert_line(f, id.b, sizeof(id.b));
	assert_line(f, key.b, sizeof(key.b));
	assert_line(f, proof.b, sizeof(proof.b));
	fclose(f);
}

/* ---- frames */

static void test_join_frames(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t secret[INVITE_SECRET_BYTES] = { 9 };
	struct guest g = guest_of(secret, 1);
	struct join_request back;

	(void)state;
	assert_int_equal(join_encode(&g.req, &b), 0);
	assert_true(b.len - 4 < CONN_STRANGER_FRAME_MAX);
	for (size_t len = 0; len <= b.len - 5; len++) {
		struct reader r = READER(b.data + 5, len);

		assert_int_equal(join_decode(&r, &back),
				 len < b.len - 5 ? -EBADMSG : 0);
	}
	assert_memory_equal(&back.proof, &g.req.proof, sizeof(back.proof));
	assert_string_equal(back.label, "bob");
	/* A label that could do harm elsewhere. */
	b.data[b.len - 1] = '/';
	{
		struct reader r = READER(b.data + 5, b.len - 5);

		assert_int_equal(join_decode(&r, &back), -EBADMSG);
	}
}

static void test_answer_frames(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct join_result result = { .label = "bob-2" }, back = { 0 };
	char text[JOIN_TEXT_MAX + 1];
	struct reader r;
	uint16_t code;

	(void)state;
	buf_put(&result.members, "members", 7);
	buf_put(&result.addresses, "a:1 b:2", 7);
	memset(result.secret, 0x5c, sizeof(result.secret));
	assert_int_equal(joined_encode(&result, &b), 0);
	r = READER(b.data + 5, b.len - 5);
	assert_int_equal(joined_decode(&r, &back), 0);
	assert_string_equal(back.label, "bob-2");
	assert_true(slice_equal(buf_slice(&back.members),
				SLICE_STR("members")));
	assert_memory_equal(back.secret, result.secret, sizeof(back.secret));
	join_result_release(&back);
	for (size_t len = 0; len < b.len - 5; len++) {
		back = (struct join_result){ 0 };
		r = READER(b.data + 5, len);
		assert_int_equal(joined_decode(&r, &back), -EBADMSG);
		join_result_release(&back);
	}
	join_result_release(&result);
	assert_int_equal(refused_encode(REFUSED_USED, "no\x1b[2J", &b), 0);
	r = READER(b.data + 5, b.len - 5);
	assert_int_equal(refused_decode(&r, &code, text), 0);
	assert_int_equal(code, REFUSED_USED);
	assert_string_equal(text, "no?[2J");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_used_once),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_relayed),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_secret_not_kept),
		cmocka_unit_test(test_golden_proof),
		cmocka_unit_test(test_join_frames),
		cmocka_unit_test(test_answer_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
