package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// setSysctls sets them in the namespaces of the calling thread: the kernel
// shows each thread the values of its own.
func setSysctls(values map[string]string) error {
	for name, value := range values {
		file, err := os.OpenFile(filepath.Join("/proc/sys", sysctlFile(name)), os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteString(value)
			if cerr := file.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil {
			return fmt.Errorf("set sysctl %s to %q: %w", name, value, err)
		}
	}
	return nil
}

// sysctlFile is a name's path below /proc/sys. A slash in a name with dots is a
// dot of the name of a device (sysctl.d(5)): net.ipv4.conf.eth0/100.rp_filter.
func sysctlFile(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}
