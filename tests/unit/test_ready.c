/* Unit tests of proc/ready: what whoever started the server is told. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "proc/ready.h"
#include "unit.h"

/* A socket that gets what is said. */
static int open_notified(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[sizeof(to.sun_path)];
	int n = snprintf(name, sizeof(name), "@sinkd-unit-%ld", (long)getpid());

	memcpy(to.sun_path + 1, name + 1, (size_t)n - 1);
	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&to,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
					    (size_t)n)) == 0);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static struct str heard(int fd, char text[128])
{
	ssize_t n = recv(fd, text, 127, 0);

	text[n < 0 ? 0 : n] = '\0';
	return str_of(text);
}

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void test_notices(void)
{
	int fd = open_notified();
	char text[128];
	uint64_t before_us, us = 0;

	ready_notify_status(17, 5);
	CHECK_STR("status", heard(fd, text), STR("STATUS=17 busy, 5 idle"));
	ready_notify_main_pid(4711);
	CHECK_STR("main pid", heard(fd, text), STR("MAINPID=4711"));
	before_us = now_us();
	ready_notify_reloading();
	(void)heard(fd, text);
	CHECK("reloading",
		sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &us) == 1);
	/* systemd compares it with the time of its signal. */
	CHECK("not before", us >= before_us && us <= now_us());
	(void)unsetenv("NOTIFY_SOCKET");
	ready_notify_status(1, 1);
	CHECK_STR("nobody asks", heard(fd, text), STR(""));
	(void)close(fd);
}

void suite_ready(void)
{
	CU_pSuite s = CU_add_suite("ready", NULL, NULL);

	CU_add_test(s, "notices", test_notices);
}
