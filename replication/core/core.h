/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replication core: a pure state machine that keeps this node's tree
 * equal to the other members'. Events go in and carry the time; frames to
 * send, links to close and the next deadline come out. No clock, socket,
 * thread, file or random number of its own: the simulator runs N cores and
 * their stores in one process from one seed. PROTOCOL.md gives the bytes
 * and the rules.
 *
 * How changes travel (PROTOCOL.md, "Streams"):
 *  - STATUS rows, one a member, are gossiped over all links: what the member
 *    knows (K: merged and durable), has complete (C: with all content) and
 *    shows (V: through its mount), where it listens, and which questions of
 *    `wait` it has answered. A member's own row is its acknowledgement.
 *  - A node *pushes* a cut to each linked peer when it has changes of its
 *    own that the peer lacks; what it only passes on it merely announces, by
 *    its STATUS row, and the peer *pulls* it from one link at a time. So a
 *    change crosses a ring of N nodes in N-1 transfers. What a directly
 *    linked origin will push itself is pulled elsewhere only after a grace
 *    time.
 *  - A cut is everything above what the peer knows: REC for each changed
 *    row, then CUT with K. At most one cut is in flight to a peer. Nothing of
 *    it is applied before all of it came. A small one is then applied in one
 *    store operation; a large one, which was staged in the store, in slices,
 *    also over restarts, while local operations go on.
 *  - Content that does not come in the rows is asked for by hash (WANT),
 *    from peers whose C covers it, with its own bound in flight.
 *
 * Locking: all core_ functions are called by one thread at a time (the
 * network thread), without the store's lock, which they take in short
 * pieces. Callbacks are made from inside them, without the lock, and must
 * not call back into the core, but for core_link_queued().
 */
#ifndef KINFS_CORE_CORE_H
#define KINFS_CORE_CORE_H

#include "fs/tree/bucket.h"
#include "fs/tree/acks.h"
#include "fs/tree/replica.h"
#include "replication/core/member.h"

struct core;

/* A link: one live, authenticated connection to a member. Chosen by the
 * caller, never 0, not reused while up. */
typedef uint32_t link_id;	/* a number, not a struct */

/* 180 days of time heard: see heard.c. */
#define CORE_LAPSE_AFTER_MS (180ull * 24 * 60 * 60 * 1000)

struct core_env {
	void *arg;
	/* Queue one frame (as PROTOCOL.md: length, type, body). */
	void (*send)(void *arg, link_id link, struct slice frame);
	/* Drop the link after what is queued was sent. `why` is for logs and
	 * status. core_link_down() is not called for it. */
	void (*close)(void *arg, link_id link, const char *why);
	/* The member set or somebody's addresses changed: time to dial. */
	void (*members_changed)(void *arg);
	void (*random)(void *arg, void *ret, size_t len);
	/* Ed25519 signature by this device's key; 0 or -EIO. */
	int (*sign)(void *arg, struct slice message, uint8_t ret[64]);
};

struct core_options {
	struct tree *tree;		/* borrowed */
	struct core_env env;
	struct device device;		/* this node's public key */
	struct slice addresses;		/* "host:port host:port", or empty */
	bool has_mount;			/* V waits for core_shown() */
	/* Time heard after which a silent member no longer holds up the
	 * purge; 0: CORE_LAPSE_AFTER_MS. */
	uint64_t lapse_after_ms;
	/* From an acknowledgement to the purge that it allows; 0: as shipped,
	 * a few seconds. */
	uint64_t purge_settle_ms;
	uint64_t heartbeat_ms;		/* between heads; 0: none are sent */
	/* For tests; 0: rows of a cut that is applied in one operation
	 * (2,048), of a slice (256), bytes staged at most (8 GiB). */
	size_t small_rows, slice_rows;
	uint64_t staged_bytes_max;
};

/*
 * Loads members and status from the store. A volume without members (just
 * created) gets this device as its first, with the tree's label.
 */
must_check int core_new(const struct core_options *, uint64_t now_ms,
			struct core **ret);
void core_free(struct core *);

/* ---- links */
/* Sends HELLO. Errors: -EACCES not a member, -EALREADY linked already,
 * -ENOSPC, -EDQUOT there is no room now: later. */
must_check int core_link_up(struct core *, uint64_t now_ms, link_id,
			    const struct device *peer);
void core_link_down(struct core *, uint64_t now_ms, link_id);
/*
 * One received frame (type and body, without the length). A peer at fault
 * gets BYE and the link is closed through env.close.
 */
void core_receive(struct core *, uint64_t now_ms, link_id,
		  struct slice frame);
/* Bytes of a frame came that is not whole yet: the line is slow, and neither
 * dead nor stalled. */
void core_link_coming(struct core *, uint64_t now_ms, link_id);
/* Bytes queued and not yet sent on the link: the core stops streaming above
 * a bound and goes on when this falls. */
void core_link_queued(struct core *, link_id, size_t bytes);

/* ---- other events */
/* Something local changed (tree_observer.changed). */
void core_local_change(struct core *, uint64_t now_ms);
/* Content is waited for (tree_observer.wanted). */
void core_wanted(struct core *, uint64_t now_ms);
/* Everything up to this tree_observer.applied number is shown. */
void core_shown(struct core *, uint64_t now_ms, uint64_t lseq);
/* Does what is due; returns when to call again (now_ms at the earliest,
 * UINT64_MAX for never). To be called after every other event too. */
uint64_t core_tick(struct core *, uint64_t now_ms);
void core_set_addresses(struct core *, uint64_t now_ms, struct slice);

/* ---- waiting (kin wait) */
enum core_wait_state {
	CORE_WAIT_PENDING,
	CORE_WAIT_DONE,		/* what is waited for is reached */
};

enum core_wait_kind {
	/* Everything that any member has when it hears of this is to be
	 * held and shown by all. The caller has cut local files before
	 * (tree_cut_settled). */
	CORE_WAIT_ALL,
	/* The same of those members only that are linked now. */
	CORE_WAIT_LINKED,
	/* What the first `fresh` members to answer have is to be here, and
	 * shown. More than there are members besides this one: of all. */
	CORE_WAIT_FRESH,
	/* `token`, a knowledge of some node, is to be here, and shown.
	 * Nobody is asked. */
	CORE_WAIT_TOKEN,
};

struct core_wait_options {
	enum core_wait_kind kind;
	size_t fresh;
	const struct know *token;	/* copied */
};
/* Takes a point in time. Returns an id > 0; -ENOMEM, -E2BIG too many at
 * once. */
must_check int core_wait_begin(struct core *, uint64_t now_ms,
			       const struct core_wait_options *);
enum core_wait_state core_wait_state(struct core *, int id);
/* What is missing now, for the message of a time-out: for each member that
 * did not answer (unreachable) or does not show everything yet. */
struct core_wait_missing {
	struct device device;
	char label[LABEL_BYTES_MAX + 1];
	bool answered;
	uint64_t changes;	/* operations not yet held and shown there */
	bool self;		/* this node: content or mount not there yet */
};
size_t core_wait_missing(struct core *, int id,
			 struct core_wait_missing *ret, size_t max);
void core_wait_end(struct core *, int id);
/*
 * What this node knows now, made durable: as a token elsewhere (or later)
 * it stands for "no older than what I saw here". Errors: -ENOMEM, of the
 * store.
 */
must_check int core_knowledge(struct core *, uint64_t now_ms,
			      struct know *ret);

/* ---- acknowledgements (fsync under user.kin.acks) */
/* What was done up to now goes out without delay. */
void core_hurry(struct core *, uint64_t now_ms);
/*
 * Do so many others (all of the labels) hold this node's operations up to
 * seq, durably and with their content?
 */
bool core_acked(struct core *, uint64_t seq, const struct acks *);

/* ---- facts */
/* Between two heads of a node that is linked to anybody. */
#define CORE_HEARTBEAT_MS 10000

struct core_lag {
	uint64_t changes, bytes;
};

struct core_peer_status {
	struct device device;
	char label[LABEL_BYTES_MAX + 1];
	bool connected;
	/* Silent for too long: what is removed no longer waits for it; */
	bool lapsed;
	bool removed; /* no member any more */
	uint64_t last_heard_ms;	/* of this core's clock; 0: never */
	struct core_lag behind;	/* what it lacks of ours */
	/* How long the oldest of that has been here, ms; 0: lacks nothing */
	uint64_t behind_ms;
	/* All that it had made so long ago is shown here, ms. */
	bool stale_known;
	uint64_t stale_ms;
	bool skew_known;
	int64_t skew_ms;	/* its clock less ours */
	struct core_lag ahead;	/* what we lack of its */
	char addresses[256];
};

struct core_counters {
	uint64_t cuts_sent, cuts_received, rows_sent, rows_received;
	uint64_t changes_received;	/* operations new to us, in cuts */
	uint64_t changes_known;		/* operations in rows known already */
	uint64_t rows_by_people;	/* rows with something new that no
					 * policy or hook made */
	uint64_t changes_forwarded;	/* of other origins, sent on */
	uint64_t chunks_sent, chunks_received, bytes_sent, bytes_received;
	uint64_t proofs;	/* comparisons that said equal */
	uint64_t divergences;	/* ... that said different, at equal K */
	uint64_t verify_rounds;	/* questions asked to find out where */
	uint64_t repaired;	/* objects that hold now what either had */
	uint64_t lost;		/* entries moved to the root: nobody knew
				 * their directory */
	uint64_t rows_purged;
	uint64_t fulls_received; /* of the cuts, full streams */
	uint64_t forks;		/* branches renamed, new incarnations */
	uint64_t twins;		/* another node of this node's key was heard */
};

/* Is a large cut half applied? Rows here say more than K then. */
bool core_is_applying(const struct core *);

/*
 * Proof of equality (PROTOCOL.md): linked nodes that know the same compare
 * the sums over all they hold, by themselves, once for each such state.
 */
enum core_proof_state {
	CORE_PROOF_NONE,    /* not compared on this link yet */
	CORE_PROOF_EQUAL,
	CORE_PROOF_DIFFERS, /* an alarm: repaired by itself, see `repaired` */
};

struct core_proof {
	struct device device;
	enum core_proof_state state; /* of the last comparison */
	bool fresh;		/* made for this question or later */
	bool current;		/* it is of what this node knows now */
	bool locating;		/* it is being found out where they differ */
	const struct know *k;	/* borrowed until the next core_ call */
	struct sum mine, theirs;
	/* Objects that differed then, as far as it was found out. */
	const struct objid *differing;
	size_t differing_count;
	bool repaired;		/* by this node */
};

/*
 * `kin verify`: asks all linked members to compare now, as soon as they
 * know what this node knows. Returns the number of the question, for
 * core_proofs(); core_verify_end() when the answer is not waited for any
 * more. Changes that come meanwhile make it take longer.
 */
uint64_t core_verify_begin(struct core *, uint64_t now_ms);
void core_verify_end(struct core *);
/* Of the linked members. verify: number of the question, or 0. */
size_t core_proofs(struct core *, uint64_t verify, struct core_proof *ret,
		   size_t max);

/* Members but this one, in order of label. */
size_t core_peers(struct core *, struct core_peer_status *ret, size_t max);
void core_counters(struct core *, struct core_counters *ret);
/*
 * Whose are the versions of this origin? Known for the present incarnation
 * of every member heard of; else by the label that the version carries,
 * which is unique in a volume. False: nobody's that is known.
 */
bool core_author(struct core *, uint64_t origin, struct slice label,
		 struct device *ret);

/* ---- members */
struct core_member {
	struct device device;
	char label[LABEL_BYTES_MAX + 1];
	bool self, lapsed, removed;
	uint64_t added_ms, removed_ms; /* wall clocks of who said so */
	/* Numbers of its own changes: the newest it ever told of here, and
	 * up to where another member has them. 0: nothing heard of it. */
	uint64_t last_change, last_change_kept;
};
/* All that ever were, in order of label. */
size_t core_members(struct core *, struct core_member *ret, size_t max);
/*
 * Removes the member with this label, for ever. Removed already: no error.
 * Errors: -ENOENT no such label, -EINVAL it is this node, -EACCES this node
 * is no member itself, of the store.
 */
must_check int core_remove(struct core *, uint64_t now_ms, const char *label,
			   struct core_member *ret);
/* Is this key a member's? */
bool core_is_member(struct core *, const struct device *);
/* Was it one, and is it none any more? */
bool core_is_removed(struct core *, const struct device *);
/*
 * Admits a device: signs and durably stores its record, and gossips it. The
 * label gets -2, -3 ... if another member has it. ret_records: all records,
 * encoded, as the joiner needs them (core_adopt_members).
 * Errors: -EINVAL the label, -EACCES the device, or this node, was removed,
 * -E2BIG no room for another member, or for the origin of its changes, of
 * the store.
 */
must_check int core_admit(struct core *, uint64_t now_ms,
			  const struct device *, struct slice label,
			  char ret_label[LABEL_BYTES_MAX + 1],
			  struct buf *ret_records);
/*
 * For a joiner, before core_new: checks that the records are of this volume
 * and well signed, that `self` and the `inviter` are among them, and stores
 * them. [store not locked] Errors: -EBADMSG.
 */
must_check int core_adopt_members(struct tree *, struct slice records,
				  const struct device *self,
				  const struct device *inviter);

#endif
