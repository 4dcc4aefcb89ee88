/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: u32 length | u8 type | body; PROTOCOL.md has every byte. Pure:
 * bytes in, values out, and back. Decoders check every limit; what follows
 * the fields they know is of a newer kinfs and ignored.
 *
 * Decoders' errors: -EBADMSG, -E2BIG, -ENOMEM.
 */
#ifndef KINFS_CORE_WIRE_H
#define KINFS_CORE_WIRE_H

#include "fs/base/bytes.h"
#include "fs/base/id.h"
#include "fs/base/limits.h"
#include "fs/tree/know.h"
#include "replication/core/marks.h"

/* Versions of the protocol that this program speaks. */
#define PROTO_MIN 2
#define PROTO_MAX 2

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_MEMBERS = 2,
	FRAME_STATUS = 3,
	FRAME_PULL = 4,
	FRAME_REC = 5,
	FRAME_CUT = 6,
	FRAME_WANT = 7,
	FRAME_CHUNK = 8,
	FRAME_NOHAVE = 9,
	FRAME_PING = 10,
	FRAME_PONG = 11,
	FRAME_BYE = 12,
	FRAME_VERIFY = 13, /* sums.h */
	FRAME_SUMS = 14,
	FRAME_STREAM = 15,
	FRAME_RESUME = 16,
	FRAME_MARKS = 17, /* marks.h */
	FRAME_ASK = 18,
	FRAME_TELL = 19,
	FRAME_HEAD = 20,
};

enum bye_code {
	BYE_CLOSING = 0,  /* the daemon ends */
	BYE_VERSION = 1,  /* no common protocol version */
	BYE_VOLUME = 2,	  /* another volume */
	BYE_DEVICE = 3,	  /* HELLO names another key than TLS */
	BYE_FORMAT = 4,	  /* other hash or chunker constants */
	BYE_PROTOCOL = 5, /* a frame that must not be */
	BYE_TIMEOUT = 6,  /* nothing heard */
	BYE_LOCAL = 7,	  /* this node cannot store it now */
	BYE_FORK = 8,	  /* one incarnation, two histories */
	BYE_BEHIND = 9,	  /* it knows too little to give: a full stream first */
	BYE_REMOVED = 10, /* no member any more */
};

/* Hashes in one WANT or NOHAVE: 16 MiB of largest chunks. */
#define WANT_HASHES_MAX 64
/* Bytes of the text of a BYE. */
#define BYE_TEXT_MAX 255
/* Bytes of records in one REC frame before compression: one largest row
 * with its envelope, since a row is never split. */
#define REC_RAW_BYTES_MAX (ROW_BYTES_MAX + 64)

/* Empties the buffer and begins a frame in it. */
void frame_begin(struct buf *, enum frame_type);
/* Sets the length. Errors: -E2BIG over FRAME_BYTES_MAX, -ENOMEM. */
must_check int frame_end(struct buf *);

struct hello {
	uint16_t proto_min, proto_max;
	uint64_t features;
	struct volid volume;
	struct device device;
	uint64_t origin;
	uint64_t wall_ms;
	uint8_t hash;  /* 1: SHA-256 */
	uint8_t names; /* 0: names are bytes */
	uint32_t chunk_min, chunk_avg, chunk_max, inline_max;
};
/* Sets what belongs to this program: versions, constants. */
void hello_init(struct hello *);
void hello_encode(const struct hello *, struct buf *);
must_check int hello_decode(struct reader *, struct hello *ret);
/* 0, or the enum bye_code that says why these two cannot talk. */
int hello_refuse(const struct hello *mine, const struct hello *theirs);

/* Begins a cut: which stream its rows are of, and after which place. */
/* Set in the life of a full stream, and in no other. */
#define STREAM_FULL 1
struct stream {
	uint64_t life;	/* names the run of the sender */
	uint64_t after; /* place in its change stream */
};
void stream_encode(const struct stream *, struct buf *);
must_check int stream_decode(struct reader *, struct stream *ret);

/* What the receiver has staged of it. */
struct resume {
	uint64_t life;	   /* as STREAM said */
	uint64_t position; /* as REC said */
	bool complete;	   /* and its CUT, with K */
	struct know k;
};
void resume_release(struct resume *);
void resume_encode(const struct resume *, struct buf *);
must_check int resume_decode(struct reader *, struct resume *ret);

enum cut_flags {
	CUT_FULL = 1, /* what is not in it is absent there */
};
struct cut {
	struct know k;
	uint64_t rows; /* records since STREAM */
	uint64_t hlc;  /* the sender's clock */
	uint8_t flags; /* enum cut_flags */
	/* Of a full one. */
	struct know g;	  /* the sender's horizon */
	uint64_t objects; /* that it has */
	struct heads heads; /* at k */
};
void cut_release(struct cut *);
void cut_encode(const struct cut *, struct buf *);
must_check int cut_decode(struct reader *, struct cut *ret);

/* Which marks has the other side at these numbers, ascending? And which is
 * its next operation behind `after`? */
#define ASK_NUMBERS_MAX 64
struct ask {
	uint64_t origin, after;
	size_t count;
	uint64_t numbers[ASK_NUMBERS_MAX];
};
void ask_encode(const struct ask *, struct buf *);
must_check int ask_decode(struct reader *, struct ask *ret);

/* The answer; 0: there is none. */
struct tell {
	uint64_t origin, after, next;
	mark_t next_mark;
	size_t count;
	mark_t marks[ASK_NUMBERS_MAX];
};
void tell_encode(const struct tell *, struct buf *);
must_check int tell_decode(struct reader *, struct tell *ret);

/* Behind the hashes of WANT, if any. */
enum want_flags { WANT_URGENT = 1 };
/* In the upper half of the flags: how many nodes have passed it on. */
#define WANT_HOPS_SHIFT 4
#define WANT_HOPS_MAX 8
/* WANT and NOHAVE. */
struct hash_list {
	struct hash hash[WANT_HASHES_MAX];
	size_t count;
};
void hash_list_encode(const struct hash_list *, struct buf *);
must_check int hash_list_decode(struct reader *, struct hash_list *ret);

enum chunk_flags { CHUNK_ZSTD = 1 };
struct chunk_frame {
	struct hash hash;
	uint8_t flags;
	uint32_t len;	    /* of the chunk, not compressed */
	struct slice bytes; /* borrowed */
};
void chunk_frame_encode(const struct chunk_frame *, struct buf *);
must_check int chunk_frame_decode(struct reader *, struct chunk_frame *ret);

struct bye {
	uint16_t code;
	char text[BYE_TEXT_MAX + 1]; /* printable, for logs */
};
void bye_encode(const struct bye *, struct buf *);
must_check int bye_decode(struct reader *, struct bye *ret);

/* One record of a REC frame's content. */
struct rec {
	struct objid id;
	struct slice row; /* borrowed */
};
void rec_encode(const struct rec *, struct buf *);
/* False at the end, or after an error (then the reader has failed). */
bool rec_next(struct reader *, struct rec *ret);

#endif
