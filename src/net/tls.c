/* What all sessions share; see tls.h.
 *
 * Runs in the master, before the workers that will use it are forked; its input is the
 * configuration. */
#include "net/tls.h"

#include <gnutls/gnutls.h>

const char *tls_check_priorities(const char *text)
{
	gnutls_priority_t priorities;
	int r = gnutls_priority_init(&priorities, text, NULL);

	if (r < 0)
		return r == GNUTLS_E_INVALID_REQUEST ? "not a GnuTLS priority string"
						     : gnutls_strerror(r);
	gnutls_priority_deinit(priorities);
	return NULL;
}
