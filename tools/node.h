/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running node: the one place that wires store, tree, front end and agent
 * together, with the thread that makes versions when they are due and the
 * one that takes signals.
 */
#ifndef KINFS_TOOLS_NODE_H
#define KINFS_TOOLS_NODE_H

#include <stdbool.h>

#include "replication/net/agent.h"
#include "replication/net/invite.h"
#include "tools/volume_paths.h"

struct node;

struct node_options {
	const struct volume_place *place;	/* borrowed */
	int supervisor;			/* its socket, or -1: none */
	bool goes_on;			/* with a mount in use */
	const char *listen;		/* or NULL, as agent_options */
	unsigned int lapse_days;	/* or 0, as agent_options */
	struct history_keep keep;
	const char *label;		/* or NULL: what the volume has */
	const char *label_default;	/* for a new volume or a joiner */
	bool allow_other, suid, dev, no_resend, io_uring, save_power;
	const char *const *only_peers;	/* NULL-ended, or NULL */
	const struct invite_code *code;	/* to join by, or NULL */
};

/*
 * Opens everything and mounts; blocks SIGINT, SIGTERM, SIGHUP and SIGPIPE
 * in this process. With a code it joins the volume first. `why` receives a
 * sentence on failure. Then nothing is left behind, except that a node that
 * became a member stays one, and says so.
 */
must_check int node_open(const struct node_options *, struct buf *why,
			 struct node **ret);
/* Serves until unmounted, asked to end, or SIGINT or SIGTERM. */
int node_run(struct node *);
/* Does another daemon go on with the mount? (node_run() has returned.) */
bool node_leaves(const struct node *);
/* Makes the last versions, says good-bye to peers, closes all. Returns the
 * first error of the store. */
int node_close(struct node *);

/* This node's label and volume, for a message; released by the caller. */
void node_describe(struct node *, struct buf *ret);

#endif
