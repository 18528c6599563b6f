/* Modules: user code from shared objects (api/sinkd_module.h), as layers of hooks and as
 * backends of deliveries. */
#ifndef SINKD_POLICY_MODULE_H
#define SINKD_POLICY_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct modules;
struct sinkd_backend;
struct stack;

#define MODULE_ERROR_SIZE 512

/* Layers that modules take of a stack: one each, and one more that ends what they keep
 * of a session. */
#define MODULES_LAYERS(count) ((count) > 0 ? (count) + 1 : 0)

/* Strings belong to the configuration. */
struct module_settings {
	const char *path;     /* absolute */
	const char *argument; /* for the module to understand */
	bool needs_backend;   /* a deliver section names it */
};

/* What modules have of the server.  All of it must be there. */
struct module_env {
	void *user;
	uint64_t secret[2]; /* for keys; the same in all workers */
	/* How many times the key has come in window_ms (0: ever), with this one, and
	 * without counting it. */
	uint64_t (*count)(void *user, uint64_t key, uint64_t window_ms);
	uint64_t (*seen)(void *user, uint64_t key, uint64_t window_ms);
	/* The route (struct recipient) to the deliver section of that name, or 0. */
	uint32_t (*find_route)(void *user, struct str name);
};

/* Load settings[0..n), each a layer below the one before it.  first_layer: how many
 * layers the stack has already.  settings and env are kept by reference.  Runs code of
 * the modules, which may do anything that this process may, so never as root; and they
 * may keep descriptors.  Returns 0; or -1, and error[MODULE_ERROR_SIZE] says what is
 * wrong with which module, and the stack is of no use any more. */
int modules_load(const struct module_settings *settings, size_t n,
	const struct module_env *env, struct stack *stack, size_t first_layer,
	char *error, struct modules **ret);

/* The backend of a module, or NULL; valid until modules_free. */
const struct sinkd_backend *modules_backend(const struct modules *m, size_t module);

/* The other way round; before the stack is freed, which is not to be asked any more. */
void modules_free(struct modules *m);

#endif
