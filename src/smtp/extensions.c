/* What EHLO offers; see extensions.h. */
#include "smtp/extensions.h"

#include <inttypes.h>
#include <stdio.h>

#include "smtp/auth.h"
#include "smtp/engine.h"

bool extensions_has(const struct smtp *s, enum smtp_extension extension)
{
	return (s->listen.extensions & EXTENSION_BIT(extension)) != 0;
}

bool extensions_may_start_tls(const struct smtp *s)
{
	return s->listen.tls != LISTEN_TLS_OFF && !s->is_tls;
}

size_t extensions_count(struct smtp *s)
{
	(void)s;
	return 5;
}

void extensions_list(struct smtp *s)
{
	uint64_t size_max = s->settings->message_size_max;
	struct str auth = auth_offer(s);
	char size[32];

	/* RFC 1870, 3: zero stands for no limit. */
	(void)snprintf(size, sizeof(size), "SIZE %" PRIu64,
		size_max == UINT64_MAX ? 0 : size_max);
	engine_reply_line(s, REPLY_MORE, 250, "", STR("PIPELINING"));
	engine_reply_line(s, REPLY_MORE, 250, "", str_of(size));
	engine_reply_line(s, REPLY_MORE, 250, "", STR("8BITMIME"));
	if (extensions_may_start_tls(s))
		engine_reply_line(s, REPLY_MORE, 250, "", STR("STARTTLS"));
	if (auth.n > 0)
		engine_reply_line(s, REPLY_MORE, 250, "", auth);
	engine_reply_line(s, REPLY_MORE, 250, "", STR("HELP"));
	engine_reply_line(s, REPLY_LAST, 250, "", STR("ENHANCEDSTATUSCODES"));
}
