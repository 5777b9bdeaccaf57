package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const pathKubeconfig = "/v1/kubeconfig"

// KubeconfigQuery is for whom a client certificate is wanted.
type KubeconfigQuery struct {
	User   string        `json:"user,omitempty"` // empty: an administrator, or what the request says
	Groups []string      `json:"groups,omitempty"`
	TTL    time.Duration `json:"ttl"`
	CSR    []byte        `json:"csr,omitempty"` // PEM; then the answer is the certificate alone
}

// Access makes client certificates. Errors are shown to the person as they are.
type Access interface {
	Kubeconfig(KubeconfigQuery) ([]byte, error)
}

// WithAccess makes the server give out access to the Kubernetes API. It is called before Serve.
func (s *Server) WithAccess(a Access) *Server {
	s.access = a
	return s
}

// bodyMost bounds the body of a question, in bytes.
const bodyMost = 1 << 20

func (s *Server) kubeconfig(w http.ResponseWriter, r *http.Request) {
	if s.access == nil {
		refuse(w, http.StatusNotFound, errors.New("this daemon gives out no access"))
		return
	}
	var q KubeconfigQuery
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMost)).Decode(&q); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("read the question: %w", err))
		return
	}
	out, err := s.access.Kubeconfig(q)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	_, _ = w.Write(out)
}

// Kubeconfig asks for a client certificate, in a configuration of kubectl or alone.
func (c *Client) Kubeconfig(ctx context.Context, q KubeconfigQuery) ([]byte, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	body, err := c.request(ctx, http.MethodPost, pathKubeconfig, nil, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}
