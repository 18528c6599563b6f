/* Addresses to listen on: no two of them may collide.
 * Runs in the master; the input is the operator's own, not a client's. */
#include "config/endpoints.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/str.h"
#include "config/conf.h"

static bool is_wildcard(const struct endpoint *e)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&e->address;

	if (e->address.ss_family == AF_INET)
		return v4->sin_addr.s_addr == htonl(INADDR_ANY);
	return e->address.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static bool has_loopback(const struct endpoint *e)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&e->address;

	if (e->address.ss_family == AF_UNIX || is_wildcard(e))
		return true;
	if (e->address.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

in_port_t endpoints_port(const struct endpoint *e)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&e->address;

	if (e->address.ss_family == AF_INET)
		return ntohs(v4->sin_port);
	return e->address.ss_family == AF_INET6 ? ntohs(v6->sin6_port) : 0;
}

/* Whether the two cannot both be bound.  v4 and v6 never meet: listeners are v6 only. */
static bool endpoints_collide(const struct endpoint *a, const struct endpoint *b)
{
	if (a->address.ss_family != b->address.ss_family)
		return false;
	if (a->address.ss_family == AF_UNIX)
		return endpoint_equal(a, b);
	return endpoints_port(a) != 0 && endpoints_port(a) == endpoints_port(b) &&
	       (is_wildcard(a) || is_wildcard(b) || endpoint_equal(a, b));
}

static const struct listen_settings *find_collision(
	const struct config *c, const struct endpoint *e)
{
	for (size_t i = 0; i < c->listener_count; i++)
		for (size_t j = 0; j < c->listeners[i].endpoint_count; j++)
			if (endpoints_collide(e, &c->listeners[i].endpoints[j]))
				return &c->listeners[i];
	return NULL;
}

static size_t count_endpoints(const struct config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->listener_count; i++)
		n += c->listeners[i].endpoint_count;
	return n;
}

int endpoints_add(struct config *c, struct listen_settings *l, const char *text,
	char error[ENDPOINTS_ERROR_MAX])
{
	const char *why = NULL;
	struct endpoint found[2];
	char value[160];
	int count = endpoint_parse(text, found, &why);

	(void)str_printable(value, sizeof(value), str_of(text));
	if (count < 0) {
		(void)snprintf(error, ENDPOINTS_ERROR_MAX, "'%s': %s", value, why);
		return -EINVAL;
	}
	if (count_endpoints(c) + (size_t)count > LISTENERS_MAX) {
		(void)snprintf(error, ENDPOINTS_ERROR_MAX, "'%s': more than %d addresses",
			value, LISTENERS_MAX);
		return -EINVAL;
	}
	for (int i = 0; i < count; i++) {
		const struct listen_settings *other = find_collision(c, &found[i]);

		if (other != NULL) {
			char name[96];

			(void)str_printable(name, sizeof(name), str_of(other->name));
			(void)snprintf(error, ENDPOINTS_ERROR_MAX,
				"'%s': listen \"%s\" has this address already", value,
				name);
			return -EINVAL;
		}
	}
	for (int i = 0; i < count; i++)
		l->endpoints[l->endpoint_count++] = found[i];
	return 0;
}

bool endpoints_have_loopback(const struct listen_settings *l)
{
	for (size_t i = 0; i < l->endpoint_count; i++)
		if (has_loopback(&l->endpoints[i]))
			return true;
	return false;
}
