/* Each call of what brings private keys to where they are used fails, one after the
 * other: the keyring of a configuration, in the master and in the child that reads or
 * makes a key; the TLS context; the keys process, in the master and in itself; and its
 * questions and answers.
 *
 * Then: it is done, or it was told why in words; nothing is left of it, no process and no
 * descriptor, and the next attempt succeeds.
 *
 * GnuTLS allocates by itself: what it does without memory is not seen here, since the
 * linker changes our calls alone. */
#include "faults.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "keys/keyring.h"
#include "keys/pair.h"
#include "keys/signer.h"
#include "proc/keys.h"

#define BITS3(a, b, c) (FAULT_BIT(CALL_##a) | FAULT_BIT(CALL_##b) | FAULT_BIT(CALL_##c))

#define KEYRING_CALLS                                                                    \
	(BITS3(malloc, calloc, realloc) | BITS3(open, read, fstat) |                     \
		BITS3(pipe2, fork, memfd_create) | BITS3(fcntl, getrandom, close))
#define ERRAND_CALLS                                                                     \
	(BITS3(malloc, calloc, realloc) | BITS3(open, read, fstat) |                     \
		BITS3(write, prctl, setrlimit) | FAULT_BIT(CALL_close))
#define CONTEXT_CALLS BITS3(malloc, calloc, realloc)
#define START_CALLS                                                                      \
	(BITS3(malloc, read, fstat) | BITS3(socketpair, memfd_create, pipe2) |           \
		BITS3(fork, poll, close) | FAULT_BIT(CALL_log_write))
#define PROCESS_CALLS                                                                    \
	(BITS3(malloc, calloc, open) | BITS3(close_range, sigaction, sigprocmask) |      \
		BITS3(prctl, setrlimit, pread) | BITS3(fstat, write, close))
#define ANSWER_CALLS                                                                     \
	(BITS3(recvmsg, send, close) | FAULT_BIT(CALL_poll) | FAULT_BIT(CALL_log_write))
#define ALL_CALLS                                                                        \
	(KEYRING_CALLS | ERRAND_CALLS | CONTEXT_CALLS | START_CALLS | PROCESS_CALLS |    \
		ANSWER_CALLS)

/* Without these there is no key; the others have another way, or nobody cares. */
#define VITAL_CALLS                                                                      \
	(BITS3(malloc, calloc, realloc) | BITS3(open, read, fstat) |                     \
		BITS3(pipe2, fork, memfd_create) | BITS3(fcntl, getrandom, write) |      \
		BITS3(setrlimit, pread, socketpair) | FAULT_BIT(CALL_sigaction) |        \
		FAULT_BIT(CALL_sigprocmask))

#define QUESTIONS   3
#define PATIENCE_MS 10000

struct bench {
	struct scene scene;
	struct identity identity;
	bool is_in_child; /* the fault, not what is tested */
	const struct keyring *before;
	struct keyring *keyring; /* of scenes that have one */
	unsigned descriptors;
};

static void arm(const struct bench *b, const struct fault *fault)
{
	static const struct fault none;

	if (b->is_in_child)
		faults_arm_in_child(fault);
	else
		faults_arm(fault, &none);
}

/* Whether r is as the fault lets it be, and nothing is left. */
static void check_result(const struct bench *b, const struct fault *fault, int r)
{
	bool is_vital = (fault->calls & VITAL_CALLS) != 0;

	if (r < 0)
		CHECK(faults_has_struck() && !fault->is_harmless);
	else
		CHECK(!faults_has_struck() || fault->is_harmless || !is_vital);
	CHECK(scene_descriptors() == b->descriptors);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* ------------------------------------------------------------------- keyring */

static void check_keyring(const struct keyring *k)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct stat st;

	CHECK(keyring_count(k) == 1);
	CHECK(fcntl(keyring_key_fds(k)[0], F_GET_SEALS) == seals);
	CHECK(fstat(keyring_key_fds(k)[0], &st) == 0 && st.st_size > 0);
}

static void run_keyring(void *user, const struct fault *fault)
{
	const struct bench *b = user;
	struct keyring *k = NULL;
	char *told = NULL;
	size_t n = 0;
	FILE *errors = open_memstream(&told, &n);
	int r;

	arm(b, fault);
	r = keyring_load(b->scene.config, b->before, errors, &k);
	faults_disarm();
	(void)fclose(errors);
	if (r == 0)
		check_keyring(k);
	else
		CHECK(k == NULL);
	/* One line, which says what it is about. */
	CHECK((n > 0) == (r < 0));
	CHECK(r == 0 ||
		(strstr(told, ": tls: ") != NULL && strchr(told, '\n') == told + n - 1));
	CHECK(r == 0 || strstr(told, "No child processes") == NULL);
	free(told);
	keyring_unref(k);
	check_result(b, fault, r);
}

static void write_out(const struct bench *b, const char *name, const char *p, size_t n)
{
	char path[sizeof(b->scene.dir) + 16];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", b->scene.dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fdio_write_all(fd, p, n) == 0);
	(void)fdio_close(&fd);
}

/* The files that the configuration names. */
static void make_files(const struct bench *b)
{
	char text[PAIR_ERROR_MAX], key[4096];
	struct pair p;
	ssize_t n;

	CHECK(pair_make(b->scene.config, (int64_t)(clock_wall_us() / 1000000), &p,
		      text) == 0);
	n = pread(p.key_fd, key, sizeof(key), 0);
	CHECK(n > 0);
	write_out(b, "certificate", p.chain, p.chain_length);
	write_out(b, "key", key, n > 0 ? (size_t)n : 0);
	pair_done(&p);
}

static void open_bench(struct bench *b, bool has_pair)
{
	const struct scene_settings settings = {.is_discard = true, .has_pair = has_pair};

	*b = (struct bench){.identity = {.uid = getuid(), .gid = getgid()}};
	scene_open(&b->scene, &settings);
	CHECK(log_open(b->scene.config->log_target, LOG_FORMAT_TEXT, LOG_INFO) == 0);
	if (has_pair)
		make_files(b);
	b->descriptors = scene_descriptors();
}

static void close_bench(struct bench *b)
{
	keyring_unref(b->keyring);
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	scene_close(&b->scene);
}

static void sweep_keyring(const char *name, const char *in_child, bool has_pair)
{
	struct bench b;

	open_bench(&b, has_pair);
	faults_sweep(name, KEYRING_CALLS, run_keyring, &b);
	b.is_in_child = true;
	faults_sweep(in_child, ERRAND_CALLS, run_keyring, &b);
	close_bench(&b);
}

/* What was made is kept. */
static void sweep_reload(void)
{
	struct bench b;

	open_bench(&b, false);
	CHECK(keyring_load(b.scene.config, NULL, stderr, &b.keyring) == 0);
	b.before = b.keyring;
	b.descriptors = scene_descriptors();
	faults_sweep("keyring, a reload", KEYRING_CALLS, run_keyring, &b);
	close_bench(&b);
}

/* ------------------------------------------------------------------- context */

static void run_context(void *user, const struct fault *fault)
{
	const struct bench *b = user;
	const char *wrong = NULL;
	struct tls *t = NULL;
	int r;

	arm(b, fault);
	r = keyring_make_tls(b->keyring, -1, &t, &wrong);
	faults_disarm();
	CHECK((r == 0) == (t != NULL));
	CHECK(r == 0 || (wrong != NULL && wrong[0] != '\0'));
	tls_free(t);
	check_result(b, fault, r);
}

static void sweep_context(void)
{
	struct bench b;

	open_bench(&b, false);
	CHECK(keyring_load(b.scene.config, NULL, stderr, &b.keyring) == 0);
	b.descriptors = scene_descriptors();
	faults_sweep("TLS context", CONTEXT_CALLS, run_context, &b);
	close_bench(&b);
}

/* ------------------------------------------------------------------- process */

/* One that died over the question is followed by another, as for a worker. */
static bool is_answered(int fd)
{
	struct key_request q = {.algorithm = GNUTLS_SIGN_ECDSA_SHA256, .length = 32};
	const size_t n = offsetof(struct key_request, hash) + q.length;
	struct key_answer answer;
	ssize_t r = -EPIPE;

	for (int i = 0; i < 2 && r < (ssize_t)sizeof(answer.status); i++)
		r = ipc_ask(fd, &q, n, NULL, 0, &answer, sizeof(answer),
			clock_monotonic_ms() + PATIENCE_MS);
	return r >= (ssize_t)sizeof(answer.status) && answer.status == 0;
}

static bool do_all_run(const struct keys *k)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->helpers[i].pid == 0)
			return false;
	return k->count > 0;
}

static void run_process(void *user, const struct fault *fault)
{
	const struct bench *b = user;
	const struct keys_env env = {.keyring = b->keyring, .identity = &b->identity};
	struct keys k = KEYS_NONE;
	bool is_open;
	int r;

	scene_clear(&b->scene, false);
	arm(b, fault);
	r = keys_open(&k, SANDBOX_KILL);
	is_open = r == 0;
	if (is_open)
		r = keys_start(&k, &env);
	faults_disarm();
	CHECK((r == 0) == do_all_run(&k));
	if (r < 0 && b->is_in_child)
		CHECK(scene_logged(&b->scene, "event=keys.failed") == 1);
	if (r < 0 && is_open) {
		/* Much later, when nothing fails any more. */
		CHECK(keys_tend(&k, &env, UINT64_MAX / 2) == UINT64_MAX);
		CHECK(k.count == 0 || do_all_run(&k));
	}
	if (do_all_run(&k))
		CHECK(is_answered(k.asker_fd));
	keys_done(&k);
	check_result(b, fault, r);
}

static void sweep_process(void)
{
	struct bench b;

	open_bench(&b, false);
	CHECK(keyring_load(b.scene.config, NULL, stderr, &b.keyring) == 0);
	b.descriptors = scene_descriptors();
	faults_sweep("keys process, in the master", START_CALLS, run_process, &b);
	b.is_in_child = true;
	faults_sweep("keys process, in itself", PROCESS_CALLS, run_process, &b);
	close_bench(&b);
}

/* ------------------------------------------------------------------- answers */

/* Ends with the number of questions that nobody answered. */
static pid_t start_asker(int asker_fd, int helper_fd)
{
	pid_t pid = fork();
	int missing = 0;

	if (pid != 0)
		return pid;
	(void)close(helper_fd);
	for (int i = 0; i < QUESTIONS; i++) {
		/* One that cannot be answered does no harm. */
		(void)!write(asker_fd, "?", 1);
		missing += !is_answered(asker_fd);
	}
	_exit(missing);
}

static void run_answers(void *user, const struct fault *fault)
{
	const struct bench *b = user;
	struct signer *s = NULL;
	int asker_fd, helper_fd, status, r;
	pid_t pid;

	CHECK(signer_new(keyring_key_fds(b->keyring), 1, &s) == 0);
	CHECK(ipc_open(&asker_fd, &helper_fd) == 0);
	pid = start_asker(asker_fd, helper_fd);
	(void)fdio_close(&asker_fd);
	arm(b, fault);
	r = signer_serve(s, helper_fd);
	faults_disarm();
	if (r != -EPIPE) {
		CHECK(faults_has_struck() && !fault->is_harmless);
		/* As the process that comes after this one. */
		CHECK(signer_serve(s, helper_fd) == -EPIPE);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)fdio_close(&helper_fd);
	signer_free(s);
	check_result(b, fault, 0);
}

static void sweep_answers(void)
{
	struct bench b;

	open_bench(&b, false);
	CHECK(keyring_load(b.scene.config, NULL, stderr, &b.keyring) == 0);
	b.descriptors = scene_descriptors();
	faults_sweep("answers", ANSWER_CALLS, run_answers, &b);
	close_bench(&b);
}

int main(int argc, char **argv, char **envp)
{
	setproctitle_init(argc, argv, envp);
	(void)alarm(120); /* whoever hangs is found by this */
	faults_init();
	sweep_keyring("keyring, files", "keyring, files, the child", true);
	sweep_keyring("keyring, self-signed", "keyring, self-signed, the child", false);
	sweep_reload();
	sweep_context();
	sweep_process();
	sweep_answers();
	return faults_conclude(ALL_CALLS);
}
