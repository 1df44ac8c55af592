/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words of a libconfig file: just enough of its grammar to find
 * includes, integers and lines before libconfig itself reads the text.
 */
#ifndef CARRYALL_CONFIG_LEX_H
#define CARRYALL_CONFIG_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum token_kind {
	TOKEN_END,
	TOKEN_STRING,  /* quotes included */
	TOKEN_NUMBER,  /* a run of digits, letters, dots and signs */
	TOKEN_NAME,    /* or true, false */
	TOKEN_PUNCT,   /* any other character, alone */
	TOKEN_INCLUDE, /* @include "path": text is the path, unquoted */

	/* no tokens: what is wrong with the text */
	TOKEN_OPEN_STRING,
	TOKEN_OPEN_COMMENT,
	TOKEN_NUL,
};

struct token {
	enum token_kind kind;
	const char *text; /* text[0..len), in the file's text */
	size_t len;
	int line;   /* where it begins, from 1 */
	bool space; /* blanks or comments stand before it */
};

struct lex {
	const char *p, *end;
	int line;
	bool line_start; /* nothing but blanks before p on its line */
};

/* Begin with text[0..len), borrowed. */
void lex_init(struct lex *lex, const char *text, size_t len);

/* The next token; after TOKEN_END and the faults, the same again. */
struct token lex_next(struct lex *lex);

#endif
