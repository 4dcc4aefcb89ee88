/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/node_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "replication/core/core.h"
#include "replication/net/sys.h"

#define PATIENCE_MS 30000

/* ---- environment */

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
	(void)arg;
	sys_random(ret, len);
}

static const struct tree_env env = {
	.now_ns = env_now_ns,
	.monotonic_ns = env_monotonic_ns,
	.random = env_random,
};

static void on_changed(void *arg)
{
	struct node *n = arg;
	struct agent *a = atomic_load(&n->agent);

	if (a)
		agent_changed(a);
}

static void on_stop(void *arg)
{
	struct node *n = arg;

	atomic_fetch_add(&n->stops, 1);
}

/* ---- life */

void node_init(struct node *n, const char *label)
{
	cleanup(buf_release) struct buf why = BUF_INIT;

	memset(n, 0, sizeof(*n));
	net_dir_init(&n->dir);
	snprintf(n->label, sizeof(n->label), "%s", label);
	assert_int_equal(identity_open(n->dir.path, &why, &n->identity), 0);
}

void node_release(struct node *n)
{
	node_close(n);
	identity_close(&n->identity);
	net_dir_release(&n->dir);
}

void node_open(struct node *n, const struct join_result *joined)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct store_options so = { .path = net_dir_file(&n->dir, "store"),
				    .threads = true,
				    .map_bytes = 1 << 30 };
	struct tree_options to = {
		.env = &env,
		.user = SLICE_STR("root"),
		.group = SLICE_STR("root"),
		.root_perm = 0755,
		.label = SLICE_STR(n->label),
	};
	struct tree_observer observer = { .arg = n, .changed = on_changed };

	assert_int_equal(store_open(&so, &why, &n->store), 0);
	to.store = n->store;
	if (joined) {
		to.volume = joined->volume;
		to.secret = joined->secret;
	} else {
		sys_random(&to.volume, sizeof(to.volume));
	}
	assert_int_equal(tree_open(&to, &n->tree), 0);
	tree_observe(n->tree, &observer);
}

int node_try_start(struct node *n, const char *listen, struct buf *why)
{
	struct agent_options o = {
		.tree = n->tree,
		.identity = &n->identity,
		.listen = listen,
		.control_path = net_dir_file(&n->dir, "control"),
		.mountpoint = "/nowhere",
		.only_peers = n->only_peers,
		.stop = on_stop,
		.stop_arg = n,
	};
	struct agent *a;
	int r = agent_start(&o, why, &a);

	if (!r)
		atomic_store(&n->agent, a);
	return r;
}

void node_start(struct node *n, const char *listen)
{
	cleanup(buf_release) struct buf why = BUF_INIT;

	assert_int_equal(node_try_start(n, listen, &why), 0);
}

void node_stop(struct node *n)
{
	agent_stop(atomic_exchange(&n->agent, NULL));
}

void node_close(struct node *n)
{
	node_stop(n);
	if (n->tree)
		tree_close(n->tree);
	n->tree = NULL;
	if (n->store)
		assert_int_equal(store_close(n->store), 0);
	n->store = NULL;
}

/* ---- control */

static int control_dial(struct node *n)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, net_dir_file(&n->dir, "control"));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

json_t *node_ask(struct node *n, json_t *request)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	char *text = json_dumps(request, JSON_COMPACT), part[4096];
	int fd = control_dial(n);
	json_t *answer;
	size_t at = 0;
	char *end;
	ssize_t len;

	assert_non_null(text);
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	assert_int_equal(send(fd, "\n", 1, 0), 1);
	while ((len = recv(fd, part, sizeof(part), 0)) > 0)
		buf_put(&b, part, (size_t)len);
	close(fd);
	free(text);
	json_decref(request);
	/* The last line; those before it are events. */
	buf_put_u8(&b, 0);
	while ((end = strchr((char *)b.data + at, '\n')) && end[1])
		at = (size_t)(end + 1 - (char *)b.data);
	answer = json_loads((char *)b.data + at, 0, NULL);
	assert_non_null(answer);
	return answer;
}

json_t *node_command(struct node *n, const char *cmd)
{
	json_t *answer = node_ask(n, json_pack("{s:s}", "cmd", cmd));

	if (!json_is_true(json_object_get(answer, "ok")))
		print_error("%s: %s\n", cmd, json_string_value(
			json_object_get(answer, "message")));
	assert_true(json_is_true(json_object_get(answer, "ok")));
	return answer;
}

int node_wait(struct node *n, double timeout_s)
{
	json_t *answer = node_ask(n, json_pack("{s:s, s:f}", "cmd", "wait",
					       "timeout", timeout_s));
	int r = (int)json_integer_value(json_object_get(answer, "exit"));

	if (json_is_true(json_object_get(answer, "ok")))
		assert_int_equal(r, 0);
	else
		assert_true(r > 0);
	json_decref(answer);
	return r;
}

struct invite_code node_invite(struct node *n)
{
	json_t *answer = node_command(n, "invite");
	struct invite_code code;

	assert_int_equal(invite_decode(json_string_value(
		json_object_get(answer, "code")), &code), 0);
	json_decref(answer);
	return code;
}

void node_join(struct node *n, const struct invite_code *code)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct join_result result;

	assert_int_equal(invite_join(code, &n->identity, n->label, &why,
				     &result), 0);
	snprintf(n->label, sizeof(n->label), "%s", result.label);
	node_open(n, &result);
	assert_int_equal(core_adopt_members(n->tree, buf_slice(&result.members),
					    &n->identity.device,
					    &result.inviter), 0);
	assert_int_equal(join_result_remember(n->tree, &result), 0);
	join_result_release(&result);
}

static size_t count_links(struct node *n)
{
	json_t *status = node_command(n, "status"), *peer;
	size_t count = 0, i;

	json_array_foreach(json_object_get(status, "peers"), i, peer)
		count += json_is_true(json_object_get(peer, "connected"));
	json_decref(status);
	return count;
}

void node_await_links(struct node *n, size_t count)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	uint64_t until_ms = sys_now_ms() + PATIENCE_MS;

	while (count_links(n) != count) {
		assert_true(sys_now_ms() < until_ms);
		nanosleep(&pause, NULL);
	}
}

/* ---- files */

void node_write(struct node *n, const char *name, const char *text)
{
	struct tree_new new = { .kind = KIND_FILE, .perm = 0644,
				.user = SLICE_STR("root"),
				.group = SLICE_STR("root") };
	struct entry e;
	int r = tree_create(n->tree, TREE_ROOT_INO, SLICE_STR(name), &new,
			    true, &e);

	if (r == -EEXIST) {
		assert_int_equal(tree_lookup(n->tree, TREE_ROOT_INO,
					     SLICE_STR(name), &e), 0);
		r = tree_open_file(n->tree, e.attr.ino, true);
	}
	assert_int_equal(r, 0);
	assert_int_equal(tree_write(n->tree, e.attr.ino, 0, SLICE_STR(text),
				    false), 0);
	tree_release_file(n->tree, e.attr.ino, true);
}

bool node_has(struct node *n, const char *name, const char *text)
{
	size_t len = strlen(text);
	char *data = malloc(len + 1);
	struct entry e;
	bool same;

	same = !tree_lookup(n->tree, TREE_ROOT_INO, SLICE_STR(name), &e) &&
	       !tree_open_file(n->tree, e.attr.ino, false);
	if (same) {
		same = tree_read(n->tree, e.attr.ino, 0, data, len + 1) ==
			       (int64_t)len && !memcmp(data, text, len);
		tree_release_file(n->tree, e.attr.ino, false);
	}
	free(data);
	return same;
}
