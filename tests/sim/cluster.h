/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster in one process and one thread: nodes with the shipping store,
 * tree and core, and between them a network of links with delay, bandwidth
 * and order, all under one simulated clock. What the daemon's network
 * thread, notifier and housekeeping do, this does by events.
 *
 * Every function that can fail for a reason that no test expects records it
 * with cluster_fail(); the first failure stays.
 */
#ifndef KINFS_SIM_CLUSTER_H
#define KINFS_SIM_CLUSTER_H

#include "fs/tree/replica.h"
#include "replication/core/core.h"
#include "tests/sim/disk.h"
#include "tests/sim/rng.h"

#define CLUSTER_NODES_MAX 5

struct node;
struct cluster;

struct cluster_options {
	uint64_t seed;
	int nodes;
	int late;	 /* of them join later: node_join() */
	const char *dir; /* made here, removed by cluster_close() */
	bool trace;	 /* print what happens */
	bool mounts;	 /* nodes show cuts only after a while */
	uint64_t heartbeat_ms; /* 0: none (each costs signatures) */
	bool disks;	 /* that lose power, fill up, fail */
	bool space;	 /* that give back space, in slices, now and then */
	unsigned int group_ops; /* of store_options; 0: as shipped */
	/* ms; bytes a ms */
	uint32_t delay_max, bandwidth;
	bool bad_frames; /* a test sends what must not be sent */
	/* Of core_options; 0: as shipped. */
	size_t small_rows, slice_rows;
	uint64_t lapse_after_ms, purge_settle_ms;
	struct replica_history_limits history; /* age 0: there are none */
};

struct packet {
	struct packet *next;
	uint64_t begin_ms, sent_ms; /* leaves the queue; has left it */
	uint64_t arrive_ms;	    /* is there */
	size_t len;
	uint8_t bytes[];
};

/* One direction of a connection. */
struct pipe {
	struct packet *first, **last;
	uint64_t sent_ms, arrive_ms; /* of the newest packet */
	bool deaf;	    /* a fault: nothing arrives any more */
	bool lost;	    /* something did not: nor does what follows */
	uint64_t lose_after; /* bytes that still arrive; NEVER: all */
	uint64_t told_ms;    /* when parts of a packet were told of last */
};

/* What lies between two nodes: a cable, and at most one connection. */
struct wire {
	int a, b;
	bool exists; /* of the topology */
	bool cut;    /* a fault */
	bool up;
	bool closing; /* one side closed: the rest drains */
	link_id link;
	uint64_t connect_ms; /* when to try again */
	uint64_t fall_ms;    /* the connection breaks by itself; NEVER */
	/* A connection that fell: when the side of a, of b hears of it. */
	link_id old_link;
	uint64_t hear_ms[2];
	uint32_t delay_ms, bandwidth;
	struct pipe pipe[2]; /* [0]: a to b */
};

struct node {
	struct cluster *cluster;
	int index;
	bool joined, running;
	char dir[256], label[16];
	uint8_t secret[32];
	struct device device;
	int64_t skew_ms;
	struct rng rng, space_rng;
	struct disk disk;
	uint64_t origin;
	char boot[16]; /* of its machine; changes when it loses power */
	uint32_t boots;
	struct know durable; /* what it must not forget */
	struct tree_env env;
	struct store *store;
	struct tree *tree;
	struct core *core;
	bool changed; /* the observer said so */
	bool watched; /* it is looked at, and no program reads */
	bool was_full; /* its disk, once: then it keeps no history */
	bool interrupted; /* killed in an operation, or after its store failed */
	bool busy;    /* an operation runs on it: not to be killed in that */
	uint64_t tick_ms, cut_ms;
	/* Applied numbers to be shown, a ring of the mount's notifier. */
	uint64_t show_lseq, show_ms;
	uint64_t start_ms; /* when to start after a kill */
	uint32_t lives;
	/* Its store was put there by somebody else, since it ran last; and
	 * whether that shows, by its cookie (fs/store/cookie.h). */
	bool restored, is_copy;
	uint64_t join_ms;
	uint64_t backup_ms; /* when its backup was made; 0: there is none */
	/* Handles kept open by somebody outside: what they wrote is shown
	 * here only. */
	uint32_t writers;
};

struct cluster {
	struct cluster_options options;
	struct rng rng;
	uint64_t now_ms;
	int node_count;
	struct node nodes[CLUSTER_NODES_MAX];
	struct wire wires[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX]; /* a < b */
	link_id last_link;
	struct volid volume;
	uint64_t trace_hash;
	uint64_t last_busy_ms; /* until then a frame is on its way */
	uint64_t frames;
	uint32_t restores; /* stores that came from a backup or a copy */
	char failure[512];
	bool damaged; /* on purpose: plant.h */
	/* Called after each applied cut, and each local cut by time. */
	void (*on_change)(void *arg, struct node *, bool local);
	/* Called before a node is gone, and after it came back. */
	void (*on_kill)(void *arg, struct node *);
	void (*on_power_cut)(void *arg, struct node *);
	void (*on_return)(void *arg, struct node *, uint64_t old_origin);
	void *on_change_arg;
};

/* ---- life */
bool cluster_open(struct cluster *, const struct cluster_options *);
void cluster_close(struct cluster *);
void cluster_fail(struct cluster *, const char *fmt, ...) printf_like(2, 3);
bool cluster_failed(const struct cluster *);
/* Part of the trace, and printed if that is wanted. */
void cluster_say(struct cluster *, const char *fmt, ...) printf_like(2, 3);

/* ---- topology and faults */
struct wire *cluster_wire(struct cluster *, int a, int b);
void cluster_connect(struct cluster *, int a, int b);
void cluster_cut(struct cluster *, int a, int b);
void cluster_mend(struct cluster *, int a, int b);
void cluster_disconnect(struct cluster *, int a, int b);
/* Nothing that `from` sends arrives at `to`, until mended. */
void cluster_deafen(struct cluster *, int from, int to);
/* As much arrives, of one connection, and then nothing. */
void cluster_lose_after(struct cluster *, int from, int to, uint64_t bytes);
/* A new node joins; `by` is a member, and runs. */
void node_join(struct node *, struct node *by);
/* The same, with a copy of its store. */
void node_join_by_copy(struct node *, struct node *by);
/* It becomes the same node once more: all of that, also its key. Who is
 * linked to both must be seen to by the caller: never at once. */
void node_duplicate(struct node *, struct node *of);
/* kill -9; comes back after so many ms. */
void node_kill(struct node *, uint64_t away_ms);
/* Its machine loses power. */
void node_cut_power(struct node *, uint64_t away_ms);
/* Its process is gone, though it does not know (disk.h). Then it is killed
 * here. */
bool node_reap(struct node *);
/* Its store refuses, or may: what it is asked to do may fail. */
bool node_is_sick(const struct node *);
/* All that it has so far must stay, whatever happens. */
void node_note_durable(struct node *);

/* ---- time */
/* Runs all events up to this time. */
void cluster_run(struct cluster *, uint64_t until_ms);
/* To be called after using a node's tree from outside. */
void node_poke(struct node *);
/*
 * Runs until nothing but PING was sent for quiet_ms, at most limit_ms.
 * False if it does not end.
 */
bool cluster_run_quiet(struct cluster *, uint64_t quiet_ms, uint64_t limit_ms);
/* Runs `kin wait` on the node. False if not reached within limit_ms. */
bool cluster_wait(struct cluster *, int node, uint64_t limit_ms);

/* Each node gives back all the space that it can. */
void cluster_give_back(struct cluster *);

/* ---- checks: record a failure */
/* Nodes that know the same have the same rows, and show the same. */
void cluster_check_equal(struct cluster *, bool final);
/* Does a node wait for content that nobody has any more? Only where history
 * is kept for moments. */
bool cluster_waits_in_vain(struct cluster *);
void cluster_check_nodes(struct cluster *);

#endif
