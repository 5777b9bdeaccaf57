package sync

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Config says what to follow and where the mirror lies.
type Config struct {
	// URL is an https, http or ssh address, user@host:path, a file:// address or the path of a
	// repository on this machine.
	URL string
	// Ref is a branch, a tag, a full reference (refs/...) or a whole commit hash. A branch wins
	// over a tag of the same name. Empty follows the repository's HEAD.
	Ref string
	// Path is the followed folder, slash-separated from the root of the repository. Empty or "."
	// is the root itself.
	Path string
	// Dir is the folder of the mirror; it is made with mode 0700 and belongs to one Mirror alone.
	Dir string
	// Interval is the time between two looks at a remote, varied by a tenth. Default 15 s. A local
	// repository is watched and also looked at in this interval.
	Interval time.Duration
	// Timeout is how long a server may stay silent. Default 30 s.
	Timeout time.Duration
	// MaxPack is the largest download accepted at once, in bytes. Default 2 GiB.
	MaxPack int64
	// MaxObject is the largest file, of any commit, that is taken into the mirror, in bytes. Objects of
	// this size are held in memory. Default 128 MiB.
	MaxObject int64
	// MaxFile is the largest file that can be read, in bytes. Default 64 MiB.
	MaxFile int64
	// CAFile holds PEM certificates that are trusted for https beside the system's.
	CAFile string
	// Credentials for the server. The files are read at every look, so they can be rotated.
	Credentials Credentials
	// Trust says whose commits are followed. Default everybody's.
	Trust Trust
	// Refused is told once of each commit that is not handed out because of what it is. It is called
	// during a look and must return soon. Optional.
	Refused func(Refused)
}

// Credentials name the files that hold secrets; the secrets themselves are never configuration.
type Credentials struct {
	// Username for http. Default "git", which servers take beside a token.
	Username string
	// PasswordFile holds the password or token for http. A final newline is ignored.
	PasswordFile string
	// SSHKeyFile holds an unencrypted private key.
	SSHKeyFile string
	// KnownHostsFile holds the server's host keys in OpenSSH's format. Required with ssh.
	KnownHostsFile string
}

// Validate tells everything that is wrong with the configuration at once. It opens no file.
func (c Config) Validate() error {
	var errs []error
	src, err := parseSource(c.URL)
	if err != nil {
		errs = append(errs, err)
	}
	if c.Ref != "" && !plumbing.IsHash(c.Ref) {
		if err := plumbing.ReferenceName("refs/heads/" + c.Ref).Validate(); err != nil {
			errs = append(errs, fmt.Errorf("ref %q is not a branch, tag or commit", c.Ref))
		}
	}
	if !fs.ValidPath(c.folder()) {
		errs = append(errs, fmt.Errorf("path %q must be a folder inside the repository", c.Path))
	}
	if c.Dir == "" {
		errs = append(errs, errors.New("the folder of the mirror is not set"))
	}
	if c.Interval < 0 || c.Timeout < 0 || c.MaxPack < 0 || c.MaxFile < 0 || c.MaxObject < 0 {
		errs = append(errs, errors.New("interval, timeout and sizes must not be negative"))
	}
	if src.kind == sourceSSH && (c.Credentials.SSHKeyFile == "" || c.Credentials.KnownHostsFile == "") {
		errs = append(errs, errors.New("ssh needs a private key file and a known_hosts file"))
	}
	if c.Trust.HeadOnly && !c.Trust.Files.Set() {
		errs = append(errs, errors.New("to verify the newest commit only, trusted signers must be set"))
	}
	return errors.Join(errs...)
}

// folder is Path in the form that fs.FS uses.
func (c Config) folder() string {
	return path.Clean(strings.Trim(c.Path, "/"))
}

func (c Config) withDefaults() Config {
	if c.Ref == "HEAD" {
		c.Ref = ""
	}
	if c.Interval == 0 {
		c.Interval = 15 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxPack == 0 {
		c.MaxPack = 2 << 30
	}
	if c.MaxObject == 0 {
		c.MaxObject = 128 << 20
	}
	if c.MaxFile == 0 {
		c.MaxFile = 64 << 20
	}
	if c.Credentials.Username == "" {
		c.Credentials.Username = "git"
	}
	return c
}

type sourceKind int

const (
	sourceLocal sourceKind = iota
	sourceHTTP
	sourceSSH
)

// source is a parsed Config.URL: clean and safe to show, with the login taken out.
type source struct {
	kind sourceKind
	path string   // of a local repository, absolute
	url  *url.URL // of a remote, without password and, for http, without user
	user *url.Userinfo
}

// String never shows a secret. For http even a lone user name is left out: it is often a token.
func (s source) String() string {
	if s.kind == sourceLocal {
		return s.path
	}
	return s.url.String()
}

// plain tells whether credentials would cross a network without encryption.
func (s source) plain(c Credentials) bool {
	if s.kind != sourceHTTP || s.url.Scheme != "http" || (s.user == nil && c.PasswordFile == "") {
		return false
	}
	host := s.url.Hostname()
	return host != "localhost" && !net.ParseIP(host).IsLoopback()
}

func parseSource(raw string) (source, error) {
	if raw == "" {
		return source{}, errors.New("the repository's address is not set")
	}
	if scheme, _, ok := strings.Cut(raw, "://"); ok {
		return parseURL(strings.ToLower(scheme), raw)
	}
	if host, dir, ok := strings.Cut(raw, ":"); ok && !strings.ContainsAny(host, `/\`) {
		return parseSCP(host, dir)
	}
	abs, err := filepath.Abs(raw)
	if err != nil {
		return source{}, fmt.Errorf("find repository %s: %w", raw, err)
	}
	return source{kind: sourceLocal, path: abs}, nil
}

func parseURL(scheme, raw string) (source, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's own message repeats the address, which may hold a password.
		return source{}, errors.New("the repository's address is not a URL")
	}
	u.Scheme = scheme
	switch scheme {
	case "file":
		if (u.Host != "" && u.Host != "localhost") || !path.IsAbs(u.Path) {
			return source{}, errors.New("file:// needs an absolute path on this machine: file:///path")
		}
		return source{kind: sourceLocal, path: filepath.Clean(u.Path)}, nil
	case "http", "https":
		return remoteSource(sourceHTTP, u)
	case "ssh", "git+ssh", "ssh+git":
		u.Scheme = "ssh"
		return remoteSource(sourceSSH, u)
	}
	return source{}, fmt.Errorf("%s:// is not supported: use https, http, ssh or a path", scheme)
}

func remoteSource(kind sourceKind, u *url.URL) (source, error) {
	if u.Hostname() == "" {
		return source{}, errors.New("the repository's address names no host")
	}
	s := source{kind: kind, url: u, user: u.User}
	u.User = nil
	if kind == sourceSSH {
		u.User = url.User("git")
		if name := s.user.Username(); name != "" {
			u.User = url.User(name)
		}
	}
	return s, nil
}

// parseSCP reads [user@]host:path. A path without a leading slash is relative to the login folder,
// which the URL form writes as /~/path.
func parseSCP(login, dir string) (source, error) {
	name, host, ok := strings.Cut(login, "@")
	if !ok {
		name, host = "git", login
	}
	if host == "" || dir == "" {
		return source{}, errors.New("the repository's address is not user@host:path")
	}
	if !path.IsAbs(dir) {
		dir = "/~/" + strings.TrimPrefix(dir, "~/")
	}
	return remoteSource(sourceSSH, &url.URL{Scheme: "ssh", Host: host, Path: dir, User: url.User(name)})
}
