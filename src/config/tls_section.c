/* The section tls of the configuration file: which certificate is for whom.
 *
 * No file is opened here.  Runs in the master; the input is the operator's own file, not
 * a client's. */
#include "config/tls_section.h"

#include <stdbool.h>

#include "base/str.h"
#include "config/conf.h"
#include "config/reader.h"
#include "config/schema.h"
#include "config/tables.h"
#include "smtp/address.h"

static void read_path(struct reader *r, const struct section *s, const char *option,
	size_t i, const char **ret_path, unsigned *ret_line)
{
	const char *path = schema_item(s, option, i);
	const char *wrong = *path == '\0' ? "the path of a file is expected"
					  : option_check_file(path);
	char value[256];

	if (wrong != NULL) {
		(void)str_printable(value, sizeof(value), str_of(path));
		reader_item_mistake(r, s, option, i, "'%s': %s", value, wrong);
	}
	*ret_path = reader_copy_text(r, path);
	*ret_line = schema_item_line(s, option, i);
}

/* The first value of the longer list that has nobody in the other. */
static void report_lonely(
	struct reader *r, const struct section *s, size_t certificates, size_t keys)
{
	const char *option = certificates > keys ? "certificate" : "key";
	size_t i = certificates > keys ? keys : certificates;
	char value[256];

	(void)str_printable(value, sizeof(value), str_of(schema_item(s, option, i)));
	reader_item_mistake(r, s, option, i, "'%s': there is no %s for it", value,
		certificates > keys ? "key" : "certificate");
}

static void read_pairs(
	struct reader *r, const struct section *s, struct tls_identity *identity)
{
	size_t certificates = schema_item_count(s, "certificate");
	size_t keys = schema_item_count(s, "key");
	size_t count = certificates < keys ? certificates : keys;

	if (certificates != keys)
		report_lonely(r, s, certificates, keys);
	identity->pairs = reader_take_memory(r, count * sizeof(*identity->pairs));
	for (size_t i = 0; i < count && identity->pairs != NULL; i++) {
		struct tls_pair *pair = &identity->pairs[i];

		read_path(r, s, "certificate", i, &pair->certificate,
			&pair->certificate_line);
		read_path(r, s, "key", i, &pair->key, &pair->key_line);
		identity->pair_count++;
	}
}

/* A name that a client may ask for (RFC 6066, 3: no address), or a wildcard for all names
 * with one more label. */
static bool is_server_name(struct str name)
{
	if (str_starts_nocase(name, STR("*.")))
		name = str_skip(name, 2);
	return name.n > 0 && name.p[0] != '[' && address_is_domain(name);
}

/* The others were read before. */
static void check_name(struct reader *r, const struct section *s, const char *name)
{
	const struct tls_settings *t = &r->config->tls;

	if (!is_server_name(str_of(name)))
		reader_section_mistake(
			r, s, "a domain name is expected, maybe with \"*.\" before it");
	for (size_t i = 1; i < t->identity_count; i++)
		if (str_equal_nocase(str_of(name), str_of(t->identities[i].name)))
			reader_section_mistake(r, s, "there is a section for this name");
}

static void read_sni(struct reader *r, const struct section *tls, size_t i)
{
	struct tls_settings *t = &r->config->tls;
	const struct section s = schema_section(tls, "sni", i);
	struct tls_identity *identity = &t->identities[t->identity_count];

	check_name(r, &s, schema_title(&s));
	identity->name = reader_copy_text(r, schema_title(&s));
	read_pairs(r, &s, identity);
	if (schema_item_count(&s, "certificate") == 0 &&
		schema_item_count(&s, "key") == 0)
		reader_mistake(r, &s, "certificate", "at least one must be given");
	if (identity->name != NULL)
		t->identity_count++;
}

static void check_clients(struct reader *r, const struct section *s)
{
	struct tls_settings *t = &r->config->tls;

	if (t->ca_file != NULL && *t->ca_file == '\0')
		t->ca_file = NULL;
	t->ca_file_line = schema_line(s, "ca-file");
	if (t->client_certificate != CLIENT_CERTIFICATE_OFF && t->ca_file == NULL)
		reader_mistake(r, s, "client-certificate",
			"'%s': needs ca-file, to verify what clients show",
			schema_text(s, "client-certificate"));
}

void tls_section_read(struct reader *r, const struct section *s)
{
	struct tls_settings *t = &r->config->tls;
	size_t count = schema_count(s, "sni");

	t->identities = reader_take_memory(r, (1 + count) * sizeof(*t->identities));
	if (t->identities == NULL)
		return;
	t->identity_count = 1;
	read_pairs(r, s, &t->identities[0]);
	for (size_t i = 0; i < count && !r->is_out_of_memory; i++)
		read_sni(r, s, i);
	if (count > 0 && schema_item_count(s, "certificate") == 0 &&
		schema_item_count(s, "key") == 0)
		reader_mistake(r, s, "certificate",
			"must be given besides sni, for clients that name no other");
	check_clients(r, s);
}
