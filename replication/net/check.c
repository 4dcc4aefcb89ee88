/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin check MOUNTPOINT`: the check (fs/tree/check.h) of the store in use,
 * on a thread of its own, which rests as long as each step took; a line a
 * second tells how far it is. First the pages of the tables, as a reader of
 * LMDB's sees them; if these are damaged nothing else is looked at.
 *
 * With `repair`, what other members may have is asked of them: damaged
 * chunks count as not here from then on. What is wrong with rows and indexes
 * is repaired while nothing uses the store: `kin check --repair STORE`.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/thread.h"
#include "fs/tree/mend.h"
#include "replication/net/agent_internal.h"
#include "replication/net/check_list.h"
#include "replication/net/sys.h"

#define PROGRESS_MS 1000

struct agent_check {
	struct agent *agent;
	struct control_client *client;
	struct check *check;
	struct check_list list;
	struct mend_result mended;
	bool repair;
	bool pages_only;	/* they are damaged */
	pthread_t thread;
	uint64_t progress_ms;
	struct loop_timer timer;
	atomic_bool stop;
	atomic_int state;	/* 0: runs; 1: done; an error */
	atomic_uint_fast64_t entries, bytes;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void rest(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000u),
			       (long)(ns % 1000000000u) };

	nanosleep(&ts, NULL);
}

static void *check_thread(void *arg)
{
	struct agent_check *k = arg;
	const struct pages_ops ops = { .fault = check_list_page,
				       .arg = &k->list };
	struct pages_result pages;
	int r = store_walk_pages(tree_store(k->agent->tree), &ops, &pages);

	k->pages_only = !r && pages.faults;
	if (k->pages_only)
		r = 1;
	while (!r && !atomic_load(&k->stop)) {
		uint64_t start = now_ns();
		const struct check_result *result;

		r = check_step(k->check);
		result = check_result(k->check);
		atomic_store(&k->entries, result->entries);
		atomic_store(&k->bytes, result->bytes);
		if (!r)
			rest(now_ns() - start);
	}
	if (r == 1 && k->repair && !k->pages_only) {
		int e = mend_contents(k->check, &k->stop, &k->mended);

		r = e ? e : r;
	}
	atomic_store(&k->state, r);
	loop_wake(&k->agent->loop);
	return NULL;
}

static void check_free(struct agent_check *k)
{
	atomic_store(&k->stop, true);
	pthread_join(k->thread, NULL);
	loop_timer_set(&k->agent->loop, &k->timer, LOOP_NEVER);
	k->agent->check = NULL;
	check_end(k->check);
	check_list_release(&k->list);
	free(k);
}

static void check_answer(struct agent_check *k, json_t *answer)
{
	struct control_client *client = k->client;

	check_free(k);
	control_set_data(client, NULL);
	control_answer(client, answer);
}

bool agent_check_gone(struct agent *a, void *data)
{
	if (!a->check || a->check != data)
		return false;
	check_free(a->check);
	return true;
}

void agent_check_release(struct agent *a)
{
	if (a->check)
		check_answer(a->check,
			     control_error(-ECANCELED, CONTROL_FAILED,
					   "the daemon ends"));
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)MIN_OF(n, INT64_MAX));
}

static void check_finish(struct agent_check *k)
{
	const struct check_result *result = check_result(k->check);
	json_t *found = k->pages_only ?
		check_list_only_json(&k->list) :
		check_list_json(&k->list, k->agent->tree, result);
	json_t *answer;

	if (k->list.total &&
	    !(k->repair && check_list_is_fetched(&k->list)))
		answer = control_error(-EUCLEAN, CONTROL_FAILED,
				       "what is stored here is damaged");
	else
		answer = json_pack("{s:b}", "ok", 1);
	if (found)
		json_object_update(answer, found);
	json_decref(found);
	json_object_set_new(answer, "repaired",
			    json_pack("{s:o, s:o, s:o}", "chunks",
				      number(k->mended.chunks), "found",
				      number(k->mended.found), "contents",
				      number(k->mended.contents)));
	check_answer(k, answer);
}

void agent_check_poll(struct agent *a, uint64_t now_ms)
{
	struct agent_check *k = a->check;
	int state = k ? atomic_load(&k->state) : 0;

	if (!k)
		return;
	if (state < 0) {
		check_answer(k, control_error(state, CONTROL_FAILED,
			"cannot look at the store: %s", strerror(-state)));
		return;
	}
	if (state) {
		check_finish(k);
		return;
	}
	if (now_ms >= k->progress_ms) {
		k->progress_ms = now_ms + PROGRESS_MS;
		control_event(k->client, json_pack("{s:s, s:o, s:o, s:o}",
			"event", "progress", "entries",
			number(atomic_load(&k->entries)), "of",
			number(check_result(k->check)->total), "bytes",
			number(atomic_load(&k->bytes))));
	}
	loop_timer_set(&a->loop, &k->timer, k->progress_ms);
}

static void check_timer(struct loop_timer *t, uint64_t now_ms)
{
	(void)t;
	(void)now_ms;
}

json_t *agent_check_start(struct agent *a, struct control_client *client,
			  const json_t *request)
{
	struct agent_check *k = calloc(1, sizeof(*k));
	struct check_options o = {
		.data = json_is_true(json_object_get(request, "data")),
		.foreign = check_list_foreign,
		.fault = check_list_add,
	};
	int r = -ENOMEM;

	if (k && a->check)
		r = -EBUSY;
	else if (k) {
		check_list_init(&k->list);
		o.arg = &k->list;
		r = check_begin(a->tree, &o, &k->check);
	}
	if (!r) {
		k->agent = a;
		k->client = client;
		k->repair = json_is_true(json_object_get(request, "repair"));
		k->timer.fn = check_timer;
		k->progress_ms = sys_now_ms() + PROGRESS_MS;
		r = thread_start(&k->thread, check_thread, k);
		if (r)
			check_end(k->check);
	}
	if (r) {
		free(k);
		return control_error(r, CONTROL_FAILED, "%s", r == -EBUSY ?
				     "another check is going on" :
				     strerror(-r));
	}
	a->check = k;
	control_set_data(client, k);
	loop_poke(&a->loop);
	return json_null();
}
