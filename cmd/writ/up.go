package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	gitsync "writ/sync"
)

// config is what `writ up` is told.
type config struct {
	repo, ref, path          string
	interval                 time.Duration
	username, passwordFile   string
	sshKey, knownHosts, ca   string
	dataDir, runDir, logDir  string
	node                     string
	shim, renderer           string
	metrics                  string
	profile                  bool
	rebuild                  bool
	logLevel, logFormat      string
	dnsRate                  int
	reservedCPU, reservedMem string
	trust                    trustConfig
	hooks                    hookConfig
	api                      apiConfig
	image                    imageConfig
	secrets                  secretConfig
	bases                    baseConfig
	resources                resourceConfig
	isolation                isolationConfig
	eviction                 evictionConfig
	scale                    scaleConfig
}

func (c *config) flags(f *pflag.FlagSet) {
	f.StringVar(&c.repo, "repo", "", "repository to follow: https, http or ssh address, or a path on this machine")
	f.StringVar(&c.ref, "ref", "", "branch, tag or commit to follow (default: the repository's own)")
	f.StringVar(&c.path, "path", "", "folder of the repository to follow (default: all of it)")
	f.DurationVar(&c.interval, "interval", 15*time.Second, "time between two looks at a remote repository")
	f.StringVar(&c.username, "username", "", "user name for http")
	f.StringVar(&c.passwordFile, "password-file", "", "file with the password or token for http")
	f.StringVar(&c.sshKey, "ssh-key", "", "file with the private key for ssh")
	f.StringVar(&c.knownHosts, "known-hosts", "", "file with the server's host keys for ssh")
	f.StringVar(&c.ca, "ca-file", "", "file with certificates to trust for https beside the system's")
	f.StringVar(&c.dataDir, "data-dir", defaultDataDir, "folder that outlives a reboot")
	f.StringVar(&c.runDir, "run-dir", defaultRunDir, "folder that does not: sockets, network namespaces")
	f.StringVar(&c.logDir, "log-dir", defaultLogDir, "folder of container logs")
	f.StringVar(&c.node, "node", "", "name of this node (default: its host name)")
	f.StringVar(&c.shim, "shim", "", "the writ-shim binary (default: beside writ)")
	f.StringVar(&c.renderer, "renderer", "", "the writ-render binary (default: beside writ)")
	f.StringVar(&c.metrics, "metrics-listen", "127.0.0.1:9410", "loopback address of /metrics and /healthz; empty for none")
	f.BoolVar(&c.profile, "profile", false, "serve profiles of the daemon beside the metrics, at /debug/pprof/profile and heap")
	f.BoolVar(&c.rebuild, "rebuild", false, "make the store anew from the repository and the running containers")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	f.IntVar(&c.dnsRate, "dns-rate", 10000, "questions a second that one pod may ask; 0 for no bound")
	f.StringVar(&c.reservedCPU, "reserved-cpu", "100m", "CPU kept back from the pods")
	f.StringVar(&c.reservedMem, "reserved-memory", "256Mi", "memory kept back from the pods")
	c.trust.flags(f)
	c.hooks.flags(f)
	c.api.flags(f)
	c.image.flags(f)
	c.secrets.flags(f)
	c.bases.flags(f)
	c.resources.flags(f)
	c.isolation.flags(f)
	c.eviction.flags(f)
	c.scale.flags(f)
}

// upFlagNames are the settings that the configuration file may hold.
func upFlagNames() map[string]bool {
	names := map[string]bool{}
	f := pflag.NewFlagSet("up", pflag.ContinueOnError)
	new(config).flags(f)
	f.VisitAll(func(flag *pflag.Flag) { names[flag.Name] = true })
	return names
}

var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

// fill finds out what was left open and makes paths absolute.
func (c *config) fill() error {
	if c.node == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find the node's name: %w", err)
		}
		c.node = strings.ToLower(strings.TrimSpace(name)) // as a kubelet does
	}
	if err := beside(&c.shim, "writ-shim"); err != nil {
		return err
	}
	if err := beside(&c.renderer, rendererName); err != nil {
		return err
	}
	if err := c.trust.fill(); err != nil {
		return err
	}
	if err := c.resources.fill(); err != nil {
		return err
	}
	for _, p := range []*string{&c.dataDir, &c.runDir, &c.logDir, &c.shim, &c.renderer} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

// rendererName is the program that renders kustomizations and charts.
const rendererName = "writ-render"

// beside fills in the path of a program that lies beside this one.
func beside(path *string, name string) error {
	if *path != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	*path = filepath.Join(filepath.Dir(self), name)
	return nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// Validate says everything that is wrong at once.
func (c *config) Validate() error {
	var errs []error
	if c.repo == "" {
		errs = append(errs, errors.New("--repo is missing: which repository shall this node follow?"))
	}
	if !nodeName.MatchString(c.node) {
		errs = append(errs, fmt.Errorf("--node %q is not a name: lower case letters, digits, '-' and '.'", c.node))
	}
	for _, p := range []struct{ flag, path, name string }{{"--shim", c.shim, "writ-shim"}, {"--renderer", c.renderer, rendererName}} {
		if !isProgram(p.path) {
			errs = append(errs, fmt.Errorf("%s %s is not a program: `make build` leaves %s beside writ", p.flag, p.path, p.name))
		}
	}
	if c.repo != "" {
		if err := c.source().Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		errs = append(errs, fmt.Errorf("--log-level %q: debug, info, warn or error", c.logLevel))
	}
	if c.logFormat != "text" && c.logFormat != "json" {
		errs = append(errs, fmt.Errorf("--log-format %q: text or json", c.logFormat))
	}
	if c.dnsRate < 0 {
		errs = append(errs, fmt.Errorf("--dns-rate %d: a number of questions, 0 for no bound", c.dnsRate))
	}
	if inside(c.dataDir, c.runDir) || inside(c.runDir, c.dataDir) {
		errs = append(errs, fmt.Errorf("--data-dir %s and --run-dir %s lie in each other: what outlives a reboot needs a folder of its own", c.dataDir, c.runDir))
	}
	if _, err := c.reserved(); err != nil {
		errs = append(errs, err)
	}
	if err := loopback(c.metrics); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.trust.validate(), c.hooks.validate(), c.image.validate(), c.resources.validate(), c.isolation.validate(), c.eviction.validate(), c.scale.validate())
	return errors.Join(errs...)
}

func (c *config) source() gitsync.Config {
	return gitsync.Config{
		URL: c.repo, Ref: c.ref, Path: c.path, Dir: filepath.Join(c.dataDir, "mirror"), Interval: c.interval, CAFile: c.ca,
		Trust:       c.trust.trust(),
		Credentials: gitsync.Credentials{Username: c.username, PasswordFile: c.passwordFile, SSHKeyFile: c.sshKey, KnownHostsFile: c.knownHosts},
	}
}

func (c *config) logger(out *os.File) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		level = slog.LevelInfo // Validate has said so
	}
	options := &slog.HandlerOptions{Level: level}
	if c.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// idleGC is how much garbage, in percent of what lives, the daemon lets lie: half of Go's own value, since
// it idles most of the time and memory is what its users see.
const idleGC = 50

func newUp() *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:   "up --repo URL",
		Short: "Run this node: follow the repository and run what it says",
		Long: "Runs this node: follows the repository and runs what it says, until it is stopped.\n" +
			"Containers outlive the daemon; `writ down` ends both.\n\n" +
			"A flag beats the environment variable WRIT_<FLAG>, which beats " + configFile + ".",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.fill(); err != nil {
				return err
			}
			if err := c.Validate(); err != nil {
				return usageError{err}
			}
			if os.Geteuid() != 0 {
				return errors.New("up: containers and networks need root")
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(idleGC)
			}
			log := c.logger(os.Stderr)
			n, err := open(cmd.Context(), c, log)
			if err != nil {
				return err
			}
			return n.run(cmd.Context())
		},
	}
	c.flags(cmd.Flags())
	return cmd
}
