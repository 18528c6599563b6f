/* The spawner; see spawner.h.
 *
 * A process of its own, which waits for everything at once: questions, askers that leave,
 * output, the end of commands.  Questions come from workers, which may have been taken
 * over: such a one can have the commands of the configuration run with what it says, as
 * often as it could by sending mail, and nothing else.  Nobody's reply waits for somebody
 * else's command, but for the turn of its own. */
#include "spawn/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/number.h"
#include "spawn/job.h"
#include "spawn/start.h"

/* A machine out of memory gets this long to recover. */
#define RETRY_MS 100

/* So often is a process looked at that has ended and is traced. */
#define HELD_MS 50

/* Output that is taken from one command at a time; a pipe holds as much. */
#define SCRATCH_SIZE (64 * 1024)

/* Of descriptors: for each job, more for one that runs, and for all else. */
#define FDS_OF_JOB    2
#define FDS_OF_RUN    2
#define FDS_OF_OTHERS 32

/* Octets of a set of signals, as the kernel has them. */
#define SIGSET_SIZE (_NSIG / 8)

/* Entries of poll: the channel comes first; a job has two at most. */
#define POLLS_OF_JOB 2

struct section {
	unsigned running;
	bool is_elsewhere; /* its directory is not ours */
};

struct spawner {
	const struct spawner_settings *settings;
	int channel_fd;
	int end; /* no questions any more: why */
	uint64_t retry_ms;
	struct starter starter;
	struct section *sections;
	struct job *jobs;    /* all places, in memory shared with children */
	struct job **free;   /* those not in use */
	struct job **active; /* in the order in which they came */
	size_t free_count;
	size_t active_count;
	struct pollfd *polls;
	char *question; /* SPAWN_REQUEST_MAX */
	char *scratch;  /* SCRATCH_SIZE */
};

/* Exactly: the log tells of short runs. */
static uint64_t now_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* ------------------------------------------------------------------- set up */

static void do_nothing(int number)
{
	(void)number;
}

/* Who ends the server signals all of its processes, perhaps; we are needed until the last
 * session has ended.  Ignored signals would stay so in commands; handlers do not. */
static int set_signals(void)
{
	static const int handled[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	/* As the kernel has it: no handler, no flags, no mask. */
	static const char by_default[64];
	struct sigaction nothing = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
	sigset_t none;

	/* Not by sigaction: libc keeps two signals to itself, and whoever started us may
	 * have ignored these too.  It fails for KILL and STOP, which cannot be other. */
	for (int number = 1; number <= SIGRTMAX; number++)
		(void)syscall(SYS_rt_sigaction, number, by_default, NULL, SIGSET_SIZE);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		if (sigaction(handled[i], &nothing, NULL) < 0)
			return -errno;
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* Commands get the limit that we had.  Without enough, some are not run. */
static void raise_files_limit(struct spawner *s)
{
	size_t questions = s->settings->questions_max, running = 0;
	struct rlimit limit, old;
	rlim_t wanted;

	for (size_t i = 0; i < s->settings->delivery_count; i++)
		if (s->settings->is_ours[i])
			running += s->settings->deliveries[i].pipe.max_running;
	wanted = FDS_OF_JOB * questions + FDS_OF_RUN * number_min(questions, running) +
		 FDS_OF_OTHERS;

	if (getrlimit(RLIMIT_NOFILE, &old) < 0 || old.rlim_cur >= wanted)
		return;
	limit = old;
	limit.rlim_cur = wanted < old.rlim_max ? wanted : old.rlim_max;
	if (limit.rlim_cur == old.rlim_cur || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	s->starter.has_files_limit = true;
	s->starter.files_limit = old;
}

/* As execve will say.  0 or an errno. */
static int look_at_program(const char *path)
{
	struct stat st;

	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 || stat(path, &st) < 0)
		return errno;
	return S_ISREG(st.st_mode) ? 0 : EACCES;
}

/* Somebody may put it right before a message comes. */
static void tell_of_path(const struct delivery_settings *d, const char *path, int error)
{
	if (error != 0)
		log_event(LOG_WARN, EV_COMMAND_REFUSED, LOG_TEXT("delivery", d->name),
			LOG_TEXT("path", path), LOG_ERRNO(error));
}

static void look_at_sections(struct spawner *s)
{
	struct stat here, there;
	bool is_known = stat(".", &here) == 0;

	for (size_t i = 0; i < s->settings->delivery_count; i++) {
		const struct delivery_settings *d = &s->settings->deliveries[i];
		struct section *section = &s->sections[i];

		if (!s->settings->is_ours[i])
			continue;
		section->is_elsewhere = true;
		if (stat(d->pipe.directory, &there) < 0 ||
			faccessat(AT_FDCWD, d->pipe.directory, X_OK, AT_EACCESS) < 0)
			tell_of_path(d, d->pipe.directory, errno);
		else if (is_known)
			section->is_elsewhere = there.st_dev != here.st_dev ||
						there.st_ino != here.st_ino;
		tell_of_path(d, d->pipe.command[0], look_at_program(d->pipe.command[0]));
	}
}

static int make_room(struct spawner *s)
{
	size_t n = s->settings->questions_max;
	void *jobs = mmap(NULL, n * sizeof(*s->jobs), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (jobs == MAP_FAILED)
		return -errno;
	s->jobs = jobs;
	s->sections = calloc(s->settings->delivery_count, sizeof(*s->sections));
	s->free = calloc(n, sizeof(struct job *));
	s->active = calloc(n, sizeof(struct job *));
	s->polls = calloc(1 + POLLS_OF_JOB * n, sizeof(*s->polls));
	s->question = malloc(SPAWN_REQUEST_MAX);
	s->scratch = malloc(SCRATCH_SIZE);
	if (s->sections == NULL || s->free == NULL || s->active == NULL ||
		s->polls == NULL || s->question == NULL || s->scratch == NULL)
		return -ENOMEM;
	/* The first comes first. */
	for (size_t i = n; i > 0; i--)
		s->free[s->free_count++] = &s->jobs[i - 1];
	return 0;
}

static int set_up(struct spawner *s)
{
	int r;

	if ((r = set_signals()) < 0 || (r = make_room(s)) < 0)
		return r;
	starter_init(&s->starter, s->settings->is_waiting);
	/* Who takes the same channel after us, or beside us, may have been faster. */
	if (fcntl(s->channel_fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	(void)umask(077);
	raise_files_limit(s);
	look_at_sections(s);
	return 0;
}

static void done(struct spawner *s)
{
	/* None is active; but some have memory. */
	for (size_t i = 0; i < s->free_count; i++)
		if (s->free[i]->state != JOB_FREE)
			job_done(s->free[i]);
	if (s->jobs != NULL)
		(void)munmap(s->jobs, s->settings->questions_max * sizeof(*s->jobs));
	free(s->sections);
	free(s->free);
	free(s->active);
	free(s->polls);
	free(s->question);
	free(s->scratch);
}

/* ---------------------------------------------------------------- questions */

/* Spooled by a worker: nobody else has it under a name, and who can write it may have
 * it read.  A path, a directory or a socket is none. */
static bool is_message(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_RDONLY &&
	       fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0;
}

/* A description of its own, at the beginning, for reading. */
static int open_anew(int fd)
{
	char path[32];
	int input;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Its owner can have a lease on it, and an open would wait for that. */
	input = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return input < 0 ? -errno : input;
}

/* What this section and its asker have to do with each other.  Returns why nothing
 * is run, or an empty text. */
static struct str check_request(const struct spawner *s, const struct spawn_request *r)
{
	const struct pipe_settings *pipe;
	uint64_t now = now_ms();

	if (r->section >= s->settings->delivery_count ||
		!s->settings->is_ours[r->section])
		return STR("no command of ours");
	pipe = &s->settings->deliveries[r->section].pipe;
	if (pipe->is_per_recipient && r->recipient_count != 1)
		return STR("one recipient at a time");
	if (now > r->asked_ms && now - r->asked_ms > pipe->timeout_ms + SPAWN_PATIENCE_MS)
		return STR("asked too long ago");
	return STR("");
}

/* Make a job of a question; its message is closed then, its answer_fd the job's.
 * Returns why that is not possible, or an empty text. */
static struct str read_question(
	const struct spawner *s, struct ipc_question *q, struct job *j)
{
	struct spawn_request request;
	struct str reason;
	int r = spawn_request_decode((struct str){q->p, q->n}, &j->arena, &request);

	if (r < 0)
		return log_error_text(r);
	(void)str_copy(j->id, sizeof(j->id), request.message_id);
	reason = check_request(s, &request);
	if (reason.n > 0)
		return reason;
	j->section = request.section;
	j->settings = &s->settings->deliveries[request.section];
	if (q->fd_count != SPAWN_FDS || !is_message(q->fds[0]))
		return STR("no message");
	r = command_line_make(&j->settings->pipe, &request, &j->arena, &j->line);
	if (r < 0)
		return r == -EINVAL ? STR("an argument begins with a hyphen")
				    : log_error_text(r);
	r = open_anew(q->fds[0]);
	if (r < 0)
		return log_error_text(r);
	j->input_fd = r;
	(void)fdio_close(&q->fds[0]);
	j->answer_fd = q->answer_fd;
	j->deadline_ms =
		number_min(now_ms(), request.asked_ms) + j->settings->pipe.timeout_ms;
	return STR("");
}

static void refuse_question(struct str reason)
{
	log_event(LOG_WARN, EV_COMMAND_REFUSED, LOG_STR("reason", reason));
}

static void refuse_job(const struct job *j, struct str reason)
{
	if (j->settings == NULL)
		refuse_question(reason);
	else
		log_event(LOG_WARN, EV_COMMAND_REFUSED, LOG_TEXT("id", j->id),
			LOG_TEXT("delivery", j->settings->name),
			LOG_STR("reason", reason));
}

static bool has_room(const struct spawner *s, const struct job *j)
{
	return s->sections[j->section].running < j->settings->pipe.max_running;
}

static void start_job(struct spawner *s, struct job *j)
{
	struct section *section = &s->sections[j->section];
	const char *directory =
		section->is_elsewhere ? j->settings->pipe.directory : NULL;

	job_start(j, &s->starter, directory);
	if (job_is_running(j))
		section->running++;
}

static void take_job(struct spawner *s, struct ipc_question *q)
{
	struct job *j = s->free[s->free_count - 1];
	struct str reason;

	if (j->state == JOB_FREE)
		job_init(j);
	j->settings = NULL;
	j->id[0] = '\0';
	reason = read_question(s, q, j);
	if (reason.n > 0) {
		refuse_job(j, reason);
		job_drop(j);
		ipc_drop(q);
		return;
	}
	s->free_count--;
	s->active[s->active_count++] = j;
	j->state = JOB_WAITING;
	/* Whoever waits for this section has waited in vain just now. */
	if (has_room(s, j))
		start_job(s, j);
}

static void take_question(struct spawner *s)
{
	struct ipc_question q = {.p = s->question, .size = SPAWN_REQUEST_MAX};
	int r = ipc_receive(s->channel_fd, &q);

	if (r == 0 && q.n == SPAWN_PING_SIZE) {
		/* Who asked may have gone. */
		(void)ipc_answer(&q, q.p, q.n);
	} else if (r == 0 && s->free_count > 0) {
		take_job(s, &q);
	} else if (r == 0) {
		refuse_question(STR("too many questions"));
		ipc_drop(&q);
	} else if (r == -EBADMSG) {
		refuse_question(STR("no question that can be answered"));
	} else if (r == -ENOMEM || r == -ENOBUFS) {
		log_event(LOG_ERROR, EV_SPAWNER_FAILED,
			LOG_TEXT("step", "take a question"), LOG_ERRNO(r));
		s->retry_ms = now_ms() + RETRY_MS;
	} else if (r != -EAGAIN) {
		s->end = r;
	}
}

/* --------------------------------------------------------------------- loop */

/* Say what is waited for.  The process of a job comes before its output: when that one
 * has ended, the kernel, which looks at one after the other, has seen all that there will
 * be of this one.  Returns how many entries. */
static nfds_t list_polls(struct spawner *s)
{
	bool can_ask = s->end == 0 && s->retry_ms == 0;
	nfds_t n = 0;

	s->polls[n++] = (struct pollfd){can_ask ? s->channel_fd : -1, POLLIN, 0};
	for (size_t i = 0; i < s->active_count; i++) {
		const struct job *j = s->active[i];

		if (j->state == JOB_WAITING) {
			/* Only whether it has gone. */
			s->polls[n++] = (struct pollfd){j->answer_fd, 0, 0};
		} else {
			/* What is held has ended, and would wake us all the time. */
			s->polls[n++] =
				(struct pollfd){j->is_held ? -1 : j->pidfd, POLLIN, 0};
			s->polls[n++] = (struct pollfd){j->output_fds[0], POLLIN, 0};
		}
	}
	return n;
}

static void forget_jobs(struct spawner *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->active_count; i++)
		if (s->active[i]->state == JOB_OVER)
			s->free[s->free_count++] = s->active[i];
		else
			s->active[kept++] = s->active[i];
	s->active_count = kept;
}

/* Until something is due: for poll. */
static int time_left(const struct spawner *s)
{
	uint64_t until_ms = s->retry_ms > 0 ? s->retry_ms : UINT64_MAX;
	uint64_t now = now_ms();

	for (size_t i = 0; i < s->active_count; i++) {
		const struct job *j = s->active[i];

		until_ms = number_min(until_ms, j->deadline_ms);
		if (job_is_running(j) && j->is_held)
			until_ms = number_min(until_ms, now + HELD_MS);
	}
	if (until_ms == UINT64_MAX)
		return -1;
	return until_ms > now ? (int)number_min(until_ms - now, INT_MAX) : 0;
}

static void attend_running(
	struct spawner *s, struct job *j, const struct pollfd *process, uint64_t now)
{
	const struct pollfd *output = process + 1;

	if (output->revents != 0)
		job_read(j, s->scratch, SCRATCH_SIZE);
	if (process->revents != 0 || j->is_held)
		job_end(j);
	if (job_is_running(j) && now >= j->deadline_ms)
		job_hurry(j, now);
	if (j->state == JOB_OVER)
		s->sections[j->section].running--;
}

static void attend_waiting(struct job *j, const struct pollfd *asker, uint64_t now)
{
	if (asker->revents != 0)
		job_drop(j);
	else if (now >= j->deadline_ms)
		job_give_up(j);
}

/* In the order of list_polls. */
static void attend_jobs(struct spawner *s)
{
	const struct pollfd *p = s->polls + 1;
	uint64_t now = now_ms();

	for (size_t i = 0; i < s->active_count; i++) {
		struct job *j = s->active[i];

		if (j->state == JOB_WAITING) {
			attend_waiting(j, p, now);
			p += 1;
		} else {
			attend_running(s, j, p, now);
			p += POLLS_OF_JOB;
		}
	}
	for (size_t i = 0; i < s->active_count; i++) {
		struct job *j = s->active[i];

		if (j->state == JOB_WAITING && has_room(s, j))
			start_job(s, j);
	}
}

static void serve_round(struct spawner *s)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
	nfds_t n = list_polls(s);

	if (poll(s->polls, n, time_left(s)) < 0) {
		if (errno != EINTR) {
			log_event(LOG_ERROR, EV_SPAWNER_FAILED, LOG_TEXT("step", "wait"),
				LOG_ERRNO(errno));
			(void)nanosleep(&pause, NULL);
		}
		return;
	}
	attend_jobs(s);
	if (s->polls[0].revents != 0)
		take_question(s);
	if (s->retry_ms > 0 && now_ms() >= s->retry_ms)
		s->retry_ms = 0;
	forget_jobs(s);
}

int spawner_serve(const struct spawner_settings *settings, int channel_fd)
{
	struct spawner s = {.settings = settings, .channel_fd = channel_fd};
	int r = set_up(&s);

	if (r == 0) {
		while (s.end == 0 || s.active_count > 0)
			serve_round(&s);
		r = s.end;
	}
	done(&s);
	return r;
}
