/* The suites that need the protocol engine and nothing else.  This program is
 * linked with libsinkproto.a alone: that it links at all shows that the engine
 * needs no other room. */
#include <stddef.h>

#include "unit.h"

void (*const unit_suites[])(void) = {
	suite_arena,
	suite_base64,
	suite_buf,
	suite_date,
	suite_str,
	suite_utf8,
	suite_line,
	suite_data,
	suite_address,
	suite_command,
	suite_envelope,
	suite_extensions,
	suite_reply,
	suite_hooks,
	suite_actions,
	suite_host,
	suite_session,
	suite_mail,
	suite_parameters,
	suite_lmtp,
	suite_chunk,
	suite_chunk_limits,
	suite_auth,
	suite_auth_secrets,
	suite_starttls,
	suite_siphash,
	suite_xclient,
	NULL,
};
