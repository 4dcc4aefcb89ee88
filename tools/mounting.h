/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `kin mount` and `kin join` have in common: their options, the checks
 * of a mountpoint, and the way to a running daemon.
 */
#ifndef KINFS_TOOLS_MOUNTING_H
#define KINFS_TOOLS_MOUNTING_H

#include <stdbool.h>

#include "replication/net/agent.h"
#include "replication/net/invite.h"
#include "tools/command.h"

/* Members that --peer may name: more is no restriction worth typing. */
#define PEERS_MAX 64
/* Longer than anybody keeps a laptop. */
#define LAPSE_DAYS_MAX 36500

struct mounting {
	const char *command;
	const char *store, *listen, *label;	/* or NULL */
	bool foreground, allow_other, no_supervisor, suid, dev,
		no_resend, io_uring, save_power;
	/* The socket of a supervisor whose mount is to be taken over, or
	 * -1. Not for users: supervisor.c says it. */
	int take_over;
	unsigned int lapse_days;	/* or 0 */
	unsigned int serve_s;		/* supervisor.h; or 0 */
	struct history_keep keep;
	const char *peers[PEERS_MAX + 1];	/* NULL-ended */
	size_t peer_count;
};

extern const struct option mounting_options[];
/* The part of --help about them. */
#define MOUNTING_HELP \
"  --store DIR          where the data is kept; default: a directory of\n" \
"                       the mountpoint's name in $XDG_DATA_HOME/kinfs\n" \
"                       (root: /var/lib/kinfs)\n" \
"  --listen ADDR:PORT   where peers find this node; default: any free port\n" \
"                       on all addresses, the same one again each time\n" \
"  --name LABEL         what this node is called; default: the host's name\n" \
"  --peer LABEL         exchange only with this member; may be repeated\n" \
"  --lapse-after DAYS   no longer keep what was removed for a member that\n" \
"                       was silent while others were heard so long;\n" \
"                       remembered, default 180\n" \
"  --history-days DAYS  how long old versions and removed files are kept here,\n" \
"                       0: not at all; remembered, default 30\n" \
"  --history-size SIZE  how much of that at most, in bytes (K, M, G, T) or in\n" \
"                       percent of the disk: 5%; remembered, default 5%\n" \
"  --allow-other        let other users in, as far as permissions go\n" \
"  --suid, --dev        root only: set-id programs and device nodes work in\n" \
"                       this mount, whichever node they came from\n" \
"  --no-supervisor      if the daemon is killed, nobody takes its place: the\n" \
"                       mount is dead then\n" \
"  --io-uring           faster where many small files are made, changed\n" \
"                       and removed, if the kernel has it for FUSE (Linux\n" \
"                       6.14, switched on); without a supervisor\n" \
"  --save-power         processors may sleep deeply while much is asked; a\n" \
"                       mount by root keeps them from it, and is faster\n" \
"  --foreground         do not become a daemon; log to standard error;\n" \
"                       without a supervisor\n"

/*
 * Reads all options. Returns -1 if it is to go on, else an exit_code.
 */
int mounting_parse(struct mounting *, struct cmdline *);
/*
 * Mounts, joining by the code first if there is one; returns an exit_code
 * when the mount answers, or in the foreground when it ended.
 */
int mounting_run(const struct mounting *, const char *mountpoint,
		 const struct invite_code *code);

#endif
