package sops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
	"google.golang.org/grpc"

	"writ/render/wire"
)

// maxMasterKeys bounds what a document may ask the node's keys to try.
const maxMasterKeys = 64

// changed is what is wrong with a document that is not as it was encrypted.
const changed = "was changed or moved within the file since it was encrypted; change it with `sops edit`"

// open decrypts a document and checks that nothing in it was changed. Nothing of the library's own
// errors is repeated: some quote what they could not read.
func (k *keyring) open(ctx context.Context, o wire.Open, data []byte) (opened wire.Opened, clear []byte) {
	defer func() {
		if recover() != nil { // of the library, on hostile content
			opened, clear = wire.Opened{Refused: "cannot be read as what SOPS writes"}, nil
		}
	}()
	s := &session{keys: k, place: o}
	text, values, err := s.open(ctx, o.Format, data)
	if err != nil {
		return wire.Opened{Refused: err.Error(), Away: s.away}, nil
	}
	opened.Values = values
	for _, e := range s.used {
		if use := e.use(); use != nil {
			opened.Uses = append(opened.Uses, *use)
		}
	}
	return opened, text
}

func (s *session) open(ctx context.Context, format string, data []byte) (text []byte, values []string, err error) {
	store, err := storeOf(format)
	if err != nil {
		return nil, nil, err
	}
	tree, err := store.LoadEncryptedFile(data)
	if err != nil {
		return nil, nil, errors.New("its SOPS metadata is missing or cannot be read")
	}
	if n := tree.Metadata.MasterKeyCount(); n > maxMasterKeys {
		return nil, nil, fmt.Errorf("is encrypted for %d keys, at most %d are allowed", n, maxMasterKeys)
	}
	key, err := tree.Metadata.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{within{s, ctx}}, sops.DefaultDecryptionOrder)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot be decrypted: %s", s.refusal())
	}
	cipher := &noting{Cipher: aes.NewCipher()}
	mac, err := tree.Decrypt(key, cipher)
	if err != nil {
		return nil, nil, errors.New("cannot be decrypted: a value " + changed)
	}
	original, err := cipher.Cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, key, tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil || original != mac {
		return nil, nil, errors.New("cannot be decrypted: it " + changed)
	}
	if text, err = store.EmitPlainFile(tree.Branches); err != nil {
		return nil, nil, errors.New("cannot be written down in its format once it is decrypted")
	}
	return text, cipher.values, nil
}

// within gives SOPS' questions the deadline of the document: the library asks without one.
type within struct {
	*session
	ctx context.Context
}

// Decrypt is the session's.
func (w within) Decrypt(_ context.Context, req *keyservice.DecryptRequest, opts ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	return w.session.Decrypt(w.ctx, req, opts...)
}

// noting remembers what was encrypted.
type noting struct {
	sops.Cipher
	values []string
}

// Decrypt opens one value.
func (n *noting) Decrypt(ciphertext string, key []byte, additional string) (any, error) {
	value, err := n.Cipher.Decrypt(ciphertext, key, additional)
	if err == nil {
		if text, err := sops.ToBytes(value); err == nil && len(text) > 0 {
			n.values = append(n.values, string(text))
		}
	}
	return value, err
}

func storeOf(format string) (sops.Store, error) {
	switch format {
	case "yaml":
		return yaml.NewStore(&config.YAMLStoreConfig{}), nil
	case "json":
		return json.NewStore(&config.JSONStoreConfig{}), nil
	case "binary":
		return json.NewBinaryStore(&config.JSONBinaryStoreConfig{}), nil
	case "dotenv":
		return dotenv.NewStore(&config.DotenvStoreConfig{}), nil
	case "ini":
		return ini.NewStore(&config.INIStoreConfig{}), nil
	}
	return nil, fmt.Errorf("is of the unknown format %s", format)
}
