package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"writ/api/control"
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
	}
}

func held() control.Status {
	s := healthy()
	since := now().Add(-3 * time.Hour)
	s.Newest = &control.Commit{Hash: "fedcba9876543210", Subject: strings.Repeat("a very long subject ", 8)}
	s.Held, s.HeldSince, s.Healthy = "2 mistakes", &since, false
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
	for name, s := range map[string]control.Status{"healthy": healthy(), "held": held(), "empty": empty} {
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
		"a newer one on its way":            {s: waiting, timedOut: true, want: exitUnhealthy},
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
