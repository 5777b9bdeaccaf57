package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"writ/manifest"
	gitsync "writ/sync"
	"writ/sync/signature"
)

// Whose signatures are asked for.
const (
	everyCommit = "all"
	headCommit  = "head"
)

// trustConfig says whose commits are followed.
type trustConfig struct {
	signers []string
	mode    string
	files   signature.Files // what the signers' files were found to be
}

func (c *trustConfig) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.signers, "trusted-signers", nil,
		"file of PGP public keys or of SSH allowed signers; given twice for both. Only commits that they signed are followed")
	f.StringVar(&c.mode, "signer-mode", everyCommit,
		"whose signature is asked for: every commit since the adopted one (all) or the newest one (head)")
}

// fill finds out which file is of which kind.
func (c *trustConfig) fill() (err error) {
	if len(c.signers) == 0 {
		return nil
	}
	if c.files, err = signature.Detect(c.signers); err != nil {
		return usageError{fmt.Errorf("--trusted-signers: %w", err)}
	}
	return nil
}

func (c *trustConfig) validate() error {
	switch {
	case c.mode != everyCommit && c.mode != headCommit:
		return fmt.Errorf("--signer-mode %q: all or head", c.mode)
	case c.mode == headCommit && len(c.signers) == 0:
		return errors.New("--signer-mode head without --trusted-signers: nobody's signature is asked for")
	}
	return nil
}

func (c *trustConfig) trust() gitsync.Trust {
	return gitsync.Trust{Files: c.files, HeadOnly: c.mode == headCommit}
}

// source is what the mirror follows. What is in force is asked of the store, which is open by then.
func (n *node) source() gitsync.Config {
	c := n.cfg.source()
	c.Trust.Adopted = func() string { return n.store.World().Adopted().Commit }
	c.Trust.Scopes = func() []signature.Scope { return scopes(n.store.World().Adopted().Settings.Spec.Signers) }
	c.Refused = n.refused
	return c
}

// scopes are spec.signers as sync knows them.
func scopes(signers []manifest.Signer) []signature.Scope {
	var all []signature.Scope
	for _, s := range signers {
		all = append(all, scope(s))
	}
	return all
}

func scope(s manifest.Signer) signature.Scope {
	return signature.Scope{Path: s.Path, Keys: s.Keys, AllowPrivileged: s.AllowPrivileged}
}

// signing knows entries of spec.signers, for whoever reads writ.yaml.
type signing struct{}

func (signing) Check(s manifest.Signer) error { return scope(s).Validate() }

func (signing) Covers(s manifest.Signer, folder, path string) bool {
	return scope(s).Match(folder, path)
}

// signersWarning is what is to be said of spec.signers on a node that asks nobody for signatures.
func (n *node) signersWarning() []string {
	if n.cfg.trust.files.Set() || len(n.store.World().Adopted().Settings.Spec.Signers) == 0 {
		return nil
	}
	return []string{"writ.yaml: spec.signers has no effect on whose commits are followed: this node has no --trusted-signers"}
}
