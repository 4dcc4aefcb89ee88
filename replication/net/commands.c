/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the requests of control.h mean: one table, one function each, which
 * gives the answer, or LATER. (NULL is what jansson gives without memory.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/base/log.h"
#include "fs/store/reclaim.h"
#include "replication/net/agent_internal.h"
#include "replication/net/invite.h"
#include "replication/net/invites.h"
#include "replication/net/sys.h"

#define LATER json_null()

/* ---- pieces of answers */

void device_format(const struct device *d, char ret[DEVICE_TEXT_BYTES])
{
	hex_encode(d->b, (DEVICE_TEXT_BYTES - 1) / 2, ret);
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)MIN_OF(n, INT64_MAX));
}

/* A name may be any bytes; JSON text may not. */
void agent_put_text(json_t *o, const char *key, const char *hex_key,
		     struct slice s)
{
	json_t *text = json_stringn((const char *)s.data, s.len);
	autofree char *hex = NULL;

	if (!text) {
		hex = malloc(2 * s.len + 1);
		if (!hex)
			return;
		hex_encode(s.data, s.len, hex);
		text = json_string(hex);
		key = hex_key;
	}
	json_object_set_new(o, key, text);
}

int agent_get_bytes(const json_t *request, const char *key,
		    const char *hex_key, struct buf *ret)
{
	const json_t *text = json_object_get(request, key);
	const char *hex = json_string_value(json_object_get(request,
							    hex_key));
	uint8_t *at;

	if (json_is_string(text)) {
		buf_put(ret, json_string_value(text),
			json_string_length(text));
		return buf_error(ret);
	}
	if (!hex || strlen(hex) % 2)
		return -EINVAL;
	if (!*hex)
		return 0;
	at = buf_extend(ret, strlen(hex) / 2);
	return at ? hex_decode(hex, at, strlen(hex) / 2) : -ENOMEM;
}

int agent_get_path(const json_t *request, struct buf *ret)
{
	return agent_get_bytes(request, "path", "path_hex", ret);
}

static json_t *ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

static json_t *failed(int r, const char *what)
{
	return control_error(r, CONTROL_FAILED, "%s: %s", what, strerror(-r));
}

/* ---- status */

static json_t *lag_json(struct core_lag lag)
{
	return json_pack("{s:o, s:o}", "changes", number(lag.changes),
			 "bytes", number(lag.bytes));
}

static json_t *seconds(bool known, uint64_t ms)
{
	return known ? json_real((double)ms / 1000) : json_null();
}

static json_t *behind_json(const struct core_peer_status *p)
{
	json_t *o = lag_json(p->behind);

	json_object_set_new(o, "seconds", seconds(true, p->behind_ms));
	return o;
}

static json_t *peers_json(struct agent *a)
{
	uint64_t now_ms = sys_now_ms();
	json_t *list = json_array();
	size_t n = agent_peers(a);

	for (size_t i = 0; i < n; i++) {
		const struct core_peer_status *p = &a->peers[i];
		char id[DEVICE_TEXT_BYTES];

		device_format(&p->device, id);
		json_array_append_new(list, json_pack(
			"{s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, "
			"s:s}",
			"label", p->label, "id", id,
			"connected", p->connected, "lapsed", p->lapsed,
			"removed", p->removed, "behind", behind_json(p),
			"ahead", lag_json(p->ahead),
			"stale_seconds", seconds(p->stale_known, p->stale_ms),
			"last_contact_seconds",
			seconds(p->last_heard_ms, now_ms - p->last_heard_ms),
			"clock_skew_ms", p->skew_known ?
				json_integer(p->skew_ms) : json_null(),
			"addresses", p->addresses));
	}
	return list;
}

static json_t *changes_json(struct agent *a)
{
	struct core_counters c;

	core_counters(a->core, &c);
	return json_pack("{s:o, s:o, s:o}",
			 "received", number(c.changes_received),
			 "known", number(c.changes_known),
			 "forwarded", number(c.changes_forwarded));
}

static json_t *counters_json(struct agent *a)
{
	struct core_counters c;

	core_counters(a->core, &c);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "cuts_sent", number(c.cuts_sent),
			 "cuts_received", number(c.cuts_received),
			 "rows_sent", number(c.rows_sent),
			 "rows_received", number(c.rows_received),
			 "changes_received", number(c.changes_received),
			 "changes_known", number(c.changes_known),
			 "changes_forwarded", number(c.changes_forwarded),
			 "chunks_sent", number(c.chunks_sent),
			 "chunks_received", number(c.chunks_received),
			 "bytes_sent", number(c.bytes_sent),
			 "bytes_received", number(c.bytes_received),
			 "proofs", number(c.proofs),
			 "divergences", number(c.divergences),
			 "repaired", number(c.repaired),
			 "lost", number(c.lost),
			 "forks", number(c.forks),
			 "twins", number(c.twins));
}

static json_t *incarnation_json(struct agent *a)
{
	static const char *const causes[] = {
		[CAUSE_COPY] = "copy", [CAUSE_LOST] = "lost",
		[CAUSE_TWIN] = "twin", [CAUSE_BRANCH] = "branch",
		[CAUSE_MENDED] = "repaired",
	};
	struct tree_incarnation i;

	if (tree_incarnation(a->tree, &i) || i.cause == CAUSE_NONE ||
	    i.cause >= ARRAY_SIZE(causes))
		return json_null();
	return json_pack("{s:s, s:o, s:o}", "cause", causes[i.cause],
			 "time", json_integer(i.time),
			 "count", json_integer(i.count));
}

static json_t *content_json(struct agent *a)
{
	struct replica_debt debt;
	int r;

	store_lock(a->store);
	r = replica_debt(a->tree, &debt);
	store_unlock(a->store);
	if (r)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "objects", number(debt.objects),
			 "bytes", number(debt.bytes), "reads_failed",
			 number(debt.reads_failed));
}

/* What was removed, and takes room until all members know of it. */
static json_t *removed_json(struct agent *a)
{
	struct replica_dead d;

	if (replica_dead(a->tree, &d))
		return json_null();
	return json_pack("{s:o, s:o, s:b}", "files", number(d.files), "bytes",
			 number(d.bytes), "more", d.more);
}

static json_t *space_json(struct agent *a)
{
	struct reclaim_facts f;

	reclaim_facts(a->store, &f);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:f, s:o, s:o}",
			 "bytes", number(f.allocated_bytes),
			 "in_use", number(f.live_bytes),
			 "last_round", f.last_s ? json_integer(f.last_s)
						: json_null(),
			 "freed", number(f.freed_bytes),
			 "moved", number(f.moved_bytes),
			 "rounds", number(f.rounds), "running", f.running,
			 "held_seconds", (double)f.held_ms / 1000,
			 "removed", removed_json(a),
			 "error", f.error ? json_string(strerror(-f.error))
					  : json_null());
}

/* What is wrong with the disk, and what to do; all null where nothing is. */
static json_t *disk_json(struct agent *a)
{
	static const char *const states[] = {
		[STORE_WELL] = "well", [STORE_LOW] = "low",
		[STORE_FULL] = "full", [STORE_REFUSED] = "refused",
		[STORE_FAILED] = "failed",
	};
	struct store_health h;

	store_health(a->store, &h);
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}",
			 "state", states[h.state],
			 "error", h.error ? json_string(strerror(-h.error))
					  : json_null(),
			 "what", h.what ? json_string(h.what) : json_null(),
			 "since", h.since_s ? json_integer(h.since_s)
					    : json_null(),
			 "free", h.free_known ? number(h.free_bytes)
					      : json_null(),
			 "needed", number(h.low_bytes +
					  (h.state == STORE_FULL ||
					   h.state == STORE_REFUSED
						   ? h.reserve_bytes : 0)));
}

static json_t *cmd_status(struct agent *a, struct control_client *client,
			  const json_t *request)
{
	char volume[2 * sizeof(struct volid) + 1], id[DEVICE_TEXT_BYTES];
	char label[LABEL_BYTES_MAX + 1];
	struct volid v = tree_volume(a->tree);
	int failure = store_failure(a->store);
	json_t *answer = ok();

	(void)client;
	(void)request;
	hex_encode(v.b, sizeof(v.b), volume);
	device_format(&a->identity->device, id);
	tree_label(a->tree, label);
	json_object_set_new(answer, "volume", json_string(volume));
	json_object_set_new(answer, "paused", json_boolean(a->paused));
	json_object_set_new(answer, "pid", json_integer(getpid()));
	json_object_set_new(answer, "supervisor", a->supervisor ?
			    json_integer(a->supervisor) : json_null());
	json_object_set_new(answer, "taken_over", number(a->taken_over));
	agent_put_text(answer, "mountpoint", "mountpoint_hex",
		 SLICE_STR(a->mountpoint));
	json_object_set_new(answer, "node", json_pack("{s:s, s:s}", "label",
						      label, "id", id));
	json_object_set_new(answer, "conflicts",
			    number(tree_conflict_count(a->tree)));
	json_object_set_new(answer, "incarnation", incarnation_json(a));
	json_object_set_new(answer, "peers", peers_json(a));
	json_object_set_new(answer, "content", content_json(a));
	json_object_set_new(answer, "space", space_json(a));
	json_object_set_new(answer, "disk", disk_json(a));
	json_object_set_new(answer, "history", agent_history_json(a));
	json_object_set_new(answer, "applying",
			    json_boolean(core_is_applying(a->core)));
	agent_put_text(answer, "store", "store_hex",
		 SLICE_STR(store_path(a->store)));
	json_object_set_new(answer, "listen", *a->listener.text ?
			    json_string(a->listener.text) : json_null());
	json_object_set_new(answer, "changes", changes_json(a));
	json_object_set_new(answer, "late_acks", number(acks_late(a)));
	json_object_set_new(answer, "counters", counters_json(a));
	if (failure)
		json_object_set_new(answer, "failure",
				    json_string(strerror(-failure)));
	return answer;
}

/* ---- pausing, ending */

static json_t *cmd_pause(struct agent *a, struct control_client *client,
			 const json_t *request)
{
	int r = agent_pause(a);

	(void)client;
	(void)request;
	return r ? failed(r, "cannot pause") : ok();
}

static json_t *cmd_resume(struct agent *a, struct control_client *client,
			  const json_t *request)
{
	int r = agent_resume(a);

	(void)client;
	(void)request;
	return r ? failed(r, "cannot resume") : ok();
}

static json_t *cmd_unmount(struct agent *a, struct control_client *client,
			   const json_t *request)
{
	(void)request;
	log_info("asked to unmount");
	/* The answer first: the end closes this socket. */
	control_answer_then(client, ok(), a->stop, a->stop_arg);
	return LATER;
}

static json_t *cmd_restart(struct agent *a, struct control_client *client,
			   const json_t *request)
{
	(void)request;
	if (!a->leave)
		return failed(-EOPNOTSUPP, "it runs without a supervisor, "
			      "who keeps a mount while daemons change (not "
			      "with --no-supervisor, --io-uring, "
			      "--foreground): unmount it and mount it again");
	log_info("asked to leave the mount to another daemon");
	control_answer_then(client, ok(), a->leave, a->stop_arg);
	return LATER;
}

static json_t *cmd_wait(struct agent *a, struct control_client *client,
			const json_t *request)
{
	agent_wait_start(a, client, request, false);
	return LATER;
}

static json_t *cmd_token(struct agent *a, struct control_client *client,
			 const json_t *request)
{
	agent_wait_start(a, client, request, true);
	return LATER;
}

/* (On this thread, like every sync of the core's: what others hear waits for
 * what is durable here anyway.) */
static json_t *cmd_sync(struct agent *a, struct control_client *client,
			const json_t *request)
{
	int r = tree_sync(a->tree);

	(void)client;
	(void)request;
	return r ? failed(r, "not durable")
		 : json_pack("{s:b, s:b}", "ok", 1, "durable", 1);
}

/* ---- invitations */

static void put_addresses(struct agent *a, struct invite_code *code)
{
	struct slice list = buf_slice(&a->addresses);

	while (code->address_count < INVITE_ADDRESSES_MAX &&
	       address_next(&list, code->addresses[code->address_count]))
		code->address_count++;
}

static json_t *cmd_invite(struct agent *a, struct control_client *client,
			  const json_t *request)
{
	struct invite_code code = { .volume = tree_volume(a->tree) };
	cleanup(buf_release) struct buf text = BUF_INIT;
	struct invite i;
	int r = invites_create(a->store, sys_wall_ms(), code.secret, &i);

	(void)client;
	(void)request;
	if (r == -E2BIG)
		return control_error(r, CONTROL_FAILED, "%d invitations are "
				     "open; `kin invite --revoke` ends them",
				     INVITES_OPEN_MAX);
	if (r)
		return failed(r, "cannot keep the invitation");
	hash_bytes(a->identity->device.b, sizeof(a->identity->device.b),
		   &code.key_hash);
	put_addresses(a, &code);
	r = invite_encode(&code, &text);
	if (r)
		return failed(r, "cannot make the code");
	return json_pack("{s:b, s:s%, s:I}", "ok", 1, "code", text.data,
			 text.len, "expires",
			 (json_int_t)(i.expires_ms / 1000));
}

static json_t *cmd_invites(struct agent *a, struct control_client *client,
			   const json_t *request)
{
	autofree struct invite *all = calloc(INVITES_MAX, sizeof(*all));
	uint64_t now_ms = sys_wall_ms();
	json_t *list;
	int64_t n = all ? invites_list(a->store, all) : -ENOMEM;

	(void)client;
	(void)request;
	if (n < 0)
		return failed((int)n, "cannot read the invitations");
	list = json_array();
	for (int64_t i = 0; i < n; i++) {
		char id[2 * INVITE_ID_BYTES + 1];

		hex_encode(all[i].id.b, sizeof(all[i].id.b), id);
		json_array_append_new(list, json_pack(
			"{s:s, s:I, s:I, s:s}", "id", id, "created",
			(json_int_t)(all[i].created_ms / 1000), "expires",
			(json_int_t)(all[i].expires_ms / 1000), "state",
			invite_state_name(&all[i], now_ms)));
	}
	return json_pack("{s:b, s:o}", "ok", 1, "invites", list);
}

static json_t *cmd_revoke(struct agent *a, struct control_client *client,
			  const json_t *request)
{
	const char *id = json_string_value(json_object_get(request, "id"));
	int64_t n;

	(void)client;
	if (!id)
		return control_error(-EINVAL, CONTROL_USAGE,
				     "which invitation? give its id, or all");
	n = invites_revoke(a->store, sys_wall_ms(),
			   strcmp(id, "all") ? id : NULL);
	if (n < 0)
		return failed((int)n, "cannot revoke");
	return json_pack("{s:b, s:I}", "ok", 1, "revoked", (json_int_t)n);
}

/* ---- members */

static const char *member_state(const struct core_member *m)
{
	return m->removed ? "removed" : m->lapsed ? "lapsed" : "member";
}

static json_t *member_json(const struct core_member *m)
{
	char id[DEVICE_TEXT_BYTES];
	json_t *o;

	device_format(&m->device, id);
	o = json_pack("{s:s, s:s, s:s, s:b, s:I, s:o, s:o}", "label", m->label,
		      "id", id, "state", member_state(m), "self", m->self,
		      "added", (json_int_t)(m->added_ms / 1000),
		      "last_change", number(m->last_change),
		      "last_change_kept", number(m->last_change_kept));
	if (m->removed)
		json_object_set_new(o, "removed_at",
				    json_integer((json_int_t)(m->removed_ms /
							      1000)));
	return o;
}

static json_t *cmd_members(struct agent *a, struct control_client *client,
			   const json_t *request)
{
	autofree struct core_member *all = calloc(MEMBERS_MAX, sizeof(*all));
	json_t *list;
	size_t n;

	(void)client;
	(void)request;
	if (!all)
		return failed(-ENOMEM, "cannot list the members");
	n = core_members(a->core, all, MEMBERS_MAX);
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, member_json(&all[i]));
	return json_pack("{s:b, s:o}", "ok", 1, "members", list);
}

static json_t *cmd_remove(struct agent *a, struct control_client *client,
			  const json_t *request)
{
	const char *label = json_string_value(json_object_get(request,
							      "label"));
	struct core_member m;
	int r;

	(void)client;
	if (!label)
		return control_error(-EINVAL, CONTROL_USAGE,
				     "which member? give its label");
	r = core_remove(a->core, sys_now_ms(), label, &m);
	if (r == -ENOENT)
		return control_error(r, CONTROL_FAILED, "%s: no such member; "
				     "`kin member list` lists them", label);
	if (r == -EINVAL)
		return control_error(r, CONTROL_FAILED, "%s: that is this "
				     "node; remove it on another", label);
	if (r == -EACCES)
		return control_error(r, CONTROL_FAILED, "this node was "
				     "removed from the volume itself");
	if (r)
		return failed(r, "cannot remove");
	return json_pack("{s:b, s:o}", "ok", 1, "member", member_json(&m));
}

json_t *agent_path_error(int r, const struct buf *path)
{
	if (r == -EINVAL && !path->len)
		return control_error(r, CONTROL_USAGE, "a path is missing");
	return control_error(r, CONTROL_FAILED, "%.*s: %s", (int)path->len,
			     path->data ? (char *)path->data : "",
			     strerror(-r));
}

void agent_split_path(struct slice path, struct slice *ret_dir,
		      struct slice *ret_name)
{
	const uint8_t *slash = memrchr(path.data, '/', path.len);

	*ret_dir = SLICE(path.data, slash ? (size_t)(slash - path.data) : 0);
	*ret_name = slash ? SLICE(slash + 1, path.len - ret_dir->len - 1) :
			    path;
}

/* ---- the table */

static const struct {
	const char *name;
	json_t *(*fn)(struct agent *, struct control_client *, const json_t *);
} commands[] = {
	{ "status", cmd_status },
	{ "wait", cmd_wait },
	{ "token", cmd_token },
	{ "sync", cmd_sync },
	{ "restart", cmd_restart },
	{ "verify", agent_verify_start },
	{ "check", agent_check_start },
	{ "pause", cmd_pause },
	{ "resume", cmd_resume },
	{ "invite", cmd_invite },
	{ "invites", cmd_invites },
	{ "revoke", cmd_revoke },
	{ "members", cmd_members },
	{ "remove", cmd_remove },
	{ "conflicts", agent_conflicts },
	{ "resolve", agent_resolve },
	{ "versions", agent_versions },
	{ "settle", agent_settle },
	{ "log", agent_log },
	{ "cat", agent_cat },
	{ "restore", agent_restore },
	{ "removed", agent_removed },
	{ "undelete", agent_undelete },
	{ "decided", agent_decided },
	{ "undo", agent_undo },
	{ "swap", agent_swap },
	{ "policy", agent_policy },
	{ "hooks", agent_hooks },
	{ "hook-test", agent_hook_test },
	{ "unmount", cmd_unmount },
};

static void on_request(void *arg, struct control_client *client,
		       const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++) {
		json_t *answer;

		if (strcmp(commands[i].name, name))
			continue;
		answer = commands[i].fn(arg, client, request);
		if (!json_is_null(answer))
			control_answer(client, answer);
		return;
	}
	control_answer(client, control_error(-ENOSYS, CONTROL_USAGE,
					     "this daemon knows no such "
					     "command; is it an older one?"));
}

static void on_gone(void *arg, struct control_client *client, void *data)
{
	(void)client;
	if (!agent_verify_gone(arg, data) &&
	    !agent_check_gone(arg, data) && !agent_show_gone(arg, data) &&
	    !agent_run_gone(arg, data) && !agent_hook_test_gone(arg, data) &&
	    !agent_look_gone(arg, data))
		agent_wait_gone(data);
}

const struct control_ops agent_control_ops = { on_request, on_gone };
