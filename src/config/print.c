/* The effective configuration as a file.
 *
 * What is written must be read again as the same.  Runs in the master. */
#include "config/conf.h"

#include <netinet/in.h>
#include <stdio.h>

#include "base/network.h"
#include "config/deliver_section.h"
#include "config/option.h"
#include "config/rule_section.h"
#include "config/tables.h"

static void print_options(
	const struct option *options, const void *base, const char *indent, FILE *out)
{
	for (const struct option *o = options; o->name != NULL; o++)
		option_print(o, base, indent, out);
}

/* One value of a list; i counts them. */
static void print_item(size_t i, const char *text, FILE *out)
{
	(void)fputs(i == 0 ? "" : ", ", out);
	option_print_text(text, out);
}

static void print_title(const char *section, const char *title, FILE *out)
{
	(void)fprintf(out, "%s ", section);
	option_print_text(title, out);
	(void)fputs(" {\n", out);
}

static void print_pairs(
	const struct tls_identity *identity, const char *indent, FILE *out)
{
	(void)fprintf(out, "%scertificate = {", indent);
	for (size_t i = 0; i < identity->pair_count; i++)
		print_item(i, identity->pairs[i].certificate, out);
	(void)fprintf(out, "}\n%skey = {", indent);
	for (size_t i = 0; i < identity->pair_count; i++)
		print_item(i, identity->pairs[i].key, out);
	(void)fputs("}\n", out);
}

static void print_identities(const struct tls_settings *t, FILE *out)
{
	print_pairs(&t->identities[0], "\t", out);
	for (size_t i = 1; i < t->identity_count; i++) {
		(void)putc('\t', out);
		print_title("sni", t->identities[i].name, out);
		print_pairs(&t->identities[i], "\t\t", out);
		(void)fputs("\t}\n", out);
	}
}

/* Of words, which end with NULL, those in the set: bit 1 << i for words[i]. */
static void print_words(
	const char *name, const char *const *words, unsigned set, FILE *out)
{
	size_t printed = 0;

	(void)fprintf(out, "\t%s = {", name);
	for (size_t i = 0; words[i] != NULL; i++)
		if ((set & 1U << i) != 0)
			print_item(printed++, words[i], out);
	(void)fputs("}\n", out);
}

static void print_stages(const struct service_settings *s, FILE *out)
{
	unsigned set = 0;

	for (unsigned i = 0; option_policy_stage_words[i] != NULL; i++)
		if (rule_section_has_stage(s->stages, i))
			set |= 1U << i;
	print_words("stages", option_policy_stage_words, set, out);
}

static void print_networks(
	const char *name, const struct network *networks, size_t n, FILE *out)
{
	char text[NETWORK_TEXT_MAX];

	(void)fprintf(out, "\t%s = {", name);
	for (size_t i = 0; i < n; i++) {
		network_format(&networks[i], text);
		print_item(i, text, out);
	}
	(void)fputs("}\n", out);
}

/* The two endpoints of "localhost" are printed as that name again, so that a machine
 * without IPv6 can use what was printed on it. */
static void print_addresses(const struct listen_settings *l, FILE *out)
{
	char text[ENDPOINT_TEXT_MAX];

	(void)fputs("\taddress = {", out);
	for (size_t i = 0; i < l->endpoint_count; i++) {
		const struct endpoint *e = &l->endpoints[i];
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;

		if (i + 1 < l->endpoint_count && e[1].is_optional)
			(void)snprintf(text, sizeof(text), "localhost:%u",
				(unsigned)ntohs(v4->sin_port));
		else
			endpoint_format(e, text);
		if (e->is_optional)
			continue;
		print_item(i, text, out);
	}
	(void)fputs("}\n", out);
}

static void print_deliveries(
	const struct config *c, const size_t *deliveries, size_t n, FILE *out)
{
	(void)fputs("\tdeliver = {", out);
	for (size_t i = 0; i < n; i++)
		print_item(i, c->deliveries[deliveries[i]].name, out);
	(void)fputs("}\n", out);
}

static void print_listener(
	const struct config *c, const struct listen_settings *l, FILE *out)
{
	(void)putc('\n', out);
	print_title("listen", l->name, out);
	print_addresses(l, out);
	print_deliveries(c, l->deliveries, l->delivery_count, out);
	print_words("extensions", option_extension_words, l->smtp.extensions, out);
	print_networks("proxy-protocol", l->proxies, l->proxy_count, out);
	print_networks("xclient", l->xclients, l->xclient_count, out);
	print_options(option_listen, l, "\t", out);
	(void)fputs("}\n", out);
}

static void print_headers(const struct delivery_settings *d, FILE *out)
{
	(void)fputs("\theaders = {", out);
	for (size_t i = 0; i < DELIVERY_HEADERS_MAX && d->headers[i] != 0; i++)
		print_item(i, option_header_name(d->headers[i]), out);
	(void)fputs("}\n", out);
}

static void print_texts(const char *name, const char *const *texts, FILE *out)
{
	(void)fprintf(out, "\t%s = {", name);
	for (size_t i = 0; texts[i] != NULL; i++)
		print_item(i, texts[i], out);
	(void)fputs("}\n", out);
}

static void print_delivery(const struct delivery_settings *d, FILE *out)
{
	(void)putc('\n', out);
	print_title("deliver", d->name, out);
	(void)fputs("\ttype = ", out);
	option_print_text(d->backend->name, out);
	(void)putc('\n', out);
	if (d->backend == &delivery_pipe) {
		print_texts("command", d->pipe.command, out);
		print_texts("environment", d->pipe.environment, out);
	}
	for (const struct option *o = option_deliver; o->name != NULL; o++)
		if (deliver_section_has(d, o))
			option_print(o, d, "\t", out);
	if (d->backend == &delivery_maildir || d->backend == &delivery_pipe)
		print_headers(d, out);
	(void)fputs("}\n", out);
}

static void print_rule(const struct config *c, const struct rule_text *t, FILE *out)
{
	const struct rule_settings *rule = &t->entry.rule;

	(void)putc('\n', out);
	print_title("rule", rule->name, out);
	print_networks("client", rule->clients, rule->client_count, out);
	print_options(option_rule, t, "\t", out);
	if (t->delivery_count > 0)
		print_deliveries(c, t->deliveries, t->delivery_count, out);
	(void)fputs("}\n", out);
}

static void print_module(const struct module_settings *m, FILE *out)
{
	(void)putc('\n', out);
	print_title("module", m->path, out);
	print_options(option_module, m, "\t", out);
	(void)fputs("}\n", out);
}

static void print_section(
	const struct config *c, const struct option_section *s, FILE *out)
{
	(void)fprintf(out, "\n%s {\n", s->name);
	if (s->options == option_tls)
		print_identities(&c->tls, out);
	else if (s->options == option_auth)
		print_words(
			"mechanisms", option_mechanism_words, c->auth.mechanisms, out);
	else if (s->options == option_policy)
		print_stages(&c->service, out);
	print_options(s->options, c, "\t", out);
	(void)fputs("}\n", out);
}

/* Who decides comes last, and in the order in which they are asked. */
void config_print(const struct config *c, FILE *out)
{
	const struct option_section *s;

	print_options(option_root, c, "", out);
	for (s = option_sections; s->name != NULL; s++)
		if (s->options != option_policy)
			print_section(c, s, out);
	for (size_t i = 0; i < c->listener_count; i++)
		print_listener(c, &c->listeners[i], out);
	for (size_t i = 0; i < c->delivery_count; i++)
		print_delivery(&c->deliveries[i], out);
	if (c->rules.count > 0 || c->module_count > 0 || c->service.socket != NULL)
		(void)fputs("\n# Who decides: the rules, then the modules, each in this "
			    "order; then the policy service.\n",
			out);
	for (size_t i = 0; i < c->rules.count; i++)
		print_rule(c, &c->rule_texts[i], out);
	for (size_t i = 0; i < c->module_count; i++)
		print_module(&c->modules[i], out);
	for (s = option_sections; s->name != NULL; s++)
		if (s->options == option_policy && c->service.socket != NULL)
			print_section(c, s, out);
}
