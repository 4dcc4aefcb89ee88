/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about what was decided without asking (fs/tree/decided.h): the
 * list, taking one back, and the other name of a file.
 *
 * The tree knows authors by the numbers of their operations; here they get
 * the labels that `kin status` shows. And here is said in plain words why a
 * decision went as it did, so that all that show it say the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/decided.h"
#include "replication/net/agent_internal.h"

/* ---- words */

static const char *kind_name(enum decision_kind kind)
{
	switch (kind) {
	case DECISION_RENAME:
		return "rename";
	case DECISION_MODE:
		return "mode";
	case DECISION_OWNER:
		return "owner";
	case DECISION_TIMES:
		return "times";
	case DECISION_XATTR:
		return "xattr";
	case DECISION_CYCLE:
		return "cycle";
	case DECISION_REVIVED:
		return "revived";
	case DECISION_REVERTED:
		return "reverted";
	case DECISION_POLICY:
		return "policy";
	case DECISION_SETTLED:
		return "settled";
	}
	return "other";
}

static const char *why(const struct decision *d)
{
	switch (d->kind) {
	case DECISION_RENAME:
		return "it was renamed in several places; a name can move to "
		       "one place only, and the later rename holds";
	case DECISION_CYCLE:
		return "directories were moved into each other; the latest of "
		       "these moves gives way, and the directory is where it "
		       "was before";
	case DECISION_REVIVED:
		if (d->is_dir)
			return "it was removed by somebody who had not seen "
			       "what was made or changed in it";
		return "it was removed by somebody who had not seen the "
		       "edit; an edit beats a removal";
	case DECISION_REVERTED:
		return "one only put an older content back, the other wrote "
		       "a new one; the new one holds";
	case DECISION_POLICY:
		return "it was written in several places; the directory's "
		       "policy says which shows, and the next write replaces "
		       "them all";
	case DECISION_SETTLED:
		if (d->asked)
			return "it was written in several places, and settled; "
			       "this node's history has what that replaced";
		return "it was written in several places, and a policy or a "
		       "hook made one of it; this node's history has what "
		       "that replaced";
	case DECISION_MODE:
	case DECISION_OWNER:
	case DECISION_TIMES:
	case DECISION_XATTR:
		break;
	}
	return "it was set in several places; the later one holds";
}

static bool undo_is_refused(const struct decision *d)
{
	return d->kind == DECISION_REVIVED && d->is_dir;
}

/* ---- one decision as JSON */

/* As many members as there ever were, for their labels. */
struct people {
	struct core *core;
	struct core_member *all;
	size_t count;
};

static int people_init(struct people *p, struct core *core)
{
	p->core = core;
	p->all = calloc(MEMBERS_MAX, sizeof(*p->all));
	p->count = p->all ? core_members(core, p->all, MEMBERS_MAX) : 0;
	return p->all ? 0 : -ENOMEM;
}

static void people_release(struct people *p)
{
	free(p->all);
	p->all = NULL;
}

static struct slice label_of(const struct people *p,
			     const struct device *device)
{
	for (size_t k = 0; k < p->count; k++)
		if (!memcmp(&p->all[k].device, device, sizeof(*device)))
			return SLICE_STR(p->all[k].label);
	return SLICE("", 0);
}

static void put_author(const struct people *p, json_t *o,
		       const struct decision_side *s)
{
	struct slice label = s->label;
	struct device device;
	uint8_t origin[8];
	char node[MAX_OF(DEVICE_TEXT_BYTES, 2 * sizeof(origin) + 1)];

	put_be64(origin, s->dot.origin);
	if (core_author(p->core, s->dot.origin, s->label, &device)) {
		device_format(&device, node);
		if (!label.len)
			label = label_of(p, &device);
	} else {
		hex_encode(origin, sizeof(origin), node);
	}
	agent_put_text(o, "label", "label_hex", label);
	json_object_set_new(o, "node", json_string(node));
	json_object_set_new(o, "time", json_integer(s->time.tv_sec));
}

static json_t *side_json(const struct people *p, const struct decision *d,
			 const struct decision_side *s)
{
	json_t *o = json_object();
	bool chosen = s == &d->chosen;

	if (d->kind == DECISION_REVIVED)
		json_object_set_new(o, "value", json_string(chosen ? "kept" :
								"removed"));
	else if (d->kind == DECISION_REVERTED)
		json_object_set_new(o, "value", json_string(
			chosen ? "new content" : "older content"));
	else if (d->kind == DECISION_POLICY)
		json_object_set_new(o, "value", json_sprintf(
			chosen ? "shown by policy %.*s" : "hidden",
			(int)s->value.len, (const char *)s->value.data));
	else if (d->kind == DECISION_SETTLED)
		json_object_set_new(o, "value", json_string(
			chosen ? "what was made of them" : "replaced"));
	else if (s->none)
		json_object_set_new(o, "value", json_null());
	else
		agent_put_text(o, "value", "value_hex", s->value);
	put_author(p, o, s);
	return o;
}

static json_t *decision_json(const struct people *p, const struct decision *d)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", json_string(d->id));
	json_object_set_new(o, "kind", json_string(kind_name(d->kind)));
	agent_put_text(o, "path", "path_hex", d->path);
	json_object_set_new(o, "directory", json_boolean(d->is_dir));
	json_object_set_new(o, "automatic", json_boolean(!d->asked));
	if (d->kind == DECISION_XATTR)
		agent_put_text(o, "xattr", "xattr_hex", d->xattr);
	json_object_set_new(o, "chosen", side_json(p, d, &d->chosen));
	json_object_set_new(o, "lost", side_json(p, d, &d->lost));
	json_object_set_new(o, "why", json_string(why(d)));
	json_object_set_new(o, "can_undo",
			    json_boolean(!undo_is_refused(d)));
	return o;
}

/* ---- the list */

struct picked {
	struct people people;
	json_t *json;
	struct slice id, path;	/* only those; NULL data: all */
	bool settled;		/* also what people settled */
};

static int pick(void *arg, const struct decision *d)
{
	struct picked *p = arg;

	if (p->id.data && !slice_equal(p->id, SLICE_STR(d->id)))
		return 0;
	if (p->path.data && !slice_equal(p->path, d->path))
		return 0;
	if (d->asked && !p->settled)
		return 0;
	return json_array_append_new(p->json, decision_json(&p->people, d)) ?
		-ENOMEM : 0;
}

static int pick_all(struct agent *a, struct slice top, struct picked *p)
{
	uint64_t ino;
	int r = people_init(&p->people, a->core);

	p->json = json_array();
	if (!r)
		r = tree_resolve_path(a->tree, top, &ino);
	if (!r)
		r = tree_decided(a->tree, ino, pick, p);
	people_release(&p->people);
	return r;
}

json_t *agent_decided(struct agent *a, struct control_client *client,
		      const json_t *request)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	struct picked p = { .json = NULL, .settled = json_is_true(
				json_object_get(request, "settled")) };
	int r = agent_get_path(request, &path);

	(void)client;
	if (!r)
		r = pick_all(a, buf_slice(&path), &p);
	if (r) {
		json_decref(p.json);
		return agent_path_error(r, &path);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "decisions", p.json);
}

/* ---- taking back */

static json_t *undo_error(int r, const char *id)
{
	const char *what;

	switch (r) {
	case -ENOENT:
		what = "no such decision any more, or the directory of the "
		       "other place is gone; `kin conflicts --decided` lists "
		       "what there is";
		break;
	case -EEXIST:
		what = "something else has the other name now; move that away "
		       "first";
		break;
	case -EINVAL:
		what = "the other place lies in the directory itself now; "
		       "move what is between out of it first";
		break;
	case -ENOTEMPTY:
		what = "who removed the directory had never seen what is in "
		       "it; remove that, and the directory goes with it";
		break;
	case -EBUSY:
		what = "the file has several versions; settle them first, see "
		       "`kin conflicts`";
		break;
	case -ENODATA:
		what = "the other content is not here";
		break;
	case -EAGAIN:
		what = "a newer content of the file is on its way; look at "
		       "that first";
		break;
	default:
		what = strerror(-r);
	}
	return control_error(r, CONTROL_FAILED, "%s: %s", id, what);
}

static json_t *not_one(const struct buf *path, size_t n)
{
	const char *p = path->data ? (const char *)path->data : "";
	int len = (int)path->len;

	if (n)
		return control_error(-EEXIST, CONTROL_FAILED, "%.*s: %zu "
				     "things were decided about it; give the "
				     "id of one, `kin conflicts --decided` "
				     "lists them", len, p, n);
	return control_error(-ENODATA, CONTROL_FAILED, "%.*s: nothing about "
			     "it was decided without asking, or settled and "
			     "not written since; `kin log` lists its earlier "
			     "contents", len, p);
}

json_t *agent_undo(struct agent *a, struct control_client *client,
		   const json_t *request)
{
	const char *id = json_string_value(json_object_get(request, "id"));
	bool dry_run = json_is_true(json_object_get(request, "dry_run"));
	cleanup(buf_release) struct buf path = BUF_INIT;
	struct picked p = { .json = NULL };
	json_t *decision, *answer;
	int r = id ? 0 : agent_get_path(request, &path);

	if (id)
		p.id = SLICE_STR(id);
	else if (!r && path.len)
		p.path = buf_slice(&path);
	if (r || (!id && !path.len))
		return agent_path_error(r ? r : -EINVAL, &path);
	r = pick_all(a, p.path, &p);
	/* (of what people settled nobody has to choose, if that is all) */
	if (!r && !json_array_size(p.json)) {
		json_decref(p.json);
		p.settled = true;
		r = pick_all(a, p.path, &p);
	}
	if (r || json_array_size(p.json) != 1) {
		answer = r ? agent_path_error(r, &path) :
			 id ? undo_error(-ENOENT, id) :
			      not_one(&path, json_array_size(p.json));
		json_decref(p.json);
		return answer;
	}
	decision = json_array_get(p.json, 0);
	id = json_string_value(json_object_get(decision, "id"));
	if (!dry_run)
		r = tree_undo(a->tree, SLICE_STR(id));
	else if (!json_is_true(json_object_get(decision, "can_undo")))
		r = -ENOTEMPTY;
	answer = r ? undo_error(r, id) :
		 json_pack("{s:b, s:O}", "ok", 1, "decision", decision);
	json_decref(p.json);
	return r || dry_run ? answer : agent_answer_shown(a, client, answer);
}

/* ---- the other name */

static json_t *swap_error(int r, const struct buf *path)
{
	const char *p = path->data ? (const char *)path->data : "";
	int len = (int)path->len;

	switch (r) {
	case -ENODATA:
		return control_error(r, CONTROL_FAILED, "%.*s: was not "
				     "renamed in several places", len, p);
	case -ENOTUNIQ:
		return control_error(r, CONTROL_FAILED, "%.*s: has several "
				     "other names; take one by `kin undo ID`, "
				     "`kin conflicts --decided` lists them",
				     len, p);
	case -ENOENT:
		return control_error(r, CONTROL_FAILED, "%.*s: no such file, "
				     "or the directory of its other name is "
				     "gone", len, p);
	case -EEXIST:
		return control_error(r, CONTROL_FAILED, "%.*s: something else "
				     "has its other name now", len, p);
	case -EINVAL:
		return control_error(r, CONTROL_FAILED, "%.*s: its other "
				     "place lies in the directory itself now",
				     len, p);
	}
	return agent_path_error(r, path);
}

json_t *agent_swap(struct agent *a, struct control_client *client,
		   const json_t *request)
{
	cleanup(buf_release) struct buf path = BUF_INIT, now = BUF_INIT;
	struct slice dir, name;
	uint64_t parent, ino;
	json_t *answer;
	int r = agent_get_path(request, &path);

	if (r || !path.len)
		return agent_path_error(r ? r : -EINVAL, &path);
	agent_split_path(buf_slice(&path), &dir, &name);
	r = tree_resolve_path(a->tree, dir, &parent);
	if (!r)
		r = tree_resolve_path(a->tree, buf_slice(&path), &ino);
	if (!r)
		r = tree_swap(a->tree, parent, name);
	if (r)
		return swap_error(r, &path);
	answer = json_pack("{s:b}", "ok", 1);
	if (!tree_path(a->tree, ino, &now))
		agent_put_text(answer, "path", "path_hex", buf_slice(&now));
	return agent_answer_shown(a, client, answer);
}
