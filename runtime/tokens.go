package runtime

import (
	"errors"
	"fmt"
	"time"

	"writ/runtime/token"
)

// tokenRetry is how soon a token is tried again that could not be made when the old one had
// a fifth of its life left.
const tokenRetry = 10 * time.Second

// tokenKey is what the tokens of one Pod differ in.
type tokenKey struct {
	audience string
	seconds  int64
}

// token gives the Pod's token for an audience: the one that it has, as long as that is fresh.
func (w *worker) token(audience string, seconds int64) ([]byte, error) {
	now, key := time.Now(), tokenKey{audience, seconds}
	if t := w.tokens[key]; now.Before(t.Refresh) {
		return []byte(t.Text), nil
	}
	t, err := w.issue(audience, seconds, now)
	if err != nil {
		return nil, fmt.Errorf("failed to fetch token: %w", err)
	}
	if w.tokens == nil {
		w.tokens = map[tokenKey]token.Token{}
	}
	w.tokens[key] = t
	return []byte(t.Text), nil
}

func (w *worker) issue(audience string, seconds int64, now time.Time) (token.Token, error) {
	if w.r.cfg.Tokens == nil {
		return token.Token{}, errors.New("this node issues no tokens")
	}
	pod, view := w.desired.Pod, w.r.view()
	name := pod.Spec.ServiceAccountName
	account := view.ServiceAccount(w.ref.Namespace, name)
	if account == nil {
		return token.Token{}, fmt.Errorf("serviceaccounts %q not found", name)
	}
	node := token.Object{Name: string(w.r.cfg.Node)}
	if n := view.Node(); n != nil {
		node.UID = string(n.UID)
	}
	return w.r.cfg.Tokens.Issue(token.Request{
		Namespace: w.ref.Namespace, Account: token.Object{Name: name, UID: string(account.UID)},
		Pod: token.Object{Name: pod.Name, UID: string(w.uid)}, Node: node,
		Issuer: Issuer(w.domain()), Audience: audience, Seconds: seconds,
	}, now)
}

// Issuer is the address that the tokens of a cluster name: its API's.
func Issuer(domain string) string { return "https://kubernetes.default.svc." + domain }

// refreshAt is when the first of the Pod's tokens is to be made anew.
func (w *worker) refreshAt(now time.Time) time.Time {
	var at time.Time
	for _, t := range w.tokens {
		if at.IsZero() || t.Refresh.Before(at) {
			at = t.Refresh
		}
	}
	if !at.IsZero() && !now.Before(at) {
		return now.Add(tokenRetry)
	}
	return at
}
