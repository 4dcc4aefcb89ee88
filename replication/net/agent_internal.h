/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the agent and what they share. Everything here belongs to
 * the network thread, except where it says "any thread".
 *
 *	agent.c		start, stop, the thread, the core's environment
 *	listen.c	the listening socket and this node's addresses
 *	link.c		connections: who may be linked, and to which use
 *	admit.c		the inviter's side of joining
 *	commands.c	what the control socket's requests mean
 *	conflicts.c	those about conflicts; decided.c about decisions
 *	versions.c	those that merge contents, on threads of their own
 *	history.c	those about old versions and what was removed, too
 *	verify.c	another: `kin verify`; deep_run.c its thread
 *	wait.c		the one request that takes long
 *	hook_list.c	`kin hooks`: what is installed; hook_test.c: tries one
 *	show.c		answers that wait until the kernel was told
 *	acks.c		fsync that waits for other nodes
 *	settle.c	cutting local files for it, on a thread of its own
 *	agent_handlers.c  what the handlers of conflicts are told
 */
#ifndef KINFS_NET_AGENT_INTERNAL_H
#define KINFS_NET_AGENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "replication/core/core.h"
#include "replication/core/wire.h"
#include "replication/net/agent.h"
#include "replication/net/conn.h"
#include "replication/net/control_server.h"
#include "replication/net/dial.h"
#include "replication/net/handlers.h"
#include "replication/net/meta.h"
#include "replication/net/ratelimit.h"

/* Accepted connections that are not links, at once. */
#define STRANGERS_MAX 64
/* A link that lasted so long was a good one. */
#define LINK_GOOD_MS 5000

/* Codes of BYE besides the core's (wire.h): PROTOCOL.md, "Joining". */
enum agent_bye {
	BYE_NOT_MEMBER = 64,
	BYE_NOT_WANTED = 65,	/* --only-peers */
	BYE_PAUSED = 66,
};

/* One connection, from its first byte on; a link only if id is not 0. */
struct link {
	struct agent *agent;
	struct conn *conn;
	link_id id;			/* what the core calls it */
	bool dialed;
	struct dial_peer *peer;		/* dialed: whom we meant */
	struct device device;		/* who it is, once ready */
	uint64_t up_ms;
	char target[ADDRESS_TEXT_BYTES];	/* dialed: where */
	LIST_ENTRY(link) entry;
};

/* ---- settle.c */
/*
 * Cuts files with unsent writes on its own thread, since that may take
 * long: a RELEASE still on its way is waited for, 200 ms at most. Any
 * number of askers share a run that begins after they asked.
 */
struct settle {
	struct tree *tree;
	struct loop *loop;		/* woken when a run is done */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool running, stop;		/* by mutex, as the rest */
	uint64_t asked, done;
	int result;			/* of the last run */
};

must_check int settle_start(struct settle *, struct tree *, struct loop *);
void settle_stop(struct settle *);
/* Returns a ticket for settle_done(). */
uint64_t settle_ask(struct settle *);
/* 1 the run for this ticket is done, 0 not yet, or its error. */
must_check int settle_done(struct settle *, uint64_t ticket);

/* ---- */

struct agent_wait;
struct agent_verify;
struct agent_show;
struct agent_run;
struct agent_hook_test;
struct agent_look;
struct acks_wait;

struct listener {
	struct loop_watch watch;	/* the listening socket */
	struct loop_timer retry;	/* after there was no room */
	struct loop_watch netlink;	/* tells of addresses that change */
	struct address bound;
	char text[ADDRESS_TEXT_BYTES];	/* "": it does not listen yet, ... */
	struct address wanted;		/* ... on this */
	struct loop_timer bind;
};

struct agent {
	struct tree *tree;
	struct store *store;
	const struct identity *identity;
	char *control_path, *mountpoint, *hooks_folder;
	char **only_peers;		/* NULL-ended, or NULL */
	bool has_mount;
	void (*stop)(void *arg);
	void (*leave)(void *arg);
	void *stop_arg;
	pid_t supervisor;
	uint32_t taken_over;

	struct loop loop;
	struct conn_pool pool;
	struct core *core;
	struct control *control;
	struct listener listener;
	struct buf addresses;		/* told to others, "host:port ..." */
	struct dialer dialer;
	struct settle settle;
	LIST_HEAD(, link) links;
	LIST_HEAD(, agent_wait) waits;
	LIST_HEAD(, agent_verify) verifies;
	struct agent_check *check;	/* or NULL */
	LIST_HEAD(, agent_show) shows;
	LIST_HEAD(, agent_run) runs;
	LIST_HEAD(, agent_hook_test) hook_tests;
	LIST_HEAD(, agent_look) looks;
	struct {
		pthread_mutex_t mutex;	/* guards: */
		LIST_HEAD(, acks_wait) waits;
		size_t count;
		bool fresh;		/* since the last look */
		bool closed;
		uint64_t late;		/* timed out, ever */
	} acks;
	struct handlers *handlers;	/* NULL: there is no folder */
	struct {
		struct watched_peer *list;	/* room for MEMBERS_MAX */
		size_t count;
		bool stale;		/* a link came or went */
		uint64_t lag_ms;	/* when to look again */
		uint64_t rows_by_people; /* as of the last look */
	} watched;
	link_id last_link;
	uint64_t lapse_after_ms;	/* 0: the default */
	bool paused;
	bool members_stale;		/* the dialer has to look again */
	struct core_peer_status *peers;	/* room for MEMBERS_MAX */
	size_t peer_count;		/* as of the last agent_peers() */
	struct ratelimit log_limit;

	pthread_t thread;
	/* Any thread. */
	atomic_bool stopping, changed, wanted;
	atomic_uint_fast64_t shown;
	uint64_t shown_told;
	uint64_t changed_due_ms;	/* not told before */
};

/* Members but this one, afresh from the core; returns how many. */
size_t agent_peers(struct agent *);
/* Of a member, as of the last agent_peers(), or NULL. */
const struct core_peer_status *agent_peer(struct agent *,
					  const struct device *);
/* Stops or restarts all exchange; remembered by the store. */
must_check int agent_pause(struct agent *);
must_check int agent_resume(struct agent *);

/* ---- listen.c */
void listener_init(struct agent *);
/* `wanted` may be NULL. Errors: as agent_start(). */
must_check int listener_open(struct agent *, const char *wanted,
			     struct buf *why);
void listener_close(struct agent *);

/* ---- link.c */
/* Takes ownership of the socket. */
void link_accept(struct agent *, int fd, const struct address *);
/* Calls the members that are due; returns when to do so again. */
uint64_t links_dial(struct agent *, uint64_t now_ms);
/* Takes over the members' addresses. */
void links_refresh(struct agent *, uint64_t now_ms);
struct link *link_by_id(struct agent *, link_id);
/* The link to a member, or NULL. */
struct link *link_to(struct agent *, const struct device *);
/* Says BYE and ends it, the core being told. */
void link_close(struct link *, uint16_t bye_code, const char *text);
/* Sends what is queued and ends one that is no link. */
void link_finish(struct link *);
void links_close_all(struct agent *, uint16_t bye_code, const char *text);
/* The core wants it ended: what is queued is still sent. */
void link_end_by_core(struct link *, const char *why);
/* Logs a line about somebody who may be anybody, not too often. */
void link_log_stranger(struct link *, const char *what);

/* ---- admit.c */
/* The one frame of somebody who wants to join; answers it. */
void agent_admit(struct link *, struct slice frame);

/* ---- commands.c */
extern const struct control_ops agent_control_ops;
/* Bytes that may be no text go under hex_key, in hex. */
void agent_put_text(json_t *, const char *key, const char *hex_key,
		    struct slice);

/* A path relative to the root, from `path` or `path_hex`. -EINVAL: none. */
must_check int agent_get_path(const json_t *request, struct buf *ret);
/* Any bytes that went as agent_put_text() sends them. */
must_check int agent_get_bytes(const json_t *request, const char *key,
			       const char *hex_key, struct buf *ret);
json_t *agent_path_error(int r, const struct buf *path);
void agent_split_path(struct slice path, struct slice *ret_dir,
		      struct slice *ret_name);

/* ---- conflicts.c */
json_t *agent_conflicts(struct agent *, struct control_client *,
			const json_t *request);
json_t *agent_resolve(struct agent *, struct control_client *,
		      const json_t *request);

/* Puts `label` and `node`: the author's as `kin status` names it; of one
 * that nobody here has heard of, the number under which it wrote. */
void agent_put_author(struct core *, json_t *, struct dot,
		      struct slice label);

/* ---- versions.c */
json_t *agent_versions(struct agent *, struct control_client *,
		       const json_t *request);
json_t *agent_settle(struct agent *, struct control_client *,
		     const json_t *request);
/* The client went; false: it was none of these. */
bool agent_run_gone(struct agent *, void *data);
void agent_runs_poll(struct agent *);
void agent_runs_release(struct agent *);

/* ---- history.c */
json_t *agent_log(struct agent *, struct control_client *,
		  const json_t *request);
json_t *agent_cat(struct agent *, struct control_client *,
		  const json_t *request);
json_t *agent_restore(struct agent *, struct control_client *,
		      const json_t *request);
json_t *agent_removed(struct agent *, struct control_client *,
		      const json_t *request);
json_t *agent_undelete(struct agent *, struct control_client *,
		       const json_t *request);
/* The client went; false: it was none of these. */
bool agent_look_gone(struct agent *, void *data);
void agent_looks_poll(struct agent *);
void agent_looks_release(struct agent *);

/* ---- history_keep.c */
must_check int agent_keep(struct agent *, const struct history_keep *);
json_t *agent_history_json(struct agent *);

/* ---- decided.c */
json_t *agent_decided(struct agent *, struct control_client *,
		      const json_t *request);
json_t *agent_undo(struct agent *, struct control_client *,
		   const json_t *request);
json_t *agent_swap(struct agent *, struct control_client *,
		   const json_t *request);

/* ---- policy.c */
json_t *agent_policy(struct agent *, struct control_client *,
		     const json_t *request);

/* ---- hook_list.c */
json_t *agent_hooks(struct agent *, struct control_client *,
		    const json_t *request);

/* ---- hook_test.c */
json_t *agent_hook_test(struct agent *, struct control_client *,
			const json_t *request);
/* The client went; false: it tested nothing. */
bool agent_hook_test_gone(struct agent *, void *data);
/* Returns when to be called again. */
uint64_t agent_hook_tests_poll(struct agent *, uint64_t now_ms);
void agent_hook_tests_release(struct agent *);

/* ---- verify.c */
/* The answer at once, or null: later. */
json_t *agent_verify_start(struct agent *, struct control_client *,
			   const json_t *request);
/* The client went; false: it was no verify's. */
bool agent_verify_gone(struct agent *, void *data);
void agent_verifies_poll(struct agent *, uint64_t now_ms);
void agent_verifies_release(struct agent *);

/* ---- check.c: as those of verify.c; one at a time */
json_t *agent_check_start(struct agent *, struct control_client *,
			  const json_t *request);
bool agent_check_gone(struct agent *, void *data);
void agent_check_poll(struct agent *, uint64_t now_ms);
void agent_check_release(struct agent *);

/* ---- show.c */
/*
 * For requests that changed what is shown. Takes ownership of the answer.
 * Gives it back to be sent at once, or null: it is sent when it is shown.
 */
json_t *agent_answer_shown(struct agent *, struct control_client *,
			   json_t *answer);
/* The client went; false: it waited for nothing to be shown. */
bool agent_show_gone(struct agent *, void *data);
void agent_shows_poll(struct agent *, uint64_t now_ms);
void agent_shows_release(struct agent *);

/* ---- wait.c */
/* give_token: only settles, and answers with a token. */
void agent_wait_start(struct agent *, struct control_client *,
		      const json_t *request, bool give_token);
void agent_wait_gone(void *data);
/* Answers those that are done or late. */
void agent_waits_poll(struct agent *, uint64_t now_ms);
/* The daemon ends: so do they. */
void agent_waits_release(struct agent *);

/* ---- agent_handlers.c */
must_check int agent_handlers_start(struct agent *,
				    const struct agent_options *,
				    struct buf *why);
void agent_handlers_stop(struct agent *);
/* Changes from elsewhere are shown. */
void agent_handlers_shown(struct agent *);
/* Returns when to be called again. */
uint64_t agent_handlers_tick(struct agent *, uint64_t now_ms);

/* ---- acks.c */
void acks_init(struct agent *);
void acks_release(struct agent *);
/* Answers those that are done or late; returns when to look again. */
uint64_t acks_poll(struct agent *, uint64_t now_ms);
/* Waits that timed out since the start. */
uint64_t acks_late(struct agent *);

/* A device as people see it: 16 hex digits. */
#define HASH_TEXT_BYTES (2 * sizeof(struct hash) + 1)
#define DEVICE_TEXT_BYTES 17
void device_format(const struct device *, char ret[DEVICE_TEXT_BYTES]);

#endif
