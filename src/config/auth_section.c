/* The section auth of the configuration file, and whether a listener can do by it what it
 * asks for.
 *
 * Runs in the master; the input is the operator's own files, not a client's. */
#include "config/auth_section.h"

#include <errno.h>
#include <stdbool.h>

#include "base/str.h"
#include "config/conf.h"
#include "config/endpoints.h"
#include "config/reader.h"
#include "config/schema.h"
#include "config/source.h"
#include "config/tables.h"

static void read_mechanisms(struct reader *r, const struct section *s)
{
	r->config->auth.mechanisms =
		schema_has(s, "mechanisms")
			? reader_take_words(r, s, "mechanisms", option_mechanism_words)
			: (1U << OPTION_MECHANISMS_DEFAULT) - 1;
}

/* Its own mistakes have its own lines. */
static void read_users(struct reader *r, const struct section *s)
{
	struct config *c = r->config;
	char value[256];
	int error;

	if (c->auth.users_file != NULL && *c->auth.users_file == '\0')
		c->auth.users_file = NULL;
	if (c->auth.users_file == NULL)
		return;
	(void)str_printable(value, sizeof(value), str_of(c->auth.users_file));
	error = users_read(c->auth.users_file, r->report->errors, &c->users);
	c->auth.users = c->users;
	if (error == -ENOMEM)
		r->is_out_of_memory = true;
	else if (error < 0)
		reader_mistake(r, s, "users-file", "'%s': cannot be used", value);
}

void auth_section_read(struct reader *r, const struct section *s)
{
	read_mechanisms(r, s);
	read_users(r, s);
}

/* Whether a client of this listener may come to show its password. */
static bool may_show_password(const struct config *c, const struct listen_settings *l)
{
	if (l->smtp.tls != LISTEN_TLS_OFF ||
		c->smtp.plaintext_auth == PLAINTEXT_AUTH_ALWAYS)
		return true;
	return c->smtp.plaintext_auth == PLAINTEXT_AUTH_LOOPBACK &&
	       endpoints_have_loopback(l);
}

static bool can_work(const struct config *c, const struct listen_settings *l)
{
	const struct sasl_settings *a = &c->auth;
	bool has_users = users_count(c->users) > 0;
	bool has_plain = users_have(c->users, USER_PLAIN);
	bool has_scram = has_plain || users_have(c->users, USER_SCRAM_SHA_256);
	bool has_tls = l->smtp.tls != LISTEN_TLS_OFF;
	unsigned useful = 0;

	if (may_show_password(c, l) && (a->accept_any || has_users))
		useful |= SASL_PLAIN | SASL_LOGIN;
	if (a->accept_any || has_plain)
		useful |= SASL_CRAM_MD5;
	if (has_scram)
		useful |= SASL_SCRAM_SHA_256;
	if (has_scram && has_tls)
		useful |= SASL_SCRAM_SHA_256_PLUS;
	if (has_tls && c->tls.client_certificate != CLIENT_CERTIFICATE_OFF &&
		(a->accept_any || c->users == NULL || has_users))
		useful |= SASL_EXTERNAL;
	return (a->mechanisms & useful) != 0;
}

void auth_section_check(
	struct reader *r, const struct section *s, const struct listen_settings *l)
{
	/* A mistake that was told may be the reason. */
	if (r->report->mistakes > 0)
		return;
	if (l->smtp.protocol == LISTEN_SMTP && l->smtp.extensions == 0)
		reader_mistake(r, s, "auth",
			"'required': without extensions there is no EHLO and no AUTH, so "
			"that nobody could send mail");
	else if (!can_work(r->config, l))
		reader_mistake(r, s, "auth",
			"'required': no mechanism of section auth can work here, so that "
			"nobody could send mail");
}
