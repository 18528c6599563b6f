/* The sections listen of the configuration file: where, for whom, and what is offered.
 *
 * Runs in the master; the input is the operator's own file, not a client's. */
#include "config/listen_section.h"

#include <string.h>

#include "config/conf.h"
#include "config/endpoints.h"
#include "config/reader.h"
#include "config/schema.h"
#include "config/source.h"
#include "config/tables.h"

#define SMTP_PORT 25

static void read_addresses(
	struct reader *r, const struct section *s, struct listen_settings *l)
{
	size_t count = schema_item_count(s, "address");
	char error[ENDPOINTS_ERROR_MAX];

	if (count == 0)
		reader_mistake(r, s, "address", "at least one must be given");
	l->endpoints = reader_take_memory(r, 2 * count * sizeof(*l->endpoints));
	for (size_t i = 0; i < count && l->endpoints != NULL; i++) {
		const char *text = schema_item(s, "address", i);

		if (endpoints_add(r->config, l, text, error) < 0)
			reader_item_mistake(r, s, "address", i, "%s", error);
		else if (l->smtp.protocol == LISTEN_LMTP &&
			 endpoints_port(&l->endpoints[l->endpoint_count - 1]) ==
				 SMTP_PORT)
			/* RFC 2033, 5 */
			reader_item_mistake(r, s, "address", i,
				"'%s': LMTP must not be used at port 25", text);
	}
}

/* Without the second a client could not use the first, or not be offered it (RFC 3030, 3;
 * RFC 6531, 3.1). */
static const struct {
	enum smtp_extension extension, needed;
} needs[] = {
	{EXTENSION_BINARYMIME, EXTENSION_CHUNKING},
	{EXTENSION_SMTPUTF8, EXTENSION_8BITMIME},
};

static void check_extension(
	struct reader *r, const struct section *s, size_t i, uint32_t extensions)
{
	const char *text = schema_item(s, "extensions", i);

	for (size_t j = 0; j < sizeof(needs) / sizeof(needs[0]); j++)
		if (strcmp(text, option_extension_words[needs[j].extension]) == 0 &&
			(extensions & EXTENSION_BIT(needs[j].needed)) == 0)
			reader_item_mistake(r, s, "extensions", i,
				"'%s': \"%s\" must be given as well", text,
				option_extension_words[needs[j].needed]);
}

/* What EHLO offers as well, but by an option of the same section.  The other words are
 * looked at when these have gone. */
static bool has_options(struct reader *r, const struct section *s)
{
	static const char *const options[][2] = {
		{"STARTTLS", "tls"}, {"AUTH", "auth"}, {"XCLIENT", "xclient"}};
	size_t mistakes = r->report->mistakes;

	for (size_t i = 0; i < schema_item_count(s, "extensions"); i++)
		for (size_t j = 0; j < sizeof(options) / sizeof(options[0]); j++)
			if (strcmp(schema_item(s, "extensions", i), options[j][0]) == 0)
				reader_item_mistake(r, s, "extensions", i,
					"'%s': is offered as the option %s says",
					options[j][0], options[j][1]);
	return r->report->mistakes > mistakes;
}

static void read_extensions(
	struct reader *r, const struct section *s, struct listen_settings *l)
{
	size_t count = schema_item_count(s, "extensions"), mistakes = r->report->mistakes;

	l->smtp.extensions = EXTENSIONS_ALL;
	if (!schema_has(s, "extensions") || has_options(r, s))
		return;
	l->smtp.extensions =
		reader_take_words(r, s, "extensions", option_extension_words);
	/* What is missing may be what was misspelt. */
	if (r->report->mistakes > mistakes)
		return;
	for (size_t i = 0; i < count; i++)
		check_extension(r, s, i, l->smtp.extensions);
}

void listen_section_read(
	struct reader *r, const struct section *s, struct listen_settings *l)
{
	reader_set_options(r, s, option_listen, l);
	read_addresses(r, s, l);
	read_extensions(r, s, l);
	l->proxies = reader_take_networks(r, s, "proxy-protocol", &l->proxy_count);
	l->xclients = reader_take_networks(r, s, "xclient", &l->xclient_count);
}
