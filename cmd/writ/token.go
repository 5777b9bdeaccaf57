package main

import (
	"encoding/json"
	"path/filepath"

	"github.com/spf13/cobra"

	"writ/api/control"
	"writ/pki"
	noderuntime "writ/runtime"
	"writ/runtime/token"
)

// openKeys reads the keys that others trust the cluster by, and makes them the first time.
func (n *node) openKeys() error {
	keys, err := pki.Open(filepath.Join(n.cfg.dataDir, "pki"))
	if err != nil {
		return err
	}
	n.rootCA, n.configKey = string(keys.CAPEM), keys.Config
	if n.tokens, err = token.New(keys.Account); err != nil {
		return err
	}
	return n.listenAPI(keys)
}

// runtimeConfig is the runtime's part of the configuration, with what signs tokens.
func (n *node) runtimeConfig() noderuntime.Config {
	c := n.cfg.runtime()
	c.Tokens = n.tokens
	return c
}

// TokenKeys are the public keys of the tokens of ServiceAccounts.
func (n *node) TokenKeys() ([]byte, error) { return n.tokens.Keys() }

// TokenIssuer describes who issues them.
func (n *node) TokenIssuer() ([]byte, error) { return n.tokens.Discovery(n.issuer()) }

// issuer is who signs the tokens of ServiceAccounts.
func (n *node) issuer() string {
	domain := n.store.World().Adopted().Settings.Spec.ClusterDomain
	if domain == "" {
		domain = defaultDomain
	}
	return noderuntime.Issuer(domain)
}

const defaultDomain = "cluster.local"

func newJWKS() *cobra.Command {
	var (
		flags  clientFlags
		issuer bool
	)
	cmd := &cobra.Command{
		Use:   "jwks",
		Short: "Show the public keys of the tokens that pods carry",
		Long: "Shows the public keys, as a JSON Web Key Set (RFC 7517), by which the tokens of ServiceAccounts\n" +
			"can be verified that pods of this node carry. Give it to whoever is to trust them: a vault, a\n" +
			"cloud's identity service, a proxy. With --issuer: the document of OpenID Connect Discovery,\n" +
			"which names the issuer that the tokens do.",
		Example: "  writ jwks > jwks.json\n  writ jwks --issuer",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := control.PathJWKS
			if issuer {
				path = control.PathDiscovery
			}
			var document json.RawMessage
			if err := flags.client().Get(cmd.Context(), path, nil, &document); err != nil {
				return err
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			return out.Encode(document)
		},
	}
	flags.add(cmd, false)
	cmd.Flags().BoolVar(&issuer, "issuer", false, "show who issues the tokens instead")
	return cmd
}
