/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/wiring.h"

#include <errno.h>

void wiring_init(struct wiring *w)
{
	*w = (struct wiring){ .front = NULL };
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->exit_lock, NULL);
}

void wiring_release(struct wiring *w)
{
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->exit_lock);
}

static void wiring_changed(void *arg)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->agent)
		agent_changed(w->agent);
	else
		w->changed_early = true;
	pthread_mutex_unlock(&w->lock);
}

static void wiring_inode(void *arg, uint64_t ino)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->front)
		front_note_inode(w->front, ino);
	pthread_mutex_unlock(&w->lock);
}

static void wiring_entry(void *arg, uint64_t parent, struct slice name)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->front)
		front_note_entry(w->front, parent, name);
	pthread_mutex_unlock(&w->lock);
}

static void wiring_applied(void *arg, uint64_t lseq)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->front)
		front_note_applied(w->front, lseq);
	pthread_mutex_unlock(&w->lock);
}

/* From the front's notifier. */
void wiring_shown(void *arg, uint64_t lseq)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->agent)
		agent_shown(w->agent, lseq);
	else
		w->shown_early = MAX_OF(w->shown_early, lseq);
	pthread_mutex_unlock(&w->lock);
}

/* From the front's workers. */
static int wiring_acks_wait(void *arg, const struct acks *acks, uint64_t seq,
			    void (*done)(void *, int), bool (*gone)(void *),
			    void *done_arg)
{
	struct agent_acks_done call = { done_arg, done, gone };
	struct wiring *w = arg;
	int r = -ECANCELED;

	pthread_mutex_lock(&w->lock);
	if (w->agent)
		r = agent_acks_wait(w->agent, acks, seq, call);
	pthread_mutex_unlock(&w->lock);
	return r;
}

static void wiring_acks_cancel(void *arg)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->agent)
		agent_acks_cancel(w->agent);
	pthread_mutex_unlock(&w->lock);
}

struct front_acks wiring_acks(struct wiring *w)
{
	return (struct front_acks){ w, wiring_acks_wait, wiring_acks_cancel };
}

static void wiring_wanted(void *arg)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->agent)
		agent_wanted(w->agent);
	pthread_mutex_unlock(&w->lock);
}

static void wiring_content(void *arg)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->front)
		front_note_content(w->front);
	pthread_mutex_unlock(&w->lock);
}

static void wiring_opened(void *arg, struct objid file)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->agent)
		agent_opened(w->agent, &file);
	pthread_mutex_unlock(&w->lock);
}

static void wiring_removed(void *arg, uint64_t ino)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->front)
		front_note_removed(w->front, ino);
	pthread_mutex_unlock(&w->lock);
}

struct tree_observer wiring_observer(struct wiring *w)
{
	return (struct tree_observer){
		.arg = w,
		.changed = wiring_changed,
		.inode = wiring_inode,
		.entry = wiring_entry,
		.applied = wiring_applied,
		.wanted = wiring_wanted,
		.content = wiring_content,
		.opened = wiring_opened,
		.removed = wiring_removed,
	};
}

void wiring_set_agent(struct wiring *w, struct agent *agent)
{
	pthread_mutex_lock(&w->lock);
	w->agent = agent;
	if (agent && w->changed_early)
		agent_changed(agent);
	if (agent)
		agent_shown(agent, w->shown_early);
	pthread_mutex_unlock(&w->lock);
}

void wiring_set_front(struct wiring *w, struct front *front)
{
	pthread_mutex_lock(&w->exit_lock);
	w->exit_front = front;
	pthread_mutex_unlock(&w->exit_lock);
	pthread_mutex_lock(&w->lock);
	w->front = front;
	pthread_mutex_unlock(&w->lock);
}

/* From the network thread (`kin restart`). */
void wiring_leave(void *arg)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->exit_lock);
	if (w->exit_front) {
		w->leaves = true;
		front_leave(w->exit_front);
	}
	pthread_mutex_unlock(&w->exit_lock);
}

bool wiring_leaves(struct wiring *w)
{
	bool yes;

	pthread_mutex_lock(&w->exit_lock);
	yes = w->leaves;
	pthread_mutex_unlock(&w->exit_lock);
	return yes;
}

/* From the network thread (`kin unmount`) and the signal thread. */
void wiring_stop(void *arg)
{
	struct wiring *w = arg;

	pthread_mutex_lock(&w->exit_lock);
	w->leaves = false;
	if (w->exit_front)
		front_exit(w->exit_front);
	pthread_mutex_unlock(&w->exit_lock);
}
