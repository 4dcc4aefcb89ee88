/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are kept.
 *
 *	data     $XDG_DATA_HOME/kinfs, else ~/.local/share/kinfs;
 *		 root without the variable: /var/lib/kinfs
 *	stores   DATA/<mountpoint, escaped as systemd-escape --path does>
 *	index    DATA/.mounts/<escaped mountpoint>: a symlink to the store
 *		 that was mounted there last, wherever it is
 *	cookies  DATA/.cookies/<16 hex digits of the hash of the node's key>:
 *		 by which a store is known for a copy (fs/store/cookie.h)
 *	hooks    $XDG_CONFIG_HOME/kinfs/hooks/<escaped mountpoint>, else the
 *		 same below ~/.config; root without the variable: below
 *		 /etc/kinfs, since hooks that run as somebody else have to
 *		 be reached by them
 *	sockets  $XDG_RUNTIME_DIR/kinfs/<16 hex digits of the store path's
 *		 hash>.sock; root without the variable: /run/kinfs; without
 *		 either: `control.sock` in the store
 *
 * The index is what keeps a promise: a mountpoint that is known to belong
 * to a volume is never silently given a new one.
 */
#ifndef KINFS_TOOLS_VOLUME_PATHS_H
#define KINFS_TOOLS_VOLUME_PATHS_H

#include <stdbool.h>

#include "fs/base/bytes.h"
#include "fs/base/macro.h"

/* Says "mount" may make a volume; "join" always makes one. */
enum volume_use { VOLUME_MOUNT, VOLUME_JOIN };

struct volume_place {
	char *mountpoint;	/* absolute, resolved */
	char *store;		/* absolute; resolved if it exists */
	/* The mountpoint belongs to this store: it must hold a volume. */
	bool known;
	/* The store's directory was made, or was empty, when it was opened:
	 * all that is in it is ours. */
	bool made, fresh;
};

void volume_place_release(struct volume_place *);
/*
 * Finds the store for a mountpoint; `option` is what --store said, or NULL.
 * Makes nothing. `why` receives a sentence on failure. Errors: -EPERM,
 * -ENOENT the known store is gone, -EEXIST, -EINVAL, of the system.
 */
must_check int volume_place_find(const char *mountpoint, const char *option,
				 enum volume_use, struct buf *why,
				 struct volume_place *ret);
/* Makes the store directory if it is missing. */
must_check int volume_place_make(struct volume_place *, struct buf *why);
/* Notes in the index that the mountpoint belongs to the store. */
must_check int volume_place_remember(const struct volume_place *,
				     struct buf *why);
/* Leaves nothing behind of a store that is fresh; else does nothing. */
void volume_place_undo(const struct volume_place *);
/* The control socket's path; makes the directory that it stands in. */
must_check int volume_place_socket(const struct volume_place *,
				   struct buf *why, char **ret);
/* Where it is noted that the store failed (fs/store/distrust.h). The same. */
must_check int volume_place_distrust(const struct volume_place *,
				     struct buf *why, char **ret);

/* Where the cookie of the node with this key is kept; makes the directory. */
must_check int volume_place_cookie(struct slice key, struct buf *why,
				   char **ret);

/* Where the hooks of the node are; makes nothing. */
must_check int volume_place_hooks(const struct volume_place *,
				  struct buf *why, char **ret);

/* As systemd-escape --path; ret has 4 * strlen(path) + 2 bytes. */
void path_escape(const char *path, char *ret);

#endif
