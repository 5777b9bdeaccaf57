package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"sigs.k8s.io/yaml"

	"writ/manifest"
	"writ/state"
)

// Place is where the objects of the cluster are written.
type Place struct {
	Repository, Branch string
	// Source is where an object is written, false if it is not.
	Source func(manifest.Ref) (manifest.Source, bool)
}

// Whereto is the present Place.
type Whereto func() Place

// Worlds is where the present World comes from.
type Worlds interface{ World() *state.World }

// refuser answers writes: nothing is stored but through the repository. What is only tried (dryRun=All), asked
// or streamed goes on to upstream's handlers.
type refuser struct {
	next       http.Handler
	worlds     Worlds
	whereto    Whereto
	kinds      map[schema.GroupResource]schema.GroupKind
	serializer runtime.NegotiatedSerializer
}

func (f *refuser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || !info.IsResourceRequest || passes(info, r) {
		f.next.ServeHTTP(w, r)
		return
	}
	gv := schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}
	err := apierrors.NewMethodNotSupported(schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}, info.Verb)
	err.ErrStatus.Message = f.words(info, r)
	responsewriters.ErrorNegotiated(err, f.serializer, gv, w, r)
}

// passes says whether a request writes nothing of the cluster's.
func passes(info *request.RequestInfo, r *http.Request) bool {
	switch info.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
	default:
		return true
	}
	switch info.APIGroup {
	case "authentication.k8s.io", "authorization.k8s.io": // reviews, which are questions
		return true
	}
	switch info.Subresource {
	case "exec", "attach", "portforward", "proxy", "token":
		return true
	case "eviction", "binding":
		return false
	}
	tried := r.URL.Query()["dryRun"]
	if info.Verb == "delete" || info.Verb == "deletecollection" {
		tried = append(tried, triedInBody(r)...)
	}
	return len(tried) > 0 && !slices.ContainsFunc(tried, func(s string) bool { return s != metav1.DryRunAll })
}

// bodyMost bounds the options of a deletion that are looked at, in bytes. Longer ones are upstream's to refuse.
const bodyMost = 64 << 10

var deleteOptions = schema.GroupVersionKind{Version: "v1", Kind: "DeleteOptions"}

// triedInBody is what the options of a deletion say, which clients send in its body. The body is left as it was.
func triedInBody(r *http.Request) []string {
	data, err := io.ReadAll(io.LimitReader(r.Body, bodyMost))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(data), r.Body), r.Body}
	if err != nil || len(data) == 0 {
		return nil
	}
	var o metav1.DeleteOptions
	if _, _, err := legacyscheme.Codecs.UniversalDeserializer().Decode(data, &deleteOptions, &o); err != nil {
		return nil
	}
	return o.DryRun
}

// words tell where to make the change instead.
func (f *refuser) words(info *request.RequestInfo, r *http.Request) string {
	place := f.whereto()
	from := place.Repository
	if place.Branch != "" {
		from += "@" + place.Branch
	}
	head := fmt.Sprintf("this cluster is run from %s and changed there, not through its API: ", from)
	gk := f.kinds[schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}]
	ref := manifest.Ref{Group: gk.Group, Kind: gk.Kind, Namespace: info.Namespace, Name: info.Name}
	if manifest.IsKnown(gk) && !manifest.IsNamespaced(gk) {
		ref.Namespace = ""
	}
	switch {
	case info.Verb == "create" && info.Subresource == "":
		return head + "add a manifest to the branch"
	case info.Name == "":
		return head + "remove from the branch what is to go"
	}
	found := place.find(f.worlds.World(), ref)
	return head + found.said + "; " + found.todo(info, changed(info, r))
}

// found is where an object is written, or that for which it was made.
type found struct {
	said   string // for people
	ref    manifest.Ref
	above  bool   // ref is not what was asked for, but its owner
	commit string // that changed it last
}

// find climbs from an object to what is written of it.
func (p Place) find(w *state.World, ref manifest.Ref) found {
	const deepest = 8
	f := found{ref: ref}
	for range deepest {
		record := w.Get(f.ref)
		if source, ok := p.Source(f.ref); ok {
			f.said += fmt.Sprintf("%s is at %s", words(f.ref), source)
			if record != nil {
				f.commit = record.Commit
				f.said += fmt.Sprintf(" (commit %s)", short(record.Commit))
			}
			return f
		}
		if record == nil {
			f.said += words(f.ref) + " is not there"
			return f
		}
		owner := state.ControllerOf(record)
		if owner == nil {
			f.said += words(f.ref) + " is written nowhere: a manifest of that name takes its place"
			return f
		}
		above := manifest.Ref{Group: schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).Group, Kind: owner.Kind, Namespace: f.ref.Namespace, Name: owner.Name}
		f.said += fmt.Sprintf("%s is made for %s, ", words(f.ref), words(above))
		f.ref, f.above = above, true
	}
	return f
}

func words(ref manifest.Ref) string {
	if ref.Namespace == "" {
		return ref.Kind + " " + ref.Name
	}
	return ref.Kind + " " + ref.Namespace + "/" + ref.Name
}

func short(commit string) string {
	const digits = 7
	return commit[:min(digits, len(commit))]
}

// todo tells what to do there.
func (f found) todo(info *request.RequestInfo, fields []string) string {
	pod := info.APIGroup == "" && info.Resource == "pods"
	has := func(part string) bool {
		return slices.ContainsFunc(fields, func(field string) bool { return strings.Contains(field, part) })
	}
	switch {
	case info.Subresource == "eviction":
		return `to drain a node, annotate its manifest with writ.dev/drain: "true"`
	case info.Subresource == "ephemeralcontainers":
		return "no container can be added to a pod that runs; exec into one that is there"
	case info.Subresource == "scale":
		return "change spec.replicas there"
	case info.Verb == "delete" && pod && f.above:
		return fmt.Sprintf("to have the pod replaced, annotate %s there with writ.dev/replace-pods: %s", f.ref.Kind, info.Name)
	case info.Verb == "delete" || info.Verb == "deletecollection":
		return "remove it there"
	case has("kubectl.kubernetes.io/restartedAt"):
		return fmt.Sprintf(`to have all its pods replaced, annotate %s there with writ.dev/replace-pods: "*"`, f.ref.Kind)
	case len(fields) == 2 && fields[0] == "spec.template" && f.commit != "": // what kubectl rollout undo sends
		return "to undo its last change: git revert " + short(f.commit)
	case len(fields) > 0:
		return fmt.Sprintf("change %s there", strings.Join(fields, ", "))
	}
	return "change it there"
}

// Bounds of what is told of a patch.
const (
	fieldsMost = 5
	fieldsRead = 64 << 10 // bytes
)

// changed are the fields that a patch is about, a few at most.
func changed(info *request.RequestInfo, r *http.Request) []string {
	if info.Verb != "patch" {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, fieldsRead))
	if err != nil {
		return nil
	}
	switch kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind {
	case "application/json-patch+json":
		var steps []struct {
			Path string `json:"path"`
		}
		if json.Unmarshal(data, &steps) != nil {
			return nil
		}
		var fields []string
		for _, s := range steps[:min(len(steps), fieldsMost)] {
			fields = append(fields, strings.ReplaceAll(strings.TrimPrefix(s.Path, "/"), "/", "."))
		}
		return fields
	case "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml":
		var patch map[string]any
		if yaml.Unmarshal(data, &patch) != nil {
			return nil
		}
		for _, head := range []string{"apiVersion", "kind"} {
			delete(patch, head)
		}
		fields := leaves(nil, "", patch)
		slices.Sort(fields)
		return fields[:min(len(fields), fieldsMost)]
	}
	return nil
}

// leaves are the paths of what a patch sets. What is inside a list is told as the list.
func leaves(fields []string, path string, of map[string]any) []string {
	for name, value := range of {
		if strings.HasPrefix(name, "$") { // a direction of how to merge
			continue
		}
		if path != "" {
			name = path + "." + name
		}
		switch below, ok := value.(map[string]any); {
		case ok && len(below) > 0:
			fields = leaves(fields, name, below)
		case name == "metadata.name" || name == "metadata.namespace":
		default:
			fields = append(fields, name)
		}
	}
	return fields
}
