package main

import (
	"os"
	"strconv"

	"writ/runtime/shim/confine"
)

/*
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// The loader is a thread of its own beside the Go program that sets up the container: when it is
// told to, that one waits in a system call, and has no privileges any more with which it could load
// a filter. It makes system calls only, on static memory. Whatever fails ends the whole process: a
// container without its filter must not begin.

static struct sock_filter program[BPF_MAXINSNS];
static int channel;

static void give_up(int32_t why) {
	(void)!write(channel, &why, sizeof why);
	syscall(SYS_exit_group, 255);
}

static void receive(void *to, size_t size) {
	for (size_t got = 0; got < size;) {
		ssize_t n = read(channel, (char *)to + got, size - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			give_up(n < 0 ? errno : EPIPE);
		got += n;
	}
}

// Another user than root, which the whole process becomes meanwhile, has its capabilities only as
// permitted ones.
static void raise_capabilities(void) {
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) != 0)
		return;
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	syscall(SYS_capset, &header, data);
}

static void *load(void *unused) {
	uint32_t size;
	char go;
	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	receive(&size, sizeof size);
	if (size == 0 || size > sizeof program || size % sizeof program[0] != 0)
		give_up(EINVAL);
	receive(program, size);
	receive(&go, sizeof go);
	raise_capabilities();
	struct sock_fprog filter = {size / sizeof program[0], program};
	long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
	if (failed != 0)
		give_up(failed < 0 ? errno : EBUSY); // above 0: a thread that could not be brought along
	int32_t done = 0;
	(void)!write(channel, &done, sizeof done);
	// The filter holds from here on, and may allow little. The command ends this thread.
	while (read(channel, &go, sizeof go) < 0 && errno == EINTR)
		;
	syscall(SYS_exit, 0);
	return unused;
}

static int start_loader(int fd) {
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return errno;
	channel = fd;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals are for the Go threads
	pthread_t thread;
	int failed = pthread_create(&thread, NULL, load, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}
*/
import "C"

// startLoader starts what loads a compiled filter into this process, if it was handed one. It reports
// false if that cannot be: the process must end then.
func startLoader() bool {
	if !handed() {
		return true
	}
	return C.start_loader(confine.FD) == 0
}

// handed reports whether descriptor FD is the shim's: the container library then begins to count its own
// descriptors, of which the console is the first if there is one, one above it.
func handed() bool {
	first := os.Getenv("_LIBCONTAINER_CONSOLE")
	if first == "" {
		first = os.Getenv("_LIBCONTAINER_INITPIPE")
	}
	return os.Getenv("_LIBCONTAINER_INITTYPE") == "standard" && first == strconv.Itoa(confine.FD+1)
}
