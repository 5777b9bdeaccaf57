package image

import (
	"crypto/x509"
	"fmt"
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
