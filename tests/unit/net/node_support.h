/* SPDX-License-Identifier: Apache-2.0 */
/* Whole nodes without a mount, in this process, over loopback. */
#ifndef KINFS_TESTS_NODE_SUPPORT_H
#define KINFS_TESTS_NODE_SUPPORT_H

#include "tests/unit/net/net_support.h"

#include <jansson.h>
#include <stdatomic.h>

#include "fs/tree/replica.h"
#include "replication/net/agent.h"
#include "replication/net/invite.h"

struct node {
	struct net_dir dir;
	char label[LABEL_BYTES_MAX + 1];
	struct identity identity;
	struct store *store;
	struct tree *tree;
	struct agent *_Atomic agent;
	const char *const *only_peers;
	atomic_int stops;	/* asked for by `unmount` */
};

/* A directory and a key; nothing is open. */
void node_init(struct node *, const char *label);
void node_release(struct node *);
/* Store and tree. NULL: what is there, or a new volume. */
void node_open(struct node *, const struct join_result *joined);
/* listen NULL: as remembered. */
void node_start(struct node *, const char *listen);
/* As node_start(), but may fail. */
int node_try_start(struct node *, const char *listen, struct buf *why);
void node_stop(struct node *);
/* Stops, if it runs, and closes tree and store. */
void node_close(struct node *);

/* One request; the last line of the answer, to be released. */
json_t *node_ask(struct node *, json_t *request);
/* As node_ask(), of a command without arguments that must succeed. */
json_t *node_command(struct node *, const char *cmd);
/* `wait`; 0 or the exit code. */
int node_wait(struct node *, double timeout_s);
/* A new code, decoded. */
struct invite_code node_invite(struct node *);
/* Joins by the code, opens and adopts; not started. */
void node_join(struct node *, const struct invite_code *);
/* Waits until so many peers are connected. */
void node_await_links(struct node *, size_t count);

/* Writes a file in the root directory. */
void node_write(struct node *, const char *name, const char *text);
/* Is the file there with this text? */
bool node_has(struct node *, const char *name, const char *text);

#endif
