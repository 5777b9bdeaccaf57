package manifest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// privileges refuses what asks for privileges on the node and could have been written by somebody who is
// trusted for some paths only: with a privileged pod the whole node is theirs. What is rendered counts as
// written wherever a file lies that the rendering read.
func (l *loader) privileges(objects []*parsed, units []*unit, signers []Signer) {
	if l.Signing == nil || !slices.ContainsFunc(signers, func(s Signer) bool { return !s.AllowPrivileged }) {
		return
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic("manifest: pod security checks: " + err.Error()) // they are compiled in
	}
	s := scoping{l: l, signers: signers, from: map[*parsed]*unit{}, covered: map[string]covering{}}
	for _, u := range units {
		for _, p := range u.file.objects {
			s.from[p] = u
		}
	}
	for _, p := range objects {
		field, what := privileged(evaluator, p)
		if what == "" {
			continue
		}
		if c := s.scope(p); c.entry >= 0 {
			by := ""
			if c.path != p.Source.Path {
				by = " by way of " + c.path
			}
			l.about(p, field, fmt.Sprintf("asks for privileges on the node (%s), which is not allowed%s where spec.signers trusts keys for %s only; "+
				"allowPrivileged: true there allows it", what, by, signers[c.entry].Path))
		}
	}
}

// privileged says what of an object gives power over the node: all that is beyond the baseline of
// Kubernetes' Pod Security Standards.
func privileged(e policy.Evaluator, p *parsed) (field, what string) {
	if pv, ok := p.Object.(*corev1.PersistentVolume); ok && (pv.Spec.HostPath != nil || pv.Spec.Local != nil) {
		return "spec", "a folder of the node as a volume"
	}
	if p.pods == nil {
		return "", ""
	}
	meta := &metav1.ObjectMeta{}
	if pod, ok := p.Object.(*corev1.Pod); ok {
		meta = &pod.ObjectMeta
	} else if t := Template(p.Object); t != nil {
		meta = &t.ObjectMeta
	}
	level := podsecurity.LevelVersion{Level: podsecurity.LevelBaseline, Version: podsecurity.LatestVersion()}
	result := policy.AggregateCheckResults(e.EvaluatePod(level, meta, p.pods.spec))
	if result.Allowed {
		return "", ""
	}
	return p.pods.path, result.ForbiddenDetail()
}

// scoping finds who may have written an object.
type scoping struct {
	l       *loader
	signers []Signer
	from    map[*parsed]*unit
	covered map[string]covering // by path
}

// covering is an entry and the path that it covers; entry -1 stands for none.
type covering struct {
	entry int
	path  string
}

// scope is the first entry without AllowPrivileged that covers a file that an object was made of.
func (s *scoping) scope(p *parsed) covering {
	c := s.covers(p.Source.Path)
	u := s.from[p]
	if c.entry >= 0 || u == nil {
		return c
	}
	for _, in := range u.inputs {
		if in.List || in.ID == "" {
			continue
		}
		if c := s.covers(in.Path); c.entry >= 0 {
			return c
		}
	}
	return c
}

// covers is about a path and what it leads to where links are on the way.
func (s *scoping) covers(name string) covering {
	c, known := s.covered[name]
	if known {
		return c
	}
	c = s.cover(name)
	s.covered[name] = c
	return c
}

func (s *scoping) cover(name string) covering {
	for _, at := range s.l.ways(name) {
		for i, signer := range s.signers {
			if !signer.AllowPrivileged && s.l.Signing.Covers(signer, s.l.Folder, at) {
				return covering{i, at}
			}
		}
	}
	return covering{entry: -1}
}

// ways are a path and those that it is a link to, from link to link.
func (l *loader) ways(name string) []string {
	all := []string{name}
	for steps := 0; steps < maxLinks; steps++ {
		next, linked := l.step(all[len(all)-1])
		if !linked {
			break
		}
		all = append(all, next)
	}
	return all
}

// maxLinks is how many links may be on the way to a file, as in Linux.
const maxLinks = 40

// step follows the first link on the way to a path.
func (l *loader) step(name string) (string, bool) {
	parts := strings.Split(name, "/")
	for i := range parts {
		at := path.Join(parts[:i+1]...)
		info, err := fs.Lstat(l.fsys, at)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		to, err := fs.ReadLink(l.fsys, at)
		if err != nil || path.IsAbs(to) {
			return "", false
		}
		return path.Join(append([]string{path.Dir(at), to}, parts[i+1:]...)...), true
	}
	return "", false
}
