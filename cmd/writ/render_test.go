package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"writ/api/control"
	"writ/manifest"
	"writ/state"
)

var update = flag.Bool("update", false, "rewrite the expected texts")

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func healthy() control.Status {
	return control.Status{
		Schema: control.SchemaVersion, At: now(), Node: "n1",
		Source:  control.Source{URL: "https://git.example/team/config.git", Ref: "main", Path: "cluster"},
		Adopted: &control.Commit{Hash: "0123456789abcdef", Subject: "web: version 2", Author: "Ada <ada@git.example>", Adopted: now().Add(-90 * time.Second)},
		Objects: []control.Object{
			{Kind: "ConfigMap", Namespace: "shop", Name: "settings", Health: control.Healthy},
			{Kind: "Deployment", Namespace: "shop", Name: "web", Health: control.Healthy, Ready: "3/3 ready"},
		},
		Counts: control.Counts{control.Healthy: 2}, Healthy: true,
		Standing: control.Standing{Stages: control.Stages{
			Seen: state.Stage{At: now().Add(-92 * time.Second)}, Verified: state.Stage{At: now().Add(-91 * time.Second), Reason: "signed by ada@git.example (SHA256:" + strings.Repeat("x", 43) + ")"},
			Rendered: state.Stage{At: now().Add(-91 * time.Second)}, Adopted: state.Stage{At: now().Add(-90 * time.Second)}, Healthy: state.Stage{At: now().Add(-88 * time.Second)},
		}},
	}
}

// guarded is held for what it would delete.
func guarded() control.Status {
	s := healthy()
	since := now().Add(-time.Minute)
	s.Newest, s.Healthy = &control.Commit{Hash: "fedcba9876543210", Subject: "tidy up"}, false
	s.Held, s.HeldSince = "commit fedcba9 deletes Namespace/shop, and with that 30 objects. Nothing of the commit is adopted", &since
	s.Stages.Adopted, s.Stages.Healthy = state.Stage{Reason: s.Held}, state.Stage{}
	s.Allow = "Allow-Delete: 30"
	for i := range 30 {
		s.Deletes = append(s.Deletes, fmt.Sprintf("ConfigMap/shop/settings-%02d", i))
	}
	return s
}

// suspended waits for the end of spec.suspend; a mistake came after.
func suspended() control.Status {
	s := healthy()
	s.Suspended = &manifest.Suspend{Reason: "the database moves to another machine", Until: "2026-11-22T06:00:00Z"}
	since := now().Add(-time.Minute)
	s.Newest, s.Healthy = &control.Commit{Hash: "fedcba9876543210", Subject: "wait"}, false
	s.Held, s.HeldSince = "adopting is suspended by spec.suspend of writ.yaml: "+s.Suspended.String(), &since
	s.Stages.Adopted, s.Stages.Healthy = state.Stage{Reason: s.Held}, state.Stage{}
	return s
}

func held() control.Status {
	s := healthy()
	since := now().Add(-3 * time.Hour)
	s.Newest = &control.Commit{Hash: "fedcba9876543210", Subject: strings.Repeat("a very long subject ", 8)}
	s.Held, s.HeldSince, s.Healthy = "2 mistakes", &since, false
	s.Stages.Rendered, s.Stages.Adopted, s.Stages.Healthy = state.Stage{Reason: "2 mistakes, the first: web/a.yaml:7"}, state.Stage{}, state.Stage{}
	s.Suspended = &manifest.Suspend{Reason: "of the commit before"}
	s.Mistakes = []string{"web/a.yaml:7: Deployment/shop/web: unknown field", "web/b.yaml:1: Service/shop/web: defined twice"}
	s.Troubles = []control.Trouble{{Component: "sync", What: "git.example does not answer", Since: now().Add(-5 * 24 * time.Hour)}}
	s.Warnings = []string{"web/a.yaml:2: Deployment/shop/web: status is dropped"}
	s.Objects = append(s.Objects,
		control.Object{Kind: "Deployment", Namespace: "shop", Name: "cart", Health: control.Degraded, Ready: "0/1 ready", Path: "shop/cart.yaml", Line: 3,
			Reason: "0 of 1 replicas are available; pod cart-1: cart: CrashLoopBackOff: back-off 40s restarting failed container"},
		control.Object{Kind: "NetworkPolicy", Namespace: "shop", Name: "deny", Health: control.Unenforced, Reason: "NetworkPolicy is not enforced yet"},
		control.Object{Kind: "CronJob", Namespace: "shop", Name: "tidy", Health: control.Stored, Reason: "CronJob is not acted on yet"},
	)
	s.Counts = control.Counts{control.Healthy: 2, control.Degraded: 1, control.Unenforced: 1, control.Stored: 1}
	return s
}

func TestPrintStatus(t *testing.T) {
	empty := control.Status{At: now(), Node: "n1", Source: control.Source{URL: "/srv/config"}, Counts: control.Counts{}}
	for name, s := range map[string]control.Status{"healthy": healthy(), "held": held(), "guarded": guarded(), "suspended": suspended(), "empty": empty} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			printStatus(&out, &s, view{})
			file := filepath.Join("testdata", "status-"+name+".txt")
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
			}
			for line := range strings.Lines(out.String()) {
				if len(strings.TrimSuffix(line, "\n")) > width {
					t.Errorf("longer than %d columns: %s", width, line)
				}
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Error("colours without a terminal")
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	progressing := healthy()
	progressing.Healthy, progressing.Counts = false, control.Counts{"Progressing": 1}
	waiting := healthy()
	waiting.Newest, waiting.Healthy = &control.Commit{Hash: "fedcba98"}, false
	gone, goneHeld := healthy(), held()
	gone.SupersededBy, goneHeld.SupersededBy = gone.Adopted.Hash, goneHeld.Newest.Hash
	for name, c := range map[string]struct {
		s        control.Status
		commit   string
		timedOut bool
		settled  bool
		want     int
	}{
		"healthy":                           {s: healthy(), settled: true, want: 0},
		"healthy at the commit":             {s: healthy(), commit: "0123", settled: true, want: 0},
		"another commit asked for":          {s: healthy(), commit: "fedc", timedOut: true, want: exitHeld},
		"not in time":                       {s: progressing, timedOut: true, want: exitUnhealthy},
		"held":                              {s: held(), settled: true, want: exitHeld},
		"the held commit asked for":         {s: held(), commit: "fedc", settled: true, want: exitHeld},
		"an older one asked for, unhealthy": {s: held(), commit: "0123", timedOut: true, want: exitUnhealthy},
		"superseded":                        {s: gone, commit: "aaaa", settled: true, want: exitSuperseded},
		"superseded by what is held":        {s: goneHeld, commit: "aaaa", settled: true, want: exitSuperseded},
		"an older one asked for, healthy":   {s: waiting, commit: "0123", settled: true, want: 0},
		"a newer one on its way":            {s: waiting, timedOut: true, want: exitHeld},
	} {
		t.Run(name, func(t *testing.T) {
			if got := settled(&c.s, c.commit); got != c.settled {
				t.Errorf("settled %v, want %v", got, c.settled)
			}
			got := 0
			if err := verdict(&c.s, c.commit, c.timedOut); err != nil {
				got = err.(exitCode).code
			}
			if got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}
