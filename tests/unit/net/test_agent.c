/* SPDX-License-Identifier: Apache-2.0 */
/* Whole agents over loopback: joining, linking, waiting, pausing, ending. */
#include "tests/unit/net/node_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replication/core/wire.h"
#include "replication/net/agent_internal.h"
#include "replication/net/invites.h"
#include "replication/net/sys.h"

#define LOOPBACK "127.0.0.1:0"

static void pair_init(struct node *alice, struct node *bob)
{
	struct invite_code code;

	node_init(alice, "alice");
	node_init(bob, "bob");
	node_open(alice, NULL);
	node_start(alice, LOOPBACK);
	code = node_invite(alice);
	node_join(bob, &code);
	node_start(bob, LOOPBACK);
}

static void pair_release(struct node *alice, struct node *bob)
{
	node_release(bob);
	node_release(alice);
}

/* ---- linking */

static void test_two_converge(void **state)
{
	struct node alice, bob;

	(void)state;
	pair_init(&alice, &bob);
	node_write(&alice, "a", "from alice");
	node_write(&bob, "b", "from bob");
	assert_int_equal(node_wait(&alice, 30), 0);
	assert_true(node_has(&alice, "b", "from bob"));
	assert_true(node_has(&bob, "a", "from alice"));
	assert_int_equal(node_wait(&bob, 30), 0);
	pair_release(&alice, &bob);
}

static void test_status(void **state)
{
	struct node alice, bob;
	const json_t *peer, *node;
	json_t *status;

	(void)state;
	pair_init(&alice, &bob);
	node_await_links(&alice, 1);
	assert_int_equal(node_wait(&alice, 30), 0);
	status = node_command(&alice, "status");
	assert_int_equal(strlen(json_string_value(
		json_object_get(status, "volume"))), 32);
	assert_true(json_is_false(json_object_get(status, "paused")));
	node = json_object_get(status, "node");
	assert_string_equal(json_string_value(json_object_get(node, "label")),
			    "alice");
	assert_int_equal(strlen(json_string_value(
		json_object_get(node, "id"))), 16);
	assert_int_equal(json_integer_value(
		json_object_get(status, "conflicts")), 0);
	assert_int_equal(json_array_size(json_object_get(status, "peers")), 1);
	peer = json_array_get(json_object_get(status, "peers"), 0);
	assert_string_equal(json_string_value(json_object_get(peer, "label")),
			    "bob");
	assert_int_equal(json_integer_value(json_object_get(
		json_object_get(peer, "behind"), "changes")), 0);
	assert_int_equal(json_integer_value(json_object_get(
		json_object_get(peer, "ahead"), "bytes")), 0);
	json_decref(status);
	pair_release(&alice, &bob);
}

/* Both know each other's address and call at once, many times. */
static void test_crossing_calls(void **state)
{
	struct node alice, bob;

	(void)state;
	pair_init(&alice, &bob);
	assert_int_equal(node_wait(&alice, 30), 0);
	for (int i = 0; i < 5; i++) {
		char text[16];

		node_stop(&alice);
		node_stop(&bob);
		node_start(&alice, NULL);
		node_start(&bob, NULL);
		node_await_links(&alice, 1);
		node_await_links(&bob, 1);
		snprintf(text, sizeof(text), "round %d", i);
		node_write(&bob, "file", text);
		assert_int_equal(node_wait(&alice, 30), 0);
		assert_true(node_has(&alice, "file", text));
	}
	pair_release(&alice, &bob);
}

static uint64_t cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Two that have nothing to say to each other do next to nothing. */
static void test_quiet_when_idle(void **state)
{
	const struct timespec second = { .tv_sec = 1 };
	struct node alice, bob;
	uint64_t before_ms;

	(void)state;
	pair_init(&alice, &bob);
	node_write(&alice, "a", "x");
	assert_int_equal(node_wait(&alice, 30), 0);
	assert_int_equal(node_wait(&bob, 30), 0);
	nanosleep(&second, NULL);
	before_ms = cpu_ms();
	nanosleep(&second, NULL);
	assert_in_range(cpu_ms() - before_ms, 0, 100);
	pair_release(&alice, &bob);
}

/* A few files, some of many chunks: through queues that fill up. */
static void test_much_data(void **state)
{
	size_t len = 24 << 20;
	char *text = malloc(len + 1);
	uint64_t x = 88172645463325252ull;
	struct node alice, bob;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		text[i] = (char)('a' + x % 26);
	}
	text[len] = '\0';
	pair_init(&alice, &bob);
	node_write(&alice, "large", text);
	node_write(&bob, "other", text + (4 << 20));
	assert_int_equal(node_wait(&alice, 60), 0);
	assert_true(node_has(&bob, "large", text));
	assert_true(node_has(&alice, "other", text + (4 << 20)));
	pair_release(&alice, &bob);
	free(text);
}

/* Three in a chain: what alice writes reaches carol through bob. */
static void test_chain(void **state)
{
	static const char *const only_bob[] = { "bob", NULL };
	struct node alice, bob, carol;
	struct invite_code code;

	(void)state;
	pair_init(&alice, &bob);
	node_init(&carol, "carol");
	code = node_invite(&bob);
	node_join(&carol, &code);
	node_stop(&alice);
	alice.only_peers = only_bob;
	carol.only_peers = only_bob;
	node_start(&alice, NULL);
	node_start(&carol, LOOPBACK);
	node_await_links(&bob, 2);
	node_await_links(&alice, 1);
	node_await_links(&carol, 1);
	node_write(&alice, "a", "through bob");
	assert_int_equal(node_wait(&alice, 30), 0);
	assert_true(node_has(&carol, "a", "through bob"));
	node_release(&carol);
	pair_release(&alice, &bob);
}

/* ---- joining */

static int try_join(struct identity *id, const struct invite_code *code)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct join_result result;
	int r = invite_join(code, id, "eve", &why, &result);

	if (r)
		assert_true(why.len > 0);
	else
		join_result_release(&result);
	return r;
}

static void test_codes(void **state)
{
	struct identity eve, mallory;
	struct invite_code code, bad;
	struct node alice;
	json_t *answer;

	(void)state;
	net_identity_init(&eve);
	net_identity_init(&mallory);
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	code = node_invite(&alice);
	bad = code;
	bad.secret[0] ^= 1;		/* not made here */
	assert_int_equal(try_join(&eve, &bad), -ENOKEY);
	bad = code;
	bad.volume.b[0] ^= 1;
	assert_int_equal(try_join(&eve, &bad), -ENOKEY);
	bad = code;
	bad.key_hash.b[0] ^= 1;
	assert_int_equal(try_join(&eve, &bad), -EKEYREJECTED);
	bad = code;
	bad.address_count = 1;
	strcpy(bad.addresses[0], "127.0.0.1:1");
	assert_int_equal(try_join(&eve, &bad), -EHOSTUNREACH);
	bad.address_count = 0;
	assert_int_equal(try_join(&eve, &bad), -EHOSTUNREACH);
	/* It is still good, for one device, whose answer may get lost. */
	assert_int_equal(try_join(&eve, &code), 0);
	assert_int_equal(try_join(&eve, &code), 0);
	assert_int_equal(try_join(&mallory, &code), -EKEYREVOKED);
	code = node_invite(&alice);
	answer = node_ask(&alice, json_pack("{s:s, s:s}", "cmd", "revoke",
					    "id", "all"));
	assert_int_equal(json_integer_value(
		json_object_get(answer, "revoked")), 1);
	json_decref(answer);
	assert_int_equal(try_join(&mallory, &code), -EKEYREVOKED);
	answer = node_command(&alice, "invites");
	assert_int_equal(json_array_size(json_object_get(answer, "invites")),
			 2);
	json_decref(answer);
	node_release(&alice);
	identity_close(&eve);
	identity_close(&mallory);
}

/* The record's date is moved, instead of the clock. */
static void test_expired_code(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct identity eve;
	struct invite_code code;
	struct invite_id id;
	struct node alice;
	char key[64] = "invite/";

	(void)state;
	net_identity_init(&eve);
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	code = node_invite(&alice);
	invite_id_of(code.secret, &id);
	hex_encode(id.b, sizeof(id.b), key + strlen(key));
	assert_int_equal(meta_get(alice.store, key, &b), 0);
	put_le64(b.data + 11, sys_wall_ms() - 1);
	assert_int_equal(meta_put(alice.store, key, buf_slice(&b)), 0);
	assert_int_equal(try_join(&eve, &code), -EKEYEXPIRED);
	node_release(&alice);
	identity_close(&eve);
}

/* A label that is taken gets a number. */
static void test_same_label(void **state)
{
	struct node alice, other;
	struct invite_code code;

	(void)state;
	node_init(&alice, "alice");
	node_init(&other, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	code = node_invite(&alice);
	node_join(&other, &code);
	assert_string_equal(other.label, "alice-2");
	pair_release(&alice, &other);
}

/* ---- pausing */

static void test_pause(void **state)
{
	struct node alice, bob;

	(void)state;
	pair_init(&alice, &bob);
	assert_int_equal(node_wait(&alice, 30), 0);
	json_decref(node_command(&alice, "pause"));
	node_await_links(&bob, 0);
	node_write(&alice, "a", "apart");
	node_write(&bob, "b", "apart");
	assert_int_equal(node_wait(&alice, 5), 3);
	assert_int_equal(node_wait(&bob, 0.3), 3);
	/* It survives a restart. */
	node_stop(&alice);
	node_start(&alice, NULL);
	assert_int_equal(node_wait(&alice, 5), 3);
	assert_false(node_has(&alice, "b", "apart"));
	json_decref(node_command(&alice, "resume"));
	assert_int_equal(node_wait(&alice, 30), 0);
	assert_true(node_has(&alice, "b", "apart"));
	assert_true(node_has(&bob, "a", "apart"));
	pair_release(&alice, &bob);
}

/* Behind it there is nothing left to be synced. */
static void test_sync(void **state)
{
	struct store_stats before, after, again;
	struct node alice;

	(void)state;
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	for (int i = 0; i < 20; i++) {
		node_write(&alice, "a", "not synced by anybody");
		store_stats(alice.store, &before);
		json_decref(node_command(&alice, "sync"));
		store_stats(alice.store, &after);
		assert_true(after.syncs + after.commits >
			    before.syncs + before.commits);
		assert_int_equal(store_sync(alice.store), 0);
		store_stats(alice.store, &again);
		assert_int_equal(again.syncs, after.syncs);
	}
	node_release(&alice);
}

/* Nobody but me: done when it is cut and durable here. */
static void test_wait_alone(void **state)
{
	struct node alice, bob;
	json_t *answer;

	(void)state;
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	node_write(&alice, "a", "x");
	assert_int_equal(node_wait(&alice, 10), 0);
	node_release(&alice);
	pair_init(&alice, &bob);
	assert_int_equal(node_wait(&alice, 30), 0);
	node_stop(&bob);
	node_await_links(&alice, 0);
	assert_int_equal(node_wait(&alice, 0.3), 3);
	answer = node_ask(&alice, json_pack("{s:s, s:s, s:i}", "cmd", "wait",
					    "peers", "connected", "timeout",
					    10));
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	pair_release(&alice, &bob);
}

/* ---- ends and errors */

static void test_unmount(void **state)
{
	struct node alice;

	(void)state;
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	json_decref(node_command(&alice, "unmount"));
	for (int i = 0; i < 1000 && !alice.stops; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(alice.stops, 1);
	node_release(&alice);
}

static void test_bad_requests(void **state)
{
	struct node alice;
	json_t *answer;
	size_t i;
	json_t *requests = json_pack(
		"[{}, {s:s}, {s:i}, {s:s,s:s}, {s:s,s:i}, {s:s,s:s}, {s:s},"
		" {s:s,s:s}, {s:s,s:s,s:s}, {s:s,s:s}, {s:s}]",
		"cmd", "no such thing", "cmd", 5,
		"cmd", "wait", "peers", "x", "cmd", "wait", "timeout", -1,
		"cmd", "wait", "timeout", "1", "cmd", "conflicts",
		"cmd", "conflicts", "path", "no/such/file",
		"cmd", "resolve", "path", "x", "take", "main",
		"cmd", "conflicts", "path_hex", "f", "cmd", "revoke");
	json_t *request;

	(void)state;
	assert_non_null(requests);
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	json_array_foreach(requests, i, request) {
		answer = node_ask(&alice, json_incref(request));
		assert_true(json_is_false(json_object_get(answer, "ok")));
		assert_true(json_string_length(
			json_object_get(answer, "message")) > 0);
		json_decref(answer);
	}
	json_decref(requests);
	answer = node_ask(&alice, json_pack("{s:s, s:s}", "cmd", "conflicts",
					    "path", ""));
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	node_release(&alice);
}

static void test_ports(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct node alice, bob;
	char taken[ADDRESS_TEXT_BYTES];
	json_t *status;

	(void)state;
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	status = node_command(&alice, "status");
	snprintf(taken, sizeof(taken), "%s", json_string_value(
		json_object_get(status, "listen")));
	json_decref(status);
	node_init(&bob, "bob");
	node_open(&bob, NULL);
	assert_int_equal(node_try_start(&bob, taken, &why), -EADDRINUSE);
	buf_put_u8(&why, 0);
	assert_non_null(strstr((char *)why.data, taken));
	buf_reset(&why);
	assert_int_equal(node_try_start(&bob, "nonsense", &why), -EINVAL);
	buf_reset(&why);
	assert_int_equal(node_try_start(&bob, "192.0.2.1:0", &why),
			 -EADDRNOTAVAIL);
	assert_true(why.len > 0);
	/* Alice's own port is remembered, and given up when it is taken. */
	node_stop(&alice);
	node_start(&alice, NULL);
	status = node_command(&alice, "status");
	assert_string_equal(json_string_value(json_object_get(status,
							      "listen")),
			    taken);
	json_decref(status);
	node_stop(&alice);
	node_start(&bob, taken);
	node_start(&alice, NULL);
	status = node_command(&alice, "status");
	assert_string_not_equal(json_string_value(
		json_object_get(status, "listen")), taken);
	json_decref(status);
	node_stop(&bob);
	/* What was asked for is not given up. */
	node_stop(&alice);
	node_start(&alice, taken);
	buf_reset(&why);
	assert_int_equal(node_try_start(&bob, NULL, &why), -EADDRINUSE);
	pair_release(&alice, &bob);
}

/* A stranger on the members' door: one BYE and the end. */
static void test_stranger(void **state)
{
	struct net_end e = { .conn = NULL };
	uint64_t until_ms = sys_now_ms() + 15000;
	struct address a;
	struct node alice;
	struct loop loop;
	json_t *status;
	struct bye bye;
	struct reader r;

	(void)state;
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, LOOPBACK);
	status = node_command(&alice, "status");
	assert_int_equal(address_parse(json_string_value(
		json_object_get(status, "listen")), ADDRESS_NUMERIC, &a), 0);
	json_decref(status);
	net_identity_init(&e.identity);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(conn_pool_init(&e.pool, &loop, &e.identity), 0);
	for (int join = 0; join < 2; join++) {
		e.ready = false;
		e.frames = 0;
		assert_int_equal(conn_dial(&e.pool, &a, join ? TLS_JOIN :
							       TLS_LINK,
					   &net_ops, &e, &e.conn), 0);
		net_turn_until(&loop, &e.ready);
		if (join) {
			cleanup(buf_release) struct buf b = BUF_INIT;

			net_frame(&b, FRAME_HELLO, "what", 4);
			conn_send(e.conn, buf_slice(&b));
		}
		while (e.conn) {
			assert_true(sys_now_ms() < until_ms);
			loop_turn(&loop, sys_now_ms() + 20);
		}
		assert_int_equal(e.frames, 1);
		r = READER(e.last.data, e.last.len);
		assert_int_equal(reader_u8(&r), FRAME_BYE);
		assert_int_equal(bye_decode(&r, &bye), 0);
		assert_int_equal(bye.code, join ? BYE_PROTOCOL :
						  BYE_NOT_MEMBER);
	}
	conn_pool_release(&e.pool);
	loop_release(&loop);
	identity_close(&e.identity);
	buf_release(&e.last);
	node_release(&alice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_converge),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_crossing_calls),
		cmocka_unit_test(test_quiet_when_idle),
		cmocka_unit_test(test_much_data),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_expired_code),
		cmocka_unit_test(test_same_label),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_wait_alone),
		cmocka_unit_test(test_unmount),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_stranger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
