package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	// SessionLife is how long a session lasts at most.
	SessionLife = 30 * 24 * time.Hour
	// SessionIdle is how long it lasts without being used.
	SessionIdle = 7 * 24 * time.Hour
	// seenEvery is how often its use is recorded.
	seenEvery = time.Hour
)

// cookieLength is that of rand.Text. What is longer or shorter is none of ours, and is not looked for.
const cookieLength = 26

// Sessions are in the database, so that any replica of the page knows them.
type Sessions struct {
	Store nodestore.Access
	Now   func() time.Time
}

// Start begins a session and returns what the browser is to hold. Name, Via, Proof and Address are those of s.
func (x Sessions) Start(ctx context.Context, s nodestore.Session) (cookie string, err error) {
	cookie = rand.Text()
	s.Created = x.Now().UTC().Round(0)
	s.Hash, s.Seen, s.Until = Hash(cookie), s.Created, s.Created.Add(SessionIdle)
	return cookie, x.Store.AddSession(ctx, s)
}

// Find returns the session of a cookie. nodestore.ErrNotFound when there is none, or when it is over.
func (x Sessions) Find(ctx context.Context, cookie string) (nodestore.Session, error) {
	if len(cookie) != cookieLength {
		return nodestore.Session{}, nodestore.ErrNotFound
	}
	now := x.Now()
	s, err := x.Store.Session(ctx, Hash(cookie), now)
	if err != nil || now.Sub(s.Seen) < seenEvery {
		return s, err
	}
	until := now.Add(SessionIdle)
	if last := s.Created.Add(SessionLife); until.After(last) {
		until = last
	}
	// It is found, whether this can be recorded or not.
	_ = x.Store.SeeSession(ctx, s.Hash, now, until)
	return s, nil
}

// End ends the session of a cookie, if there is one.
func (x Sessions) End(ctx context.Context, cookie string) error {
	if len(cookie) != cookieLength {
		return nil
	}
	return x.Store.EndSession(ctx, Hash(cookie))
}

// Hash is what is stored of a secret that is random and long: SHA-256, in hexadecimal digits.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
