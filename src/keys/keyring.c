/* The keyring; see keyring.h.  Runs in the master; the files are the administrator's. */
#include "keys/keyring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "config/source.h"
#include "keys/pair.h"

#define SOON_S (14 * INT64_C(86400))

/* The pair with this number, and whose it is. */
struct entry {
	struct pair pair;
	const char *name; /* of the configuration */
	const char *file; /* likewise; NULL: self-signed */
};

struct keyring {
	unsigned users;
	const struct config *config;
	struct entry *entries;
	int *key_fds; /* those of the entries */
	size_t count;
	struct pair made; /* self-signed, whether in use or not */
	bool has_made;
	char *ca; /* NULL: none */
	size_t ca_length;
	unsigned char ticket_key[TLS_TICKET_KEY_BYTES];
};

static int64_t now_s(void)
{
	return (int64_t)(clock_wall_us() / 1000000);
}

/* ---------------------------------------------------------------- mistakes */

/* The machine's fault, and not the configuration's. */
static int fail(struct report *r, const char *what, int error)
{
	report_mistake(r, 0, "tls: %s: %s", what, strerror(-error));
	return error;
}

static void tell(struct report *r, unsigned line, const struct tls_identity *identity,
	const char *option, const char *path, const char *text)
{
	char value[256];

	(void)str_printable(value, sizeof(value), str_of(path));
	if (identity != NULL && identity->name != NULL)
		report_mistake(r, line, "tls: sni \"%s\": %s: '%s': %s", identity->name,
			option, value, text);
	else
		report_mistake(r, line, "tls: %s: '%s': %s", option, value, text);
}

/* ----------------------------------------------------------------- loading */

static bool has_tls(const struct config *c)
{
	for (size_t i = 0; i < c->listener_count; i++)
		if (c->listeners[i].smtp.tls != LISTEN_TLS_OFF)
			return true;
	return false;
}

static size_t count_pairs(const struct tls_settings *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->identity_count; i++)
		n += t->identities[i].pair_count;
	return n;
}

static void add(
	struct keyring *k, const struct pair *p, const char *name, const char *file)
{
	k->key_fds[k->count] = p->key_fd;
	k->entries[k->count++] = (struct entry){*p, name, file};
}

/* All of them, so that all mistakes are told. */
static int read_pairs(struct keyring *k, struct report *report)
{
	const struct tls_settings *t = &k->config->tls;
	char text[PAIR_ERROR_MAX];
	int r = 0;

	for (size_t i = 0; i < t->identity_count; i++)
		for (size_t n = 0; n < t->identities[i].pair_count; n++) {
			const struct tls_pair *from = &t->identities[i].pairs[n];
			enum pair_part part;
			struct pair p;
			int one = pair_read(
				from->certificate, from->key, now_s(), &p, text, &part);

			if (one == 0)
				add(k, &p, t->identities[i].name, from->certificate);
			else if (part == PAIR_CERTIFICATE)
				tell(report, from->certificate_line, &t->identities[i],
					"certificate", from->certificate, text);
			else
				tell(report, from->key_line, &t->identities[i], "key",
					from->key, text);
			r = one < 0 ? -EINVAL : r;
		}
	return r;
}

/* The one that we have, for the life of the master, while it can be used. */
static int make_pair(struct keyring *k, struct report *report)
{
	char text[PAIR_ERROR_MAX];
	struct pair p;
	int r;

	if (k->has_made && keyring_expires_soon(&k->made.info)) {
		pair_done(&k->made);
		k->has_made = false;
	}
	if (!k->has_made) {
		r = pair_make(k->config, now_s(), &k->made, text);
		if (r < 0) {
			report_mistake(
				report, 0, "tls: cannot make a certificate: %s", text);
			return r;
		}
		k->has_made = true;
	}
	if ((r = pair_copy(&k->made, &p)) < 0)
		return fail(report, "cannot keep a certificate", r);
	add(k, &p, NULL, NULL);
	return 0;
}

static int read_ca(struct keyring *k, struct report *report)
{
	const struct tls_settings *t = &k->config->tls;
	char text[PAIR_ERROR_MAX];
	const char *wrong = text;
	int r;

	if (t->ca_file == NULL)
		return 0;
	r = pair_read_file(t->ca_file, &k->ca, &k->ca_length, text);
	if (r == 0)
		r = certificate_check_list((struct str){k->ca, k->ca_length}, &wrong);
	if (r == 0)
		return 0;
	tell(report, t->ca_file_line, NULL, "ca-file", t->ca_file, wrong);
	return -EINVAL;
}

static int fill(struct keyring *k, struct report *report)
{
	size_t pairs = count_pairs(&k->config->tls);
	int r, of_ca;

	if (pairs > KEYRING_MAX) {
		report_mistake(report, k->config->tls.identities[0].pairs[0].key_line,
			"tls: too many certificates, at most %d", KEYRING_MAX);
		return -EINVAL;
	}
	k->entries = calloc(pairs + 1, sizeof(*k->entries));
	k->key_fds = calloc(pairs + 1, sizeof(*k->key_fds));
	if (k->entries == NULL || k->key_fds == NULL)
		return fail(report, "allocate", -ENOMEM);
	if (getrandom(k->ticket_key, sizeof(k->ticket_key), 0) != sizeof(k->ticket_key))
		return fail(report, "cannot make a key for session tickets", -errno);
	r = pairs > 0 ? read_pairs(k, report) : make_pair(k, report);
	of_ca = read_ca(k, report);
	return r < 0 ? r : of_ca;
}

int keyring_load(const struct config *c, const struct keyring *before, FILE *errors,
	struct keyring **ret)
{
	struct report report = {.errors = errors, .file = c->file};
	struct keyring *k = calloc(1, sizeof(*k));
	int r = 0;

	if (k == NULL)
		return fail(&report, "allocate", -ENOMEM);
	k->users = 1;
	k->config = c;
	k->made = PAIR_NONE;
	if (before != NULL && before->has_made) {
		r = pair_copy(&before->made, &k->made);
		k->has_made = r == 0;
		if (r < 0)
			(void)fail(&report, "cannot keep a certificate", r);
	}
	if (r == 0 && has_tls(c))
		r = fill(k, &report);
	if (r < 0)
		keyring_unref(k);
	else
		*ret = k;
	return r;
}

struct keyring *keyring_ref(struct keyring *k)
{
	if (k != NULL)
		k->users++;
	return k;
}

void keyring_unref(struct keyring *k)
{
	if (k == NULL || --k->users > 0)
		return;
	for (size_t i = 0; i < k->count; i++)
		pair_done(&k->entries[i].pair);
	pair_done(&k->made);
	free(k->entries);
	free(k->key_fds);
	free(k->ca);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

/* --------------------------------------------------------------------- use */

size_t keyring_count(const struct keyring *k)
{
	return k == NULL ? 0 : k->count;
}

void keyring_get(const struct keyring *k, size_t i, struct certificate_info *ret,
	const char **ret_name, const char **ret_file)
{
	*ret = k->entries[i].pair.info;
	*ret_name = k->entries[i].name;
	*ret_file = k->entries[i].file;
}

const int *keyring_key_fds(const struct keyring *k)
{
	return k->key_fds;
}

int keyring_make_tls(
	const struct keyring *k, int keys_fd, struct tls **ret, const char **ret_error)
{
	struct tls_certificate *list = calloc(k->count, sizeof(*list));
	int r;

	*ret_error = "out of memory";
	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < k->count; i++)
		list[i] = (struct tls_certificate){
			.name = k->entries[i].name,
			.chain = {k->entries[i].pair.chain,
				k->entries[i].pair.chain_length},
			.key = (uint32_t)i,
		};
	r = tls_new(&k->config->tls, list, k->count, (struct str){k->ca, k->ca_length},
		k->ticket_key, keys_fd, ret, ret_error);
	free(list);
	return r;
}

bool keyring_expires_soon(const struct certificate_info *info)
{
	return now_s() > info->not_after_s - SOON_S;
}

void keyring_log(const struct keyring *k)
{
	for (size_t i = 0; i < keyring_count(k); i++) {
		const struct entry *e = &k->entries[i];
		const struct certificate_info *info = &e->pair.info;
		bool is_soon = keyring_expires_soon(info);
		const struct log_field advice =
			LOG_TEXT("advice", "renew it, and reload; going on");
		char expires[PAIR_DATE_SIZE];

		pair_format_date(info->not_after_s, expires);
		log_event(is_soon ? LOG_WARN : LOG_INFO, EV_SERVER_CERTIFICATE,
			LOG_TEXT("subject", info->subject),
			LOG_TEXT("fingerprint", info->fingerprint),
			LOG_TEXT("key", info->key), LOG_TEXT("expires", expires),
			LOG_TEXT("name", e->name != NULL ? e->name : "*"),
			LOG_TEXT("file", e->file != NULL ? e->file : "self-signed"),
			is_soon ? advice : (struct log_field){0});
	}
}
