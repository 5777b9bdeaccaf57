package loop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// with is a tree with a writ.yaml.
func with(spec string, replicas, version int) fstest.MapFS {
	return fstest.MapFS{
		"writ.yaml": {Data: []byte("apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: " + spec + "\n")},
		"web.yaml":  {Data: fmt.Appendf(nil, deployment, replicas, version)},
	}
}

// reached is the names of the stages that the newest commit reached, in order.
func reached(s Stages) string {
	stages := map[string]state.Stage{"1 seen": s.Seen, "2 verified": s.Verified, "3 rendered": s.Rendered, "4 adopted": s.Adopted, "5 healthy": s.Healthy}
	var names []string
	var last time.Time
	for _, name := range slices.Sorted(maps.Keys(stages)) {
		if at := stages[name].At; !at.IsZero() && !at.Before(last) {
			names, last = append(names, name[2:]), at
		}
	}
	return strings.Join(names, " ")
}

func TestLoop_Stages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		first := r.commit(1, tree(2, 1))
		first.Seen, first.Verified, first.Signer = time.Now().Add(-time.Minute), time.Now(), "Ada"
		l, commits, stop := r.start(first)
		defer stop()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		s := l.Report().Stages
		if got := reached(s); got != "seen verified rendered adopted" || !s.Seen.At.Equal(first.Seen) || s.Verified.Reason != "signed by Ada" {
			t.Errorf("while it starts: %s, %+v", got, s)
		}
		if want := "Deployment/default/web is Progressing: "; !strings.HasPrefix(s.Healthy.Reason, want) {
			t.Errorf("not healthy because %q, want %q", s.Healthy.Reason, want)
		}
		settle()
		s = l.Report().Stages
		if got := reached(s); got != "seen verified rendered adopted healthy" || s.Healthy.Reason != "" {
			t.Errorf("once it runs: %s, %+v", got, s)
		}
		if took := s.Healthy.At.Sub(s.Adopted.At); took < time.Second || took > 10*time.Second {
			t.Errorf("healthy %s after it was adopted", took)
		}

		commits <- r.commit(2, fstest.MapFS{"web.yaml": {Data: []byte("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web, uid: dropped}\nspec: {replica: 1}\n")}})
		settle()
		if hints := l.Report().Hints; len(hints) != 1 || !strings.Contains(hints[0].String(), "uid") {
			t.Errorf("beside a mistake it warns of %v", hints)
		}
		s = l.Report().Stages
		if got := reached(s); got != "seen verified" || !strings.Contains(s.Rendered.Reason, "web.yaml:4: ") || s.Verified.Reason != "signatures are not asked for" {
			t.Errorf("with a mistake: %s, %+v", got, s)
		}

		commits <- r.commit(3, fstest.MapFS{"a.yaml": {Data: []byte("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")}})
		settle()
		commits <- r.commit(4, tree(1, 1))
		settle()
		rep := l.Report()
		if got := reached(rep.Stages); got != "seen verified rendered" || rep.Stages.Adopted.Reason != rep.Held ||
			rep.Add != reconcile.AllowDelete+": Namespace/shop" || fmt.Sprint(rep.Deletes) != "[Namespace/shop]" {
			t.Errorf("held: %s, %+v", got, rep)
		}
		allowed := r.commit(5, tree(1, 1))
		allowed.Trailers = map[string][]string{reconcile.AllowDelete: {"1"}}
		commits <- allowed
		settle()
		if rep := l.Report(); reached(rep.Stages) != "seen verified rendered adopted healthy" || rep.Add != "" || rep.Deletes != nil {
			t.Errorf("allowed: %+v", rep)
		}
	})
}

func TestLoop_Suspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		l, commits, stop := r.start(r.commit(1, tree(2, 1)))
		settle()
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		paused := r.commit(2, with("{suspend: {reason: moving, until: "+end.UTC().Format(time.RFC3339)+"}}", 4, 1))
		commits <- paused
		settle()
		r.wantHealthy(2)
		check := func(l *Loop) {
			t.Helper()
			rep := l.Report()
			if rep.Adopted || rep.Suspend == nil || rep.Suspend.Reason != "moving" || !strings.Contains(rep.Held, "moving (until ") || reached(rep.Stages) != "seen verified rendered" {
				t.Errorf("suspended: %+v", rep)
			}
		}
		check(l)
		stop()

		// The suspension stands in the World: a start without any commit knows it.
		l, _, stop = r.start()
		settle()
		if s := l.Report().Suspend; s == nil || s.Reason != "moving" {
			t.Errorf("after a start: %+v", l.Report())
		}
		stop()

		l, commits, stop = r.start(paused)
		defer stop()
		settle()
		check(l)
		r.wantHealthy(2)
		time.Sleep(time.Until(end) + 10*time.Second)
		synctest.Wait()
		r.wantHealthy(4)
		if rep := l.Report(); !rep.Adopted || rep.Suspend != nil || rep.Held != "" || rep.Stages.Adopted.At.Sub(end).Abs() > time.Second {
			t.Errorf("after its end: %+v", rep)
		}

		commits <- r.commit(3, with("{suspend: {reason: for good}}", 1, 1))
		settle()
		r.wantHealthy(4)
		commits <- paused // the branch is reset to the adopted commit, whose suspension is over
		settle()
		if rep := l.Report(); !rep.Adopted || rep.Suspend != nil || r.store.World().Adopted().Settings.Spec.Suspend.Active(time.Now()) {
			t.Errorf("back at the adopted commit: %+v", rep)
		}
		commits <- r.commit(4, with("{suspend: {reason: for good}}", 1, 1))
		settle()
		commits <- r.commit(5, with("{}", 3, 1))
		settle()
		r.wantHealthy(3)
		if rep := l.Report(); !rep.Adopted || rep.Suspend != nil {
			t.Errorf("lifted: %+v", rep)
		}
	})
}

// A Cluster whose first commit is suspended runs nothing until the end.
func TestLoop_SuspendedAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		l, _, stop := r.start(r.commit(1, with("{suspend: {reason: later, until: "+end.UTC().Format(time.RFC3339)+"}}", 1, 1)))
		defer stop()
		settle()
		if rep := l.Report(); rep.Suspend == nil || r.store.World().Adopted().Commit != "" || r.store.World().Get(manifest.DeploymentRef("default", "web")) != nil {
			t.Errorf("before its end: %+v", rep)
		}
		time.Sleep(time.Hour)
		settle()
		r.wantHealthy(1)
	})
}
