/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is not mounted: first the pages of its tables, then, if these
 * are sound, all that is in them, as the log makes them when it is opened
 * next; nothing on the disk is changed. To repair it is opened as a mount
 * would, but is no new incarnation by that, and looked at once more when all
 * is done.
 */
#include "tools/check_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fs/store/pages.h"
#include "fs/store/store.h"
#include "fs/tree/derived.h"
#include "fs/tree/mend.h"
#include "replication/core/members.h"
#include "replication/net/check_list.h"
#include "replication/net/identity.h"
#include "tools/volume_paths.h"

#define NS_PER_S 1000000000ull
#define PROGRESS_NS NS_PER_S

/* What one look found, and mended. */
struct look {
	struct store *store;
	struct tree *tree;
	struct check *check;
	struct check_list list;
	struct mend_result mended;
	bool self_missing;	/* the node's own member record */
};

static int64_t env_now_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

static uint64_t env_monotonic_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void env_random(void *arg, void *ret, size_t len)
{
	(void)arg;
	kin_assert(getrandom(ret, len, 0) == (ssize_t)len);
}

static const struct tree_env env = {
	.now_ns = env_now_ns,
	.monotonic_ns = env_monotonic_ns,
	.random = env_random,
};

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)MIN_OF(n, INT64_MAX));
}

static void tell_progress(const struct check *check, uint64_t *next_ns,
			  void (*fn)(void *arg, const json_t *event))
{
	const struct check_result *r = check_result(check);
	json_t *event;

	if (!fn || env_monotonic_ns(NULL) < *next_ns)
		return;
	*next_ns = env_monotonic_ns(NULL) + PROGRESS_NS;
	event = json_pack("{s:o, s:o, s:o}", "entries", number(r->entries),
			  "of", number(r->total), "bytes", number(r->bytes));
	fn(NULL, event);
	json_decref(event);
}

/* ---- pages */

static int look_at_pages(const struct check_args *args, json_t **ret)
{
	cleanup(buf_release) struct buf name = BUF_INIT;
	cleanup(check_list_release) struct check_list list;
	const struct pages_ops ops = { .fault = check_list_page,
				       .arg = &list };
	struct pages_result found;
	autoclose int fd = -1;
	int r;

	check_list_init(&list);
	buf_printf(&name, "%s/db", args->path);
	buf_put_u8(&name, 0);
	fd = buf_error(&name) ? -1 : open((char *)name.data,
					  O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	r = fd < 0 ? -errno : pages_walk(fd, -1, &ops, &found);
	if (r < 0)
		return complain("check", EXIT_UNCHECKED, "%s: %s", args->path,
				strerror(-r));
	if (!list.total)
		return EXIT_OK;
	*ret = check_list_only_json(&list);
	return EXIT_FAILED;
}

/* ---- what is in them */

static void look_end(struct look *l)
{
	check_end(l->check);
	if (l->tree)
		tree_close(l->tree);
	check_list_release(&l->list);
}

static void meta_is_damaged(void *arg, const char *name)
{
	const struct check_fault f = {
		.part = CHECK_ENTRY,
		.table = TABLE_META,
		.what = "cannot be read, or is missing",
		.key = SLICE_STR(name),
	};

	check_list_add(arg, &f);
}

/*
 * Nobody but who has the key knows which record must be there; without it no
 * more is known. (Of a volume of one the record is made when it is mounted; and
 * a repair may know already.)
 */
static void look_at_self(const struct check_args *args, struct look *l)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct device device = { 0 };
	struct slice v, key = SLICE(device.b, sizeof(device.b));
	struct check_fault f = { .part = CHECK_ENTRY,
				 .table = TABLE_MEMBER,
				 .what = "has no record of this node itself",
				 .key = key };

	if (args->device)
		device = *args->device;
	else if (identity_device(args->path, &why, &device))
		return;
	store_lock(l->store);
	l->self_missing =
		store_count(l->store, TABLE_MEMBER) &&
		store_get(l->store, TABLE_MEMBER, key, &v) == -ENOENT &&
		store_get(l->store, TABLE_META, SLICE_STR(META_MEMBERS_LOST),
			  &v) == -ENOENT;
	store_unlock(l->store);
	if (l->self_missing)
		check_list_add(&l->list, &f);
}

static int look_begin(const struct check_args *args, bool inspect,
		      struct buf *why, struct look *ret)
{
	autofree char *path = realpath(args->path, NULL), *distrust = NULL;
	struct volume_place place = { .store = path };
	struct store_options so = { .path = args->path,
				    .must_exist = true,
				    .inspect = inspect,
				    .damaged = meta_is_damaged,
				    .damaged_arg = &ret->list,
				    .threads = !inspect };
	struct tree_options to = {
		.env = &env,
		.mending = true,
		.damaged = meta_is_damaged,
		.damaged_arg = &ret->list,
		.mended = inspect ? NULL : &ret->mended.meta,
	};
	const struct check_options o = { .data = args->data,
					 .still = true,
					 .foreign = check_list_foreign,
					 .fault = check_list_add,
					 .arg = &ret->list };
	int r;

	check_list_init(&ret->list);
	/* (as a mount would: what of the log counts depends on it) */
	r = path ? volume_place_distrust(&place, why, &distrust) : -errno;
	so.distrust = distrust;
	if (!r)
		r = store_open(&so, why, &ret->store);
	if (!r && !tree_exists(ret->store)) {
		buf_printf(why, "store '%s': its volume cannot be read",
			   args->path);
		r = -EUCLEAN;
	}
	to.store = ret->store;
	if (!r) {
		store_lock(ret->store);
		(void)!members_volume(ret->store, &to.volume);
		store_unlock(ret->store);
	}
	if (!r)
		r = tree_open(&to, &ret->tree);
	if (!r)
		r = check_begin(ret->tree, &o, &ret->check);
	if (!r)
		look_at_self(args, ret);
	return r;
}

static int look_run(struct look *l,
		    void (*progress)(void *arg, const json_t *event))
{
	uint64_t next_ns = env_monotonic_ns(NULL) + PROGRESS_NS;
	int r = 0;

	while (!r) {
		r = check_step(l->check);
		tell_progress(l->check, &next_ns, progress);
	}
	return MIN_OF(r, 0);
}

static int look_mend(struct look *l)
{
	const struct check_result *found = check_result(l->check);
	int r = mend_contents(l->check, NULL, &l->mended);

	if (!r && (found->indexes_wrong || found->rows_damaged))
		r = mend_rows(l->check, &l->mended);
	if (!r && l->self_missing)
		r = mend_self(l->tree);
	return r ? r : tree_stop(l->tree);
}

/* (before anything is mended: names go with what is taken out) */
static json_t *look_json(struct look *l)
{
	json_t *answer = check_list_json(&l->list, l->tree,
					 check_result(l->check));

	if (answer)
		json_object_set_new(answer, "log_lost",
				    number(store_log_lost(l->store)));
	return answer;
}

static void put_mended(json_t *answer, const struct mend_result *mended)
{
	json_object_set_new(answer, "repaired",
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "chunks",
			  number(mended->chunks), "found",
			  number(mended->found), "contents",
			  number(mended->contents), "rows",
			  number(mended->rows), "unsent",
			  number(mended->unsent), "indexed",
			  number(mended->indexed), "incarnation",
			  mended->meta.incarnation, "own_volume",
			  mended->meta.own_volume));
}

/* Is it the log that a look was about, it is lost by the next opening. */
static int look_once(const struct check_args *args, bool mend,
		     void (*progress)(void *arg, const json_t *event),
		     struct mend_result *ret_mended, json_t **ret)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct look l = { 0 };
	bool clean = false;
	int r = look_begin(args, !mend, &why, &l), e = 0;

	if (!r)
		r = look_run(&l, progress);
	if (!r) {
		clean = !l.list.total && !store_log_lost(l.store);
		*ret = look_json(&l);
	} else if (r == -EUCLEAN && !l.tree && l.list.total) {
		/* (what it is is not known: there are no paths) */
		*ret = check_list_only_json(&l.list);
		r = 0;
	}
	if (!r && mend && l.tree && l.list.total)
		r = look_mend(&l);
	*ret_mended = l.mended;
	look_end(&l);
	if (l.store && mend)
		e = store_close(l.store);
	else
		store_abandon(l.store);
	r = r ? r : e;
	if (r < 0) {
		if (!why.len)
			buf_printf(&why, "store '%s': %s", args->path,
				   strerror(-r));
		complain("check", EXIT_UNCHECKED, "%.*s%s", (int)why.len,
			 (const char *)why.data,
			 r == -EBUSY ? ": is it mounted? `kin check "
				       "MOUNTPOINT` looks at it there" : "");
		json_decref(*ret);
		*ret = NULL;
		return r == -EUCLEAN ? EXIT_FAILED : EXIT_UNCHECKED;
	}
	return clean ? EXIT_OK : EXIT_FAILED;
}

int check_store(const struct check_args *args,
		void (*progress)(void *arg, const json_t *event),
		json_t **ret_answer)
{
	struct mend_result mended = { 0 }, none;
	json_t *after = NULL;
	int r = look_at_pages(args, ret_answer);

	if (r != EXIT_OK)
		return r;
	r = look_once(args, args->repair, progress, &mended, ret_answer);
	if (!args->repair || !*ret_answer || r == EXIT_OK)
		return r;
	put_mended(*ret_answer, &mended);
	r = look_once(args, false, progress, &none, &after);
	if (after)
		json_object_set(*ret_answer, "remaining",
				json_object_get(after, "faults"));
	json_decref(after);
	return r;
}
