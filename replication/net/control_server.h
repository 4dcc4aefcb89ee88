/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of the control socket (control.h): lines in, lines out.
 * What the requests mean is not known here: commands.c.
 */
#ifndef KINFS_NET_CONTROL_SERVER_H
#define KINFS_NET_CONTROL_SERVER_H

#include <jansson.h>

#include "replication/net/control.h"
#include "replication/net/loop.h"

struct buf;
struct control;
struct control_client;

/* "exit" of an answer that is not ok: what `kin` ends with. */
enum control_exit {
	CONTROL_FAILED = 1,
	CONTROL_USAGE = 2,
	CONTROL_UNREACHED = 3,
};

struct control_ops {
	/* A request; to be answered now or later, by control_answer(). */
	void (*request)(void *arg, struct control_client *,
			const json_t *request);
	/* A client with data went away before it was answered. */
	void (*gone)(void *arg, struct control_client *, void *data);
};

/*
 * Makes the socket, over one that a dead daemon left behind (the store's
 * lock already says that none is alive). The path may be longer than a
 * socket address. Errors: -EPERM the directory is not ours, -EEXIST another
 * kind of file is there, of the system; `why` receives a sentence.
 */
must_check int control_open(struct loop *, const char *path,
			    const struct control_ops *, void *arg,
			    struct buf *why, struct control **ret);
/* Ends all clients, removes the socket. NULL is fine. */
void control_close(struct control *);
/* Writes what is still to be written, as far as it goes without waiting. */
void control_flush(struct control *);

/* The descriptor that came with the request, or -1: now the caller's. */
int control_take_fd(struct control_client *);
/* What the command keeps with a client that waits for its answer. */
void control_set_data(struct control_client *, void *data);
/* Sends a line before the last one. Takes ownership. Dropped when the
 * client does not read them. */
void control_event(struct control_client *, json_t *event);
/* Sends the last line. Takes ownership. The client is not to be used any
 * more. */
void control_answer(struct control_client *, json_t *answer);
/* As control_answer(), and calls fn when it is written or the client left. */
void control_answer_then(struct control_client *, json_t *answer,
			 void (*fn)(void *arg), void *arg);

/* {"ok": false, ...}: r is a negative errno. NULL when out of memory. */
json_t *control_error(int r, enum control_exit, const char *fmt, ...)
	printf_like(3, 4);

#endif
