/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config_lex.h"

#include <ctype.h>
#include <string.h>

void
lex_init(struct lex *lex, const char *text, size_t len)
{
	*lex = (struct lex){ text, text + len, 1, true };
}

/* The character `i` ahead, or 0 at the end. */
static char
peek(const struct lex *lex, size_t i)
{
	return (size_t)(lex->end - lex->p) > i ? lex->p[i] : 0;
}

static void
step(struct lex *lex)
{
	char c = *lex->p++;

	if (c == '\n') {
		lex->line++;
		lex->line_start = true;
	} else if (c != ' ' && c != '\t') {
		lex->line_start = false;
	}
}

static bool
skip_line_comment(struct lex *lex)
{
	if (peek(lex, 0) != '#' &&
		!(peek(lex, 0) == '/' && peek(lex, 1) == '/'))
		return false;
	while (lex->p < lex->end && *lex->p != '\n')
		step(lex);
	return true;
}

/* False with p at the comment's start if it has no end. */
static bool
skip_block_comment(struct lex *lex)
{
	struct lex start = *lex;

	step(lex);
	step(lex);
	for (; lex->p < lex->end; step(lex)) {
		if (peek(lex, 0) == '*' && peek(lex, 1) == '/') {
			step(lex);
			step(lex);
			return true;
		}
	}
	*lex = start;
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* Skip blanks and comments. False: at a comment without an end. */
static bool
skip(struct lex *lex, bool *skipped)
{
	const char *start = lex->p;
	bool closed = true;

	for (;;) {
		if (is_blank(peek(lex, 0)))
			step(lex);
		else if (peek(lex, 0) == '/' && peek(lex, 1) == '*')
			closed = skip_block_comment(lex);
		else if (!skip_line_comment(lex))
			break;
		if (!closed)
			break;
	}
	*skipped = lex->p != start;
	return closed;
}

/* From the opening quote past the closing one; false if there is none. */
static bool
skip_string(struct lex *lex)
{
	struct lex start = *lex;

	step(lex);
	while (lex->p < lex->end && *lex->p != '"' && *lex->p != 0) {
		if (*lex->p == '\\' && peek(lex, 1) != 0)
			step(lex);
		step(lex);
	}
	if (peek(lex, 0) == '"') {
		step(lex);
		return true;
	}
	*lex = start;
	return false;
}

static void
take_string(struct lex *lex, struct token *t)
{
	if (!skip_string(lex)) {
		t->kind = TOKEN_OPEN_STRING;
		return;
	}
	t->kind = TOKEN_STRING;
	t->len = (size_t)(lex->p - t->text);
}

/* Letters and dots belong to it, and a sign behind an exponent. */
static void
take_number(struct lex *lex, struct token *t)
{
	bool hex = peek(lex, 0) == '0' && (peek(lex, 1) | 32) == 'x';

	t->kind = TOKEN_NUMBER;
	do {
		char last = *lex->p;
		char c;

		step(lex);
		c = peek(lex, 0);
		if (!isalnum((unsigned char)c) && c != '.' &&
			!(!hex && (last | 32) == 'e' && (c == '+' || c == '-')))
			break;
	} while (lex->p < lex->end);
	t->len = (size_t)(lex->p - t->text);
}

static void
take_name(struct lex *lex, struct token *t)
{
	t->kind = TOKEN_NAME;
	while (isalnum((unsigned char)peek(lex, 0)) ||
		(peek(lex, 0) != 0 && strchr("-_*", peek(lex, 0)) != NULL))
		step(lex);
	t->len = (size_t)(lex->p - t->text);
}

/* An include stands at the start of its line, as libconfig has it. */
static bool
take_include(struct lex *lex, struct token *t)
{
	static const char word[] = "@include";
	const size_t n = sizeof(word) - 1;
	struct lex start = *lex;

	if (!lex->line_start || (size_t)(lex->end - lex->p) < n ||
		memcmp(lex->p, word, n) != 0)
		return false;
	lex->p += n;
	while (peek(lex, 0) == ' ' || peek(lex, 0) == '\t')
		step(lex);
	t->text = lex->p + 1;
	if (lex->p == start.p + n || peek(lex, 0) != '"' || !skip_string(lex)) {
		*lex = start;
		t->text = lex->p;
		return false;
	}
	t->kind = TOKEN_INCLUDE;
	t->len = (size_t)(lex->p - 1 - t->text);
	lex->line_start = false;
	return true;
}

static bool
begins_number(const struct lex *lex)
{
	char c = peek(lex, 0), next = peek(lex, 1);

	if (c == '+' || c == '-')
		return isdigit((unsigned char)next) || next == '.';
	return isdigit((unsigned char)c) || c == '.';
}

static void
take(struct lex *lex, struct token *t)
{
	char c = peek(lex, 0);

	if (c == 0)
		t->kind = TOKEN_NUL;
	else if (c == '"')
		take_string(lex, t);
	else if (begins_number(lex))
		take_number(lex, t);
	else if (isalpha((unsigned char)c) || c == '*')
		take_name(lex, t);
	else if (c != '@' || !take_include(lex, t)) {
		t->kind = TOKEN_PUNCT;
		t->len = 1;
		step(lex);
	}
}

struct token
lex_next(struct lex *lex)
{
	struct token t = { .kind = TOKEN_END };
	bool closed = skip(lex, &t.space);

	t.text = lex->p;
	t.line = lex->line;
	if (!closed)
		t.kind = TOKEN_OPEN_COMMENT;
	else if (lex->p < lex->end)
		take(lex, &t);
	return t;
}
