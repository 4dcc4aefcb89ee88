/* SPDX-License-Identifier: Apache-2.0 */
#include "tree_support.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/tree/bucket.h"
#include "fs/tree/chain.h"
#include "fs/tree/policy.h"

static int64_t now_ns(void *arg)
{
	struct fixture *f = arg;

	return f->now_ns += 1000000;
}

static uint64_t monotonic_ns(void *arg)
{
	struct fixture *f = arg;

	return (uint64_t)f->now_ns;
}

static void draw(void *arg, void *ret, size_t len)
{
	struct fixture *f = arg;
	uint8_t *out = ret;

	while (len--) {
		f->random = f->random * 6364136223846793005u + 1442695040888963407u;
		*out++ = (uint8_t)(f->random >> 56);
	}
}

static void fixture_start(struct fixture *f, bool found, bool is_copy)
{
	struct store_options so = { .path = f->path, .no_sync = true,
				    .log_bytes = 1 << 20,
				    .map_bytes = 1 << 30 };
	struct tree_options to = { .env = &f->env,
				   .volume = { { 7 } },
				   .root_perm = 0755,
				   .label = SLICE_STR(f->label) };
	static const uint8_t secret[SECRET_BYTES] = "of all fixtures";
	struct buf why = BUF_INIT;

	to.secret = secret;
	to.is_copy = is_copy;
	to.goes_on = f->goes_on;
	if (found) {
		to.user = SLICE_STR("root");
		to.group = SLICE_STR("root");
	}
	assert_int_equal(store_open(&so, &why, &f->store), 0);
	buf_release(&why);
	to.store = f->store;
	assert_int_equal(tree_open(&to, &f->tree), 0);
}

static void fixture_init(struct fixture *f, const char *label)
{
	*f = (struct fixture){ .label = label,
			       .now_ns = 1700000000000000000 };
	for (const char *p = label; *p; p++)
		f->random = f->random * 31 + (uint8_t)*p;
	f->env = (struct tree_env){ .arg = f, .now_ns = now_ns,
				    .monotonic_ns = monotonic_ns,
				    .random = draw };
	snprintf(f->path, sizeof(f->path), "%s/kinfs-tree-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(f->path));
}

void fixture_open(struct fixture *f, const char *label, bool found)
{
	fixture_init(f, label);
	fixture_start(f, found, false);
}

void fixture_crash(struct fixture *f)
{
	tree_close(f->tree);
	store_abandon(f->store);
	fixture_start(f, false, false);
}

void fixture_stop(struct fixture *f)
{
	assert_int_equal(tree_stop(f->tree), 0);
	tree_close(f->tree);
	assert_int_equal(store_close(f->store), 0);
	f->tree = NULL;
	f->store = NULL;
}

void fixture_resume(struct fixture *f)
{
	fixture_start(f, false, false);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void copy_dir(const char *from, const char *to)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s' && cp -a '%s' '%s'",
		 to, from, to);
	assert_int_equal(system(command), 0);
}

void backup_remove(const char *backup)
{
	nftw(backup, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_backup(struct fixture *f, char ret[64])
{
	static int count;

	if (f->store)
		assert_int_equal(store_commit(f->store), 0);
	snprintf(ret, 64, "%.48s-b%d", f->path, ++count);
	copy_dir(f->path, ret);
}

void fixture_restore(struct fixture *f, const char *backup)
{
	assert_null(f->store);
	copy_dir(backup, f->path);
	fixture_start(f, false, false);
}

void fixture_clone(struct fixture *f, const char *label, const char *backup,
		   bool is_copy)
{
	fixture_init(f, label);
	copy_dir(backup, f->path);
	fixture_start(f, false, is_copy);
}

void fixture_close(struct fixture *f)
{
	if (f->store) {
		tree_close(f->tree);
		assert_int_equal(store_close(f->store), 0);
	}
	backup_remove(f->path);
}

uint64_t make_file(struct fixture *f, uint64_t dir, const char *name,
		   const char *bytes)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0644,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct entry e;

	assert_int_equal(tree_create(f->tree, dir, SLICE_STR(name), &n, true,
				     &e), 0);
	assert_int_equal(tree_write(f->tree, e.attr.ino, 0, SLICE_STR(bytes),
				    false), 0);
	tree_release_file(f->tree, e.attr.ino, true);
	return e.attr.ino;
}

uint64_t make_dir(struct fixture *f, uint64_t dir, const char *name)
{
	struct tree_new n = { .kind = KIND_DIR, .perm = 0755,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct entry e;

	assert_int_equal(tree_create(f->tree, dir, SLICE_STR(name), &n, false,
				     &e), 0);
	return e.attr.ino;
}

void write_file(struct fixture *f, uint64_t ino, const char *bytes)
{
	struct tree_setattr s = { .set = TREE_SET_SIZE };
	struct attr a;

	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	assert_int_equal(tree_setattr(f->tree, ino, &s, &a), 0);
	assert_int_equal(tree_write(f->tree, ino, 0, SLICE_STR(bytes), false),
			 0);
	tree_release_file(f->tree, ino, true);
}

void set_policy(struct fixture *f, uint64_t dir, const char *text)
{
	struct slice name = SLICE_STR(XATTR_POLICY);

	assert_int_equal(text ? tree_setxattr(f->tree, dir, name,
					      SLICE_STR(text), 0) :
				tree_removexattr(f->tree, dir, name), 0);
	check_tree(f);
}

int look_error(struct fixture *f, uint64_t dir, const char *name)
{
	struct entry e;

	return tree_lookup(f->tree, dir, SLICE_STR(name), &e);
}

uint64_t look(struct fixture *f, uint64_t dir, const char *name)
{
	struct entry e;

	assert_int_equal(tree_lookup(f->tree, dir, SLICE_STR(name), &e), 0);
	return e.attr.ino;
}

void expect_bytes(struct fixture *f, uint64_t ino, const char *bytes)
{
	size_t len = strlen(bytes);
	char *got = malloc(len + 100);
	int64_t n = tree_read(f->tree, ino, 0, got, len + 100);

	assert_int_equal(n, len);
	assert_memory_equal(got, bytes, len);
	free(got);
}

struct listing {
	char (*names)[256];
	size_t count, max;
};

static int list_one(void *arg, const struct tree_dirent *d)
{
	struct listing *l = arg;

	if (l->names && l->count < l->max) {
		memcpy(l->names[l->count], d->name.data, d->name.len);
		l->names[l->count][d->name.len] = '\0';
	}
	l->count++;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

size_t list(struct fixture *f, uint64_t dir, char ret[][256], size_t max)
{
	struct listing l = { ret, 0, max };

	assert_int_equal(tree_readdir(f->tree, dir, 0, list_one, &l), 0);
	if (ret)
		qsort(ret, l.count < max ? l.count : max, sizeof(*ret),
		      by_text);
	return l.count;
}

void name_with(struct fixture *f, uint64_t dir, const char *text,
	       char ret[256])
{
	static char names[100][256];
	size_t n = list(f, dir, names, 100), found = 0;

	for (size_t k = 0; k < n; k++)
		if (strstr(names[k], text)) {
			strcpy(ret, names[k]);
			found++;
		}
	assert_int_equal(found, 1);
}

void check_tree(struct fixture *f)
{
	struct buf why = BUF_INIT;
	int r = replica_check(f->tree, &why);

	if (r)
		print_error("%s: %s\n", f->label, (char *)why.data);
	assert_int_equal(r, 0);
	buf_release(&why);
}

void read_golden(const char *name, struct buf *ret)
{
	char path[512], text[3];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", KINFS_GOLDEN_DIR, name);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fscanf(f, " %2[0-9a-f]", text) == 1)
		buf_put_u8(ret, (uint8_t)strtol(text, NULL, 16));
	fclose(f);
}

/* ---- a cut, by the rule of the merge */

struct cut_arg {
	struct fixture *to;
	struct know mine;
	const struct know *theirs;
};

static int merge_row(void *arg, const struct replica_row *row)
{
	struct cut_arg *c = arg;
	struct object mine, theirs, merged;
	bool changed = false;
	int r;

	object_init(&theirs, row->id);
	object_init(&merged, row->id);
	assert_int_equal(object_decode(row->row, &theirs), 0);
	assert_int_equal(replica_row_load(c->to->tree, row->id, &mine), 0);
	for (size_t k = 0; k < mine.count; k++) {
		const struct version *v = &mine.versions[k];

		if (object_find(&theirs, v) >= 0 ||
		    !know_covers(c->theirs, v->dot))
			assert_int_equal(object_add_copy(&merged, v), 0);
		else
			changed = true;
	}
	for (size_t k = 0; k < theirs.count; k++) {
		const struct version *v = &theirs.versions[k];

		if (object_find(&mine, v) >= 0 ||
		    know_covers(&c->mine, v->dot))
			continue;
		assert_int_equal(object_add_copy(&merged, v), 0);
		changed = true;
	}
	r = changed ? replica_row_store(c->to->tree, &merged, 0) : 0;
	assert_int_equal(r, 0);
	object_release(&mine);
	object_release(&theirs);
	object_release(&merged);
	return 0;
}

struct row_copy {
	struct objid id;
	struct buf bytes;
};

struct row_copies {
	struct row_copy *list;
	size_t count;
};

static int copy_row(void *arg, const struct replica_row *row)
{
	struct row_copies *c = arg;

	c->list = realloc(c->list, (c->count + 1) * sizeof(*c->list));
	c->list[c->count].id = row->id;
	c->list[c->count].bytes = BUF_INIT;
	buf_put_slice(&c->list[c->count++].bytes, row->row);
	return 0;
}

/* ---- marks go with it */

struct mark_run {
	uint64_t origin, after;
	mark_t *marks;
	size_t count;
};

static size_t marks_take(struct fixture *from, const struct know *mine,
			 const struct know *theirs, struct mark_run *ret)
{
	size_t n = 0;

	for (size_t k = 0; k < theirs->count; k++) {
		struct dot d = theirs->entries[k];
		struct mark_run *m = &ret[n];

		m->origin = d.origin;
		m->after = know_get(mine, d.origin);
		if (m->after >= d.seq)
			continue;
		m->count = d.seq - m->after;
		m->marks = malloc(m->count * sizeof(*m->marks));
		assert_int_equal(chain_read(from->tree, m->origin, m->after,
					    m->marks, m->count), 0);
		n++;
	}
	return n;
}

static void marks_give(struct fixture *to, struct mark_run *m, size_t n)
{
	while (n--) {
		assert_int_equal(chain_write(to->tree, m[n].origin, m[n].after,
					     m[n].marks, m[n].count), 0);
		free(m[n].marks);
	}
}

static struct birth *births_take(struct fixture *from, size_t *ret_count)
{
	const struct birth *b = chain_births(from->tree, ret_count);
	size_t bytes = *ret_count * sizeof(*b);
	struct birth *ret = malloc(bytes + 1);

	if (bytes)
		memcpy(ret, b, bytes);
	return ret;
}

static void births_give(struct fixture *to, struct birth *b, size_t n)
{
	for (size_t k = 0; k < n; k++)
		assert_int_equal(chain_birth_add(to->tree, &b[k]), 0);
	free(b);
}

void merge_from(struct fixture *to, struct fixture *from)
{
	struct mark_run marks[64];
	struct birth *births;
	size_t mark_count, birth_count;
	struct know theirs = KNOW_INIT;
	struct cut_arg arg = { .to = to, .theirs = &theirs };
	struct row_copies rows = { 0 };
	int r;

	store_lock(to->store);
	assert_int_equal(know_copy(&arg.mine, replica_know(to->tree)), 0);
	store_unlock(to->store);
	store_lock(from->store);
	assert_int_equal(know_copy(&theirs, replica_know(from->tree)), 0);
	assert_true(replica_rows_after(from->tree, 0, 1 << 20, copy_row,
				       &rows) >= 0);
	mark_count = marks_take(from, &arg.mine, &theirs, marks);
	births = births_take(from, &birth_count);
	store_unlock(from->store);
	store_lock(to->store);
	assert_int_equal(replica_begin(to->tree), 0);
	marks_give(to, marks, mark_count);
	births_give(to, births, birth_count);
	for (size_t k = 0; k < rows.count; k++) {
		struct replica_row row = { .id = rows.list[k].id,
					   .row = buf_slice(
						   &rows.list[k].bytes) };
		merge_row(&arg, &row);
		buf_release(&rows.list[k].bytes);
	}
	assert_int_equal(replica_know_join(to->tree, &theirs), 0);
	replica_hlc_heard(to->tree, replica_hlc(from->tree));
	r = replica_finish(to->tree);
	assert_int_equal(replica_end(to->tree, r), 0);
	store_unlock(to->store);
	free(rows.list);
	know_release(&theirs);
	know_release(&arg.mine);
}
