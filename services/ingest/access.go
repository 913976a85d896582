package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// door decides who may report, and finds out where a request came from.
type door struct {
	secret  [sha256.Size]byte // of the digest: all comparisons have one length
	proxies []netip.Prefix
}

func newDoor(secret settings.Secret, proxies []netip.Prefix) door {
	return door{secret: sha256.Sum256([]byte(secret.Reveal())), proxies: proxies}
}

// admits reports whether an Authorization header carries the secret: two words, the first "bearer" in any case.
func (d *door) admits(authorization string) bool {
	words := strings.Fields(authorization)
	if len(words) != 2 || !strings.EqualFold(words[0], "bearer") {
		return false
	}
	given := sha256.Sum256([]byte(words[1]))
	return subtle.ConstantTimeCompare(given[:], d.secret[:]) == 1
}

// peer is the address of the client: the connection's, or, as long as that is a trusted proxy's, the one that the
// proxy names. X-Forwarded-For is read from its right end, because its left end is whatever the client wrote.
func (d *door) peer(r *http.Request) netip.Addr {
	a := parseHop(r.RemoteAddr)
	if !d.trusts(a) {
		return a
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && d.trusts(a); i-- {
		hop := parseHop(hops[i])
		if !hop.IsValid() {
			break
		}
		a = hop
	}
	return a
}

func (d *door) trusts(a netip.Addr) bool {
	for _, p := range d.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseHop reads an address with or without a port. The zero Addr means that it is neither.
func parseHop(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// origin is what failed authentications are counted by: an IPv6 client owns all addresses of its /64.
func origin(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
