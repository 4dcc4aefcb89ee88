/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for each name and each attribute that is shown at the end, whatever
 * was done. Unlike "as one after the other", they hold where the two are at
 * odds, which is where a merge decides:
 *
 *  - A name stands where somebody put it, and there are no more names of a
 *    file than people gave it; its link count is the number of its names.
 *  - Of two who moved one thing the later is followed; of two who moved
 *    directories into each other the earlier.
 *  - Attributes are somebody's; who changed one alone is followed, and of
 *    two the later. The same goes for the content that keeps the name.
 *  - What is done has its effect at once where it is done, and no other.
 *  - What is called a conflict is one, and two that came to one name are
 *    told apart: a directory keeps it, else the older placement; equal files
 *    are one.
 *
 * "Later" is of histories in which nobody acts twice: actions are a second
 * apart, in their order.
 */
#include "tests/pairs/look.h"

#include <stdio.h>
#include <string.h>

/* All that somebody saw: before, then what each saw after it. */
struct views {
	const struct look *before, *after, *final;
	int actors;
	bool once; /* actor k did action k and nothing else */
	int most;  /* who did several, or -1 */
};

/* He may have written it before he removed it: if that comes back, for what
 * somebody else did, then with all that it had. */
static bool was_touched(const struct views *v, int actor, struct objid id)
{
	return actor == v->most && !look_id(&v->after[actor], id);
}

static const struct look *view_at(const struct views *v, int k)
{
	return k ? &v->after[k - 1] : v->before;
}

/* ---- places */

static bool has_mark(const struct shown *s)
{
	return strstr(s->path, CONFLICT_MARK);
}

static bool same_name(const char *a, const char *b)
{
	const char *end_a = strstr(a, CONFLICT_MARK);
	const char *end_b = strstr(b, CONFLICT_MARK);
	size_t n = end_a ? (size_t)(end_a - a) : strlen(a);
	size_t m = end_b ? (size_t)(end_b - b) : strlen(b);

	return n == m && !memcmp(a, b, n);
}

/* (a directory that was merged into another has that one's id, and a name
 * under which somebody saw it) */
static bool same_parent(const struct views *v, const struct shown *was,
			const struct shown *is)
{
	if (!was || !is)
		return was == is;
	if (objid_equal(was->id, is->id))
		return true;
	for (int k = 0; !look_id(v->final, was->id) && k <= v->actors; k++) {
		const struct shown *x = look_id(view_at(v, k), was->id);

		if (x && same_name(path_base(x->path), path_base(is->path)))
			return true;
	}
	return false;
}

/* `is` is of the end. */
static bool same_place(const struct views *v, const struct look *in,
		       const struct shown *was, const struct shown *is)
{
	return same_name(path_base(was->path), path_base(is->path)) &&
	       same_parent(v, look_parent(in, was),
			   look_parent(v->final, is));
}

static bool stands_in(const struct views *v, const struct look *in,
		      const struct shown *s)
{
	for (size_t i = 0; i < in->count; i++)
		if (objid_equal(in->list[i].id, s->id) &&
		    same_place(v, in, &in->list[i], s))
			return true;
	return false;
}

static size_t names_of(const struct look *l, struct objid id)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		n += !l->list[i].is_sibling && objid_equal(l->list[i].id, id);
	return n;
}

static const char *judge_place(const struct views *v, const struct shown *s)
{
	size_t before = names_of(v->before, s->id), most = before;
	bool put = false;

	/* (or between two things that one of them did) */
	for (int a = 0; a < v->actors; a++)
		put |= was_touched(v, a, s->id);
	for (int k = 0; k <= v->actors; k++)
		put |= stands_in(v, view_at(v, k), s);
	if (!put)
		return judge_wrong("nobody put it there", s);
	for (int a = 0; a < v->actors; a++) {
		size_t n = names_of(&v->after[a], s->id);

		most += n > before ? n - before : 0;
	}
	/* (who links and then replaces the first name has one, as before) */
	if (v->most < 0 && names_of(v->final, s->id) > most)
		return judge_wrong("more names than anybody gave it", s);
	if (!s->is_dir && !s->is_sibling &&
	    s->links != names_of(v->final, s->id))
		return judge_wrong("its link count is wrong", s);
	return NULL;
}

static bool stays(const struct look *before, const struct shown *was,
		  const struct look *after, const struct shown *is)
{
	const struct shown *x = look_parent(before, was);
	const struct shown *y = look_parent(after, is);

	return same_name(path_base(was->path), path_base(is->path)) &&
	       (!x || !y ? x == y : objid_equal(x->id, y->id));
}

/* Of one name before and after: did the actor move it? */
static const struct shown *moved_by(const struct views *v, int actor,
				    struct objid id)
{
	const struct look *l = &v->after[actor];
	const struct shown *was = look_id(v->before, id), *is = look_id(l, id);

	if (!was || !is || names_of(v->before, id) > 1 || names_of(l, id) > 1)
		return NULL;
	return stays(v->before, was, l, is) ? NULL : is;
}

static const char *judge_moved_twice(const struct views *v,
				     const struct shown *s)
{
	int later = -1, times = 0;

	for (int a = 0; a < v->actors; a++)
		if (moved_by(v, a, s->id)) {
			later = a;
			times++;
		}
	/* (a link that somebody made is another name) */
	if (times < 2 || names_of(v->final, s->id) > 1 ||
	    stands_in(v, &v->after[later], s))
		return NULL;
	return judge_wrong("not where the later put it", s);
}

/* Each into the other: the earlier holds. */
static const char *judge_cycle(const struct views *v, const struct shown *s)
{
	const struct shown *x = moved_by(v, 0, s->id), *y, *other;

	for (size_t i = 0; x && s->is_dir && i < v->final->count; i++) {
		other = &v->final->list[i];
		y = other->is_dir ? moved_by(v, 1, other->id) : NULL;
		if (!y || moved_by(v, 1, s->id) || moved_by(v, 0, other->id))
			continue;
		y = look_id(&v->after[0], other->id);
		if (!y || !path_is_below(x->path, y->path))
			continue;
		y = look_id(&v->after[1], s->id);
		if (!y || !path_is_below(moved_by(v, 1, other->id)->path,
					 y->path))
			continue;
		if (!stands_in(v, &v->after[0], s))
			return judge_wrong("the earlier move is undone", s);
		if (!stands_in(v, v->before, other))
			return judge_wrong("not where it was before", other);
	}
	return NULL;
}

/* ---- attributes */

static bool has_sibling(const struct look *l, struct objid id)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->list[i].is_sibling && objid_equal(l->list[i].id, id))
			return true;
	return false;
}

static const char *const field_names[FIELDS] = {
	"mode", "owner", "times", "extended attributes"
};

static const char *judge_field(const struct views *v, const struct shown *s,
			       int f)
{
	static char what[80];
	const struct shown *was = look_id(v->before, s->id), *x, *last = NULL;
	bool somebodys = false, changed = false;

	for (int a = 0; a < v->actors; a++) {
		x = look_id(&v->after[a], s->id);
		/* (a settlement takes the times of what it takes) */
		if (f == FIELD_TIMES && has_sibling(v->before, s->id))
			return NULL;
		/* (emptying a directory sets its times, and it may return) */
		if ((!x && s->is_dir && f == FIELD_TIMES) ||
		    was_touched(v, a, s->id))
			return NULL;
		/* (there and back) */
		if (x && a == v->most)
			somebodys |= x->fields[f] == s->fields[f];
		if (!x || (was && was->fields[f] == x->fields[f]))
			continue;
		last = x;
		changed = true;
		somebodys |= x->fields[f] == s->fields[f];
	}
	if (!changed && !somebodys)
		somebodys = was && was->fields[f] == s->fields[f];
	if (somebodys && (!v->once || !last ||
			  last->fields[f] == s->fields[f]))
		return NULL;
	snprintf(what, sizeof(what), "its %s: %s", field_names[f],
		 somebodys ? "not of the later" : "not of who changed them");
	return judge_wrong(what, s);
}

static const char *judge_fields(const struct views *v, const struct shown *s)
{
	const char *r = NULL;

	for (int f = 0; !s->is_sibling && !r && f < FIELDS; f++)
		r = judge_field(v, s, f);
	return r;
}

/* ---- conflicts */

/* The text that the actor gave it, or NULL. */
static const char *text_by(const struct views *v, int actor, struct objid id)
{
	const struct shown *was = look_id(v->before, id);
	const struct shown *is = look_id(&v->after[actor], id);

	return is && was && strcmp(is->text, was->text) ? is->text : NULL;
}

static const char *judge_sibling(const struct views *v, const struct shown *s)
{
	const struct shown *main = look_id(v->final, s->id);
	const char *text = NULL, *latest = NULL;
	bool conflict = false;

	for (int a = 0; a < v->actors; a++) {
		const char *x = text_by(v, a, s->id);

		conflict |= was_touched(v, a, s->id) ||
			    (x && text && strcmp(x, text));
		text = text ? text : x;
		latest = x ? x : latest;
	}
	if (has_sibling(v->before, s->id))
		return NULL;
	if (!conflict)
		return judge_wrong("a sibling of nothing", s);
	if (v->once && main && strcmp(main->text, latest))
		return judge_wrong("the earlier content has the name", main);
	return NULL;
}

/* Somebody else has, or had, another of this name. */
static bool is_rival(const struct views *v, const struct shown *s)
{
	for (int a = 0; a < v->actors; a++)
		for (size_t i = 0; i < v->after[a].count; i++) {
			const struct shown *x = &v->after[a].list[i];

			if (!objid_equal(x->id, s->id) &&
			    same_name(path_base(x->path), path_base(s->path)))
				return true;
		}
	return false;
}

static const struct shown *plain_of(const struct look *l,
				    const struct shown *s)
{
	for (size_t i = 0; i < l->count; i++)
		if (!has_mark(&l->list[i]) &&
		    same_name(path_base(l->list[i].path), path_base(s->path)) &&
		    look_parent(l, &l->list[i]) == look_parent(l, s))
			return &l->list[i];
	return NULL;
}

static const char *judge_suffixed(const struct views *v,
				  const struct shown *s)
{
	const struct shown *plain = plain_of(v->final, s);

	if (s->is_dir)
		return judge_wrong("a directory lost its name", s);
	/* (it was saved under a name that had been a sibling's; or was in
	 * conflict before) */
	for (int k = 0; k <= v->actors; k++) {
		const struct shown *x = look_id(view_at(v, k), s->id);

		if (x && has_mark(x))
			return NULL;
	}
	if (!plain || !is_rival(v, s))
		return judge_wrong("a conflict with nothing", s);
	if (!plain->is_dir && !strcmp(plain->text, s->text) &&
	    plain->fields[FIELD_MODE] == s->fields[FIELD_MODE] &&
	    plain->links == 1 && s->links == 1 &&
	    !has_sibling(v->final, s->id) && !has_sibling(v->final, plain->id))
		return judge_wrong("equal files are told apart", s);
	return NULL;
}

/* ---- two that come to one free name */

static const char *place_of(const struct action *a)
{
	switch (a->kind) {
	case ACT_CREATE:
	case ACT_SYMLINK:
	case ACT_MKDIR:
		return a->at;
	case ACT_RENAME:
	case ACT_MOVE:
	case ACT_LINK:
		return a->to;
	default:
		return NULL;
	}
}

static const char *judge_one_name(const struct story *st,
				  const struct views *v)
{
	const char *at = place_of(st->action[0]);
	const char *to = place_of(st->action[1]);
	const struct shown *first, *second, *there;

	if (!at || !to || strcmp(at, to))
		return NULL;
	/* (what is shown back from a cycle is pinned by any other move) */
	for (int k = 0; k < 2; k++)
		if (st->open && !strncmp(st->action[k]->at, "d/q", 3))
			return NULL;
	first = look_path(&v->after[0], at);
	second = look_path(&v->after[1], at);
	there = look_path(v->final, at);
	if (!first || !second || objid_equal(first->id, second->id))
		return NULL;
	if (!there)
		return judge_wrong("nothing has the name", first);
	if (first->is_dir && second->is_dir) {
		bool older = objid_compare(first->id, second->id) < 0;

		return objid_equal(there->id, older ? first->id : second->id)
			       ? NULL
			       : judge_wrong("merged under the newer", there);
	}
	if (first->is_dir || second->is_dir)
		return there->is_dir ? NULL
				     : judge_wrong("a file has the name of a "
						   "directory", there);
	/* (equal files are one, and have the name of either) */
	if (strcmp(there->text, first->text))
		return judge_wrong("the later placement has the name", there);
	return NULL;
}

/* ---- what is done is done at once, where it is done */

static const struct shown *find_at(const struct look *l, const char *at)
{
	for (size_t i = 0; i < l->count; i++)
		if (strchr(at, '*') ? shown_is_of(&l->list[i], at)
				    : !strcmp(l->list[i].path, at))
			return &l->list[i];
	return NULL;
}

static bool same_thing(const struct shown *a, const struct shown *b)
{
	return a && b && a->is_dir == b->is_dir &&
	       (a->is_dir ? objid_equal(a->id, b->id)
			  : !strcmp(a->text, b->text));
}

static const char *judge_effect(const struct views *v, const struct action *a,
				int actor)
{
	const struct look *after = &v->after[actor];
	const struct shown *was = find_at(v->before, a->at);
	const struct shown *is = find_at(after, a->at);
	const struct shown *to = a->to ? find_at(after, a->to) : NULL;

	switch (a->kind) {
	case ACT_EXCHANGE:
		if (!same_thing(find_at(v->before, a->to), is))
			return judge_wrong("not exchanged", was);
		/* fall through */
	case ACT_RENAME:
	case ACT_MOVE:
	case ACT_OVER:
	case ACT_LINK:
		return same_thing(was, to) ? NULL
					   : judge_wrong("not moved", was);
	case ACT_UNLINK:
	case ACT_RMDIR:
	case ACT_REMOVE_ALL:
		return same_thing(was, is) ? judge_wrong("not removed", was)
					   : NULL;
	default:
		return NULL;
	}
}

/* Names that it is about, or that follow from these. */
static bool is_touched(const struct action *a, const struct shown *s)
{
	const char *at[] = {a->at, a->to};

	/* (neither a write nor attributes touch what stands beside) */
	if (a->kind >= ACT_WRITE && a->kind <= ACT_XATTR_REMOVE)
		return shown_is_of(s, a->at);
	for (int k = 0; k < 2; k++) {
		char base[32];
		size_t n;

		if (!at[k])
			continue;
		n = strcspn(at[k], "*");
		snprintf(base, sizeof(base), "%.*s", (int)n, at[k]);
		if (path_is_below(s->path, base) ||
		    (!strncmp(s->path, base, n) && same_name(s->path, base)))
			return true;
	}
	return false;
}

/* All else is as it was. */
static const char *judge_rest(const struct views *v, const struct action *a,
			      int actor)
{
	const struct look *after = &v->after[actor];
	const struct shown *what = find_at(v->before, a->at);

	for (size_t i = 0; i < v->before->count; i++) {
		const struct shown *s = &v->before->list[i];
		bool is = is_touched(a, s);

		/* (siblings stand beside one of the names) */
		for (size_t k = 0; a->kind == ACT_REMOVE_ALL && s->is_sibling &&
				   k < v->before->count;
		     k++)
			is |= objid_equal(v->before->list[k].id, s->id) &&
			      is_touched(a, &v->before->list[k]);
		for (size_t k = 0; !is && k < after->count; k++) {
			const struct shown *x = &after->list[k];

			/* (the other names of what is written) */
			is = !strcmp(x->path, s->path) &&
			     objid_equal(x->id, s->id) &&
			     (!strcmp(x->text, s->text) ||
			      (what && !s->is_sibling &&
			       objid_equal(what->id, s->id)));
		}
		if (!is)
			return judge_wrong("touched, too", s);
	}
	return NULL;
}

const char *story_judge_form(const struct story *st, const struct look *before,
			     const struct look after[], int actors,
			     const struct look *final)
{
	struct views v = {
		before, after, final, actors, st->count == actors, -1,
	};
	const char *r = NULL;

	for (int k = 0; k < st->count; k++) {
		v.once = v.once && st->actor[k] == k;
		if (k && st->actor[k] == st->actor[k - 1])
			v.most = st->actor[k];
	}
	for (size_t i = 0; !r && i < final->count; i++) {
		const struct shown *s = &final->list[i];

		r = judge_place(&v, s);
		if (!r)
			r = judge_fields(&v, s);
		if (!r && v.once)
			r = judge_moved_twice(&v, s);
		if (!r && v.once && actors == 2)
			r = judge_cycle(&v, s);
		if (!r && s->is_sibling)
			r = judge_sibling(&v, s);
		else if (!r && has_mark(s))
			r = judge_suffixed(&v, s);
	}
	for (int k = 0; !r && v.once && k < actors; k++)
		r = judge_effect(&v, st->action[k], k);
	for (int k = 0; !r && v.once && k < actors; k++)
		r = judge_rest(&v, st->action[k], k);
	if (!r && v.once && actors == 2)
		r = judge_one_name(st, &v);
	return r;
}
