/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hooks folder of a node: which executables in it may be run.
 *
 * A hook is named by one component of [A-Za-z0-9._-], 1 to 64 bytes, that
 * does not begin with a dot. (A policy, which other nodes write, may name a
 * hook: so a name can never lead out of the folder, and a file that an
 * editor or a package manager left there has some other name.)
 *
 * It is run if nobody but root and this daemon's user can have written it:
 *  - the hook is a regular file of one of them, not writable by group or
 *    others, executable and readable;
 *  - the folder belongs to one of them and is not writable by group or
 *    others;
 *  - neither is any directory above it, but for sticky ones (/tmp), in which
 *    nobody else can rename what is not theirs;
 *  - none of these is in a volume of kinfs: what is there is this user's, and
 *    yet other nodes write it.
 *
 * A symbolic link is refused, wherever it points: the rules above are about
 * one folder, and a link would move the question of who may write to places
 * that nobody looks at when the folder is looked at. (The path of the folder
 * itself may lead through links; what they lead to is judged.)
 *
 * What was judged is what runs. The file is opened once, and judged by its
 * descriptor. A binary is executed by that descriptor. A script cannot be:
 * its interpreter opens it again, by name, and would have to inherit a
 * descriptor to open it by that. It is executed by its path, after a last
 * look whether that is still the same file. Between this look and the
 * interpreter's, only root and the daemon's user could exchange it, as they
 * could exchange the hook before: this is what the directories above are
 * judged for.
 *
 * Any thread. A message is a sentence that begins with "refused:" when it
 * says what is to be done before the hook is run.
 */
#ifndef KINFS_NET_HOOK_DIR_H
#define KINFS_NET_HOOK_DIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "fs/base/bytes.h"
#include "fs/base/macro.h"
#include "fs/tree/policy.h"

/* Entries of a folder that a list tells of; more is no folder of hooks. */
#define HOOKS_MAX 1000
/* Bytes of a head: what a person reads before the program. */
#define HOOK_HEAD_BYTES 16384

struct hook {
	int fd;			/* open for reading */
	char *path;		/* absolute, resolved */
	const char *name;	/* the end of path */
	bool script;		/* begins with "#!" */
	dev_t dev;
	ino_t ino;
};

#define HOOK_INIT ((struct hook){ .fd = -1 })

/* Makes the folder and what is missing above it, mode 0755: those whom a
 * hook runs as have to reach it. Errors: of the system. */
must_check int hook_folder_make(const char *folder);

/*
 * Opens and judges a hook of the folder. `why` receives a sentence on
 * failure. Errors: -EINVAL no name of a hook, -ENOENT there is no such hook
 * (or no folder), -EPERM refused, of the system.
 */
must_check int hook_open(const char *folder, const char *name,
			 struct buf *why, struct hook *ret);
void hook_close(struct hook *);

/*
 * Does it say that equal versions make it give equal bytes, on any node? By a
 * line "# kinfs: deterministic" in its head: the lines that begin with `#`,
 * and empty ones, before any other. (A binary says nothing.)
 */
bool hook_is_deterministic(const struct hook *);
bool hook_text_is_deterministic(struct slice text);

/*
 * Calls fn for each entry of the folder, in the order of their bytes; `why`
 * is NULL for what would be run, else a sentence. Names that begin with a dot
 * are left out. A negative result of fn ends it and is returned. `why` of the
 * call receives a sentence on failure. Errors: -ENOENT there is no folder,
 * -EPERM the folder is refused, -E2BIG it has too many entries, of the
 * system.
 */
must_check int hook_list(const char *folder, struct buf *why,
			 int (*fn)(void *arg, const char *name,
				   const char *why),
			 void *arg);

#endif
