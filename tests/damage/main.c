/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-damage: a store in which each table has something of all that
 * FORMAT.md says of it; each entry of it is damaged in turn, in one way, or
 * (--long) in each. Then
 *
 *	- it opens as it is, or is refused; what it shows is what was shown;
 *	- `kin check` finds it, or nothing is lost;
 *	- `kin check --repair` mends it: the store opens, and is sound;
 *	- nothing is lost that was not in the entry;
 *	- another member brings back what he knows.
 *
 * Each case is a process of its own. What is compared is what programs see
 * (look.c), which is read by the tree from what the entry is not.
 *
 *	--table NAME, --kind flip|cut|empty|removed|key, --key HEX	only these
 *	--share N	of N entries one, another one each day
 *	--turn N	which of them, in which way; default: by the day
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/format.h"
#include "replication/core/core.h"
#include "tests/damage/damage.h"
#include "tests/sim/backup.h"
#include "tools/check_store.h"

/* For one case; the slowest takes a tenth, with sanitizers. */
#define CASE_SECONDS 60
#define QUIET_MS 5000
#define QUIET_LIMIT_MS 240000

static const char *const kind_names[] = { "flip", "cut", "empty", "removed",
					  "key" };

struct trial {
	struct cluster *cluster;
	struct sight alone;	/* as it was: without others, */
	struct sight synced;	/* and with what the peer told; */
	struct sight peers;	/* what he had then */
	const struct raw_entry *entry;
	enum damage how;
	bool verbose;
};

/* ---- failures */

static void print_case(const struct raw_entry *e, enum damage how)
{
	char hex[2 * STORE_KEY_BYTES_MAX + 1];

	hex_encode(e->key, e->key_len, hex);
	printf("--table %s --kind %s --key %s", table_name(e->table),
	       kind_names[how], hex);
	if (e->table == TABLE_META)
		printf(" (%.*s)", (int)e->key_len, (const char *)e->key);
}

static _Noreturn printf_like(2, 3) void failed(const struct trial *t,
						const char *fmt, ...)
{
	va_list ap;

	print_case(t->entry, t->how);
	printf(": ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static void check_cluster(const struct trial *t)
{
	if (cluster_failed(t->cluster))
		failed(t, "%s", t->cluster->failure);
}

/* ---- nodes */

static void start(struct cluster *c, int node)
{
	c->nodes[node].start_ms = c->now_ms;
	cluster_run(c, c->now_ms + 1);
}

static void stop(struct cluster *c, int node)
{
	node_kill(&c->nodes[node], UINT64_C(1) << 40);
}

static void bring_back(struct cluster *c)
{
	node_bring_back(&c->nodes[VICTIM]);
	node_bring_back(&c->nodes[PEER]);
}

/* They hear each other until all is said; then they compare. */
static void meet(struct cluster *c, bool all_content)
{
	start(c, PEER);
	cluster_mend(c, VICTIM, PEER);
	for (int k = 0; k < 2 && !cluster_failed(c); k++) {
		if (!cluster_run_quiet(c, QUIET_MS, QUIET_LIMIT_MS))
			cluster_fail(c, "they do not become quiet");
		for (int n = 0; n < 2 && !cluster_failed(c) && !k; n++) {
			core_verify_begin(c->nodes[n].core, c->now_ms);
			core_verify_end(c->nodes[n].core);
			node_poke(&c->nodes[n]);
		}
	}
	if (cluster_failed(c))
		return;
	cluster_check_equal(c, all_content);
	if (all_content)
		cluster_check_nodes(c);
}

/* ---- what may be lost */

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

static const struct sight_line *line_of(const struct sight *s,
					struct objid id)
{
	for (size_t k = 0; k < s->count; k++)
		if (objid_equal(s->list[k].id, id))
			return &s->list[k];
	return NULL;
}

/* Is it of that object, or in it? */
static bool is_of(const struct sight *s, const struct sight_line *l,
		  struct objid id)
{
	if (objid_equal(l->id, id))
		return true;
	for (size_t k = 0; k < s->count; k++)
		if (objid_equal(s->list[k].id, id) &&
		    is_below(l->path, s->list[k].path))
			return true;
	return false;
}

static bool is_own_volume(const struct raw_entry *e)
{
	return e->table == TABLE_META &&
	       slice_equal(SLICE(e->key, e->key_len), SLICE_STR("secret"));
}

/* May the line be another, or missing, as long as nobody is asked, or
 * (synced) for ever, as nobody else has it? */
static bool may_be_lost(const struct trial *t, const struct sight *s,
			const struct sight_line *l, bool synced)
{
	const struct raw_entry *e = t->entry;
	const struct sight_line *at;
	struct objid id;

	switch (e->table) {
	case TABLE_OBJ:
		memcpy(id.b, e->key, sizeof(id.b));
		at = line_of(&t->alone, id);
		if (synced && line_of(&t->peers, id))
			return l->has_local;
		/* (something may be in it that is shown elsewhere; and a
		 * directory that is there for it goes as well) */
		return is_of(s, l, id) ||
		       (!synced && (!at || at->dir ||
				    (l->dir && is_below(at->path, l->path))));
	case TABLE_STAGE:
		/* (what a peer sends again) */
		return !synced;
	case TABLE_DIRTY:
		return l->ino == get_be64(e->key);
	default:
		return false;
	}
}

static void compare(const struct trial *t, const struct sight *was,
		    struct sight *is, bool synced, const char *when)
{
	for (size_t k = 0; k < was->count; k++) {
		const struct sight_line *a = &was->list[k];
		const struct sight_line *b = sight_find(is, a->path);

		if (b && a->sum == b->sum && a->error == b->error &&
		    objid_equal(a->id, b->id))
			continue;
		/* Where several want one name it is another's now. */
		if (t->entry->table == TABLE_OBJ && !synced &&
		    line_of(is, a->id) && (!b || !objid_equal(a->id, b->id)))
			continue;
		/* (names of siblings are of a volume) */
		if (is_own_volume(t->entry) && strstr(a->path, "(conflict "))
			continue;
		if (!may_be_lost(t, was, a, synced))
			failed(t, "%s: '%s' is %s (%d)", when, a->path,
			       b ? "another" : "missing", b ? b->error : 0);
	}
	for (size_t k = 0; k < is->count; k++)
		if (!line_of(was, is->list[k].id) &&
		    !line_of(&t->synced, is->list[k].id) &&
		    !sight_find(was, is->list[k].path))
			failed(t, "%s: '%s' was not there", when,
			       is->list[k].path);
}

static void compare_history(const struct trial *t, const struct sight *was,
			    const struct sight *is)
{
	uint64_t lost = was->history.entries - is->history.entries;

	if (is->history.entries > was->history.entries ||
	    is->history.gone > was->history.gone)
		return;
	/* (what was unsent, and is a version now, has replaced one) */
	if (t->entry->table != TABLE_HIST && t->entry->table != TABLE_OBJ &&
	    t->entry->table != TABLE_DIRTY &&
	    (lost || is->history.gone != was->history.gone))
		failed(t, "history is lost: %llu of %llu, %llu of %llu",
		       (unsigned long long)lost,
		       (unsigned long long)was->history.entries,
		       (unsigned long long)(was->history.gone -
					    is->history.gone),
		       (unsigned long long)was->history.gone);
}

static bool is_of_peer(const struct trial *t)
{
	const struct device *d = &t->cluster->nodes[PEER].device;

	return t->entry->table == TABLE_MEMBER &&
	       !memcmp(t->entry->key, d->b, sizeof(d->b));
}

/* ---- one case */

static void say(const struct trial *t, const char *what, int r,
		const json_t *answer)
{
	if (!t->verbose)
		return;
	printf("%s: %d\n", what, r);
	if (answer)
		json_dumpf(answer, stdout, JSON_INDENT(1));
	printf("\n");
}

/* Returns what `kin check` would exit with. */
static int check(const struct trial *t, bool repair, bool *ret_said)
{
	const struct check_args args = {
		.path = t->cluster->nodes[VICTIM].dir,
		.device = &t->cluster->nodes[VICTIM].device,
		.data = true,
		.repair = repair,
	};
	json_t *answer = NULL;
	int r = check_store(&args, NULL, &answer);

	say(t, repair ? "repair" : "check", r, answer);
	*ret_said = json_array_size(json_object_get(answer, "faults"));
	json_decref(answer);
	return r;
}

/* What of it can be read is kept. */
static bool put_aside(const struct trial *t)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/lost",
		 t->cluster->nodes[VICTIM].dir);
	return !access(path, F_OK);
}

/* As it is: a mount, and a look. */
static void try_open(struct trial *t)
{
	struct cluster *c = t->cluster;
	struct sight now;

	start(c, VICTIM);
	if (cluster_failed(c)) {
		/* (what it was told of is in hand still) */
		say(t, c->failure, 0, NULL);
		_exit(0);
	}
	sight_take(c->nodes[VICTIM].tree, &now);
	/* (of an entry that is not there nothing tells but the check) */
	for (size_t k = 0; t->how < DAMAGE_REMOVED && k < now.count; k++) {
		const struct sight_line *b = &now.list[k],
			*a = sight_find(&t->alone, b->path);

		if (!a && !line_of(&t->alone, b->id))
			failed(t, "as it is: '%s' was not there", b->path);
		if (a && !b->error && b->sum != a->sum &&
		    !may_be_lost(t, &t->alone, a, false))
			failed(t, "as it is: '%s' is another", b->path);
	}
	cluster_mend(c, VICTIM, PEER);
	start(c, PEER);
	(void)cluster_run_quiet(c, QUIET_MS, QUIET_LIMIT_MS);
	_exit(0);
}

static void try_repair(struct trial *t)
{
	struct cluster *c = t->cluster;
	bool found, said;
	int r = check(t, false, &found);
	struct sight now;

	if (r && !found)
		failed(t, "the check says nothing (%d)", r);
	if (!r && t->how != DAMAGE_REMOVED)
		failed(t, "the check finds nothing");
	r = check(t, true, &said);
	if (r)
		failed(t, "the repair ends with %d", r);
	if (t->entry->table == TABLE_DIRTY && !put_aside(t))
		failed(t, "nothing is put aside");
	if (check(t, false, &said))
		failed(t, "it is damaged after the repair");
	start(c, VICTIM);
	check_cluster(t);
	sight_take(c->nodes[VICTIM].tree, &now);
	compare(t, &t->alone, &now, false, "alone");
	compare_history(t, &t->alone, &now);
	sight_release(&now);
	/* (nor does it know the peer without his record; of what was staged,
	 * and is not there, nothing tells) */
	if (is_own_volume(t->entry) || is_of_peer(t) ||
	    (t->entry->table == TABLE_STAGE && t->how == DAMAGE_REMOVED))
		_exit(found ? 0 : 2);
	meet(c, true);
	check_cluster(t);
	sight_take(c->nodes[VICTIM].tree, &now);
	compare(t, &t->synced, &now, true, "synced");
	if (t->verbose)
		printf("%s\n", found ? "found and mended" : "harmless");
	_exit(found ? 0 : 2);
}

/* Returns 0, 1 failed, 2 harmless. */
static int in_child(struct trial *t, void (*fn)(struct trial *))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	kin_assert(pid >= 0);
	if (!pid) {
		alarm(CASE_SECONDS);
		t->cluster->damaged = true;
		if (!t->verbose) {
			log_set_level(LOG_LEVEL_OFF);
			kin_assert(freopen("/dev/null", "w", stderr));
		}
		bring_back(t->cluster);
		raw_damage(t->cluster->nodes[VICTIM].dir, t->entry, t->how);
		fn(t);
	}
	kin_assert(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	print_case(t->entry, t->how);
	printf(": ended by signal %d\n", WTERMSIG(status));
	return 1;
}

/* ---- all */

static void take_reference(struct trial *t)
{
	struct cluster *c = t->cluster;

	start(c, PEER);
	sight_take(c->nodes[PEER].tree, &t->peers);
	stop(c, PEER);
	bring_back(c);
	start(c, VICTIM);
	sight_take(c->nodes[VICTIM].tree, &t->alone);
	meet(c, true);
	sight_take(c->nodes[VICTIM].tree, &t->synced);
	cluster_cut(c, VICTIM, PEER);
	stop(c, VICTIM);
	stop(c, PEER);
	if (cluster_failed(c)) {
		fprintf(stderr, "kin-damage: %s\n", c->failure);
		exit(2);
	}
}

/* Which cases. */
struct wanted {
	const char *table, *key;
	int kind;		/* -1: all */
	bool all;
	size_t turn, share;
};

/* The entry is number `index` of so many in its table; of each some are. */
static bool is_wanted(const struct wanted *w, const struct raw_entry *e,
		      size_t index, size_t count, int kind)
{
	char hex[2 * STORE_KEY_BYTES_MAX + 1];
	size_t share = MIN_OF(w->share, count);

	hex_encode(e->key, e->key_len, hex);
	if ((w->table && strcmp(w->table, table_name(e->table))) ||
	    (w->key && strcmp(w->key, hex)) || (index + w->turn) % share)
		return false;
	if (w->kind >= 0)
		return w->kind == kind;
	return w->all ||
	       (index + w->turn / share) % DAMAGE_KINDS == (size_t)kind;
}

static int run(struct trial *t, const struct wanted *w)
{
	size_t tried = 0, bad = 0, harmless = 0, count;
	size_t of_table[TABLE_COUNT] = { 0 }, seen[TABLE_COUNT] = { 0 };
	struct raw_entry *list;

	count = raw_entries(t->cluster->nodes[VICTIM].dir, &list);
	for (size_t k = 0; k < count; k++)
		of_table[list[k].table]++;
	for (size_t k = 0; k < count; k++) {
		size_t index = seen[list[k].table]++;

		for (int kind = 0; kind < DAMAGE_KINDS; kind++) {
			int r;

			if (!is_wanted(w, &list[k], index,
				       of_table[list[k].table], kind))
				continue;
			t->entry = &list[k];
			t->how = (enum damage)kind;
			r = in_child(t, try_open);
			if (!r)
				r = in_child(t, try_repair);
			tried++;
			bad += r == 1;
			harmless += r == 2;
		}
	}
	free(list);
	printf("entries=%zu cases=%zu harmless=%zu failed=%zu\n", count,
	       tried, harmless, bad);
	return bad || !tried;
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: kin-damage [--long] [--verbose] [--share N] "
			"[--turn N]\n\t[--table NAME] [--kind KIND] "
			"[--key HEX]\n");
	exit(2);
}

static int kind_of(const char *name)
{
	for (int k = 0; k < DAMAGE_KINDS; k++)
		if (!strcmp(kind_names[k], name))
			return k;
	usage();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "long", no_argument, NULL, 'l' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "share", required_argument, NULL, 's' },
		{ "turn", required_argument, NULL, 'r' },
		{ "table", required_argument, NULL, 't' },
		{ "kind", required_argument, NULL, 'k' },
		{ "key", required_argument, NULL, 'y' },
		{ NULL, 0, NULL, 0 },
	};
	static struct cluster cluster;
	struct trial t = { .cluster = &cluster };
	struct wanted w = { .kind = -1, .share = 1,
			    .turn = (size_t)time(NULL) / 86400 };
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'l')
			w.all = true;
		else if (c == 'v')
			t.verbose = true;
		else if (c == 's')
			w.share = MAX_OF(strtoul(optarg, NULL, 10), 1ul);
		else if (c == 'r')
			w.turn = strtoul(optarg, NULL, 10);
		else if (c == 't')
			w.table = optarg;
		else if (c == 'k')
			w.kind = kind_of(optarg);
		else if (c == 'y')
			w.key = optarg;
		else
			usage();
	}
	log_set_level(t.verbose ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR);
	fill(&cluster);
	take_reference(&t);
	r = run(&t, &w);
	sight_release(&t.alone);
	sight_release(&t.synced);
	sight_release(&t.peers);
	cluster_close(&cluster);
	return r;
}
