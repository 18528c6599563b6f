/* The keys process; see keys.h.
 *
 * It gives up what it does not need, in the order of set_up, and only then reads the
 * keys, from files of memory that it is handed: no file can be named by then, and nobody
 * looks into its memory.  Its input is questions of workers, maybe hostile; see
 * keys/signer.c. The master starts it, never reads what is in those files, and outlives
 * its death. */
#include "proc/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "keys/signer.h"
#include "proc/child.h"
#include "proc/confine.h"

/* Descriptors besides the keys: channel, ready, log. */
#define KEPT_FDS 3
_Static_assert(KEYRING_MAX + KEPT_FDS <= FDIO_KEEP_MAX, "too many to keep");

/* ---------------------------------------------------------- in the process */

struct process {
	const struct keys *keys;
	const struct keys_env *env;
	const struct helper_birth *birth;
	struct signer *signer;
};

static int fail_step(const char *step, int error)
{
	log_event(LOG_FATAL, EV_KEYS_FAILED, LOG_TEXT("step", step), LOG_ERRNO(error));
	return error;
}

static int close_descriptors(const struct process *p)
{
	const int *fds = keyring_key_fds(p->env->keyring);
	size_t n = keyring_count(p->env->keyring);
	int keep[KEYRING_MAX + KEPT_FDS];

	memcpy(keep, fds, n * sizeof(keep[0]));
	keep[n++] = p->keys->helper_fd;
	keep[n++] = p->birth->ready_fd;
	keep[n++] = log_fd();
	return fdio_close_others(keep, n);
}

/* Who ends the server signals all of its processes, perhaps.  Ours may be needed until
 * the last session has ended, and the master ends it by KILL. */
static int ignore_signals(void)
{
	static const int ignored[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (sigaction(ignored[i], &ignore, NULL) < 0)
			return -errno;
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* Nothing of the file system is left. */
static int confine_files(unsigned landlock)
{
	int rules;

	if (landlock == 0)
		return 0;
	rules = confine_create(landlock);
	return rules < 0 ? rules : confine_enforce_take_fd(rules);
}

static int load_keys(struct process *p)
{
	const int *fds = keyring_key_fds(p->env->keyring);
	size_t n = keyring_count(p->env->keyring);
	int r = signer_new(fds, n, &p->signer);

	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	return r;
}

static int set_up(struct process *p)
{
	const struct sandbox *sandbox = &p->keys->sandbox;
	int r;

	if ((r = close_descriptors(p)) < 0)
		return fail_step("close descriptors", r);
	if ((r = child_drop_standard_streams()) < 0)
		return fail_step("drop standard streams", r);
	if ((r = ignore_signals()) < 0)
		return fail_step("set signals", r);
	if ((r = sandbox_drop_bounding_set()) < 0)
		return fail_step("give up the bounding set", r);
	if ((r = identity_assume(p->env->identity)) < 0)
		return fail_step("give up root", r);
	if ((r = child_watch_master(p->birth->master, SIGKILL)) < 0)
		return fail_step("watch the master", r);
	if ((r = sandbox_renounce()) < 0)
		return fail_step("give up what is left", r);
	if ((r = confine_files(sandbox->landlock)) < 0)
		return fail_step("confine files", r);
	if ((r = load_keys(p)) < 0)
		return fail_step("load the keys", r);
	/* Standard input is /dev/null by now. */
	if (p->env->is_daemon && dup2(STDIN_FILENO, STDERR_FILENO) < 0)
		return fail_step("leave standard error", -errno);
	if ((r = sandbox_enter(sandbox, NULL, 0)) < 0)
		return fail_step("enter the sandbox", r);
	r = helper_tell_ready(p->birth);
	return r < 0 ? fail_step("tell the master", r) : 0;
}

/* What helper_start hands to keys_main. */
struct start {
	const struct keys *keys;
	const struct keys_env *env;
};

static void keys_main(const void *user, const struct helper_birth *birth)
{
	const struct start *start = user;
	struct process p = {.keys = start->keys, .env = start->env, .birth = birth};

	log_note_process();
	setproctitle("keys");
	if (set_up(&p) < 0)
		_exit(KEYS_EXIT_SETUP);
	(void)fail_step("wait for questions", signer_serve(p.signer, p.keys->helper_fd));
	_exit(KEYS_EXIT_FAILED);
}

static const struct helper_kind keys_kind = {
	.run = keys_main,
	.key = "keys",
	.start = EV_KEYS_START,
	.exit = EV_KEYS_EXIT,
	.failed = EV_KEYS_FAILED,
};

/* ------------------------------------------------------------ in the master */

int keys_open(struct keys *k, enum sandbox_level level)
{
	int r = ipc_open(&k->asker_fd, &k->helper_fd);

	return r < 0 ? r : sandbox_init(level, SANDBOX_KEYS, &k->sandbox);
}

void keys_done(struct keys *k)
{
	for (unsigned i = 0; i < k->count; i++)
		helper_end(&k->helpers[i]);
	(void)fdio_close(&k->asker_fd);
	(void)fdio_close(&k->helper_fd);
	sandbox_done(&k->sandbox);
}

int keys_start(struct keys *k, const struct keys_env *env)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned wanted = processors < 1                    ? 1
			  : processors > KEYS_PROCESSES_MAX ? KEYS_PROCESSES_MAX
							    : (unsigned)processors;
	const struct start start = {k, env};
	int r = 0;

	for (k->count = 0; k->count < wanted && r == 0; k->count++)
		r = helper_start(&k->helpers[k->count], &keys_kind, &start);
	return r;
}

bool keys_note_exit(struct keys *k, pid_t pid, int status, bool is_expected)
{
	for (unsigned i = 0; i < k->count; i++)
		if (helper_note_exit(
			    &k->helpers[i], &keys_kind, pid, status, is_expected))
			return true;
	return false;
}

uint64_t keys_tend(struct keys *k, const struct keys_env *env, uint64_t now_ms)
{
	const struct start start = {k, env};
	uint64_t until_ms = UINT64_MAX;

	for (unsigned i = 0; i < k->count; i++) {
		uint64_t due_ms = helper_tend(&k->helpers[i], &keys_kind, &start, now_ms);

		until_ms = due_ms < until_ms ? due_ms : until_ms;
	}
	return until_ms;
}
