/* A server with certificates and a client for each test of TLS; see tls_fixture.h. */
#include "tls_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

struct test_world world;

const unsigned char test_ticket_key[TLS_TICKET_KEY_BYTES] = {1, 2, 3};

int make_world(void)
{
	static struct test_pair stranger_ca;
	static const char *const names[] = {"one.test", "one.test", "two.test", "wild"};
	const struct test_pair *list[SERVERS];

	for (size_t i = 0; i < SERVERS; i++) {
		make_pair(&(struct test_wish){.name = names[i], .is_rsa = i == RSA},
			&world.servers[i]);
		list[i] = &world.servers[i];
	}
	make_pair(&(struct test_wish){.name = "CA", .is_ca = true}, &world.ca);
	make_pair(&(struct test_wish){.name = "other CA", .is_ca = true}, &stranger_ca);
	make_pair(&(struct test_wish){.name = "Mary (M.)",
			  .mailbox = "mary@example.test",
			  .issuer = &world.ca},
		&world.mary);
	make_pair(&(struct test_wish){.name = "john", .issuer = &world.ca}, &world.john);
	make_pair(&(struct test_wish){.mailbox = "sue@example.test", .issuer = &world.ca},
		&world.nameless);
	make_pair(&(struct test_wish){.name = "x", .issuer = &stranger_ca},
		&world.stranger);
	make_pair(
		&(struct test_wish){
			.name = "old", .issuer = &world.ca, .is_expired = true},
		&world.old);
	world.signer_pid = start_signer(list, SERVERS, &world.signer_fd);
	return 0;
}

int end_world(void)
{
	stop_signer(world.signer_pid, world.signer_fd);
	return 0;
}

/* ------------------------------------------------------------ a server for a test */

struct tls *open_context(const struct tls_settings *settings)
{
	const struct tls_certificate certificates[] = {
		{NULL, str_of(world.servers[RSA].certificate), RSA},
		{"two.test", str_of(world.servers[TWO].certificate), TWO},
		{NULL, str_of(world.servers[ECDSA].certificate), ECDSA},
		{"*.wild.test", str_of(world.servers[WILD].certificate), WILD},
	};
	struct tls_settings s = *settings;
	const char *error = NULL;
	struct tls *t = NULL;

	if (s.priorities == NULL)
		s.priorities = TLS_DEFAULT_PRIORITIES;
	CU_ASSERT_FATAL(tls_new(&s, certificates, SERVERS,
				s.client_certificate == CLIENT_CERTIFICATE_OFF
					? (struct str){NULL, 0}
					: str_of(world.ca.certificate),
				test_ticket_key, world.signer_fd, &t, &error) == 0);
	return t;
}

void scene_begin(struct scene *s, const struct tls_settings *settings,
	const struct client_wish *wish)
{
	struct tls_transport transport = wire_transport;

	*s = (struct scene){.context = open_context(settings)};
	wire_init(&s->wire);
	transport.user = &s->wire;
	s->server = tls_session_new(s->context, &transport);
	CU_ASSERT_FATAL(s->server != NULL);
	client_open(&s->client, &s->wire, wish);
}

void scene_finish(struct scene *s)
{
	client_close(&s->client);
	tls_session_free(s->server);
	tls_free(s->context);
	wire_done(&s->wire);
}

ssize_t scene_receive(struct scene *s, char *p, size_t n)
{
	ssize_t got = GNUTLS_E_AGAIN;

	for (int i = 0; i < 10000 && got == GNUTLS_E_AGAIN; i++)
		got = gnutls_record_recv(s->client.session, p, n);
	return got;
}

bool scene_says(struct scene *s, const char *text)
{
	char got[256];
	ssize_t sent = -EAGAIN, n;

	for (int i = 0; i < 10000 && sent == -EAGAIN; i++)
		sent = tls_session_write(s->server, str_of(text));
	n = scene_receive(s, got, sizeof(got));
	return sent == (ssize_t)strlen(text) && n == sent &&
	       memcmp(got, text, (size_t)n) == 0;
}

bool scene_hears(struct scene *s, const char *text)
{
	char got[256];
	ssize_t n = -EAGAIN;
	ssize_t sent = gnutls_record_send(s->client.session, text, strlen(text));

	for (int i = 0; i < 10000 && n == -EAGAIN; i++)
		n = tls_session_read(s->server, got, sizeof(got));
	return n == sent && memcmp(got, text, (size_t)n) == 0;
}

const struct tls_settings plain_settings, ticket_settings = {.has_tickets = true};
