package signature

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// allowed is a line of an allowed_signers file.
type allowed struct {
	principals    string // patterns, with commas
	key           ssh.PublicKey
	authority     bool      // key signs the keys of others
	after, before time.Time // zero: no bound
	namespaces    string    // patterns, with commas; empty: every one
}

// readAllowed reads a file in the format of ssh-keygen(1), ALLOWED SIGNERS. A line that is not
// understood is an error: leaving it out could trust more than was meant.
func readAllowed(text string) ([]allowed, error) {
	var all []allowed
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		a, err := parseAllowed(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, a)
	}
	return all, nil
}

func parseAllowed(line string) (allowed, error) {
	principals, rest, ok := cutField(line)
	if !ok {
		return allowed{}, errors.New("no key")
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return allowed{}, fmt.Errorf("no key: %w", err)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return allowed{}, errors.New("a certificate is no key; name its authority")
	}
	a := allowed{principals: principals, key: key}
	for _, o := range options {
		if err := a.option(o); err != nil {
			return allowed{}, err
		}
	}
	if !a.after.IsZero() && !a.before.IsZero() && !a.after.Before(a.before) {
		return allowed{}, errors.New("valid-after is not before valid-before")
	}
	return a, nil
}

// cutField takes the first field, which may be in double quotes.
func cutField(line string) (field, rest string, ok bool) {
	if quoted, is := strings.CutPrefix(line, `"`); is {
		field, rest, ok = strings.Cut(quoted, `"`)
	} else if i := strings.IndexAny(line, " \t"); i > 0 {
		field, rest, ok = line[:i], line[i:], true
	}
	return field, strings.TrimSpace(rest), ok && field != ""
}

func (a *allowed) option(text string) error {
	name, value, _ := strings.Cut(text, "=")
	value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
	var err error
	switch strings.ToLower(name) {
	case "cert-authority":
		a.authority = true
	case "namespaces":
		if a.namespaces = value; value == "" {
			err = errors.New("namespaces is empty")
		}
	case "valid-after":
		a.after, err = parseTime(value)
	case "valid-before":
		a.before, err = parseTime(value)
	default:
		err = fmt.Errorf("option %q is not known", name)
	}
	return err
}

// parseTime reads YYYYMMDD[HHMM[SS]][Z], in local time without Z.
func parseTime(text string) (time.Time, error) {
	digits, utc := strings.CutSuffix(text, "Z")
	where := time.Local
	if utc {
		where = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(layout) == len(digits) {
			return time.ParseInLocation(layout, digits, where)
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: YYYYMMDD[HHMM[SS]][Z]", text)
}

// concerns tells whether the line is about a signature's key or certificate.
func (a allowed) concerns(key ssh.PublicKey) bool {
	cert, ok := key.(*ssh.Certificate)
	if ok != a.authority {
		return false
	}
	if ok {
		return same(a.key, cert.SignatureKey)
	}
	return same(a.key, key)
}

// accepts tells for whom the line stands, or why it does not stand for a key that it is about.
func (a allowed) accepts(key ssh.PublicKey, at time.Time) (string, error) {
	switch {
	case a.namespaces != "" && !matchList(a.namespaces, gitNamespace):
		return "", errors.New("is not trusted for git (its namespaces option)")
	case !a.after.IsZero() && at.Before(a.after):
		return "", fmt.Errorf("is trusted only from %s on", a.after.Format(time.RFC3339))
	case !a.before.IsZero() && !at.Before(a.before):
		return "", fmt.Errorf("was trusted only until %s", a.before.Format(time.RFC3339))
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return a.principals, nil
	}
	if cert.CertType != ssh.UserCert {
		return "", errors.New("has a certificate of a host")
	}
	i := slices.IndexFunc(cert.ValidPrincipals, func(p string) bool { return matchList(a.principals, p) })
	if i < 0 {
		return "", fmt.Errorf("has a certificate for %q, which are not among the trusted principals", cert.ValidPrincipals)
	}
	checker := ssh.CertChecker{Clock: func() time.Time { return at }}
	if err := checker.CheckCert(cert.ValidPrincipals[i], cert); err != nil {
		return "", fmt.Errorf("has a certificate that is not valid: %s", strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return cert.ValidPrincipals[i], nil
}

func same(a, b ssh.PublicKey) bool {
	return a.Type() == b.Type() && bytes.Equal(a.Marshal(), b.Marshal())
}

// matchList matches patterns as ssh_config(5) has them: * and ?, and one with ! refuses.
func matchList(patterns, name string) bool {
	matched := false
	for p := range strings.SplitSeq(patterns, ",") {
		p, not := strings.CutPrefix(strings.TrimSpace(p), "!")
		// In path.Match * stops at a slash, and brackets mean something.
		escaped := strings.NewReplacer(`\`, `\\`, "[", `\[`, "/", "\x00").Replace(p)
		if ok, err := path.Match(escaped, strings.ReplaceAll(name, "/", "\x00")); ok && err == nil {
			if not {
				return false
			}
			matched = true
		}
	}
	return matched
}
