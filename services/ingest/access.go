package ingest

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// door decides who may report.
type door struct {
	secret [sha256.Size]byte // of the digest: all comparisons have one length
	tokens *tokens           // nil for none
}

func newDoor(secret settings.Secret, t *tokens) door {
	return door{secret: sha256.Sum256([]byte(secret.Reveal())), tokens: t}
}

// grant says whom a bearer token lets in.
type grant int

const (
	stranger grant = iota
	unsure         // not known yet: the tokens are not all there
	anyNode
	oneNode // the one that comes with it
)

// admits looks at an Authorization header: two words, the first "bearer" in any case. node is the only one that may be
// reported, with oneNode.
func (d *door) admits(authorization []byte) (g grant, node string) {
	var words [2][]byte
	n := 0
	for word := range bytes.FieldsSeq(authorization) { // each request is judged: no slice is made of them
		if n == len(words) {
			return stranger, ""
		}
		words[n] = word
		n++
	}
	if n != len(words) || !bytes.EqualFold(words[0], bearerScheme) {
		return stranger, ""
	}
	given := sha256.Sum256(words[1])
	if subtle.ConstantTimeCompare(given[:], d.secret[:]) == 1 {
		return anyNode, ""
	}
	if d.tokens == nil {
		return stranger, ""
	}
	return d.tokens.find(given)
}

var bearerScheme = []byte("bearer")
