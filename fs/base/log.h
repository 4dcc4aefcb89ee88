/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the daemon, one line each on standard error (the journal, or
 * the store's log file). Lower case, the subject in quotes, no full stop.
 * Never content, keys or codes. Log once, where it is decided.
 */
#ifndef KINFS_BASE_LOG_H
#define KINFS_BASE_LOG_H

#include "fs/base/macro.h"

/* (OFF: for tests that provoke errors) */
enum log_level { LOG_LEVEL_OFF = -1, LOG_LEVEL_ERROR, LOG_LEVEL_WARN,
		 LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level);
void log_line(enum log_level, const char *fmt, ...) printf_like(2, 3);
/* Logs "<message>: <strerror(-r)>" as an error and returns r. */
int log_errno(int r, const char *fmt, ...) printf_like(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
