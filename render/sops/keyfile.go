package sops

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"
)

// keyFile is what --decryption-keys names.
type keyFile struct {
	Keys []keyEntry `json:"keys"`
}

// keyEntry is one key, or several age identities or PGP keys, with the places that they are bound to.
type keyEntry struct {
	Age     string `json:"age,omitempty"`
	AgeFile string `json:"ageFile,omitempty"`

	PGP            string `json:"pgp,omitempty"`
	PGPFile        string `json:"pgpFile,omitempty"`
	Passphrase     string `json:"passphrase,omitempty"`
	PassphraseFile string `json:"passphraseFile,omitempty"`

	Vault *vaultEntry `json:"vault,omitempty"`
	AWS   *awsEntry   `json:"aws,omitempty"`
	GCP   *gcpEntry   `json:"gcp,omitempty"`
	Azure *azureEntry `json:"azure,omitempty"`

	Paths      []string `json:"paths,omitempty"`
	Namespaces []string `json:"namespaces,omitempty"`
}

type vaultEntry struct {
	Address   string `json:"address"`
	Engine    string `json:"engine,omitempty"` // transit
	Key       string `json:"key"`
	Token     string `json:"token,omitempty"`
	TokenFile string `json:"tokenFile,omitempty"`
	CAFile    string `json:"caFile,omitempty"`
}

type awsEntry struct {
	ARN             string `json:"arn"`
	Role            string `json:"role,omitempty"` // to take on; the document must name the same or none
	AccessKeyID     string `json:"accessKeyID"`
	SecretAccessKey string `json:"secretAccessKey,omitempty"`
	SecretFile      string `json:"secretFile,omitempty"` // with the secret access key
	SessionToken    string `json:"sessionToken,omitempty"`
	Endpoint        string `json:"endpoint,omitempty"`
}

type gcpEntry struct {
	Resource        string `json:"resource"`
	Credentials     string `json:"credentials,omitempty"` // JSON of a service account
	CredentialsFile string `json:"credentialsFile,omitempty"`
	Endpoint        string `json:"endpoint,omitempty"`
}

type azureEntry struct {
	Vault      string `json:"vault"`
	Key        string `json:"key"`
	Tenant     string `json:"tenant"`
	Client     string `json:"client"`
	Secret     string `json:"secret,omitempty"`
	SecretFile string `json:"secretFile,omitempty"`
}

const maxKeyFile = 1 << 20

// readKeys reads the node's keys and everything that they name. The error tells all that is wrong, and
// no value.
func readKeys(name string) (*keyring, error) {
	data, err := readPrivate(name)
	if err != nil {
		return nil, err
	}
	var f keyFile
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		return nil, fmt.Errorf("%s: %s", name, decodeError(err))
	}
	if len(f.Keys) == 0 {
		return nil, fmt.Errorf("%s: holds no keys: a list `keys:` is expected", name)
	}
	ring := &keyring{}
	var errs []error
	for i, e := range f.Keys {
		made, err := e.entry(filepath.Dir(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: keys[%d]: %w", name, i, err))
			continue
		}
		ring.entries = append(ring.entries, made)
	}
	return ring, errors.Join(errs...)
}

// decodeError is what is wrong with a file of keys as far as it names fields; the rest could hold a key.
func decodeError(err error) string {
	if _, field, found := strings.Cut(err.Error(), "unknown field "); found {
		field, _, _ = strings.Cut(field, "\n")
		return "unknown field " + field
	}
	return "is not YAML of the form `keys: [...]`, or a field has the wrong type"
}

// readPrivate reads a file that nobody but its owner, root or this process's user, can read.
func readPrivate(name string) ([]byte, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link or lies behind one; name the file itself", name)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	mode := stat.Mode & 0o7777
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("%s is no regular file", name)
	case mode != 0o600 && mode != 0o400:
		return nil, fmt.Errorf("%s has mode %04o and must have 0600 or 0400: it holds keys", name, mode)
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return nil, fmt.Errorf("%s belongs to user %d and must belong to root or to the user of writ", name, stat.Uid)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("%s is larger than %d KiB", name, maxKeyFile>>10)
	}
	return data, err
}

// either is a text that is written in place or in a file of its own. what names the two fields.
func either(folder, text, file, what string) (string, error) {
	switch {
	case text != "" && file != "":
		return "", fmt.Errorf("has both %s and its file", what)
	case file == "":
		return text, nil
	case !filepath.IsAbs(file):
		file = filepath.Join(folder, file)
	}
	data, err := readPrivate(file)
	return strings.TrimSpace(string(data)), err
}
