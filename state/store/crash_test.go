package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// The tests of this file run the store in a child process, kill it without warning and look at what
// the next Open makes of it. The child's Batches depend on the World alone, so that the parent knows
// every World that the child may have published.

const (
	childDir  = "WRIT_STORE_TEST_DIR"
	childKill = "WRIT_STORE_TEST_KILL" // point:count
	childMany = "WRIT_STORE_TEST_MEMTABLES"
	childPods = "WRIT_STORE_TEST_PODS" // one Batch of so many
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childKill)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const lastStep = 1 << 20

// child proposes step after step until it is killed, telling each after it was acknowledged.
func child(dir, kill string) error {
	point, number, _ := strings.Cut(kill, ":")
	left, _ := strconv.Atoi(number)
	cfg := crashConfig(dir)
	cfg.probe = func(at string) {
		if at != point {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	s, err := Open(cfg, testLog(nil))
	if err != nil {
		return err
	}
	fmt.Println("open")
	if n, err := strconv.Atoi(os.Getenv(childPods)); err == nil {
		if _, err := s.Propose(context.Background(), decide(s.World(), pods(n)...)); err != nil {
			return err
		}
		fmt.Println("ack 1")
		return s.Close()
	}
	for n := stepOf(s.World()) + 1; n < lastStep; n++ {
		if _, err := s.Propose(context.Background(), batchOf(s.World(), n)); err != nil {
			return err
		}
		fmt.Println("ack", n)
	}
	return s.Close()
}

func crashConfig(dir string) Config {
	cfg := Config{Dir: dir, delay: time.Millisecond, checkpoint: 256 << 10}
	if os.Getenv(childMany) != "" { // many small memtables between two checkpoints
		cfg.memtable, cfg.checkpoint = 256<<10, 4<<20
	}
	return cfg
}

func stepOf(w *state.World) int {
	r := w.Get(manifest.ConfigMapRef("default", "step"))
	if r == nil {
		return 0
	}
	n, err := strconv.Atoi(r.Object.(*corev1.ConfigMap).Data["value"])
	if err != nil {
		panic(err)
	}
	return n
}

// batchOf is the Batch of a step: some puts and deletes; each tenth is too large for one chunk and
// one transaction, each fifth adopts a commit.
func batchOf(w *state.World, n int) state.Batch {
	random := rand.New(rand.NewPCG(uint64(n), 7))
	b := decide(w)
	marker := configMap(0, strconv.Itoa(n))
	marker.Ref.Name = "step"
	marker.Object.(*corev1.ConfigMap).Name = "step"
	b.Puts = append(b.Puts, marker)
	count := 1 + random.IntN(20)
	if n%10 == 0 {
		count = 1500
	}
	for _, i := range random.Perm(2000)[:count] {
		p := configMap(i, fmt.Sprint(n, strings.Repeat("x", random.IntN(2000))))
		if r := w.Get(p.Ref); r != nil && random.IntN(4) == 0 {
			b.Deletes = append(b.Deletes, state.Delete{Ref: p.Ref, UID: r.UID})
			if random.IntN(2) == 0 {
				continue
			}
		}
		b.Puts = append(b.Puts, p)
	}
	if n%5 == 0 {
		b.Adopt = &state.Adoption{Commit: fmt.Sprintf("%040d", n), Subject: "step", Adopted: now}
	}
	return b
}

// crash runs a child until it is killed and answers the steps that it may have left behind.
func crash(t *testing.T, dir, kill string, after time.Duration) (opened bool, acknowledged int) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), childDir+"="+dir, childKill+"="+kill)
	var errors strings.Builder
	c.Stderr = &errors
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if after == 0 {
		after = 2 * time.Minute
	}
	timer := time.AfterFunc(after, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		opened = true
		if number, ok := strings.CutPrefix(lines.Text(), "ack "); ok {
			if acknowledged, err = strconv.Atoi(number); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = c.Wait()
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("child was not killed: %v\n%s", err, errors.String())
	}
	return opened, acknowledged
}

// survive kills a child, lets damage happen, opens the store and compares its World with those that
// the child can have published. It answers the World.
func survive(t *testing.T, dir string, from *state.World, kill string, after time.Duration, damage func()) *state.World {
	t.Helper()
	opened, acknowledged := crash(t, dir, kill, after)
	if acknowledged == 0 {
		acknowledged = stepOf(from)
	}
	if damage != nil {
		damage()
	}
	s := open(t, crashConfig(dir))
	defer closeStore(t, s)
	got := s.World()
	n := stepOf(got)
	if n != acknowledged && n != acknowledged+1 {
		t.Fatalf("killed at %s: the World is at step %d, %d was acknowledged", kill, n, acknowledged)
	}
	want := from
	if opened || n > stepOf(from) {
		want = state.WithRevision(from, state.FirstOf(from.Revision().Epoch()+1))
	}
	for i := stepOf(from) + 1; i <= n; i++ {
		next, _, err := state.Apply(want, batchOf(want, i), want.Revision()+1)
		if err != nil {
			t.Fatal(err)
		}
		want = next
	}
	if g, w := digest(t, got), digest(t, want); g != w {
		t.Fatalf("killed at %s after %d: World %s, want %s", kill, acknowledged, g, w)
	}
	return got
}

func TestCrash_BetweenAnyTwoSteps(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, dir)
	for _, point := range []string{"chunk", "part", "head", "after head", "close", "checkpoint", "sweep"} {
		for _, count := range []int{1, 5} {
			w = survive(t, dir, w, fmt.Sprintf("%s:%d", point, count), 0, nil)
		}
	}
	t.Logf("%d steps, %d records", stepOf(w), w.Len())
}

// A Batch of many objects is there as a whole or not at all, wherever the kill hits. With WRIT_MANY=150000
// it is as large as they come.
func TestCrash_LargeBatch(t *testing.T) {
	n := 6000
	if os.Getenv("WRIT_MANY") != "" {
		n = many()
	}
	t.Setenv(childPods, strconv.Itoa(n))
	chunks, parts := n*600/chunkSize, n*600/(8<<20*15/100) // at least
	for _, kill := range []string{"chunk:1", fmt.Sprint("chunk:", 1+rand.IntN(chunks)), fmt.Sprint("chunk:", chunks/2),
		"part:1", fmt.Sprint("part:", 1+rand.IntN(parts)), fmt.Sprint("part:", parts/2), "head:2", "after head:2"} {
		dir := t.TempDir()
		closeStore(t, open(t, Config{Dir: dir}))
		_, acknowledged := crash(t, dir, kill, 0)
		began := time.Now()
		s := open(t, Config{Dir: dir})
		got := s.World().Len()
		if got != 0 && got != n || got == 0 && acknowledged > 0 || got > 0 && strings.HasPrefix(kill, "chunk") {
			t.Errorf("killed at %s: %d of %d records, acknowledged %d", kill, got, n, acknowledged)
		}
		t.Logf("killed at %s: %d records, opened in %s", kill, got, time.Since(began).Round(time.Millisecond))
		closeStore(t, s)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// Killed again while what lay beyond the head is being removed.
func TestCrash_WhileOpening(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, dir)
	for range 2 {
		w = survive(t, dir, w, "head:5", 0, func() {
			if opened, _ := crash(t, dir, "cut:1", 0); opened {
				t.Fatal("nothing was cut")
			}
		})
	}
}

func TestCrash_AtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, dir)
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("WRIT_CRASHES")); err == nil {
		rounds = n
	}
	for range rounds {
		w = survive(t, dir, w, "", time.Duration(50+rand.IntN(400))*time.Millisecond, nil)
	}
	t.Logf("%d steps, %d records", stepOf(w), w.Len())
}

// A power cut loses what Badger did not sync: any part of any of its memtable files.
func TestCrash_PowerCut(t *testing.T) {
	t.Setenv(childMany, "yes")
	dir := t.TempDir()
	w := begin(t, dir)
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("WRIT_CRASHES")); err == nil {
		rounds = n
	}
	for i := range rounds {
		w = survive(t, dir, w, "", time.Duration(100+rand.IntN(500))*time.Millisecond, func() { cutPower(t, dir, i) })
	}
	t.Logf("%d steps, %d records", stepOf(w), w.Len())
}

func cutPower(t *testing.T, dir string, how int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, worldDir, "*.mem"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		from := 0
		switch (how + i) % 4 {
		case 0:
			continue
		case 1:
			from = rand.IntN(200 << 10)
		case 2:
			from = 4096
		}
		clear(data[min(from, len(data)):])
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func begin(t *testing.T, dir string) *state.World {
	t.Helper()
	s := open(t, crashConfig(dir))
	defer closeStore(t, s)
	return s.World()
}
