package sync_test

import (
	"strings"
	"testing"
	"time"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

func TestSSH_FollowsBranch(t *testing.T) {
	server := gitserver.ServeSSH(t)
	repo := gitserver.NewRepo(t, "it's config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	m := open(t, gitsync.Config{URL: server.URL(repo.Dir), Credentials: gitsync.Credentials{
		SSHKeyFile: server.KeyFile, KnownHostsFile: server.KnownHostsFile}})
	for _, message := range []string{"first", "second", "third"} {
		if message != "first" {
			repo.Commit(map[string]string{"a.yaml": message}, message)
		}
		sync(t, m)
		if c := next(t, m); c.Subject != message || c.Rewritten {
			t.Fatalf("got %+v, want %s", c, message)
		}
		sync(t, m)
		nothing(t, m)
	}
}

func TestSSH_Refusals(t *testing.T) {
	server := gitserver.ServeSSH(t)
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	empty := gitserver.NewRepo(t, "empty")
	for _, c := range []struct {
		name, url, key, hosts string
		kind                  gitsync.Kind
		says                  string
	}{
		{"wrong host key", server.URL(repo.Dir), server.KeyFile, server.WrongKnownHostsFile, gitsync.Identity, "is not the one in the known_hosts file"},
		{"unknown host", server.URL(repo.Dir), server.KeyFile, server.EmptyKnownHostsFile, gitsync.Identity, "is not in the known_hosts file"},
		{"wrong key", server.URL(repo.Dir), server.StrangerKeyFile, server.KnownHostsFile, gitsync.Login, "does not accept the ssh key"},
		{"no key file", server.URL(repo.Dir), "/nowhere/key", server.KnownHostsFile, gitsync.Login, "read the ssh key file"},
		{"no such repository", server.URL("/nowhere/config.git"), server.KeyFile, server.KnownHostsFile, gitsync.NotFound, "not found"},
		{"empty", server.URL(empty.Dir), server.KeyFile, server.KnownHostsFile, gitsync.Empty, "has no commit yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, gitsync.Config{URL: c.url, Credentials: gitsync.Credentials{SSHKeyFile: c.key, KnownHostsFile: c.hosts}})
			troubled(t, m, c.kind, c.says)
		})
	}
}

// A server that takes the connection and says nothing must not hold a look forever.
func TestSSH_MuteServer(t *testing.T) {
	server := gitserver.ServeSSH(t)
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	m := open(t, gitsync.Config{URL: server.URL(repo.Dir), Timeout: 3 * time.Second, Credentials: gitsync.Credentials{
		SSHKeyFile: server.KeyFile, KnownHostsFile: server.KnownHostsFile}})
	server.Mute(true)
	troubled(t, m, gitsync.Unreachable, "does not answer in time")
	server.Mute(false)
	sync(t, m)
	next(t, m)
}

// troubled looks once and checks what State then says.
func troubled(t *testing.T, m *gitsync.Mirror, kind gitsync.Kind, says string) {
	t.Helper()
	if err := m.Sync(t.Context()); err == nil {
		t.Fatalf("sync went well, want trouble %s", kind)
	}
	s := m.State()
	if s.Trouble == nil || s.Trouble.Kind != kind || !strings.Contains(s.Trouble.Text, says) {
		t.Fatalf("trouble is %+v, want %s: ...%s...", s.Trouble, kind, says)
	}
	if s.Trouble.Since.IsZero() || s.Checked.IsZero() {
		t.Fatalf("state has no times: %+v", s)
	}
}
