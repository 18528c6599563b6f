/* The mechanisms of the rig; see rig_parts.h.  They assert that the engine keeps to
 * smtp/sasl.h. */
#include <assert.h>
#include <string.h>

#include "rig.h"
#include "rig_parts.h"

enum mechanism { SCRAM_PLUS, SCRAM, CRAM, PLAIN, LOGIN, EXTERNAL, MECHANISMS };

static const char *const names[] = {
	[SCRAM_PLUS] = "SCRAM-SHA-256-PLUS",
	[SCRAM] = "SCRAM-SHA-256",
	[CRAM] = "CRAM-MD5",
	[PLAIN] = "PLAIN",
	[LOGIN] = "LOGIN",
	[EXTERNAL] = "EXTERNAL",
};

static bool can_work(const struct sasl_session *session, enum mechanism mechanism)
{
	switch (mechanism) {
	case SCRAM_PLUS:
		return session->binding_exporter.n > 0;
	case PLAIN:
	case LOGIN:
		return session->is_plaintext_allowed;
	case EXTERNAL:
		return session->external.n > 0;
	case SCRAM:
	case CRAM:
	case MECHANISMS:
		break;
	}
	return true;
}

static bool is_enabled(const struct rig *r, enum mechanism mechanism)
{
	return r->mechanism == NULL || strcmp(r->mechanism, names[mechanism]) == 0;
}

static void list(void *user, const struct sasl_session *session, struct buf *out)
{
	for (enum mechanism m = 0; m < MECHANISMS; m++) {
		if (!is_enabled(user, m) || !can_work(session, m))
			continue;
		(void)buf_add_text(out, " ");
		(void)buf_add_text(out, names[m]);
	}
}

static bool start(void *user, const struct sasl_session *session, struct str mechanism)
{
	struct rig *r = user;
	enum mechanism m = 0;

	assert(!r->sasl.is_active);
	while (m < MECHANISMS && !str_equal(mechanism, str_of(names[m])))
		m++;
	if (m == MECHANISMS || !is_enabled(r, m) || !can_work(session, m))
		return false;
	r->sasl = (struct rig_sasl){
		.is_active = true, .mechanism = (int)m, .session = session};
	return true;
}

static void set_name(struct rig *r, struct str name)
{
	r->sasl.name_n = str_copy(r->sasl.name, sizeof(r->sasl.name), name);
}

static enum sasl_outcome more(struct buf *out, struct str text)
{
	(void)buf_add_str(out, text);
	return SASL_MORE;
}

static enum sasl_outcome take_password(struct rig *r, struct str password)
{
	r->sasl.password_n =
		str_copy(r->sasl.password, sizeof(r->sasl.password), password);
	r->sasl.has_password = true;
	return SASL_PASSWORD;
}

/* [authzid] NUL authcid NUL passwd (RFC 4616, 2) */
static enum sasl_outcome step_plain(struct rig *r, struct str in, struct buf *out)
{
	const char *first, *second;

	if (in.p == NULL)
		return more(out, STR(""));
	first = in.n == 0 ? NULL : memchr(in.p, '\0', in.n);
	if (first == NULL)
		return SASL_BROKEN;
	in = str_skip(in, (size_t)(first - in.p) + 1);
	second = in.n == 0 ? NULL : memchr(in.p, '\0', in.n);
	if (second == NULL)
		return SASL_BROKEN;
	set_name(r, (struct str){in.p, (size_t)(second - in.p)});
	return take_password(r, str_skip(in, (size_t)(second - in.p) + 1));
}

static enum sasl_outcome step_login(struct rig *r, struct str in, struct buf *out)
{
	if (in.p == NULL)
		return more(out, STR("Username:"));
	if (r->sasl.name_n > 0)
		return take_password(r, in);
	if (in.n == 0)
		return SASL_BROKEN;
	set_name(r, in);
	return more(out, STR("Password:"));
}

static enum sasl_outcome step_cram(
	struct rig *r, struct str in, bool is_first, struct buf *out)
{
	const char *blank;

	if (is_first)
		return in.p == NULL ? more(out, STR("<1.2@sink.example.test>"))
				    : SASL_EARLY;
	blank = in.n == 0 ? NULL : memchr(in.p, ' ', in.n);
	if (blank == NULL)
		return SASL_BROKEN;
	set_name(r, (struct str){in.p, (size_t)(blank - in.p)});
	return str_equal(str_skip(in, r->sasl.name_n), STR(" right")) ? SASL_DONE
								      : SASL_REFUSED;
}

static enum sasl_outcome step_scram(struct rig *r, struct str in, struct buf *out)
{
	if (in.p == NULL)
		return more(out, STR(""));
	if (r->sasl.name_n == 0) {
		if (!str_starts_nocase(in, STR("n,,n=joe,r=")))
			return SASL_BROKEN;
		set_name(r, STR("joe"));
		return more(out, in);
	}
	if (!str_equal(in, STR("c=,p=right")))
		return SASL_REFUSED;
	(void)buf_add_text(out, "v=right");
	return SASL_DONE;
}

static enum sasl_outcome step_external(struct rig *r, struct str in, struct buf *out)
{
	if (in.p == NULL)
		return more(out, STR(""));
	set_name(r, r->sasl.session->external);
	return in.n == 0 || str_equal(in, r->sasl.session->external) ? SASL_DONE
								     : SASL_REFUSED;
}

static enum sasl_outcome step(void *user, struct str in, struct buf *out)
{
	struct rig *r = user;
	bool is_first = r->sasl.steps++ == 0;
	enum sasl_outcome outcome = SASL_FAILED;

	assert(r->sasl.is_active && !r->sasl.is_over && out->len == 0);
	assert(is_first || in.p != NULL);
	switch ((enum mechanism)r->sasl.mechanism) {
	case PLAIN:
		outcome = step_plain(r, in, out);
		break;
	case LOGIN:
		outcome = step_login(r, in, out);
		break;
	case CRAM:
		outcome = step_cram(r, in, is_first, out);
		break;
	case SCRAM:
	case SCRAM_PLUS:
		outcome = step_scram(r, in, out);
		break;
	case EXTERNAL:
		outcome = step_external(r, in, out);
		break;
	case MECHANISMS:
		break;
	}
	r->sasl.is_over = outcome != SASL_MORE;
	return outcome;
}

static void password(void *user, struct str *ret_name, struct str *ret_password)
{
	struct rig *r = user;

	assert(r->sasl.has_password);
	*ret_name = (struct str){r->sasl.name, r->sasl.name_n};
	*ret_password = (struct str){r->sasl.password, r->sasl.password_n};
}

static enum sasl_outcome judge(void *user)
{
	struct rig *r = user;
	struct str secret = {r->sasl.password, r->sasl.password_n};

	assert(r->sasl.has_password);
	if (str_equal(secret, STR("later")))
		return SASL_FAILED;
	return str_equal(secret, STR("secret")) ? SASL_DONE : SASL_REFUSED;
}

static struct str name(void *user)
{
	struct rig *r = user;

	assert(r->sasl.is_active);
	return (struct str){r->sasl.name, r->sasl.name_n};
}

static void end(void *user)
{
	struct rig *r = user;

	r->sasl = (struct rig_sasl){0};
}

const struct smtp_sasl rig_sasl = {
	.list = list,
	.start = start,
	.step = step,
	.password = password,
	.judge = judge,
	.name = name,
	.end = end,
};
