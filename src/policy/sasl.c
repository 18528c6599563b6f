/* SASL mechanisms; see sasl.h.
 *
 * Runs in workers, after the cage has closed; all that comes in is a client's.  CRAM-MD5
 * (RFC 2195), SCRAM (RFC 5802, RFC 7677) and EXTERNAL (RFC 4422) are those of GNU SASL,
 * which never gets to see a password that a client has sent: it leaves copies in memory
 * that it gives back.  PLAIN (RFC 4616) and LOGIN, which are little more than such a
 * password, are read here.
 *
 * Names and passwords of these two are taken as they are.  SCRAM and CRAM-MD5 prepare a
 * {PLAIN} password with SASLprep (RFC 4013), as their clients do; names are compared as
 * they came.  Whether a user exists shows neither in replies nor in the time they take.
 */
#include "policy/sasl.h"

#include <errno.h>
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "policy/sasl_form.h"

/* What a line of AUTH can carry, at most. */
#define PASSWORD_MAX 9216

/* Of what binds an exchange to a TLS session: more than there is of any kind. */
#define BINDING_MAX 128

/* A name is terminated too. */
#define NAME_SIZE (USERS_NAME_MAX + 1)

static const struct mechanism {
	enum sasl_mechanism bit;
	const char *name;
} mechanisms[] = {
	/* In the order in which they are offered; some clients take the first. */
	{SASL_SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS"},
	{SASL_SCRAM_SHA_256, "SCRAM-SHA-256"},
	{SASL_CRAM_MD5, "CRAM-MD5"},
	{SASL_PLAIN, "PLAIN"},
	{SASL_LOGIN, "LOGIN"},
	{SASL_EXTERNAL, "EXTERNAL"},
};
#define MECHANISMS (sizeof(mechanisms) / sizeof(mechanisms[0]))

struct sasl {
	const struct sasl_settings *settings;
	Gsasl *library;

	/* The exchange; mechanism 0: there is none. */
	enum sasl_mechanism mechanism;
	const struct sasl_session *session;
	Gsasl_session *exchange;
	bool has_challenged; /* we said something already */
	bool is_over;
	bool is_refused;         /* whatever GNU SASL makes of it */
	bool has_failed;         /* for want of memory */
	const struct user *user; /* whom name means; NULL: nobody, or not looked up */
	char name[NAME_SIZE];
	size_t name_n;
	char password[PASSWORD_MAX];
	size_t password_n;
};

/* --------------------------------------------------------------- mechanisms */

const char *sasl_mechanism_name(enum sasl_mechanism mechanism)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (mechanisms[i].bit == mechanism)
			return mechanisms[i].name;
	return NULL;
}

enum sasl_mechanism sasl_mechanism_find(struct str name)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (str_equal_nocase(str_of(mechanisms[i].name), name))
			return mechanisms[i].bit;
	return 0;
}

static bool is_binding(struct str binding)
{
	return binding.n > 0 && binding.n <= BINDING_MAX;
}

static bool has_binding(const struct sasl_session *session)
{
	return is_binding(session->binding_unique) ||
	       is_binding(session->binding_exporter);
}

/* Whether a mechanism is wanted, and can be right for anybody in this session. */
static bool is_offered(const struct sasl_settings *settings,
	const struct sasl_session *session, enum sasl_mechanism mechanism)
{
	const struct users *users = settings->users;
	bool has_plain = users_have(users, USER_PLAIN);
	bool has_scram = has_plain || users_have(users, USER_SCRAM_SHA_256);

	if ((settings->mechanisms & mechanism) == 0)
		return false;
	switch (mechanism) {
	case SASL_PLAIN:
	case SASL_LOGIN:
		return session->is_plaintext_allowed &&
		       (settings->accept_any || session->has_judge ||
			       users_count(users) > 0);
	case SASL_CRAM_MD5:
		return settings->accept_any || has_plain;
	case SASL_SCRAM_SHA_256:
		return has_scram;
	case SASL_SCRAM_SHA_256_PLUS:
		return has_scram && has_binding(session);
	case SASL_EXTERNAL:
		return session->external.n > 0 &&
		       (settings->accept_any || users == NULL || users_count(users) > 0);
	}
	return false;
}

static void sasl_list(void *user, const struct sasl_session *session, struct buf *out)
{
	const struct sasl *s = user;

	for (size_t i = 0; i < MECHANISMS; i++) {
		if (!is_offered(s->settings, session, mechanisms[i].bit))
			continue;
		(void)buf_add_text(out, " ");
		(void)buf_add_text(out, mechanisms[i].name);
	}
}

/* ------------------------------------------------------- passwords as they are */

/* False if it is none that can be. */
static bool take_name(struct sasl *s, struct str name)
{
	if (name.n == 0 || name.n > USERS_NAME_MAX ||
		memchr(name.p, '\0', name.n) != NULL)
		return false;
	s->name_n = str_copy(s->name, sizeof(s->name), name);
	return true;
}

static enum sasl_outcome take_password(struct sasl *s, struct str password)
{
	if (password.n == 0 || password.n > PASSWORD_MAX ||
		memchr(password.p, '\0', password.n) != NULL)
		return SASL_REFUSED;
	memcpy(s->password, password.p, password.n);
	s->password_n = password.n;
	return SASL_PASSWORD;
}

static enum sasl_outcome step_plain(struct sasl *s, struct str in)
{
	struct str authorized, name, password;

	if (in.p == NULL)
		return SASL_MORE;
	if (!sasl_form_plain(in, &authorized, &name, &password))
		return SASL_BROKEN;
	if (!take_name(s, name))
		return SASL_REFUSED;
	/* Nobody may act for somebody else. */
	if (authorized.n > 0 && !str_equal(authorized, name))
		return SASL_REFUSED;
	return take_password(s, password);
}

/* The name may be sent along with the command. */
static enum sasl_outcome step_login(struct sasl *s, struct str in, struct buf *out)
{
	bool is_first = s->name_n == 0;

	if (in.p != NULL && !is_first)
		return take_password(s, in);
	if (in.p != NULL && !take_name(s, in))
		return SASL_REFUSED;
	if (!buf_add_text(out, in.p == NULL ? "Username:" : "Password:"))
		return SASL_FAILED;
	return SASL_MORE;
}

static void sasl_password(void *user, struct str *ret_name, struct str *ret_password)
{
	const struct sasl *s = user;

	*ret_name = (struct str){s->name, s->name_n};
	*ret_password = (struct str){s->password, s->password_n};
}

static enum sasl_outcome sasl_judge(void *user)
{
	const struct sasl *s = user;
	const struct users *users = s->settings->users;
	struct str name, password;
	int r;

	sasl_password(user, &name, &password);
	if (s->settings->accept_any)
		return SASL_DONE;
	r = users_check(users, users_find(users, name), password);
	return r < 0 ? SASL_FAILED : r > 0 ? SASL_DONE : SASL_REFUSED;
}

/* ----------------------------------------------------------------- GNU SASL */

static void set_raw(struct sasl *s, Gsasl_property property, const char *p, size_t n)
{
	if (gsasl_property_set_raw(s->exchange, property, p, n) != GSASL_OK)
		s->has_failed = true;
}

static void set_base64(struct sasl *s, Gsasl_property property, struct str in)
{
	char text[BASE64_ENCODED_SIZE(BINDING_MAX)];
	size_t n = base64_encode(in, text);

	set_raw(s, property, text, n);
	explicit_bzero(text, n);
}

/* GNU SASL knows the name that the client has said. */
static struct str learn_name(struct sasl *s)
{
	struct str name = str_of(gsasl_property_fast(s->exchange, GSASL_AUTHID));
	struct str authorized = str_of(gsasl_property_fast(s->exchange, GSASL_AUTHZID));

	if (!take_name(s, name) || (authorized.n > 0 && !str_equal(authorized, name)))
		s->is_refused = true;
	s->user = users_find(s->settings->users, name);
	return name;
}

/* What a client needs to make its proof, for users that there are not as well. */
static void give_salt(struct sasl *s)
{
	struct str name = learn_name(s);
	const struct users *users = s->settings->users;
	uint32_t iterations = users_iterations(users);
	char salt[SCRAM_SALT_MAX], number[16];
	size_t n;

	if (s->user != NULL && s->user->kind == USER_SCRAM_SHA_256) {
		iterations = s->user->iterations;
		n = s->user->salt_n;
		memcpy(salt, s->user->salt, n);
	} else {
		n = users_make_salt(users, name, salt);
	}
	set_base64(s, GSASL_SCRAM_SALT, (struct str){salt, n});
	n = (size_t)snprintf(number, sizeof(number), "%u", (unsigned)iterations);
	set_raw(s, GSASL_SCRAM_ITER, number, n);
}

/* Where some keys are derived from passwords all cost as much. */
static void derive_keys(struct sasl *s, struct scram_keys *keys)
{
	const struct users *users = s->settings->users;
	bool is_plain = s->user != NULL && s->user->kind == USER_PLAIN;
	struct str name = {s->name, s->name_n};
	char salt[SCRAM_SALT_MAX];
	size_t n = users_make_salt(users, name, salt);
	int r = scram_derive(is_plain ? s->user->secret : STR("a password"),
		(struct str){salt, n}, users_iterations(users), keys);

	if (r == -EINVAL)
		s->is_refused = true; /* nobody can prove such a password */
	else if (r < 0)
		s->has_failed = true;
}

static void give_keys(struct sasl *s)
{
	struct scram_keys keys = {0};

	if (users_have(s->settings->users, USER_PLAIN))
		derive_keys(s, &keys);
	if (s->user != NULL && s->user->kind == USER_SCRAM_SHA_256)
		keys = s->user->keys;
	else if (s->user == NULL || s->user->kind != USER_PLAIN)
		s->is_refused = true;
	set_base64(s, GSASL_SCRAM_STOREDKEY,
		(struct str){(const char *)keys.stored, sizeof(keys.stored)});
	set_base64(s, GSASL_SCRAM_SERVERKEY,
		(struct str){(const char *)keys.server, sizeof(keys.server)});
	explicit_bzero(&keys, sizeof(keys));
}

/* For CRAM-MD5, which cannot do without the password itself. */
static void give_password(struct sasl *s)
{
	struct str password = STR("a password");

	(void)learn_name(s);
	if (s->user != NULL && s->user->kind == USER_PLAIN)
		password = s->user->secret;
	else
		s->is_refused = true;
	set_raw(s, GSASL_PASSWORD, password.p, password.n);
}

/* A verified certificate is proof enough of its name.  Where there is a file of those who
 * may log in, the name must be in it. */
static int check_external(struct sasl *s)
{
	struct str wanted = str_of(gsasl_property_fast(s->exchange, GSASL_AUTHZID));
	struct str name = s->session->external;

	if (!take_name(s, name) || (wanted.n > 0 && !str_equal(wanted, name)))
		return GSASL_AUTHENTICATION_ERROR;
	if (s->settings->accept_any || s->settings->users == NULL ||
		users_find(s->settings->users, name) != NULL)
		return GSASL_OK;
	return GSASL_AUTHENTICATION_ERROR;
}

/* GNU SASL asks for something; what is not answered does not exist. */
static int answer_library(
	Gsasl *library, Gsasl_session *exchange, Gsasl_property property)
{
	struct sasl *s = gsasl_callback_hook_get(library);

	(void)exchange;
	if (property == GSASL_VALIDATE_EXTERNAL)
		return check_external(s);
	if (property == GSASL_SCRAM_ITER || property == GSASL_SCRAM_SALT)
		give_salt(s);
	else if (property == GSASL_SCRAM_SERVERKEY)
		give_keys(s);
	else if (property == GSASL_PASSWORD)
		give_password(s);
	else
		return GSASL_NO_CALLBACK;
	return GSASL_OK;
}

static enum sasl_outcome outcome_of(const struct sasl *s, int r)
{
	if (s->has_failed || r == GSASL_MALLOC_ERROR || r == GSASL_CRYPTO_ERROR)
		return SASL_FAILED;
	if (r == GSASL_MECHANISM_PARSE_ERROR || r == GSASL_BASE64_ERROR)
		return SASL_BROKEN;
	if (s->is_refused)
		return SASL_REFUSED;
	if (r == GSASL_NEEDS_MORE)
		return SASL_MORE;
	return r == GSASL_OK ? SASL_DONE : SASL_REFUSED;
}

static enum sasl_outcome step_library(struct sasl *s, struct str in, struct buf *out)
{
	enum sasl_outcome outcome;
	char *said = NULL;
	size_t n = 0;
	int r = gsasl_step(s->exchange, in.p, in.n, &said, &n);

	outcome = outcome_of(s, r);
	if ((outcome == SASL_MORE || outcome == SASL_DONE) && !buf_add(out, said, n))
		outcome = SASL_FAILED;
	gsasl_free(said);
	return outcome;
}

/* The server speaks first. */
static enum sasl_outcome step_cram(struct sasl *s, struct str in, struct buf *out)
{
	struct str name;

	if (!s->has_challenged)
		return in.p == NULL ? step_library(s, in, out) : SASL_EARLY;
	if (!sasl_form_digest(in, &name))
		return SASL_BROKEN;
	if (!take_name(s, name))
		return SASL_REFUSED;
	return s->settings->accept_any ? SASL_DONE : step_library(s, in, out);
}

/* GNU SASL lets "=" stand for itself, and keeps a few bytes for ever when SASLprep leaves
 * nothing of a name. */
static bool is_scram_name(struct str name)
{
	char copy[NAME_SIZE], *prepared = NULL;
	bool is_fine;

	if (name.n > USERS_NAME_MAX || !sasl_form_scram_name(name))
		return false;
	(void)str_copy(copy, sizeof(copy), name);
	if (gsasl_saslprep(copy, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) != GSASL_OK)
		return false;
	is_fine = prepared[0] != '\0';
	gsasl_free(prepared);
	return is_fine;
}

/* Which binding it is, and whether we have that one, GNU SASL does not look at. */
static enum sasl_outcome check_scram_first(const struct sasl *s, struct str in)
{
	const struct sasl_session *session = s->session;
	struct str binding, name;

	if (!sasl_form_scram_first(in, &binding, &name))
		return SASL_BROKEN;
	if (!is_scram_name(name))
		return SASL_REFUSED;
	if (binding.n < 2)
		return SASL_MORE;
	if (s->mechanism == SASL_SCRAM_SHA_256_PLUS &&
		((str_equal(binding, STR("p=tls-unique")) &&
			 is_binding(session->binding_unique)) ||
			(str_equal(binding, STR("p=tls-exporter")) &&
				is_binding(session->binding_exporter))))
		return SASL_MORE;
	return SASL_REFUSED;
}

static enum sasl_outcome step_scram(struct sasl *s, struct str in, struct buf *out)
{
	enum sasl_outcome outcome;

	if (in.p == NULL)
		return SASL_MORE;
	if (in.n == 0 || memchr(in.p, '\0', in.n) != NULL)
		return SASL_BROKEN;
	/* The name is known from the first message on. */
	outcome = s->name_n == 0 ? check_scram_first(s, in) : SASL_MORE;
	return outcome == SASL_MORE ? step_library(s, in, out) : outcome;
}

/* ------------------------------------------------------------- the exchange */

static void wipe_property(Gsasl_session *exchange, Gsasl_property property)
{
	const char *text = gsasl_property_fast(exchange, property);

	/* It is ours to forget; the library would leave it where it is. */
	if (text != NULL)
		explicit_bzero((char *)(uintptr_t)text, strlen(text));
}

static void sasl_end(void *user)
{
	struct sasl *s = user;

	if (s->exchange != NULL) {
		wipe_property(s->exchange, GSASL_PASSWORD);
		wipe_property(s->exchange, GSASL_SCRAM_STOREDKEY);
		wipe_property(s->exchange, GSASL_SCRAM_SERVERKEY);
		gsasl_finish(s->exchange);
	}
	explicit_bzero(s->password, s->password_n);
	explicit_bzero(s->name, s->name_n);
	s->mechanism = 0;
	s->session = NULL;
	s->exchange = NULL;
	s->user = NULL;
	s->name_n = s->password_n = 0;
	s->has_challenged = s->is_over = s->is_refused = s->has_failed = false;
}

static void start_library(struct sasl *s)
{
	const struct sasl_session *session = s->session;

	if (gsasl_server_start(s->library, sasl_mechanism_name(s->mechanism),
		    &s->exchange) != GSASL_OK) {
		s->exchange = NULL;
		s->has_failed = true;
		return;
	}
	/* Known to it only if -PLUS is offered: a client that could use it and says that
	 * it was not offered has been deceived, and is refused. */
	if (!is_offered(s->settings, session, SASL_SCRAM_SHA_256_PLUS))
		return;
	if (is_binding(session->binding_unique))
		set_base64(s, GSASL_CB_TLS_UNIQUE, session->binding_unique);
	if (is_binding(session->binding_exporter))
		set_base64(s, GSASL_CB_TLS_EXPORTER, session->binding_exporter);
}

static bool sasl_start(
	void *user, const struct sasl_session *session, struct str mechanism)
{
	struct sasl *s = user;
	enum sasl_mechanism found = sasl_mechanism_find(mechanism);

	sasl_end(s);
	if (found == 0 || !is_offered(s->settings, session, found))
		return false;
	s->mechanism = found;
	s->session = session;
	if (found != SASL_PLAIN && found != SASL_LOGIN)
		start_library(s);
	return true;
}

static enum sasl_outcome step(struct sasl *s, struct str in, struct buf *out)
{
	if (s->has_failed)
		return SASL_FAILED;
	switch (s->mechanism) {
	case SASL_PLAIN:
		return step_plain(s, in);
	case SASL_LOGIN:
		return step_login(s, in, out);
	case SASL_CRAM_MD5:
		return step_cram(s, in, out);
	case SASL_SCRAM_SHA_256:
	case SASL_SCRAM_SHA_256_PLUS:
		return step_scram(s, in, out);
	case SASL_EXTERNAL:
		return step_library(s, in, out);
	}
	return SASL_BROKEN;
}

static enum sasl_outcome sasl_step(void *user, struct str in, struct buf *out)
{
	struct sasl *s = user;
	bool is_late = s->is_over || (s->has_challenged && in.p == NULL);
	enum sasl_outcome outcome = is_late ? SASL_BROKEN : step(s, in, out);

	s->has_challenged = true;
	s->is_over = outcome != SASL_MORE;
	return outcome;
}

static struct str sasl_name(void *user)
{
	const struct sasl *s = user;

	return (struct str){s->name, s->name_n};
}

const struct smtp_sasl sasl_engine = {
	.list = sasl_list,
	.start = sasl_start,
	.step = sasl_step,
	.password = sasl_password,
	.judge = sasl_judge,
	.name = sasl_name,
	.end = sasl_end,
};

/* ------------------------------------------------------------- of the worker */

/* What libraries do only once must be done before the cage closes. */
static int warm_up(void)
{
	struct scram_keys keys;
	char nonce[8], *prepared = NULL;
	int r;

	if (gsasl_nonce(nonce, sizeof(nonce)) != GSASL_OK)
		return -EIO;
	r = gsasl_saslprep("\xc3\xa9", GSASL_ALLOW_UNASSIGNED, &prepared, NULL);
	gsasl_free(prepared);
	if (r != GSASL_OK)
		return -EIO;
	return scram_derive(STR("a password"), STR("salt"), 1, &keys);
}

int sasl_new(const struct sasl_settings *settings, struct sasl **ret)
{
	struct sasl *s = calloc(1, sizeof(*s));
	int r = 0;

	if (s == NULL)
		return -ENOMEM;
	s->settings = settings;
	if (gsasl_init(&s->library) != GSASL_OK)
		r = -ENOMEM;
	else
		r = warm_up();
	if (r < 0) {
		sasl_free(s);
		return r;
	}
	gsasl_callback_set(s->library, answer_library);
	gsasl_callback_hook_set(s->library, s);
	*ret = s;
	return 0;
}

void sasl_free(struct sasl *s)
{
	if (s == NULL)
		return;
	sasl_end(s);
	if (s->library != NULL)
		gsasl_done(s->library);
	free(s);
}
