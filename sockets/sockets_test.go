package sockets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test's own program be the holder, and the next process of a service of systemd.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hold" {
		l, err := net.FileListener(os.NewFile(HolderFD, "socket"))
		if err == nil {
			err = Hold(l.(*net.UnixListener), Idle)
		}
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv("SOCKETS_TEST") == "take" {
		for _, f := range Open(Config{Log: slog.New(slog.DiscardHandler)}).Take("dns") {
			fmt.Println(text(f))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// text is what can be read from a kept socket at once.
func text(f *os.File) string {
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	b := make([]byte, 100)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err.Error()
	}
	n, _, err := c.ReadFrom(b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

func open(t *testing.T, dir string) *Keeper {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Open(Config{Binary: binary, Dir: dir, Log: slog.New(slog.DiscardHandler)})
}

// short is a directory whose path leaves room for a socket's name.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range holders(dir) {
			t.Errorf("holder %d is left", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		os.RemoveAll(dir)
	})
	return dir
}

// holders are the processes that hold for a directory.
func holders(dir string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "\x00hold\x00--dir\x00"+dir+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// pair are a UDP and a TCP socket of one process, which closes them at its end.
func pair(t *testing.T) (u *net.UDPConn, l *net.TCPListener) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); n.Close() })
	return c.(*net.UDPConn), n.(*net.TCPListener)
}

// refused says that nobody holds a UDP socket at an address of this machine.
func refused(t *testing.T, at string) bool {
	t.Helper()
	c, err := net.Dial("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // the second learns what became of the first
		_, err = c.Write([]byte("anybody?"))
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func say(t *testing.T, at, what string) {
	t.Helper()
	c, err := net.Dial("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(what)); err != nil {
		t.Fatal(err)
	}
}

func TestKeeper_WhatIsAskedMeanwhileWaits(t *testing.T) {
	dir := short(t)
	first := open(t, dir)
	if got := first.Take("dns"); len(got) != 0 {
		t.Errorf("a new holder gave %d sockets", len(got))
	}
	u, l := pair(t)
	if err := first.Keep("dns", []syscall.Conn{u, l}); err != nil {
		t.Fatal(err)
	}
	at, tcp := u.LocalAddr().String(), l.Addr().String()
	u.Close()
	l.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	say(t, at, "question")
	client, err := net.Dial("tcp4", tcp)
	if err != nil {
		t.Fatalf("connect while nobody accepts: %v", err)
	}
	defer client.Close()

	second := open(t, dir)
	if pids := holders(dir); len(pids) != 1 {
		t.Errorf("holders %v, want the one", pids)
	}
	if got := second.Take("api"); len(got) != 0 {
		t.Errorf("a name that nothing is kept under gave %d sockets", len(got))
	}
	got := second.Take("dns")
	if len(got) != 2 {
		t.Fatalf("taken %d sockets, want 2", len(got))
	}
	if said := text(got[0]); said != "question" {
		t.Errorf("the datagram that waited is %q", said)
	}
	kept, err := net.FileListener(got[1])
	if err != nil {
		t.Fatal(err)
	}
	server, err := kept.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	kept.Close()
	for _, f := range got {
		f.Close()
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
	eventually(t, "the holder's end", func() bool { return len(holders(dir)) == 0 })
	if !refused(t, at) {
		t.Errorf("%s is held after the end", at)
	}
	if _, err := os.Stat(filepath.Join(dir, SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the holder's socket is left: %v", err)
	}
}

func TestKeeper_Replaces(t *testing.T) {
	dir := short(t)
	k := open(t, dir)
	old, _ := pair(t)
	next, _ := pair(t)
	for _, u := range []*net.UDPConn{old, next} {
		if err := k.Keep("dns", []syscall.Conn{u}); err != nil {
			t.Fatal(err)
		}
		u.Close()
	}
	if !refused(t, old.LocalAddr().String()) {
		t.Error("what was replaced is still held")
	}
	if refused(t, next.LocalAddr().String()) {
		t.Error("what replaced it is not held")
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	eventually(t, "the holder's end", func() bool { return len(holders(dir)) == 0 })
}

func TestKeeper_HolderKilled(t *testing.T) {
	dir := short(t)
	k := open(t, dir)
	u, _ := pair(t)
	if err := k.Keep("dns", []syscall.Conn{u}); err != nil {
		t.Fatal(err)
	}
	stop, ended := runs(t, k)
	killed := holders(dir)
	if len(killed) != 1 {
		t.Fatalf("holders %v", killed)
	}
	if err := syscall.Kill(killed[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another holder with the socket", func() bool {
		pids := holders(dir)
		if len(pids) != 1 || pids[0] == killed[0] {
			return false
		}
		got := k.Take("dns")
		for _, f := range got {
			f.Close()
		}
		return len(got) == 1
	})
	stop()
	<-ended
	at := u.LocalAddr().String()
	u.Close()
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	say(t, at, "after all")
	k = open(t, dir)
	got := k.Take("dns")
	if len(got) != 1 || text(got[0]) != "after all" {
		t.Errorf("the new holder gave %d sockets", len(got))
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	eventually(t, "the holder's end", func() bool { return len(holders(dir)) == 0 })
}

func TestHold_LetsGoWhenNobodyComesBack(t *testing.T) {
	path := filepath.Join(short(t), SocketName)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Hold(l, 50*time.Millisecond) }()
	h := &holder{path: path}
	if err := h.reopen(); err != nil {
		t.Fatal(err)
	}
	u, _ := pair(t)
	fd, err := duplicate(u)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.keep("dns", []int{fd}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ask(message{Op: "later version"}, nil); err == nil || !strings.Contains(err.Error(), "later version") {
		t.Errorf("an unknown request: %v", err)
	}
	closeAll([]int{fd})
	u.Close()
	if refused(t, u.LocalAddr().String()) {
		t.Error("nothing is held")
	}
	h.close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !refused(t, u.LocalAddr().String()) {
		t.Error("it is held for ever")
	}
}

func TestSystemd(t *testing.T) {
	notify := filepath.Join(short(t), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", notify)
	t.Setenv("FDSTORE", "512")
	k := open(t, "/nowhere")
	u, l := pair(t)
	if err := k.Keep("dns", []syscall.Conn{u, l}); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	said, fds := notified(t, manager)
	if said != "FDSTOREREMOVE=1\nFDNAME=dns" || len(fds) != 0 {
		t.Errorf("first %q with %d descriptors", said, len(fds))
	}
	said, fds = notified(t, manager)
	if said != "FDSTORE=1\nFDPOLL=0\nFDNAME=dns" || len(fds) != 2 {
		t.Fatalf("then %q with %d descriptors", said, len(fds))
	}
	defer closeAll(fds[1:])
	kept := os.NewFile(uintptr(fds[0]), "udp")
	defer kept.Close()
	at := u.LocalAddr().String()
	u.Close()
	say(t, at, "question")

	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, binary)
	cmd.Env = append(os.Environ(), "SOCKETS_TEST=take", "LISTEN_FDS=1", "LISTEN_FDNAMES=dns")
	cmd.ExtraFiles = []*os.File{kept}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "question\n" {
		t.Errorf("the next process says %q, %v", out, err)
	}
}

func notified(t *testing.T, manager *net.UnixConn) (string, []int) {
	t.Helper()
	if err := manager.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	body, beside := make([]byte, 1000), make([]byte, unix.CmsgSpace(4*8))
	n, nb, _, _, err := manager.ReadMsgUnix(body, beside)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := descriptors(beside[:nb])
	if err != nil {
		t.Fatal(err)
	}
	return string(body[:n]), fds
}

// runs runs a Keeper until stop is called.
func runs(t *testing.T, k *Keeper) (stop func(), ended chan struct{}) {
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		if err := k.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return cancel, ended
}
