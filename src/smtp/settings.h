/* What the configuration decides about the protocol.  Immutable while in use;
 * strings belong to the configuration, which outlives the engine. */
#ifndef SINKD_SMTP_SETTINGS_H
#define SINKD_SMTP_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

/* What becomes of a CR or LF in message text that is not part of a CR LF pair.
 * Whatever is chosen, only CR LF . CR LF ends a message (RFC 5321, 2.3.8). */
enum bare_newline {
	BARE_NEWLINE_NORMALIZE, /* a lone LF counts as a line end and becomes CR LF */
	BARE_NEWLINE_REJECT,    /* 554 5.6.0 after the dot */
	BARE_NEWLINE_PRESERVE,  /* bytes as they came */
};

struct smtp_settings {
	const char *hostname;
	const char *greeting;      /* "%{hostname}" in it stands for the server's name */
	uint64_t message_size_max; /* octets as RFC 1870 counts them */
	size_t recipients_max;     /* per transaction */
	size_t line_length_max;    /* command lines, with their CR LF */
	unsigned errors_max;       /* 5xx of ours without a message delivered */
	size_t memory_max;         /* bytes per session */
	enum bare_newline bare_newline;
};

#endif
