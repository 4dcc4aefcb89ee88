/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/node.h"

#include <errno.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/format.h"
#include "tests/fuzz/fuzz.h"

void fuzz_must(int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "kin-fuzz: %s\n", strerrorname_np(-r));
	abort();
}

/* ---- directories */

static char base[64];

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level ? remove(path) : 0;
}

void fuzz_dir_clear(const char *dir)
{
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_base(void)
{
	fuzz_dir_clear(base);
	rmdir(base);
}

/* (kept where a sanitizer finds them) */
const char *fuzz_path(const char *dir, const char *name)
{
	static char *paths[64];
	static size_t count;

	kin_assert(count < ARRAY_SIZE(paths));
	kin_assert(asprintf(&paths[count], "%s/%s", dir, name) > 0);
	return paths[count++];
}

const char *fuzz_dir(const char *name)
{
	const char *path;

	if (!base[0]) {
		snprintf(base, sizeof(base), "%s/kin-fuzz-%d",
			 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
			 (int)getpid());
		kin_assert(!mkdir(base, 0700) || errno == EEXIST);
		atexit(remove_base);
	}
	path = fuzz_path(base, name);
	kin_assert(!mkdir(path, 0700));
	return path;
}

/* ---- time, chance, keys */

static int64_t env_now(void *arg)
{
	struct fuzz_node *n = arg;

	return FUZZ_EPOCH_NS + (int64_t)n->now_ms * 1000000;
}

static uint64_t env_monotonic(void *arg)
{
	struct fuzz_node *n = arg;

	return n->now_ms * 1000000 + 1;
}

static void env_random(void *arg, void *ret, size_t len)
{
	rng_fill(&((struct fuzz_node *)arg)->rng, ret, len);
}

static EVP_PKEY *key_of(int index)
{
	static EVP_PKEY *keys[4];
	uint8_t secret[32];

	kin_assert(index >= 0 && (size_t)index < ARRAY_SIZE(keys));
	if (!keys[index]) {
		memset(secret, index + 1, sizeof(secret));
		keys[index] = EVP_PKEY_new_raw_private_key(
			EVP_PKEY_ED25519, NULL, secret, sizeof(secret));
		kin_assert(keys[index]);
	}
	return keys[index];
}

struct device fuzz_device(int index)
{
	struct device d;
	size_t len = sizeof(d.b);

	kin_assert(EVP_PKEY_get_raw_public_key(key_of(index), d.b, &len) == 1);
	return d;
}

struct volid fuzz_volume(void)
{
	return (struct volid){ { 'f', 'u', 'z', 'z' } };
}

static int env_sign(void *arg, struct slice message, uint8_t ret[64])
{
	struct fuzz_node *n = arg;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;
	int ok = ctx &&
		 EVP_DigestSignInit(ctx, NULL, NULL, NULL,
				    key_of(n->index)) == 1 &&
		 EVP_DigestSign(ctx, ret, &len, message.data, message.len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

/* ---- life */

int fuzz_store_try_open(const char *dir, struct store **ret)
{
	const struct store_options o = {
		.path = dir,
		.no_sync = true,
		.map_bytes = 1u << 30,
		.log_bytes = 1u << 20,
		.segment_bytes = 4u << 20,
		.boot_id = "fuzz",
	};

	return store_open(&o, NULL, ret);
}

struct store *fuzz_store_open(const char *dir)
{
	struct store *s;

	fuzz_must(fuzz_store_try_open(dir, &s));
	return s;
}

void fuzz_node_init(struct fuzz_node *n, int index, const char *dir)
{
	*n = (struct fuzz_node){ .dir = dir,
				 .index = index,
				 .now_ms = 1000 };
	rng_init(&n->rng, (uint64_t)index + 1);
	n->env = (struct tree_env){
		.arg = n,
		.now_ns = env_now,
		.monotonic_ns = env_monotonic,
		.random = env_random,
	};
	buf_init(&n->out);
}

int fuzz_node_tree(struct fuzz_node *n, const uint8_t *secret)
{
	char label[16];
	struct tree_options to = {
		.store = n->store,
		.env = &n->env,
		.volume = fuzz_volume(),
		.root_perm = 0755,
		.secret = secret,
	};

	snprintf(label, sizeof(label), "node%d", n->index);
	to.label = SLICE_STR(label);
	if (!n->index)
		to.user = to.group = SLICE_STR("user");
	return tree_open(&to, &n->tree);
}

void fuzz_node_open(struct fuzz_node *n, const struct fuzz_node_options *o)
{
	fuzz_node_init(n, o->index, o->dir);
	n->store = fuzz_store_open(o->dir);
	fuzz_must(fuzz_node_tree(n, o->secret));
}

static void env_send(void *arg, link_id link, struct slice frame)
{
	struct fuzz_node *n = arg;

	(void)link;
	buf_put_slice(&n->out, frame);
}

static void env_close(void *arg, link_id link, const char *why)
{
	struct fuzz_node *n = arg;

	(void)link;
	(void)why;
	n->closed = true;
}

static void env_members_changed(void *arg)
{
	(void)arg;
}

int fuzz_node_core(struct fuzz_node *n, const struct fuzz_node_options *o)
{
	const struct core_options co = {
		.tree = n->tree,
		.env = { .arg = n,
			 .send = env_send,
			 .close = env_close,
			 .members_changed = env_members_changed,
			 .random = env_random,
			 .sign = env_sign },
		.device = fuzz_device(n->index),
		.has_mount = o->has_mount,
		.heartbeat_ms = CORE_HEARTBEAT_MS,
		.small_rows = o->few_rows ? 2 : 0,
		.slice_rows = o->few_rows ? 2 : 0,
	};

	return core_new(&co, n->now_ms, &n->core);
}

void fuzz_node_close(struct fuzz_node *n)
{
	if (n->core)
		core_free(steal(&n->core));
	tree_close(n->tree);
	store_abandon(n->store);
	buf_release(&n->out);
	fuzz_dir_clear(n->dir);
}

/* ---- the tables, as one record of the log */

static bool is_of_the_store(enum store_table t, struct slice key)
{
	return t == TABLE_META && (slice_equal(key, SLICE_STR(META_FORMAT)) ||
				   slice_equal(key, SLICE_STR(META_LOG)) ||
				   slice_equal(key, SLICE_STR(META_BOOT)));
}

void fuzz_store_dump(struct store *s, struct buf *ret)
{
	struct slice key, value, k, v;

	log_record_begin(ret);
	store_lock(s);
	for (enum store_table t = 0; t < TABLE_COUNT; t++) {
		uint8_t at[STORE_KEY_BYTES_MAX + 1] = { 0 };
		size_t len = 1;

		while (!store_seek(s, t, SLICE(at, len), &key, &value)) {
			memcpy(at, key.data, key.len);
			at[key.len] = 0;
			len = key.len + 1;
			if (!is_of_the_store(t, key))
				log_record_put(ret, t, key, value, &k, &v);
		}
	}
	store_unlock(s);
	fuzz_must(buf_error(ret));
	memmove(ret->data, ret->data + LOG_HEADER_BYTES,
		ret->len - LOG_HEADER_BYTES);
	ret->len -= LOG_HEADER_BYTES;
}

/* ---- what people do */

uint64_t fuzz_ino(struct fuzz_node *n, const char *path)
{
	uint64_t ino;

	fuzz_must(tree_resolve_path(n->tree, SLICE_STR(path), &ino));
	return ino;
}

static uint64_t parent_of(struct fuzz_node *n, const char *path,
			  struct slice *ret_name)
{
	const char *slash = strrchr(path, '/');
	uint64_t ino = TREE_ROOT_INO;

	*ret_name = SLICE_STR(slash ? slash + 1 : path);
	if (slash)
		fuzz_must(tree_resolve_path(
			n->tree, SLICE(path, slash - path), &ino));
	return ino;
}

static uint64_t make(struct fuzz_node *n, const char *path, enum kind kind,
		     bool open)
{
	const struct tree_new new = { .kind = kind,
				      .perm = kind == KIND_DIR ? 0755 : 0644,
				      .user = SLICE_STR("user"),
				      .group = SLICE_STR("user") };
	struct slice name;
	uint64_t dir = parent_of(n, path, &name);
	struct entry e;

	fuzz_must(tree_create(n->tree, dir, name, &new, open, &e));
	return e.attr.ino;
}

static void write_bytes(struct fuzz_node *n, const char *path,
			struct slice bytes)
{
	struct tree_setattr cut = { .set = TREE_SET_SIZE };
	struct attr attr;
	uint64_t ino;

	n->now_ms += 1000;
	if (tree_resolve_path(n->tree, SLICE_STR(path), &ino)) {
		ino = make(n, path, KIND_FILE, true);
	} else {
		fuzz_must(tree_open_file(n->tree, ino, true));
		fuzz_must(tree_setattr(n->tree, ino, &cut, &attr));
	}
	fuzz_must(tree_write(n->tree, ino, 0, bytes, false));
	tree_release_file(n->tree, ino, true);
	if (n->core)
		core_local_change(n->core, n->now_ms);
}

void fuzz_write(struct fuzz_node *n, const char *path, const char *text)
{
	write_bytes(n, path, SLICE_STR(text));
}

void fuzz_write_long(struct fuzz_node *n, const char *path, size_t len)
{
	autofree uint8_t *bytes = malloc(len);
	struct rng rng;

	fuzz_must(bytes ? 0 : -ENOMEM);
	rng_init(&rng, len);
	rng_fill(&rng, bytes, len);
	write_bytes(n, path, SLICE(bytes, len));
}

void fuzz_mkdir(struct fuzz_node *n, const char *path)
{
	(void)make(n, path, KIND_DIR, false);
	if (n->core)
		core_local_change(n->core, n->now_ms);
}

void fuzz_remove(struct fuzz_node *n, const char *path)
{
	struct slice name;
	uint64_t dir = parent_of(n, path, &name);
	int r = tree_unlink(n->tree, dir, name);

	fuzz_must(r == -EISDIR ? tree_rmdir(n->tree, dir, name) : r);
	if (n->core)
		core_local_change(n->core, n->now_ms);
}

void fuzz_move(struct fuzz_node *n, const char *from, const char *to)
{
	struct slice name, into_name;
	uint64_t dir = parent_of(n, from, &name);
	uint64_t into = parent_of(n, to, &into_name);

	fuzz_must(tree_rename(n->tree, dir, name, into, into_name, 0));
	if (n->core)
		core_local_change(n->core, n->now_ms);
}
