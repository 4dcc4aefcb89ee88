/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of the processes of hook_child.h: starts the guard,
 * collects what the hook says, and waits until all of it has ended.
 */
#ifndef KINFS_NET_HOOK_WATCH_H
#define KINFS_NET_HOOK_WATCH_H

#include "replication/net/hook_child.h"

struct hook_end {
	unsigned int spaces;
	bool failed;		/* it never ran: */
	enum hook_stage stage;
	int error;		/* an errno value, positive */
	bool timed_out, too_many, survivors;
	bool exited;		/* status is as wait(2) says */
	int status;
};

/*
 * Blocks until everything has ended. Fills in the descriptors of the child
 * but exec_fd; out, err and their cut flags of the outcome. Ends it all when
 * cancel_fd can be read. All signals are to be blocked in this thread.
 * Errors: of the system; then nothing was started.
 */
must_check int hook_watch(struct hook_child *, int cancel_fd,
			  struct hook_outcome *, struct hook_end *ret);

#endif
