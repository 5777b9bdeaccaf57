package main

/*
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Process 1 of a pod whose containers share their processes is this program under the name of
// Kubernetes' pause. It runs before Go does: no thread, hardly any memory, no file. What loses its
// parent in the pod becomes its child, and since it ignores SIGCHLD the kernel reaps that at once.
// It obeys no signal from within the pod: the kernel keeps those from process 1 that it does not
// handle. From then on it may only wait and end.

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#define ALLOW(call) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void confine_pause(void) {
	struct sock_filter filter[] = {
#ifdef OWN_ARCH
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
#endif
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(rt_sigsuspend),
		ALLOW(restart_syscall),
		ALLOW(rt_sigreturn),
		ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0); // a kernel without filters has no profile for containers either
}

__attribute__((constructor)) static void pause_forever(int argc, char **argv) {
	if (argc != 1 || strcmp(argv[0], "/pause") != 0)
		return;
	signal(SIGCHLD, SIG_IGN);
	confine_pause();
	sigset_t none;
	sigemptyset(&none);
	for (;;)
		sigsuspend(&none);
}
*/
import "C"
