/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four rules, each from what was seen:
 *
 *  - Nothing is lost: what is shown to all after what each of them did, and
 *    what any of them made, is shown at the end, under whatever name.
 *  - Care counts for more than removal: what one removed and another moved,
 *    linked or put something into, not knowing that, is shown at the end.
 *  - Nothing comes back: what somebody removed or replaced, and nobody else
 *    cared for at the same time, is not shown. Attributes are no care.
 *  - Where the two can be done one after the other, the result is that of
 *    an order: of both if they give the same; of the one that can be done;
 *    and of either, if they differ, but for what conflicts: then what both
 *    made is shown, and only names differ.
 *
 * Where they are at odds, judge_form.c looks at names and attributes.
 */
#include "tests/pairs/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char why[900];

const char *judge_wrong(const char *what, const struct shown *s)
{
	snprintf(why, sizeof(why), "%s: '%s' \"%s\"", what, s->path, s->text);
	return why;
}

bool path_is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && path[n] == '/';
}

static bool is_about(const char *path, const char *at)
{
	return !strcmp(path, at) ||
	       (!strcmp(path, "d/f") && !strcmp(at, "e/l")) ||
	       (!strcmp(path, "e/l") && !strcmp(at, "d/f"));
}

/* "d/g*a" is the sibling of d/g that a wrote. */
static bool is_sibling_of(const struct shown *s, const char *at)
{
	const char *star = strchr(at, '*');
	const char *mark = strstr(s->path, CONFLICT_MARK);
	char base[32], path[32], text[TEXT_BYTES_MAX];

	if (!star || !mark)
		return false;
	snprintf(base, sizeof(base), "%.*s", (int)(star - at), at);
	snprintf(path, sizeof(path), "%.*s", (int)(mark - s->path), s->path);
	snprintf(text, sizeof(text), CONFLICT_TEXT, star[1], base);
	return is_about(path, base) && !strcmp(s->text, text);
}

bool shown_is_of(const struct shown *s, const char *at)
{
	return is_about(s->path, at) || is_sibling_of(s, at);
}

static const struct shown *find_same(const struct look *l,
				     const struct shown *s)
{
	return s->is_dir ? look_id(l, s->id) : look_text(l, s->text);
}

/* Is there a directory of that name, in what the other stood in? */
static bool is_in_place(const struct look *in, const struct shown *was,
			const struct look *final)
{
	const struct shown *dir = look_parent(in, was), *x, *d;

	for (size_t i = 0; i < final->count; i++) {
		x = &final->list[i];
		d = look_parent(final, x);
		if (x->is_dir &&
		    !strcmp(path_base(x->path), path_base(was->path)) &&
		    (!dir || !d ? dir == d : objid_equal(dir->id, d->id)))
			return true;
	}
	return false;
}

/* Merged with another: a name that somebody saw it under is a directory. */
static bool is_merged(const struct look after[], int actors,
		      const struct look *final, const struct shown *s)
{
	for (int a = 0; s->is_dir && a < actors; a++) {
		const struct shown *x = look_id(&after[a], s->id);
		const struct shown *there = x ? look_path(final, x->path)
					      : NULL;

		if ((there && there->is_dir) ||
		    (x && is_in_place(&after[a], x, final)))
			return true;
	}
	return false;
}

static size_t name_count(const struct look *l, struct objid id)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		n += !l->list[i].is_sibling && objid_equal(l->list[i].id, id);
	return n;
}

static bool has_name(const struct look *l, const struct shown *s)
{
	for (size_t i = 0; i < l->count; i++)
		if (objid_equal(l->list[i].id, s->id) &&
		    !strcmp(l->list[i].path, s->path))
			return true;
	return false;
}

/* Of a file of several names each was taken away by somebody. */
static bool is_unnamed(const struct look *before, const struct look after[],
		       int actors, const struct shown *s)
{
	size_t names = name_count(before, s->id);

	for (size_t i = 0; i < before->count; i++) {
		const struct shown *x = &before->list[i];
		bool taken = false;

		if (x->is_sibling || !objid_equal(x->id, s->id))
			continue;
		for (int a = 0; a < actors; a++)
			taken |= name_count(&after[a], s->id) < names &&
				 !has_name(&after[a], x);
		if (!taken)
			return false;
	}
	return names > 1;
}

/* ---- lost */

static const char *judge_lost(const struct look *before,
			      const struct look after[], int actors,
			      const struct look *final)
{
	for (int a = 0; a < actors; a++) {
		for (size_t i = 0; i < after[a].count; i++) {
			const struct shown *s = &after[a].list[i];
			bool all = true;

			for (int b = 0; b < actors; b++)
				all = all && find_same(&after[b], s);
			if (!all && find_same(before, s))
				continue; /* somebody did away with it */
			if (find_same(final, s) ||
			    is_merged(after, actors, final, s) ||
			    (!s->is_dir &&
			     is_unnamed(before, after, actors, s)))
				continue;
			return judge_wrong("lost", s);
		}
	}
	return NULL;
}

/* ---- back */

/* A file that is written, or anything that is placed, is to be there; so is
 * where it is placed. */
static bool cares_at(const struct shown *s, const char *at)
{
	return shown_is_of(s, at) || path_is_below(s->path, at) ||
	       (s->is_dir && path_is_below(at, s->path));
}

/* Who takes a sibling away, or settles for main, says what main is. */
static bool asserts_main(const struct action *a, const struct shown *s)
{
	const char *star = strchr(a->at, '*');
	char main[32];

	snprintf(main, sizeof(main), "%.*s",
		 star ? (int)(star - a->at) : (int)strlen(a->at), a->at);
	return (a->kind == ACT_RESOLVE || (star && a->kind != ACT_WRITE)) &&
	       is_about(s->path, main);
}

static bool cares(const struct action *a, const struct shown *s)
{
	if (asserts_main(a, s))
		return true;
	switch (a->kind) {
	case ACT_CHMOD:
	case ACT_CHOWN:
	case ACT_UTIMENS:
	case ACT_XATTR_SET:
	case ACT_XATTR_REMOVE:
	case ACT_UNLINK:
	case ACT_RMDIR:
	case ACT_REMOVE_ALL:
		return false;
	default:
		return cares_at(s, a->at) || (a->to && cares_at(s, a->to));
	}
}

/* Has the file other bytes where somebody wrote it? Whoever cares for it
 * has these. */
static bool is_replaced(const struct look *after, const struct shown *s)
{
	const struct shown *is = look_id(after, s->id);

	return is && !s->is_sibling && strcmp(is->text, s->text);
}

/* (and if it was removed then: was it, by its path?) */
static bool may_be_replaced(const struct action *a, const struct shown *s)
{
	return (a->kind == ACT_WRITE || a->kind == ACT_TRUNCATE ||
		a->kind == ACT_SAVE) &&
	       !s->is_dir && shown_is_of(s, a->at);
}

/*
 * Whoever moves or removes d/q, which is not where its LINK says because that
 * closes a cycle, or something in it, pins it to where he sees it: to who
 * removed it that is as if he had moved it there. So it is with the other
 * name, e/u, if one of two weak ones is moved.
 */
static bool is_pinned(const struct story *st, const char *path)
{
	if (!st->open || (strcmp(path, "d/q") && strcmp(path, "d") &&
			  strcmp(path, "e")))
		return false;
	for (int k = 0; k < st->count; k++) {
		const struct action *a = st->action[k];

		if (!strncmp(a->at, "d/q", 3) || !strcmp(a->at, "d/u") ||
		    (a->to && !strncmp(a->to, "d/q", 3)) ||
		    (a->kind == ACT_REMOVE_ALL && path_is_below("d/q", a->at)))
			return true;
	}
	return false;
}

/* The main of an open conflict: who settles for something else, or writes
 * it, has not heard that the other asserted it by taking a sibling away. */
static bool may_be_asserted(const struct story *st, const struct shown *s)
{
	if (is_pinned(st, s->path))
		return true;
	for (int k = 0; k < st->count; k++) {
		const struct action *a = st->action[k];

		/* (sibling by sibling, and then the names; who edits one of
		 * them brings all of the file back) */
		if ((st->open && a->kind == ACT_REMOVE_ALL &&
		     (path_is_below(s->path, a->at) ||
		      (is_about(s->path, "d/f") &&
		       path_is_below("d/f", a->at)))))
			return true;
	}
	return false;
}

static const char *judge_back(const struct story *st,
			      const struct look *before,
			      const struct look after[], int actors,
			      const struct look *final)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct shown *s = &before->list[i];
		bool gone = false, cared = false, replaced = false;

		for (int a = 0; a < actors; a++)
			gone = gone || !find_same(&after[a], s);
		for (int k = 0; k < st->count; k++) {
			bool did = !find_same(&after[st->actor[k]], s);

			replaced |= is_replaced(&after[st->actor[k]], s);
			cared |= !did && cares(st->action[k], s);
		}
		if ((replaced || st->open) && may_be_asserted(st, s))
			continue;
		/* (what he removed may have stood in it, between two things
		 * that he did) */
		if (s->is_dir && st->count > actors)
			continue;
		if (gone && (replaced || !cared) && find_same(final, s))
			return judge_wrong("back", s);
	}
	return NULL;
}

/* ---- cared for, and removed by somebody who did not know */

/*
 * Is something put into it? An edit of a file that has other names brings
 * none of them back; and what is moved into it somebody else, a third, may
 * have moved away.
 */
static bool fills(const struct action *a, const char *dir, int actors)
{
	switch (a->kind) {
	case ACT_CREATE:
	case ACT_SYMLINK:
	case ACT_MKDIR:
		return path_is_below(a->at, dir);
	case ACT_WRITE:
	case ACT_TRUNCATE:
		return actors == 2 && path_is_below(a->at, dir) &&
		       strncmp(a->at, "d/f", 3) && strcmp(a->at, "e/l");
	case ACT_SAVE:
		return actors == 2 && path_is_below(a->at, dir);
	case ACT_RENAME:
	case ACT_MOVE:
	case ACT_OVER:
	case ACT_LINK:
		return actors == 2 && path_is_below(a->to, dir);
	case ACT_EXCHANGE:
		return actors == 2 && (path_is_below(a->at, dir) ||
				       path_is_below(a->to, dir));
	default:
		return false;
	}
}

/*
 * Moved with the directory, and removed with all of it, by nobody else.
 * (That brings a directory back weakly: it is shown if there is something in
 * it.)
 */
static bool goes_along(const struct look *before, const struct look after[],
		       int actors, const struct shown *s, const char *dir)
{
	const struct shown *d = path_is_below(s->path, dir)
					? look_path(before, dir)
					: NULL;
	bool holds = !s->is_dir;
	int removers = 0;

	for (size_t i = 0; actors == 2 && i < before->count; i++)
		holds |= !before->list[i].is_dir &&
			 path_is_below(before->list[i].path, s->path);
	for (int a = 0; holds && d && d->is_dir && a < actors; a++) {
		if (find_same(&after[a], s))
			continue;
		if (look_id(&after[a], d->id))
			return false;
		removers++;
	}
	return removers == 1;
}

static bool is_wanted(const struct look *before, const struct look after[],
		      int actors, const struct action *a,
		      const struct shown *s)
{
	bool two = a->kind == ACT_EXCHANGE;

	return cares(a, s) &&
	       (shown_is_of(s, a->at) || (two && shown_is_of(s, a->to)) ||
		goes_along(before, after, actors, s, a->at) ||
		(two && goes_along(before, after, actors, s, a->to)) ||
		(s->is_dir && fills(a, s->path, actors)));
}

/* Of those who did one thing each. */
static const char *judge_wanted(const struct story *st,
				const struct look *before,
				const struct look after[], int actors,
				const struct look *final)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct shown *s = &before->list[i];
		bool replaced = false, wanted = false, gone = false;

		/* rm of main leaves a void, which goes where main goes. */
		if (st->open && (!strncmp(st->action[0]->at, "d/q", 3) ||
				 !strncmp(st->action[1]->at, "d/q", 3)))
			continue;
		for (int k = 0; k < st->count; k++) {
			const struct look *l = &after[st->actor[k]];
			bool did = !find_same(l, s);

			gone |= did;
			replaced |= is_replaced(l, s) ||
				    (did && may_be_replaced(st->action[k], s));
			wanted |= !did && is_wanted(before, after, actors,
						    st->action[k], s);
		}
		if (gone && wanted && !replaced && !find_same(final, s) &&
		    !is_merged(after, actors, final, s))
			return judge_wrong("wanted, and lost", s);
	}
	return NULL;
}

/* ---- one after the other */

/* Did the second of them do away with what the first made or cared for? */
static bool removes_unseen(const struct story *st, int first)
{
	const struct action *a = st->action[first];
	const char *gone = action_removes(st->action[!first]);

	return gone && (is_about(a->at, gone) || path_is_below(a->at, gone) ||
			(a->to && (is_about(a->to, gone) ||
				   path_is_below(a->to, gone))));
}

/* Done twice it is as done once. */
static bool is_one(const struct story *st)
{
	switch (st->action[0]->kind) {
	case ACT_RENAME:
	case ACT_MOVE:
	case ACT_OVER:
	case ACT_EXCHANGE:
	case ACT_UNLINK:
	case ACT_RMDIR:
	case ACT_REMOVE_ALL:
	case ACT_XATTR_REMOVE:
		return st->action[0] == st->action[1];
	default:
		return false;
	}
}

/* The second save of a file of two names finds one name, and is another kind
 * of save. */
static bool is_unlike(const struct story *st)
{
	return st->action[0]->kind == ACT_SAVE &&
	       st->action[1]->kind == ACT_SAVE &&
	       st->action[0] != st->action[1] &&
	       is_about(st->action[0]->at, st->action[1]->at);
}

/* Both about one file: beside an open conflict, a matter of branches. */
static bool meet(const struct story *st)
{
	const struct action *a = st->action[0], *b = st->action[1];
	const char *x[] = {a->at, a->to}, *y[] = {b->at, b->to};

	/* (siblings stand beside either name of d/f, and go with that) */
	if (a->kind == ACT_REMOVE_ALL || b->kind == ACT_REMOVE_ALL)
		return true;
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 2; k++) {
			char p[64], q[64];

			if (!x[i] || !y[k])
				continue;
			snprintf(p, sizeof(p), "%.*s",
				 (int)strcspn(x[i], "*"), x[i]);
			snprintf(q, sizeof(q), "%.*s",
				 (int)strcspn(y[k], "*"), y[k]);
			if (!strncmp(q, "d/q", 3) || !strncmp(p, "d/q", 3) ||
			    is_about(p, "d/f") || is_about(q, "d/f") ||
			    is_about(p, q) || path_is_below(p, q) ||
			    path_is_below(q, p))
				return true;
		}
	return false;
}

static const char *judge_exact(const struct look *want,
			       const struct look *final)
{
	if (look_equal(want, final))
		return NULL;
	for (size_t i = 0; i < want->count || i < final->count; i++) {
		const struct shown *x = i < want->count ? &want->list[i] : NULL;
		const struct shown *y =
			i < final->count ? &final->list[i] : NULL;

		if (x && y && !strcmp(x->path, y->path) &&
		    !strcmp(x->text, y->text) && !strcmp(x->meta, y->meta))
			continue;
		snprintf(why, sizeof(why),
			 "not as one after the other: '%s' \"%s\" %s, not "
			 "'%s' \"%s\" %s",
			 y ? y->path : "", y ? y->text : "", y ? y->meta : "",
			 x ? x->path : "", x ? x->text : "", x ? x->meta : "");
		break;
	}
	return why;
}

/* Beside what one order gives there are only conflicts: other names of what
 * somebody made (nothing is lost, it was found). */
static bool is_with_siblings(const struct look *before,
			     const struct look *want, const struct look *final)
{
	struct look plain = {.list = calloc(final->count + 1,
					    sizeof(*final->list))};
	bool made = true, same;

	kin_assert(plain.list);
	for (size_t i = 0; i < final->count; i++) {
		const struct shown *s = &final->list[i];

		if (!strstr(s->path, CONFLICT_MARK))
			plain.list[plain.count++] = *s;
		else if (find_same(before, s))
			made = false;
	}
	same = made && plain.count < final->count && look_equal(want, &plain);
	free(plain.list);
	return same;
}

static const char *judge_order(struct story *st, const struct look *before,
			       const struct look after[],
			       const struct look *final)
{
	const struct look *v = st->in_order;
	int first = st->possible[0] ? 0 : 1;

	if (st->count != 2)
		return NULL;
	if (is_one(st)) {
		st->verdict = VERDICT_EXACT;
		return judge_exact(&after[0], final);
	}
	if ((!st->possible[0] && !st->possible[1]) || is_unlike(st))
		return NULL;
	if (st->open && (meet(st) || !st->possible[0] || !st->possible[1] ||
			 !look_equal(&v[0], &v[1])))
		return NULL;
	if (st->possible[0] && st->possible[1] && !look_equal(&v[0], &v[1])) {
		st->verdict = VERDICT_ORDER;
		for (int k = 0; k < 2; k++)
			if (look_equal(&v[k], final) ||
			    is_with_siblings(before, &v[k], final) ||
			    is_with_siblings(before, &after[k], final))
				return NULL;
		return judge_exact(&v[1], final);
	}
	if ((!st->possible[0] || !st->possible[1]) && removes_unseen(st, first))
		return NULL;
	st->verdict = VERDICT_EXACT;
	return judge_exact(&v[first], final);
}

const char *story_judge(struct story *st, const struct look *before,
			const struct look after[], int actors,
			const struct look *final)
{
	const char *r;

	st->verdict = VERDICT_NONE;
	r = judge_lost(before, after, actors, final);
	if (!r)
		r = judge_back(st, before, after, actors, final);
	if (!r && st->count == actors)
		r = judge_wanted(st, before, after, actors, final);
	if (!r)
		r = story_judge_form(st, before, after, actors, final);
	return r ? r : judge_order(st, before, after, final);
}
