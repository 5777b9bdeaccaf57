package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/spf13/pflag"

	"writ/manifest"
	"writ/render/decrypt"
)

// secretConfig says how documents that are encrypted with SOPS are opened.
type secretConfig struct{ keys string }

func (c *secretConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.keys, "decryption-keys", "", "file with the keys of documents that are encrypted with SOPS, mode 0600")
}

// open makes what opens them, until ctx ends; nil without keys.
func (c secretConfig) open(ctx context.Context, program string, log *slog.Logger) (manifest.Decrypter, error) {
	if c.keys == "" {
		return nil, nil
	}
	d, err := decrypt.New(decrypt.Config{Program: program, Keys: c.keys, Log: log})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, d.Close)
	return d, nil
}

// unopened is what `writ check` reads encrypted documents with when it has no keys: as far as they are
// not encrypted. It takes note of their files.
type unopened struct {
	manifest.Sealed

	mu    sync.Mutex
	files map[string]bool
}

// Decrypt puts stand-ins in the place of values.
func (u *unopened) Decrypt(e manifest.Encrypted) (manifest.Clear, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.files == nil {
		u.files = make(map[string]bool)
	}
	u.files[e.Path] = true
	return u.Sealed.Decrypt(e)
}

// notes tells which files were read without their values.
func (u *unopened) notes() manifest.Mistakes {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all manifest.Mistakes
	for _, name := range slices.Sorted(maps.Keys(u.files)) {
		all = append(all, manifest.Mistake{Source: manifest.Source{Path: name}, What: "is encrypted; its values are not checked without --decryption-keys"})
	}
	return all
}

// checkDecrypter opens documents for `writ check`: with keys if there are any, else it only notes them.
func (c secretConfig) checkDecrypter(ctx context.Context, program string) (manifest.Decrypter, *unopened, error) {
	u := &unopened{}
	d, err := c.open(ctx, program, slog.New(slog.DiscardHandler))
	if d == nil {
		d = u
	}
	return d, u, err
}
