/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of words. What cannot be understood is an error of the whole file,
 * never skipped: half of somebody's rules could settle a file that the other
 * half was to keep.
 */
#include "replication/net/handler_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAG_SECONDS_MAX (366u * 24 * 60 * 60)
/* Words of a line: `limit`, which, how much, a hook, and one too many. */
#define WORDS_MAX 5
/* A file changed less than so long ago, s, may change again within the same
 * tick of its clock (which some file systems have in seconds). */
#define YOUNG_S 2

static const struct {
	const char *name;
	enum handler_event event;
	size_t words;		/* of a line of it */
} events[] = {
	{ "conflict", HANDLER_CONFLICT, 3 },
	{ "open", HANDLER_OPEN, 3 },
	{ "applied", HANDLER_APPLIED, 2 },
	{ "peer", HANDLER_PEER, 2 },
	{ "lag", HANDLER_LAG, 3 },
};

const char *handler_event_name(enum handler_event event)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i].event == event)
			return events[i].name;
	return "";
}

/* ---- words */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes one word off the line, in place; NULL: it does not end. */
static char *take_word(char **line)
{
	char *from = *line, *to = from, *word = from;
	bool quoted = *from == '"';

	from += quoted;
	while (*from && (quoted ? *from != '"' : !is_blank(*from))) {
		if (quoted && *from == '\\' && from[1])
			from++;
		*to++ = *from++;
	}
	if (quoted && *from != '"')
		return NULL;
	from += *from != '\0';
	*to = '\0';
	*line = from;
	return word;
}

/* Returns how many, or -1: a quote does not end. */
static int split(char *line, char *ret[WORDS_MAX])
{
	int n = 0;

	while (n < WORDS_MAX) {
		while (is_blank(*line))
			line++;
		if (!*line || (!n && *line == '#'))
			break;
		ret[n] = take_word(&line);
		if (!ret[n++])
			return -1;
	}
	return n;
}

/* ---- lines */

/* A number, and one of the letters: of 1024, of 1024 of these, and so on. */
static bool parse_number(const char *text, const char *letters, uint64_t *ret)
{
	unsigned long long n;
	unsigned int shift = 0;
	const char *letter;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end) {
		letter = strchr(letters, *end++);
		if (!letter || *end)
			return false;
		shift = 10 * (unsigned int)(letter - letters + 1);
	}
	if (errno || n > UINT64_MAX >> shift)
		return false;
	*ret = (uint64_t)n << shift;
	return true;
}

static bool parse_seconds(const char *text, uint32_t *ret)
{
	uint64_t n;

	if (!parse_number(text, "", &n) || !n || n > LAG_SECONDS_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static const char wrong_name[] =
	"the hook is named by letters, digits, '.', '_' and '-', not "
	"beginning with '.'";

/* What is wrong with the words, or NULL. */
static const char *parse_words(char **words, size_t count,
			       struct handler_rule *ret)
{
	const char *hook = words[count - 1];
	size_t k = 0;

	while (k < ARRAY_SIZE(events) && strcmp(events[k].name, words[0]))
		k++;
	if (k == ARRAY_SIZE(events))
		return "a line begins with conflict, open, applied, peer, lag "
		       "or limit";
	ret->event = events[k].event;
	if (count != events[k].words)
		return events[k].words == 2
			       ? "a hook is to follow, and nothing else"
			       : "a pattern (or seconds) and a hook are to "
				 "follow, and nothing else";
	if (!hook_name_valid(SLICE_STR(hook)))
		return wrong_name;
	memcpy(ret->hook, hook, strlen(hook) + 1);
	if (ret->event == HANDLER_LAG)
		return parse_seconds(words[1], &ret->seconds)
			       ? NULL
			       : "the lag is a number of seconds, 1 to a year";
	if (count == 3) {
		ret->pattern = strdup(words[1]);
		return ret->pattern ? NULL : "out of memory";
	}
	return NULL;
}

/* Adds a rule. What is wrong, or NULL. */
static const char *add_rule(char **words, size_t count, size_t number,
			    struct handler_conf *c)
{
	struct handler_rule rule = { .pattern = NULL, .line = number };
	const char *wrong = parse_words(words, count, &rule);
	void *grown = NULL;

	if (!wrong && c->count == HANDLER_RULES_MAX)
		wrong = "too many lines";
	if (!wrong) {
		grown = realloc(c->rules, (c->count + 1) * sizeof(*c->rules));
		wrong = grown ? NULL : "out of memory";
	}
	if (wrong) {
		free(rule.pattern);
		return wrong;
	}
	c->rules = grown;
	c->rules[c->count++] = rule;
	return NULL;
}

/* ---- limits */

static const struct {
	const char *name, *letters;
	uint64_t min, max;
	const char *wrong;
} kinds[] = {
	[LIMIT_TIME] = { "time", "", 1, LIMIT_TIME_S_MAX,
			 "the time is a number of seconds, 1 to 3600" },
	[LIMIT_MEMORY] = { "memory", "KMG", LIMIT_MEMORY_MIN,
			   LIMIT_MEMORY_MAX,
			   "the memory is 16M to 64G" },
	[LIMIT_OUTPUT] = { "output", "KMG", LIMIT_OUTPUT_MIN,
			   LIMIT_OUTPUT_MAX, "the output is 1K to 1G" },
};

static const char *parse_limit(char **words, size_t count,
			       struct handler_limit *ret)
{
	size_t k = 0;

	if (count < 3 || count > 4)
		return "time, memory or output is to follow, a number, and a "
		       "hook or nothing more";
	while (k < ARRAY_SIZE(kinds) && strcmp(kinds[k].name, words[1]))
		k++;
	if (k == ARRAY_SIZE(kinds))
		return "a limit is one of time, memory and output";
	if (!parse_number(words[2], kinds[k].letters, &ret->value) ||
	    ret->value < kinds[k].min || ret->value > kinds[k].max)
		return kinds[k].wrong;
	ret->kind = (enum handler_limit_kind)k;
	if (count == 3)
		return NULL;
	if (!hook_name_valid(SLICE_STR(words[3])))
		return wrong_name;
	memcpy(ret->hook, words[3], strlen(words[3]) + 1);
	return NULL;
}

static const struct handler_limit *
find_limit(const struct handler_conf *c, enum handler_limit_kind kind,
	   const char *hook)
{
	for (size_t i = 0; i < c->limit_count; i++)
		if (c->limits[i].kind == kind &&
		    !strcmp(c->limits[i].hook, hook))
			return &c->limits[i];
	return NULL;
}

static const char *add_limit(char **words, size_t count, size_t number,
			     struct handler_conf *c)
{
	struct handler_limit limit = { .line = number };
	const char *wrong = parse_limit(words, count, &limit);
	void *grown;

	if (wrong)
		return wrong;
	if (c->limit_count == HANDLER_RULES_MAX)
		return "too many lines";
	if (find_limit(c, limit.kind, limit.hook))
		return "this limit was said before";
	grown = realloc(c->limits, (c->limit_count + 1) * sizeof(*c->limits));
	if (!grown)
		return "out of memory";
	c->limits = grown;
	c->limits[c->limit_count++] = limit;
	return NULL;
}

void handler_conf_limits(const struct handler_conf *c, const char *hook,
			 struct hook_limits *ret)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		const struct handler_limit *l =
			hook ? find_limit(c, k, hook) : NULL;

		if (!l)
			l = find_limit(c, k, "");
		if (!l)
			continue;
		switch (l->kind) {
		case LIMIT_TIME:
			ret->time_ms = 1000 * l->value;
			/* (of one that uses all of several processors) */
			ret->cpu_s = l->value;
			break;
		case LIMIT_MEMORY:
			ret->memory_bytes = l->value;
			break;
		case LIMIT_OUTPUT:
			ret->file_bytes = l->value;
			break;
		}
	}
}

/* ---- the text */

static int parse_line(const char *path, size_t number, char *line,
		      struct buf *why, struct handler_conf *c)
{
	char *words[WORDS_MAX];
	int count = split(line, words);
	const char *wrong = NULL;

	if (!count)
		return 0;
	if (count < 0)
		wrong = "a quote does not end";
	else if (!strcmp(words[0], "limit"))
		wrong = add_limit(words, (size_t)count, number, c);
	else
		wrong = add_rule(words, (size_t)count, number, c);
	if (!wrong)
		return 0;
	buf_printf(why, "%s:%zu: %s", path, number, wrong);
	return -EINVAL;
}

static int parse(const char *path, char *text, struct buf *why,
		 struct handler_conf *c)
{
	size_t number = 1;
	char *line;
	int r = 0;

	while (!r && (line = strsep(&text, "\n")))
		r = parse_line(path, number++, line, why, c);
	return r;
}

/* ---- the file */

/* 1: it may be read. 0: there is none. */
static int judge(const char *path, int fd, struct buf *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		buf_printf(why, "%s: refused: no regular file", path);
		return -EPERM;
	}
	if (st.st_uid && st.st_uid != geteuid()) {
		buf_printf(why, "%s: refused: it belongs to user %u; chown it",
			   path, (unsigned int)st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & 022) {
		buf_printf(why, "%s: refused: mode %03o lets others write it; "
			   "chmod go-w", path,
			   (unsigned int)st.st_mode & 0777);
		return -EPERM;
	}
	if (st.st_size > HANDLER_CONF_BYTES_MAX) {
		buf_printf(why, "%s: longer than %d bytes", path,
			   HANDLER_CONF_BYTES_MAX);
		return -E2BIG;
	}
	return 1;
}

/* The whole file, ended by a zero byte. */
static int read_text(const char *path, int fd, struct buf *why, char **ret)
{
	autofree char *text = malloc(HANDLER_CONF_BYTES_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (text && n > 0 && len < HANDLER_CONF_BYTES_MAX) {
		n = read(fd, text + len, HANDLER_CONF_BYTES_MAX - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	if (!text)
		return -ENOMEM;
	text[len] = '\0';
	if (strlen(text) != len) {
		buf_printf(why, "%s: it has a zero byte", path);
		return -EINVAL;
	}
	*ret = steal(&text);
	return 0;
}

int handler_conf_read(const char *path, struct buf *why,
		      struct handler_conf *ret)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
					      O_NONBLOCK);
	autofree char *text = NULL;
	struct handler_conf c = { .rules = NULL };
	int r = fd < 0 ? -errno : judge(path, fd, why);

	*ret = c;
	if (fd < 0 && r == -ENOENT)
		return 0;
	if (r > 0)
		r = read_text(path, fd, why, &text);
	if (!r)
		r = parse(path, text, why, &c);
	if (r < 0) {
		if (!why->len)
			buf_printf(why, "%s: %s", path, strerror(-r));
		handler_conf_release(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void handler_conf_release(struct handler_conf *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->rules[i].pattern);
	free(c->rules);
	free(c->limits);
	*c = (struct handler_conf){ .rules = NULL };
}

/* ---- has it changed? */

void handler_conf_look(const char *path, struct handler_conf_stamp *ret)
{
	struct timespec now;
	struct stat st;

	*ret = (struct handler_conf_stamp){ .known = true };
	clock_gettime(CLOCK_REALTIME, &now);
	if (lstat(path, &st) < 0) {
		ret->error = errno;
		return;
	}
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	ret->size = st.st_size;
	ret->changed = st.st_ctim;
	ret->modified = st.st_mtim;
	/* (one of the future, by a clock that went back, is not what the
	 * next change will be of) */
	ret->young = st.st_ctim.tv_sec <= now.tv_sec &&
		     now.tv_sec < st.st_ctim.tv_sec + YOUNG_S;
}

static bool time_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool handler_conf_same(const struct handler_conf_stamp *then,
		       const struct handler_conf_stamp *now)
{
	return then->known && !then->young &&
	       then->error == now->error && then->dev == now->dev &&
	       then->ino == now->ino && then->size == now->size &&
	       time_equal(then->changed, now->changed) &&
	       time_equal(then->modified, now->modified);
}

/* ---- which rule */

static bool matches(const char *pattern, const char *path)
{
	const char *name = strrchr(path, '/');

	if (strchr(pattern, '/'))
		return !fnmatch(pattern, path, FNM_PATHNAME);
	return !fnmatch(pattern, name ? name + 1 : path, 0);
}

const struct handler_rule *handler_conf_find(const struct handler_conf *c,
					     enum handler_event event,
					     const char *path)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct handler_rule *rule = &c->rules[i];

		if (rule->event == event &&
		    (!rule->pattern || (path && matches(rule->pattern, path))))
			return rule;
	}
	return NULL;
}

bool handler_conf_has(const struct handler_conf *c, enum handler_event event)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->rules[i].event == event)
			return true;
	return false;
}
