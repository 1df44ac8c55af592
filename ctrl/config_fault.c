/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config_fault.h"

#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64

/* Room for one more, in steps of doubling; NULL when memory is out. */
static struct config_fault *
grow(struct config_faults *faults)
{
	unsigned int n = faults->n;
	struct config_fault *more;

	if ((n & (n - 1)) == 0) {
		more = realloc(faults->fault,
			(n == 0 ? 1 : 2 * (size_t)n) * sizeof(*more));
		if (more == NULL)
			return NULL;
		faults->fault = more;
	}
	faults->n++;
	return &faults->fault[n];
}

static void
one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

void
faults_add_va(struct config_faults *faults, const char *file, int line,
	const char *format, va_list args)
{
	struct config_fault *f;

	if (faults->n >= FAULTS_MAX)
		return;
	f = grow(faults);
	if (f == NULL)
		return;
	snprintf(f->file, sizeof(f->file), "%s", file);
	f->line = line;
	vsnprintf(f->text, sizeof(f->text), format, args);
	if (faults->n == FAULTS_MAX)
		snprintf(f->text, sizeof(f->text),
			"too many faults; mend these first");
	one_line(f->file);
	one_line(f->text);
}

void
faults_add(struct config_faults *faults, const char *file, int line,
	const char *format, ...)
{
	va_list args;

	va_start(args, format);
	faults_add_va(faults, file, line, format, args);
	va_end(args);
}

/* What the comparison needs to know beside the two faults. */
struct file_order {
	char (*file)[256];
	unsigned int n;
};

static unsigned int
rank(const struct file_order *order, const char *file)
{
	unsigned int i;

	for (i = 0; i < order->n; i++)
		if (strcmp(order->file[i], file) == 0)
			break;
	return i;
}

static int
compare(const void *a, const void *b, void *ctx)
{
	const struct config_fault *x = a, *y = b;
	unsigned int rx = rank(ctx, x->file), ry = rank(ctx, y->file);

	if (rx != ry)
		return rx < ry ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return strcmp(x->text, y->text);
}

void
faults_sort(struct config_faults *faults, char (*file)[256], unsigned int n)
{
	struct file_order order = { file, n };
	unsigned int kept = 0;

	if (faults->n == 0)
		return;
	qsort_r(faults->fault, faults->n, sizeof(*faults->fault), compare,
		&order);
	for (unsigned int i = 1; i < faults->n; i++)
		if (compare(&faults->fault[kept], &faults->fault[i], &order))
			faults->fault[++kept] = faults->fault[i];
	faults->n = kept + 1;
}

void
config_faults_free(struct config_faults *faults)
{
	free(faults->fault);
	*faults = (struct config_faults){ 0 };
}

void
config_faults_print(const struct config_faults *faults, FILE *out)
{
	for (unsigned int i = 0; i < faults->n; i++)
		fprintf(out, "%s:%d: %s\n", faults->fault[i].file,
			faults->fault[i].line, faults->fault[i].text);
}

static unsigned int
min_of(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int
text_distance(const char *a, const char *b)
{
	unsigned int row[3][WORD_MAX], *before = row[0], *last = row[1],
				       *now = row[2], *spare;
	size_t n = strnlen(a, WORD_MAX - 1), m = strnlen(b, WORD_MAX - 1);

	for (unsigned int j = 0; j <= m; j++)
		last[j] = before[j] = j;
	for (unsigned int i = 1; i <= n; i++) {
		now[0] = i;
		for (unsigned int j = 1; j <= m; j++) {
			now[j] = min_of(last[j], now[j - 1]) + 1;
			now[j] = min_of(
				now[j], last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
				a[i - 2] == b[j - 1])
				now[j] = min_of(now[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[m];
}

const char *
text_nearest(const char *text, const char *const *names, unsigned int n)
{
	/* A third of the letters wrong is another word. */
	unsigned int best = (unsigned int)strnlen(text, WORD_MAX) / 3 + 2;
	const char *nearest = NULL;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int d =
			names[i] == NULL ? best : text_distance(text, names[i]);

		if (d < best) {
			best = d;
			nearest = names[i];
		}
	}
	return nearest;
}
