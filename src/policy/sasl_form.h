/* The form of what clients say in SASL exchanges.  Pure; results are parts of in. */
#ifndef SINKD_POLICY_SASL_FORM_H
#define SINKD_POLICY_SASL_FORM_H

#include <stdbool.h>

#include "base/str.h"

/* PLAIN (RFC 4616): exactly two NULs.  The parts may be empty. */
bool sasl_form_plain(struct str in, struct str *ret_authorized, struct str *ret_name,
	struct str *ret_password);

/* CRAM-MD5 (RFC 2195): a name, a blank, a digest in lower-case hexadecimal digits. */
bool sasl_form_digest(struct str in, struct str *ret_name);

/* The first message of SCRAM (RFC 5802, 7), as far as the name: what it says of channel
 * binding ("n", "y", "p=tls-unique"), and the name as it is written there. */
bool sasl_form_scram_first(struct str in, struct str *ret_binding, struct str *ret_name);

/* Whether "=" stands only where a name of SCRAM may have it: as =2C or =3D. */
bool sasl_form_scram_name(struct str name);

#endif
