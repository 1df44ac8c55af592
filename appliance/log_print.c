/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/log_print.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#define MS_PER_S 1000

const char *
log_print_time(uint64_t wall_ms, char separator, char buf[32])
{
	time_t s = (time_t)(wall_ms / MS_PER_S);
	char date[24];
	struct tm tm;

	/* Far beyond our century it is no time that anybody wrote. */
	if (wall_ms / MS_PER_S > UINT32_MAX || gmtime_r(&s, &tm) == NULL ||
		strftime(date, sizeof(date),
			separator == 'T' ? "%Y-%m-%dT%H:%M:%S"
					 : "%Y-%m-%d %H:%M:%S",
			&tm) == 0) {
		snprintf(buf, 32, "%" PRIu64 "ms", wall_ms);
		return buf;
	}
	snprintf(buf, 32, "%s.%03u%s", date, (unsigned int)(wall_ms % MS_PER_S),
		separator == 'T' ? "Z" : "");
	return buf;
}

/* data[0..len) as hexadecimal digits; buf holds 2 * len + 1. */
static const char *
hex(const void *data, size_t len, char *buf)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < len; i++)
		snprintf(buf + 2 * i, 3, "%02x", byte[i]);
	buf[2 * len] = '\0';
	return buf;
}

/* --- for people --- */

/* The fields are told before the kind, which stands before them. */
struct line {
	char text[4096];
	size_t len;
};

static void
line_add(struct line *line, const char *name, const char *value)
{
	size_t room = sizeof(line->text) - line->len;
	int n = snprintf(line->text + line->len, room, "%s%s %s",
		line->len > 0 ? " " : "", name, value);

	if (n > 0)
		line->len += (size_t)n < room ? (size_t)n : room - 1;
}

static void
line_text(void *ctx, const char *name, const char *value)
{
	line_add(ctx, name, value);
}

static void
line_number(void *ctx, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	line_add(ctx, name, text);
}

static const char *
kind_of(const struct log_print *p, const struct plog_record *r,
	const struct nf_fields *fields)
{
	if (p->nf == NULL || p->nf->record == NULL)
		return NULL;
	return p->nf->record(r->kind, r->data, r->len, fields);
}

static void
print_line(struct log_print *p, const struct plog_record *r)
{
	struct line line = { .len = 0 };
	struct nf_fields fields = { &line, line_text, line_number };
	char when[32], number[16], data[2 * PLOG_RECORD_MAX + 1];
	const char *kind = kind_of(p, r, &fields);

	if (kind == NULL) {
		snprintf(number, sizeof(number), "kind-%u", r->kind);
		kind = number;
		line.len = 0;
		line_add(&line, "data", hex(r->data, r->len, data));
	}
	fprintf(p->out, "%8" PRIu64 "  %s  %-12s %s\n", r->lsn,
		log_print_time(r->block->wall_ms, ' ', when), kind, line.text);
}

/* --- JSON --- */

static void
json_text(void *ctx, const char *name, const char *value)
{
	json_t *string = json_string(value);

	/* What is not UTF-8 is no JSON. */
	json_object_set_new(
		ctx, name, string != NULL ? string : json_string("(not text)"));
}

static void
json_number(void *ctx, const char *name, uint64_t value)
{
	json_object_set_new(ctx, name, json_integer((json_int_t)value));
}

static void
json_unknown(json_t *o, const struct plog_record *r)
{
	char number[16], data[2 * PLOG_RECORD_MAX + 1];

	snprintf(number, sizeof(number), "kind-%u", r->kind);
	json_text(o, "kind", number);
	json_text(o, "data", hex(r->data, r->len, data));
}

static void
print_json(struct log_print *p, const struct plog_record *r)
{
	json_t *o = json_object(), *told = json_object();
	struct nf_fields fields = { told, json_text, json_number };
	char when[32];
	const char *kind = kind_of(p, r, &fields);

	json_number(o, "lsn", r->lsn);
	json_text(o, "time", log_print_time(r->block->wall_ms, 'T', when));
	if (kind == NULL) {
		json_unknown(o, r);
	} else {
		json_text(o, "kind", kind);
		json_object_update_missing(o, told);
	}
	json_dumpf(o, p->out, JSON_COMPACT);
	fputc('\n', p->out);
	json_decref(told);
	json_decref(o);
}

/* --- either --- */

static void
print_missed(struct log_print *p, uint64_t n)
{
	fprintf(p->out,
		p->json ? "{\"overwritten\":%" PRIu64 "}\n"
			: "%" PRIu64 " records were overwritten before they "
			  "were read\n",
		n);
}

int
log_print_record(struct log_print *p, const struct plog_record *r)
{
	if (p->last != 0 && r->lsn > p->last + 1)
		print_missed(p, r->lsn - p->last - 1);
	p->last = r->lsn;
	if (p->json)
		print_json(p, r);
	else
		print_line(p, r);
	return ferror(p->out) ? -EPIPE : 0;
}
