package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"writ/disk"
)

// key is what everything below the store's folder that holds values is encrypted with. It is the
// content of a file outside of that folder, so that a copy of the folder alone tells nothing. Nothing is
// encrypted with it directly: each use has a key of its own, derived by HKDF (RFC 5869).
type key []byte

const (
	keySize = 32
	keyMark = "writ-store-key-1:" // then keySize bytes in hexadecimal digits, and a newline
)

// What may be wrong with a key file.
var (
	errNoKey      = errors.New("it is gone")
	errGarbledKey = errors.New("its content is not a key")
	errOtherKey   = errors.New("it is not the key that the store was made with")
)

// readKey reads a key from its file.
func readKey(path string) (key, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read key file %s: %w", path, errNoKey)
	}
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("read key file %s: others than its owner may use it (mode %04o), and who has it can read the store: chmod 600 %[1]s", path, mode)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(len(keyMark)+2*keySize+2)))
	if err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	digits, marked := bytes.CutPrefix(data, []byte(keyMark))
	k, err := hex.DecodeString(string(bytes.TrimSuffix(digits, []byte("\n"))))
	if !marked || err != nil || len(k) != keySize {
		return nil, fmt.Errorf("read key file %s: %w", path, errGarbledKey)
	}
	return k, nil
}

// makeKey writes a new key, which is on disk when it returns.
func makeKey(path string) (key, error) {
	k := make(key, keySize)
	_, _ = rand.Read(k) // it never fails
	if err := disk.Replace(path, fmt.Appendf(nil, "%s%x\n", keyMark, []byte(k))); err != nil {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	return k, nil
}

// findKey reads the key, or makes it where nothing was encrypted with one yet.
func findKey(path string) (key, error) {
	k, err := readKey(path)
	if errors.Is(err, errNoKey) {
		return makeKey(path)
	}
	return k, err
}

func (k key) derive(use string, salt []byte, size int) []byte {
	derived, err := hkdf.Key(sha256.New, k, salt, "writ store "+use, size)
	if err != nil {
		panic(err) // too long a key was asked for
	}
	return derived
}

// records is the key for Badger.
func (k key) records() []byte { return k.derive("records", nil, keySize) }

// check recognises the key and tells nothing of it.
func (k key) check() string { return hex.EncodeToString(k.derive("check", nil, 16)) }

func (k key) log(salt []byte) cipher.AEAD {
	block, err := aes.NewCipher(k.derive("log", salt, keySize))
	if err != nil {
		panic(err) // the size is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// What stands between the header of a chunk and its encrypted piece.
const (
	saltSize  = 16
	countSize = 8
	sealSize  = saltSize + countSize
	tagSize   = 16
)

// sealer encrypts the pieces of the log by AES-256-GCM. Each start of a store has a key of its own, by a
// random salt, and counts under it: no nonce is ever used twice, whatever a crash takes back.
type sealer struct {
	salt  []byte
	aead  cipher.AEAD
	count atomic.Uint64
}

func newSealer(k key) *sealer {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt)
	return &sealer{salt: salt, aead: k.log(salt)}
}

// seal encrypts a chunk in place: a header, room for sealSize bytes, and the piece. The header stays
// readable and cannot be changed.
func (s *sealer) seal(chunk []byte) []byte {
	n := s.count.Add(1)
	copy(chunk[headerSize:], s.salt)
	binary.BigEndian.PutUint64(chunk[headerSize+saltSize:], n)
	return s.aead.Seal(chunk[:before], nonce(n), chunk[before:], chunk[:headerSize])
}

func nonce(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), n) }

// opener decrypts what sealers of this and of earlier starts encrypted.
type opener struct {
	key  key
	salt []byte
	aead cipher.AEAD // for salt
}

// open gives the piece of a chunk.
func (o *opener) open(chunk []byte) ([]byte, error) {
	if len(chunk) < before {
		return nil, errors.New("read log: an entry is too short")
	}
	if salt := chunk[headerSize : headerSize+saltSize]; !bytes.Equal(salt, o.salt) {
		o.salt, o.aead = bytes.Clone(salt), o.key.log(salt)
	}
	n := binary.BigEndian.Uint64(chunk[headerSize+saltSize:])
	data, err := o.aead.Open(nil, nonce(n), chunk[before:], chunk[:headerSize])
	if err != nil {
		return nil, errors.New("read log: an entry was changed, or encrypted with another key")
	}
	return data, nil
}
