/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run like that of handler_job.c, by the same options; but its versions may
 * come out of a directory, and its result goes into one.
 *
 * That directory belongs to whoever asks, who may change it at any time: what
 * is read out of it is any bytes, up to a limit, and what is written into it
 * is never written through a name that was there before.
 */
#include "replication/net/handler_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/content.h"
#include "replication/net/handlers_internal.h"

#define PIECE_BYTES ((size_t)64 * 1024)
#define NAME_BYTES 16
/* Of all versions that are made up. */
#define MADE_UP_LABEL "made-up"

/* ---- files */

/* At most `max` bytes, from the start. */
static int copy_bytes(int from, int to, uint64_t max)
{
	autofree uint8_t *piece = malloc(PIECE_BYTES);
	uint64_t at = 0;

	if (!piece)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(from, piece, PIECE_BYTES, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : 0;
		if ((uint64_t)n > max - at)
			return -EFBIG;
		for (ssize_t put = 0, m; put < n; put += m) {
			m = write(to, piece + put, (size_t)(n - put));
			if (m < 0)
				return -errno;
		}
		at += (uint64_t)n;
	}
}

/* A regular file of the directory, with its time. */
static int take_file(int dir, const char *name, int to)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW |
				  O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = copy_bytes(fd, to, LIMIT_OUTPUT_MAX);
	if (!r && futimens(to, (struct timespec[]){ st.st_mtim,
						    st.st_mtim }) < 0)
		r = -errno;
	return r;
}

static int new_file(int dir, const char *name, int *ret)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
			O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* ---- versions */

static int fill_made_up(struct handlers_test *t, struct hook_room *room)
{
	char name[NAME_BYTES];
	int r = 0;

	for (unsigned int k = 1; !r && k <= t->made_up; k++) {
		autoclose int fd = -1;

		snprintf(name, sizeof(name), "%u", k);
		r = hook_room_variant(room, SLICE_STR(MADE_UP_LABEL), &fd);
		if (!r)
			r = take_file(t->dir, name, fd);
	}
	if (!r && !faccessat(t->dir, "base", F_OK, AT_SYMLINK_NOFOLLOW)) {
		autoclose int fd = -1;

		r = hook_room_base(room, &fd);
		if (!r)
			r = take_file(t->dir, "base", fd);
	}
	return r;
}

static int fill(void *arg, struct hook_room *room)
{
	struct handlers_test *t = arg;
	int r = t->made_up ? fill_made_up(t, room)
			   : handlers_fill(t->handlers, &t->variants, room);

	t->has_base = room->has_base;
	return r;
}

/* ---- the result */

static const struct variant *main_of(const struct variants *s)
{
	for (size_t k = 0; k < s->count; k++)
		if (s->list[k].main)
			return &s->list[k];
	return NULL;
}

static int give_output(struct handlers_test *t, const struct hook_outcome *o)
{
	autoclose int fd = -1;
	int r;

	if (!t->keep && o->output_bytes > TEST_SHOWN_BYTES_MAX)
		return 0;
	r = new_file(t->dir, "output", &fd);
	if (!r)
		r = copy_bytes(o->output_fd, fd, o->output_bytes);
	t->has_output = !r;
	return r;
}

static int give_main(struct handlers_test *t)
{
	const struct variant *v = main_of(&t->variants);
	autoclose int fd = -1;
	int r;

	if (!v || v->content.size > TEST_SHOWN_BYTES_MAX)
		return 0;
	r = new_file(t->dir, "main", &fd);
	if (!r)
		r = content_copy(tree_store(t->handlers->tree), &v->content,
				 fd);
	t->has_main = !r;
	return r;
}

static void finish(void *arg, struct hook_outcome *o)
{
	struct handlers_test *t = arg;
	int r = 0;

	handlers_reason(o, sizeof(t->reason), t->reason);
	t->settles = o->result == HOOK_SETTLED;
	if (t->settles && !t->made_up && !t->variants.leaves_count) {
		t->settles = false;
		snprintf(t->reason, sizeof(t->reason), "%s", too_many_merges);
	}
	if (o->result != HOOK_SETTLED)
		return;
	r = give_output(t, o);
	if (!r)
		r = give_main(t);
	if (r)
		snprintf(t->reason, sizeof(t->reason),
			 "its result cannot be given back: %s", strerror(-r));
}

/* ---- life */

void handlers_test_free(struct handlers_test *t)
{
	if (!t)
		return;
	hook_run_free(t->run);
	variants_release(&t->variants);
	buf_release(&t->path);
	buf_release(&t->trouble);
	free(t);
}

void handlers_test_cancel(struct handlers_test *t)
{
	hook_run_cancel(t->run);
}

bool handlers_test_done(const struct handlers_test *t)
{
	return hook_run_done(t->run);
}

/* The path that its handler would be told is main's, whichever of the
 * versions was named. */
static int main_path(struct handlers_test *t, struct slice path)
{
	const struct variant *v = main_of(&t->variants);
	const uint8_t *slash = memrchr(path.data, '/', path.len);

	if (v && v->name.len) {
		if (slash)
			buf_put(&t->path, path.data,
				(size_t)(slash + 1 - path.data));
		path = v->name;
	}
	buf_put_slice(&t->path, path);
	buf_put_u8(&t->path, '\0');
	return buf_error(&t->path);
}

static int look(struct handlers_test *t, struct slice path)
{
	struct tree *tree = t->handlers->tree;
	uint64_t ino;
	int r = 0;

	if (!t->made_up)
		r = tree_resolve_path(tree, path, &ino);
	if (!r && !t->made_up)
		r = tree_variants(tree, ino, &t->variants);
	for (size_t k = 0; !r && k < t->variants.count; k++)
		if (!t->variants.list[k].here)
			r = -EAGAIN;
	return r ? r : main_path(t, path);
}

/* As for a handler that begins now. */
static int look_limits(struct handlers_test *t, const char *hook,
		       uint32_t time_s)
{
	struct handler_conf conf;
	int r = handlers_conf(t->handlers, &t->trouble, &conf);

	t->limits = HOOK_LIMITS_DEFAULT;
	if (r == -ENOMEM)
		return r;
	if (!r) {
		handler_conf_limits(&conf, hook, &t->limits);
		handler_conf_release(&conf);
	}
	if (time_s)
		t->limits.time_ms = MIN_OF(t->limits.time_ms,
					   UINT64_C(1000) * time_s);
	return 0;
}

static int run(struct handlers_test *t, const struct hook *hook,
	       struct loop *loop)
{
	struct handlers *h = t->handlers;
	const char *path = (const char *)t->path.data;
	const struct hook_var vars[] = {
		{ "KIN_EVENT", handler_event_name(HANDLER_CONFLICT) },
		{ "KIN_PATH", path },
		{ "KIN_VOLUME", h->volume },
	};
	const char *args[] = { path, NULL };
	struct hook_run_options o = handlers_run_options(h);
	int r;

	o.hook = hook;
	o.args = args;
	o.vars = vars;
	o.var_count = ARRAY_SIZE(vars);
	o.wants_output = true;
	o.limits = t->limits;
	o.fill = fill;
	o.finish = finish;
	o.arg = t;
	o.loop = loop;
	r = hook_run_start(&o, &t->run);
	if (!r)
		t->outcome = hook_run_outcome(t->run);
	return r;
}

int handlers_test_start(struct handlers *h,
			const struct handlers_test_options *o,
			struct buf *why, struct handlers_test **ret)
{
	struct handlers_test *t = calloc(1, sizeof(*t));
	struct hook hook = HOOK_INIT;
	int r;

	if (!t)
		return -ENOMEM;
	*t = (struct handlers_test){ .handlers = h, .made_up = o->made_up,
				     .dir = o->dir, .keep = o->keep,
				     .path = BUF_INIT, .trouble = BUF_INIT };
	r = hook_open(h->folder, o->hook, why, &hook);
	if (r == -ENOENT) {
		buf_reset(why);
		buf_printf(why, "there is no hook \"%s\" in %s; `kin hooks "
			   "list` tells which are there", o->hook, h->folder);
		r = -ENXIO;
	}
	if (!r)
		r = look(t, o->path);
	if (!r)
		r = look_limits(t, o->hook, o->time_s);
	if (!r)
		r = run(t, &hook, o->loop);
	hook_close(&hook);
	if (r)
		handlers_test_free(t);
	else
		*ret = t;
	return r;
}
