/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file and all it includes, as one text for libconfig.
 *
 * libconfig 1.5 could read the files by itself, but then
 *   - an integer beyond 32 bits wraps without an error,
 *   - a relative include is looked for in the working directory,
 *   - a string that is the last of a list is said to stand on the line of
 *     the bracket behind it, since the parser has read that far.
 *
 * So the files are taken apart into tokens here and written out again: an
 * integer beyond 32 bits gets the suffix L, which makes libconfig read all
 * of it; the tokens of an include stand where the include stood; and what
 * closes or separates follows a string on its line. Each line written comes
 * from one line of one file, and `origin` says from which.
 */
#include "ctrl/config_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/config_fault.h"
#include "ctrl/config_lex.h"

/* Where we are: a file, and the include that led to it. */
struct place {
	unsigned int file;
	unsigned int depth;
};

static int read_tokens(
	struct source *s, struct place at, const char *text, size_t len);

#define FAULT(s, at, at_line, ...)                                         \
	((s)->failed = true, faults_add((s)->faults, (s)->file[(at).file], \
				     (at_line), __VA_ARGS__))

static int
reserve(struct source *s, size_t more)
{
	size_t size = s->size;
	char *text;

	if (s->len + more + 1 <= size)
		return 0;
	while (size < s->len + more + 1)
		size = size == 0 ? 4096 : 2 * size;
	text = realloc(s->text, size);
	if (text == NULL)
		return -ENOMEM;
	s->text = text;
	s->size = size;
	return 0;
}

static int
put(struct source *s, const char *text, size_t len)
{
	if (reserve(s, len) < 0)
		return -ENOMEM;
	memcpy(s->text + s->len, text, len);
	s->len += len;
	s->text[s->len] = '\0';
	return 0;
}

static int
add_origin(struct source *s, unsigned int file, int line)
{
	size_t size = s->lines_size == 0 ? 256 : 2 * s->lines_size;
	struct source_origin *origin;

	if (s->n_lines == s->lines_size) {
		origin = realloc(s->origin, size * sizeof(*origin));
		if (origin == NULL)
			return -ENOMEM;
		s->origin = origin;
		s->lines_size = size;
	}
	s->origin[s->n_lines++] = (struct source_origin){ file, line };
	return 0;
}

/* Begin a new line of the text if the token does not stand on this one. */
static int
put_break(struct source *s, struct place at, const struct token *t)
{
	const struct source_origin *last =
		s->n_lines == 0 ? NULL : &s->origin[s->n_lines - 1];
	bool closes = t->kind == TOKEN_PUNCT && strchr(",;)}]", *t->text);

	if (s->after_string && closes)
		return 0;
	if (last != NULL && last->file == at.file && last->line == t->line)
		return t->space ? put(s, " ", 1) : 0;
	if (last != NULL && put(s, "\n", 1) < 0)
		return -ENOMEM;
	return add_origin(s, at.file, t->line);
}

/* A string may go on over several lines. */
static int
put_string(struct source *s, struct place at, const struct token *t)
{
	int line = t->line;

	for (size_t i = 0; i < t->len; i++)
		if (t->text[i] == '\n' && add_origin(s, at.file, ++line) < 0)
			return -ENOMEM;
	return put(s, t->text, t->len);
}

/* The length of an integer without its suffix, or 0 if it is none. */
static size_t
integer_digits(const struct token *t, bool *hex, bool *suffix)
{
	size_t n = *t->text == '+' || *t->text == '-', end = t->len;
	size_t sign = n;

	while (end > n && end > t->len - 2 && t->text[end - 1] == 'L')
		end--;
	*suffix = end != t->len;
	*hex = !sign && end > 2 && t->text[0] == '0' &&
	       (t->text[1] | 32) == 'x';
	for (n += *hex ? 2 : 0; n < end; n++)
		if (!(*hex ? isxdigit((unsigned char)t->text[n])
			   : isdigit((unsigned char)t->text[n])))
			return 0;
	return end > sign ? end : 0;
}

/*
 * Decimal always, so that "010" is 10 in every version of libconfig; too wide
 * for its int: with an L, and cut to 64 bits.
 */
static int
put_number(struct source *s, const struct token *t)
{
	bool hex, suffix;
	char digits[32];
	long long v;

	if (integer_digits(t, &hex, &suffix) == 0)
		return put(s, t->text, t->len);
	/* The file's text ends with a NUL, so that this stops. */
	v = strtoll(t->text, NULL, hex ? 16 : 10);
	snprintf(digits, sizeof(digits), "%lld%s", v,
		v != (int32_t)v || suffix ? "L" : "");
	return put(s, digits, strlen(digits));
}

static int
put_punct(struct source *s, struct place at, const struct token *t)
{
	if (strchr("({[", *t->text) != NULL && ++s->nest > SOURCE_NEST_MAX) {
		FAULT(s, at, t->line,
			"brackets nested more than %d deep; no key needs it",
			SOURCE_NEST_MAX);
		return -EINVAL;
	}
	if (strchr(")}]", *t->text) != NULL && s->nest > 0)
		s->nest--;
	return put(s, t->text, 1);
}

/* Into buf: `path` as seen from the folder of `from`. */
static int
beside(const char *from, const char *path, size_t len, char buf[256])
{
	const char *slash = strrchr(from, '/');
	int dir = slash == NULL || *path == '/' ? 0 : (int)(slash - from) + 1;

	return snprintf(buf, 256, "%.*s%.*s", dir, from, (int)len, path) < 256
		       ? 0
		       : -ENAMETOOLONG;
}

/* What open() says, for people. */
static const char *
load_reason(int err)
{
	if (err == -EFBIG)
		return "it is larger than 4 MiB";
	if (err == -EISDIR)
		return "it is not a plain file";
	return strerror(-err);
}

static int
read_all(int fd, char *text, size_t size, size_t *len)
{
	ssize_t n;

	for (*len = 0; *len < size; *len += (size_t)n) {
		n = read(fd, text + *len, size - *len);
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
	}
	return -EFBIG;
}

/* A plain file's content and a NUL behind it; the caller frees it. */
static int
load(const char *path, char **text, size_t *len)
{
	int err, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	*text = NULL;
	err = fstat(fd, &st) < 0 ? -errno : 0;
	if (err == 0 && !S_ISREG(st.st_mode))
		err = -EISDIR;
	if (err == 0)
		*text = malloc(SOURCE_BYTES_MAX + 1);
	if (err == 0)
		err = *text == NULL
			      ? -ENOMEM
			      : read_all(fd, *text, SOURCE_BYTES_MAX, len);
	close(fd);
	if (err < 0)
		free(*text);
	else
		(*text)[*len] = '\0';
	return err;
}

static int
add_file(struct source *s, const char *path)
{
	if (s->file == NULL)
		s->file = calloc(SOURCE_FILES_MAX, sizeof(*s->file));
	if (s->file == NULL)
		return -ENOMEM;
	snprintf(s->file[s->n_files++], sizeof(*s->file), "%s", path);
	return 0;
}

/* What keeps the file `path` from being included at `at`, or NULL. */
static const char *
include_limit(const struct source *s, struct place at, int err)
{
	if (err < 0)
		return "its path is too long";
	if (at.depth + 1 > SOURCE_DEPTH_MAX)
		return "includes are nested more than 10 deep: a loop?";
	if (s->n_files == SOURCE_FILES_MAX)
		return "more than 64 files";
	return NULL;
}

static int
include(struct source *s, struct place at, const struct token *t)
{
	char path[256], *text;
	int err = beside(s->file[at.file], t->text, t->len, path);
	const char *limit = include_limit(s, at, err);
	size_t len;

	if (limit == NULL) {
		err = load(path, &text, &len);
		limit = err < 0 ? load_reason(err) : NULL;
	}
	if (limit != NULL) {
		FAULT(s, at, t->line,
			"cannot include \"%.*s\": %s; a path is taken from the "
			"folder of the file it stands in",
			(int)(t->len < 255 ? t->len : 255), t->text, limit);
		return 0;
	}
	at = (struct place){ s->n_files, at.depth + 1 };
	err = add_file(s, path);
	if (err == 0)
		err = read_tokens(s, at, text, len);
	free(text);
	return err;
}

static int
unreadable(struct source *s, struct place at, const struct token *t)
{
	const char *what = t->kind == TOKEN_NUL ? "a NUL byte; only text is"
						  " allowed"
			   : t->kind == TOKEN_OPEN_STRING
				   ? "this string has no end; a \" is missing"
				   : "this comment has no end; a */ is missing";

	FAULT(s, at, t->line, "%s", what);
	return -EINVAL;
}

static int
put_token(struct source *s, struct place at, const struct token *t)
{
	int err;

	if (t->kind == TOKEN_INCLUDE)
		return include(s, at, t);
	if (t->kind > TOKEN_INCLUDE)
		return unreadable(s, at, t);
	err = put_break(s, at, t);
	if (err < 0)
		return err;
	s->after_string = t->kind == TOKEN_STRING;
	if (t->kind == TOKEN_STRING)
		return put_string(s, at, t);
	if (t->kind == TOKEN_NUMBER)
		return put_number(s, t);
	if (t->kind == TOKEN_PUNCT)
		return put_punct(s, at, t);
	return put(s, t->text, t->len);
}

static int
read_tokens(struct source *s, struct place at, const char *text, size_t len)
{
	struct lex lex;
	struct token t;
	int err = 0;

	lex_init(&lex, text, len);
	for (t = lex_next(&lex); err == 0 && t.kind != TOKEN_END;
		t = lex_next(&lex)) {
		err = put_token(s, at, &t);
		if (err == 0 && s->len > SOURCE_BYTES_MAX) {
			FAULT(s, at, t.line, "more than 4 MiB of text in all");
			err = -EFBIG;
		}
	}
	return err;
}

/* The outcome of reading; memory that ran out is a fault as well. */
static int
finish(struct source *s, const char *path, int err)
{
	if (err == 0)
		err = put(s, "\n", 1);
	if (err == -ENOMEM)
		faults_add(s->faults, path, 1, "memory is out");
	return s->failed || err < 0 ? -EINVAL : 0;
}

int
source_read_text(struct source *s, const char *path, const char *text,
	size_t len, struct config_faults *faults)
{
	char *copy = malloc(len + 1);
	int err = copy == NULL ? -ENOMEM : 0;

	*s = (struct source){ .faults = faults };
	if (err == 0)
		err = add_file(s, path);
	if (err == 0) {
		memcpy(copy, text, len);
		copy[len] = '\0';
		err = read_tokens(s, (struct place){ 0, 0 }, copy, len);
	}
	free(copy);
	return finish(s, path, err);
}

int
source_read(struct source *s, const char *path, struct config_faults *faults)
{
	char *text;
	size_t len;
	int err = strlen(path) < sizeof(*s->file) ? load(path, &text, &len)
						  : -ENAMETOOLONG;

	*s = (struct source){ .faults = faults };
	if (err < 0) {
		faults_add(faults, path, 0, "cannot read it: %s",
			load_reason(err));
		return -EINVAL;
	}
	err = add_file(s, path);
	if (err == 0)
		err = read_tokens(s, (struct place){ 0, 0 }, text, len);
	free(text);
	return finish(s, path, err);
}

void
source_free(struct source *s)
{
	free(s->text);
	free(s->origin);
	free(s->file);
	*s = (struct source){ 0 };
}

int
source_line(const struct source *s, int line, const char **file)
{
	struct source_origin o = { 0, 1 };
	size_t n = (size_t)line;

	if (line > 0 && s->n_lines > 0)
		o = s->origin[n <= s->n_lines ? n - 1 : s->n_lines - 1];
	*file = s->file[o.file];
	return o.line;
}
