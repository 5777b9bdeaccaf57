package sandbox

import "golang.org/x/sys/unix"

// older is the calls that only this architecture still has beside their newer forms.
var older = []uint32{unix.SYS_ACCEPT, unix.SYS_RENAMEAT}
