/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pairs/actions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 320
#define NAMES_MAX 32

#define FEW .few = true
#define OPEN .open = true

const struct action actions[] = {
	{.kind = ACT_CREATE, .at = "d/n", FEW},
	{.kind = ACT_CREATE, .at = "d/n", .same = true},
	{.kind = ACT_CREATE, .at = "d/m"},
	{.kind = ACT_CREATE, .at = "d/s/n", FEW},
	{.kind = ACT_CREATE, .at = "d/z/n"},
	{.kind = ACT_CREATE, .at = "e/n"},
	{.kind = ACT_SYMLINK, .at = "d/n"},
	{.kind = ACT_SYMLINK, .at = "e/n"},
	{.kind = ACT_MKDIR, .at = "d/n", FEW},
	{.kind = ACT_MKDIR, .at = "d/s/n"},
	{.kind = ACT_MKDIR, .at = "d/z/n"},
	{.kind = ACT_MKDIR, .at = "e/n"},
	{.kind = ACT_WRITE, .at = "d/f", FEW},
	{.kind = ACT_WRITE, .at = "d/f", .same = true},
	{.kind = ACT_WRITE, .at = "e/l"},
	{.kind = ACT_WRITE, .at = "d/g", FEW},
	{.kind = ACT_WRITE, .at = "d/s/x", FEW},
	{.kind = ACT_WRITE, .at = "e/h"},
	{.kind = ACT_TRUNCATE, .at = "d/f"},
	{.kind = ACT_TRUNCATE, .at = "d/g"},
	{.kind = ACT_TRUNCATE, .at = "d/s/x"},
	{.kind = ACT_CHMOD, .at = "d/f"},
	{.kind = ACT_CHMOD, .at = "e/l"},
	{.kind = ACT_CHMOD, .at = "d/g", FEW},
	{.kind = ACT_CHMOD, .at = "d/s/x"},
	{.kind = ACT_CHMOD, .at = "d"},
	{.kind = ACT_CHMOD, .at = "d/s"},
	{.kind = ACT_CHMOD, .at = "d/z"},
	{.kind = ACT_CHOWN, .at = "d/f"},
	{.kind = ACT_CHOWN, .at = "d/g"},
	{.kind = ACT_CHOWN, .at = "d/s"},
	{.kind = ACT_UTIMENS, .at = "d/f"},
	{.kind = ACT_UTIMENS, .at = "d/g"},
	{.kind = ACT_UTIMENS, .at = "d/s"},
	{.kind = ACT_XATTR_SET, .at = "d/f"},
	{.kind = ACT_XATTR_SET, .at = "e/l"},
	{.kind = ACT_XATTR_SET, .at = "d/g"},
	{.kind = ACT_XATTR_SET, .at = "d/s"},
	{.kind = ACT_XATTR_REMOVE, .at = "d/f"},
	{.kind = ACT_XATTR_REMOVE, .at = "d/g"},
	{.kind = ACT_RENAME, .at = "d/f", .to = "d/n"},
	{.kind = ACT_RENAME, .at = "d/f", .to = "d/m"},
	{.kind = ACT_RENAME, .at = "d/g", .to = "d/n", FEW},
	{.kind = ACT_RENAME, .at = "d/g", .to = "d/m"},
	{.kind = ACT_RENAME, .at = "d/s/x", .to = "d/s/n"},
	{.kind = ACT_RENAME, .at = "e/l", .to = "e/n"},
	{.kind = ACT_RENAME, .at = "d/s", .to = "d/n", FEW},
	{.kind = ACT_RENAME, .at = "d/s", .to = "d/m"},
	{.kind = ACT_RENAME, .at = "d/z", .to = "d/n"},
	{.kind = ACT_RENAME, .at = "d", .to = "n"},
	{.kind = ACT_RENAME, .at = "d", .to = "m"},
	{.kind = ACT_MOVE, .at = "d/f", .to = "e/n"},
	{.kind = ACT_MOVE, .at = "d/f", .to = "d/s/n"},
	{.kind = ACT_MOVE, .at = "d/g", .to = "e/n", FEW},
	{.kind = ACT_MOVE, .at = "e/h", .to = "d/n"},
	{.kind = ACT_MOVE, .at = "d/s/x", .to = "d/n"},
	{.kind = ACT_MOVE, .at = "d/s/x", .to = "d/z/n"},
	{.kind = ACT_MOVE, .at = "d/s", .to = "e/n"},
	{.kind = ACT_MOVE, .at = "d/s", .to = "d/z/n", FEW},
	{.kind = ACT_MOVE, .at = "d/s", .to = "n"},
	{.kind = ACT_MOVE, .at = "d/z", .to = "d/s/n", FEW},
	{.kind = ACT_MOVE, .at = "d/z", .to = "e/n"},
	{.kind = ACT_MOVE, .at = "d", .to = "e/n", FEW},
	{.kind = ACT_MOVE, .at = "e", .to = "d/n", FEW},
	{.kind = ACT_MOVE, .at = "e", .to = "d/s/n"},
	{.kind = ACT_OVER, .at = "d/g", .to = "d/f"},
	{.kind = ACT_OVER, .at = "d/f", .to = "d/g"},
	{.kind = ACT_OVER, .at = "d/s/x", .to = "d/g", FEW},
	{.kind = ACT_OVER, .at = "d/g", .to = "d/s/x"},
	{.kind = ACT_OVER, .at = "e/h", .to = "d/g"},
	{.kind = ACT_OVER, .at = "d/s", .to = "d/z"},
	{.kind = ACT_SAVE, .at = "d/f"},
	{.kind = ACT_SAVE, .at = "e/l"},
	{.kind = ACT_SAVE, .at = "d/g", FEW},
	{.kind = ACT_SAVE, .at = "d/s/x"},
	{.kind = ACT_EXCHANGE, .at = "d/f", .to = "d/g"},
	{.kind = ACT_EXCHANGE, .at = "d/g", .to = "d/s/x", FEW},
	{.kind = ACT_EXCHANGE, .at = "d/g", .to = "e/h"},
	{.kind = ACT_EXCHANGE, .at = "d/s", .to = "d/z"},
	{.kind = ACT_EXCHANGE, .at = "d/s", .to = "e"},
	{.kind = ACT_EXCHANGE, .at = "d/g", .to = "e"},
	{.kind = ACT_UNLINK, .at = "d/f", FEW},
	{.kind = ACT_UNLINK, .at = "e/l"},
	{.kind = ACT_UNLINK, .at = "d/g", FEW},
	{.kind = ACT_UNLINK, .at = "d/s/x"},
	{.kind = ACT_UNLINK, .at = "e/h"},
	{.kind = ACT_RMDIR, .at = "d/z", FEW},
	{.kind = ACT_REMOVE_ALL, .at = "d", FEW},
	{.kind = ACT_REMOVE_ALL, .at = "d/s", FEW},
	{.kind = ACT_REMOVE_ALL, .at = "e"},
	{.kind = ACT_LINK, .at = "d/f", .to = "d/n"},
	{.kind = ACT_LINK, .at = "d/g", .to = "d/n", FEW},
	{.kind = ACT_LINK, .at = "d/g", .to = "e/n"},
	{.kind = ACT_LINK, .at = "e/h", .to = "d/s/n"},
	{.kind = ACT_WRITE, .at = "d/g*a", OPEN},
	{.kind = ACT_WRITE, .at = "d/f*a", OPEN},
	{.kind = ACT_SAVE, .at = "d/g*a", OPEN},
	{.kind = ACT_UNLINK, .at = "d/g*a", OPEN},
	{.kind = ACT_UNLINK, .at = "d/f*a", OPEN},
	{.kind = ACT_OVER, .at = "d/g*a", .to = "d/g", OPEN},
	{.kind = ACT_OVER, .at = "d/g*a", .to = "d/s/x", OPEN},
	{.kind = ACT_RENAME, .at = "d/g*a", .to = "d/n", OPEN},
	{.kind = ACT_MOVE, .at = "d/f*a", .to = "e/n", OPEN},
	{.kind = ACT_RESOLVE, .at = "d/g", OPEN},
	{.kind = ACT_RESOLVE, .at = "d/f", OPEN},
	/* (the usual ones, once more) */
	{.kind = ACT_WRITE, .at = "d/g", OPEN},
	{.kind = ACT_WRITE, .at = "e/l", OPEN},
	{.kind = ACT_SAVE, .at = "d/g", OPEN},
	{.kind = ACT_UNLINK, .at = "d/g", OPEN},
	{.kind = ACT_UNLINK, .at = "d/f", OPEN},
	{.kind = ACT_WRITE, .at = "d/t", OPEN},
	{.kind = ACT_WRITE, .at = "d/t*b", OPEN},
	{.kind = ACT_UNLINK, .at = "d/t", OPEN},
	{.kind = ACT_UNLINK, .at = "d/t*b", OPEN},
	{.kind = ACT_RENAME, .at = "d/t", .to = "d/m", OPEN},
	{.kind = ACT_MOVE, .at = "d/t*b", .to = "e/n", OPEN},
	{.kind = ACT_OVER, .at = "d/t*b", .to = "d/t", OPEN},
	{.kind = ACT_OVER, .at = "d/s/x", .to = "d/t", OPEN},
	{.kind = ACT_EXCHANGE, .at = "d/t", .to = "d/s/x", OPEN},
	{.kind = ACT_LINK, .at = "d/t*b", .to = "d/n", OPEN},
	{.kind = ACT_XATTR_SET, .at = "d/t*b", OPEN},
	{.kind = ACT_CREATE, .at = "d/w/n", OPEN},
	{.kind = ACT_CHMOD, .at = "d/w", OPEN},
	{.kind = ACT_XATTR_SET, .at = "d/w", OPEN},
	{.kind = ACT_RENAME, .at = "d/w", .to = "d/n", OPEN},
	{.kind = ACT_MOVE, .at = "d/w", .to = "e/n", OPEN},
	{.kind = ACT_MOVE, .at = "d/s", .to = "d/w/n", OPEN},
	{.kind = ACT_EXCHANGE, .at = "d/w", .to = "d/s", OPEN},
	{.kind = ACT_REMOVE_ALL, .at = "d/w", OPEN},
	{.kind = ACT_RENAME, .at = "d/u", .to = "d/m", OPEN},
	{.kind = ACT_UNLINK, .at = "d/u", OPEN},
	{.kind = ACT_WRITE, .at = "e/u", OPEN},
	{.kind = ACT_LINK, .at = "d/u", .to = "e/n", OPEN},
	{.kind = ACT_OVER, .at = "d/s/x", .to = "d/u", OPEN},
	{.kind = ACT_CREATE, .at = "d/q/p/n", OPEN},
	{.kind = ACT_RENAME, .at = "d/q", .to = "d/m", OPEN},
	{.kind = ACT_MOVE, .at = "d/q", .to = "e/n", OPEN},
	{.kind = ACT_MOVE, .at = "d/q/p", .to = "d/n", OPEN},
	{.kind = ACT_MOVE, .at = "d/s", .to = "d/q/p/n", OPEN},
	{.kind = ACT_EXCHANGE, .at = "d/q/p", .to = "d/s", OPEN},
	{.kind = ACT_REMOVE_ALL, .at = "d/q/p", OPEN},
	{.kind = ACT_REMOVE_ALL, .at = "d/q", OPEN},
};
const size_t action_count = ARRAY_SIZE(actions);

const char *action_name(enum action_kind kind)
{
	static const char *const names[ACT_KINDS] = {
		[ACT_CREATE] = "create",
		[ACT_SYMLINK] = "symlink",
		[ACT_MKDIR] = "mkdir",
		[ACT_WRITE] = "write",
		[ACT_TRUNCATE] = "truncate",
		[ACT_CHMOD] = "chmod",
		[ACT_CHOWN] = "chown",
		[ACT_UTIMENS] = "utimens",
		[ACT_XATTR_SET] = "setxattr",
		[ACT_XATTR_REMOVE] = "removexattr",
		[ACT_RENAME] = "rename",
		[ACT_MOVE] = "move",
		[ACT_OVER] = "rename-over",
		[ACT_SAVE] = "save",
		[ACT_EXCHANGE] = "exchange",
		[ACT_UNLINK] = "unlink",
		[ACT_RMDIR] = "rmdir",
		[ACT_REMOVE_ALL] = "rm-r",
		[ACT_LINK] = "link",
		[ACT_RESOLVE] = "resolve",
	};

	return names[kind];
}

const char *action_removes(const struct action *a)
{
	switch (a->kind) {
	case ACT_UNLINK:
	case ACT_RMDIR:
	case ACT_REMOVE_ALL:
	case ACT_SAVE:
		return a->at;
	case ACT_OVER:
		return a->to;
	default:
		return NULL;
	}
}

/* ---- paths */

struct spot {
	uint64_t parent, ino; /* ino: 0 if nothing is there */
	char path[PATH_BYTES];
	struct slice name; /* in path */
};

struct names {
	char list[NAMES_MAX][256];
	uint64_t ino[NAMES_MAX];
	bool is_dir[NAMES_MAX];
	size_t count;
};

static int names_add(void *arg, const struct tree_dirent *e)
{
	struct names *l = arg;

	if (l->count == NAMES_MAX)
		return 1;
	memcpy(l->list[l->count], e->name.data, e->name.len);
	l->list[l->count][e->name.len] = '\0';
	l->ino[l->count] = e->ino;
	l->is_dir[l->count++] = S_ISDIR(e->type);
	return 0;
}

static int spot_plain(struct bare *n, const char *dir, const char *path,
		      struct spot *ret)
{
	char *slash;
	int r;

	snprintf(ret->path, sizeof(ret->path), "%s/%s", dir, path);
	slash = strrchr(ret->path, '/');
	ret->name = SLICE_STR(slash + 1);
	ret->ino = 0;
	r = tree_resolve_path(n->tree,
			      SLICE(ret->path, (size_t)(slash - ret->path)),
			      &ret->parent);
	if (r < 0)
		return r;
	r = tree_resolve_path(n->tree, SLICE_STR(ret->path), &ret->ino);
	return r == -ENOENT ? 0 : r;
}

/* That sibling of the file called `main`, if there is one. */
static int spot_sibling(struct bare *n, const char *dir, const char *main,
			const char *at, char who, struct spot *ret)
{
	char mark[64], want[TEXT_BYTES_MAX], text[TEXT_BYTES_MAX];
	struct names l = {.count = 0};
	int r = spot_plain(n, dir, main, ret);

	snprintf(mark, sizeof(mark), "%.*s%s", (int)ret->name.len,
		 (const char *)ret->name.data, CONFLICT_MARK);
	snprintf(want, sizeof(want), CONFLICT_TEXT, who, at);
	if (r == 0)
		r = tree_readdir(n->tree, ret->parent, 0, names_add, &l);
	ret->ino = 0;
	for (size_t i = 0; r >= 0 && i < l.count; i++) {
		int64_t len;

		if (strncmp(l.list[i], mark, strlen(mark)) || l.is_dir[i])
			continue;
		len = tree_read(n->tree, l.ino[i], 0, text, sizeof(text) - 1);
		if (len < 0 || (size_t)len != strlen(want) ||
		    memcmp(text, want, (size_t)len))
			continue;
		snprintf(ret->path, sizeof(ret->path), "%s", l.list[i]);
		ret->name = SLICE_STR(ret->path);
		ret->ino = l.ino[i];
	}
	return MIN_OF(r, 0);
}

static int spot_find(struct bare *n, const char *dir, const char *path,
		     struct spot *ret)
{
	const char *star = strchr(path, '*');
	char main[32];
	int r;

	if (!star)
		return spot_plain(n, dir, path, ret);
	snprintf(main, sizeof(main), "%.*s", (int)(star - path), path);
	r = spot_sibling(n, dir, main, main, star[1], ret);
	/* (they stand beside the name of the smaller slot) */
	if (!ret->ino && !strcmp(main, "d/f"))
		r = spot_sibling(n, dir, "e/l", main, star[1], ret);
	return r;
}

static int spot_must(struct bare *n, const char *dir, const char *path,
		     struct spot *ret)
{
	int r = spot_find(n, dir, path, ret);

	return r == 0 && !ret->ino ? -ENOENT : r;
}

/* ---- making and writing */

static const struct slice user = {(const uint8_t *)"user", 4};

static int make(struct bare *n, const struct spot *at, enum kind kind,
		const char *text, uint64_t *ret_ino)
{
	struct tree_new new = {
		.kind = kind,
		.perm = kind == KIND_DIR ? 0755 : 0644,
		.user = user,
		.group = user,
		.target = kind == KIND_SYMLINK ? SLICE_STR(text)
					       : SLICE(NULL, 0),
	};
	struct entry e;
	int r = tree_create(n->tree, at->parent, at->name, &new,
			    kind == KIND_FILE, &e);

	if (r < 0)
		return r;
	*ret_ino = e.attr.ino;
	if (kind != KIND_FILE)
		return 0;
	r = tree_write(n->tree, e.attr.ino, 0, SLICE_STR(text), false);
	tree_release_file(n->tree, e.attr.ino, true);
	return r;
}

static int overwrite(struct bare *n, uint64_t ino, const char *text)
{
	struct tree_setattr empty = {.set = TREE_SET_SIZE};
	struct attr attr;
	int r = tree_open_file(n->tree, ino, true);

	if (r < 0)
		return r;
	r = tree_setattr(n->tree, ino, &empty, &attr);
	if (r == 0)
		r = tree_write(n->tree, ino, 0, SLICE_STR(text), false);
	tree_release_file(n->tree, ino, true);
	return r;
}

static int set_attr(struct bare *n, uint64_t ino, const struct action *a,
		    char who)
{
	/* Each is another prefix of the old text. */
	struct tree_setattr set = {
		.perm = 0700u + (uint32_t)(who - 'a'),
		.size = 4u + (uint32_t)(who - 'a'),
		.mtime.tv_sec = 1000 + who,
	};
	const char name[] = {who, '\0'};
	struct attr attr;

	set.user = SLICE_STR(name);
	set.set = a->kind == ACT_CHMOD	    ? TREE_SET_MODE
		  : a->kind == ACT_CHOWN    ? TREE_SET_USER
		  : a->kind == ACT_TRUNCATE ? TREE_SET_SIZE
					    : TREE_SET_MTIME;
	return tree_setattr(n->tree, ino, &set, &attr);
}

/* ---- removing */

/* The trees here are three deep. What is gone is gone: siblings of a file
 * with another name elsewhere leave with the name beside which they stood. */
static int remove_all(struct bare *n, uint64_t parent, struct slice name,
		      uint64_t ino, int depth)
{
	struct names l = {.count = 0};
	int r = tree_readdir(n->tree, ino, 0, names_add, &l);

	for (size_t i = 0; (r >= 0 || r == -ENOENT) && i < l.count; i++)
		r = l.is_dir[i] && depth
			    ? remove_all(n, ino, SLICE_STR(l.list[i]),
					 l.ino[i], depth - 1)
			    : tree_unlink(n->tree, ino, SLICE_STR(l.list[i]));
	return r < 0 && r != -ENOENT ? r : tree_rmdir(n->tree, parent, name);
}

/* ---- the actions */

static int save(struct bare *n, const struct spot *at, const char *text)
{
	struct spot temp = *at;
	uint64_t ino;
	int r;

	temp.name = SLICE_STR(".new");
	r = make(n, &temp, KIND_FILE, text, &ino);
	if (r < 0)
		return r;
	return tree_rename(n->tree, at->parent, temp.name, at->parent, at->name,
			   0);
}

static int do_one(struct bare *n, const struct action *a, struct spot *at,
		  const char *text, char who)
{
	struct slice value = SLICE_STR(text);
	struct slice xattr = SLICE_STR("user.x");
	uint64_t ino;

	switch (a->kind) {
	case ACT_CREATE:
		return make(n, at, KIND_FILE, text, &ino);
	case ACT_SYMLINK:
		return make(n, at, KIND_SYMLINK, text, &ino);
	case ACT_MKDIR:
		return make(n, at, KIND_DIR, text, &ino);
	case ACT_WRITE:
		return overwrite(n, at->ino, text);
	case ACT_SAVE:
		return save(n, at, text);
	case ACT_XATTR_SET:
		return tree_setxattr(n->tree, at->ino, xattr, value, 0);
	case ACT_XATTR_REMOVE:
		return tree_removexattr(n->tree, at->ino, xattr);
	case ACT_UNLINK:
		return tree_unlink(n->tree, at->parent, at->name);
	case ACT_RMDIR:
		return tree_rmdir(n->tree, at->parent, at->name);
	case ACT_REMOVE_ALL:
		return remove_all(n, at->parent, at->name, at->ino, 3);
	case ACT_RESOLVE:
		return tree_resolve(n->tree, at->parent, at->name,
				    SLICE_STR("main"));
	default:
		return set_attr(n, at->ino, a, who);
	}
}

static int do_two(struct bare *n, const struct action *a, struct spot *at,
		  struct spot *to)
{
	struct entry e;
	bool free = a->kind == ACT_RENAME || a->kind == ACT_MOVE;

	if (a->kind == ACT_LINK)
		return tree_link(n->tree, at->ino, to->parent, to->name, &e);
	return tree_rename(n->tree, at->parent, at->name, to->parent, to->name,
			   a->kind == ACT_EXCHANGE ? TREE_RENAME_EXCHANGE
			   : free ? TREE_RENAME_NOREPLACE : 0);
}

int action_do(struct bare *n, const struct action *a, const char *dir, char who)
{
	bool makes = a->kind <= ACT_MKDIR;
	struct spot at, to;
	char text[TEXT_BYTES_MAX];
	int r;

	snprintf(text, sizeof(text), "written by %c", a->same ? '*' : who);
	r = makes ? spot_find(n, dir, a->at, &at)
		  : spot_must(n, dir, a->at, &at);
	if (r < 0 || !a->to)
		return r < 0 ? r : do_one(n, a, &at, text, who);
	r = a->kind == ACT_OVER || a->kind == ACT_EXCHANGE
		    ? spot_must(n, dir, a->to, &to)
		    : spot_find(n, dir, a->to, &to);
	return r < 0 ? r : do_two(n, a, &at, &to);
}

void action_meant(struct bare *n, const struct action *a, const char *dir,
		  uint64_t ret[MEANT_COUNT])
{
	const char *paths[] = {a->at, a->to};
	struct spot s;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		bool is = paths[i] && spot_find(n, dir, paths[i], &s) == 0;

		ret[2 * i] = is ? s.parent : 0;
		ret[2 * i + 1] = is ? s.ino : 0;
	}
}

int tree_prepare(struct bare *n, const char *dir)
{
	static const char *const dirs[] = {"d", "d/s", "d/z", "e"};
	static const char *const files[] = {"d/f", "d/g", "d/s/x", "e/h"};
	struct slice xattr = SLICE_STR("user.x");
	struct spot at = {.parent = TREE_ROOT_INO, .name = SLICE_STR(dir)};
	char text[TEXT_BYTES_MAX];
	struct entry e;
	uint64_t ino;
	int r = make(n, &at, KIND_DIR, "", &ino);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++) {
		r = spot_find(n, dir, dirs[i], &at);
		if (r == 0)
			r = make(n, &at, KIND_DIR, "", &ino);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		/* (what truncate leaves tells them apart) */
		snprintf(text, sizeof(text), "%s: what it had at first", files[i]);
		r = spot_find(n, dir, files[i], &at);
		if (r == 0)
			r = make(n, &at, KIND_FILE, text, &ino);
		if (r == 0)
			r = tree_setxattr(n->tree, ino, xattr,
					  SLICE_STR("first"), 0);
		if (r == 0 && i == 0)
			r = spot_find(n, dir, "e/l", &at);
		if (r == 0 && i == 0)
			r = tree_link(n->tree, ino, at.parent, at.name, &e);
	}
	return r;
}

int tree_prepare_conflicts(struct bare *n, const char *dir)
{
	static const char *const dirs[] = {"d/p", "d/q"};
	struct spot at;
	struct entry e;
	uint64_t ino;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++) {
		r = spot_find(n, dir, dirs[i], &at);
		if (r == 0)
			r = make(n, &at, KIND_DIR, "", &ino);
	}
	if (r == 0)
		r = spot_find(n, dir, "d/u", &at);
	if (r == 0)
		r = make(n, &at, KIND_FILE, "d/u, at first", &ino);
	if (r == 0)
		r = spot_find(n, dir, "e/u", &at);
	return r == 0 ? tree_link(n->tree, ino, at.parent, at.name, &e) : r;
}

/* Removed by one while the other wrote it: it has weak names only. */
static int remove_or_write(struct bare *n, const char *dir, char who)
{
	static const char *const names[] = {"d/u", "e/u"};
	struct spot at;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		r = spot_must(n, dir, names[i], &at);
		if (r == 0 && who == 'b')
			r = tree_unlink(n->tree, at.parent, at.name);
		else if (r == 0 && who == 'a' && i)
			r = overwrite(n, at.ino, "a in d/u");
	}
	return r;
}

/* Into each other. */
static int move_in(struct bare *n, const char *dir, char who)
{
	static const struct action moves[] = {
		{.kind = ACT_MOVE, .at = "d/p", .to = "d/q/p"},
		{.kind = ACT_MOVE, .at = "d/q", .to = "d/p/q"},
	};

	return who > 'b' ? 0 : action_do(n, &moves[who - 'a'], dir, who);
}

int tree_write_conflicts(struct bare *n, const char *dir, char who)
{
	static const char *const files[] = {"d/f", "d/g", "d/t", "d/w"};
	char text[TEXT_BYTES_MAX], own[] = {'d', '/', 'w', '/', who, '\0'};
	struct spot at;
	uint64_t ino;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		snprintf(text, sizeof(text), CONFLICT_TEXT, who, files[i]);
		r = spot_find(n, dir, files[i], &at);
		if (r == 0 && at.ino)
			r = overwrite(n, at.ino, text);
		else if (r == 0)
			r = make(n, &at, i == 2 ? KIND_FILE : KIND_DIR, text,
				 &ino);
	}
	if (r == 0)
		r = spot_find(n, dir, own, &at);
	if (r == 0)
		r = make(n, &at, KIND_FILE, text, &ino);
	if (r == 0)
		r = remove_or_write(n, dir, who);
	return r == 0 ? move_in(n, dir, who) : r;
}
