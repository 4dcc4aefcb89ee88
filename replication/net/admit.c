/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inviter's side of joining. The order matters: the code is marked used
 * durably, then the record is signed and stored, then the joiner hears of
 * it. A crash in between costs the joiner a second try with the same code,
 * which is good for this one device, and never admits two.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/tree/bucket.h"
#include "replication/net/agent_internal.h"
#include "replication/net/invites.h"
#include "replication/net/sys.h"

static const char *const refusal_text[] = {
	[REFUSED_UNKNOWN] = "no such invitation here",
	[REFUSED_USED] = "the invitation was used already",
	[REFUSED_EXPIRED] = "the invitation has expired",
	[REFUSED_REVOKED] = "the invitation was revoked",
	[REFUSED_FAILURES] = "too many wrong attempts ended the invitation",
	[REFUSED_VOLUME] = "the invitation is of another volume",
	[REFUSED_VERSION] = "another version of the protocol",
	[REFUSED_REMOVED] = "this key was removed from the volume; join "
			    "with a new store",
	[REFUSED_FULL] = "the volume has no room for another member",
	[REFUSED_LOCAL] = "the inviting node cannot store it now; try again",
};

static int judge(struct link *l, const struct join_request *req)
{
	struct agent *a = l->agent;
	struct join_scene scene = { .inviter = a->identity->device,
				    .joiner = l->device };
	int r;

	if (req->version != JOIN_VERSION)
		return REFUSED_VERSION;
	if (!volid_equal(req->volume, tree_volume(a->tree)))
		return REFUSED_VOLUME;
	r = conn_export(l->conn, scene.exported);
	return r ? r : invites_use(a->store, sys_wall_ms(), req, &scene);
}

static int accept_joiner(struct link *l, const struct join_request *req,
			 struct buf *frame)
{
	struct agent *a = l->agent;
	struct join_result result = { .volume = tree_volume(a->tree) };
	int r = core_admit(a->core, sys_now_ms(), &l->device,
			   SLICE_STR(req->label), result.label,
			   &result.members);

	buf_put_slice(&result.addresses, buf_slice(&a->addresses));
	store_lock(a->store);
	bucket_secret(a->tree, result.secret);
	store_unlock(a->store);
	if (!r)
		r = joined_encode(&result, frame);
	if (!r)
		log_info("\"%s\" joined by invitation", result.label);
	join_result_release(&result);
	return r;
}

void agent_admit(struct link *l, struct slice frame)
{
	cleanup(buf_release) struct buf answer = BUF_INIT;
	struct reader reader = READER(frame.data, frame.len);
	struct join_request req;
	int r;

	if (reader_u8(&reader) != FRAME_JOIN || join_decode(&reader, &req)) {
		link_log_stranger(l, "garbled request to join");
		link_close(l, BYE_PROTOCOL, "a request to join was expected");
		return;
	}
	r = judge(l, &req);
	if (!r)
		r = accept_joiner(l, &req, &answer);
	if (r < 0) {
		log_errno(r, "admitting a new member");
		r = r == -EACCES ? REFUSED_REMOVED :
		    r == -E2BIG	 ? REFUSED_FULL :
				   REFUSED_LOCAL;
	} else if (r) {
		link_log_stranger(l, refusal_text[r]);
	}
	if (r && refused_encode((enum refusal)r, refusal_text[r], &answer))
		buf_reset(&answer);
	conn_send(l->conn, buf_slice(&answer));
	link_finish(l);
}
