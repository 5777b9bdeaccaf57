package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// nodeKeys are the credentials of the node itself, in the form of Docker's configuration file: auths,
// credHelpers and credsStore. The file is read again when it has changed. What a helper says is used
// for one pull and never kept.
type nodeKeys struct {
	file    string // empty: there are none
	helpers helpers
	log     *slog.Logger

	mu    sync.Mutex
	stamp fileIdentity
	read  nodeConfig
}

// nodeConfig is what is used of the file.
type nodeConfig struct {
	auths       []credential
	credHelpers map[string]string // registry -> helper
	credsStore  string
}

// dockerHub is what Docker's own tools call their registry.
const dockerHub = "https://index.docker.io/v1/"

// load gives the file as it is now.
func (k *nodeKeys) load() (nodeConfig, error) {
	st, err := os.Stat(k.file)
	if err != nil {
		return nodeConfig{}, fmt.Errorf("read registry configuration: %w", err)
	}
	if err := trusted(st); err != nil {
		return nodeConfig{}, fmt.Errorf("registry configuration %s is refused: %w", k.file, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if id := identify(st); id != k.stamp {
		c, err := readNodeConfig(k.file)
		if err != nil {
			return nodeConfig{}, err
		}
		k.read, k.stamp = c, id
	}
	return k.read, nil
}

func readNodeConfig(file string) (nodeConfig, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nodeConfig{}, fmt.Errorf("read registry configuration: %w", err)
	}
	var doc struct {
		Auths       map[string]dockerAuth `json:"auths"`
		CredHelpers map[string]string     `json:"credHelpers"`
		CredsStore  string                `json:"credsStore"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nodeConfig{}, fmt.Errorf("read registry configuration %s: %w", file, hideContent(err))
	}
	c := nodeConfig{credHelpers: map[string]string{}, credsStore: doc.CredsStore}
	for host, a := range doc.Auths {
		if a == (dockerAuth{}) {
			continue // Docker leaves an empty entry for what a helper keeps
		}
		config, err := a.config()
		if err != nil {
			return nodeConfig{}, fmt.Errorf("read registry configuration %s: entry %q: %w", file, host, err)
		}
		c.auths = append(c.auths, credential{pattern: cleanHost(host), config: config, node: true})
	}
	slices.SortFunc(c.auths, func(a, b credential) int { return strings.Compare(a.pattern, b.pattern) })
	for host, helper := range doc.CredHelpers {
		c.credHelpers[cleanHost(host)] = helper
	}
	for _, name := range append([]string{doc.CredsStore}, values(c.credHelpers)...) {
		if name != "" && !helperName.MatchString(name) {
			return nodeConfig{}, fmt.Errorf("read registry configuration %s: %q is not the name of a credential helper", file, name)
		}
	}
	return c, nil
}

func values(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// credentials of the node that fit the repository: what its helper says, then what stands in the file.
// Trouble with either is told in the log, and given back to be shown if the registry refuses: a broken
// helper must not keep public images from being pulled.
func (k *nodeKeys) credentials(ctx context.Context, r ref) ([]credential, error) {
	if k.file == "" {
		return nil, nil
	}
	c, err := k.load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it may be put there later
	}
	if err != nil {
		k.log.Warn("the node's registry credentials are not used", "err", err)
		return nil, err
	}
	out := fitting(c.auths, r)
	helper := c.credHelpers[r.domain]
	if helper == "" {
		helper = c.credsStore
	}
	if helper == "" {
		return out, nil
	}
	server := r.domain
	if server == "docker.io" {
		server = dockerHub
	}
	config, found, err := k.helpers.get(ctx, helper, server)
	if err != nil {
		k.log.Warn("credential helper is of no use", "helper", helper, "registry", server, "err", err)
		return out, err
	}
	if found {
		out = append([]credential{{pattern: r.domain, config: config, node: true}}, out...)
	}
	return out, nil
}

// helperTimeout is how long a credential helper may take.
const helperTimeout = 20 * time.Second
