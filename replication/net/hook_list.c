/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin hooks`: the folder of this node's hooks, and what in it would be run.
 * It is judged here, by the daemon, since it is the daemon that would run it:
 * its user and its environment count, not the asker's.
 */
#include <errno.h>
#include <string.h>

#include "replication/net/agent_internal.h"
#include "replication/net/hook_dir.h"

static void put_refusal(json_t *o, const char *why)
{
	if (why)
		agent_put_text(o, "refused", "refused_hex", SLICE_STR(why));
	else
		json_object_set_new(o, "refused", json_null());
}

static int add_hook(void *arg, const char *name, const char *why)
{
	json_t *o = json_object();

	agent_put_text(o, "name", "name_hex", SLICE_STR(name));
	put_refusal(o, why);
	return json_array_append_new(arg, o) ? -ENOMEM : 0;
}

/* What is wrong with FOLDER.conf; null: nothing. */
static void put_trouble(struct agent *a, json_t *answer)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf conf;
	int r = a->handlers ? handlers_conf(a->handlers, &why, &conf) : 0;

	if (r)
		agent_put_text(answer, "configuration", "configuration_hex",
			       buf_slice(&why));
	else
		json_object_set_new(answer, "configuration", json_null());
	if (!r && a->handlers)
		handler_conf_release(&conf);
}

json_t *agent_hooks(struct agent *a, struct control_client *client,
		    const json_t *request)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	json_t *answer, *list;
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
	list = json_array();
	r = hook_list(a->hooks_folder, &why, add_hook, list);
	if (r == -ENOMEM) {
		json_decref(list);
		return control_error(r, CONTROL_FAILED, "%s", strerror(-r));
	}
	buf_put_u8(&why, '\0');
	answer = json_pack("{s:b}", "ok", 1);
	agent_put_text(answer, "folder", "folder_hex",
		       SLICE_STR(a->hooks_folder));
	/* No folder is an empty one. */
	put_refusal(answer, r < 0 && r != -ENOENT && !buf_error(&why) ?
		    (const char *)why.data : NULL);
	json_object_set_new(answer, "hooks", list);
	put_trouble(a, answer);
	return answer;
}
