package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
)

// csrMost is how long a file with a request for a certificate may be, in bytes.
const csrMost = 64 << 10

func newKubeconfig() *cobra.Command {
	var (
		flags clientFlags
		query control.KubeconfigQuery
		file  string
	)
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Make a configuration of kubectl for a user of this cluster",
		Long: "Makes a configuration of kubectl, with a client certificate of the cluster's authority, and prints it.\n" +
			"Without --user it is that of an administrator, who may see everything. Any other user may do what the\n" +
			"Roles and bindings of the repository say. A certificate cannot be taken back before its time is over.\n\n" +
			"With --csr the certificate is made for a request (PKCS #10, PEM), whose key stays where it is, and\n" +
			"only the certificate is printed. The request says for whom it is, unless --user does.",
		Example: "  writ kubeconfig > ~/.kube/config\n  writ kubeconfig --user mary --group web --ttl 24h > mary.conf\n  writ kubeconfig --csr mary.csr > mary.crt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				var err error
				if query.CSR, err = readAtMost(file, csrMost); err != nil {
					return err
				}
			}
			out, err := flags.client().Kubeconfig(cmd.Context(), query)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	flags.add(cmd, false)
	f := cmd.Flags()
	f.StringVar(&query.User, "user", "", "name of the user (default: an administrator, or what the request says)")
	f.StringSliceVar(&query.Groups, "group", nil, "group of the user; may be repeated")
	f.DurationVar(&query.TTL, "ttl", 30*24*time.Hour, "how long the certificate holds")
	f.StringVar(&file, "csr", "", "file with a request for a certificate")
	return cmd
}

// readAtMost reads a file that is no longer than so many bytes.
func readAtMost(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return data, err
}
