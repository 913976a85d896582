// Package clientaddr finds the address that a request came from, also behind proxies.
package clientaddr

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are believed, given as a list of addresses and
// networks separated by commas.
type Proxies []netip.Prefix

// UnmarshalText reads the list. An empty one is allowed.
func (p *Proxies) UnmarshalText(text []byte) error {
	var out Proxies
	for one := range strings.SplitSeq(string(text), ",") {
		one = strings.TrimSpace(one)
		if one == "" {
			continue
		}
		prefix, err := parseNetwork(one)
		if err != nil {
			return err
		}
		out = append(out, prefix)
	}
	*p = out
	return nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("network: %w", err)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("address: %w", err)
	}
	a = plain(a)
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// Of is the address of the client: the connection's, or, as long as that is a trusted proxy's, the one that the
// proxy names. X-Forwarded-For is read from its right end, because its left end is whatever the client wrote.
func (p Proxies) Of(r *http.Request) netip.Addr {
	return p.Client(parseHop(r.RemoteAddr), func() []string { return r.Header.Values(ForwardedFor) })
}

// ForwardedFor is the header that names the client of a proxy.
const ForwardedFor = "X-Forwarded-For"

// Client is Of where the request is not net/http's: peer is the connection's address, forwarded all values of the
// header ForwardedFor.
func (p Proxies) Client(peer netip.Addr, forwarded func() []string) netip.Addr {
	a := plain(peer)
	if !p.trusts(a) {
		return a
	}
	hops := strings.Split(strings.Join(forwarded(), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(a); i-- {
		hop := parseHop(hops[i])
		if !hop.IsValid() {
			break
		}
		a = hop
	}
	return a
}

// HTTPS reports whether the client speaks HTTPS: with this server, or with a trusted proxy that says so.
func (p Proxies) HTTPS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	return p.trusts(parseHop(r.RemoteAddr)) && strings.EqualFold(strings.TrimSpace(r.Header.Get("X-Forwarded-Proto")), "https")
}

func (p Proxies) trusts(a netip.Addr) bool {
	for _, n := range p {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// parseHop reads an address with or without a port. The zero Addr means that it is neither.
func parseHop(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return plain(ap.Addr())
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return plain(a)
}

// plain is an address in the one way that it is written here.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Origin is what attempts of a client are counted by: an IPv6 client owns all addresses of its /64.
func Origin(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
