/* Mailboxes and paths of MAIL and RCPT (RFC 5321, 4.1.2 and 4.1.3; RFC 6531, 3.3).
 * Pure. */
#ifndef SINKD_SMTP_ADDRESS_H
#define SINKD_SMTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/str.h"

/* mailbox: as sent, without brackets and source route; empty: the null path.
 * local: the local part without quoting ("john doe"@x gives john doe).
 * domain: as sent, an address literal with its brackets; empty for <postmaster>. */
struct address {
	struct str mailbox;
	struct str local;
	struct str domain;
};

enum address_outcome {
	ADDRESS_OK,
	ADDRESS_BAD_SYNTAX,
	ADDRESS_NO_DOMAIN, /* a local part alone, other than postmaster */
	ADDRESS_NOT_ASCII, /* wrong, and not ASCII, which it has to be */
	ADDRESS_NO_MEMORY, /* the arena is full */
};

/* Which exceptions a path may make. */
enum path_kind {
	PATH_REVERSE, /* MAIL: <> is fine */
	PATH_FORWARD, /* RCPT: <postmaster> is fine, in any case */
};

/* Parse a path with its angle brackets at the beginning of in; a source route
 * is checked and dropped (RFC 5321, appendix C).  may_be_utf8: local part and domain
 * may have printable characters beyond ASCII (RFC 6531).  *ret_rest is what follows the
 * closing bracket.  All of ret is copied into the arena. */
enum address_outcome address_parse_path(struct str in, enum path_kind kind,
	bool may_be_utf8, struct arena *arena, struct address *ret, struct str *ret_rest);

/* The length of the mailbox, with hostname where there is no domain. */
size_t address_full_length(const struct address *a, const char *hostname);

/* The extension of a local part: what follows its first "+", or nothing. */
struct str address_extension(struct str local);

/* One or more of the characters of an atom (RFC 5322, 3.2.3). */
bool address_is_atom(struct str s);

/* A domain name (letters, digits, hyphens, underscores; at most 255 octets) or
 * an address literal in brackets. */
bool address_is_domain(struct str s);

#endif
