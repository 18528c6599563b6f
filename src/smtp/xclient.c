/* XCLIENT; see xclient.h. */
#include "smtp/xclient.h"

#include "smtp/engine.h"

void xclient_run(struct smtp *s, struct str argument)
{
	(void)argument;
	engine_error(s, 550, "5.7.0", "XCLIENT is not for you");
}
