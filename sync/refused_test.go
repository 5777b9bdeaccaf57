package sync_test

import (
	"io/fs"
	"path/filepath"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// What keeps a commit from being handed out is told once, with whose commit it is, and stays known while
// the server is away.
func TestRefused(t *testing.T) {
	ann, eve := gitserver.NewSSHSigner(t, "ann"), gitserver.NewSSHSigner(t, "eve")
	repo := gitserver.NewRepo(t, "config")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	var told []gitsync.Refused
	m := open(t, gitsync.Config{
		URL: server.URL + "/config.git", Path: "apps", Trust: gitsync.Trust{Files: trusting(t, "", "ann "+ann.Public)},
		Refused: func(r gitsync.Refused) { told = append(told, r) },
	})
	good := repo.CommitSigned(ann, map[string]string{"apps/a.yaml": "a"}, "good")
	sync(t, m)
	next(t, m)
	if r := m.State().Refused; r != nil || told != nil {
		t.Errorf("a good commit: %+v, told %+v", r, told)
	}
	bad := repo.CommitSigned(eve, map[string]string{"apps/a.yaml": "b"}, "bad\n\nin many ways")
	for range 2 {
		troubled(t, m, gitsync.Untrusted, "is not trusted")
	}
	if r := m.State().Refused; len(told) != 1 || r == nil || *r != told[0] || r.Hash != bad || r.Subject != "bad" || r.Author == "" || r.Why.Kind != gitsync.Untrusted || r.Why.Since.IsZero() {
		t.Errorf("state %+v, told %+v", r, told)
	}
	server.Fail()
	troubled(t, m, gitsync.Unreachable, "503")
	if r := m.State().Refused; len(told) != 1 || r == nil || r.Hash != bad || r.Why.Kind != gitsync.Untrusted {
		t.Errorf("while the server is away: state %+v, told %d times", r, len(told))
	}
	server.Serve()
	repo.PointBranch("main", good)
	gone := repo.CommitSigned(ann, map[string]string{"apps": "a file"}, "no folder")
	troubled(t, m, gitsync.PathMissing, "is not a folder")
	if r := m.State().Refused; len(told) != 2 || r == nil || r.Hash != gone || r.Why.Kind != gitsync.PathMissing {
		t.Errorf("without the folder: state %+v, told %+v", r, told)
	}
	repo.PointBranch("main", good)
	sync(t, m)
	if r := m.State().Refused; r != nil || len(told) != 2 {
		t.Errorf("back at the good one: %+v", r)
	}

	for hash, ok := range map[string]bool{good: true, bad: true, gone: false, "main": false, "0123456789012345678901234567890123456789": false} {
		c, err := m.Commit(hash)
		if (err == nil) != ok || ok && c.Hash != hash {
			t.Errorf("Commit(%s) = %s, %v; want one: %v", hash, c.Hash, err, ok)
			continue
		}
		if ok {
			if data, err := fs.ReadFile(c.FS, "a.yaml"); err != nil || len(data) != 1 {
				t.Errorf("Commit(%s) holds %q, %v", hash, data, err)
			}
		}
	}
}
