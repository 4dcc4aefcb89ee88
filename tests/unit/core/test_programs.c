/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What office suites, editors and tools do to a file when they save it: the
 * calls of each, as a script, on two nodes with the shipping core between
 * them. Alone, in turns, beside an edit of the file on the other node, and
 * the same program on both; quickly, and with each of its steps late, so that
 * others are told of the first half of a save.
 *
 * Whatever it does: no byte is lost, there is one conflict at most, it stays
 * one object, and its temporaries are gone in the end; of a quick save the
 * other node never sees them, nor the file missing. Lock files are files. One
 * that lives while somebody edits is seen on the other node, and warns there;
 * two nodes' locks of one name are two files, until one is removed.
 */
#include "tests/unit/core/nodes_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 12
/* Longer than any wait for a half save to settle. */
#define LATE_MS 1500

/*
 * Steps are separated by ';':
 *	open NAME	a new file, which stays open
 *	trunc NAME	one that is there, emptied; it stays open
 *	put TEXT	into the open file; NEW is what is saved
 *	close
 *	mv OLD NEW, ln OLD NEW, rm NAME, rmf NAME (if there is one)
 *	sym NAME	a symbolic link to nothing
 *	mode NAME	what fchmod() and the like do to a temporary
 * In names, '%' is another letter on each node: names drawn by chance.
 */
struct program {
	const char *name;
	const char *begin;   /* when a document is opened */
	const char *save;
	const char *end;     /* when it is closed */
	const char *session; /* names that live in between */
	const char *backup;  /* what stays beside it: the content before */
};

static const struct program programs[] = {
	{ "LibreOffice", "open .~lock.doc#; put me%; close",
	  "open lu14%.tmp; put NEW; close; mode lu14%.tmp; mv lu14%.tmp doc",
	  "rm .~lock.doc#", ".~lock.doc#", NULL },
	{ "LibreOffice, with a copy", "open .~lock.doc#; put me%; close",
	  "open doc.bak; put OLD; close; "
	  "open lu14%.tmp; put NEW; close; mv lu14%.tmp doc",
	  "rm .~lock.doc#", ".~lock.doc#", "doc.bak" },
	{ "MS Office", "open ~$doc; put me%; close",
	  "open 5E1%.tmp; put NEW; close; mv doc 77A%.tmp; "
	  "mv 5E1%.tmp doc; rm 77A%.tmp",
	  "rm ~$doc", "~$doc", NULL },
	{ "gedit", NULL,
	  "open .goutputstream-%X; put NEW; close; mode .goutputstream-%X; "
	  "mv .goutputstream-%X doc",
	  NULL, NULL, NULL },
	{ "GLib, with a backup", NULL,
	  "open .goutputstream-%X; put NEW; rmf doc~; ln doc doc~; "
	  "mv .goutputstream-%X doc; close",
	  NULL, NULL, "doc~" },
	{ "vim", "open .doc.swp; put me%; close",
	  "open 4913; close; rm 4913; mv doc doc~; open doc; put NEW; "
	  "mode doc; close; rm doc~",
	  "rm .doc.swp", ".doc.swp", NULL },
	{ "vim, backup", "open .doc.swp; put me%; close",
	  "open 4913; close; rm 4913; rmf doc~; mv doc doc~; open doc; "
	  "put NEW; close",
	  "rm .doc.swp", ".doc.swp", "doc~" },
	{ "emacs", "sym .#doc; open #doc#; put half; close",
	  "mv doc doc~; open doc; put NEW; close; rm .#doc; rm #doc#",
	  NULL, ".#doc #doc#", "doc~" },
	{ "KDE", NULL,
	  "open doc.%x; put NEW; mode doc.%x; mv doc.%x doc; close",
	  NULL, NULL, NULL },
	{ "git", NULL, "open doc.lock; put NEW; close; mv doc.lock doc",
	  NULL, NULL, NULL },
	{ "rsync", NULL, "open .doc.x%; put NEW; close; mode .doc.x%; "
	  "mv .doc.x% doc", NULL, NULL, NULL },
	{ "sed -i", NULL,
	  "open sed%x; mode sed%x; put NEW; close; mv sed%x doc",
	  NULL, NULL, NULL },
	{ "nano", NULL, "trunc doc; put NEW; close", NULL, NULL, NULL },
	{ "nano, with a backup", NULL,
	  "open doc~; put OLD; close; trunc doc; put NEW; close",
	  NULL, NULL, "doc~" },
};

/* ---- running a script */

struct run {
	struct cluster c;
	const struct program *p;
	int count;	/* of directories: one for each history */
	char dir[16];
	struct objid doc;
	uint64_t open[2];
	const char *old, *text[2];
	/* What the second node may see while it is watched; NULL: not. */
	const char *allowed;
	bool saw_other, saw_none;
	char saw[256];
};

static bool next_word(const char **s, char *ret, size_t max)
{
	size_t n;

	*s += strspn(*s, " ");
	n = strcspn(*s, " ;");
	assert_true(n < max);
	memcpy(ret, *s, n);
	ret[n] = '\0';
	*s += n;
	return n;
}

/* What a name of a script is on a node. */
static void path_of(const struct run *u, int node, const char *word,
		    char ret[256])
{
	snprintf(ret, 256, "%s/%s", u->dir, word);
	for (char *at = strchr(ret, '%'); at; at = strchr(at, '%'))
		*at = (char)('A' + node);
}

static void empty_and_open(struct run *u, int node, const char *path)
{
	struct tree_setattr cut = {.set = TREE_SET_SIZE};
	struct tree *t = u->c.nodes[node].tree;
	struct attr attr;

	u->open[node] = at(&u->c, node, path);
	assert_int_equal(tree_open_file(t, u->open[node], true), 0);
	assert_int_equal(tree_setattr(t, u->open[node], &cut, &attr), 0);
}

static void attributes(struct cluster *c, int node, const char *path)
{
	struct tree_setattr s = {.set = TREE_SET_MODE | TREE_SET_MTIME,
				 .perm = 0640,
				 .mtime = {.tv_sec = 1700000000}};
	struct attr attr;

	assert_int_equal(tree_setattr(c->nodes[node].tree, at(c, node, path),
				      &s, &attr), 0);
	node_poke(&c->nodes[node]);
}

static void make_symlink(struct cluster *c, int node, const char *path)
{
	struct tree_new new = {.kind = KIND_SYMLINK,
			       .perm = 0777,
			       .user = SLICE_STR("u"),
			       .group = SLICE_STR("g"),
			       .target = SLICE_STR(node ? "bob@host.1"
							: "alice@host.2")};
	struct entry e;
	const char *name;
	uint64_t dir = parent_of(c, node, path, &name);

	assert_int_equal(tree_create(c->nodes[node].tree, dir, SLICE_STR(name),
				     &new, false, &e), 0);
	node_poke(&c->nodes[node]);
}

static void make_link(struct cluster *c, int node, const char *from,
		      const char *to)
{
	struct entry e;
	const char *name;
	uint64_t dir = parent_of(c, node, to, &name);

	assert_int_equal(tree_link(c->nodes[node].tree, at(c, node, from), dir,
				   SLICE_STR(name), &e), 0);
	node_poke(&c->nodes[node]);
}

static void put_text(struct run *u, int node, const char *word)
{
	put(&u->c, node, u->open[node],
	    !strcmp(word, "NEW") ? u->text[node]
	    : !strcmp(word, "OLD") ? u->old
	    : node ? "bob's" : "alice's");
}

static void step(struct run *u, int node, const char *s)
{
	char verb[16], words[2][64] = { "", "" }, a[256], b[256];
	struct cluster *c = &u->c;

	assert_true(next_word(&s, verb, sizeof(verb)));
	for (int k = 0; k < 2 && next_word(&s, words[k], 64); k++)
		continue;
	path_of(u, node, words[0], a);
	path_of(u, node, words[1], b);
	if (!strcmp(verb, "open") && is_there(c, node, a))
		empty_and_open(u, node, a); /* (of a save before) */
	else if (!strcmp(verb, "open"))
		u->open[node] = make_open(c, node, a);
	else if (!strcmp(verb, "trunc"))
		empty_and_open(u, node, a);
	else if (!strcmp(verb, "put"))
		put_text(u, node, words[0]);
	else if (!strcmp(verb, "close"))
		done(c, node, u->open[node]);
	else if (!strcmp(verb, "mv"))
		move(c, node, a, b);
	else if (!strcmp(verb, "rm") ||
		 (!strcmp(verb, "rmf") && is_there(c, node, a)))
		remove_path(c, node, a);
	else if (!strcmp(verb, "ln"))
		make_link(c, node, a, b);
	else if (!strcmp(verb, "sym"))
		make_symlink(c, node, a);
	else if (!strcmp(verb, "mode"))
		attributes(c, node, a);
	else if (strcmp(verb, "rmf"))
		fail_msg("'%s'?", verb);
}

static int steps(const char *script)
{
	int n = 1;

	for (const char *s = script; (s = strchr(s, ';')); s++)
		n++;
	return script ? n : 0;
}

/* Time goes by before step `late`, -1: before none. */
static void play(struct run *u, int node, const char *script, int late)
{
	for (int k = 0; script && k < steps(script); k++) {
		const char *s = script;

		for (int skip = 0; skip < k; skip++)
			s = strchr(s, ';') + 1;
		if (k == late)
			nodes_pass(&u->c, LATE_MS);
		step(u, node, s);
		nodes_pass(&u->c, 3);
	}
}

static void save(struct run *u, int node, const char *text, int late)
{
	u->text[node] = text;
	play(u, node, u->p->save, late);
}

static void whole_save(struct run *u, int node, const char *text, int late)
{
	play(u, node, u->p->begin, -1);
	save(u, node, text, late);
	play(u, node, u->p->end, -1);
}

/* ---- what is there */

struct shown {
	const struct run *u;
	size_t count;
	char name[NAMES_MAX][128], text[NAMES_MAX][32];
	struct objid id[NAMES_MAX];
	bool sibling[NAMES_MAX];
};

static int add_shown(void *arg, const struct replica_view_entry *e)
{
	struct shown *s = arg;
	size_t dir = strlen(s->u->dir);

	if (e->path.len <= dir + 1 || e->path.data[dir] != '/' ||
	    memcmp(e->path.data, s->u->dir, dir))
		return 0;
	assert_true(s->count < NAMES_MAX);
	snprintf(s->name[s->count], sizeof(s->name[0]), "%.*s",
		 (int)(e->path.len - dir - 1), e->path.data + dir + 1);
	snprintf(s->text[s->count], sizeof(s->text[0]), "%.*s",
		 (int)e->content.inline_bytes.len,
		 e->content.inline_bytes.len ? e->content.inline_bytes.data
					     : (const uint8_t *)"");
	s->id[s->count] = e->id;
	s->sibling[s->count++] = e->is_sibling;
	return 0;
}

static struct shown look(struct run *u, int node)
{
	struct shown s = { .u = u };

	assert_int_equal(replica_view(u->c.nodes[node].tree, add_shown, &s),
			 0);
	return s;
}

static int find(const struct shown *s, const char *name)
{
	for (size_t k = 0; k < s->count; k++)
		if (!strcmp(s->name[k], name))
			return (int)k;
	return -1;
}

static int count_text(const struct shown *s, const char *text)
{
	int n = 0;

	for (size_t k = 0; k < s->count; k++)
		n += !strcmp(s->text[k], text);
	return n;
}

/* Is it one of the words? */
static bool is_among(const char *name, const char *words)
{
	char word[64];

	while (words && next_word(&words, word, sizeof(word)))
		if (!strcmp(name, word))
			return true;
	return false;
}

static void watch(void *arg, struct node *n, bool local)
{
	struct run *u = arg;
	struct shown s;

	(void)local;
	if (!u->allowed || n->index != 1)
		return;
	s = look(u, 1);
	u->saw_none |= find(&s, "doc") < 0;
	for (size_t k = 0; k < s.count; k++)
		if (strcmp(s.name[k], "doc") &&
		    !is_among(s.name[k], u->allowed) &&
		    !(u->p->backup && !strcmp(s.name[k], u->p->backup))) {
			u->saw_other = true;
			snprintf(u->saw, sizeof(u->saw), "%s", s.name[k]);
		}
}

/* ---- histories */

static void fail_at(struct run *u, int late, const char *what)
{
	struct shown s = look(u, 0);

	for (size_t k = 0; k < s.count; k++)
		print_error("  '%s': '%s'%s\n", s.name[k], s.text[k],
			    s.sibling[k] ? " (sibling)" : "");
	fail_msg("%s, in %s, late at %d: %s", u->p->name, u->dir, late, what);
}

/* A new directory with a document that both have had for long. */
static void fresh(struct run *u)
{
	char path[64];
	struct shown s;

	snprintf(u->dir, sizeof(u->dir), "d%d", u->count++);
	make_dir(&u->c, 0, u->dir);
	snprintf(path, sizeof(path), "%s/doc", u->dir);
	write_file(&u->c, 0, path, u->old = "old");
	nodes_quiet(&u->c);
	s = look(u, 1);
	assert_int_equal(s.count, 1);
	u->doc = s.id[0];
}

static void expect_one_object(struct run *u, int late)
{
	struct shown s = look(u, 0);
	int doc = find(&s, "doc");

	if (doc < 0)
		fail_at(u, late, "there is no doc");
	if (!objid_equal(s.id[doc], u->doc))
		fail_at(u, late, "it is another object");
}

/* doc, with its siblings, the backup, and nothing else. */
static void expect_rest(struct run *u, int late, size_t siblings)
{
	struct shown s = look(u, 0);
	size_t n = 1 + siblings + !!u->p->backup;

	expect_one_object(u, late);
	if (u->p->backup && find(&s, u->p->backup) < 0)
		fail_at(u, late, "the backup is missing");
	if (s.count != n)
		fail_at(u, late, "there is more, or less");
}

static void expect_text(struct run *u, int late, const char *name,
			const char *text)
{
	struct shown s = look(u, 0);
	int k = find(&s, name);

	if (k < 0 || strcmp(s.text[k], text))
		fail_at(u, late, text);
}

/* Both texts are there, and nothing of a second conflict. */
static void expect_both(struct run *u, int late, const char *a, const char *b)
{
	struct shown s = look(u, 0);

	if (count_text(&s, a) != 1 || count_text(&s, b) != 1)
		fail_at(u, late, "a text is lost");
	expect_rest(u, late, 1);
	if (u->p->backup)
		expect_text(u, late, u->p->backup, u->old);
}

/* Who only looks on sees the file, and what is meant to be seen. */
static void alone(struct run *u)
{
	for (int quick = 0; quick < 2; quick++) {
		fresh(u);
		u->allowed = quick ? "" : u->p->session ? u->p->session : "";
		u->saw_none = u->saw_other = false;
		play(u, 0, u->p->begin, -1);
		if (!quick)
			nodes_pass(&u->c, LATE_MS);
		save(u, 0, "new", -1);
		if (!quick)
			nodes_pass(&u->c, LATE_MS);
		play(u, 0, u->p->end, -1);
		nodes_quiet(&u->c);
		u->allowed = NULL;
		if (u->saw_none)
			fail_at(u, -1, "doc was missing for a moment");
		if (u->saw_other)
			fail_at(u, -1, u->saw);
		expect_rest(u, -1, 0);
		expect_text(u, -1, "doc", "new");
		if (u->p->backup)
			expect_text(u, -1, u->p->backup, "old");
	}
	for (int late = 0; late < steps(u->p->save); late++) {
		fresh(u);
		whole_save(u, 0, "new", late);
		nodes_quiet(&u->c);
		expect_rest(u, late, 0);
		expect_text(u, late, "doc", "new");
	}
}

/* One after the other, each with what the other saved. */
static void in_turns(struct run *u)
{
	static const char *const texts[] = { "1st", "2nd", "3rd", "4th",
					     "5th" };

	fresh(u);
	for (int k = 0; k < 5; k++) {
		/* (twice on a node, too) */
		int node = k / 2 % 2;

		whole_save(u, node, texts[k], -1);
		nodes_quiet(&u->c);
		expect_rest(u, k, 0);
		expect_text(u, k, "doc", texts[k]);
		if (u->p->backup)
			expect_text(u, k, u->p->backup, u->old);
		u->old = texts[k];
	}
}

/* The other node writes the file meanwhile: before, or after it. The save
 * is the first one, or there is a backup of another. */
static void beside_an_edit(struct run *u, int late, bool after, bool again)
{
	char path[64];

	fresh(u);
	if (again) {
		whole_save(u, 0, "saved first", -1);
		u->old = "saved first";
		nodes_quiet(&u->c);
	}
	snprintf(path, sizeof(path), "%s/doc", u->dir);
	nodes_apart(&u->c);
	if (!after)
		write_file(&u->c, 1, path, "edited");
	nodes_pass(&u->c, 1000);
	whole_save(u, 0, "saved", late);
	nodes_pass(&u->c, 1000);
	if (after)
		write_file(&u->c, 1, path, "edited");
	nodes_together(&u->c);
	nodes_quiet(&u->c);
	expect_both(u, late, "saved", "edited");
}

/* The same on both. */
static void on_both(struct run *u)
{
	for (int late = -1; late < steps(u->p->save); late++) {
		fresh(u);
		nodes_apart(&u->c);
		for (int node = 0; node < 2; node++) {
			whole_save(u, node,
				   node ? "bob's save" : "alice's save", late);
			nodes_pass(&u->c, 1000);
		}
		nodes_together(&u->c);
		nodes_quiet(&u->c);
		expect_both(u, late, "alice's save", "bob's save");
	}
}

/* Both have it open, and know of each other: there are two locks of a name,
 * no more, and none when both have closed it. */
static void locked_by_both(struct run *u)
{
	struct shown s;
	size_t locks = 0;
	char word[64];

	for (const char *w = u->p->session; next_word(&w, word, 64);)
		locks++;
	fresh(u);
	nodes_apart(&u->c);
	play(u, 0, u->p->begin, -1);
	nodes_pass(&u->c, 1000);
	play(u, 1, u->p->begin, -1);
	nodes_together(&u->c);
	nodes_quiet(&u->c);
	s = look(u, 0);
	if (s.count > 1 + 2 * locks)
		fail_at(u, -1, "more than two locks of a name");
	expect_one_object(u, -1);
	for (int node = 0; node < 2; node++) {
		save(u, node, node ? "bob's save" : "alice's save", -1);
		play(u, node, u->p->end, -1);
		nodes_quiet(&u->c);
	}
	expect_rest(u, -1, 0);
	expect_text(u, -1, "doc", "bob's save");
}

static void test_program(void **state)
{
	struct cluster_options o = nodes_options(2, 31);
	struct run u = { .p = *state };

	nodes_open(&u.c, o);
	u.c.on_change = watch;
	u.c.on_change_arg = &u;
	cluster_connect(&u.c, 0, 1);
	alone(&u);
	in_turns(&u);
	for (int late = -1; late < steps(u.p->save); late++)
		for (int k = 0; k < (u.p->backup ? 4 : 2); k++)
			beside_an_edit(&u, late, k & 1, k & 2);
	on_both(&u);
	if (u.p->session)
		locked_by_both(&u);
	nodes_close(&u.c);
}

int main(void)
{
	struct CMUnitTest tests[sizeof(programs) / sizeof(*programs)];

	for (size_t k = 0; k < sizeof(programs) / sizeof(*programs); k++)
		tests[k] = (struct CMUnitTest){
			.name = programs[k].name, .test_func = test_program,
			.initial_state = (void *)&programs[k] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
