package web

import (
	"net/netip"
	"regexp"
	"strings"
)

// hidden stands where an address was.
const hidden = "…"

var (
	// addressLike finds what may be an IP address, with or without a port.
	addressLike = regexp.MustCompile(`\[?[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]*(%[0-9A-Za-z]+)?\]?(:[0-9]+)?`)
	// dotted finds IPv4 addresses that stick to something else, such as d:10.0.0.5.
	dotted = regexp.MustCompile(`[0-9]{1,3}(\.[0-9]{1,3}){3}`)
)

// hideAddresses takes the IP addresses out of a text, but for those of the machine itself: they are everybody's.
func hideAddresses(text string) string {
	if !strings.ContainsAny(text, ".:") {
		return text
	}
	return dotted.ReplaceAllStringFunc(addressLike.ReplaceAllStringFunc(text, hideWord), hideWord)
}

func hideWord(word string) string {
	// The end of a sentence is no part of it.
	core := strings.TrimRight(word, ":.")
	if strings.HasSuffix(word, "::") && !strings.HasSuffix(word, ":::") {
		core = strings.TrimRight(word, ":.") + "::"
	}
	a, ok := addressIn(core)
	if !ok || a.IsLoopback() || a.IsUnspecified() {
		return word
	}
	return hidden + word[len(core):]
}

func addressIn(word string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(word); err == nil {
		return ap.Addr().Unmap(), true
	}
	a, err := netip.ParseAddr(strings.Trim(word, "[]"))
	return a.Unmap(), err == nil
}
