/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about conflicts: the list, and taking one version of a file.
 *
 * A conflict in the list has a token; whoever settles gives it back, so that
 * what came between the look and the word is not decided unseen.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/hash.h"
#include "replication/net/agent_internal.h"

static const char *kind_name(enum conflict_kind kind)
{
	switch (kind) {
	case CONFLICT_CONTENT:
		return "content";
	case CONFLICT_NAME:
		return "name";
	case CONFLICT_PLACE:
		return "place";
	}
	return "content";
}

struct conflict_list {
	struct core *core;
	struct handlers *handlers;
	json_t *json;
};

void agent_put_author(struct core *core, json_t *o, struct dot dot,
		      struct slice label)
{
	struct device device;
	uint8_t origin[8];
	char node[MAX_OF(DEVICE_TEXT_BYTES, 2 * sizeof(origin) + 1)];

	put_be64(origin, dot.origin);
	if (core_author(core, dot.origin, label, &device))
		device_format(&device, node);
	else
		hex_encode(origin, sizeof(origin), node);
	agent_put_text(o, "label", "label_hex", label);
	json_object_set_new(o, "node", json_string(node));
}

static json_t *version_json(struct core *core,
			    const struct conflict_version *v)
{
	json_t *o = json_object();

	agent_put_text(o, "path", "path_hex", v->path);
	agent_put_author(core, o, v->dot, v->label);
	json_object_set_new(o, "time", json_integer(v->time.tv_sec));
	json_object_set_new(o, "time_ms", json_integer(
		(json_int_t)v->time.tv_sec * 1000 + v->time.tv_nsec / 1000000));
	json_object_set_new(o, "size", json_integer(
		(json_int_t)MIN_OF(v->size, (uint64_t)INT64_MAX)));
	json_object_set_new(o, "main", json_boolean(v->main));
	json_object_set_new(o, "automatic", json_boolean(v->automatic));
	return o;
}

/* What became of it, if something handles it here. */
static void add_handler(json_t *conflict, struct handlers *h,
			const struct objid *id)
{
	static const char *const states[] = {
		[PLAN_WAITING] = "waiting", [PLAN_RUNNING] = "running",
		[PLAN_LEFT] = "left", [PLAN_FAILED] = "failed" };
	struct plan_entry e;

	if (h && handlers_state(h, id, &e))
		json_object_set_new(conflict, "handler", json_pack(
			"{s:s, s:s, s:s}", "rule", e.rule, "state",
			states[e.state], "reason", e.reason));
}

static int add_conflict(void *arg, const struct conflict *c)
{
	struct conflict_list *list = arg;
	json_t *o = json_object(), *versions = json_array();
	char token[HASH_TEXT_BYTES];

	agent_put_text(o, "path", "path_hex", c->path);
	json_object_set_new(o, "kind", json_string(kind_name(c->kind)));
	hex_encode(c->token.b, sizeof(c->token.b), token);
	json_object_set_new(o, "token", json_string(token));
	json_object_set_new(o, "files", json_boolean(c->files));
	json_object_set_new(o, "base_known", json_boolean(c->base_known));
	json_object_set_new(o, "main_removed", json_boolean(c->main_removed));
	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(versions,
				      version_json(list->core,
						   &c->versions[i]));
	json_object_set_new(o, "versions", versions);
	if (c->kind == CONFLICT_CONTENT)
		add_handler(o, list->handlers, &c->id);
	return json_array_append_new(list->json, o) ? -ENOMEM : 0;
}

json_t *agent_conflicts(struct agent *a, struct control_client *client,
			const json_t *request)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	struct conflict_list list = { a->core, a->handlers,
				      json_array() };
	uint64_t ino;
	int r = agent_get_path(request, &path);

	(void)client;
	if (!r)
		r = tree_resolve_path(a->tree, buf_slice(&path), &ino);
	if (!r)
		r = tree_conflicts(a->tree, ino, add_conflict, &list);
	if (r) {
		json_decref(list.json);
		return agent_path_error(r, &path);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "conflicts",
			 list.json);
}

static json_t *resolve_error(int r, const struct buf *path,
			     const struct buf *take)
{
	const char *p = path->data ? (const char *)path->data : "";
	int len = (int)path->len;

	switch (r) {
	case -ENODATA:
		return control_error(r, CONTROL_FAILED, "%.*s: is not in "
				     "conflict", len, p);
	case -EEXIST:
		return control_error(r, CONTROL_FAILED, "%.*s: several "
				     "versions are of \"%.*s\"; take one by "
				     "its name", len, p, (int)take->len,
				     (const char *)take->data);
	case -ENOENT:
		return control_error(r, CONTROL_FAILED, "%.*s: no such file, "
				     "or it has no version \"%.*s\"; `kin "
				     "conflicts` lists them", len, p,
				     (int)take->len,
				     (const char *)take->data);
	case -EISDIR:
		return control_error(r, CONTROL_FAILED, "%.*s: a directory "
				     "has that name and keeps it; rename the "
				     "file, or take main, and it is removed",
				     len, p);
	case -EBUSY:
		return control_error(r, CONTROL_FAILED, "%.*s: one of these "
				     "files is being written; try again",
				     len, p);
	case -ESTALE:
		return control_error(r, CONTROL_FAILED, "%.*s: it changed "
				     "meanwhile; look again", len, p);
	}
	return agent_path_error(r, path);
}

/* With a token: only what was looked at. */
static int resolve(struct agent *a, const json_t *request, uint64_t parent,
		   struct slice name, struct slice take)
{
	const json_t *given = json_object_get(request, "token");
	const char *token = json_string_value(given);
	struct hash h;

	if (!given)
		return tree_resolve(a->tree, parent, name, take);
	if (!token || strlen(token) != HASH_TEXT_BYTES - 1 ||
	    hex_decode(token, h.b, sizeof(h.b)))
		return -ESTALE;
	return tree_resolve_seen(a->tree, parent, name, take, &h);
}

json_t *agent_resolve(struct agent *a, struct control_client *client,
		      const json_t *request)
{
	cleanup(buf_release) struct buf path = BUF_INIT, take = BUF_INIT;
	struct slice dir, name;
	uint64_t parent;
	int r = agent_get_bytes(request, "take", "take_hex", &take);

	if (r || !take.len)
		return control_error(-EINVAL, CONTROL_USAGE,
				     "which version? give take");
	r = agent_get_path(request, &path);
	if (r || !path.len)
		return agent_path_error(r ? r : -EINVAL, &path);
	agent_split_path(buf_slice(&path), &dir, &name);
	r = tree_resolve_path(a->tree, dir, &parent);
	if (!r)
		r = resolve(a, request, parent, name, buf_slice(&take));
	return r ? resolve_error(r, &path, &take) :
		   agent_answer_shown(a, client,
				      json_pack("{s:b}", "ok", 1));
}
