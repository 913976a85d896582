package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// door decides who may report.
type door struct {
	secret [sha256.Size]byte // of the digest: all comparisons have one length
}

func newDoor(secret settings.Secret) door {
	return door{secret: sha256.Sum256([]byte(secret.Reveal()))}
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
