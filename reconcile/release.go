package reconcile

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// A chart that is adopted is kept as Helm keeps a release: one Secret for each version, so that helm
// list, status, history and get read the cluster. A version is an adoption that changed the release;
// its body says what was rendered. Helm's own commands that write are refused, as all writing is.

const (
	releaseType    corev1.SecretType = "helm.sh/release.v1"
	releaseDigest                    = "writ.dev/release-digest" // annotation: SHA-256 of the body
	keptVersions                     = 10                        // of a release, as Helm
	maxRelease                       = 32 << 20                  // bytes of a body
	deployed                         = "deployed"
	superseded                       = "superseded"
	labelStatus                      = "status"
	labelVersion                     = "version"
	releaseDataKey                   = "release"
)

// releaseKey is a release, by namespace and name.
type releaseKey struct{ namespace, name string }

// keepReleases puts the Secrets of the releases of a commit, and takes away those of releases that
// are no longer part of it.
func (d *draft) keepReleases(c Commit) {
	kept := d.releaseVersions()
	known := make(map[*manifest.Release]bool)
	if d.last != nil && d.last.Digest() == d.base.Adopted().Digest {
		for _, r := range d.last.Releases() {
			known[r] = true
		}
	}
	for _, r := range d.set.Releases() {
		key := releaseKey{r.Namespace, r.Name}
		versions := kept[key]
		delete(kept, key)
		namespace := manifest.NamespaceRef(r.Namespace)
		if len(versions) > 0 && known[r] || d.w.Get(namespace) == nil && builtin(namespace) == nil {
			continue
		}
		if err := d.keepRelease(r, versions, c); err != nil {
			d.err = errors.Join(d.err, fmt.Errorf("release %s/%s: %w", r.Namespace, r.Name, err))
			return
		}
	}
	var gone []state.Delete
	for _, versions := range kept {
		for _, r := range versions {
			gone = append(gone, state.Delete{Ref: r.Ref, UID: r.UID, Why: "its chart is no longer part of the commit"})
		}
	}
	slices.SortFunc(gone, func(a, b state.Delete) int { return a.Ref.Compare(b.Ref) })
	d.apply(gone, nil)
}

// releaseVersions are the Secrets of releases that are there, each release's by version.
func (d *draft) releaseVersions() map[releaseKey][]*state.Record {
	all := make(map[releaseKey][]*state.Record)
	for r := range d.w.List("", "Secret", "") {
		s, ok := r.Object.(*corev1.Secret)
		if !ok || r.Origin == state.Authored || s.Type != releaseType || s.Annotations[releaseDigest] == "" {
			continue
		}
		key := releaseKey{s.Namespace, s.Labels["name"]}
		all[key] = append(all[key], r)
	}
	for _, versions := range all {
		slices.SortFunc(versions, func(a, b *state.Record) int { return cmp.Compare(releaseVersion(a), releaseVersion(b)) })
	}
	return all
}

func releaseVersion(r *state.Record) int {
	n, _ := strconv.Atoi(r.Object.GetLabels()[labelVersion])
	return n
}

// keepRelease adds a version of a release if it is another one than the last.
func (d *draft) keepRelease(r *manifest.Release, versions []*state.Record, c Commit) error {
	body, err := unpack(r.Body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	version, first := 1, d.now
	if n := len(versions); n > 0 {
		last := versions[n-1]
		if last.Object.GetAnnotations()[releaseDigest] == digest {
			return nil
		}
		version = releaseVersion(last) + 1
	}
	ref := manifest.SecretRef(r.Namespace, fmt.Sprintf("sh.helm.release.v1.%s.v%d", r.Name, version))
	if d.w.Get(ref) != nil {
		return nil // somebody wrote it
	}
	if n := len(versions); n > 0 {
		if first, err = d.supersede(versions[n-1]); err != nil {
			return err
		}
	}
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Namespace, Name: ref.Name,
			Labels:      map[string]string{"name": r.Name, "owner": "helm", labelStatus: deployed, labelVersion: strconv.Itoa(version)},
			Annotations: map[string]string{releaseDigest: digest},
		},
		Type: releaseType,
	}
	description := fmt.Sprintf("commit %.7s: %s", c.Hash, c.Subject)
	info := releaseInfo{First: first.UTC(), Last: d.now.UTC(), Description: description, Status: deployed}
	if secret.Data, err = releaseData(body, version, info); err != nil {
		return err
	}
	d.put(state.Put{Ref: ref, Object: secret, Origin: state.Derived, Why: "version of the release " + r.Name})
	for i := 0; i < len(versions)-keptVersions+1; i++ {
		d.delete(versions[i], "only the last versions of a release are kept")
	}
	return nil
}

// supersede says of a version that another took its place. It returns when the release was there first.
func (d *draft) supersede(r *state.Record) (first time.Time, err error) {
	secret := r.Object.DeepCopyObject().(*corev1.Secret)
	packed, err := base64.StdEncoding.DecodeString(string(secret.Data[releaseDataKey]))
	if err != nil {
		return first, err
	}
	body, err := unpack(packed)
	if err != nil {
		return first, err
	}
	var was struct {
		Info releaseInfo `json:"info"`
	}
	if err := json.Unmarshal(body, &was); err != nil {
		return first, err
	}
	was.Info.Status = superseded
	if secret.Data, err = releaseData(body, releaseVersion(r), was.Info); err != nil {
		return first, err
	}
	secret.Labels[labelStatus] = superseded
	d.put(state.Put{Ref: r.Ref, UID: r.UID, Object: secret, Origin: state.Derived, Why: "another version took its place"})
	return was.Info.First, nil
}

// releaseInfo is what Helm keeps about a version beside what it is.
type releaseInfo struct {
	First       time.Time `json:"first_deployed"`
	Last        time.Time `json:"last_deployed"`
	Description string    `json:"description"`
	Status      string    `json:"status"`
}

// releaseData is the data of a Secret for a body, encoded as Helm does: JSON, gzip, base64.
func releaseData(body []byte, version int, info releaseInfo) (map[string][]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	for name, value := range map[string]any{"version": version, "info": info} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		fields[name] = text
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return map[string][]byte{releaseDataKey: []byte(base64.StdEncoding.EncodeToString(packed.Bytes()))}, nil
}

// unpack reads gzip of bounded size.
func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r, maxRelease+1))
	if err == nil && len(body) > maxRelease {
		err = fmt.Errorf("is larger than %d MiB", maxRelease>>20)
	}
	return body, err
}
