/* A server side of SASL exchanges; see sasl_fixture.h. */
#include "sasl_fixture.h"

#include <stdio.h>

#include "unit.h"

const char sasl_users_both[] =
	"joe:{PLAIN}secret\n"
	"j\xc3\xb6:{PLAIN}s\xc3\xb6\n"
	"a,b=c:{PLAIN}secret\n"
	"user:{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ=="
	",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
	",wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n"
	"ann:$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQS"
	"pT0Y77vwPZN.Pq.H91p5hVO1\n";
const char sasl_users_crypt[] =
	"ann:$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQS"
	"pT0Y77vwPZN.Pq.H91p5hVO1\n";
const char sasl_users_scram[] = "user:{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ=="
				",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
				",wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

void sasl_scene_init(struct sasl_scene *s, const char *users, bool accept_any)
{
	*s = (struct sasl_scene){
		.settings = {.mechanisms = SASL_ALL, .accept_any = accept_any}};
	if (users != NULL)
		CU_ASSERT_FATAL(
			users_parse(str_of(users), "users", stderr, &s->users) == 0);
	s->settings.users = s->users;
	buf_init(&s->out, 16384);
	CU_ASSERT_FATAL(sasl_new(&s->settings, &s->sasl) == 0);
}

void sasl_scene_done(struct sasl_scene *s)
{
	sasl_free(s->sasl);
	users_free(s->users);
	buf_done(&s->out);
}

void sasl_scene_session(struct sasl_scene *s, bool is_plaintext, const char *external,
	bool unique, bool exporter)
{
	s->session = (struct sasl_session){
		.is_plaintext_allowed = is_plaintext,
		.is_tls = unique || exporter,
		.external = str_of(external),
		.binding_unique =
			unique ? STR("\x01\x02 of the session") : (struct str){0},
		.binding_exporter =
			exporter ? STR("\0exported, 32 bytes or so") : (struct str){0},
	};
}

enum sasl_outcome sasl_scene_step(struct sasl_scene *s, struct str in)
{
	buf_reset(&s->out);
	return sasl_engine.step(s->sasl, in, &s->out);
}
