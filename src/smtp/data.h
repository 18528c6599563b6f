/* Message text out of the DATA stream: dot-unstuffing and the end of data
 * (RFC 5321, 4.5.2); and out of the chunks of BDAT, which have neither (RFC 3030).
 * Pure; never allocates. */
#ifndef SINKD_SMTP_DATA_H
#define SINKD_SMTP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/settings.h"

/* Named by what has been seen; held bytes have not been emitted yet. */
enum data_state {
	DATA_AT_LINE_START,    /* nothing yet, or CR LF */
	DATA_IN_LINE,          /* anything else */
	DATA_SEEN_CR,          /* CR, emitted */
	DATA_SEEN_DOT,         /* CR LF, then a dot, held */
	DATA_SEEN_DOT_CR,      /* CR LF, then a dot and CR, both held */
	DATA_AT_LONE_LF,       /* a lone LF that counts as a line end */
	DATA_SEEN_LONE_LF_DOT, /* the same, then a dot, held */
};

struct data {
	enum data_state state;
	enum bare_newline bare_newline;
	bool has_bare_newline; /* sticky: a lone CR or LF was seen */
	bool is_chunked;       /* dots are nothing special, and there is no end */
	uint64_t octets;       /* so far, as RFC 1870 counts them */
};

enum data_outcome { DATA_MORE, DATA_END };

typedef void (*data_emit_fn)(void *user, const char *p, size_t n);

void data_init(struct data *d, enum bare_newline bare_newline);

/* Decode message bytes.  Reads at most n bytes of p and sets *ret_used (all of
 * them unless the end was found); emits runs of decoded bytes through emit, as
 * long as the input allows and never empty.  A lone CR is looked for only where
 * it would be refused (BARE_NEWLINE_REJECT). */
enum data_outcome data_decode(struct data *d, const char *p, size_t n, size_t *ret_used,
	data_emit_fn emit, void *user);

/* The same for octets of a chunk: no dots, no end, and all n are used.  A CR may be the
 * last of one call, and its LF the first of the next. */
void data_add_chunk(
	struct data *d, const char *p, size_t n, data_emit_fn emit, void *user);

/* Whether the text has a lone CR or LF, as far as that was looked for, if it ends
 * here. */
bool data_has_bare_newline(const struct data *d);

#endif
