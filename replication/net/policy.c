/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about policies (fs/tree/policy.h): which holds for a file or a
 * directory, where it is set, and setting and ending one.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree/policy.h"
#include "replication/net/agent_internal.h"

static json_t *policy_error(int r, const struct buf *path, const char *rule)
{
	const char *p = path->len ? (const char *)path->data : ".";
	int len = path->len ? (int)path->len : 1;

	switch (r) {
	case -ENOTDIR:
		return control_error(r, CONTROL_FAILED, "%.*s: a policy is set "
				     "for a directory, and holds for what is "
				     "in it", len, p);
	case -ENODATA:
		return control_error(r, CONTROL_FAILED, "%.*s: has no policy "
				     "of its own", len, p);
	case -EINVAL:
		if (!rule)
			break;
		return control_error(r, CONTROL_USAGE, "%s: no such policy; "
				     "there are keep, latest, "
				     "node:LABEL[,LABEL...], merge, union and "
				     "hook:NAME[@LABEL]", rule);
	}
	return agent_path_error(r, path);
}

static int change(struct tree *t, uint64_t ino, const char *rule)
{
	struct attr at;
	int r = tree_getattr(t, ino, &at);

	if (r)
		return r;
	if (!S_ISDIR(at.mode))
		return -ENOTDIR;
	return rule ? tree_setxattr(t, ino, SLICE_STR(XATTR_POLICY),
				    SLICE_STR(rule), 0)
		    : tree_removexattr(t, ino, SLICE_STR(XATTR_POLICY));
}

static json_t *found_json(struct tree *t, uint64_t ino,
			  const struct policy_found *p)
{
	cleanup(buf_release) struct buf from = BUF_INIT;
	json_t *o = json_pack("{s:b, s:b, s:b}", "ok", 1,
			      "own", p->set && p->dir == ino,
			      "understood", p->understood);

	agent_put_text(o, "rule", "rule_hex",
		       p->set ? SLICE(p->text, p->text_len)
			      : SLICE_STR("keep"));
	if (p->set && !tree_path(t, p->dir, &from))
		agent_put_text(o, "from", "from_hex",
			       from.len ? buf_slice(&from) : SLICE("", 0));
	else
		json_object_set_new(o, "from", json_null());
	return o;
}

json_t *agent_policy(struct agent *a, struct control_client *client,
		     const json_t *request)
{
	const char *rule = json_string_value(json_object_get(request, "rule"));
	bool clear = json_is_true(json_object_get(request, "clear"));
	cleanup(buf_release) struct buf path = BUF_INIT;
	struct policy_found found;
	json_t *answer;
	uint64_t ino;
	int r = agent_get_path(request, &path);

	if (r)
		return agent_path_error(r, &path);
	r = tree_resolve_path(a->tree, buf_slice(&path), &ino);
	if (!r && (rule || clear))
		r = change(a->tree, ino, rule);
	if (!r)
		r = tree_policy(a->tree, ino, &found);
	if (r)
		return policy_error(r, &path, rule);
	answer = found_json(a->tree, ino, &found);
	return rule || clear ? agent_answer_shown(a, client, answer) : answer;
}
