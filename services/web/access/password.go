// Package access decides who is who at the page: passwords, attempts, sessions, and an OpenID provider's word.
package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// The largest parameters that an argon2id hash may ask for: a check must not take all memory, nor minutes.
const (
	maxArgonMemory = 1 << 20 // KiB
	maxArgonTime   = 100
)

// Password is what a password is compared with: the password itself, or a bcrypt or argon2id hash of it.
type Password struct {
	check func(given string) bool
	proof func(username string) string
}

// ParsePassword reads a configured password. One that begins like a hash ($2a$, $2b$, $2y$, $argon2) is a hash, and
// must be a whole one. The error does not show it.
func ParsePassword(s settings.Secret) (Password, error) {
	text := s.Reveal()
	p, hashed := Password{}, true
	switch {
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		if _, err := bcrypt.Cost([]byte(text)); err != nil || len(text) != bcryptLength {
			return p, errors.New("is no whole bcrypt hash")
		}
		p.check = func(given string) bool { return bcrypt.CompareHashAndPassword([]byte(text), []byte(given)) == nil }
	case strings.HasPrefix(text, "$argon2"):
		h, err := parseArgon(text)
		if err != nil {
			return p, err
		}
		p.check = h.matches
	default:
		hashed = false
		p.check = func(given string) bool { return Same(given, s) }
	}
	p.proof = proofOf(text, hashed)
	return p, nil
}

// bcryptLength is that of every bcrypt hash. The library reads longer ones, too, and ignores their end.
const bcryptLength = 60

// Matches reports whether it is the password. With a hash it takes a while, on purpose.
func (p Password) Matches(given string) bool { return p.check != nil && p.check(given) }

// Proof is a text that is the same as long as user name and password are, and tells neither.
func (p Password) Proof(username string) string { return p.proof(username) }

// proofOf derives proofs: of a password slowly, so that who can read the database cannot try passwords quickly, and only
// once for each user name; of a hash quickly.
func proofOf(text string, hashed bool) func(username string) string {
	var mu sync.Mutex
	known := make(map[string]string)
	return func(username string) string {
		mu.Lock()
		defer mu.Unlock()
		if p, ok := known[username]; ok {
			return p
		}
		salt := sha256.Sum256([]byte("gensyn-monitor session\x00" + username))
		if hashed {
			sum := sha256.Sum256(append(salt[:], text...))
			return hex.EncodeToString(sum[:16])
		}
		known[username] = hex.EncodeToString(argon2.IDKey([]byte(text), salt[:], 2, 19<<10, 1, 16))
		return known[username]
	}
}

// Same compares in a time that depends on neither content nor length.
func Same(given string, want settings.Secret) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// argon is an argon2id hash.
type argon struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

var errArgon = errors.New("is no argon2id hash like $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>")

// parseArgon reads the usual text of a hash.
func parseArgon(text string) (argon, error) {
	var h argon
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errArgon
	}
	// Sscanf ignores what follows the last verb.
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.threads) {
		return h, errArgon
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return h, errArgon
	}
	if h.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return h, errArgon
	}
	switch {
	case len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 128 || h.threads < 1 || h.time < 1:
		return h, errArgon
	case h.memory > maxArgonMemory || h.time > maxArgonTime:
		return h, fmt.Errorf("asks for too much: m at most %d, t at most %d", maxArgonMemory, maxArgonTime)
	}
	return h, nil
}

func (h argon) matches(given string) bool {
	key := argon2.IDKey([]byte(given), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// The parameters of new hashes: what OWASP asks for at least, so that a small machine can check one in tenths of a second.
const (
	newMemory = 19 << 10 // KiB
	newTime   = 2
	newSalt   = 16 // bytes
	newKey    = 32 // bytes
)

// HashPassword returns an argon2id hash of a password, as ParsePassword reads it. Each time it is another one.
func HashPassword(password string) string {
	salt := make([]byte, newSalt)
	_, _ = rand.Read(salt) // it never fails
	key := argon2.IDKey([]byte(password), salt, newTime, newMemory, 1, newKey)
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, newMemory, newTime, text.EncodeToString(salt), text.EncodeToString(key))
}
