package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// sshSession runs git-upload-pack on a server. It is not go-git's own because that one waits
// forever for a server that accepts a connection and then says nothing, reads the user's
// ssh_config and asks the user's agent.
type sshSession struct {
	conn   *ssh.Client
	cmd    *ssh.Session
	in     io.WriteCloser
	out    io.Reader
	stderr *stderrHead
	adv    *packp.AdvRefs
	undo   func() bool
}

func dialSSH(ctx context.Context, cfg Config, src source, guard *silence) (session, error) {
	port := src.url.Port()
	if port == "" {
		port = "22"
	}
	addr := net.JoinHostPort(src.url.Hostname(), port)
	conf, err := sshConfig(cfg, src, addr)
	if err != nil {
		return nil, err
	}
	tcp, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	undo := context.AfterFunc(ctx, func() { tcp.Close() })
	s, err := startSSH(&soundConn{tcp, guard}, addr, conf, src)
	if err != nil {
		undo()
		tcp.Close()
		return nil, err
	}
	s.undo = undo
	return s, nil
}

func sshConfig(cfg Config, src source, addr string) (*ssh.ClientConfig, error) {
	pem, err := os.ReadFile(cfg.Credentials.SSHKeyFile)
	if err != nil {
		return nil, &problem{Login, "read the ssh key file", err}
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, &problem{Login, "read the ssh key file", err}
	}
	known, err := gitssh.NewKnownHostsDb(cfg.Credentials.KnownHostsFile)
	if err != nil {
		return nil, &problem{Identity, "read the known_hosts file", err}
	}
	return &ssh.ClientConfig{
		User:            src.url.User.Username(),
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: known.HostKeyCallback(),
		// Only kinds of key that the file knows, else the server may show one that it does not.
		HostKeyAlgorithms: known.HostKeyAlgorithms(addr),
	}, nil
}

func startSSH(tcp net.Conn, addr string, conf *ssh.ClientConfig, src source) (*sshSession, error) {
	c, chans, reqs, err := ssh.NewClientConn(tcp, addr, conf)
	if err != nil {
		return nil, err
	}
	s := &sshSession{conn: ssh.NewClient(c, chans, reqs), stderr: &stderrHead{}}
	if s.cmd, err = s.conn.NewSession(); err != nil {
		return nil, err
	}
	s.cmd.Stderr = s.stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if s.out, err = s.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	folder := src.url.Path
	if strings.HasPrefix(folder, "/~") {
		folder = folder[1:]
	}
	return s, s.cmd.Start("git-upload-pack " + quote(strings.TrimPrefix(folder, "~/")))
}

// quote makes one word for the server's shell.
func quote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}

func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	adv := packp.NewAdvRefs()
	err := adv.Decode(&limitedReader{r: s.out, left: maxList, limit: maxList})
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && adv.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case errors.Is(err, packp.ErrEmptyInput), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, s.refusal(err)
	case err != nil:
		return nil, err
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	s.adv = adv
	return adv, nil
}

// refusal turns what the server wrote on its standard error into an error.
func (s *sshSession) refusal(err error) error {
	s.in.Close()
	_ = s.cmd.Wait() // its status says less than its words
	said := strings.TrimSpace(s.stderr.String())
	lower := strings.ToLower(said)
	for _, words := range []string{"not appear to be a git repository", "not found", "does not exist", "no such repository", "could not be found"} {
		if strings.Contains(lower, words) {
			return transport.ErrRepositoryNotFound
		}
	}
	if said == "" {
		return err
	}
	return fmt.Errorf("the server says %q", said)
}

func (s *sshSession) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if req.IsEmpty() {
		return nil, transport.ErrEmptyUploadPackRequest
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if err := req.UploadRequest.Encode(s.in); err != nil {
		return nil, fmt.Errorf("ask for commits: %w", err)
	}
	if err := req.UploadHaves.Encode(s.in, true); err != nil {
		return nil, fmt.Errorf("ask for commits: %w", err)
	}
	if err := pktline.NewEncoder(s.in).EncodeString("done\n"); err != nil {
		return nil, fmt.Errorf("ask for commits: %w", err)
	}
	resp := packp.NewUploadPackResponse(req)
	if err := resp.Decode(io.NopCloser(s.out)); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	s.adv = nil // answered: no farewell is due
	return resp, nil
}

// Close says farewell with a flush where nothing was asked for, as the protocol wants, and ends
// the connection.
func (s *sshSession) Close() error {
	if s.adv != nil {
		_, _ = s.in.Write(pktline.FlushPkt)
	}
	s.undo()
	return s.conn.Close()
}

// soundConn tells the guard about every byte.
type soundConn struct {
	net.Conn
	guard *silence
}

func (c *soundConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.guard.heard()
	}
	return n, err
}

// stderrHead keeps the first kilobyte of what is written to it.
type stderrHead struct{ b []byte }

func (t *stderrHead) Write(p []byte) (int, error) {
	t.b = append(t.b, p[:min(len(p), 1024-len(t.b))]...)
	return len(p), nil
}

func (t *stderrHead) String() string { return string(t.b) }
