package dns

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxSources is how many clients are told apart; the least recent is forgotten first.
const maxSources = 4096

// limiter bounds what one client may ask. It is safe for concurrent use.
type limiter struct {
	perSecond int // 0: no bound
	sources   *lru.Cache[netip.Addr, *rate.Limiter]
}

func newLimiter(perSecond int) (*limiter, error) {
	sources, err := lru.New[netip.Addr, *rate.Limiter](maxSources)
	return &limiter{perSecond: perSecond, sources: sources}, err
}

// allow says whether a client may ask another question now.
func (l *limiter) allow(source netip.Addr, now time.Time) bool {
	if l.perSecond == 0 {
		return true
	}
	bucket, ok := l.sources.Get(source)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)
		if there, was, _ := l.sources.PeekOrAdd(source, bucket); was {
			bucket = there
		}
	}
	return bucket.AllowN(now, 1)
}
