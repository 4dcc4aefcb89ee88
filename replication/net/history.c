/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about what was: `log`, `cat`, `restore`, `removed`, `undelete`.
 *
 * What was written here shortly before is made a version first. Each then
 * runs on a thread of its own, since a content may be large, and a removed
 * tree too. A client that goes away ends what only looks; what puts something
 * back goes on to its end.
 *
 * `cat` writes into a pipe that came with the request. Its other end may be
 * read by a program that stops: so nothing waits in a write, and the daemon
 * can end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/thread.h"
#include "fs/tree/history.h"
#include "replication/net/agent_internal.h"

/* At once: a person, and scripts. */
#define LOOKS_MAX 8
/* Read and written at once by `cat`. */
#define PIECE_BYTES (64u * 1024)
/* So long at most until it is noticed that nobody waits any more. */
#define POLL_MS 200

enum look_kind { LOOK_LOG, LOOK_CAT, LOOK_RESTORE, LOOK_REMOVED,
		 LOOK_UNDELETE };
enum look_state { LOOK_SETTLING, LOOK_BUSY };

struct agent_look {
	struct agent *agent;
	struct control_client *client;	/* NULL: gone */
	enum look_kind kind;
	struct buf path, to, name;
	char id[HISTORY_ID_CHARS + 1];
	uint64_t at_ms, since_ms;
	int fd;
	uint64_t ticket;		/* of the cut before */
	enum look_state state;		/* the network thread's */
	pthread_t thread;
	atomic_bool finished, cancelled;
	/* What follows is the thread's: */
	struct history_file file;
	struct buf where;
	uint64_t size;
	json_t *list;
	int result;
	LIST_ENTRY(agent_look) entry;
};

static void look_free(struct agent_look *l)
{
	LIST_REMOVE(l, entry);
	history_file_release(&l->file);
	buf_release(&l->path);
	buf_release(&l->to);
	buf_release(&l->name);
	buf_release(&l->where);
	json_decref(l->list);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

/* ---- the thread: contents */

static struct history_which wanted_version(const struct agent_look *l)
{
	return (struct history_which){ .id = SLICE_STR(l->id),
				       .at_ms = l->at_ms };
}

static int write_all(struct agent_look *l, const uint8_t *bytes, size_t len)
{
	while (len) {
		struct pollfd p = { .fd = l->fd, .events = POLLOUT };
		ssize_t n = write(l->fd, bytes, len);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (atomic_load(&l->cancelled))
			return -ECANCELED;
		if (poll(&p, 1, POLL_MS) < 0 && errno != EINTR)
			return -errno;
	}
	return 0;
}

static int run_cat(struct agent_look *l)
{
	struct history_which which = wanted_version(l);
	autofree uint8_t *piece = malloc(PIECE_BYTES);
	const struct history_version *v;
	uint64_t at = 0;
	int r = tree_history(l->agent->tree, buf_slice(&l->path), &l->file);

	if (!r)
		r = history_choose(&l->file, &which, &v);
	if (!r && !v->here)
		r = -ENODATA;
	if (!r && !piece)
		r = -ENOMEM;
	while (!r && at < v->content.size) {
		int64_t n = content_read(l->agent->store, &v->content, at,
					 piece, PIECE_BYTES);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		r = write_all(l, piece, (size_t)n);
		at += (uint64_t)n;
	}
	l->size = at;
	return r;
}

static int run_restore(struct agent_look *l)
{
	struct history_which which = wanted_version(l);

	return tree_history_restore(l->agent->tree, buf_slice(&l->path),
				    &which, buf_slice(&l->to), &l->where);
}

/* ---- the thread: what was removed */

static const char *kind_text(enum kind kind)
{
	static const char *const texts[KIND_LAST + 1] = {
		[KIND_DIR] = "directory", [KIND_SYMLINK] = "symlink",
		[KIND_FIFO] = "fifo", [KIND_SOCKET] = "socket",
		[KIND_CHAR] = "character device",
		[KIND_BLOCK] = "block device",
	};

	return kind <= KIND_LAST && texts[kind] ? texts[kind] : "file";
}

static int add_removed(void *arg, const struct history_removed *h)
{
	struct agent_look *l = arg;
	json_t *o = json_object();

	agent_put_text(o, "name", "name_hex", h->name);
	json_object_set_new(o, "kind", json_string(kind_text(h->kind)));
	json_object_set_new(o, "removed", json_integer(
					(json_int_t)(h->removed_ms / 1000)));
	json_object_set_new(o, "files", json_integer((json_int_t)h->files));
	json_object_set_new(o, "size", json_integer((json_int_t)h->bytes));
	if (l->kind == LOOK_UNDELETE) {
		if (!h->error)
			agent_put_text(o, "restored", "restored_hex",
				       h->restored);
		json_object_set_new(o, "failed", json_integer(
						(json_int_t)h->failed));
		json_object_set_new(o, "error", h->error ?
				    json_string(strerror(-h->error)) :
				    json_null());
	}
	if (json_array_append_new(l->list, o))
		return -ENOMEM;
	return l->kind == LOOK_REMOVED && atomic_load(&l->cancelled) ?
		       -ECANCELED : 0;
}

static int run_removed(struct agent_look *l)
{
	struct history_wanted wanted = { .name = buf_slice(&l->name),
					 .since_ms = l->since_ms };

	l->list = json_array();
	if (!l->list)
		return -ENOMEM;
	return l->kind == LOOK_UNDELETE ?
		       tree_undelete(l->agent->tree, buf_slice(&l->path),
				     &wanted, add_removed, l) :
		       tree_removed(l->agent->tree, buf_slice(&l->path),
				    &wanted, add_removed, l);
}

static void *look_thread(void *arg)
{
	struct agent_look *l = arg;

	switch (l->kind) {
	case LOOK_LOG:
		l->result = tree_history(l->agent->tree, buf_slice(&l->path),
					 &l->file);
		break;
	case LOOK_CAT:
		l->result = run_cat(l);
		break;
	case LOOK_RESTORE:
		l->result = run_restore(l);
		break;
	case LOOK_REMOVED:
	case LOOK_UNDELETE:
		l->result = run_removed(l);
		break;
	}
	atomic_store(&l->finished, true);
	loop_wake(&l->agent->loop);
	return NULL;
}

/* ---- answers */

static json_t *look_error(const struct agent_look *l, int r)
{
	const char *p = l->path.data ? (const char *)l->path.data : "";
	int len = (int)l->path.len;
	const char *to = l->to.data ? (const char *)l->to.data : p;
	int to_len = l->to.data ? (int)l->to.len : len;

	switch (r) {
	case -ENOENT:
		return control_error(r, CONTROL_FAILED, "%.*s: nothing of that "
				     "name is here, nor is it known what was; "
				     "`kin undelete DIR` lists what was "
				     "removed in DIR", len, p);
	case -EISDIR:
		return control_error(r, CONTROL_FAILED, "%.*s: is a directory; "
				     "versions are of files", len, p);
	case -ESRCH:
		return control_error(r, CONTROL_FAILED, "%.*s: no such "
				     "version; `kin log FILE` lists them", len,
				     p);
	case -ENOTUNIQ:
		return control_error(r, CONTROL_FAILED, "%.*s: the ids of "
				     "several versions begin so; give more of "
				     "it", len, p);
	case -ENODATA:
		return control_error(r, CONTROL_FAILED, "%.*s: not all bytes "
				     "of that version are on this node", len,
				     p);
	case -EAGAIN:
		return control_error(r, CONTROL_FAILED, "%.*s: another content "
				     "is on its way; try again after `kin "
				     "wait`", len, p);
	case -EEXIST:
		return control_error(r, CONTROL_FAILED, "%.*s: is there "
				     "already; restore it --to another name",
				     to_len, to);
	case -ENOTDIR:
		return control_error(r, CONTROL_FAILED, "%.*s: there is no "
				     "such directory; `kin undelete` puts it "
				     "back", to_len, to);
	}
	return agent_path_error(r, &l->path);
}

static const char *state_text(enum history_state state)
{
	static const char *const text[] = {
		[HISTORY_MAIN] = "current",
		[HISTORY_SIBLING] = "sibling",
		[HISTORY_HIDDEN] = "hidden",
		[HISTORY_REMOVED] = "removed",
		[HISTORY_REPLACED] = "replaced",
		[HISTORY_MERGED] = "replaced elsewhere",
	};

	return text[state];
}

static json_t *version_json(struct core *core, const struct history_version *v)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", json_string(v->id));
	json_object_set_new(o, "state", json_string(state_text(v->state)));
	agent_put_author(core, o, v->first, v->author);
	json_object_set_new(o, "time", json_integer(
					(json_int_t)(v->written_ms / 1000)));
	json_object_set_new(o, "time_ms",
			    json_integer((json_int_t)v->written_ms));
	json_object_set_new(o, "ended", v->ended_ms ?
			    json_integer((json_int_t)(v->ended_ms / 1000)) :
			    json_null());
	json_object_set_new(o, "size",
			    json_integer((json_int_t)v->content.size));
	if (v->name.len)
		agent_put_text(o, "name", "name_hex", v->name);
	json_object_set_new(o, "automatic", json_boolean(v->automatic));
	json_object_set_new(o, "here", json_boolean(v->here));
	return o;
}

static json_t *log_answer(const struct agent_look *l)
{
	const struct history_file *f = &l->file;
	json_t *list = json_array();

	for (size_t k = 0; k < f->count; k++)
		json_array_append_new(list, version_json(l->agent->core,
							 &f->list[k]));
	return json_pack("{s:b, s:o, s:b, s:o}", "ok", 1, "versions", list,
			 "removed", f->removed, "removed_at",
			 f->removed ? json_integer((json_int_t)
						   (f->removed_ms / 1000)) :
				      json_null());
}

static json_t *look_answer_of(struct agent_look *l)
{
	json_t *answer;

	switch (l->kind) {
	case LOOK_LOG:
		return log_answer(l);
	case LOOK_CAT:
		return json_pack("{s:b, s:I}", "ok", 1, "size",
				 (json_int_t)l->size);
	case LOOK_RESTORE:
		answer = json_pack("{s:b}", "ok", 1);
		agent_put_text(answer, "path", "path_hex",
			       buf_slice(&l->where));
		break;
	case LOOK_UNDELETE:
		answer = json_pack("{s:b, s:O}", "ok", 1, "restored",
				   l->list);
		break;
	default:
		return json_pack("{s:b, s:O}", "ok", 1, "removed", l->list);
	}
	return agent_answer_shown(l->agent, l->client, answer);
}

static void look_answer(struct agent_look *l, int r)
{
	struct control_client *client = l->client;
	json_t *answer = NULL;

	if (client) {
		control_set_data(client, NULL);
		answer = r ? look_error(l, r) : look_answer_of(l);
	}
	if (client && !json_is_null(answer))
		control_answer(client, answer);
	look_free(l);
}

/* ---- the network thread */

/* Milliseconds since 1970, or 0. */
static uint64_t get_ms(const json_t *request, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(request, key));

	return n > 0 ? (uint64_t)n : 0;
}

static bool is_pipe(int fd)
{
	struct stat st;
	int flags;

	if (fd < 0 || fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		return false;
	flags = fcntl(fd, F_GETFL);
	return flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* -EINVAL: it does not say what it must. */
static int look_read(struct agent_look *l, const json_t *request)
{
	const char *id = json_string_value(json_object_get(request,
							   "version"));
	bool versioned = l->kind == LOOK_CAT || l->kind == LOOK_RESTORE;
	int r = agent_get_path(request, &l->path);

	l->at_ms = get_ms(request, "at_ms");
	l->since_ms = get_ms(request, "since_ms");
	if (id && strlen(id) > HISTORY_ID_CHARS)
		return -ESRCH;
	if (id)
		memcpy(l->id, id, strlen(id) + 1);
	if (!r && json_object_get(request, "name_hex") == NULL &&
	    json_object_get(request, "name") == NULL)
		; /* all */
	else if (!r)
		r = agent_get_bytes(request, "name", "name_hex", &l->name);
	if (!r && (json_object_get(request, "to") ||
		   json_object_get(request, "to_hex")))
		r = agent_get_bytes(request, "to", "to_hex", &l->to);
	if (!r && versioned && !l->id[0] && !l->at_ms)
		r = -EINVAL;
	if (!r && l->kind == LOOK_CAT && !is_pipe(l->fd))
		r = -EINVAL;
	return r;
}

static json_t *look_begin(struct agent *a, struct control_client *client,
			  const json_t *request, enum look_kind kind)
{
	struct agent_look *l, *other;
	json_t *refused = NULL;
	size_t n = 0;
	int r;

	LIST_FOREACH(other, &a->looks, entry)
		n++;
	if (n >= LOOKS_MAX)
		return control_error(-EBUSY, CONTROL_FAILED, "%d of these are "
				     "being done already; try again",
				     LOOKS_MAX);
	l = calloc(1, sizeof(*l));
	if (!l)
		return control_error(-ENOMEM, CONTROL_FAILED, "out of memory");
	*l = (struct agent_look){ .agent = a, .client = client, .kind = kind,
				  .fd = control_take_fd(client) };
	LIST_INSERT_HEAD(&a->looks, l, entry);
	r = look_read(l, request);
	if (r) {
		refused = r == -EINVAL ?
			control_error(r, CONTROL_USAGE, "a path, a version or "
				      "a pipe is missing") :
			look_error(l, r);
		look_free(l);
		return refused;
	}
	l->ticket = settle_ask(&a->settle);
	control_set_data(client, l);
	loop_poke(&a->loop);
	return json_null();
}

json_t *agent_log(struct agent *a, struct control_client *client,
		  const json_t *request)
{
	return look_begin(a, client, request, LOOK_LOG);
}

json_t *agent_cat(struct agent *a, struct control_client *client,
		  const json_t *request)
{
	return look_begin(a, client, request, LOOK_CAT);
}

json_t *agent_restore(struct agent *a, struct control_client *client,
		      const json_t *request)
{
	return look_begin(a, client, request, LOOK_RESTORE);
}

json_t *agent_removed(struct agent *a, struct control_client *client,
		      const json_t *request)
{
	return look_begin(a, client, request, LOOK_REMOVED);
}

json_t *agent_undelete(struct agent *a, struct control_client *client,
		       const json_t *request)
{
	return look_begin(a, client, request, LOOK_UNDELETE);
}

bool agent_look_gone(struct agent *a, void *data)
{
	struct agent_look *l;

	LIST_FOREACH(l, &a->looks, entry) {
		if (l != data)
			continue;
		l->client = NULL;
		atomic_store(&l->cancelled, true);
		return true;
	}
	return false;
}

static void look_poll(struct agent_look *l)
{
	int r = 0;

	if (l->state == LOOK_SETTLING) {
		r = settle_done(&l->agent->settle, l->ticket);
		if (!r)
			return;
		r = r < 0 ? r : thread_start(&l->thread, look_thread, l);
		if (!r)
			l->state = LOOK_BUSY;
		else
			look_answer(l, r);
		return;
	}
	if (!atomic_load(&l->finished))
		return;
	pthread_join(l->thread, NULL);
	look_answer(l, l->result);
}

void agent_looks_poll(struct agent *a)
{
	struct agent_look *l, *next;

	for (l = LIST_FIRST(&a->looks); l; l = next) {
		next = LIST_NEXT(l, entry);
		look_poll(l);
	}
}

void agent_looks_release(struct agent *a)
{
	while (!LIST_EMPTY(&a->looks)) {
		struct agent_look *l = LIST_FIRST(&a->looks);

		atomic_store(&l->cancelled, true);
		if (l->state == LOOK_BUSY)
			pthread_join(l->thread, NULL);
		look_answer(l, l->state == LOOK_BUSY ? l->result :
						       -ECANCELED);
	}
}
