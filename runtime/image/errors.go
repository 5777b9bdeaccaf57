package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// What can go wrong, for a caller that acts on it. Every error of Pull, Ensure and
// Verify is one of these (errors.Is), or the error of the caller's context.
var (
	// ErrInvalidName: the reference cannot be read. No attempt will help.
	ErrInvalidName = errors.New("invalid image reference")
	// ErrNotFound: the registry answered that it has no such repository, tag or digest.
	ErrNotFound = errors.New("no such image")
	// ErrUnauthorized: the registry refused these credentials, or wants some.
	ErrUnauthorized = errors.New("access refused")
	// ErrUnavailable: the registry did not answer, or answered with trouble of its own.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrPlatform: the image exists, but not for this node.
	ErrPlatform = errors.New("no image for this platform")
	// ErrCorrupt: what came is not what was promised: a wrong digest, a hostile
	// layer, a document or layer beyond the limits.
	ErrCorrupt = errors.New("corrupt image")
	// ErrNoImage: what is there is no image that could be run: a chart, a signature,
	// an encrypted layer.
	ErrNoImage = errors.New("not an image")
	// ErrNeverPull: the policy forbids the pull that would be needed.
	ErrNeverPull = errors.New("image is not present and its pull policy is Never")
	// ErrStorage: this node could not keep the image.
	ErrStorage = errors.New("image store trouble")
)

// Reason is the word Kubernetes shows while a container waits for its image.
func Reason(err error) string {
	switch {
	case errors.Is(err, ErrInvalidName):
		return "InvalidImageName"
	case errors.Is(err, ErrNeverPull):
		return "ErrImageNeverPull"
	default:
		return "ErrImagePull"
	}
}

var kinds = [...]error{ErrInvalidName, ErrNotFound, ErrUnauthorized, ErrUnavailable, ErrPlatform, ErrCorrupt, ErrNoImage, ErrNeverPull, ErrStorage}

// classify gives an error of the registry client its kind. An error that has one,
// and one of the caller's context, stays as it is.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return err
		}
	}
	var te *transport.Error
	if errors.As(err, &te) {
		return fmt.Errorf("%w: %w", ofStatus(te), err)
	}
	if isNetwork(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err) // it answered, but not as the protocol says
}

func ofStatus(te *transport.Error) error {
	switch te.StatusCode {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrUnauthorized
	}
	return ErrUnavailable
}
