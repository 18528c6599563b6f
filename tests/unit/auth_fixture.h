/* What the suites of AUTH share: words of client and server, and a client. */
#ifndef SINKD_TESTS_AUTH_FIXTURE_H
#define SINKD_TESTS_AUTH_FIXTURE_H

#include <string.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"

/* In base64: PLAIN is NUL joe NUL and the password; the others are as rig_sasl.c has
 * them. */
#define PLAIN_RIGHT "AGpvZQBzZWNyZXQ="
#define PLAIN_WRONG "AGpvZQB3cm9uZw=="
#define PLAIN_LATER "AGpvZQBsYXRlcg=="
#define JOE         "am9l"
#define SECRET      "c2VjcmV0"
#define WRONG       "d3Jvbmc="
#define USERNAME    "VXNlcm5hbWU6"
#define PASSWORD    "UGFzc3dvcmQ6"
#define CRAM        "PDEuMkBzaW5rLmV4YW1wbGUudGVzdD4="
#define CRAM_RIGHT  "am9lIHJpZ2h0"
#define CRAM_WRONG  "am9lIHdyb25n"
#define SCRAM_FIRST "biwsbj1qb2Uscj14"
#define SCRAM_PROOF "Yz0scD1yaWdodA=="
#define SCRAM_WRONG "Yz0scD1sZWZ0"
#define SCRAM_LAST  "dj1yaWdodA=="

#define OK235      "235 2.7.0 Authentication successful\r\n"
#define INVALID    "535 5.7.8 Authentication credentials invalid\r\n"
#define CANCELLED  "501 5.7.0 Authentication cancelled\r\n"
#define BAD_BASE64 "501 5.5.2 Bad base64\r\n"
#define BAD_FORM   "501 5.5.2 Not in the form of the mechanism\r\n"
#define TOO_EARLY  "501 5.7.0 This mechanism has no initial response\r\n"
#define LATER      "454 4.7.0 Temporary authentication failure\r\n"
#define UNKNOWN    "504 5.5.4 Unknown authentication mechanism\r\n"
#define NEEDS_TLS  "538 5.7.11 This mechanism needs TLS\r\n"
#define NO_EHLO    "503 5.5.1 EHLO comes first\r\n"
#define NO_AUTH    "502 5.5.1 AUTH is not offered here\r\n"
#define AGAIN      "503 5.5.1 AUTH was given already\r\n"
#define IN_MAIL    "503 5.5.1 Not within a mail transaction\r\n"
#define SYNTAX     "501 5.5.4 Syntax: AUTH mechanism [response]\r\n"

static inline bool has(struct str s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* A client on this machine, where AUTH is optional. */
static inline void init(struct rig *r)
{
	rig_init(r);
	r->peer.settings.auth = LISTEN_AUTH_OPTIONAL;
	r->peer.is_loopback = true;
	/* Without plain_auth the mechanisms judge. */
	r->hooks.plain_auth = NULL;
}

static inline void begin(struct rig *r)
{
	rig_start(r);
	rig_say(r, EHLO);
	rig_forget(r);
}

#endif
