/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups: names travel between nodes, numbers are local.
 *
 * The tree asks for a number with the store lock held, and the answer of
 * getpwnam() may come from a slow directory service: so answers, "there is
 * none" too, are remembered for a minute. One table a direction and kind;
 * a full table starts anew.
 *
 * State is per process, as the password database is: a static, guarded by
 * its mutex. The mutex is not held while the system is asked.
 */
#define HASH_NONFATAL_OOM 1

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "fs/base/limits.h"
#include "fs/front/front.h"

/* Answers kept in one table: more than one machine's users in daily use. */
#define ANSWERS_MAX 4096
/* How long an answer is believed: a new user works within a minute. */
#define ANSWER_SECONDS 60
/* Bytes of one record of the database: a group with very many members. */
#define RECORD_BYTES_MIN 1024
#define RECORD_BYTES_MAX (1024 * 1024)
/* "#4294967295" */
#define NUMBER_NAME_BYTES 12

enum principal { PRINCIPAL_USER, PRINCIPAL_GROUP, PRINCIPAL_COUNT };

struct answer {
	UT_hash_handle hh;
	time_t until;		/* CLOCK_MONOTONIC */
	bool known;
	uint32_t number;
	size_t name_len;
	char name[PRINCIPAL_BYTES_MAX];
};

static struct {
	pthread_mutex_t mutex;
	struct answer *by_name[PRINCIPAL_COUNT];
	struct answer *by_number[PRINCIPAL_COUNT];
	bool has_default;
	uint32_t default_number[PRINCIPAL_COUNT];
} idmap = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static time_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void forget_all(struct answer **table)
{
	struct answer *answer, *next;

	HASH_ITER(hh, *table, answer, next) {
		HASH_DEL(*table, answer);
		free(answer);
	}
}

/* The two questions: the number of a name, the name of a number. */
enum question { NUMBER_OF_NAME, NAME_OF_NUMBER };

static struct slice question_key(enum question question,
				 const struct answer *answer)
{
	return question == NUMBER_OF_NAME ?
		       SLICE(answer->name, answer->name_len) :
		       SLICE(&answer->number, sizeof(answer->number));
}

/* Remembers a copy, in place of an older answer to the same question. */
static void remember(enum question question, struct answer **table,
		     const struct answer *from)
{
	struct slice key = question_key(question, from);
	struct answer *answer, *old;

	HASH_FIND(hh, *table, key.data, key.len, old);
	if (old) {
		HASH_DEL(*table, old);
		free(old);
	}
	if (HASH_COUNT(*table) >= ANSWERS_MAX)
		forget_all(table);
	answer = malloc(sizeof(*answer));
	if (!answer)
		return;
	*answer = *from;
	answer->until = now_seconds() + ANSWER_SECONDS;
	key = question_key(question, answer);
	HASH_ADD_KEYPTR(hh, *table, key.data, key.len, answer);
	if (!answer->hh.tbl)
		free(answer);
}

static bool recall(struct answer *table, const void *key, size_t key_len,
		   struct answer *ret)
{
	struct answer *answer;

	HASH_FIND(hh, table, key, key_len, answer);
	if (!answer || answer->until < now_seconds())
		return false;
	*ret = *answer;
	return true;
}

/*
 * Asks the system, with a buffer that grows until the record fits. `name`
 * or, when it is NULL, answer->number is the question.
 */
static bool ask(enum principal kind, const char *name, struct answer *answer)
{
	size_t size;

	for (size = RECORD_BYTES_MIN; size <= RECORD_BYTES_MAX; size *= 2) {
		autofree char *record = malloc(size);
		struct passwd user, *found_user = NULL;
		struct group group, *found_group = NULL;
		const char *found_name = NULL;
		int r;

		if (!record)
			return false;
		if (kind == PRINCIPAL_USER)
			r = name ? getpwnam_r(name, &user, record, size,
					      &found_user) :
				   getpwuid_r(answer->number, &user, record,
					      size, &found_user);
		else
			r = name ? getgrnam_r(name, &group, record, size,
					      &found_group) :
				   getgrgid_r(answer->number, &group, record,
					      size, &found_group);
		if (r == ERANGE)
			continue;
		if (found_user) {
			answer->number = found_user->pw_uid;
			found_name = found_user->pw_name;
		} else if (found_group) {
			answer->number = found_group->gr_gid;
			found_name = found_group->gr_name;
		}
		if (!found_name)
			return false;
		if (name)
			return true;
		answer->name_len = strlen(found_name);
		/* "#N" is how numbers are written. */
		if (answer->name_len == 0 || found_name[0] == '#' ||
		    answer->name_len > sizeof(answer->name))
			return false;
		memcpy(answer->name, found_name, answer->name_len);
		return true;
	}
	return false;
}

/* "#N", as idmap_user() writes it. */
static bool parse_number(struct slice name, uint32_t *ret)
{
	uint64_t number = 0;
	size_t i;

	if (name.len < 2 || name.len >= NUMBER_NAME_BYTES ||
	    name.data[0] != '#')
		return false;
	for (i = 1; i < name.len; i++) {
		if (name.data[i] < '0' || name.data[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(name.data[i] - '0');
	}
	/* (uid_t)-1 means "leave as it is" to chown(2). */
	if (number >= UINT32_MAX)
		return false;
	*ret = (uint32_t)number;
	return true;
}

static uint32_t default_number(enum principal kind)
{
	uint32_t number;

	pthread_mutex_lock(&idmap.mutex);
	if (idmap.has_default)
		number = idmap.default_number[kind];
	else
		number = kind == PRINCIPAL_USER ? geteuid() : getegid();
	pthread_mutex_unlock(&idmap.mutex);
	return number;
}

static struct slice name_of(enum principal kind, uint32_t number,
			    char *ret_name);

/* A number is nobody's name, wherever it was written: if somebody has it
 * here, that is somebody else. */
static bool number_is_free(enum principal kind, uint32_t number,
			   struct slice name)
{
	char text[PRINCIPAL_BYTES_MAX];

	return slice_equal(name_of(kind, number, text), name);
}

/* Of a name that is known here. */
static bool find_number(enum principal kind, struct slice name, uint32_t *ret)
{
	struct answer answer = { 0 };
	char text[PRINCIPAL_BYTES_MAX + 1];
	bool recalled;

	if (parse_number(name, ret))
		return number_is_free(kind, *ret, name);
	if (name.len == 0 || name.len > PRINCIPAL_BYTES_MAX ||
	    memchr(name.data, '\0', name.len))
		return false;
	pthread_mutex_lock(&idmap.mutex);
	recalled = recall(idmap.by_name[kind], name.data, name.len, &answer);
	pthread_mutex_unlock(&idmap.mutex);
	if (!recalled) {
		memcpy(text, name.data, name.len);
		text[name.len] = '\0';
		memcpy(answer.name, name.data, name.len);
		answer.name_len = name.len;
		answer.known = ask(kind, text, &answer);
		pthread_mutex_lock(&idmap.mutex);
		remember(NUMBER_OF_NAME, &idmap.by_name[kind], &answer);
		pthread_mutex_unlock(&idmap.mutex);
	}
	*ret = answer.number;
	return answer.known;
}

static uint32_t number_of(enum principal kind, struct slice name)
{
	uint32_t number;

	return find_number(kind, name, &number) ? number :
						  default_number(kind);
}

static struct slice name_of(enum principal kind, uint32_t number,
			    char *ret_name)
{
	struct answer answer = { .number = number };
	bool recalled;

	pthread_mutex_lock(&idmap.mutex);
	recalled = recall(idmap.by_number[kind], &number, sizeof(number),
			  &answer);
	pthread_mutex_unlock(&idmap.mutex);
	if (!recalled) {
		answer.known = ask(kind, NULL, &answer);
		if (!answer.known)
			answer.name_len = (size_t)snprintf(
				answer.name, sizeof(answer.name), "#%u",
				number);
		answer.number = number;
		pthread_mutex_lock(&idmap.mutex);
		remember(NAME_OF_NUMBER, &idmap.by_number[kind], &answer);
		pthread_mutex_unlock(&idmap.mutex);
	}
	memcpy(ret_name, answer.name, answer.name_len);
	return SLICE(ret_name, answer.name_len);
}

uint32_t idmap_uid(void *unused, struct slice user)
{
	(void)unused;
	return number_of(PRINCIPAL_USER, user);
}

uint32_t idmap_gid(void *unused, struct slice group)
{
	(void)unused;
	return number_of(PRINCIPAL_GROUP, group);
}

struct slice idmap_user(uint32_t uid, char *ret_name)
{
	return name_of(PRINCIPAL_USER, uid, ret_name);
}

struct slice idmap_group(uint32_t gid, char *ret_name)
{
	return name_of(PRINCIPAL_GROUP, gid, ret_name);
}

bool idmap_user_is_known(struct slice user)
{
	uint32_t number;

	return find_number(PRINCIPAL_USER, user, &number);
}

bool idmap_group_is_known(struct slice group)
{
	uint32_t number;

	return find_number(PRINCIPAL_GROUP, group, &number);
}

void idmap_set_default(uint32_t uid, uint32_t gid)
{
	pthread_mutex_lock(&idmap.mutex);
	idmap.has_default = true;
	idmap.default_number[PRINCIPAL_USER] = uid;
	idmap.default_number[PRINCIPAL_GROUP] = gid;
	pthread_mutex_unlock(&idmap.mutex);
}
