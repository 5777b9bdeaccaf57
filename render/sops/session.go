package sops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getsops/sops/v3/keyservice"
	"google.golang.org/grpc"

	"writ/render/wire"
)

// session answers SOPS' questions about the keys of one document. It takes note of what was used, and of
// why a key was not.
type session struct {
	keys    *keyring
	place   wire.Open
	used    []*entry
	reasons []string
	away    bool // a key service did not answer
}

// Encrypt is never asked for.
func (s *session) Encrypt(context.Context, *keyservice.EncryptRequest, ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	return nil, errors.New("nothing is encrypted here")
}

// Decrypt opens a data key for which there is a key that is bound to the place.
func (s *session) Decrypt(ctx context.Context, req *keyservice.DecryptRequest, _ ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	var key []byte
	switch k := req.GetKey().GetKeyType().(type) {
	case *keyservice.Key_AgeKey:
		key = s.local("age key "+shorten(k.AgeKey.Recipient), func(e *entry) []byte { return e.openAge(req.Ciphertext) })
	case *keyservice.Key_PgpKey:
		key = s.local("PGP key "+shorten(k.PgpKey.Fingerprint), func(e *entry) []byte { return e.openPGP(req.Ciphertext) })
	case *keyservice.Key_VaultKey:
		v := k.VaultKey
		key = s.remote(ctx, "Vault key", vaultName(v.VaultAddress, v.EnginePath, v.KeyName), req.Ciphertext, details{})
	case *keyservice.Key_KmsKey:
		key = s.remote(ctx, "AWS KMS key", k.KmsKey.Arn, req.Ciphertext, details{role: k.KmsKey.Role, context: k.KmsKey.Context})
	case *keyservice.Key_GcpKmsKey:
		key = s.remote(ctx, "GCP KMS key", k.GcpKmsKey.ResourceId, req.Ciphertext, details{})
	case *keyservice.Key_AzureKeyvaultKey:
		v := k.AzureKeyvaultKey
		key = s.remote(ctx, "Azure key", azureName(v.VaultUrl, v.Name), req.Ciphertext, details{version: v.Version})
	default:
		s.reason("is encrypted for a kind of key that is not supported")
	}
	if key == nil {
		return nil, errors.New("not opened")
	}
	return &keyservice.DecryptResponse{Plaintext: key}, nil
}

// local tries the keys that the node itself holds. What a document says about its recipient is only
// repeated: which key opens it is found out.
func (s *session) local(named string, open func(*entry) []byte) []byte {
	var barred *entry
	for _, e := range s.keys.entries {
		why := e.bars(s.place)
		if why != "" && barred != nil {
			continue
		}
		key := open(e)
		switch {
		case key == nil:
		case why == "":
			s.used = append(s.used, e)
			return key
		default:
			barred = e
		}
	}
	if barred != nil {
		s.reason(barred.name + " " + barred.bars(s.place))
		return nil
	}
	s.reason("needs the " + named + ", which this node does not have")
	return nil
}

// remote asks a key service that the node's own file names.
func (s *session) remote(ctx context.Context, kind, named string, ciphertext []byte, d details) []byte {
	var barred string
	for _, e := range s.keys.entries {
		if e.service == nil || !e.service.is(named) {
			continue
		}
		if barred = e.bars(s.place); barred != "" {
			barred = e.name + " " + barred
			continue
		}
		key, err := e.service.decrypt(ctx, ciphertext, d)
		if err == nil {
			s.used = append(s.used, e)
			return key
		}
		s.away = s.away || errors.Is(err, errAway) || ctx.Err() != nil
		s.reason(e.name + ": " + shorten(err.Error()))
		return nil
	}
	if barred == "" {
		barred = fmt.Sprintf("names the %s %s, which the node's keys do not list; it was not asked", kind, shorten(named))
	}
	s.reason(barred)
	return nil
}

func (s *session) reason(what string) {
	if !slices.Contains(s.reasons, what) {
		s.reasons = append(s.reasons, what)
	}
}

// refusal is why the data key was not found.
func (s *session) refusal() string {
	if len(s.reasons) == 0 {
		return "its SOPS metadata names no key"
	}
	const most = 5
	if n := len(s.reasons) - most; n > 0 {
		return strings.Join(s.reasons[:most], "; ") + fmt.Sprintf("; and %d keys more", n)
	}
	return strings.Join(s.reasons, "; ")
}
