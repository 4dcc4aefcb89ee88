/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the core share. Each file has one job; core_tick() is
 * the only place that acts, all events only note what happened and core_tick
 * runs after each of them (the caller's duty).
 *
 *	core.c    life, the tick, K made durable, facts
 *	peer.c    a link: hello, dispatch of frames, liveness, failure
 *	gossip.c  MEMBERS and STATUS
 *	push.c    streams out: REC, CUT, and the content that goes with rows
 *	pull.c    streams in: PULL, staging
 *	apply.c   staged cuts: applying them, large ones in slices
 *	want.c    content by hash, both ways
 *	roster.c  the members as people see them; removal
 *	wait.c    kin wait: asking and answering
 *	proof.c   do linked nodes of equal knowledge hold the same?
 *	locate.c  if not: where, and repair; serve.c: its answers
 *	full.c    the end of a full stream
 *	heard.c   time heard: who lapsed
 *	purge.c   when what was removed may go for good
 *	acked.c   who has what this node did
 *	heartbeat.c  heads, and how stale this node is
 *	fork.c    histories with two branches; marks.c: marks on the wire
 */
#ifndef KINFS_CORE_INTERNAL_H
#define KINFS_CORE_INTERNAL_H

#include "replication/core/core.h"
#include "replication/core/head.h"
#include "replication/core/history.h"
#include "replication/core/members.h"
#include "replication/core/merge.h"
#include "replication/core/pack.h"
#include "replication/core/stage.h"
#include "replication/core/status.h"
#include "replication/core/sums.h"
#include "replication/core/wire.h"

/* From the first change to its cut: lets one operation's siblings along. */
#define SETTLE_MS 10
/* From arrived content to telling of it, while more is to come. */
#define CONTENT_SETTLE_MS 100
/* How long a linked origin has to push before its news is pulled. */
#define PULL_GRACE_MS 1000
/* A stream in, or wanted content, without progress is tried elsewhere. */
#define PROGRESS_TIMEOUT_MS 30000
/* Between PINGs when nothing else is sent; then the link is dead. */
#define PING_MS 15000
#define DEAD_MS 45000
/* Content that nobody has, or that has no room here, is asked for again. */
#define WANT_RETRY_MS 5000
/* ... but at least so often, however long it was asked for in vain. */
#define WANT_REST_MS 600000
/* Between two tries to go on where there was no room. */
#define REST_MS 5000
/* Answering `wait`: writes younger than this are waited for, in steps ... */
#define ASK_IDLE_MS 20
#define ASK_STEP_MS 5
/* ... so long at most. */
#define ASK_LIMIT_MS 200
/* Bytes of rows and of content taken under one lock. */
#define SLICE_BYTES (1024 * 1024)
/* Bytes of records gathered in one REC frame, where rows are small. */
#define REC_GATHER_BYTES (64 * 1024)
/* Content up to this many bytes goes with its row, unasked. */
#define PUSH_CONTENT_BYTES_MAX (64 * 1024)
/* Queued on a link: above it no records are added; chunks far earlier. */
#define QUEUE_BYTES_MAX (4 * 1024 * 1024)
#define QUEUE_CHUNK_BYTES_MAX (1024 * 1024)
/* Hashes asked for and not answered, a link: 16 MiB of largest chunks. */
#define WANTS_IN_FLIGHT_MAX 64
/* ... and so many more that readers wait for. */
#define WANT_URGENT_MAX 16
/* Hashes asked for on behalf of others at once: they come again. */
#define WANT_ONWARD_MAX 64
/* Hashes looked after at once, found and unavailable ones together. */
#define WANTS_MAX 1024
/* A peer's unanswered wants: its 80, and those it gave up meanwhile. */
#define ASKED_MAX 256
/* `kin wait` at once. */
#define WAITS_MAX 16
/* Lines about faults of peers, at most one in this time. */
#define FAULT_LOG_MS 1000
/* Beats are reserved in blocks, so that a restart never repeats one. */
#define BEAT_BLOCK 65536
/* Clocks further apart are worth a line in the log. */
#define SKEW_WARN_MS (10 * 60 * 1000)
/* Rows of earlier incarnations that are outbid in such a time: more than
 * there may be about. More are of another node that uses our key. */
#define TWIN_OUTBIDS_MAX 16
#define TWIN_WINDOW_MS 60000

/* Ids gone through in one hold of the lock: about a millisecond. */
#define PROOF_SLICE_OBJECTS 2048
/* Equality must have lasted so long: busy links say nothing. */
#define PROOF_SETTLE_MS 200
/* From the last acknowledgement to the purge it allows: a few of them. */
#define PURGE_SETTLE_MS 5000
_Static_assert(PURGE_SETTLE_MS > PROOF_SETTLE_MS,
	       "or one purges what the proof of two others has brought back");
/* Between slices of it, and rows of one: a low duty, a short lock. */
#define PURGE_PAUSE_MS 50
/* After an error that may pass. */
#define PURGE_RETRY_MS 5000
#define PURGE_ROWS 64
/* Rows looked at in one slice of bringing back what rm -r took. */
#define BRING_BACK_ROWS 256
/* Time heard that one silence between two exchanges may add. */
#define HEARD_STEP_MS (60 * 60 * 1000)
/* Time heard is kept in the store in steps of at most this. */
#define HEARD_SAVE_MS (60 * 60 * 1000)

#define NEVER UINT64_MAX

enum peer_phase {
	PEER_HELLO,  /* up; its HELLO is awaited */
	PEER_STATUS, /* said hello; its own STATUS row is awaited */
	PEER_READY,
	PEER_FORKED, /* histories differ: nothing but the search for where */
};

enum push_state {
	PUSH_IDLE,
	PUSH_ROWS, /* streaming rows */
	PUSH_ACK,  /* CUT sent; K in its STATUS awaited */
};

/* Where do two histories of an origin part? See fork.c. */
struct search {
	uint64_t origin;
	bool bounded;	   /* the two below are known */
	uint64_t same;	   /* up to here they agree */
	uint64_t other;	   /* from here on they do not, or one ends */
	struct ask asked;  /* last */
	bool waits;	   /* the peer is to rename its branch */
	uint64_t until_ms; /* then the link is given up */
};

/* What is known of a peer's sums. */
struct proof {
	struct know sent_k; /* ours was said at this K on this link */
	bool sent;
	bool equal; /* since due_ms - PROOF_SETTLE_MS */
	uint64_t due_ms;
	uint64_t asked, answered; /* core_verify_begin()'s numbers */
	/* The last comparison: */
	enum core_proof_state state;
	struct know k;
	struct sum mine, theirs;
	struct objid *differing; /* VERIFY_ROWS_MAX of them, or NULL */
	size_t differing_count;
	bool repaired;
};

struct peer {
	link_id link;
	struct device device;
	uint64_t tag;	   /* `from` of rows adopted from it; not 0 */
	unsigned int slot; /* small number, unique while it is up */
	enum peer_phase phase;
	bool dead; /* closed; freed at the end of the tick */
	uint64_t origin;
	uint64_t heard_ms, sent_ms;
	size_t queued; /* bytes, as last told, and sent since */

	struct {
		enum push_state state;
		bool pulled;	  /* asked for what we only pass on */
		bool full;	  /* all rows: it is below our horizon */
		struct know base; /* what it knew at the start */
		struct know told; /* full: and our horizon then */
		struct know k;	  /* of the CUT sent, or staged there */
		uint64_t after;	  /* rows up to this were sent */
		uint64_t echoes;  /* ... but those it gave, up to this */
		uint64_t rows;
		/* From its RESUME: it has staged rows up to here. */
		uint64_t resume_life, resume_position;
		struct packer packer;
	} push;

	struct {
		struct stage *stage; /* being filled, of core's; or NULL */
		uint64_t records;    /* since STREAM */
		struct unpacker unpacker;
		bool active;	    /* rows or a cut are on their way */
		bool pulled;	    /* and we asked for them */
		struct know target; /* what it will bring */
		uint64_t progress_ms;
		uint64_t failed_ms; /* when it last stalled, or 0 */
		/* The linked origin's news that is due, since when. */
		uint64_t due_seq, due_since_ms;
	} pull;

	struct hash asked[ASKED_MAX]; /* ring: what it wants of us */
	size_t asked_first, asked_count;
	size_t wants_in_flight; /* what we want of it */
	uint64_t wants_progress_ms;

	bool check_due; /* its row is to be compared with our history */
	struct search search;
	struct proof proof;
	struct locate *locate; /* a search in hand, or NULL */
	struct serve *serve;   /* a list that it asked for, or NULL */
	uint64_t swept_ms;     /* when it was answered all sums */
};

struct want {
	struct hash hash;
	struct peer *peer;		  /* asked, or NULL */
	uint64_t tried[MEMBERS_MAX / 64]; /* by slot */
	uint64_t retry_ms;		  /* NEVER: not backing off */
	bool urgent;			  /* somebody waits for it */
	uint8_t hops;			  /* 0: somebody here */
};

struct wait_member {
	struct device device;
	bool answered;
};

struct wait {
	int id;
	enum core_wait_kind kind;
	size_t fresh;	   /* answers that are enough, of so many members */
	size_t answers;
	uint64_t nonce;
	bool done;
	struct know target;
	struct wait_member *members;
	size_t member_count;
};

struct core {
	struct tree *tree;
	struct store *store;
	struct core_env env;
	struct device self;
	uint64_t origin;
	bool has_mount;
	uint64_t now_ms;
	uint64_t due_ms; /* the tick in hand: when to come back */
	int failure;	 /* of the store: nothing moves any more */
	uint64_t rest_until_ms; /* if it may pass: until then. 0: it does not */
	bool rested;	 /* and that was said */
	uint64_t fault_log_ms;

	struct members members;
	struct status own;
	struct status **others;
	size_t other_count;
	bool removal_news; /* to be stored and passed on */
	bool publish; /* our row changed */
	uint64_t beat_ceiling;

	struct peer **peers;
	size_t peer_count;

	uint64_t sync_due_ms;
	/* instant.c: since when there are local changes that no cut tells
	 * of, when to look whether it is time, or NEVER; and own operations
	 * that somebody waits for. */
	uint64_t first_change_ms, change_due_ms;
	uint64_t urgent_seq;
	bool content_arrived; /* since the last sync */
	uint64_t synced_lseq;
	uint64_t synced_hlc; /* the moment that own.k is of */
	uint64_t noted_lseq;
	struct know noted_k; /* newest entry of the cut table */

	/* What is complete but not shown yet: complete as of an applied
	 * number, which is the mount's to reach. */
	uint64_t applied_lseq, shown_lseq;
	bool showing;
	struct know showing_c;
	uint64_t showing_lseq;

	struct stage *stages; /* by age */
	struct stage *applying; /* one of them, or NULL */
	bool half_applied; /* rows say more than K: it, or one that was lost */
	uint64_t next_stage;
	uint64_t apply_retry_ms; /* 0: no error lately */
	bool apply_told;	 /* that error is in the log */
	uint64_t life; /* names the streams of this run */
	uint64_t twin_ms; /* since when rows of our key were outbid ... */
	uint32_t twin_outbids; /* ... so often */
	bool twin_said;
	enum tree_cause copied; /* not NONE: a new incarnation is due */
	size_t small_rows, slice_rows;
	uint64_t staged_bytes_max;

	struct want *wants;
	size_t want_count;
	bool wants_stale;  /* look for what is wanted again */
	uint64_t wants_rest_ms; /* no room for content: until then */
	uint64_t wants_vain_ms; /* what nobody had is asked for again then */
	unsigned wants_vain;	/* times that it was, and nothing came */
	bool wants_urgent; /* look for what readers wait for */
	bool wants_onward; /* some are to be passed on */
	bool told_reachable;
	bool wants_filled; /* some came since the last sync */

	uint64_t purge_settle_ms, purge_retry_ms;
	uint64_t purge_due_ms; /* NEVER: nothing new was acknowledged */
	bool purged;	       /* some, in this pass: there may be more */
	uint64_t expire_due_ms; /* of the local history */
	/* At the end of a full stream that is being applied. */
	struct {
		bool begun;
		struct replica_absence absence;
		/* Of the rows that may come back: the next one; whether
		 * one did in this pass; whether the greatest id was seen. */
		struct objid gone_from;
		bool gone_found, gone_last;
	} full;
	bool may_bring_back;   /* a merge may have noted directories, for */
			       /* replica_bring_back(), replica_find_lost() */
	uint64_t lapse_after_ms;
	uint64_t heard_ms;	   /* time heard, of this store's life */
	uint64_t exchanged_ms;	   /* last frame, of this core's clock */
	uint64_t heard_judged_ms, heard_saved_ms; /* heard_ms then */
	struct pulse *pulses; /* heartbeat.c; one a member heard of */
	size_t pulse_count;
	uint64_t heartbeat_ms, beat_due_ms;

	struct wait waits[WAITS_MAX];
	int wait_id;
	uint64_t ask_limit_ms, ask_next_ms; /* 0: nobody asks */

	uint64_t verify_count; /* questions so far */
	int verifying;	       /* how many are open */
	uint64_t alarm_log_ms;
	uint64_t repair_minute_ms, repair_count;

	struct core_counters counters;
	struct packer chunk_packer;
	struct unpacker chunk_unpacker;
	struct buf frame; /* being encoded */
	struct buf scratch;
};

/* ---- core.c */
/* The tick in hand must come back then. */
void core_due(struct core *, uint64_t when_ms);
/*
 * Reads what this node knows, makes it durable, and only then takes it into
 * its own row. On failure the core stops.
 */
void core_sync(struct core *);
/* Asks for core_sync() in so many ms at the latest. */
void core_sync_in(struct core *, uint64_t delay_ms);
/* Notes (lseq, K) unless it was noted. [store locked, no operation] */
must_check int core_note_cut(struct core *);
/* The store failed, or memory ran out: closes all links, for good. */
void core_fail(struct core *, int r, const char *what);
/* An error that passes by itself: the disk is full. */
bool core_passes(const struct core *, int r);
/* Streams from now on go on from none of those before. */
void core_new_life(struct core *);
/* V := C, if all of it is shown. */
void core_show(struct core *);

/* ---- instant.c */
/* Something local changed. */
void instant_changed(struct core *);
/* Is it too early for a cut? Then the tick comes back. */
bool instant_is_early(struct core *);
void instant_tick(struct core *);
/* core_sync(), and what it covers is sent without delay. */
void instant_now(struct core *);

/* ---- peer.c */
struct peer *peer_find(struct core *, link_id);
/* The live link to this device, or NULL. */
struct peer *peer_of(struct core *, const struct device *);
struct peer *peer_by_tag(struct core *, uint64_t tag);
/* As people know it, or "?". */
const char *peer_label(struct core *, const struct peer *);
/* The row of the peer; NULL before the first. */
struct status *peer_status(struct core *, struct peer *);
/* Ends and sends core->frame. */
void peer_send(struct core *, struct peer *);
/* Sends BYE, closes. The peer stays in memory until the tick's end. */
void peer_fail(struct core *, struct peer *, enum bye_code, const char *why);
/* As peer_fail, for an error of ours or of the frame's bytes. */
void peer_fail_errno(struct core *, struct peer *, int r, const char *what);
void peers_tick(struct core *);
void peers_reap(struct core *);

/* ---- gossip.c */
struct status *status_of(struct core *, const struct device *);
/* All that a new link must hear: members, then rows. */
void gossip_greet(struct core *, struct peer *);
void gossip_publish(struct core *);
must_check int gossip_members(struct core *, struct peer *, struct reader *);
must_check int gossip_status(struct core *, struct peer *, struct reader *);
/* Sends the records from this number on to all links but one. */
void gossip_new_members(struct core *, size_t from, const struct peer *but);
/* Somebody was removed: stores it, tells all links but one, and closes
 * those that it ends. */
must_check int gossip_removals(struct core *, const struct peer *but);
/* Takes over a row of another member; *s is left empty. */
must_check int gossip_adopt_status(struct core *, struct status *s);

/* ---- remember.c */
must_check int remember_save(struct core *);
must_check int remember_load(struct core *);
/* In an operation. [locked] */
must_check int remember_forget(struct core *, const struct device *);

/* ---- purge.c */
/*
 * Who does not cover the other's horizon takes a full stream first, before
 * it gives anything. If neither covers the other's, the one with the smaller
 * key gives first.
 */
bool peer_may_give(struct core *, struct peer *);
bool peer_may_take(struct core *, struct peer *);

/* ---- push.c */
void push_tick(struct core *, struct peer *);
must_check int push_asked(struct core *, struct peer *, struct reader *);
void push_release(struct peer *);
/* What the peer still has of an earlier stream. */
must_check int push_resume(struct core *, struct peer *, struct reader *);
/* Reads and sends a chunk. Returns 1 sent, 0 not here. */
must_check int push_chunk(struct core *, struct peer *, const struct hash *);

/* ---- pull.c */
void pull_tick(struct core *);
must_check int pull_rec(struct core *, struct peer *, struct reader *);
must_check int pull_marks(struct core *, struct peer *, struct reader *);
must_check int pull_cut(struct core *, struct peer *, struct reader *);
must_check int pull_stream(struct core *, struct peer *, struct reader *);
/* Tells the peer what is staged here of its stream, if anything is. */
must_check int pull_send_resume(struct core *, struct peer *);
/* The peer goes: what it sent is kept for when it comes back. */
void pull_end(struct core *, struct peer *);
void pull_release(struct peer *);
/* Is it of a node that knows less than our horizon, and not full? */
bool cut_is_behind(struct core *, const struct cut *);
/* Its cut is dropped for that: it must not wait for us to know it. */
void pull_refuse(struct core *, uint64_t tag);

/* ---- full.c: full streams that are applied [locked, in an operation] */
/* A row of it was merged: it is remembered to have been there. */
must_check int full_note(struct stage *, const struct merge *,
			 struct objid, struct slice row);
/* After the last row: as much of what absence means as *left rows; *left is
 * 0 on return if there is more. */
must_check int full_end(struct core *, struct stage *, const struct know *k,
			size_t *left);
/* The operation was undone. [not locked, as the next] */
void full_undone(struct core *);
void full_done(struct core *);

/* ---- fork.c, fork_cut.c (and history.h) */
/* Is this node on the branch that became the alias, under an older name?
 * The origin that it has here, 0: no. [locked] */
must_check int fork_holds_branch(struct tree *, const struct birth *,
				 uint64_t *ret_origin);
/* Compares the histories that the peer's row tells of with ours. It may
 * rename a branch, and end all links. */
must_check int fork_check(struct core *, struct peer *);
/* Does a complete cut go on from what is known here? Errors: -ENOTUNIQ it
 * has another history, -EPROTO its marks are no good. [not locked] */
must_check int fork_check_cut(struct core *, struct stage *,
			      const struct cut *);
must_check int fork_asked(struct core *, struct peer *, struct reader *);
must_check int fork_told(struct core *, struct peer *, struct reader *);
void fork_tick(struct core *, struct peer *);
/* A new incarnation of this node; ends all links. */
must_check int fork_reincarnate(struct core *, enum tree_cause);
/* Does a row, of whomever, know another history of this node's origin? Then
 * a new incarnation is due. */
must_check int fork_check_own(struct core *, const struct status *);
/* 1: all that the row says it knows, this node knows, of the same history. */
must_check int fork_covers(struct core *, struct status *);
/* Takes one if it is due. */
void fork_tick_own(struct core *);

/* ---- apply.c */
/* All of it but one that is being applied. */
void stages_drop(struct core *);
/* Finds what an earlier run staged. */
must_check int apply_load(struct core *);
void apply_release(struct core *);
/* At most one slice of work. True: it did some, and is to be called again. */
bool apply_tick(struct core *);
/* Is a cut half applied? Then rows here say more than K, and nothing may be
 * sent, noted in the cut table or purged. */
bool apply_is_busy(const struct core *);
/* Applies a small one, or begins with a large one. It is complete, and none
 * is in hand. Errors: of the store and the tree; it is still there then. */
must_check int apply_next(struct core *, struct stage *);
/* The first of this peer in this state, or NULL. */
struct stage *stage_of(struct core *, uint64_t tag, enum stage_state);
/* A new one. Errors: -ENOMEM. */
must_check int stage_begin(struct core *, uint64_t tag, struct stage **ret);
/* Not wanted any more; frees it, or leaves it to be swept. */
void stage_drop(struct core *, struct stage *);
/* Its sender is gone; it may come back and go on. */
void stage_park(struct core *, struct stage *);
/* Errors: -E2BIG too much is staged. */
must_check int stage_room(struct core *);
/* Joins what complete ones will bring. */
must_check int stages_coming(struct core *, struct know *);

/* ---- purge.c */
/* Somebody acknowledged something, or stopped counting. */
void purge_wake(struct core *);
/* Who is a member is another set now: says so. [not locked] */
void members_changed(struct core *);
/* What only others could go on from is not kept while there are none. */
void members_tell_tree(struct core *);
void purge_tick(struct core *);

/* ---- expire.c */
void expire_tick(struct core *);

/* ---- heard.c */
must_check int heard_load(struct core *);
/* A frame came: time passed in which others could be heard of. */
void heard_exchange(struct core *, const struct device *from);
/* News of a member, by whatever way. */
void heard_of_row(struct core *, const struct device *, uint64_t beat);
void heard_of_head(struct core *, const struct device *, uint64_t hlc);
/* A link fell, which may be the end of this process. Part of an operation. */
must_check int heard_put(struct core *);
/* Our K is about to grow: who has all of it was not silent so far. */
void heard_grows(struct core *);
/* Judges who lapsed. */
void heard_tick(struct core *);
bool member_is_active(struct core *, const struct member_entry *);

/* ---- want.c */
void want_tick(struct core *);
/* Serves what the peer wants, as far as its queue allows. */
void want_serve(struct core *, struct peer *);
must_check int want_asked(struct core *, struct peer *, struct reader *);
must_check int want_chunk(struct core *, struct peer *, struct reader *);
must_check int want_nohave(struct core *, struct peer *, struct reader *);
/* The peer has new content, is new (forget what it had not) or gone. */
void want_retry(struct core *, struct peer *);
void want_peer_gone(struct core *, struct peer *);

/* ---- heartbeat.c */
void heartbeat_tick(struct core *);
/* A link is ready: it hears all heads. */
void heartbeat_greet(struct core *, struct peer *);
must_check int heartbeat_frame(struct core *, struct peer *, struct reader *);
/* Since when this node does not show all of that one's. False: unknown. */
bool heartbeat_stale(struct core *, const struct device *, uint64_t *ret_ms);

/* ---- wait.c */
void wait_heard(struct core *, const struct status *);
/* True if it may have made versions of local writes. */
bool wait_tick(struct core *);
void waits_release(struct core *);
void waits_forget_removed(struct core *);

/* ---- proof.c */
void proof_tick(struct core *, struct peer *);
/* A VERIFY frame. */
must_check int proof_verify(struct core *, struct peer *, struct reader *);
void proof_release(struct peer *);
/*
 * K (unless ret_k is NULL) and the sum of all, in one hold of the lock.
 * Errors: -EAGAIN there is no sum of K now, or (unless `at` is NULL) K is
 * not `at`.
 */
must_check int proof_state(struct core *, const struct know *at,
			   struct know *ret_k, struct sum *ret);
/* Takes the store's lock if K is this one. Errors: -EAGAIN it is not. */
must_check int proof_lock(struct core *, const struct know *);

/* ---- locate.c: errors are those of the frame, or the core's end */
/* The last comparison said that they differ. */
must_check int locate_begin(struct core *, struct peer *);
void locate_end(struct peer *);
/* Is a search in hand, with any peer? */
bool locate_is_busy(const struct core *);
must_check int locate_tick(struct core *, struct peer *);
/* A SUMS frame. */
must_check int locate_answer(struct core *, struct peer *, struct reader *);

/* ---- serve.c */
must_check int serve_asked(struct core *, struct peer *,
			   const struct verify *);
must_check int serve_tick(struct core *, struct peer *);
void serve_end(struct peer *);

#endif
