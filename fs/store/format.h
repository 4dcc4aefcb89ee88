/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of the store that are not LMDB's own: log records and the META
 * values of the store itself. FORMAT.md is the specification.
 */
#ifndef KINFS_STORE_FORMAT_H
#define KINFS_STORE_FORMAT_H

#include "fs/base/bytes.h"
#include "fs/store/store.h"

/* Version of everything in FORMAT.md; a newer one is refused. */
#define STORE_FORMAT 2

/* META keys that only the store itself writes. */
#define META_FORMAT "format" /* u32: STORE_FORMAT */
#define META_LOG "log"	     /* struct log_state */
#define META_ANSWER "answer/" /* and a slot: struct store_answer */
#define META_BOOT "boot"     /* text: the boot that the log is of */

/* Bytes of a log record before its entries. */
#define LOG_HEADER_BYTES 40
/* Where the magic stands in a record: damaged logs are searched for it. */
#define LOG_MAGIC_AT 8
#define LOG_MAGIC "KLOG"
#define LOG_MAGIC_BYTES 4

/*
 * What is stored under a key is the value and these bytes: a checksum that
 * is seeded by table and key, since nothing else in the tables' file has one.
 */
#define VALUE_CHECK_BYTES 4
void value_seal(enum store_table, struct slice key, struct slice value,
		uint8_t ret[VALUE_CHECK_BYTES]);
/* The value in what is stored. Errors: -EUCLEAN it is damaged. */
must_check int value_open(enum store_table, struct slice key,
			  struct slice stored, struct slice *ret);

/* Name of a table in LMDB. */
const char *table_name(enum store_table);

struct log_state {
	uint64_t id;  /* random; seeds the checksums of this store's log */
	uint64_t lsn; /* the last record that the tables contain */
};
#define LOG_STATE_BYTES 16

void log_state_encode(const struct log_state *, uint8_t *ret);
/* Errors: -EBADMSG. */
must_check int log_state_decode(struct slice, struct log_state *ret);

struct log_header {
	uint32_t length; /* bytes of the record with its header */
	uint64_t lsn;	 /* +1 a record, for the life of the store */
	uint64_t lap;	 /* lsn of the record at the start of the segment */
	uint64_t mark;	 /* data that records up to here name is on disk */
};

struct log_entry {
	enum store_table table;
	enum log_entry_kind {
		LOG_PUT,
		LOG_DELETE, /* no value */
		LOG_DATA,   /* no table, no key: a segment's bytes are value */
	} kind;
	struct slice key, value;
	struct data_loc loc; /* LOG_DATA: where they belong */
};

/*
 * Building a record: begin, any number of put and del, seal (which takes
 * lsn, lap and mark from the header given). put and del return the copies in
 * the record of what was passed, valid until the next change of the buffer;
 * check buf_error() first. A record without entries, or with data only, is a
 * mark: no operation.
 */
void log_record_begin(struct buf *);
void log_record_put(struct buf *, enum store_table, struct slice key,
		    struct slice value, struct slice *ret_key,
		    struct slice *ret_value);
void log_record_del(struct buf *, enum store_table, struct slice key,
		    struct slice *ret_key);
/*
 * Bytes of a data segment, len of them, for the caller to fill in; NULL: the
 * buffer has failed.
 */
uint8_t *log_record_data(struct buf *, struct data_loc, size_t len);
void log_record_seal(struct buf *, uint64_t id, const struct log_header *);
/* Has it no operation? */
bool log_entries_are_mark(struct slice entries);

/*
 * Takes the header of the record that `at` starts with; more may follow it.
 * Does not look at the checksum. Errors: -EBADMSG no record here.
 */
must_check int log_header_decode(struct slice at, struct log_header *ret);
/*
 * Takes a whole record and checks it. Errors: -EBADMSG no valid record of
 * the log with this id.
 */
must_check int log_record_decode(struct slice at, uint64_t id,
				 struct log_header *ret,
				 struct slice *ret_entries);
/* One entry; until reader_left() is 0. Errors: -EBADMSG. */
must_check int log_entry_decode(struct reader *, struct log_entry *ret);

#endif
