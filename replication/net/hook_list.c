/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin hooks`: the folder of this node's hooks, what in it would be run, and
 * what uses it: the policies of the volume, which are found by their index
 * and not by a walk, and the rules of the configuration. It is judged here, by
 * the daemon, since it is the daemon that would run it: its user and its
 * environment count, not the asker's.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/policy.h"
#include "replication/net/agent_internal.h"
#include "replication/net/hook_dir.h"

/* Directories with a policy that are looked at: what a person reads, far
 * above what people set. */
#define POLICIES_LISTED_MAX 4096

/* ---- what uses which: an object of arrays, by the hook's name */

static int add_use(json_t *uses, const char *hook, json_t *use)
{
	json_t *list = json_object_get(uses, hook);

	if (!list) {
		list = json_array();
		if (json_object_set_new(uses, hook, list)) {
			json_decref(use);
			return -ENOMEM;
		}
	}
	return json_array_append_new(list, use) ? -ENOMEM : 0;
}

static int add_policy(void *arg, const struct policy_set *p)
{
	json_t *use;

	if (!p->understood || p->policy.rule != POLICY_HOOK)
		return 0;
	use = json_object();
	agent_put_text(use, "policy", "policy_hex", p->path);
	json_object_set_new(use, "node", *p->policy.hook_node ?
			    json_string(p->policy.hook_node) : json_null());
	return add_use(arg, p->policy.hook, use);
}

static int add_rules(json_t *uses, const struct handler_conf *c)
{
	int r = 0;

	for (size_t i = 0; !r && i < c->count; i++) {
		const struct handler_rule *rule = &c->rules[i];
		json_t *use = json_pack("{s:I, s:s}", "line",
					(json_int_t)rule->line, "event",
					handler_event_name(rule->event));

		if (rule->pattern)
			agent_put_text(use, "pattern", "pattern_hex",
				       SLICE_STR(rule->pattern));
		if (rule->event == HANDLER_LAG)
			json_object_set_new(use, "seconds",
					    json_integer(rule->seconds));
		r = add_use(uses, rule->hook, use);
	}
	return r;
}

/* And says what is wrong with FOLDER.conf; null: nothing. */
static int find_uses(struct agent *a, json_t *uses, json_t *answer)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf conf = { .rules = NULL };
	int r = tree_policies(a->tree, POLICIES_LISTED_MAX, add_policy, uses);

	if (r < 0)
		return r;
	json_object_set_new(answer, "policies_cut", json_boolean(r > 0));
	r = a->handlers ? handlers_conf(a->handlers, &why, &conf) : 0;
	if (r)
		agent_put_text(answer, "configuration", "configuration_hex",
			       buf_slice(&why));
	else
		json_object_set_new(answer, "configuration", json_null());
	r = add_rules(uses, &conf);
	handler_conf_release(&conf);
	return r;
}

/* ---- what is there */

struct hooks_found {
	json_t *list, *uses;
};

static void put_refusal(json_t *o, const char *why)
{
	if (why)
		agent_put_text(o, "refused", "refused_hex", SLICE_STR(why));
	else
		json_object_set_new(o, "refused", json_null());
}

static int add_hook(void *arg, const char *name, const char *why)
{
	struct hooks_found *f = arg;
	json_t *o = json_object(), *uses = json_object_get(f->uses, name);

	agent_put_text(o, "name", "name_hex", SLICE_STR(name));
	put_refusal(o, why);
	if (uses) {
		json_object_set(o, "uses", uses);
		json_object_del(f->uses, name);
	} else {
		json_object_set_new(o, "uses", json_array());
	}
	return json_array_append_new(f->list, o) ? -ENOMEM : 0;
}

/* What is used and was not found. */
static json_t *missing_json(json_t *uses)
{
	json_t *list = json_array(), *of;
	const char *name;

	json_object_foreach(uses, name, of)
		json_array_append_new(list, json_pack("{s:s, s:O}", "name",
						      name, "uses", of));
	return list;
}

static int list_all(struct agent *a, json_t *answer)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct hooks_found f = { json_array(), json_object() };
	int r = find_uses(a, f.uses, answer);

	json_object_set_new(answer, "hooks", f.list);
	if (!r) {
		r = hook_list(a->hooks_folder, &why, add_hook, &f);
		buf_put_u8(&why, '\0');
		/* No folder is an empty one. */
		put_refusal(answer, r < 0 && r != -ENOENT && !buf_error(&why) ?
			    (const char *)why.data : NULL);
		/* (of a folder that is refused nobody knows) */
		json_object_set_new(answer, "missing", r && r != -ENOENT ?
				    json_array() : missing_json(f.uses));
		r = r == -ENOMEM ? r : 0;
	}
	json_decref(f.uses);
	return r;
}

json_t *agent_hooks(struct agent *a, struct control_client *client,
		    const json_t *request)
{
	json_t *answer;
	int r = 0;

	(void)client;
	if (!a->hooks_folder)
		return control_error(-ENOENT, CONTROL_FAILED,
				     "this node has no folder of hooks");
	if (json_is_true(json_object_get(request, "make")))
		r = hook_folder_make(a->hooks_folder);
	if (r < 0)
		return control_error(r, CONTROL_FAILED, "%s: %s",
				     a->hooks_folder, strerror(-r));
	answer = json_pack("{s:b}", "ok", 1);
	agent_put_text(answer, "folder", "folder_hex",
		       SLICE_STR(a->hooks_folder));
	r = list_all(a, answer);
	if (!r)
		return answer;
	json_decref(answer);
	return control_error(r, CONTROL_FAILED, "cannot list them: %s",
			     strerror(-r));
}
