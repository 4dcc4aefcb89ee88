/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATUS rows: what each member says of itself, gossiped over all links.
 * A row is replaced by one of a greater beat and forwarded as it came, so
 * that fields of a newer kinfs pass through. The store remembers the last
 * ones heard (remember.c), so that lag can be told while a peer is away.
 */
#ifndef KINFS_CORE_STATUS_H
#define KINFS_CORE_STATUS_H

#include "fs/tree/know.h"
#include "replication/core/marks.h"
#include "replication/core/members.h"

/* Bytes of one encoded row: four full vectors fit, with some answers. */
#define STATUS_ROW_BYTES_MAX (512 * 1024)

/* "When you asked with this nonce, I had all of this." */
struct status_answer {
	struct device asker;
	uint64_t nonce;
	struct know k;
};

struct status {
	struct device device;
	uint64_t origin; /* incarnation: the origin of its dots */
	uint64_t beat;	 /* grows with each change of the row */
	struct know k;	 /* merged, and durable */
	struct heads heads; /* at k */
	bool is_ours;	    /* k is of the history that is known here */
	struct know c;	 /* ... with all content */
	struct know v;	 /* ... and shown through its mount */
	struct know g;	 /* its horizon: purged up to there */
	uint64_t debt_objects, debt_bytes; /* content still to come */
	char addresses[ADDRESSES_BYTES_MAX + 1];
	uint64_t ask;		       /* nonce of its latest `wait`, or 0 */
	struct status_answer *answers; /* at most MEMBERS_MAX */
	size_t answer_count;
	struct buf raw; /* as it came, or was encoded last */
	uint64_t saved_beat; /* of the row that the store remembers */
};

void status_init(struct status *, const struct device *);
void status_release(struct status *);
/* The answer given to this device, or NULL. */
const struct status_answer *status_answer_to(const struct status *,
					     const struct device *);
/* Adds or replaces an answer. Errors: -ENOMEM, -E2BIG. */
must_check int status_set_answer(struct status *, const struct device *asker,
				 uint64_t nonce, const struct know *);
void status_drop_answer(struct status *, const struct device *asker);

/* Encodes into s->raw. Answers that make it too large are left out. */
must_check int status_encode(struct status *);
/* One row; sets ret->raw too. ret was initialised. Errors: -EBADMSG,
 * -E2BIG, -ENOMEM. */
must_check int status_decode(struct slice raw, struct status *ret);

#endif
