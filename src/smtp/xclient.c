/* XCLIENT; see xclient.h.
 *
 * Runs in workers, on lines of peers that the configuration trusts to tell the truth,
 * not to have good manners: what is told is checked as if a client had sent it, since it
 * gets into logs, headers and the environment of commands.  Nothing is taken before all
 * of the line is known to be right.
 *
 * Known limits: TLS is not reset, and so what it tells of the peer stays; the right to
 * use XCLIENT is the peer's, and stays with the connection. */
#include "smtp/xclient.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "smtp/address.h"
#include "smtp/auth.h"
#include "smtp/command.h"
#include "smtp/engine.h"
#include "smtp/hooks.h"
#include "smtp/transaction.h"

#define TOLD(attribute) (1U << (attribute))

static bool has_told(const struct xclient *x, enum xclient_attribute attribute)
{
	return (x->told & TOLD(attribute)) != 0;
}

/* --- values, decoded; empty: not known --------------------------------------------- */

static bool take_name(const struct smtp *s, struct xclient *x, struct str value)
{
	(void)s;
	(void)str_copy(x->name, sizeof(x->name), value);
	return value.n == 0 || address_is_domain(value);
}

static bool take_text(char *out, size_t size, struct str value)
{
	return str_copy(out, size, value) == value.n;
}

/* 192.0.2.1 or IPV6:2001:db8::1, as inet_ntop writes it; *ret_loopback may be NULL. */
static bool take_address(
	char out[XCLIENT_ADDRESS_SIZE], struct str value, bool *ret_loopback)
{
	static const unsigned char here[16] = {[15] = 1};
	const struct str prefix = STR("IPV6:");
	bool is_v6 = str_starts_nocase(value, prefix);
	int family = is_v6 ? AF_INET6 : AF_INET;
	unsigned char bytes[16];
	const unsigned char *p = bytes;

	if (is_v6)
		value = str_skip(value, prefix.n);
	if (!take_text(out, XCLIENT_ADDRESS_SIZE, value) ||
		inet_pton(family, out, bytes) != 1)
		return false;
	if (is_v6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)bytes)) {
		family = AF_INET;
		p = bytes + 12;
	}
	if (ret_loopback != NULL)
		*ret_loopback = family == AF_INET ? p[0] == IN_LOOPBACKNET
						  : memcmp(p, here, sizeof(here)) == 0;
	return inet_ntop(family, p, out, XCLIENT_ADDRESS_SIZE) != NULL;
}

/* An address that is not known is nobody's, least of all ours. */
static bool take_addr(const struct smtp *s, struct xclient *x, struct str value)
{
	(void)s;
	x->is_loopback = false;
	if (value.n > 0)
		return take_address(x->address, value, &x->is_loopback);
	return take_text(x->address, sizeof(x->address), STR("unknown"));
}

static bool take_port_number(struct str value, uint16_t *ret)
{
	uint64_t port = 0;

	if (value.n > 0 && (str_parse_u64(value, &port) < 0 || port > UINT16_MAX))
		return false;
	*ret = (uint16_t)port;
	return true;
}

static bool take_port(const struct smtp *s, struct xclient *x, struct str value)
{
	(void)s;
	return take_port_number(value, &x->port);
}

/* With LMTP there is no other greeting than the one that is extended. */
static bool take_proto(const struct smtp *s, struct xclient *x, struct str value)
{
	x->is_esmtp = str_equal_nocase(value, STR("ESMTP"));
	return value.n == 0 || x->is_esmtp || str_equal_nocase(value, STR("SMTP")) ||
	       (s->listen.protocol == LISTEN_LMTP &&
		       str_equal_nocase(value, STR("LMTP")));
}

static bool take_helo(const struct smtp *s, struct xclient *x, struct str value)
{
	(void)s;
	return take_text(x->helo, sizeof(x->helo), value);
}

static bool take_login(const struct smtp *s, struct xclient *x, struct str value)
{
	(void)s;
	return take_text(x->user, sizeof(x->user), value);
}

static bool take_destination(const struct smtp *s, struct xclient *x, struct str value)
{
	(void)s;
	x->destination[0] = '\0';
	return value.n == 0 || take_address(x->destination, value, NULL);
}

static bool take_destination_port(
	const struct smtp *s, struct xclient *x, struct str value)
{
	(void)s;
	return take_port_number(value, &x->destination_port);
}

static const struct {
	struct str name;
	bool (*take)(const struct smtp *s, struct xclient *x, struct str value);
	const char *refusal;
} attributes[] = {
	[XCLIENT_NAME] = {STR("NAME"), take_name, "Bad value of NAME"},
	[XCLIENT_ADDR] = {STR("ADDR"), take_addr, "Bad value of ADDR"},
	[XCLIENT_PORT] = {STR("PORT"), take_port, "Bad value of PORT"},
	[XCLIENT_PROTO] = {STR("PROTO"), take_proto, "Bad value of PROTO"},
	[XCLIENT_HELO] = {STR("HELO"), take_helo, "Bad value of HELO"},
	[XCLIENT_LOGIN] = {STR("LOGIN"), take_login, "Bad value of LOGIN"},
	[XCLIENT_DESTADDR] = {STR("DESTADDR"), take_destination, "Bad value of DESTADDR"},
	[XCLIENT_DESTPORT] = {STR("DESTPORT"), take_destination_port,
		"Bad value of DESTPORT"},
};

_Static_assert(sizeof(attributes) / sizeof(attributes[0]) == XCLIENT_ATTRIBUTES,
	"an attribute is missing");

/* --- the command -------------------------------------------------------------------- */

/* No value is longer. */
#define VALUE_MAX 512

/* xtext of printable ASCII; what could not be looked up is empty. */
static bool decode(struct str in, char out[VALUE_MAX], struct str *ret)
{
	size_t n = 0;

	if (str_equal_nocase(in, STR("[UNAVAILABLE]")) ||
		str_equal_nocase(in, STR("[TEMPUNAVAIL]")))
		in.n = 0;
	if (in.n > VALUE_MAX || !xtext_decode(in, out, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!str_is_printable(out[i]))
			return false;
	*ret = (struct str){out, n};
	return true;
}

/* Returns NULL, or what is wrong with it. */
static const char *take_attribute(
	const struct smtp *s, struct xclient *x, const struct parameter *p)
{
	char text[VALUE_MAX];
	struct str value;
	enum xclient_attribute i = 0;

	while (i < XCLIENT_ATTRIBUTES &&
		!str_equal_nocase(p->keyword, attributes[i].name))
		i++;
	if (i == XCLIENT_ATTRIBUTES)
		return "Unknown attribute";
	if (has_told(x, i))
		return "Attribute given twice";
	x->told |= TOLD(i);
	if (!p->has_value || !decode(p->value, text, &value) ||
		!attributes[i].take(s, x, value))
		return attributes[i].refusal;
	return NULL;
}

/* 1*( SP attribute-name"="attribute-value ).  Returns NULL when *x has all of them now,
 * or what is wrong. */
static const char *take_attributes(
	const struct smtp *s, struct xclient *x, struct str argument)
{
	enum parameter_outcome outcome;
	struct parameter p;
	const char *wrong = NULL;
	unsigned before = x->told;

	x->told = 0;
	while ((outcome = parameter_next(&argument, &p)) == PARAMETER_READY) {
		wrong = take_attribute(s, x, &p);
		if (wrong != NULL)
			return wrong;
	}
	/* The old one belongs to the old address. */
	if (has_told(x, XCLIENT_ADDR) && !has_told(x, XCLIENT_PORT)) {
		x->port = 0;
		x->told |= TOLD(XCLIENT_PORT);
	}
	/* What the client before it did must not be the next one's (as in Postfix). */
	if (!has_told(x, XCLIENT_HELO))
		x->helo[0] = '\0';
	if (!has_told(x, XCLIENT_PROTO))
		x->is_esmtp = false;
	if (!has_told(x, XCLIENT_LOGIN))
		x->user[0] = '\0';
	x->told |= before;
	return outcome == PARAMETER_END ? NULL : "Bad attribute syntax";
}

/* Who the client is from here on. */
static void introduce(struct smtp *s)
{
	struct envelope_client *client = &s->envelope.client;
	const struct xclient *x = &s->xclient;

	if (has_told(x, XCLIENT_NAME))
		client->name = str_of(x->name);
	if (has_told(x, XCLIENT_ADDR)) {
		client->address = str_of(x->address);
		/* If only the client were, it would show things to the network. */
		s->is_loopback = x->is_loopback && x->is_peer_loopback;
	}
	if (has_told(x, XCLIENT_PORT))
		client->port = x->port;
	if (has_told(x, XCLIENT_DESTADDR))
		client->proxy_address = str_of(x->destination);
	if (has_told(x, XCLIENT_DESTPORT))
		client->proxy_port = x->destination_port;
	client->helo = str_of(x->helo);
	client->is_esmtp = client->helo.n > 0 && (x->is_esmtp || client->is_lmtp);
}

/* Who has proven anything was somebody else; what TLS gives is there as before. */
static void forget_login(struct smtp *s)
{
	struct sasl_session session = s->sasl_session;

	auth_forget(s);
	if (s->is_tls) {
		session.subject = session.external = (struct str){0};
		s->sasl_session = session;
	}
	s->envelope.client.user = str_of(s->xclient.user);
}

/* The greeting again, and with HELO what follows it. */
static void begin_anew(struct smtp *s)
{
	struct envelope_client *client = &s->envelope.client;
	struct reply refusal;

	engine_open_session(s);
	if (s->mode != MODE_COMMAND || client->helo.n == 0)
		return;
	/* Whom the hook does not want has to say so again, and will hear of it. */
	s->has_greeted = hooks_ehlo_domain(s, client->helo, &refusal);
	if (!s->has_greeted) {
		client->helo = (struct str){0};
		client->is_esmtp = false;
	}
}

void xclient_run(struct smtp *s, struct str argument)
{
	struct xclient x = s->xclient;
	const char *wrong;

	if (!s->may_xclient) {
		engine_error(s, 550, "5.7.0", "XCLIENT is not for you");
		return;
	}
	if (s->has_sender) {
		engine_error(s, 503, "5.5.1", "Not within a mail transaction");
		return;
	}
	wrong = take_attributes(s, &x, argument);
	if (wrong != NULL) {
		engine_error(s, 501, "5.5.4", wrong);
		return;
	}
	if (s->xclient.told == 0) {
		x.peer = s->envelope.client;
		x.is_peer_loopback = s->is_loopback;
	}
	s->xclient = x;
	s->transaction_mark = (struct arena_mark){0};
	transaction_reset(s);
	s->has_greeted = false;
	introduce(s);
	forget_login(s);
	if (s->env->introduced != NULL)
		s->env->introduced(s->env->user, &s->envelope.client);
	begin_anew(s);
}

void xclient_forget(struct smtp *s)
{
	struct envelope_client *client = &s->envelope.client;
	const struct xclient *x = &s->xclient;

	if (x->told == 0)
		return;
	client->name = x->peer.name;
	client->address = x->peer.address;
	client->port = x->peer.port;
	client->proxy_address = x->peer.proxy_address;
	client->proxy_port = x->peer.proxy_port;
	s->is_loopback = x->is_peer_loopback;
	s->xclient = (struct xclient){0};
}
