/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/wires.h"

#define PATH_BYTES 600

static void backup_dir(const struct node *n, char ret[PATH_BYTES])
{
	snprintf(ret, PATH_BYTES, "%s.backup", n->dir);
}

static bool copy_file(const char *from, const char *to)
{
	autoclose int in = open(from, O_RDONLY | O_CLOEXEC);
	autoclose int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				 0600);
	struct stat st;

	if (in < 0 || out < 0 || fstat(in, &st) < 0)
		return false;
	while (st.st_size > 0) {
		ssize_t sent = sendfile(out, in, NULL, (size_t)st.st_size);

		if (sent <= 0)
			return false;
		st.st_size -= sent;
	}
	return true;
}

/* A store has files, and directories of files. */
static bool each_entry(const char *from, const char *to, int depth,
		       bool (*file)(const char *from, const char *to),
		       bool (*dir)(const char *from, const char *to))
{
	DIR *d = opendir(from);
	struct dirent *e;
	bool ok = true;

	if (!d)
		return false;
	while (ok && (e = readdir(d))) {
		char a[PATH_BYTES], b[PATH_BYTES];

		if (e->d_name[0] == '.')
			continue;
		ok = snprintf(a, sizeof(a), "%s/%s", from, e->d_name) <
			     PATH_BYTES &&
		     snprintf(b, sizeof(b), "%s/%s", to, e->d_name) <
			     PATH_BYTES;
		if (ok && e->d_type == DT_DIR && depth)
			ok = dir(a, b) &&
			     each_entry(a, b, depth - 1, file, dir);
		else if (ok)
			ok = file(a, b);
	}
	closedir(d);
	return ok;
}

static bool make_dir(const char *from, const char *to)
{
	(void)from;
	return mkdir(to, 0700) == 0 || errno == EEXIST;
}

static bool keep_dir(const char *from, const char *to)
{
	(void)from;
	(void)to;
	return true;
}

static bool remove_file(const char *from, const char *to)
{
	(void)to;
	return unlink(from) == 0;
}

static bool copy_store(const char *from, const char *to)
{
	if (access(to, F_OK) == 0 &&
	    !each_entry(to, to, 1, remove_file, keep_dir))
		return false;
	return make_dir(from, to) &&
	       each_entry(from, to, 1, copy_file, make_dir);
}

void node_stop(struct node *n, uint64_t away_ms)
{
	struct cluster *c = n->cluster;

	cluster_say(c, "node %d stops", n->index);
	n->running = false;
	if (c->on_kill)
		c->on_kill(c->on_change_arg, n);
	core_free(n->core);
	if (tree_stop(n->tree) < 0)
		cluster_fail(c, "node %d does not stop", n->index);
	tree_close(n->tree);
	if (store_close(n->store) < 0)
		cluster_fail(c, "the store of node %d does not close",
			     n->index);
	n->core = NULL;
	n->tree = NULL;
	n->store = NULL;
	n->start_ms = c->now_ms + away_ms;
	for (int i = 0; i < c->node_count; i++)
		if (i != n->index)
			wire_down(c, cluster_wire(c, i, n->index));
}

void node_back_up(struct node *n)
{
	char to[PATH_BYTES];

	/* (Of a store in use, a copy is good of what is committed; see
	 * fs/tree/fork.h.) */
	if (n->running && store_commit(n->store) < 0)
		cluster_fail(n->cluster, "node %d cannot commit", n->index);
	backup_dir(n, to);
	if (!copy_store(n->dir, to))
		cluster_fail(n->cluster, "cannot copy the store of node %d",
			     n->index);
	n->backup_ms = n->cluster->now_ms;
	cluster_say(n->cluster, "node %d is backed up", n->index);
}

bool node_has_backup(const struct node *n)
{
	return n->backup_ms;
}

bool node_copy_store(const struct node *from, const struct node *to)
{
	return copy_store(from->dir, to->dir);
}

void node_bring_back(struct node *n)
{
	char from[PATH_BYTES];

	backup_dir(n, from);
	if (!copy_store(from, n->dir))
		cluster_fail(n->cluster, "cannot restore node %d", n->index);
	cluster_say(n->cluster, "node %d is restored", n->index);
	disk_replaced(&n->disk);
	n->restored = true;
	n->cluster->restores++;
}
