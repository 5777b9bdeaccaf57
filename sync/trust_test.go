package sync_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
	"writ/sync/signature"
)

// trusting writes what the node trusts: PGP signers go to the keyring, lines to allowed_signers.
func trusting(t *testing.T, keyring, allowed string) signature.Files {
	t.Helper()
	var f signature.Files
	if keyring != "" {
		f.Keyring = filepath.Join(t.TempDir(), "keyring.asc")
		write(t, f.Keyring, keyring)
	}
	if allowed != "" {
		f.AllowedSigners = filepath.Join(t.TempDir(), "allowed_signers")
		write(t, f.AllowedSigners, allowed+"\n")
	}
	return f
}

// refused checks that the newest commit is not taken and that the last one stays.
func refused(t *testing.T, m *gitsync.Mirror, kind gitsync.Kind, says, inForce string) {
	t.Helper()
	troubled(t, m, kind, says)
	nothing(t, m)
	if s := m.State(); s.Delivered != inForce {
		t.Errorf("%s is in force, want %s", s.Delivered, inForce)
	}
}

func TestTrust_Signed(t *testing.T) {
	ssh, pgp := gitserver.NewSSHSigner(t, "ann@example.org"), gitserver.NewPGPSigner(t, "Ben <ben@example.org>", "never")
	rsa := gitserver.NewSSHSigner(t, "rsa", "-t", "rsa", "-b", "2048")
	ecdsa := gitserver.NewSSHSigner(t, "ecdsa", "-t", "ecdsa")
	authority, member := gitserver.NewSSHSigner(t, "authority"), gitserver.NewSSHSigner(t, "member")
	member.Certify(t, authority, "-n", "cat@example.org,other", "-V", "20251201:20270101")
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		m := open(t, gitsync.Config{URL: url, Trust: gitsync.Trust{Files: trusting(t, pgp.Public, strings.Join([]string{
			"# people", "ann@example.org,*@ann.example.org " + ssh.Public, "",
			`"rsa" namespaces="file,git",valid-after="20260101",valid-before="202701010000Z" ` + rsa.Public,
			"ecdsa " + ecdsa.Public, "*@example.org cert-authority " + authority.Public,
		}, "\n"))}})
		for _, c := range []struct {
			signer    *gitserver.Signer
			key, name string
		}{
			{ssh, sshFingerprint(t, ssh), "ann@example.org,*@ann.example.org"},
			{pgp, pgpFingerprint(t, pgp), "Ben <ben@example.org>"},
			{rsa, sshFingerprint(t, rsa), "rsa"},
			{ecdsa, sshFingerprint(t, ecdsa), "ecdsa"},
			{member, sshFingerprint(t, member), "cat@example.org"},
		} {
			want := repo.CommitSigned(c.signer, map[string]string{"a.yaml": c.name}, "by "+c.name)
			sync(t, m)
			got := next(t, m)
			if got.Hash != want || got.Signer == nil || got.Signer.Key != c.key || got.Signer.Name != c.name || got.Signer.Scopes != nil {
				t.Errorf("got %s by %+v, want %s by %s %s", got.Hash, got.Signer, want, c.key, c.name)
			}
		}
	})
}

func sshFingerprint(t *testing.T, s *gitserver.Signer) string {
	t.Helper()
	return strings.Fields(s.Keygen(t, "-lf", s.KeyFile+".pub"))[1]
}

func pgpFingerprint(t *testing.T, s *gitserver.Signer) string {
	t.Helper()
	_, after, _ := strings.Cut(s.GPG(t, "--with-colons", "--fingerprint"), "\nfpr:")
	return strings.Trim(strings.SplitN(after, "\n", 2)[0], ":")
}

// Everything that is not a good signature of a trusted key is refused, by name; what is in force stays.
func TestTrust_Refused(t *testing.T) {
	ann := gitserver.NewSSHSigner(t, "ann")
	stranger, late, early, files := gitserver.NewSSHSigner(t, "stranger"), gitserver.NewSSHSigner(t, "late"), gitserver.NewSSHSigner(t, "early"), gitserver.NewSSHSigner(t, "files")
	weak := gitserver.NewSSHSigner(t, "weak", "-t", "rsa", "-b", "1024")
	authority := gitserver.NewSSHSigner(t, "authority")
	member, expired, imposter, open1 := gitserver.NewSSHSigner(t, "member"), gitserver.NewSSHSigner(t, "expired"), gitserver.NewSSHSigner(t, "imposter"), gitserver.NewSSHSigner(t, "open")
	member.Certify(t, authority, "-n", "root")
	expired.Certify(t, authority, "-n", "cat@example.org", "-V", "20250101:20250102")
	imposter.Certify(t, stranger, "-n", "cat@example.org")
	open1.Certify(t, authority)
	pgpStranger := gitserver.NewPGPSigner(t, "Eve <eve@example.org>", "never")
	gone := gitserver.NewPGPSigner(t, "Gus <gus@example.org>", "never")
	gone.Revoke(t)
	old := gitserver.NewPGPSigner(t, "Old <old@example.org>", "1d", "faked-system-time 1767326400")
	trusted := trusting(t, gone.Public+"\n"+old.Public, strings.Join([]string{
		"ann " + ann.Public, `late valid-before="20260101" ` + late.Public, `early valid-after="20270101" ` + early.Public,
		`files namespaces="file" ` + files.Public, "weak " + weak.Public, "*@example.org cert-authority " + authority.Public,
	}, "\n"))
	signedBy := func(s *gitserver.Signer) func(*testing.T, *gitserver.Repo) {
		return func(_ *testing.T, r *gitserver.Repo) { r.CommitSigned(s, map[string]string{"a": "2"}, "change") }
	}
	// forged puts another object in the place of a signed commit.
	forged := func(change func(raw string) string) func(*testing.T, *gitserver.Repo) {
		return func(t *testing.T, r *gitserver.Repo) {
			raw := r.Git("cat-file", "commit", r.CommitSigned(ann, map[string]string{"a": "2"}, "change")) + "\n"
			made := change(raw)
			if made == raw {
				t.Fatal("nothing was forged")
			}
			r.PointBranch("main", r.PutObject("commit", made))
		}
	}
	for name, c := range map[string]struct {
		do   func(*testing.T, *gitserver.Repo)
		says string
	}{
		"unsigned":       {func(_ *testing.T, r *gitserver.Repo) { r.Commit(map[string]string{"a": "2"}, "x") }, "by Tess Ter <tess@example.org> is not trusted: it is not signed"},
		"stranger":       {signedBy(stranger), "it is signed by SSH key " + sshFingerprint(t, stranger) + ", which is not trusted"},
		"too late":       {signedBy(late), sshFingerprint(t, late) + ", which was trusted only until 2026-01-01"},
		"too early":      {signedBy(early), "is trusted only from 2027-01-01"},
		"not for git":    {signedBy(files), "is not trusted for git"},
		"weak":           {signedBy(weak), "an RSA key of 1024 bits is not accepted"},
		"principal":      {signedBy(member), `has a certificate for ["root"]`},
		"no principal":   {signedBy(open1), `has a certificate for []`},
		"certificate":    {signedBy(expired), "has a certificate that is not valid: cert has expired"},
		"imposter":       {signedBy(imposter), sshFingerprint(t, imposter) + ", which is not trusted"},
		"the authority":  {signedBy(authority), "which is not trusted"},
		"stranger (PGP)": {signedBy(pgpStranger), "it is signed by PGP key " + pgpFingerprint(t, pgpStranger) + ", which is not trusted"},
		"revoked":        {signedBy(gone), pgpFingerprint(t, gone) + " (Gus <gus@example.org>), which is revoked"},
		"expired":        {signedBy(old), pgpFingerprint(t, old) + " (Old <old@example.org>), which has expired"},
		"other message":  {forged(func(raw string) string { return strings.Replace(raw, "\n\nchange", "\n\nchanged", 1) }), "it is not what SSH key " + sshFingerprint(t, ann) + " (ann) signed"},
		"other parent": {forged(func(raw string) string {
			head, rest, _ := strings.Cut(raw, "\nparent ")
			return head + rest[40:]
		}), "does not descend"},
		"other author":   {forged(func(raw string) string { return strings.Replace(raw, "author Tess", "author Bess", 1) }), "by Bess Ter"},
		"two signatures": {forged(func(raw string) string { return strings.Replace(raw, "\ngpgsig ", "\ngpgsig x\ngpgsig ", 1) }), "more than one signature"},
		"hidden author": {forged(func(raw string) string {
			return strings.Replace(raw, "\ngpgsig ", "\ngpgsig-sha256 x\n y\ngpgsigx z\ncommitter Eve <e> 1 +0000\ngpgsig ", 1)
		}), "is not trusted: it is not what"},
		"not a signature": {forged(func(raw string) string { return strings.Replace(raw, "BEGIN SSH", "BEGIN X509", 1) }), "neither of PGP nor of SSH"},
		"cut short": {forged(func(raw string) string {
			return strings.Replace(raw, "-----END SSH SIGNATURE-----", "-----END", 1)
		}), "malformed"},
		"for files": {func(t *testing.T, r *gitserver.Repo) {
			raw := r.Git("cat-file", "commit", r.Commit(map[string]string{"a": "2"}, "x")) + "\n"
			sig := strings.ReplaceAll(ann.SSHSign(t, "file", raw), "\n", "\n ")
			r.PointBranch("main", r.PutObject("commit", strings.Replace(raw, "\n\n", "\ngpgsig "+sig+"\n\n", 1)))
		}, `signed it for "file", not for git`},
		"below a signed one": {func(_ *testing.T, r *gitserver.Repo) {
			r.Commit(map[string]string{"a": "2"}, "x")
			r.CommitSigned(ann, map[string]string{"a": "3"}, "y")
		}, "it is not signed"},
		"merged by a signed one": {func(_ *testing.T, r *gitserver.Repo) {
			tip := r.Tip()
			side := r.Commit(map[string]string{"b": "2"}, "x")
			r.CommitTreeSigned(ann, r.Git("rev-parse", side+"^{tree}"), "merge", tip, side)
		}, "it is not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gitserver.NewRepo(t, "config")
			first := repo.CommitSigned(ann, map[string]string{"a": "1"}, "first")
			m := open(t, gitsync.Config{URL: repo.Dir, Trust: gitsync.Trust{Files: trusted}})
			sync(t, m)
			next(t, m)
			c.do(t, repo)
			kind := gitsync.Untrusted
			if name == "other parent" {
				kind = gitsync.Rewritten
			}
			refused(t, m, kind, c.says, first)
			if s := m.State(); s.Newest != repo.Tip() {
				t.Errorf("newest is %s, want %s", s.Newest, repo.Tip())
			}
			repo.PointBranch("main", first)
			mended := repo.CommitSigned(ann, map[string]string{"a": "mended"}, "mended")
			sync(t, m)
			if got := next(t, m); got.Hash != mended {
				t.Errorf("got %s, want %s", got.Hash, mended)
			}
		})
	}
}

// With mode head only the newest commit needs a signature; the branch still only goes forward.
func TestTrust_HeadOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		ann := gitserver.NewSSHSigner(t, "ann")
		m := open(t, gitsync.Config{URL: url, Trust: gitsync.Trust{Files: trusting(t, "", "ann "+ann.Public), HeadOnly: true}})
		first := repo.Commit(map[string]string{"a": "1"}, "unsigned")
		troubled(t, m, gitsync.Untrusted, "it is not signed")
		second := repo.CommitSigned(ann, map[string]string{"a": "2"}, "signed")
		sync(t, m)
		next(t, m)
		repo.Commit(map[string]string{"a": "3"}, "unsigned")
		refused(t, m, gitsync.Untrusted, "it is not signed", second)
		third := repo.CommitSigned(ann, map[string]string{"a": "4"}, "signed")
		sync(t, m)
		if c := next(t, m); c.Hash != third {
			t.Fatalf("got %s, want %s", c.Hash, third)
		}
		repo.PointBranch("main", first)
		refused(t, m, gitsync.Rewritten, "is older than", third)
	})
}

// With signers a branch goes forward only, from the commit in force, also over restarts and with the
// mirror lost; without signers it may go anywhere.
func TestTrust_Rewritten(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		ann := gitserver.NewSSHSigner(t, "ann")
		adopted := ""
		cfg := gitsync.Config{URL: url, Dir: filepath.Join(t.TempDir(), "mirror"),
			Trust: gitsync.Trust{Files: trusting(t, "", "ann "+ann.Public), Adopted: func() string { return adopted }}}
		m := open(t, cfg)
		first := repo.CommitSigned(ann, map[string]string{"a": "1"}, "first")
		second := repo.CommitSigned(ann, map[string]string{"a": "2"}, "second")
		sync(t, m)
		next(t, m)
		adopted = second
		third := repo.CommitSigned(ann, map[string]string{"a": "broken"}, "delivered, never adopted")
		sync(t, m)
		next(t, m)
		repo.PointBranch("main", second)
		sync(t, m) // what was not adopted may go again
		if c := next(t, m); c.Hash != second || !c.Rewritten {
			t.Fatalf("got %s (rewritten %t), want %s", c.Hash, c.Rewritten, second)
		}
		repo.PointBranch("main", first)
		refused(t, m, gitsync.Rewritten, "commit "+first[:12]+" is older than "+second[:12], second)
		repo.PointBranch("main", first)
		beside := repo.CommitSigned(ann, map[string]string{"a": "4"}, "beside")
		refused(t, m, gitsync.Rewritten, "commit "+beside[:12]+" does not descend from "+second[:12], second)

		m.Close()
		if err := os.RemoveAll(cfg.Dir); err != nil {
			t.Fatal(err)
		}
		m = open(t, cfg)
		refused(t, m, gitsync.Rewritten, "does not descend from "+second[:12], "")
		repo.PointBranch("main", third)
		sync(t, m)
		if c := next(t, m); c.Hash != third {
			t.Fatalf("got %s, want %s", c.Hash, third)
		}
		m.Close()

		plain := cfg
		plain.Trust = gitsync.Trust{}
		m = open(t, plain)
		next(t, m)
		repo.PointBranch("main", beside)
		sync(t, m)
		if c := next(t, m); c.Hash != beside || !c.Rewritten || c.Signer != nil {
			t.Fatalf("without signers: got %s (rewritten %t)", c.Hash, c.Rewritten)
		}
	})
}

// Signers are asked for from now on: what is in force stays, what was delivered and not adopted has to be
// verified, and what comes needs a signature.
func TestTrust_TurnedOn(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	ann := gitserver.NewSSHSigner(t, "ann")
	cfg := gitsync.Config{URL: repo.Dir, Dir: filepath.Join(t.TempDir(), "mirror")}
	m := open(t, cfg)
	first := repo.Commit(map[string]string{"a": "1"}, "unsigned, adopted")
	sync(t, m)
	next(t, m)
	second := repo.Commit(map[string]string{"a": "2"}, "unsigned, delivered")
	sync(t, m)
	next(t, m)
	m.Close()
	adopted := first
	cfg.Trust = gitsync.Trust{Files: trusting(t, "", "ann "+ann.Public), Adopted: func() string { return adopted }}
	m = open(t, cfg)
	nothing(t, m)
	refused(t, m, gitsync.Untrusted, "commit "+second[:12], "")
	m.Close()
	adopted = second
	m = open(t, cfg)
	if c := next(t, m); c.Hash != second || c.Signer != nil {
		t.Fatalf("got %s by %+v, want the commit in force", c.Hash, c.Signer)
	}
	sync(t, m)
	nothing(t, m)
	third := repo.CommitSigned(ann, map[string]string{"a": "3"}, "signed")
	sync(t, m)
	if c := next(t, m); c.Hash != third || c.Signer == nil {
		t.Fatalf("got %s by %+v, want %s", c.Hash, c.Signer, third)
	}
	m.Close()

	adopted = third
	for text, says := range map[string]string{"# nobody": "there is no key", "# people\nann who " + ann.Public: "line 2"} {
		cfg.Trust.Files = trusting(t, "", text)
		m = open(t, cfg)
		next(t, m)
		repo.CommitSigned(ann, map[string]string{"a": says}, "signed")
		refused(t, m, gitsync.Untrusted, says, third)
		m.Close()
	}
	if _, err := gitsync.New(gitsync.Config{URL: repo.Dir, Dir: t.TempDir(), Trust: gitsync.Trust{HeadOnly: true}}, quiet()); err == nil {
		t.Error("mode head without signers is accepted")
	}
}

// A key with a scope may write there and nowhere else, and merge what others wrote.
func TestTrust_Scopes(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		ann, shop, infra := gitserver.NewSSHSigner(t, "ann"), gitserver.NewSSHSigner(t, "shop"), gitserver.NewPGPSigner(t, "Ina <ina@example.org>", "never")
		adopted := ""
		scopes := []signature.Scope{{Path: "apps/shop/**", Keys: []string{shop.Public}, AllowPrivileged: true}, {Path: "infra/", Keys: []string{infra.Public}}, {Path: "/docs/**/*.md", Keys: []string{shop.Public}}}
		m := open(t, gitsync.Config{URL: url, Path: "live", Trust: gitsync.Trust{Files: trusting(t, "", "ann "+ann.Public),
			Adopted: func() string { return adopted }, Scopes: func() []signature.Scope { return scopes }}})
		repo.CommitSigned(shop, map[string]string{"live/apps/shop/a.yaml": "0"}, "by a scoped key")
		troubled(t, m, gitsync.Untrusted, "the first commit needs a key that the node trusts")
		start := repo.CommitSigned(ann, map[string]string{"live/writ.yaml": "1", "live/apps/shop/a.yaml": "1", "live/infra/a.yaml": "1", "docs/x/a.md": "1"}, "start")
		ok := func(what, want string) {
			t.Helper()
			sync(t, m)
			c := next(t, m)
			if c.Hash != want {
				t.Fatalf("%s: got %s, want %s", what, c.Hash, want)
			}
			adopted = c.Hash
		}
		no := func(what, says string) {
			t.Helper()
			var err error
			if err = m.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), says) || m.State().Trouble.Kind != gitsync.Untrusted {
				t.Errorf("%s: %v, want an error with %q", what, err, says)
			}
			repo.PointBranch("main", adopted)
		}
		ok("start", start)
		ok("in scope", repo.CommitSigned(shop, map[string]string{"live/apps/shop/b/c.yaml": "1", "docs/y.md": "1"}, "x"))
		ok("in scope (PGP)", repo.CommitSigned(infra, map[string]string{"live/infra/b.yaml": "1"}, "x"))
		ok("empty", repo.CommitSigned(shop, nil, "x"))
		repo.CommitSigned(shop, map[string]string{"live/infra/a.yaml": "2"}, "x")
		no("out of scope", "it changes live/infra/a.yaml, and key "+sshFingerprint(t, shop)+" (shop) is trusted for apps/shop/**, /docs/**/*.md only")
		repo.CommitSigned(shop, map[string]string{"live/apps/shopping/a.yaml": "2"}, "x")
		no("a similar name", "it changes live/apps/shopping/a.yaml")
		repo.CommitSigned(shop, map[string]string{"live/writ.yaml": "2"}, "x")
		no("the settings", "it changes live/writ.yaml, which needs a key that the node trusts")
		repo.CommitSigned(infra, map[string]string{"docs/y.md": "2"}, "x")
		no("another's scope", "it changes docs/y.md")
		repo.CommitTreeSigned(shop, repo.Git("rev-parse", start+"^{tree}"), "back to the start", adopted)
		no("what others wrote is taken back", "it changes live/infra/b.yaml")

		base := adopted
		side := repo.CommitSigned(shop, map[string]string{"live/apps/shop/a.yaml": "side"}, "side")
		repo.PointBranch("main", base)
		trunk := repo.CommitSigned(ann, map[string]string{"live/infra/a.yaml": "trunk", "live/writ.yaml": "trunk"}, "trunk")
		merged := repo.Git("merge-tree", "--write-tree", trunk, side)
		ok("a merge", repo.CommitTreeSigned(shop, merged, "merge", trunk, side))
		repo.CommitTreeSigned(shop, merged, "merge, the other way", side, trunk)
		if err := m.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "does not descend") {
			t.Errorf("a merge that leaves what is in force: %v", err)
		}
		for what, tree := range map[string]string{"takes one side": repo.Git("rev-parse", side+"^{tree}"), "takes the start": repo.Git("rev-parse", start+"^{tree}")} {
			adopted = base
			repo.CommitTreeSigned(shop, tree, "evil", trunk, side)
			no("a merge "+what, "it changes live/")
		}
		adopted = base
		repo.CommitTreeSigned(shop, merged, "merge of three", trunk, side, start)
		no("a merge of three", "it changes live/")
		adopted = base
		ok("a merge, the other way", repo.CommitTreeSigned(shop, merged, "merge", side, trunk))

		repo.CommitSigned(ann, map[string]string{"@live/writ.yaml": "apps/shop/a.yaml"}, "settings behind a link")
		sync(t, m)
		adopted = next(t, m).Hash
		repo.CommitSigned(shop, map[string]string{"live/apps/shop/a.yaml": "signers: [me]"}, "x")
		no("settings behind a link", "live/writ.yaml is a symbolic link")

		scopes = []signature.Scope{{Path: "../x", Keys: []string{"what"}}}
		repo.CommitSigned(ann, nil, "x")
		if err := m.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), `signers[0]: path "../x" is no pattern`) {
			t.Errorf("scopes that are wrong: %v", err)
		}
	})
}
