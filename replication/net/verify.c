/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin verify`: asks the core to compare with every linked member now, and
 * waits until each comparison is made at what both know, or the time is
 * over. Where something differs and is repaired, both go on, and the proof
 * is waited for again. With `deep`, all that is stored here is read as well,
 * for as long as that takes; a line a second tells how far it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replication/net/agent_internal.h"
#include "replication/net/deep_run.h"
#include "replication/net/sys.h"

#define TIMEOUT_S_DEFAULT 10.0
#define TIMEOUT_S_MAX (366.0 * 24 * 3600)
/* A difference that stands so long is not about to be repaired. */
#define DIFFERS_MS 3000
#define PROGRESS_MS 1000

enum peer_verdict {
	VERDICT_EQUAL,
	VERDICT_DIFFERS,
	VERDICT_LAGS,	/* another knowledge: proves nothing */
	VERDICT_SILENT,	/* linked, equal knowledge, no answer yet */
	VERDICT_AWAY,
};

static const char *const verdict_names[] = {
	"equal", "differs", "lags", "silent", "away",
};

struct agent_verify {
	struct agent *agent;
	struct control_client *client;
	uint64_t question;		/* of core_verify_begin() */
	uint64_t deadline_ms, differs_ms, progress_ms;
	struct deep_run *deep;		/* or NULL */
	struct core_proof *proofs;	/* room for MEMBERS_MAX */
	size_t proof_count;
	struct loop_timer timer;
	LIST_ENTRY(agent_verify) entry;
};

static void verify_free(struct agent_verify *v)
{
	core_verify_end(v->agent->core);
	loop_timer_set(&v->agent->loop, &v->timer, LOOP_NEVER);
	LIST_REMOVE(v, entry);
	deep_run_free(v->deep);
	free(v->proofs);
	free(v);
}

static void verify_answer(struct agent_verify *v, json_t *answer)
{
	struct control_client *client = v->client;

	verify_free(v);
	control_set_data(client, NULL);
	control_answer(client, answer);
}

bool agent_verify_gone(struct agent *a, void *data)
{
	struct agent_verify *v;

	LIST_FOREACH(v, &a->verifies, entry) {
		if (v != data)
			continue;
		verify_free(v);
		return true;
	}
	return false;
}

void agent_verifies_release(struct agent *a)
{
	while (!LIST_EMPTY(&a->verifies))
		verify_answer(LIST_FIRST(&a->verifies),
			      control_error(-ECANCELED, CONTROL_FAILED,
					    "the daemon ends"));
}

/* ---- how each member stands */

static const struct core_proof *proof_of(const struct agent_verify *v,
					 const struct device *device)
{
	for (size_t i = 0; i < v->proof_count; i++)
		if (device_equal(&v->proofs[i].device, device))
			return &v->proofs[i];
	return NULL;
}

static enum peer_verdict verdict_of(const struct core_peer_status *p,
				    const struct core_proof *proof)
{
	if (!p->connected || !proof)
		return VERDICT_AWAY;
	if (proof->fresh && proof->current &&
	    proof->state == CORE_PROOF_EQUAL)
		return VERDICT_EQUAL;
	if (proof->fresh && proof->current &&
	    proof->state == CORE_PROOF_DIFFERS)
		return VERDICT_DIFFERS;
	if (p->behind.changes || p->ahead.changes)
		return VERDICT_LAGS;
	return VERDICT_SILENT;
}

static void look(struct agent_verify *v, size_t ret[ARRAY_SIZE(verdict_names)])
{
	struct agent *a = v->agent;

	memset(ret, 0, ARRAY_SIZE(verdict_names) * sizeof(*ret));
	v->proof_count = core_proofs(a->core, v->question, v->proofs,
				     MEMBERS_MAX);
	agent_peers(a);
	for (size_t i = 0; i < a->peer_count; i++)
		ret[verdict_of(&a->peers[i],
			       proof_of(v, &a->peers[i].device))]++;
}

/* ---- the answer */

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)MIN_OF(n, INT64_MAX));
}

/* A path, or the id of what is shown nowhere here. */
static json_t *object_json(struct agent *a, struct objid id)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	char hex[2 * sizeof(id.b) + 1];
	json_t *o = json_object();

	hex_encode(id.b, sizeof(id.b), hex);
	json_object_set_new(o, "id", json_string(hex));
	if (!tree_path_of(a->tree, id, &path) && !buf_error(&path))
		agent_put_text(o, "path", "path_hex", buf_slice(&path));
	return o;
}

static json_t *sum_json(const struct sum *s)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	char hex[2 * SUM_BYTES + 1] = "";

	sum_encode(s, &b);
	if (!buf_error(&b))
		hex_encode(b.data, b.len, hex);
	return json_string(hex);
}

/* "origin:number ..." */
static json_t *know_json(const struct know *k)
{
	cleanup(buf_release) struct buf b = BUF_INIT;

	for (size_t i = 0; i < k->count; i++)
		buf_printf(&b, "%s%016llx:%llu", i ? " " : "",
			   (unsigned long long)k->entries[i].origin,
			   (unsigned long long)k->entries[i].seq);
	return json_stringn((const char *)b.data, buf_error(&b) ? 0 : b.len);
}

static json_t *peer_json(struct agent *a, const struct core_peer_status *p,
			 const struct core_proof *proof)
{
	enum peer_verdict verdict = verdict_of(p, proof);
	char id[DEVICE_TEXT_BYTES];
	json_t *o, *differing;

	device_format(&p->device, id);
	o = json_pack("{s:s, s:s, s:s, s:o, s:o}", "label", p->label, "id",
		      id, "state", verdict_names[verdict], "behind",
		      number(p->behind.changes), "ahead",
		      number(p->ahead.changes));
	if (!proof)
		return o;
	if (verdict == VERDICT_EQUAL || verdict == VERDICT_DIFFERS) {
		json_object_set_new(o, "knowledge", know_json(proof->k));
		json_object_set_new(o, "objects", number(proof->mine.count));
		json_object_set_new(o, "sum", sum_json(&proof->mine));
		json_object_set_new(o, "peer_sum", sum_json(&proof->theirs));
	}
	if (!proof->differing_count)
		return o;
	differing = json_array();
	for (size_t i = 0; i < proof->differing_count; i++)
		json_array_append_new(differing,
				      object_json(a, proof->differing[i]));
	json_object_set_new(o, verdict == VERDICT_EQUAL ? "repaired" :
							  "differing",
			    differing);
	return o;
}

static json_t *deep_json(struct agent *a, const struct deep_result *d)
{
	json_t *faults = json_array();

	for (size_t i = 0; i < MIN_OF(d->faults, DEEP_FAULTS_MAX); i++) {
		json_t *o = object_json(a, d->fault[i].id);

		json_object_set_new(o, "missing",
				    number(d->fault[i].missing));
		json_object_set_new(o, "damaged",
				    number(d->fault[i].damaged));
		json_array_append_new(faults, o);
	}
	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o}", "objects",
			 number(d->objects), "bytes", number(d->bytes),
			 "pending", number(d->pending), "sums_right",
			 d->sums_right, "fault_count", number(d->faults),
			 "faults", faults);
}

static json_t *verdict_json(const struct agent_verify *v, const size_t *n,
			    const struct deep_result *deep)
{
	size_t linked = v->agent->peer_count - n[VERDICT_AWAY];

	if (deep && (deep->faults || !deep->sums_right))
		return control_error(-EUCLEAN, CONTROL_FAILED,
				     "what is stored here is damaged");
	if (n[VERDICT_DIFFERS])
		return control_error(-EUCLEAN, CONTROL_FAILED, "%zu members "
				     "know the same as this node and do not "
				     "hold the same", n[VERDICT_DIFFERS]);
	if (n[VERDICT_LAGS] || n[VERDICT_SILENT])
		return control_error(-ETIMEDOUT, CONTROL_FAILED,
				     "%zu members could not be compared in "
				     "time", n[VERDICT_LAGS] +
				     n[VERDICT_SILENT]);
	if (!linked && v->agent->peer_count)
		return control_error(-EHOSTUNREACH, CONTROL_UNREACHED,
				     "no member is connected");
	return json_pack("{s:b}", "ok", 1);
}

static void verify_finish(struct agent_verify *v, const size_t *counts)
{
	struct agent *a = v->agent;
	const struct deep_result *deep =
		v->deep ? deep_run_result(v->deep) : NULL;
	json_t *answer = verdict_json(v, counts, deep);
	json_t *peers = json_array();

	for (size_t i = 0; i < a->peer_count; i++)
		json_array_append_new(peers, peer_json(a, &a->peers[i],
				proof_of(v, &a->peers[i].device)));
	json_object_set_new(answer, "peers", peers);
	if (deep)
		json_object_set_new(answer, "deep", deep_json(a, deep));
	verify_answer(v, answer);
}

/* ---- waiting */

static void verify_timer(struct loop_timer *t, uint64_t now_ms)
{
	(void)t;
	(void)now_ms;
}

static void tell_progress(struct agent_verify *v, uint64_t now_ms)
{
	uint64_t objects, bytes;

	if (now_ms < v->progress_ms)
		return;
	v->progress_ms = now_ms + PROGRESS_MS;
	deep_run_progress(v->deep, &objects, &bytes);
	control_event(v->client, json_pack("{s:s, s:o, s:o, s:o}", "event",
		"progress", "objects", number(objects), "of",
		number(bucket_count(v->agent->tree)), "bytes",
		number(bytes)));
}

/* Are the comparisons what they will be? */
static bool peers_settled(struct agent_verify *v, const size_t *n,
			  uint64_t now_ms)
{
	if (now_ms >= v->deadline_ms)
		return true;
	if (!n[VERDICT_DIFFERS])
		v->differs_ms = 0;
	else if (!v->differs_ms)
		v->differs_ms = now_ms;
	return !n[VERDICT_LAGS] && !n[VERDICT_SILENT] &&
	       (!n[VERDICT_DIFFERS] || now_ms >= v->differs_ms + DIFFERS_MS);
}

static void verify_poll(struct agent_verify *v, uint64_t now_ms)
{
	size_t counts[ARRAY_SIZE(verdict_names)];
	uint64_t next_ms = v->deadline_ms;
	int deep = v->deep ? deep_run_done(v->deep) : 1;
	bool settled;

	if (deep < 0) {
		verify_answer(v, control_error(deep, CONTROL_FAILED,
			"cannot read the store: %s", strerror(-deep)));
		return;
	}
	look(v, counts);
	settled = peers_settled(v, counts, now_ms);
	if (settled && deep) {
		verify_finish(v, counts);
		return;
	}
	if (!deep) {
		tell_progress(v, now_ms);
		next_ms = v->progress_ms;
	}
	if (v->differs_ms && !settled)
		next_ms = MIN_OF(next_ms, v->differs_ms + DIFFERS_MS);
	loop_timer_set(&v->agent->loop, &v->timer, next_ms);
}

void agent_verifies_poll(struct agent *a, uint64_t now_ms)
{
	struct agent_verify *v, *next;

	for (v = LIST_FIRST(&a->verifies); v; v = next) {
		next = LIST_NEXT(v, entry);
		verify_poll(v, now_ms);
	}
}

json_t *agent_verify_start(struct agent *a, struct control_client *client,
			   const json_t *request)
{
	const json_t *timeout = json_object_get(request, "timeout");
	double timeout_s = timeout ? json_number_value(timeout) :
				     TIMEOUT_S_DEFAULT;
	struct agent_verify *v;
	int r = 0;

	if ((timeout && !json_is_number(timeout)) || timeout_s < 0 ||
	    timeout_s > TIMEOUT_S_MAX)
		return control_error(-EINVAL, CONTROL_USAGE,
				     "timeout is a number of seconds");
	if (a->paused && !json_is_true(json_object_get(request, "deep")))
		return control_error(-EHOSTUNREACH, CONTROL_UNREACHED, "this "
				     "node is paused; `kin resume` restarts "
				     "the exchange");
	v = calloc(1, sizeof(*v));
	if (v)
		v->proofs = calloc(MEMBERS_MAX, sizeof(*v->proofs));
	if (!v || !v->proofs)
		r = -ENOMEM;
	else if (json_is_true(json_object_get(request, "deep")))
		r = deep_run_start(a->tree, &a->loop, &v->deep);
	if (r) {
		if (v)
			free(v->proofs);
		free(v);
		return control_error(r, CONTROL_FAILED, "%s", r == -EBUSY ?
				     "another deep check is going on" :
				     strerror(-r));
	}
	v->agent = a;
	v->client = client;
	v->timer.fn = verify_timer;
	v->progress_ms = sys_now_ms() + PROGRESS_MS;
	v->deadline_ms = sys_now_ms() + (uint64_t)(timeout_s * 1000);
	v->question = core_verify_begin(a->core, sys_now_ms());
	LIST_INSERT_HEAD(&a->verifies, v, entry);
	control_set_data(client, v);
	/* What the core asks by that goes out now. */
	loop_poke(&a->loop);
	return json_null();
}
