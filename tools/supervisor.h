/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor of a mount: a small process that holds what a mount must
 * not lose when its daemon ends (the device, and the memory of
 * fs/front/handover.h), starts the daemon, and starts another one in its
 * place when it was killed or asks to be replaced (`kin restart`). Programs
 * that use the mount meanwhile wait for a moment.
 *
 * Daemon and supervisor talk over a socket pair, in datagrams of one process
 * image (the first daemon) or of two versions of kinfs (after an upgrade):
 *
 *	daemon      u32 version, u8 allow other, source (text)
 *	supervisor  i32 result, u32 version, u32 uid, u32 gid of the
 *		    mountpoint, why not (text); with the result 0 come the
 *		    device and the memory
 *
 * Without a supervisor (`kin mount --foreground`) the mount ends with its
 * daemon.
 */
#ifndef KINFS_TOOLS_SUPERVISOR_H
#define KINFS_TOOLS_SUPERVISOR_H

#include <sys/types.h>

#include "fs/base/bytes.h"
#include "fs/front/front.h"

/* The daemon's exit code: start another one in my place. */
#define EXIT_LEFT 75

/* ---- the daemon's side */

struct supervised {
	int device;
	struct handover *handover;
	uid_t uid;		/* of the directory that is mounted on */
	gid_t gid;
};

/* Asks for the mount: it is made if there was none. `why` as front_open(). */
must_check int supervised_mount(int socket, const struct front_options *,
				struct buf *why, struct supervised *ret);

/* ---- the supervisor's side */

struct supervisor {
	const char *mountpoint;
	/* Runs the first daemon in a child; returns its exit code. */
	int (*first)(void *arg, int socket);
	void *arg;
	/* The command of every later one, NULL-ended, but for argv[0]; the
	 * socket is behind --take-over. */
	char *const *argv;
	/* Called in the parent when the first one runs. */
	void (*started)(void *arg);
};

/* Returns the exit code of the mount: of the last daemon. */
int supervise(const struct supervisor *);

#endif
