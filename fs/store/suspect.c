/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the tables before they are opened. The mark of a crash goes
 * when the file was found sound: then the crash had another reason.
 */
#include "fs/store/suspect.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/pages.h"

struct first_fault {
	uint64_t page;
	const char *table, *what;
};

static void note_first(void *arg, const struct pages_fault *f)
{
	struct first_fault *first = arg;

	if (!first->what)
		*first = (struct first_fault){f->page, f->table, f->what};
}

int suspect_look(int dirfd, const char *path, bool keep, struct buf *why)
{
	struct first_fault first = {0};
	struct pages_ops ops = {.fault = note_first, .arg = &first};
	struct pages_result found;
	autoclose int fd = -1;
	struct stat st;
	bool suspect = !faccessat(dirfd, SUSPECT_NAME, F_OK, 0);
	int r;

	fd = openat(dirfd, "db", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!suspect && st.st_size > SUSPECT_ALWAYS_BYTES)
		return 0;
	if (suspect && !keep)
		log_warn("store '%s': the last process that had it open crashed: "
			 "its tables are looked at before they are used", path);
	r = pages_walk(fd, -1, &ops, &found);
	if (r)
		return r;
	if (found.faults && why)
		buf_printf(why, "store '%s': the tables are damaged (page "
			   "%llu, of '%s', %s): `kin check` says what is lost",
			   path,
			   (unsigned long long)first.page, first.table,
			   first.what);
	if (found.faults)
		return -EUCLEAN;
	if (suspect && !keep && unlinkat(dirfd, SUSPECT_NAME, 0) < 0)
		return -errno;
	return 0;
}
