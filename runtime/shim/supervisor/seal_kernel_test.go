//go:build kernel

package supervisor_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"writ/runtime/shim"
	"writ/runtime/shim/confine"
)

// sealed is a container that says what it may do and then stays. The cache of
// the rig is its own.
func sealed(r *rig, id string, edit func(*specs.Process)) shim.StartRequest {
	request := r.request(id, "exec 2>&1; cat /proc/self/status; ls -1 /proc/self/fd; mount -t tmpfs none /tmp; echo mount $?; echo said; sleep 600")
	edit(request.Spec.Process)
	return request
}

// said is what the container has printed, its own lines only.
func said(r *rig, id string) string {
	r.t.Helper()
	var out string
	wait(r.t, "the container to speak", func() bool {
		var all []string
		for _, l := range r.lines(id) {
			all = append(all, l.text)
		}
		out = strings.Join(all, "\n")
		return strings.HasSuffix(out, "\nsaid")
	})
	return out
}

func programs(t *testing.T, dir string) [][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

// cached is a pod with a cache of its own that holds one file: the filter of the container that runs.
func cached(t *testing.T) (r *rig, file string) {
	t.Helper()
	r = pod(t)
	r.cache = filepath.Join(r.logs, "cache")
	r.killShim()
	r.launch()
	r.start(r.request("a", "sleep 600"))
	entries, err := os.ReadDir(r.cache)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	return r, filepath.Join(r.cache, entries[0].Name())
}

// TestSeal_SameFilter: the first container compiles its profile, the second is
// handed the result, and both run under the very same filter, whoever they are.
func TestSeal_SameFilter(t *testing.T) {
	some := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN"}
	tests := []struct {
		name string
		edit func(*specs.Process)
	}{
		{"no new privileges", func(p *specs.Process) {}},
		{"root", func(p *specs.Process) { p.NoNewPrivileges = false }},
		{"root that could mount", func(p *specs.Process) {
			p.NoNewPrivileges = false
			p.Capabilities = &specs.LinuxCapabilities{Bounding: some, Effective: some, Permitted: some}
		}},
		{"user", func(p *specs.Process) {
			p.NoNewPrivileges, p.User = false, specs.User{UID: 1000, GID: 1000}
		}},
		{"user without capabilities", func(p *specs.Process) {
			p.NoNewPrivileges, p.User, p.Capabilities = false, specs.User{UID: 1000, GID: 1000}, &specs.LinuxCapabilities{}
		}},
		{"terminal", func(p *specs.Process) { p.Terminal = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := pod(t)
			r.cache = filepath.Join(r.logs, "cache")
			r.killShim()
			r.launch()
			for _, id := range []string{"compiled", "handed"} {
				state := r.start(sealed(r, id, tt.edit))
				text := said(r, id)
				for _, want := range []string{"Seccomp:\t2", "Seccomp_filters:\t1", "mount: permission denied", "mount 1"} {
					if !strings.Contains(text, want) {
						t.Errorf("%s: no %q in\n%s", id, want, text)
					}
				}
				_, fds, _ := strings.Cut(text, "Seccomp")
				if strings.Contains(fds, "\n4\n") || !strings.Contains(fds, "\n2\n3\n") {
					t.Errorf("%s has descriptors besides its streams and the directory:\n%s", id, fds)
				}
				kept := programs(t, r.cache)
				if len(kept) != 1 {
					t.Fatalf("%s: %d programs are kept, want one", id, len(kept))
				}
				program, err := confine.Harvest(state.PID)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.HasSuffix(kept[0], program) || len(program) == 0 {
					t.Errorf("%s runs under another filter than the one that is kept", id)
				}
				if out, result := r.exec(id, "cat /proc/self/status; mount -t tmpfs none /tmp"); result.ExitCode != 1 || !strings.Contains(out, "permission denied") || !strings.Contains(out, "Seccomp_filters:\t1") {
					t.Errorf("exec in %s is not confined: %+v\n%s", id, result, out)
				}
			}
			if !strings.Contains(r.shimLog(), "started") {
				t.Error("the log does not tell of the starts")
			}
		})
	}
}

// TestSeal_ExecAfterTakeover: the next shim confines execs too.
func TestSeal_ExecAfterTakeover(t *testing.T) {
	r := pod(t)
	for _, id := range []string{"compiled", "handed"} {
		r.start(r.request(id, "sleep 600"))
	}
	r.killShim()
	r.launch()
	for range 2 {
		out, result := r.exec("handed", "cat /proc/self/status; mount -t tmpfs none /tmp")
		if result.ExitCode != 1 || !strings.Contains(out, "Seccomp_filters:\t1") || !strings.Contains(out, "permission denied") {
			t.Errorf("exec is not confined: %+v\n%s", result, out)
		}
	}
}

// TestSeal_Damaged: a file that is not whole is not used, and replaced.
func TestSeal_Damaged(t *testing.T) {
	r, file := cached(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole[:len(whole)-8], 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(sealed(r, "b", func(*specs.Process) {}))
	if text := said(r, "b"); !strings.Contains(text, "Seccomp_filters:\t1") {
		t.Errorf("no filter in\n%s", text)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("the damaged file was not replaced: %d bytes, want %d, %v", len(now), len(whole), err)
	}
}

// TestSeal_Refused: a filter that the kernel refuses keeps the container from
// running its command.
func TestSeal_Refused(t *testing.T) {
	r, file := cached(t)
	cache, err := confine.NewCache(r.cache)
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Save(filepath.Base(file), bytes.Repeat([]byte{0xff}, 16)); err != nil {
		t.Fatal(err)
	}
	state, err := r.client.Start(r.ctx, r.request("b", "echo ran"))
	if !errors.Is(err, shim.ErrStart) || !strings.Contains(err.Error(), "load seccomp filter: invalid argument") {
		t.Errorf("start says %v", err)
	}
	if state.Status != shim.StatusExited || state.Reason != shim.ReasonStartError {
		t.Errorf("state is %+v", state)
	}
	if lines := r.lines("b"); len(lines) > 0 {
		t.Errorf("the command ran: %v", lines)
	}
}

func (r *rig) shimLog() string {
	r.t.Helper()
	data, err := os.ReadFile(shim.LogPath(r.dir))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}
