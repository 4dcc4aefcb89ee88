/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: one network thread (epoll) that carries the core's frames over
 * mutual TLS 1.3 to the other members, dials and accepts them, admits
 * invited ones, and answers the control socket (control.h).
 *
 * Peers are authenticated by their Ed25519 keys, in self-signed
 * certificates, compared with the member list: no CA, no names. Who is not
 * a member may only present an invitation.
 */
#ifndef KINFS_NET_AGENT_H
#define KINFS_NET_AGENT_H

#include "fs/tree/acks.h"
#include "fs/tree/tree.h"
#include "replication/net/identity.h"

struct agent;

/* How much history is kept here; what is not said is as it was, at first
 * HISTORY_DAYS and HISTORY_PERCENT. */
struct history_keep {
	bool has_days, has_size;
	unsigned int days;	/* 0: nothing is kept */
	unsigned int percent;	/* of the disk, or 0: */
	uint64_t bytes;
};
#define HISTORY_DAYS 30
#define HISTORY_PERCENT 5

struct agent_options {
	struct tree *tree;		/* borrowed */
	const struct identity *identity; /* borrowed */
	const char *listen;		/* "ADDR:PORT", port 0: any; NULL: what
					 * the store remembers, else any */
	const char *control_path;	/* Unix socket to serve */
	const char *mountpoint;		/* for answers and logs; absolute */
	/* Where the hooks of this node are (hook_dir.h); NULL: nowhere. */
	const char *hooks_folder;
	/* As whom hooks run, if this daemon is root's: the mountpoint's. */
	uid_t hook_uid;
	gid_t hook_gid;
	bool has_mount;
	/* Exchange only with these labels (NULL-ended), or NULL: with all. */
	const char *const *only_peers;
	/* Days of time heard after which a silent member lapses; remembered
	 * by the store. 0: what it remembers, else the default. */
	unsigned int lapse_days;
	struct history_keep keep;	/* remembered, too */
	/* Called on the network thread when `kin unmount` asks for the end. */
	void (*stop)(void *arg);
	/* The same for `kin restart`: another daemon goes on. NULL: none. */
	void (*leave)(void *arg);
	void *stop_arg;
	pid_t supervisor;	/* 0: none */
	uint32_t taken_over;	/* times that the mount was, for status */
};

/*
 * Binds, starts the thread. `why` receives a sentence on failure. Of a mount
 * that was taken over it starts without an address that it cannot have, and
 * goes on trying.
 * Errors: -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL a bad address, others.
 */
must_check int agent_start(const struct agent_options *, struct buf *why,
			   struct agent **ret);
/* Sends what is queued to linked peers for at most a second, says BYE,
 * joins the thread. */
void agent_stop(struct agent *);
/* From tree_observer callbacks and the front's notifier: any thread, store
 * locked or not; only notes it and wakes the thread. */
void agent_changed(struct agent *);
void agent_shown(struct agent *, uint64_t lseq);
void agent_wanted(struct agent *);
/* A program opened a file in conflict. */
void agent_opened(struct agent *, const struct objid *);

/* Who waits for acknowledgements. Called on any thread, with a lock of the
 * agent held: neither may call back into it. */
struct agent_acks_done {
	void *arg;
	/* 0; -ETIMEDOUT; -ECANCELED the agent ends; -EINTR after gone(). */
	void (*fn)(void *arg, int result);
	/* Has the caller lost interest? May be NULL. */
	bool (*gone)(void *arg);
};
/*
 * Calls done.fn once when others hold this node's operations up to seq as
 * `acks` wants it. Any thread. Errors (then it is not called): -EAGAIN too
 * many wait, -ECANCELED, -ENOMEM.
 */
must_check int agent_acks_wait(struct agent *, const struct acks *,
			       uint64_t seq, struct agent_acks_done);
/* Ends all waits, and refuses later ones; none is being answered on
 * return. */
void agent_acks_cancel(struct agent *);

#endif
