/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of the control socket (replication/net/control.h), and
 * how a command finds the volume that it is about.
 */
#ifndef KINFS_TOOLS_CONTROL_CLIENT_H
#define KINFS_TOOLS_CONTROL_CLIENT_H

#include <jansson.h>

#include "tools/command.h"
#include "tools/mounts.h"

/* A mounted volume, and a path in it. */
struct subject {
	const char *command;	/* for messages; borrowed */
	char *mountpoint;
	char *socket;
	char *path;		/* relative to the volume's root */
};

/*
 * Finds the kinfs mount that the path lies in; a NULL path means the one of
 * the working directory, else the only one of this user. Complains.
 * Returns an exit_code.
 */
int subject_init(struct subject *, const char *command, const char *path);
void subject_release(struct subject *);
/*
 * The beginning of a command that has no option but --json, and is about one
 * mount: of its operand, which may be left out where `min` is 0. False: there
 * is nothing more to do, and *ret_exit is the exit code.
 */
bool subject_of_command(int argc, char **argv, const char *help, int min,
			bool *ret_json, struct subject *ret, int *ret_exit);
/* Puts the path into a request, as `path` or `path_hex`. */
void subject_put_path(const struct subject *, json_t *request);

/* Answers that take longer mean that the daemon does not run well. */
#define CONTROL_TIMEOUT_S 120

/*
 * Sends a request (ownership is taken) and reads the last line of the
 * answer. Returns an exit_code: what prevents an answer is complained
 * about, and *ret_answer is NULL then; what the daemon refuses is not:
 * control_refused() does that.
 */
int control_ask(const struct subject *, json_t *request, double timeout_s,
		json_t **ret_answer);
/* As control_ask(), and calls fn (may be NULL) for each line before the
 * last. timeout_s: between two lines. */
int control_ask_watching(const struct subject *, json_t *request,
			 double timeout_s,
			 void (*fn)(void *arg, const json_t *event),
			 void *arg, json_t **ret_answer);
/* Complains with the daemon's own words; returns exit_code. */
int control_refused(const struct subject *, const json_t *answer,
		    int exit_code);
/* Both at once, for requests whose answer must be ok. */
int control_call(const struct subject *, json_t *request,
		 json_t **ret_answer);

/* As control_call(), with a descriptor that the daemon may use; it stays the
 * caller's. */
int control_call_with(const struct subject *, json_t *request, int fd,
		      json_t **ret_answer);

/* As control_ask_watching(), with a descriptor. */
int control_ask_with(const struct subject *, json_t *request, int fd,
		     double timeout_s,
		     void (*fn)(void *arg, const json_t *event), void *arg,
		     json_t **ret_answer);

/* Is this very mount still there? */
bool subject_is_mounted(const struct subject *);

/*
 * Connects. ret_pid: of the daemon, 0 if it cannot be told. Errors:
 * -ECONNREFUSED and -ENOENT the daemon is gone, -EACCES, -EPERM it is
 * somebody else's, of the system.
 */
must_check int control_connect(const char *socket_path, double timeout_s,
			       int *ret_fd, pid_t *ret_pid);

#endif
