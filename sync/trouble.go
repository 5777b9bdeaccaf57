package sync

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Kind sorts what can be wrong with the followed repository.
type Kind string

// The kinds of trouble.
const (
	Unreachable Kind = "unreachable" // the server or the local repository is not there
	NotFound    Kind = "not-found"   // the server answers but knows no such repository
	Login       Kind = "login"       // credentials missing, wrong or not enough
	Identity    Kind = "identity"    // the server's host key or certificate is not trusted
	Empty       Kind = "empty"       // the repository has no commit
	RefMissing  Kind = "ref-missing" // the branch, tag or commit is not there
	PathMissing Kind = "path-missing"
	Unsupported Kind = "unsupported" // a repository format that cannot be read
	TooLarge    Kind = "too-large"   // an object, a pack or a tree is larger than is taken
	Untrusted   Kind = "untrusted"   // a commit is not signed by a trusted signer
	Rewritten   Kind = "rewritten"   // with trusted signers: the branch left the commit in force
	Failed      Kind = "failed"      // anything else; the text tells
)

// Trouble is why the newest commit cannot be followed, in words for people. It never holds a
// secret.
type Trouble struct {
	Kind  Kind      `json:"kind"`
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// problem is the error inside this package that becomes a Trouble.
type problem struct {
	kind Kind
	text string
	err  error
}

func (p *problem) Error() string {
	if p.err == nil {
		return p.text
	}
	return p.text + ": " + p.err.Error()
}

func (p *problem) Unwrap() error { return p.err }

func problemf(kind Kind, format string, args ...any) *problem {
	return &problem{kind: kind, text: fmt.Sprintf(format, args...)}
}

// explain sorts an error of the transport. from is the address to name, already without secrets.
func explain(from string, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // without the address, which is named already
	}
	var key *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	var unknownCA x509.UnknownAuthorityError
	var badCert *tls.CertificateVerificationError
	// Not net.Error: a full disk's errno is one too.
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &key) && len(key.Want) > 0:
		return problemf(Identity, "the host key of %s is not the one in the known_hosts file", from)
	case errors.As(err, &key):
		return problemf(Identity, "the host key of %s is not in the known_hosts file", from)
	case errors.As(err, &revoked):
		return problemf(Identity, "the host key of %s is revoked in the known_hosts file", from)
	case errors.As(err, &unknownCA), errors.As(err, &badCert):
		return &problem{Identity, "the certificate of " + from + " is not trusted", err}
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return problemf(Login, "%s does not accept the credentials", from)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return problemf(Login, "the credentials give no access to %s", from)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return problemf(Login, "%s does not accept the ssh key", from)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return problemf(Empty, "%s has no commit yet", from)
	case strings.Contains(err.Error(), "not our ref"):
		return problemf(RefMissing, "%s does not have the commit, or does not give it out", from)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return problemf(NotFound, "%s is not found there, or the credentials may not see it", from)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errStalled), errors.Is(err, os.ErrDeadlineExceeded):
		return problemf(Unreachable, "%s does not answer in time", from)
	case errors.As(err, &network), errors.As(err, &name), request != nil:
		return &problem{Unreachable, from + " cannot be reached", err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return problemf(Unreachable, "%s broke off in the middle", from)
	}
	return &problem{Failed, "fetch from " + from, err}
}
