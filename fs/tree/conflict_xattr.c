/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user.kin.conflict: what a file in conflict is, for whoever looks at it with
 * the tools of the system. One line of JSON, of the very version that is
 * shown there: the file's or a sibling's.
 */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "fs/tree/base.h"
#include "fs/tree/variants_internal.h"
#include "fs/tree/tree_internal.h"

#define TIME_BYTES 32

/* By its author's clock, UTC. */
static int put_time(struct buf *b, uint64_t hlc)
{
	time_t s = (time_t)((hlc >> 16) / 1000);
	char text[TIME_BYTES];
	struct tm tm;

	if (!gmtime_r(&s, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return -EUCLEAN;
	buf_printf(b, "\"%s\"", text);
	return 0;
}

/* (labels have no character that JSON would have to escape) */
static int put_version(const struct target *f, bool base, struct buf *b)
{
	const struct version *v = f->content;
	struct slice author = v->content.author;
	char id[2 * sizeof(f->ref.id.b) + 1];
	int r;

	hex_encode(f->ref.id.b, sizeof(f->ref.id.b), id);
	buf_printf(b, "{\"object\":\"%s\",\"dot\":\"%016" PRIx64 ".%" PRIu64
		      "\",\"author\":\"%.*s\",\"time\":", id, v->dot.origin,
		   v->dot.seq, (int)author.len, (const char *)author.data);
	r = put_time(b, v->hlc);
	buf_printf(b, ",\"hlc\":%" PRIu64 ",\"base\":%s}", v->hlc,
		   base ? "true" : "false");
	return r ? r : buf_error(b);
}

static bool shows_conflict(const struct target *f)
{
	return f->ref.type != INO_DETACHED && f->info.kind != KIND_DIR &&
	       f->info.link_count && f->info.branch_count > 1 &&
	       f->info.real_count && f->content &&
	       !(f->content->flags & VERSION_VOID);
}

bool conflict_is_shown(struct tree *t, uint64_t ino)
{
	struct target f;
	bool yes;

	if (target_load(t, ino, &f))
		return false;
	yes = shows_conflict(&f);
	target_release(&f);
	return yes;
}

int conflict_describe(struct tree *t, uint64_t ino, struct buf *ret)
{
	struct content base;
	struct target f;
	struct dot dot;
	int r = target_load(t, ino, &f), found;

	if (r)
		return r;
	if (shows_conflict(&f)) {
		found = base_of_branches(t, &f.row.o, &f.info, &base, &dot);
		r = found == -ENOENT ? 0 : found;
		if (!r)
			r = put_version(&f, !found, ret);
	} else {
		r = -ENODATA;
	}
	target_release(&f);
	return r;
}
