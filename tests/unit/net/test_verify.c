/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `verify` of two daemons over TLS, with a divergence planted in one of
 * them: it is named, repaired, and the proof that follows is equal.
 */
#include "tests/unit/net/node_support.h"

#include <string.h>

#include "tests/sim/plant.c"

struct find {
	const char *name;
	struct objid id;
	bool found;
};

static int find_entry(void *arg, const struct replica_view_entry *e)
{
	struct find *f = arg;

	if (slice_equal(e->path, SLICE_STR(f->name))) {
		f->id = e->id;
		f->found = true;
	}
	return 0;
}

static void lose(struct node *n, const char *name)
{
	struct find f = { .name = name };

	assert_int_equal(replica_view(n->tree, find_entry, &f), 0);
	assert_true(f.found);
	assert_int_equal(plant(n->tree, f.id, PLANT_ROW_LOST), 0);
	assert_false(node_has(n, name, "text"));
}

static json_t *verify(struct node *n)
{
	json_t *answer = node_ask(n, json_pack("{s:s, s:f}", "cmd", "verify",
					       "timeout", 20.0));

	assert_non_null(answer);
	return answer;
}

static const char *state_of(const json_t *answer)
{
	const json_t *peer = json_array_get(json_object_get(answer, "peers"),
					    0);

	return json_string_value(json_object_get(peer, "state"));
}

static void open_pair(struct node *alice, struct node *bob)
{
	struct invite_code code;

	node_init(alice, "alice");
	node_open(alice, NULL);
	node_start(alice, "127.0.0.1:0");
	code = node_invite(alice);
	node_init(bob, "bob");
	node_join(bob, &code);
	node_start(bob, "127.0.0.1:0");
	node_await_links(alice, 1);
}

static void test_repairs(void **state)
{
	struct node alice, bob;
	json_t *answer;
	const json_t *peer, *list;

	(void)state;
	open_pair(&alice, &bob);
	node_write(&alice, "file", "text");
	node_write(&alice, "other", "text");
	assert_int_equal(node_wait(&alice, 20), 0);
	answer = verify(&alice);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_string_equal(state_of(answer), "equal");
	json_decref(answer);

	lose(&bob, "file");
	answer = verify(&bob);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_string_equal(state_of(answer), "equal");
	json_decref(answer);
	assert_true(node_has(&bob, "file", "text"));
	assert_true(node_has(&alice, "file", "text"));

	/* Who asks while it happens is told what it was about. */
	lose(&alice, "other");
	answer = verify(&alice);
	assert_string_equal(state_of(answer), "equal");
	peer = json_array_get(json_object_get(answer, "peers"), 0);
	list = json_object_get(peer, "repaired");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(
		json_array_get(list, 0), "path")), "other");
	json_decref(answer);
	node_release(&alice);
	node_release(&bob);
}

static void test_deep(void **state)
{
	struct node alice;
	json_t *answer, *deep;

	(void)state;
	node_init(&alice, "alice");
	node_open(&alice, NULL);
	node_start(&alice, "127.0.0.1:0");
	node_write(&alice, "file", "text");
	answer = node_ask(&alice, json_pack("{s:s, s:b}", "cmd", "verify",
					    "deep", 1));
	assert_true(json_is_true(json_object_get(answer, "ok")));
	deep = json_object_get(answer, "deep");
	assert_int_equal(json_integer_value(json_object_get(deep, "objects")),
			 2);
	assert_true(json_is_true(json_object_get(deep, "sums_right")));
	json_decref(answer);
	answer = node_ask(&alice, json_pack("{s:s, s:s}", "cmd", "verify",
					    "timeout", "soon"));
	assert_int_equal(json_integer_value(json_object_get(answer, "exit")),
			 2);
	json_decref(answer);
	node_release(&alice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repairs),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
