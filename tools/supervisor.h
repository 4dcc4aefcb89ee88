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
 *	daemon      u32 version, u8 flags (supervisor.c), source (text)
 *	supervisor  i32 result, u32 version, u32 uid, u32 gid of the
 *		    mountpoint, why not (text); with the result 0 come the
 *		    device and the memory
 *	daemon      u32 version: it serves now
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

#define SUPERVISOR_SOCKET_ARG 3

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

/* It serves; what can go wrong now is not its beginning. */
must_check int supervised_serves(int socket);

/* ---- the supervisor's side */

/* While it lives it holds a lock (flock) of a file beside the control socket:
 * who finds nobody listening there knows by it that somebody will. */
#define SUPERVISOR_LOCK ".lock"

struct supervisor {
	const char *mountpoint;
	/* Runs the first daemon in a child; returns its exit code. */
	int (*first)(void *arg, int socket);
	void *arg;
	/* The command of every later one, NULL-ended. [0] is the program, and
	 * [SUPERVISOR_SOCKET_ARG] the number of the socket: both are set
	 * here. */
	char **argv;
	/* Seconds for a later one to serve; 0: as is usual. */
	unsigned int serve_s;
	/* Opens the log again, which the daemon may have put aside. */
	void (*reopen_log)(void *arg);
	/* Called in the parent when the first one runs. */
	void (*started)(void *arg);
};

/* Returns the exit code of the mount: of the last daemon. */
int supervise(const struct supervisor *);

#endif
