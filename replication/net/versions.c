/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests for whoever merges by hand: a copy of every version of a file and
 * of what they were made from, and a result to put in their place.
 *
 * `versions` writes the copies into a directory whose descriptor came with
 * the request, all from one instant, and gives that instant's token; what
 * was written here shortly before is made a version first. `settle` reads
 * the result from the descriptor that came with it, and does nothing if the
 * token is not that of what is there now. With kind "name" both are about the
 * different files that were made under one name.
 *
 * Both may take as long as the bytes take, so each runs on a thread of its
 * own. A client that goes away leaves its run to end by itself: a settlement
 * is done or not done, never half.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/base/thread.h"
#include "fs/store/content.h"
#include "fs/tree/variants.h"
#include "replication/net/agent_internal.h"

/* At once: a person, and scripts. */
#define RUNS_MAX 8
/* Bytes of one version, and of a result: what the hooks may make, too. */
#define COPY_BYTES_MAX ((uint64_t)1 << 30)
#define VERSION_FILE_BYTES 24

enum run_state { RUN_SETTLING, RUN_BUSY };

struct agent_run {
	struct agent *agent;
	struct control_client *client;	/* NULL: gone */
	bool settle;
	bool names;			/* several files of one name */
	struct buf path;
	char token[HASH_TEXT_BYTES];
	int fd;
	uint64_t ticket;		/* of the cut before */
	enum run_state state;		/* the network thread's */
	pthread_t thread;
	atomic_bool finished;		/* what follows is the thread's: */
	struct variants variants;
	int result;
	LIST_ENTRY(agent_run) entry;
};

static void run_free(struct agent_run *run)
{
	LIST_REMOVE(run, entry);
	variants_release(&run->variants);
	buf_release(&run->path);
	if (run->fd >= 0)
		close(run->fd);
	free(run);
}

/* ---- copies */

static int copy_to(struct store *store, int dir, const char *name,
		   const struct variant *v)
{
	autoclose int fd = -1;

	if (v->content.size > COPY_BYTES_MAX)
		return -EFBIG;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
			       O_CLOEXEC, 0600);
	return fd < 0 ? -errno : content_copy(store, &v->content, fd);
}

static void version_file(size_t k, char ret[VERSION_FILE_BYTES])
{
	snprintf(ret, VERSION_FILE_BYTES, "%zu", k + 1);
}

static int copy_all(struct agent_run *run)
{
	const struct variants *s = &run->variants;
	struct store *store = run->agent->store;
	char name[VERSION_FILE_BYTES];
	int r = 0;

	for (size_t k = 0; k < s->count; k++)
		if (!s->list[k].here)
			return -EAGAIN;
	for (size_t k = 0; !r && k < s->count; k++) {
		version_file(k, name);
		r = copy_to(store, run->fd, name, &s->list[k]);
	}
	if (!r && s->base_known && s->base.here)
		r = copy_to(store, run->fd, "base", &s->base);
	return r;
}

/* ---- the thread */

static void token_text(const struct variants *s, char ret[HASH_TEXT_BYTES])
{
	hex_encode(s->token.b, sizeof(s->token.b), ret);
}

static int run_settle(struct agent_run *run)
{
	struct tree *tree = run->agent->tree;
	char token[HASH_TEXT_BYTES];

	token_text(&run->variants, token);
	if (strcmp(token, run->token))
		return -ESTALE;
	return run->names ? tree_settle_namesakes(tree, &run->variants,
						  run->fd) :
			    tree_settle(tree, &run->variants, run->fd,
					SETTLE_PERSON);
}

static int run_look(struct agent_run *run)
{
	struct tree *tree = run->agent->tree;
	struct slice dir, name;
	uint64_t ino;
	int r;

	if (!run->names) {
		r = tree_resolve_path(tree, buf_slice(&run->path), &ino);
		return r ? r : tree_variants(tree, ino, &run->variants);
	}
	agent_split_path(buf_slice(&run->path), &dir, &name);
	r = tree_resolve_path(tree, dir, &ino);
	return r ? r : tree_namesakes(tree, ino, name, &run->variants);
}

static void *run_thread(void *arg)
{
	struct agent_run *run = arg;
	int r = run_look(run);

	/* Settled meanwhile: that is another state than the one seen. */
	if (r == -ENODATA && run->settle)
		r = -ESTALE;
	if (!r)
		r = run->settle ? run_settle(run) : copy_all(run);
	run->result = r;
	atomic_store(&run->finished, true);
	loop_wake(&run->agent->loop);
	return NULL;
}

static int run_start(struct agent_run *run)
{
	int r = thread_start(&run->thread, run_thread, run);

	if (!r)
		run->state = RUN_BUSY;
	return r;
}

/* ---- answers */

static json_t *run_error(const struct agent_run *run, int r)
{
	const char *p = run->path.data ? (const char *)run->path.data : "";
	int len = (int)run->path.len;

	switch (r) {
	case -ENODATA:
		return control_error(r, CONTROL_FAILED, run->names ?
				     "%.*s: no name of several files" :
				     "%.*s: no file with several contents",
				     len, p);
	case -EISDIR:
	case -ENOTSUP:
		return control_error(r, CONTROL_FAILED, "%.*s: not all that "
				     "has this name is a file; use --take",
				     len, p);
	case -ENOTUNIQ:
		return control_error(r, CONTROL_FAILED, "%.*s: one of these "
				     "files is in conflict itself; settle "
				     "that first", len, p);
	case -EBUSY:
		return control_error(r, CONTROL_FAILED, "%.*s: one of these "
				     "files is being written; try again",
				     len, p);
	case -ESTALE:
		return control_error(r, CONTROL_FAILED, "%.*s: it changed "
				     "meanwhile; look again", len, p);
	case -EAGAIN:
		return control_error(r, CONTROL_FAILED, "%.*s: a version is "
				     "not here yet with all its bytes; try "
				     "again after `kin wait`", len, p);
	case -EFBIG:
		return control_error(r, CONTROL_FAILED, "%.*s: larger than "
				     "1 GiB; take a version as it is", len, p);
	}
	return agent_path_error(r, &run->path);
}

static json_t *variant_json(struct core *core, const struct variants *s,
			    size_t k)
{
	const struct variant *v = &s->list[k];
	json_t *o = json_object();
	char file[VERSION_FILE_BYTES];

	version_file(k, file);
	json_object_set_new(o, "file", json_string(file));
	agent_put_text(o, "name", "name_hex", v->name);
	agent_put_author(core, o, v->dot, v->label);
	json_object_set_new(o, "time", json_integer(v->time.tv_sec));
	json_object_set_new(o, "size",
			    json_integer((json_int_t)v->content.size));
	json_object_set_new(o, "main", json_boolean(v->main));
	json_object_set_new(o, "automatic", json_boolean(v->automatic));
	return o;
}

static json_t *versions_answer(const struct agent_run *run)
{
	const struct variants *s = &run->variants;
	char token[HASH_TEXT_BYTES];
	json_t *list = json_array();

	token_text(s, token);
	for (size_t k = 0; k < s->count; k++)
		json_array_append_new(list, variant_json(run->agent->core, s,
							 k));
	return json_pack("{s:b, s:s, s:o, s:b, s:b}", "ok", 1, "token", token,
			 "versions", list, "base_known", s->base_known,
			 "base", s->base_known && s->base.here);
}

static void run_answer(struct agent_run *run, int r)
{
	struct control_client *client = run->client;
	json_t *answer = NULL;

	if (client) {
		control_set_data(client, NULL);
		answer = r ? run_error(run, r) :
			 run->settle ? agent_answer_shown(run->agent, client,
						json_pack("{s:b}", "ok", 1)) :
				       versions_answer(run);
	}
	if (client && !json_is_null(answer))
		control_answer(client, answer);
	run_free(run);
}

/* ---- the network thread */

static bool descriptor_fits(int fd, bool settle)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return false;
	return settle ? S_ISREG(st.st_mode) &&
			(uint64_t)st.st_size <= COPY_BYTES_MAX :
			S_ISDIR(st.st_mode);
}

static json_t *run_begin(struct agent *a, struct control_client *client,
			 const json_t *request, bool settle)
{
	const char *token = json_string_value(json_object_get(request,
							      "token"));
	const char *kind = json_string_value(json_object_get(request,
							     "kind"));
	struct agent_run *run = NULL, *other;
	size_t n = 0;
	int r;

	LIST_FOREACH(other, &a->runs, entry)
		n++;
	if (n >= RUNS_MAX)
		return control_error(-EBUSY, CONTROL_FAILED, "%d of these are "
				     "being done already; try again",
				     RUNS_MAX);
	run = calloc(1, sizeof(*run));
	if (!run)
		return control_error(-ENOMEM, CONTROL_FAILED, "out of memory");
	*run = (struct agent_run){ .agent = a, .client = client,
				   .settle = settle, .path = BUF_INIT,
				   .names = kind && !strcmp(kind, "name"),
				   .fd = control_take_fd(client) };
	LIST_INSERT_HEAD(&a->runs, run, entry);
	r = agent_get_path(request, &run->path);
	if (!r && (!descriptor_fits(run->fd, settle) ||
		   (settle && (!token ||
			       strlen(token) != HASH_TEXT_BYTES - 1))))
		r = -EINVAL;
	if (r) {
		run_free(run);
		return control_error(r, CONTROL_USAGE, settle ?
				     "settle wants a path, a token and a "
				     "file of at most 1 GiB" :
				     "versions wants a path and a directory");
	}
	if (settle)
		memcpy(run->token, token, HASH_TEXT_BYTES);
	run->ticket = settle_ask(&a->settle);
	control_set_data(client, run);
	loop_poke(&a->loop);
	return json_null();
}

json_t *agent_versions(struct agent *a, struct control_client *client,
		       const json_t *request)
{
	return run_begin(a, client, request, false);
}

json_t *agent_settle(struct agent *a, struct control_client *client,
		     const json_t *request)
{
	return run_begin(a, client, request, true);
}

bool agent_run_gone(struct agent *a, void *data)
{
	struct agent_run *run;

	LIST_FOREACH(run, &a->runs, entry) {
		if (run != data)
			continue;
		run->client = NULL;
		return true;
	}
	return false;
}

static void run_poll(struct agent_run *run)
{
	int r = 0;

	if (run->state == RUN_SETTLING) {
		r = settle_done(&run->agent->settle, run->ticket);
		if (!r)
			return;
		r = r < 0 ? r : run_start(run);
		if (r)
			run_answer(run, r);
		return;
	}
	if (!atomic_load(&run->finished))
		return;
	pthread_join(run->thread, NULL);
	run_answer(run, run->result);
}

void agent_runs_poll(struct agent *a)
{
	struct agent_run *run, *next;

	for (run = LIST_FIRST(&a->runs); run; run = next) {
		next = LIST_NEXT(run, entry);
		run_poll(run);
	}
}

void agent_runs_release(struct agent *a)
{
	while (!LIST_EMPTY(&a->runs)) {
		struct agent_run *run = LIST_FIRST(&a->runs);

		if (run->state == RUN_BUSY)
			pthread_join(run->thread, NULL);
		run_answer(run, run->state == RUN_BUSY ? run->result :
							 -ECANCELED);
	}
}
