package main

import (
	"log/slog"
	"path/filepath"

	"github.com/spf13/pflag"

	"writ/render"
	"writ/render/fetch"
)

// basesDir is the folder of fetched remote bases in the data directory, and in the user's cache for check.
const basesDir = "bases"

// baseConfig says which servers kustomizations may name for remote bases.
type baseConfig struct{ hosts []string }

func (c *baseConfig) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.hosts, "remote-bases", nil, "`HOST` that kustomizations may name for remote bases, with its port if that is not 443; may be given again")
}

// open makes what fetches them.
func (c baseConfig) open(dir, caFile string, log *slog.Logger) (render.Bases, error) {
	return fetch.NewBases(fetch.BasesConfig{Config: fetch.Config{Dir: filepath.Join(dir, basesDir), CAFile: caFile, Log: log}, Hosts: c.hosts})
}

// check makes what `writ check` finds them with; nil without hosts.
func (c baseConfig) check(mayFetch bool) (render.Bases, error) {
	config, err := checkFetching(basesDir, mayFetch)
	if err != nil || len(c.hosts) == 0 {
		return nil, nil // what is refused then tells of the flag
	}
	return fetch.NewBases(fetch.BasesConfig{Config: config, Hosts: c.hosts})
}
