package runtime

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	goruntime "runtime"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/pressure"
	"writ/runtime/token"
	"writ/state"
)

// Config is what a node's runtime is told at its start. Zero values of optional
// fields are filled in by New.
type Config struct {
	// Node is the name of this node.
	Node state.Node
	// DataDir keeps what outlives a reboot (emptyDirs, layers of containers),
	// RunDir what does not (shims). Both are absolute.
	DataDir, RunDir string
	// LogDir is where container logs go, /var/log/pods by default. LogLinks is the
	// folder of links that log collectors read, empty for none.
	LogDir, LogLinks string
	// Shim is the path of the writ-shim binary.
	Shim string
	// DNS is the resolver of the cluster; nil reads the address of Service kube-system/kube-dns.
	DNS func() netip.Addr
	// NodeIP is the node's own address; the zero value is found out.
	NodeIP netip.Addr
	// ResolvConf is the node's own, /etc/resolv.conf by default.
	ResolvConf string
	// Version is shown as the node's kubeletVersion.
	Version string
	// MaxPods is how many Pods the node takes, 110 by default.
	MaxPods int
	// Reserved is kept back from the Pods (cpu, memory, ephemeral-storage).
	Reserved corev1.ResourceList
	// PIDsLimit bounds the processes of one Pod, 4096 by default, negative for no bound.
	PIDsLimit int64
	// Starts is how many containers may be started at once, four times the cores by default.
	Starts int
	// Tokens makes the tokens of ServiceAccounts; nil means that this node issues none.
	Tokens *token.Issuer
	// ImageGC is when unused images are removed.
	ImageGC ImageGC
	// UnsafeSysctls are sysctls, or patterns of them that end in "*", that Pods may set beside the safe ones.
	UnsafeSysctls []string
	// Users are the node's for Pods with a user namespace of their own.
	Users UserIDs
	// Resources bounds what Pods use.
	Resources ResourceConfig
	// Eviction is when the node is short of something, in the kubelet's words.
	Eviction pressure.Settings
	// LogMaxSize is the size in bytes at which a container's log is rotated, 10 MiB by default, and LogMaxFiles
	// how many files are kept of it, 5 by default.
	LogMaxSize  int64
	LogMaxFiles int

	levels func() (pressure.Levels, error) // of the node; nil measures it
}

const (
	defaultLogDir    = "/var/log/pods"
	defaultMaxPods   = 110
	defaultPIDsLimit = 4096
)

// Validate says what is wrong with the Config.
func (c *Config) Validate() error {
	var errs []error
	if c.Node == "" {
		errs = append(errs, errors.New("runtime: the node has no name"))
	}
	for _, p := range []struct{ what, path string }{{"data directory", c.DataDir}, {"run directory", c.RunDir}, {"shim", c.Shim}} {
		if !filepath.IsAbs(p.path) {
			errs = append(errs, fmt.Errorf("runtime: the path of the %s is %q, it must be absolute", p.what, p.path))
		}
	}
	if err := c.Users.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := ValidSysctls(c.UnsafeSysctls); err != nil {
		errs = append(errs, fmt.Errorf("runtime: %w", err))
	}
	if err := c.Resources.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("runtime: %w", err))
	}
	errs = append(errs, c.ImageGC.validate())
	if _, err := c.Eviction.Parse(); err != nil {
		errs = append(errs, fmt.Errorf("runtime: %w", err))
	}
	if c.LogMaxSize < 0 || c.LogMaxFiles < 0 || c.LogMaxFiles == 1 {
		errs = append(errs, fmt.Errorf("runtime: logs of %d bytes in %d files: the size must be positive, and there are at least two files", c.LogMaxSize, c.LogMaxFiles))
	}
	return errors.Join(errs...)
}

func (c Config) filled() Config {
	c.ImageGC.fill()
	if c.LogDir == "" {
		c.LogDir = defaultLogDir
	}
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	if c.MaxPods == 0 {
		c.MaxPods = defaultMaxPods
	}
	if c.PIDsLimit == 0 {
		c.PIDsLimit = defaultPIDsLimit
	}
	if c.Starts == 0 {
		c.Starts = 4 * goruntime.NumCPU()
	}
	if c.Resources.DevicePlugins == "" {
		c.Resources.DevicePlugins = filepath.Join(c.DataDir, "device-plugins")
	}
	if !c.NodeIP.IsValid() {
		c.NodeIP = nodeAddress()
	}
	return c
}
