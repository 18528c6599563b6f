/* The form of responses; see sasl_form.h.  All input is a client's. */
#include "policy/sasl_form.h"

#include <string.h>

#define DIGEST_DIGITS 32

/* Take the text up to the next such byte off *rest; false if there is none. */
static bool take_part(struct str *rest, char end, struct str *ret)
{
	const char *p = rest->n == 0 ? NULL : memchr(rest->p, end, rest->n);

	if (p == NULL)
		return false;
	*ret = (struct str){rest->p, (size_t)(p - rest->p)};
	*rest = str_skip(*rest, ret->n + 1);
	return true;
}

/* message = [authzid] UTF8NUL authcid UTF8NUL passwd */
bool sasl_form_plain(struct str in, struct str *ret_authorized, struct str *ret_name,
	struct str *ret_password)
{
	struct str authorized, name;

	if (!take_part(&in, '\0', &authorized) || !take_part(&in, '\0', &name) ||
		memchr(in.p, '\0', in.n) != NULL)
		return false;
	*ret_authorized = authorized;
	*ret_name = name;
	*ret_password = in;
	return true;
}

bool sasl_form_digest(struct str in, struct str *ret_name)
{
	size_t name = in.n - DIGEST_DIGITS - 1;

	if (in.n <= DIGEST_DIGITS + 1 || in.p[name] != ' ')
		return false;
	for (size_t i = name + 1; i < in.n; i++)
		if (!str_is_digit(in.p[i]) && (in.p[i] < 'a' || in.p[i] > 'f'))
			return false;
	*ret_name = (struct str){in.p, name};
	return true;
}

/*
 * client-first-message = gs2-cbind-flag "," [authzid] "," "n=" saslname "," ...
 * gs2-cbind-flag       = ("p=" cb-name) / "n" / "y"
 */
bool sasl_form_scram_first(struct str in, struct str *ret_binding, struct str *ret_name)
{
	struct str binding, authorized, name;

	if (!take_part(&in, ',', &binding) || !take_part(&in, ',', &authorized) ||
		!take_part(&in, ',', &name) || binding.n == 0 || name.n < 3 ||
		memcmp(name.p, "n=", 2) != 0)
		return false;
	*ret_binding = binding;
	*ret_name = str_skip(name, 2);
	return true;
}

bool sasl_form_scram_name(struct str name)
{
	for (; name.n > 0; name = str_skip(name, 1))
		if (name.p[0] == '=' &&
			(name.n < 3 || (memcmp(name.p, "=2C", 3) != 0 &&
					       memcmp(name.p, "=3D", 3) != 0)))
			return false;
	return true;
}
