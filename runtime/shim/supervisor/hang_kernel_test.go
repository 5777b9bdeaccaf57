//go:build kernel

package supervisor_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// deadServer mounts a file system whose server answers what is needed to mount it, and then nothing: whoever
// asks for a file sleeps and cannot be killed, as with a file server that is gone. revive ends it: every
// sleeper gets an error.
func deadServer(t *testing.T, answersRoot bool) (dir string, asked <-chan struct{}, revive func()) {
	t.Helper()
	unanswered := make(chan struct{}, 64)
	dir = t.TempDir()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 1<<20)
		for {
			n, err := unix.Read(fuse, buf)
			if err != nil {
				return // unmounted or aborted
			}
			answer := reply(buf[:n], answersRoot)
			if answer == nil {
				unanswered <- struct{}{}
				continue
			}
			if _, err := unix.Write(fuse, answer); err != nil {
				return
			}
		}
	}()
	revive = sync.OnceFunc(func() {
		unix.Unmount(dir, unix.MNT_FORCE) // ends every request; where it is mounted still it is dead for good
		unix.Unmount(dir, unix.MNT_DETACH)
		unix.Close(fuse)
	})
	t.Cleanup(revive)
	return dir, unanswered, revive
}

// reply answers the requests of a mount (linux/fuse.h); nil for those that get no answer.
func reply(request []byte, answersRoot bool) []byte {
	const opGetattr, opInit, header = 3, 26, 16
	op := binary.LittleEndian.Uint32(request[4:])
	unique := request[8:16]
	var body []byte
	switch {
	case op == opInit:
		body = binary.LittleEndian.AppendUint32(nil, 7)
		body = binary.LittleEndian.AppendUint32(body, 31)
		body = append(body, make([]byte, 64-len(body))...)
	case op == opGetattr && answersRoot:
		body = make([]byte, 104) // fuse_attr_out: 16 bytes, then fuse_attr
		binary.LittleEndian.PutUint64(body[16:], 1)
		binary.LittleEndian.PutUint32(body[16+60:], unix.S_IFDIR|0o755)
		binary.LittleEndian.PutUint32(body[16+64:], 2)
	default:
		return nil
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(header+len(body)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	return append(append(out, unique...), body...)
}

// mounting is a request with a directory of the node at /work.
func (r *rig) mounting(id, dir string, args ...string) shim.StartRequest {
	request := r.request(id, args...)
	request.Spec.Mounts = append(request.Spec.Mounts, specs.Mount{Destination: "/work", Type: "bind", Source: dir, Options: []string{"rbind"}})
	return request
}

// others holds a shim to serving everything else while something hangs.
func (r *rig) others(id string) {
	r.t.Helper()
	begun := time.Now()
	r.start(r.request(id, "sleep", "1000"))
	if out, _ := r.exec(id, "echo here"); out != "here\n" {
		r.t.Errorf("exec printed %q", out)
	}
	if c, err := r.client.Stop(r.ctx, id, 0); err != nil || c.ExitCode != 137 {
		r.t.Errorf("stop: %+v, %v", c, err)
	}
	if err := r.client.Remove(r.ctx, id); err != nil {
		r.t.Errorf("remove: %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		r.t.Errorf("it took %s", took)
	}
}

func TestHang_StopReportsWhatCannotBeKilled(t *testing.T) {
	r := pod(t)
	dir, asked, revive := deadServer(t, true)
	r.start(r.mounting("reader", dir, "/bin/cat", "/work/file"))
	<-asked
	_, err := r.client.StopWaiting(r.ctx, "reader", 0, 300*time.Millisecond)
	if want := `container "main" has not ended 300ms after it was killed: process`; !errors.Is(err, shim.ErrTimeout) || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "(cat) is in an uninterruptible sleep in ") {
		t.Errorf("stop: %v, want %s...", err, want)
	}
	r.others("beside")
	if _, err := r.client.Upgrade(r.ctx, shared.next); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("upgrade while a stop is under way: %v", err)
	}
	revive()
	if c := r.exited("reader"); c.ExitCode != 137 {
		t.Errorf("reader: %+v", c)
	}
}

func TestHang_StartIsGivenUp(t *testing.T) {
	r := pod(t)
	dir, _, revive := deadServer(t, false)
	request := r.mounting("mounter", dir, "true")
	request.LimitMillis = 500
	begun := time.Now()
	c, err := r.client.Start(r.ctx, request)
	if !errors.Is(err, shim.ErrStart) || !strings.Contains(err.Error(), "the start did not end within 500ms: context deadline exceeded") {
		t.Errorf("start: %v", err)
	}
	if c.Status != shim.StatusExited || c.Reason != shim.ReasonStartError || time.Since(begun) > 15*time.Second {
		t.Errorf("container after %s: %+v", time.Since(begun), c)
	}
	r.others("beside")
	revive()
	wait(t, "its files to go", func() bool { return r.client.Remove(r.ctx, "mounter") == nil })
	if hello := r.upgrade(shared.next); hello.Build != "two" {
		t.Errorf("hello: %+v", hello)
	}
}

// TestHang_ProcessOne: process 1 of a shared pid namespace cannot end before everything else in it has. A start
// that waits for that holds up nobody who asks for something else.
func TestHang_ProcessOne(t *testing.T) {
	r := newRig(t)
	box := r.sandbox()
	box.SharePIDs, box.PauseRoot = true, t.TempDir()
	if _, err := r.client.Sandbox(r.ctx, box); err != nil {
		t.Fatal(err)
	}
	r.start(r.request("first", "sleep 600"))
	var record struct{ Pause int }
	if data, err := os.ReadFile(filepath.Join(r.dir, "sandbox.json")); err != nil || json.Unmarshal(data, &record) != nil || record.Pause == 0 {
		t.Fatal("no process 1", err)
	}
	// A process of the namespace that nobody reaps: its parent is outside, and stands still.
	parent := exec.Command("nsenter", "--target", strconv.Itoa(record.Pause), "--pid", "sleep", "600")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = parent.Process.Signal(unix.SIGCONT) }
	t.Cleanup(func() { _ = parent.Process.Kill(); goOn(); _ = parent.Wait() })
	wait(t, "the process in the namespace", func() bool {
		child, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", parent.Process.Pid))
		name, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/comm")
		return strings.TrimSpace(string(name)) == "sleep"
	})
	if err := parent.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(record.Pause, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.exited("first")
	started := make(chan error, 1)
	go func() { _, err := r.client.Start(r.ctx, r.request("second", "sleep 600")); started <- err }()
	wait(t, "the start to look after process 1", func() bool {
		said, _ := os.ReadFile(shim.LogPath(r.dir))
		return strings.Contains(string(said), "process 1 of the pod is gone")
	})
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	if _, err := r.client.State(ctx); err != nil {
		t.Errorf("state while a start waits: %v", err)
	}
	select {
	case err := <-started:
		t.Errorf("the start waited for nothing: %v", err)
	default:
	}
	goOn()
	if err := <-started; err != nil {
		t.Error(err)
	}
}

// TestHang_LogDoesNotHideAnExit: a log that hangs is one whose opening does not return.
func TestHang_LogDoesNotHideAnExit(t *testing.T) {
	r := pod(t)
	r.start(r.request("writer", "echo begun; sleep 1000"))
	wait(t, "the first line", func() bool { return len(r.lines("writer")) == 1 })
	log := filepath.Join(r.logs, "writer", "0.log")
	if err := errors.Join(os.Rename(log, log+".kept"), unix.Mkfifo(log, 0o600)); err != nil {
		t.Fatal(err)
	}
	reopened := make(chan error, 1)
	go func() { reopened <- r.client.ReopenLogs(r.ctx, "writer") }()
	r.others("beside")
	c, err := r.client.StopWaiting(r.ctx, "writer", 0, 20*time.Second)
	if err != nil || c.ExitCode != 137 {
		t.Errorf("stop: %+v, %v", c, err)
	}
	file, err := os.OpenFile(log, os.O_RDONLY, 0) // the disk is back
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := <-reopened; err != nil {
		t.Errorf("reopen: %v", err)
	}
	if hello := r.upgrade(shared.next); hello.Build != "two" {
		t.Errorf("hello: %+v", hello)
	}
}

// TestHang_LogDoesNotHoldTakeovers: neither by a shim that was started, nor by one that was executed.
func TestHang_LogDoesNotHoldTakeovers(t *testing.T) {
	for name, replace := range map[string]func(r *rig){
		"after a kill":     func(r *rig) { r.killShim(); r.launch() },
		"after an upgrade": func(r *rig) { r.upgrade(shared.next) },
	} {
		t.Run(name, func(t *testing.T) {
			r := pod(t)
			r.start(r.request("writer", "echo begun; sleep 1000"))
			request := r.request("typed", "echo begun; sleep 1000")
			request.Spec.Process.Terminal = name == "after an upgrade"
			r.start(request)
			wait(t, "the first lines", func() bool { return len(r.lines("writer")) == 1 && len(r.lines("typed")) == 1 })
			log := filepath.Join(r.logs, "writer", "0.log")
			for _, path := range []string{log, filepath.Join(r.logs, "typed", "0.log")} {
				if err := errors.Join(os.Rename(path, path+".kept"), unix.Mkfifo(path, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			replace(r)
			r.others("beside")
			if _, err := r.client.Stop(r.ctx, "typed", 0); err != nil {
				t.Errorf("stop: %v", err)
			}
			file, err := os.OpenFile(log, os.O_RDWR, 0) // the disk is back
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			r.exec("writer", "echo after > /proc/1/fd/1")
			got := make([]byte, 200)
			n, err := file.Read(got)
			if err != nil || !strings.HasSuffix(string(got[:n]), " stdout F after\n") {
				t.Errorf("logged %q, %v", got[:n], err)
			}
		})
	}
}

// TestHang_ExecDoesNotKeepFromKilling: one that hangs before it begins holds the library's lock.
func TestHang_ExecDoesNotKeepFromKilling(t *testing.T) {
	r := pod(t)
	dir, asked, revive := deadServer(t, true)
	request := r.mounting("host", dir, "sleep 1000")
	request.Spec.Linux.Namespaces = slices.DeleteFunc(request.Spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.PIDNamespace })
	r.start(request)
	answered := make(chan bool, 1)
	go func() {
		result, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "host", Args: []string{"true"}, Cwd: "/work/folder"}, shim.Streams{})
		answered <- err == nil && result.ExitCode == 0
	}()
	<-asked
	if c, err := r.client.StopWaiting(r.ctx, "host", 0, 25*time.Second); err != nil || c.ExitCode != 137 {
		t.Errorf("stop: %+v, %v", c, err)
	}
	r.others("beside")
	revive()
	if <-answered {
		t.Error("the exec ran in a container that was killed")
	}
	wait(t, "its files to go", func() bool { return r.client.Remove(r.ctx, "host") == nil })
}
