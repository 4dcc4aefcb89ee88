/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting, and the life of the session.
 *
 * What can go wrong with a mount is looked at before libfuse tries, because
 * libfuse tells only its log, and tells it to programmers.
 *
 * Not handled on purpose, since the kernel then does the right thing for
 * good after one ENOSYS: flush (a close needs no request), access (the
 * kernel checks), ioctl, and locks (the kernel's own, which hold between the
 * programs of this node).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "fs/base/log.h"
#include "fs/front/front_internal.h"

#define LOG_LINE_MAX 256

static void front_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned int wanted =
		FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_ASYNC_READ |
		FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS |
		FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
		FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA |
		FUSE_CAP_EXPIRE_ONLY | FUSE_CAP_EXPORT_SUPPORT;
	/* Writeback: it would freeze size and mtime against changes from
	 * elsewhere. Auto-inval excludes explicit. Killpriv: its second
	 * version is asked for (raw.c). Splicing gains nothing for data that
	 * is in memory. */
	const unsigned int unwanted =
		FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA |
		FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ |
		FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE;
	/* Both or none: a default ACL stands in the place of the umask. */
	const unsigned int acls = FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK;
	struct front *front = userdata;

	if ((conn->capable & acls) == acls)
		conn->want |= acls;
	conn->want |= wanted & conn->capable;
	conn->want &= ~unwanted;
	if (front->handover)
		conn->want = session_want(front, conn->want);
	conn->max_write = WRITE_BYTES_MAX;
	conn->time_gran = 1;
	atomic_store(&front->can_expire, conn->capable & FUSE_CAP_EXPIRE_ONLY);
}

static const struct fuse_lowlevel_ops front_ops = {
	.init = front_init,
	.lookup = front_lookup,
	.forget = front_forget,
	.forget_multi = front_forget_multi,
	.getattr = front_getattr,
	.setattr = front_setattr,
	.readlink = front_readlink,
	.mknod = front_mknod,
	.mkdir = front_mkdir,
	.unlink = front_unlink,
	.rmdir = front_rmdir,
	.symlink = front_symlink,
	.rename = front_rename,
	.link = front_link,
	.open = front_open_file,
	.read = front_read,
	.write = front_write,
	.release = front_release,
	.fsync = front_fsync,
	.opendir = front_opendir,
	.readdir = front_readdir,
	.readdirplus = front_readdirplus,
	.releasedir = front_releasedir,
	.fsyncdir = front_fsync,
	.statfs = front_statfs,
	.setxattr = front_setxattr,
	.getxattr = front_getxattr,
	.listxattr = front_listxattr,
	.removexattr = front_removexattr,
	.create = front_create,
	.fallocate = front_fallocate,
	.lseek = front_lseek,
	.copy_file_range = front_copy_file_range,
};

/*
 * libfuse's messages, without its prefix and newline. While a thread is in
 * front_open(), they are part of the answer to its caller.
 */
static __thread struct buf *mount_messages;

static void front_log(enum fuse_log_level level, const char *fmt, va_list args)
{
	char text[LOG_LINE_MAX];
	const char *line = text;
	int len = vsnprintf(text, sizeof(text), fmt, args);

	if (len < 0)
		return;
	if (strncmp(line, "fuse: ", strlen("fuse: ")) == 0)
		line += strlen("fuse: ");
	text[strcspn(text, "\n")] = '\0';
	if (mount_messages)
		buf_printf(mount_messages, "%s%s",
			   mount_messages->len ? "; " : "", line);
	else if (level <= FUSE_LOG_ERR)
		log_error("fuse: %s", line);
	else
		log_debug("fuse: %s", line);
}

static int check_device(struct buf *why)
{
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (r == -ENOENT || r == -ENODEV || r == -ENXIO) {
		buf_printf(why, "there is no /dev/fuse here: load the kernel "
				"module (\"modprobe fuse\"), or give the "
				"container that device");
		return -ENODEV;
	}
	if (r == -EACCES || r == -EPERM) {
		buf_printf(why, "/dev/fuse may not be opened by this user: "
				"its mode should be 0666");
		return -EPERM;
	}
	if (r < 0)
		buf_printf(why, "cannot open /dev/fuse: %s", strerror(-r));
	return r;
}

/* Without root, a set-user-id helper of the package fuse3 mounts. */
static int check_helper(const char *mountpoint, struct buf *why)
{
	if (geteuid() == 0)
		return 0;
	if (access("/usr/bin/fusermount3", X_OK) < 0 &&
	    access("/bin/fusermount3", X_OK) < 0) {
		buf_printf(why, "fusermount3 is missing: install the package "
				"\"fuse3\"");
		return -EPERM;
	}
	if (access(mountpoint, W_OK) < 0) {
		buf_printf(why, "'%s' may not be written by this user, so it "
				"cannot be mounted on", mountpoint);
		return -EPERM;
	}
	return 0;
}

static int check_mountpoint(const char *mountpoint, struct buf *why)
{
	autofree char *parent = NULL;
	struct stat st, up;

	if (stat(mountpoint, &st) < 0) {
		int r = -errno;

		if (r == -ENOTCONN) {
			buf_printf(why, "a mount without its daemon is left on "
					"'%s': unmount it with \"fusermount3 "
					"-u\" first", mountpoint);
			return -EBUSY;
		}
		buf_printf(why, "cannot use the mountpoint '%s': %s",
			   mountpoint, strerror(-r));
		return r;
	}
	if (!S_ISDIR(st.st_mode)) {
		buf_printf(why, "the mountpoint '%s' is not a directory",
			   mountpoint);
		return -ENOTDIR;
	}
	if (asprintf(&parent, "%s/..", mountpoint) < 0) {
		parent = NULL;
		return -ENOMEM;
	}
	if (stat(parent, &up) == 0 &&
	    (st.st_dev != up.st_dev || st.st_ino == up.st_ino)) {
		buf_printf(why, "something is mounted on '%s' already",
			   mountpoint);
		return -EBUSY;
	}
	return 0;
}

/* What is needed to mount there. */
static int check_all(const char *mountpoint, struct buf *why)
{
	int r = check_device(why);

	if (r == 0)
		r = check_mountpoint(mountpoint, why);
	return r ? r : check_helper(mountpoint, why);
}

static int mount_options(const struct front_options *options, char **ret)
{
	autofree char *all = NULL, *source = NULL;

	if (asprintf(&source, "fsname=%s", options->source) < 0) {
		source = NULL;
		return -ENOMEM;
	}
	if (fuse_opt_add_opt(&all, "subtype=kinfs") < 0 ||
	    fuse_opt_add_opt(&all, "default_permissions") < 0 ||
	    fuse_opt_add_opt(&all, options->suid ? "suid" : "nosuid") < 0 ||
	    fuse_opt_add_opt(&all, options->dev ? "dev" : "nodev") < 0 ||
	    (options->allow_other &&
	     fuse_opt_add_opt(&all, "allow_other") < 0) ||
	    fuse_opt_add_opt_escaped(&all, source) < 0)
		return -ENOMEM;
	*ret = steal(&all);
	return 0;
}

#ifdef __SANITIZE_ADDRESS__
#define leak_check_off() __lsan_disable()
#define leak_check_on() __lsan_enable()
#else
#define leak_check_off() ((void)0)
#define leak_check_on() ((void)0)
#endif

/* What is mounted already is given to libfuse as a descriptor. */
#define DEVICE_PATH_MAX 32

/* For what libfuse does not ask the kernel for. */
static int session_ask(struct front *front,
		       const struct front_options *options)
{
	int r = session_asks(front);

	if (r == 0 && options->io_uring)
		return rings_new(fuse_session_fd(front->session), WORKERS_MAX,
				 &front->rings);
	if (r < 0 && !options->io_uring)
		log_warn("'%s': each write asks for the capabilities of its "
			 "file", front->mountpoint);
	return options->io_uring ? r : 0;
}

static int session_open(struct front *front,
			const struct front_options *options)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	autofree char *mount_opts = NULL;
	char device[DEVICE_PATH_MAX];
	int r;

	r = mount_options(options, &mount_opts);
	if (r < 0)
		return r;
	r = -ENOMEM;
	if (fuse_opt_add_arg(&args, "kin") == 0 &&
	    fuse_opt_add_arg(&args, "-o") == 0 &&
	    fuse_opt_add_arg(&args, mount_opts) == 0) {
		front->session = fuse_session_new(&args, &front_ops,
						  sizeof(front_ops), front);
		r = front->session ? 0 : -EINVAL;
	}
	fuse_opt_free_args(&args);
	if (r < 0)
		return r;
	snprintf(device, sizeof(device), "/dev/fd/%d", options->device);
	/* libfuse frees its copy of the path where it unmounts, and nowhere
	 * else: after front_mount() nobody has it. */
	leak_check_off();
	r = fuse_session_mount(front->session, options->handover ? device :
			       front->mountpoint);
	leak_check_on();
	if (r < 0) {
		r = -EPERM;
	} else {
		r = session_ask(front, options);
		if (r < 0)
			fuse_session_unmount(front->session);
	}
	if (r < 0) {
		fuse_session_destroy(front->session);
		front->session = NULL;
	}
	return r;
}

static int session_open_explained(struct front *front,
				  const struct front_options *options,
				  struct buf *why)
{
	cleanup(buf_release) struct buf messages = BUF_INIT;
	int r;

	fuse_set_log_func(front_log);
	mount_messages = &messages;
	r = session_open(front, options);
	mount_messages = NULL;
	if (r < 0)
		buf_printf(why, "cannot mount on '%s': %.*s",
			   front->mountpoint,
			   messages.len ? (int)messages.len :
					  (int)strlen(strerror(-r)),
			   messages.len ? (const char *)messages.data :
					  strerror(-r));
	return r;
}

static void front_free(struct front *front)
{
	notes_release(&front->notes);
	tainted_release(&front->tainted);
	front_loop_release(&front->loop);
	waiting_release(&front->waiting);
	pthread_cond_destroy(&front->notify_wake);
	pthread_mutex_destroy(&front->notify_mutex);
	free(front->mountpoint);
	free(front);
}

static struct front *front_new(const struct front_options *options)
{
	struct front *front = calloc(1, sizeof(*front));

	if (!front)
		return NULL;
	front->tree = options->tree;
	front->shown = options->shown;
	front->shown_arg = options->shown_arg;
	front->acks = options->acks;
	front->handover = options->handover;
	front->no_resend = options->no_resend;
	front->unmount = options->unmount;
	front->unmount_arg = options->unmount_arg;
	front->notes = NOTES_INIT;
	pthread_mutex_init(&front->notify_mutex, NULL);
	pthread_cond_init(&front->notify_wake, NULL);
	tainted_init(&front->tainted);
	front_loop_init(&front->loop, options->awake_device);
	waiting_init(&front->waiting);
	front->mountpoint = strdup(options->mountpoint);
	if (!front->mountpoint) {
		front_free(front);
		return NULL;
	}
	return front;
}

/* Mounts, if nobody did before. */
static int front_begin(const struct front_options *options, struct buf *why,
		       struct front **ret)
{
	struct front *front;
	int r = options->handover ? 0 : check_all(options->mountpoint, why);

	if (r < 0)
		return r;
	front = front_new(options);
	if (!front)
		return -ENOMEM;
	r = session_open_explained(front, options, why);
	if (r < 0)
		front_free(front);
	else
		*ret = front;
	return r;
}

int front_mount(const struct front_options *options, struct buf *why,
		int *ret_device)
{
	struct front *front;
	int r = front_begin(options, why, &front);

	if (r < 0)
		return r;
	*ret_device = fcntl(fuse_session_fd(front->session), F_DUPFD_CLOEXEC,
			    0);
	if (*ret_device < 0) {
		r = -errno;
		fuse_session_unmount(front->session);
	}
	/* (which closes libfuse's own descriptor, and unmounts nothing) */
	fuse_session_destroy(front->session);
	front_free(front);
	return r;
}

/* What the process before this one left. */
static int front_take(struct front *front, struct buf *why)
{
	int r = session_replay(front);

	if (r == 0)
		r = opens_take(front);
	if (r < 0) {
		buf_printf(why, "the mount cannot be taken over: %s",
			   strerror(-r));
		return r;
	}
	if (!handover_turns(front->handover))
		return 0;
	/* What the kernel knows of what others changed died with it. */
	tainted_take_over(&front->tainted);
	front->notes.everything = true;
	return 0;
}

int front_open(const struct front_options *options, struct buf *why,
	       struct front **ret)
{
	struct front *front;
	int r = front_begin(options, why, &front);

	if (r < 0)
		return r;
	r = front->handover ? front_take(front, why) : 0;
	if (r == 0) {
		r = notifier_start(front);
		if (r < 0)
			buf_printf(why, "cannot start a thread: %s",
				   strerror(-r));
	}
	if (r < 0) {
		front_close(front);
		return r;
	}
	if (front->handover)
		session_resend(front);
	*ret = front;
	return 0;
}

/* Before the session goes: their requests are its. */
static void acks_cancel(struct front *front)
{
	if (front->acks.cancel)
		front->acks.cancel(front->acks.arg);
}

bool front_is_mounted(int device)
{
	struct pollfd p = { .fd = device };

	return poll(&p, 1, 0) != 1 || !(p.revents & POLLERR);
}

static void end_mount(struct front *front)
{
	/* (they keep the device open) */
	rings_free(steal(&front->rings));
	if (!front->handover)
		fuse_session_unmount(front->session);
	else if (front->serves && !atomic_load(&front->leaving) &&
		 front_is_mounted(fuse_session_fd(front->session)))
		front->unmount(front->unmount_arg);
	front->serves = false;
}

int front_run(struct front *front)
{
	int r;

	front->serves = true;
	r = front_loop_run(front);

	/* The notifier uses the descriptor that unmounting closes. If it is
	 * in the kernel now, the connection is gone (else it would have ended
	 * the loop itself), so it comes back. */
	notifier_ask_stop(front);
	/* (the notifier may wait for pages that a read waits for) */
	waiting_stop(front);
	notifier_join(front);
	acks_cancel(front);
	end_mount(front);
	return r;
}

void front_leave(struct front *front)
{
	kin_assert(front->handover);
	atomic_store(&front->leaving, true);
	notifier_ask_stop(front);
}

void front_exit(struct front *front)
{
	atomic_store(&front->leaving, false);
	notifier_ask_stop(front);
}

void front_close(struct front *front)
{
	if (!front)
		return;
	notifier_ask_stop(front);
	waiting_stop(front);
	notifier_join(front);
	acks_cancel(front);
	end_mount(front);
	fuse_session_destroy(front->session);
	front_free(front);
}
