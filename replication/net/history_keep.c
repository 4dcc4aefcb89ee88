/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much history this node keeps: what was asked for when it was mounted,
 * and remembered in META "keep"; else what is usual. The core lets go what is
 * beyond that (expire.c).
 */
#include <errno.h>
#include <sys/statvfs.h>

#include "replication/net/agent_internal.h"

#define DAY_MS UINT64_C(86400000)
#define KEEP_BYTES 16

static int keep_read(struct agent *a, struct history_keep *k)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct reader in;
	int r = meta_get(a->store, META_KEEP, &b);

	*k = (struct history_keep){ .has_days = true, .has_size = true,
				    .days = HISTORY_DAYS,
				    .percent = HISTORY_PERCENT };
	if (r)
		return r == -ENOENT ? 0 : r;
	in = READER(b.data, b.len);
	k->days = reader_u32(&in);
	k->percent = reader_u32(&in);
	k->bytes = reader_u64(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

static int keep_write(struct agent *a, const struct history_keep *k)
{
	uint8_t value[KEEP_BYTES];

	put_le32(value, k->days);
	put_le32(value + 4, k->percent);
	put_le64(value + 8, k->bytes);
	return meta_put(a->store, META_KEEP, SLICE(value, sizeof(value)));
}

/* Of the file system that the store is on. */
static uint64_t disk_part(struct agent *a, unsigned int percent)
{
	struct statvfs s;

	if (statvfs(store_path(a->store), &s))
		return 0;
	return (uint64_t)s.f_blocks * s.f_frsize / 100 * percent;
}

int agent_keep(struct agent *a, const struct history_keep *wanted)
{
	struct replica_history_limits limits;
	struct history_keep k;
	int r = keep_read(a, &k);

	if (r)
		return r;
	if (wanted->has_days)
		k.days = wanted->days;
	if (wanted->has_size) {
		k.percent = wanted->percent;
		k.bytes = wanted->bytes;
	}
	if (wanted->has_days || wanted->has_size)
		r = keep_write(a, &k);
	limits.age_ms = k.days * DAY_MS;
	limits.bytes = k.percent ? disk_part(a, k.percent) : k.bytes;
	store_lock(a->store);
	replica_set_history(a->tree, &limits);
	store_unlock(a->store);
	return r;
}

json_t *agent_history_json(struct agent *a)
{
	struct replica_history h;

	store_lock(a->store);
	replica_history(a->tree, &h);
	store_unlock(a->store);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "contents",
			 (json_int_t)h.entries, "removed", (json_int_t)h.gone,
			 "bytes", (json_int_t)h.bytes, "days_max",
			 (json_int_t)(h.limits.age_ms / DAY_MS), "bytes_max",
			 (json_int_t)h.limits.bytes);
}
