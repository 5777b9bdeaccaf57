package image

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// Config is what a store is told when it is opened.
type Config struct {
	// Dir holds the store. Archives is the folder of archives, empty for none.
	Dir, Archives string
	// MaxBytes and MaxFiles bound what one image may take on disk, all its layers
	// together; 0 is the default of 64 GiB and 4 Mi files. An image beyond them is
	// refused with ErrCorrupt.
	MaxBytes, MaxFiles int64
	// CAFiles are PEM files of certificates that registries may be signed by beside
	// those that the system trusts. They are read once.
	CAFiles []string
	// Mirrors are asked before a registry: REGISTRY=ADDRESS, as in
	// "docker.io=mirror.example:5000/dockerhub", in the order of asking; "*" stands
	// for every registry. Where no mirror has an image, the registry is asked.
	Mirrors []string
	// Insecure are registries, host[:port], that may be spoken to in plain HTTP.
	Insecure []string
	// RegistryConfig is a file in the form of Docker's configuration (auths,
	// credHelpers, credsStore) with credentials for every pod of this node; empty for
	// none. HelperDir is where credential helpers are, empty for the PATH.
	RegistryConfig, HelperDir string
}

// Validate says everything that is wrong with the configuration at once.
func (c *Config) Validate() error {
	_, err := c.client(slog.New(slog.DiscardHandler))
	return err
}

// client is how registries are spoken to.
func (c *Config) client(log *slog.Logger) (*registryClient, error) {
	roots, err := c.roots()
	errs := []error{err}
	out := &registryClient{base: newTransport(roots)}
	for _, text := range c.Mirrors {
		m, err := parseMirror(text)
		out.mirrors, errs = append(out.mirrors, m), append(errs, err)
	}
	out.insecure, err = checkHosts(c.Insecure)
	errs = append(errs, err)
	out.node = &nodeKeys{file: c.RegistryConfig, helpers: helpers{dir: c.HelperDir, timeout: helperTimeout}, log: log}
	return out, errors.Join(errs...)
}

const (
	defaultMaxBytes = 64 << 30
	defaultMaxFiles = 4 << 20
)

// roots is whom registries are trusted by; nil is the system's own choice.
func (c *Config) roots() (*x509.CertPool, error) {
	if len(c.CAFiles) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // there is none: these are all
		pool = x509.NewCertPool()
	}
	for _, name := range c.CAFiles {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read registry certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("read registry certificates: %s holds no certificate in PEM form", name)
		}
	}
	return pool, nil
}
