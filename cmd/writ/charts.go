package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"writ/manifest"
	"writ/render"
	"writ/render/fetch"
)

// chartsDir is the folder of fetched charts in the data directory, and in the user's cache for check.
const chartsDir = "charts"

// nodeLoader reads commits for this node.
func nodeLoader(ctx context.Context, cfg config, log *slog.Logger) (manifest.Loader, error) {
	charts, err := fetch.New(fetch.Config{Dir: filepath.Join(cfg.dataDir, chartsDir), CAFile: cfg.ca, Log: log})
	if err != nil {
		return manifest.Loader{}, err
	}
	decrypter, err := cfg.secrets.open(ctx, cfg.renderer, log)
	if err != nil {
		return manifest.Loader{}, err
	}
	bases, err := cfg.bases.open(cfg.dataDir, cfg.ca, log)
	if err != nil {
		return manifest.Loader{}, err
	}
	renderer := render.New(ctx, render.Config{Program: cfg.renderer, Charts: charts, Bases: bases, Decrypter: decrypter, Log: log})
	return manifest.Loader{Folder: cfg.path, Renderer: renderer, Decrypter: decrypter, Signing: signing{}}, nil
}

// checkCharts are the charts that `writ check` knows from before, and others if it may fetch.
func checkCharts(mayFetch bool) (render.Charts, error) {
	c, err := checkFetching(chartsDir, mayFetch)
	if err != nil {
		return nil, nil
	}
	return fetch.New(c)
}

// checkFetching is how `writ check` uses a folder of the user's cache. Without a home, which is the error,
// there is nothing from before.
func checkFetching(folder string, mayFetch bool) (fetch.Config, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fetch.Config{}, err
	}
	c := fetch.Config{Dir: filepath.Join(cache, "writ", folder), Log: slog.New(slog.DiscardHandler)}
	if !mayFetch {
		c.Offline = "--fetch-charts fetches it"
	}
	return c, nil
}
