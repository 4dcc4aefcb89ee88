/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of opening: store, (joining), tree, mount, agent, threads. The mount
 * comes before the agent because the kernel must be told of what peers
 * send; nothing is served before node_run().
 *
 * Order of closing: the mount goes, so that nothing is written any more;
 * what was written becomes versions; the agent sends them and ends; then
 * tree and store are closed. Where another daemon goes on with the mount it
 * does not go, and files stay open, so there is nothing to make a version of.
 */
#include "tools/node.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/front/awake.h"
#include "fs/front/front.h"
#include "fs/front/handover.h"
#include "fs/store/cookie.h"
#include "fs/store/store.h"
#include "fs/tree/replica.h"
#include "replication/core/core.h"
#include "replication/net/agent.h"
#include "tools/crash.h"
#include "tools/housekeeping.h"
#include "tools/mounts.h"
#include "tools/mount_remove.h"
#include "tools/reclaimer.h"
#include "tools/supervisor.h"
#include "tools/wiring.h"

struct node {
	char *store_path;
	struct tree_env env;
	struct store *store;
	struct tree *tree;
	struct identity identity;
	bool has_identity;
	char *socket_path, *hooks_folder;
	uid_t owner_uid;	/* of the mountpoint: hooks run as that */
	gid_t owner_gid;
	struct supervised mount;	/* if there is a supervisor */
	int supervisor;			/* its socket */
	const char *mountpoint;		/* then; borrowed */
	struct wiring wiring;
	struct housekeeping housekeeping;
	struct reclaimer reclaimer;
	pthread_t signal_thread;
	bool signals_started;
};

/* ---- where time and chance come from */

static int64_t env_now_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint64_t env_monotonic_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void env_random(void *arg, void *ret, size_t len)
{
	uint8_t *to = ret;

	(void)arg;
	while (len) {
		ssize_t n = getrandom(to, len, 0);

		if (n < 0) {
			kin_assert(errno == EINTR);
			continue;
		}
		to += n;
		len -= (size_t)n;
	}
}

static void env_init(struct tree_env *env)
{
	*env = (struct tree_env){
		.now_ns = env_now_ns,
		.monotonic_ns = env_monotonic_ns,
		.random = env_random,
		.uid_of = idmap_uid,
		.gid_of = idmap_gid,
	};
}

/* ---- signals */

static void signals_of_ours(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	/* Only to wake the thread at the end. */
	sigaddset(set, SIGUSR1);
}

static void *signals_run(void *arg)
{
	struct node *node = arg;
	sigset_t set;
	int signal;

	signals_of_ours(&set);
	while (sigwait(&set, &signal) == 0 && signal != SIGUSR1) {
		log_info("ending after signal %d", signal);
		wiring_stop(&node->wiring);
	}
	return NULL;
}

/* Before any thread exists: all inherit the mask. */
static void signals_block(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	signals_of_ours(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static int signals_start(struct node *node)
{
	int r = pthread_create(&node->signal_thread, NULL, signals_run, node);

	if (r)
		return -r;
	node->signals_started = true;
	return 0;
}

static void signals_stop(struct node *node)
{
	if (!node->signals_started)
		return;
	pthread_kill(node->signal_thread, SIGUSR1);
	pthread_join(node->signal_thread, NULL);
	node->signals_started = false;
}

/* ---- opening */

static int sentence(struct buf *why, int r, const char *what)
{
	if (r < 0 && !why->len)
		buf_printf(why, "%s: %s", what, strerror(-r));
	return r;
}

/* A daemon that was just killed holds the store until the kernel has taken
 * it apart. */
#define STORE_BUSY_MS 2000
#define STORE_RETRY_MS 20

static int open_patiently(const struct store_options *so, struct buf *why,
			  struct store **ret)
{
	struct timespec pause = { .tv_nsec = STORE_RETRY_MS * 1000000L };
	int r;

	for (int ms = 0;; ms += STORE_RETRY_MS) {
		buf_reset(why);
		r = store_open(so, why, ret);
		if (r != -EBUSY || ms >= STORE_BUSY_MS)
			return r;
		nanosleep(&pause, NULL);
	}
}

static int open_store(struct node *node, const struct node_options *options,
		      struct buf *why)
{
	struct store_options so = { .path = node->store_path,
				    .must_exist = options->place->known,
				    .threads = true };
	autofree char *distrust = NULL;
	int r = volume_place_distrust(options->place, why, &distrust);

	so.distrust = distrust;
	if (r == 0)
		r = open_patiently(&so, why, &node->store);
	r = sentence(why, r, node->store_path);
	if (r == 0)
		r = sentence(why, crash_watch(node->store_path),
			     node->store_path);
	if (r < 0)
		return r;
	if (options->code && tree_exists(node->store)) {
		buf_printf(why, "%s: holds a volume already; name another "
			   "place with --store", node->store_path);
		return -EEXIST;
	}
	if (options->place->known && !tree_exists(node->store)) {
		buf_printf(why, "%s: the store of %s holds no volume any "
			   "more; bring it back", node->store_path,
			   options->place->mountpoint);
		return -ENOENT;
	}
	r = sentence(why, identity_open(node->store_path, why,
					&node->identity), node->store_path);
	node->has_identity = r == 0;
	return r;
}

static int open_tree(struct node *node, struct volid volume,
		     const char *label, const uint8_t *secret, bool goes_on,
		     struct buf *why)
{
	char user[PRINCIPAL_BYTES_MAX], group[PRINCIPAL_BYTES_MAX];
	struct tree_options to = {
		.store = node->store,
		.env = &node->env,
		.volume = volume,
		.user = idmap_user(geteuid(), user),
		.group = idmap_group(getegid(), group),
		.root_perm = 0755,
		.label = SLICE_STR(label),
		.secret = secret,
		.goes_on = goes_on,
	};
	uint8_t fresh[COOKIE_BYTES];
	autofree char *cookie = NULL;
	int r = volume_place_cookie(
		SLICE(node->identity.device.b, sizeof(struct device)), why,
		&cookie);

	if (r == 0)
		r = cookie_is_copy(node->store, cookie, &to.is_copy);
	if (r < 0)
		return sentence(why, r, "the cookie of the store");
	if (to.is_copy)
		log_warn("'%s' was restored or copied since it was mounted "
			 "last: this node goes on as a new one of its name",
			 node->store_path);
	r = sentence(why, tree_open(&to, &node->tree), node->store_path);
	if (r < 0)
		return r;
	env_random(NULL, fresh, sizeof(fresh));
	return sentence(why, cookie_renew(node->store, cookie, fresh),
			"the cookie of the store");
}

static int join(struct node *node, const struct node_options *options,
		struct buf *why)
{
	struct join_result result = { .label = "" };
	const char *label = options->label ? options->label :
					     options->label_default;
	int r = sentence(why, invite_join(options->code, &node->identity,
					  label, why, &result), "joining");

	if (r < 0)
		return r;
	r = open_tree(node, result.volume, result.label, result.secret,
		      false, why);
	if (r == 0)
		r = sentence(why,
			     core_adopt_members(node->tree,
						buf_slice(&result.members),
						&node->identity.device,
						&result.inviter),
			     "the members that the other node sent");
	if (r == 0)
		r = sentence(why, join_result_remember(node->tree, &result),
			     node->store_path);
	join_result_release(&result);
	return r;
}

static int open_own_volume(struct node *node,
			   const struct node_options *options,
			   struct buf *why)
{
	char label[LABEL_BYTES_MAX + 1];
	struct volid volume;
	int r;

	env_random(NULL, volume.b, sizeof(volume.b));
	r = open_tree(node, volume, options->label ? options->label :
		      options->label_default, NULL, options->goes_on, why);
	if (r < 0 || !options->label)
		return r;
	tree_label(node->tree, label);
	if (!strcmp(label, options->label))
		return 0;
	buf_printf(why, "--name \"%s\": this node is \"%s\" in its volume; "
		   "leave out --name", options->label, label);
	return -EINVAL;
}

/* (libfuse unmounts so what it mounted itself) */
static void unmount_lazily(void *arg)
{
	const struct node *node = arg;
	autofree char *source = mount_source_of(node->socket_path);

	if (source)
		mount_remove_ours(node->mountpoint, source);
}

/* Of the supervised mount, whose owner is known from before it was made. */
static int take_mount(struct node *node, int supervisor,
		      struct front_options *fo, struct buf *why)
{
	int r = supervised_mount(supervisor, fo, why, &node->mount);

	if (r < 0)
		return r;
	fo->handover = node->mount.handover;
	fo->device = node->mount.device;
	fo->unmount = unmount_lazily;
	fo->unmount_arg = node;
	node->mountpoint = fo->mountpoint;
	node->supervisor = supervisor;
	if (node->owner_uid == 0) {
		node->owner_uid = node->mount.uid;
		node->owner_gid = node->mount.gid;
	}
	return 0;
}

static int open_mount(struct node *node, const struct node_options *options,
		      struct buf *why)
{
	struct wiring *w = &node->wiring;
	autofree char *source = mount_source_of(node->socket_path);
	struct front_options fo = {
		.tree = node->tree,
		.mountpoint = options->place->mountpoint,
		.source = source,
		.allow_other = options->allow_other,
		.suid = options->suid,
		.dev = options->dev,
		.no_resend = options->no_resend,
		.io_uring = options->io_uring,
		.awake_device = options->save_power ? NULL : AWAKE_DEVICE,
		.shown = wiring_shown,
		.shown_arg = w,
		.acks = wiring_acks(w),
	};
	struct tree_observer observer = wiring_observer(w);
	struct front *front;
	int r;

	if (!source)
		return -ENOMEM;
	/* A fresh mount shows all that was applied before it. */
	store_lock(node->store);
	w->shown_early = replica_lseq(node->tree);
	store_unlock(node->store);
	tree_observe(node->tree, &observer);
	idmap_set_default(geteuid(), getegid());
	r = options->supervisor < 0 ? 0 :
	    take_mount(node, options->supervisor, &fo, why);
	if (r == 0)
		r = front_open(&fo, why, &front);
	r = sentence(why, r, options->place->mountpoint);
	if (r == 0)
		wiring_set_front(w, front);
	return r;
}

static int open_agent(struct node *node, const struct node_options *options,
		      struct buf *why)
{
	struct agent_options ao = {
		.tree = node->tree,
		.identity = &node->identity,
		.listen = options->listen,
		.lapse_days = options->lapse_days,
		.keep = options->keep,
		.control_path = node->socket_path,
		.mountpoint = options->place->mountpoint,
		.hooks_folder = node->hooks_folder,
		.hook_uid = node->owner_uid,
		.hook_gid = node->owner_gid,
		.has_mount = true,
		.only_peers = options->only_peers,
		.stop = wiring_stop,
		.leave = node->mount.handover ? wiring_leave : NULL,
		.stop_arg = &node->wiring,
		.supervisor = node->mount.handover ? getppid() : 0,
		.taken_over = node->mount.handover ?
			      handover_turns(node->mount.handover) : 0,
	};
	struct agent *agent;
	int r = sentence(why, agent_start(&ao, why, &agent),
			 options->listen ? options->listen : "network");

	if (r == 0)
		wiring_set_agent(&node->wiring, agent);
	return r;
}

/* Before something is mounted there. Not root: hooks run as we do. */
static int find_owner(struct node *node, const char *mountpoint,
		      bool supervised)
{
	struct stat st;

	node->owner_uid = geteuid();
	node->owner_gid = getegid();
	if (node->owner_uid || supervised)
		return 0;
	if (stat(mountpoint, &st) < 0)
		return -errno;
	node->owner_uid = st.st_uid;
	node->owner_gid = st.st_gid;
	return 0;
}

/* All but the volume itself. */
static int open_rest(struct node *node, const struct node_options *options,
		     struct buf *why)
{
	int r = volume_place_remember(options->place, why);

	if (r == 0)
		r = volume_place_socket(options->place, why,
					&node->socket_path);
	if (r == 0)
		r = volume_place_hooks(options->place, why,
				       &node->hooks_folder);
	if (r == 0)
		r = find_owner(node, options->place->mountpoint,
			       options->supervisor >= 0);
	if (r == 0)
		r = open_mount(node, options, why);
	if (r == 0)
		r = open_agent(node, options, why);
	if (r == 0)
		r = housekeeping_start(&node->housekeeping, node->tree,
				       node->store_path, &node->env);
	if (r == 0)
		r = reclaimer_start(&node->reclaimer, node->store,
				    node->tree);
	if (r == 0)
		r = signals_start(node);
	return sentence(why, r, options->place->mountpoint);
}

static struct node *node_new(const char *store_path)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->store_path = strdup(store_path);
	if (!node->store_path) {
		free(node);
		return NULL;
	}
	env_init(&node->env);
	wiring_init(&node->wiring);
	node->mount.device = -1;
	return node;
}

int node_open(const struct node_options *options, struct buf *why,
	      struct node **ret)
{
	struct node *node = node_new(options->place->store);
	bool member = false;
	int r;

	if (!node)
		return -ENOMEM;
	signals_block();
	r = open_store(node, options, why);
	if (r == 0 && options->code) {
		r = join(node, options, why);
		member = r == 0;
	} else if (r == 0) {
		r = open_own_volume(node, options, why);
	}
	if (r == 0)
		r = open_rest(node, options, why);
	if (r == 0) {
		*ret = node;
		return 0;
	}
	if (member)
		buf_printf(why, "; it joined the volume already: when that is "
			   "mended, `kin mount` it (no code is needed)");
	(void)node_close(node);
	if (!member)
		volume_place_undo(options->place);
	return r;
}

void node_describe(struct node *node, struct buf *ret)
{
	char label[LABEL_BYTES_MAX + 1], volume[33];
	struct volid id = tree_volume(node->tree);

	tree_label(node->tree, label);
	hex_encode(id.b, sizeof(id.b), volume);
	buf_printf(ret, "node %s of volume %s", label, volume);
}

int node_run(struct node *node)
{
	int r = node->mount.handover ? supervised_serves(node->supervisor) : 0;

	/* (without a supervisor it ends by a signal, and not before) */
	if (r < 0)
		log_errno(r, "the supervisor cannot be told");
	return front_run(node->wiring.front);
}

bool node_leaves(const struct node *node)
{
	return wiring_leaves((struct wiring *)&node->wiring);
}

/* Versions of all that was written; nobody writes any more. */
static void cut_all(struct node *node)
{
	int r = tree_cut_settled(node->tree, 0);

	if (r < 0)
		log_errno(r, "the last writes stay unsent until the next "
			  "mount");
}

int node_close(struct node *node)
{
	struct wiring *w = &node->wiring;
	struct front *front = w->front;
	struct agent *agent = w->agent;
	bool leaves = node_leaves(node);
	int r = 0;

	wiring_set_front(w, NULL);
	front_close(front);
	housekeeping_stop(&node->housekeeping);
	reclaimer_stop(&node->reclaimer);
	if (node->tree && !leaves)
		cut_all(node);
	if (agent)
		agent_stop(agent);
	wiring_set_agent(w, NULL);
	signals_stop(node);
	if (node->tree) {
		if (tree_stop(node->tree) < 0)
			log_warn("unused numbers are skipped at the next "
				 "mount");
		tree_close(node->tree);
	}
	if (node->has_identity)
		identity_close(&node->identity);
	if (node->store)
		r = store_close(node->store);
	wiring_release(w);
	handover_close(node->mount.handover);
	free(node->socket_path);
	free(node->hooks_folder);
	free(node->store_path);
	free(node);
	return r;
}
