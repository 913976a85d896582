package nodestore

import (
	"context"
	"time"
)

// Session is somebody signed in at the page. What the browser holds is never stored, only its hash.
type Session struct {
	Hash string // SHA-256 of the cookie, 64 hexadecimal digits
	Name string // who
	Via  string // how they signed in: password or oidc
	// Proof changes with what they signed in with, such as the configured password: a session of another is over.
	Proof   string
	Address string // where they signed in from
	Created time.Time
	Seen    time.Time // last used, to about an hour
	Until   time.Time // when it is over, not included
}

// Token lets agents report, of one node or of any. The token itself is never stored, only its hash.
type Token struct {
	ID        int64
	Hash      string // SHA-256 of the token, 64 hexadecimal digits
	NodeID    string // the only node it is good for; "" for any
	Note      string // what people wrote about it
	By        string
	Created   time.Time
	Revoked   time.Time // zero while it is good
	RevokedBy string
}

// Note is what people wrote about a node.
type Note struct {
	NodeID string
	Text   string
	By     string
	At     time.Time
}

// Action is what somebody did at the page, or tried to: one line of the audit log.
type Action struct {
	ID      int64
	At      time.Time // when it was begun
	By      string
	Via     string // how they proved who they are: password, oidc, basic, token; "" for nobody
	Address string // where they came from
	Kind    string // sign_in, sign_out, delete, name, threshold, silence, …
	NodeID  string // "" when it is about no node
	Detail  string // what else there is to say, no secrets
	Outcome string // done, accepted, failed: and why; "" while it is not known
}

// ActionQuery selects actions. The zero value selects all.
type ActionQuery struct {
	NodeID string // of this node alone
	Before int64  // ids smaller than this; 0 for all
	Limit  int    // at most so many; 0 for all
}

// Access is what the page keeps of people and of agents' tokens.
type Access interface {
	// AddSession stores a session.
	AddSession(ctx context.Context, s Session) error
	// Session returns a session. ErrNotFound when there is none, when it is over by the given time, or when it was
	// ended.
	Session(ctx context.Context, hash string, now time.Time) (Session, error)
	// SeeSession records when a session was last used, and until when it lasts. No error when there is none.
	SeeSession(ctx context.Context, hash string, seen, until time.Time) error
	// EndSession ends a session. No error when there is none.
	EndSession(ctx context.Context, hash string) error

	// AddToken stores a token and returns it with its ID and the database's time.
	AddToken(ctx context.Context, t Token) (Token, error)
	// RevokeToken ends a token for good, and returns it. One that was revoked before stays as it is: no error.
	// ErrNotFound when there is none.
	RevokeToken(ctx context.Context, id int64, by string) (Token, error)
	// Tokens returns all tokens, those that are good first, then the newest.
	Tokens(ctx context.Context) ([]Token, error)

	// SetNote replaces the note about a node; an empty text removes it.
	SetNote(ctx context.Context, n Note) error
	// Notes returns the notes about the nodes, by node.
	Notes(ctx context.Context, nodeIDs []string) (map[string]Note, error)

	// BeginAction stores an action by the database's time and returns its ID.
	BeginAction(ctx context.Context, a Action) (int64, error)
	// EndAction records what became of it.
	EndAction(ctx context.Context, id int64, outcome string) error
	// Actions returns the newest actions, newest first.
	Actions(ctx context.Context, q ActionQuery) ([]Action, error)

	// PruneAccess deletes sessions that are over by the given time, and actions and revoked tokens older than age by the
	// database's clock; 0 keeps those.
	PruneAccess(ctx context.Context, now time.Time, age time.Duration) error
}
