/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks come before anything is made: a command that is refused leaves
 * no trace. Then the process forks; the child opens everything and reports
 * one line, so that every error reaches the user's terminal.
 */
#include "tools/mounting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/front/rings.h"
#include "fs/tree/object.h"
#include "tools/control_client.h"
#include "tools/daemonize.h"
#include "tools/mount_remove.h"
#include "tools/mount_served.h"
#include "tools/mounts.h"
#include "tools/node.h"
#include "tools/private_dir.h"
#include "tools/supervisor.h"

/* For a daemon to accept a connection. */
#define CONNECT_TIMEOUT_S 10

enum {
	OPTION_STORE = OPTION_FIRST,
	OPTION_LISTEN,
	OPTION_NAME,
	OPTION_PEER,
	OPTION_LAPSE,
	OPTION_HISTORY_DAYS,
	OPTION_HISTORY_SIZE,
	OPTION_ALLOW_OTHER,
	OPTION_SUID,
	OPTION_DEV,
	OPTION_FOREGROUND,
	OPTION_NO_SUPERVISOR,
	OPTION_IO_URING,
	OPTION_SAVE_POWER,
	OPTION_TAKE_OVER,
	OPTION_NO_RESEND,
	OPTION_SERVE_WITHIN,
};

const struct option mounting_options[] = {
	{ "store", required_argument, NULL, OPTION_STORE },
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "peer", required_argument, NULL, OPTION_PEER },
	{ "lapse-after", required_argument, NULL, OPTION_LAPSE },
	{ "history-days", required_argument, NULL, OPTION_HISTORY_DAYS },
	{ "history-size", required_argument, NULL, OPTION_HISTORY_SIZE },
	{ "allow-other", no_argument, NULL, OPTION_ALLOW_OTHER },
	{ "suid", no_argument, NULL, OPTION_SUID },
	{ "dev", no_argument, NULL, OPTION_DEV },
	{ "foreground", no_argument, NULL, OPTION_FOREGROUND },
	{ "no-supervisor", no_argument, NULL, OPTION_NO_SUPERVISOR },
	{ "io-uring", no_argument, NULL, OPTION_IO_URING },
	{ "save-power", no_argument, NULL, OPTION_SAVE_POWER },
	{ "take-over", required_argument, NULL, OPTION_TAKE_OVER },
	{ "no-resend", no_argument, NULL, OPTION_NO_RESEND },
	{ "serve-within", required_argument, NULL, OPTION_SERVE_WITHIN },
	{ NULL, 0, NULL, 0 },
};

static int check_label(const struct mounting *m, const char *option,
		       const char *label)
{
	if (label_is_valid(SLICE_STR(label)))
		return -1;
	return complain(m->command, EXIT_USAGE, "%s \"%s\": a label has 1 to "
			"%d letters, digits, '.', '_' or '-'; choose another",
			option, label, LABEL_BYTES_MAX);
}

static int parse_lapse(struct mounting *m, const char *text)
{
	char *end;
	unsigned long days;

	errno = 0;
	days = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || !days ||
	    days > LAPSE_DAYS_MAX)
		return complain(m->command, EXIT_USAGE, "--lapse-after "
				"\"%s\": is no number of days from 1 to %d",
				text, LAPSE_DAYS_MAX);
	m->lapse_days = (unsigned int)days;
	return -1;
}

static int parse_history_days(struct mounting *m, const char *text)
{
	char *end;
	unsigned long days;

	errno = 0;
	days = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' ||
	    days > LAPSE_DAYS_MAX)
		return complain(m->command, EXIT_USAGE, "--history-days "
				"\"%s\": is no number of days from 0 to %d",
				text, LAPSE_DAYS_MAX);
	m->keep.has_days = true;
	m->keep.days = (unsigned int)days;
	return -1;
}

/* "5%", or bytes with a unit. */
static int parse_history_size(struct mounting *m, const char *text)
{
	static const char units[] = "KMGT";
	struct history_keep *k = &m->keep;
	const char *unit;
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || end == text || text[0] == '-' ||
	    (*end && end[1]) || (*end && !unit && *end != '%') ||
	    (*end == '%' && (!n || n > 100)) ||
	    (unit && n > UINT64_MAX >> (10 * (unit - units + 1))))
		return complain(m->command, EXIT_USAGE, "--history-size "
				"\"%s\": is no size; for example 5%%, or 20G",
				text);
	k->has_size = true;
	k->percent = *end == '%' ? (unsigned int)n : 0;
	k->bytes = *end == '%' ? 0 :
		   unit ? (uint64_t)n << (10 * (unit - units + 1)) : n;
	return -1;
}

/* (the kernel would mount without it, and say nothing) */
static int check_root(const struct mounting *m, const char *option)
{
	if (geteuid() == 0)
		return -1;
	return complain(m->command, EXIT_USAGE, "%s: only root can; leave it "
			"out", option);
}

static int parse_one(struct mounting *m, int c)
{
	switch (c) {
	case OPTION_STORE:
		m->store = optarg;
		if (!*optarg)
			return complain(m->command, EXIT_USAGE, "--store: "
					"an empty name; name a directory");
		break;
	case OPTION_LISTEN:
		m->listen = optarg;
		if (!strchr(optarg, ':'))
			return complain(m->command, EXIT_USAGE, "--listen "
					"\"%s\": is not ADDR:PORT; for "
					"example 0.0.0.0:4747", optarg);
		break;
	case OPTION_NAME:
		m->label = optarg;
		return check_label(m, "--name", optarg);
	case OPTION_PEER:
		if (m->peer_count == PEERS_MAX)
			return complain(m->command, EXIT_USAGE, "--peer: more "
					"than %d of them", PEERS_MAX);
		m->peers[m->peer_count++] = optarg;
		return check_label(m, "--peer", optarg);
	case OPTION_LAPSE:
		return parse_lapse(m, optarg);
	case OPTION_HISTORY_DAYS:
		return parse_history_days(m, optarg);
	case OPTION_HISTORY_SIZE:
		return parse_history_size(m, optarg);
	case OPTION_ALLOW_OTHER:
		m->allow_other = true;
		break;
	case OPTION_SUID:
		m->suid = true;
		return check_root(m, "--suid");
	case OPTION_DEV:
		m->dev = true;
		return check_root(m, "--dev");
	case OPTION_FOREGROUND:
		m->foreground = true;
		break;
	case OPTION_NO_SUPERVISOR:
		m->no_supervisor = true;
		break;
	case OPTION_IO_URING:	/* (the kernel asks nobody twice by it) */
		m->io_uring = m->no_supervisor = true;
		break;
	case OPTION_SAVE_POWER:
		m->save_power = true;
		break;
	case OPTION_TAKE_OVER:
		m->take_over = atoi(optarg);
		break;
	case OPTION_NO_RESEND: /* for tests, as are mounts of old kernels */
		m->no_resend = true;
		break;
	case OPTION_SERVE_WITHIN: /* for tests */
		m->serve_s = (unsigned int)atoi(optarg);
		break;
	}
	return -1;
}

int mounting_parse(struct mounting *m, struct cmdline *line)
{
	int c;

	*m = (struct mounting){ .command = line->argv[0], .take_over = -1 };
	while ((c = cmdline_next(line)) >= 0) {
		int r = parse_one(m, c);

		if (r >= 0)
			return r;
	}
	return c == CMDLINE_END ? -1 : cmdline_exit(c);
}

/* The short host name, made a valid label. */
static void default_label(char ret[LABEL_BYTES_MAX + 1])
{
	char host[LABEL_BYTES_MAX + 1] = "";
	char *c;

	/* A longer name comes without a NUL, and is cut. */
	(void)gethostname(host, sizeof(host));
	host[LABEL_BYTES_MAX] = '\0';
	host[strcspn(host, ".")] = '\0';
	for (c = host; *c; c++)
		if (!label_is_valid(SLICE(c, 1)))
			*c = '-';
	strcpy(ret, label_is_valid(SLICE_STR(host)) ? host : "node");
}

/* ---- the mountpoint */

/* After kill -9, or a crash: what was mounted here serves nobody. */
static int clean_up_dead(const struct mounting *m,
			 const struct mount_entry *e, const char *socket)
{
	int r = mount_remove(e->at, true);

	if (r < 0)
		return complain(m->command, EXIT_FAILED, "%s: the mount of a "
				"daemon that died is there, and does not go: "
				"%s; try `kin unmount %s`", e->at,
				strerror(-r), e->at);
	unlink(socket);
	fprintf(stderr, "kin %s: %s: its daemon had died; cleaned up\n",
		m->command, e->at);
	return EXIT_OK;
}

/* The path is where a mount is already, or in one. EXIT_OK: not any more. */
static int check_mounted(const struct mounting *m,
			 const struct mount_entry *e, const char *path)
{
	autofree char *socket = mount_socket_of(e);
	autoclose int fd = -1;
	pid_t pid;
	int r = socket ? mount_connect(socket, CONNECT_TIMEOUT_S, &fd,
				       &pid) : -ENOMEM;

	if ((r == -ECONNREFUSED || r == -ENOENT) && !strcmp(e->at, path))
		return clean_up_dead(m, e, socket);
	if (r == -ECONNREFUSED || r == -ENOENT)
		return complain(m->command, EXIT_FAILED, "%s: is inside the "
				"mount of a daemon that died; `kin unmount "
				"%s` cleans up", path, e->at);
	if (!strcmp(e->at, path))
		return complain(m->command, EXIT_FAILED, "%s: kinfs is mounted "
				"there already; `kin status %s` shows it, "
				"`kin unmount` ends it", path, path);
	return complain(m->command, EXIT_FAILED, "%s: is inside the kinfs "
			"mount at %s; choose a directory outside", path,
			e->at);
}

static int check_empty_directory(const struct mounting *m, const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : dir_is_empty(fd);

	if (r == -ENOTDIR)
		return complain(m->command, EXIT_FAILED, "%s: is not a "
				"directory; name one that is empty", path);
	if (r == -ENOENT)
		return complain(m->command, EXIT_FAILED, "%s: there is no such "
				"directory; `mkdir` it first", path);
	if (r < 0)
		return complain(m->command, EXIT_FAILED, "%s: %s", path,
				strerror(-r));
	if (r == 0)
		return complain(m->command, EXIT_FAILED, "%s: is not empty; "
				"mount on an empty directory, then move the "
				"files into it", path);
	return EXIT_OK;
}

/* Before anything is made: else a volume would be left that nobody sees. */
static int check_fuse(const struct mounting *m)
{
	struct stat st;
	int fd;

	if (stat("/dev/fuse", &st) < 0 || !S_ISCHR(st.st_mode))
		return complain(m->command, EXIT_FAILED, "/dev/fuse: is not "
				"there; `modprobe fuse`, or give it to the "
				"container (--device /dev/fuse)");
	/* Without root fusermount3 opens it. */
	if (geteuid() != 0)
		return EXIT_OK;
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return complain(m->command, EXIT_FAILED, "/dev/fuse: %s; load "
				"the module (`modprobe fuse`), or allow it to "
				"the container (--device /dev/fuse)",
				strerror(errno));
	close(fd);
	return EXIT_OK;
}

static int check_io_uring(const struct mounting *m)
{
	cleanup(buf_release) struct buf why = BUF_INIT;

	if (!m->io_uring || rings_check(&why) == 0)
		return EXIT_OK;
	return complain(m->command, EXIT_FAILED, "%.*s", (int)why.len,
			(const char *)why.data);
}

static int check_mountpoint(const struct mounting *m, const char *path,
			    char **ret)
{
	autofree char *resolved = NULL;
	struct mounts mounts cleanup(mounts_release) = { NULL, 0 };
	const struct mount_entry *e;
	int r = mounts_load(&mounts);

	if (r == 0)
		r = path_resolve(&mounts, path, &resolved);
	if (r < 0)
		return complain(m->command, EXIT_FAILED, "%s: %s", path,
				strerror(-r));
	e = mounts_find(&mounts, resolved);
	r = mount_is_kinfs(e) ? check_mounted(m, e, resolved) : EXIT_OK;
	if (r == EXIT_OK)
		r = check_empty_directory(m, resolved);
	if (r == EXIT_OK)
		r = check_fuse(m);
	if (r == EXIT_OK)
		r = check_io_uring(m);
	if (r == EXIT_OK)
		*ret = steal(&resolved);
	return r;
}

/* A store in the mount would wait for itself; one in another volume would
 * be replicated. */
static int check_store(const struct mounting *m,
		       const struct volume_place *place)
{
	autofree char *resolved = NULL;
	struct mounts mounts cleanup(mounts_release) = { NULL, 0 };
	int r = mounts_load(&mounts);

	if (r == 0)
		r = path_resolve(&mounts, place->store, &resolved);
	if (r < 0)
		return complain(m->command, EXIT_FAILED, "%s: %s",
				place->store, strerror(-r));
	if (mount_is_kinfs(mounts_find(&mounts, resolved)) ||
	    path_below(resolved, place->mountpoint))
		return complain(m->command, EXIT_FAILED, "%s: the store may "
				"not be inside a kinfs mount; choose a "
				"--store outside", resolved);
	if (path_below(place->mountpoint, resolved))
		return complain(m->command, EXIT_FAILED, "%s: the mountpoint "
				"may not be inside the store; choose another",
				place->mountpoint);
	return EXIT_OK;
}

/* ---- running */

static int report_failure(const struct mounting *m, struct daemon *d,
			  struct buf *why)
{
	const char *text;

	buf_put_u8(why, 0);
	text = (const char *)why->data;
	if (d->report_fd < 0)
		return complain(m->command, EXIT_FAILED, "%s", text);
	if (d->has_log)
		log_error("%s", text);
	(void)daemon_report(d, EXIT_FAILED, text);
	return EXIT_FAILED;
}

/* The directory of the store, and the log in it. */
static int prepare(struct volume_place *place, struct daemon *d,
		   struct buf *why)
{
	int r;

	umask(077);
	r = volume_place_make(place, why);
	if (r == 0 && d->report_fd >= 0)
		r = daemon_log(d, place->store);
	if (r < 0 && !why->len)
		buf_printf(why, "%s: %s", place->store, strerror(-r));
	return r;
}

/* The daemon; with the socket of its supervisor, or -1. */
static int serve(const struct mounting *m, const struct volume_place *place,
		 const struct invite_code *code, struct daemon *d, int socket)
{
	struct buf why cleanup(buf_release) = BUF_INIT;
	struct buf about cleanup(buf_release) = BUF_INIT;
	char label[LABEL_BYTES_MAX + 1];
	struct node_options options = {
		.place = place,
		.supervisor = socket,
		.goes_on = m->take_over >= 0,
		.listen = m->listen,
		.lapse_days = m->lapse_days,
		.keep = m->keep,
		.label = m->label,
		.label_default = label,
		.allow_other = m->allow_other,
		.suid = m->suid,
		.dev = m->dev,
		.no_resend = m->no_resend,
		.io_uring = m->io_uring,
		.save_power = m->save_power,
		.only_peers = m->peer_count ? m->peers : NULL,
		.code = code,
	};
	struct node *node;
	bool left;
	int r;

	default_label(label);
	r = node_open(&options, &why, &node);
	if (r < 0) {
		if (!why.len)
			buf_printf(&why, "%s: %s", place->store, strerror(-r));
		return report_failure(m, d, &why);
	}
	node_describe(node, &about);
	log_info("\"%s\" %s: %.*s", place->mountpoint,
		 m->take_over >= 0 ? "taken over" : "mounted", (int)about.len,
		 (const char *)about.data);
	buf_put_u8(&about, 0);
	/* Whoever asked for this mount is gone: then it is not wanted. */
	r = daemon_report(d, EXIT_OK, (const char *)about.data);
	if (r == 0)
		r = node_run(node);
	if (r < 0)
		log_errno(r, "\"%s\"", place->mountpoint);
	left = node_leaves(node);
	if (node_close(node) < 0)
		r = -EIO;
	log_info("\"%s\" %s", place->mountpoint,
		 left ? "is left to another daemon" : "unmounted");
	/* Threads of ours may be inside the mount until the next daemon
	 * answers, and it comes when this one is gone: nothing that ends a
	 * process may wait for them (the sanitizers do). */
	if (left)
		_exit(EXIT_LEFT);
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

static int serve_alone(const struct mounting *m, struct volume_place *place,
		       const struct invite_code *code, struct daemon *d)
{
	struct buf why cleanup(buf_release) = BUF_INIT;

	if (prepare(place, d, &why) < 0)
		return report_failure(m, d, &why);
	return serve(m, place, code, d, -1);
}

/* ---- supervised */

struct first {
	const struct mounting *m;
	const struct volume_place *place;
	const struct invite_code *code;
	struct daemon *d;
};

static int first_run(void *arg, int socket)
{
	const struct first *f = arg;

	return serve(f->m, f->place, f->code, f->d, socket);
}

/* The report is the daemon's: its end is seen when all have closed it. */
static void first_started(void *arg)
{
	const struct first *f = arg;

	close(f->d->report_fd);
	f->d->report_fd = -1;
}

/* It may be kin.log.1 by now. */
static void first_reopen_log(void *arg)
{
	const struct first *f = arg;

	if (f->d->has_log && daemon_log(f->d, f->place->store) < 0)
		log_warn("'%s': its log cannot be opened again",
			 f->place->store);
}

/* What a daemon that takes over has to be told; the rest the store knows. */
#define TAKE_OVER_ARGS (11 + 2 * PEERS_MAX)

static int serve_supervised(const struct mounting *m,
			    struct volume_place *place,
			    const struct invite_code *code, struct daemon *d)
{
	struct buf why cleanup(buf_release) = BUF_INIT;
	struct first first = { m, place, code, d };
	const char *argv[TAKE_OVER_ARGS] = { "", "mount", "--take-over", "" };
	size_t n = SUPERVISOR_SOCKET_ARG + 1;

	if (prepare(place, d, &why) < 0)
		return report_failure(m, d, &why);
	argv[n++] = "--store";
	argv[n++] = place->store;
	if (m->listen) {
		argv[n++] = "--listen";
		argv[n++] = m->listen;
	}
	if (m->save_power)
		argv[n++] = "--save-power";
	for (size_t k = 0; k < m->peer_count; k++) {
		argv[n++] = "--peer";
		argv[n++] = m->peers[k];
	}
	argv[n++] = place->mountpoint;
	argv[n] = NULL;
	return supervise(&(struct supervisor){
		.mountpoint = place->mountpoint,
		.first = first_run,
		.arg = &first,
		.argv = (char **)argv,
		.serve_s = m->serve_s,
		.started = first_started,
		.reopen_log = first_reopen_log,
	});
}

/* What is mounted there is not to be touched: it does not answer yet. */
static int take_over(const struct mounting *m, const char *mountpoint)
{
	struct daemon d = { .report_fd = -1, .has_log = true };
	struct volume_place place = {
		.mountpoint = strdup(mountpoint),
		.store = m->store ? strdup(m->store) : NULL,
		.known = true,
	};
	int r = EXIT_FAILED;

	umask(077);
	if (fcntl(m->take_over, F_SETFD, FD_CLOEXEC) < 0)
		r = complain(m->command, EXIT_USAGE, "--take-over: is for its "
			     "supervisor only");
	/* (the inherited one may have been put aside) */
	else if (place.mountpoint && place.store &&
		 daemon_log(&d, place.store) == 0)
		r = serve(m, &place, NULL, &d, m->take_over);
	volume_place_release(&place);
	return r;
}

/* The mount answers when it says what it is; blocks until then. */
static int mount_answers(const char *mountpoint)
{
	struct mounts mounts;
	struct stat st;
	bool ours;
	int r = mounts_load(&mounts);

	if (r < 0)
		return r;
	ours = mount_is_kinfs(mounts_find(&mounts, mountpoint));
	mounts_release(&mounts);
	if (!ours)
		return -ENOTCONN;
	return stat(mountpoint, &st) < 0 ? -errno : 0;
}

static int await(const struct mounting *m, const struct volume_place *place,
		 struct daemon *d)
{
	char text[4096];
	int r, code = daemon_await(d, text, sizeof(text));

	if (code != EXIT_OK)
		return text[0] ? complain(m->command, code, "%s", text) :
				 complain(m->command, code, "%s: the daemon "
					  "died while it started; see "
					  "%s/kin.log", place->mountpoint,
					  place->store);
	r = mount_answers(place->mountpoint);
	if (r < 0)
		return complain(m->command, EXIT_FAILED, "%s: the mount does "
				"not answer: %s; see %s/kin.log",
				place->mountpoint, strerror(-r),
				place->store);
	printf("%s: mounted, %s\n", place->mountpoint, text);
	return EXIT_OK;
}

static int mount_at(const struct mounting *m, struct volume_place *place,
		    const struct invite_code *code)
{
	struct daemon d = { .report_fd = -1 };
	enum daemon_side side = DAEMON_CHILD;
	int r = check_store(m, place);

	if (r != EXIT_OK)
		return r;
	if (m->foreground)
		return serve_alone(m, place, code, &d);
	r = daemon_fork(&d, &side);
	if (r < 0 && side == DAEMON_PARENT)
		return complain(m->command, EXIT_FAILED, "fork: %s",
				strerror(-r));
	if (side == DAEMON_PARENT)
		return await(m, place, &d);
	if (r < 0) {
		(void)daemon_report(&d, EXIT_FAILED, strerror(-r));
		return EXIT_FAILED;
	}
	return m->no_supervisor ? serve_alone(m, place, code, &d) :
				  serve_supervised(m, place, code, &d);
}

int mounting_run(const struct mounting *m, const char *mountpoint,
		 const struct invite_code *code)
{
	autofree char *resolved = NULL;
	struct volume_place place;
	struct buf why = BUF_INIT;
	int r;

	if (m->take_over >= 0)
		return take_over(m, mountpoint);
	r = check_mountpoint(m, mountpoint, &resolved);
	if (r != EXIT_OK)
		return r;
	r = volume_place_find(resolved, m->store,
			      code ? VOLUME_JOIN : VOLUME_MOUNT, &why, &place);
	if (r < 0) {
		if (!why.len)
			buf_printf(&why, "%s", strerror(-r));
		buf_put_u8(&why, 0);
		complain(m->command, EXIT_FAILED, "%s",
			 (const char *)why.data);
		buf_release(&why);
		return EXIT_FAILED;
	}
	r = mount_at(m, &place, code);
	volume_place_release(&place);
	return r;
}
