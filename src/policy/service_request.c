/* Requests to a policy service; see service_request.h.
 *
 * Runs in workers.  Values come from clients: a line end in one would begin an attribute
 * of theirs.  Pure.
 *
 * Known limits, empty where Postfix may have something to say: sasl_method, ccert_issuer,
 * the fingerprints, etrn_domain, stress; and server_address, unless a proxy has told it.
 */
#include "policy/service_request.h"

#include <string.h>

#include "base/utf8.h"
#include "smtp/envelope.h"

static const char *const stage_names[] = {
#define SERVICE_STAGE_NAME(id, name) name,
	SERVICE_STAGES(SERVICE_STAGE_NAME)
#undef SERVICE_STAGE_NAME
};

/* "name=value"; what is no printable text is shown as "?". */
static void add(struct buf *out, const char *name, struct str value)
{
	if (value.n > SERVICE_VALUE_MAX)
		value.n = SERVICE_VALUE_MAX;
	(void)buf_add_text(out, name);
	(void)buf_add_text(out, "=");
	for (size_t n; value.n > 0; value = str_skip(value, n)) {
		n = utf8_printable(value);
		if (n > 0)
			(void)buf_add(out, value.p, n);
		else
			(void)buf_add_text(out, "?");
		n = n > 0 ? n : 1;
	}
	(void)buf_add_text(out, "\n");
}

static void add_text(struct buf *out, const char *name, const char *value)
{
	add(out, name, str_of(value));
}

static void add_number(struct buf *out, const char *name, uint64_t value)
{
	(void)buf_add_format(out, "%s=%llu\n", name, (unsigned long long)value);
}

static struct str or_unknown(struct str s)
{
	return s.n > 0 ? s : STR("unknown");
}

/* Who comes by a Unix socket is on this machine. */
static void add_client(const struct envelope_client *c, struct buf *out)
{
	bool is_unix = str_equal(c->address, STR("unix"));
	struct str name = is_unix ? STR("localhost") : or_unknown(c->name);

	add(out, "client_address", is_unix ? STR("127.0.0.1") : or_unknown(c->address));
	add(out, "client_name", name);
	add(out, "reverse_client_name", name);
	add_number(out, "client_port", c->port);
	add(out, "server_address", c->proxy_address);
	add_number(out, "server_port", c->proxy_port);
}

/* Before MAIL there is none. */
static void add_message(const struct service_question *q, struct buf *out)
{
	const struct envelope *e = q->envelope;
	bool is_whole = q->stage == SERVICE_DATA || q->stage == SERVICE_MESSAGE;
	struct str recipient = q->recipient;

	if (is_whole && e->recipient_count == 1)
		recipient = e->recipients[0].address.mailbox;
	add_text(out, "queue_id", e->stamp.id);
	add(out, "sender", e->sender.mailbox);
	add(out, "recipient", recipient);
	add_number(out, "recipient_count", is_whole ? e->recipient_count : 0);
	add(out, "sasl_sender", e->auth_sender);
	add_number(out, "size",
		q->stage == SERVICE_MESSAGE ? e->size_bytes : e->declared_size);
}

/* ---------------------------------------------------------------------- TLS */

/* Octets that Postfix writes as they are. */
static bool is_xtext(char c)
{
	return c > 0x20 && c < 0x7f && c != '+' && c != '=';
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = memchr(digits, str_lower(c), sizeof(digits) - 1);

	return found == NULL ? -1 : (int)(found - digits);
}

/* Take one octet off an attribute value of RFC 4514, escaped or not. */
static char take_octet(struct str *s)
{
	char c = s->p[0];
	size_t n = 1;

	if (c == '\\' && s->n > 2 && hex_digit(s->p[1]) >= 0 && hex_digit(s->p[2]) >= 0) {
		c = (char)(hex_digit(s->p[1]) * 16 + hex_digit(s->p[2]));
		n = 3;
	} else if (c == '\\' && s->n > 1) {
		c = s->p[1];
		n = 2;
	}
	*s = str_skip(*s, n);
	return c;
}

/* The first common name of a subject (RFC 4514), as xtext (RFC 3461, 4). */
static void add_common_name(struct str subject, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	bool is_start = true;

	(void)buf_add_text(out, "ccert_subject=");
	while (subject.n > 0 && !(is_start && str_starts_nocase(subject, STR("CN=")))) {
		char first = subject.p[0];

		(void)take_octet(&subject);
		is_start = first == ',' || first == '+';
	}
	subject = str_skip(subject, sizeof("CN=") - 1);
	for (size_t i = 0; i < SERVICE_VALUE_MAX && subject.n > 0 &&
			   subject.p[0] != ',' && subject.p[0] != '+';
		i++) {
		char c = take_octet(&subject);
		const char code[] = {'+', digits[(unsigned char)c >> 4],
			digits[(unsigned char)c & 15]};

		if (is_xtext(c))
			(void)buf_add(out, &c, 1);
		else
			(void)buf_add(out, code, sizeof(code));
	}
	(void)buf_add_text(out, "\n");
}

/* By the names that ciphers have. */
static unsigned key_bits(struct str cipher)
{
	static const struct {
		struct str part;
		unsigned bits;
	} parts[] = {
		{STR("_128_"), 128},
		{STR("_256_"), 256},
		{STR("CHACHA20"), 256},
		{STR("3DES"), 168},
	};

	for (size_t i = 0; cipher.n > 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (memmem(cipher.p, cipher.n, parts[i].part.p, parts[i].part.n) != NULL)
			return parts[i].bits;
	return 0;
}

static void add_tls(const struct envelope_tls *tls, struct buf *out)
{
	add_common_name(tls->subject, out);
	add_text(out, "ccert_issuer", "");
	add_text(out, "ccert_fingerprint", "");
	add_text(out, "ccert_pubkey_fingerprint", "");
	add(out, "encryption_protocol", tls->version);
	add(out, "encryption_cipher", tls->cipher);
	add_number(out, "encryption_keysize", key_bits(tls->cipher));
}

/* ------------------------------------------------------------------ request */

void service_request_add(const struct service_question *q, struct buf *out)
{
	const struct envelope_client *c = &q->envelope->client;
	bool is_helo = q->stage == SERVICE_HELO || q->stage == SERVICE_EHLO;

	add_text(out, "request", "smtpd_access_policy");
	add_text(out, "protocol_state", stage_names[q->stage]);
	add_text(out, "protocol_name",
		c->is_lmtp                                ? "LMTP"
		: q->stage == SERVICE_EHLO                ? "ESMTP"
		: q->stage != SERVICE_HELO && c->is_esmtp ? "ESMTP"
							  : "SMTP");
	add_client(c, out);
	add(out, "helo_name", is_helo ? q->helo : c->helo);
	add_message(q, out);
	add(out, "instance", q->instance);
	add_text(out, "etrn_domain", "");
	add_text(out, "stress", "");
	add_text(out, "sasl_method", "");
	add(out, "sasl_username", c->user);
	add_tls(&c->tls, out);
	add(out, "policy_context", c->listener);
	(void)buf_add_text(out, "\n");
}
