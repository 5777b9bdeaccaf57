package sandbox

import "golang.org/x/sys/unix"

// older is the calls that only this architecture still has beside their newer forms.
var older = []uint32{
	unix.SYS_OPEN, unix.SYS_CREAT, unix.SYS_UNLINK, unix.SYS_RMDIR, unix.SYS_MKDIR, unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_LINK, unix.SYS_SYMLINK,
	unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_ACCEPT, unix.SYS_FORK, unix.SYS_VFORK,
}
