package access

import (
	"errors"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// Allowed are the e-mail addresses and domains of who may sign in, given as a list like ann@example.org,@example.com
// separated by commas.
type Allowed []string

// UnmarshalText reads the list. An empty one is allowed.
func (a *Allowed) UnmarshalText(text []byte) error {
	var out Allowed
	for one := range strings.SplitSeq(string(text), ",") {
		one = strings.ToLower(strings.TrimSpace(one))
		if one == "" {
			continue
		}
		_, domain, found := strings.Cut(one, "@")
		if !found || domain == "" || strings.Contains(domain, "@") {
			return errors.New("neither an e-mail address nor a domain with @ before it")
		}
		out = append(out, one)
	}
	*a = out
	return nil
}

// Has reports whether somebody with the address may sign in.
func (a Allowed) Has(email string) bool {
	email = strings.ToLower(email)
	at := strings.LastIndexByte(email, '@')
	if at <= 0 {
		return false
	}
	for _, one := range a {
		if one == email || one == email[at:] {
			return true
		}
	}
	return false
}

// OIDC says which OpenID provider is asked who somebody is. The zero value asks none.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret settings.Secret
	Allowed      Allowed
}
