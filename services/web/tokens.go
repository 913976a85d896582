package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

// Bucket is where the copy of agents' tokens is that ingest watches.
type Bucket interface {
	// Entries returns the last entry of every key that was ever used, removed ones included.
	Entries(ctx context.Context, bucket string) ([]bus.Entry, error)
	// PutAt stores a value provided that the key's last change was this revision, 0 for none. Else bus.ErrChanged.
	PutAt(ctx context.Context, bucket, key string, value []byte, revision uint64) error
	Put(ctx context.Context, bucket, key string, value []byte) error
	Remove(ctx context.Context, bucket, key string) error
}

const (
	// tokenPrefix lets people and programs that look for secrets see what it is.
	tokenPrefix = "gmt_"
	// copyEvery is how often the copy is compared with the database.
	copyEvery = time.Minute
	// copyAgain is the same after it could not be.
	copyAgain = time.Second
	copyLimit = 20 * time.Second
	// saidAfter is how often it must fail in a row before the log says so.
	saidAfter = 5
	// tellLimit bounds telling ingest of one change. The comparison tells it else.
	tellLimit = 2 * time.Second
)

// tokenAnswer is a new token. It is shown once: nobody can find it out later.
type tokenAnswer struct {
	ID     int64  `json:"id"`
	Token  string `json:"token"`
	NodeID string `json:"node_id,omitempty"` // the only node it is good for
	Note   string `json:"note,omitempty"`
	// Install is what starts an agent with it.
	Install installLines `json:"install"`
	Detail  string       `json:"detail,omitempty"`
}

type installLines struct {
	Linux   string `json:"linux"`
	Windows string `json:"windows"` // PowerShell
}

// tokening makes a token, for one node or, without a node id, for any.
func (s *Service) tokening(_ context.Context, a ask) (deed, result, bool) {
	text, err := line("note", a.Text, maxName)
	if err != nil {
		return deed{}, badRequest("%v", err), false
	}
	// As ingest takes a node id; it need not have reported yet.
	id := strings.TrimSpace(a.NodeID)
	if utf8.RuneCountInString(id) > contract.MaxNodeIDChars || strings.ContainsFunc(id, unprintable) {
		return deed{}, badRequest("node_id: must be at most %d characters, without control characters", contract.MaxNodeIDChars), false
	}
	return deed{nodeID: id, detail: text, do: func(ctx context.Context, v Viewer) result {
		secret := tokenPrefix + rand.Text()
		t, err := s.Access.AddToken(ctx, nodestore.Token{Hash: access.Hash(secret), NodeID: id, Note: text, By: v.Name})
		if err != nil {
			return s.stored(err)
		}
		made := tokenAnswer{ID: t.ID, Token: secret, NodeID: id, Note: text, Install: installing(a.Base, secret, id)}
		if err := s.tellIngest(ctx, func(ctx context.Context, b Bucket) error {
			return b.PutAt(ctx, contract.TokensBucket, t.Hash, tokenValue(t), 0)
		}); err != nil {
			made.Detail = "it works once NATS answers"
		}
		return result{status: http.StatusCreated, answer: made}
	}}, result{}, true
}

// revoking ends a token for good.
func (s *Service) revoking(_ context.Context, a ask) (deed, result, bool) {
	return deed{detail: fmt.Sprintf("token %d", a.ID), do: func(ctx context.Context, v Viewer) result {
		t, err := s.Access.RevokeToken(ctx, a.ID, v.Name)
		if err != nil {
			return s.stored(err)
		}
		if err := s.tellIngest(ctx, func(ctx context.Context, b Bucket) error {
			return b.Remove(ctx, contract.TokensBucket, t.Hash)
		}); err != nil {
			return result{status: http.StatusAccepted, detail: "revoked; ingest learns of it once NATS answers"}
		}
		return carriedOut
	}}, result{}, true
}

// tellIngest changes the copy. When it cannot, the comparison does it soon.
func (s *Service) tellIngest(ctx context.Context, change func(context.Context, Bucket) error) error {
	if s.Tokens == nil {
		return errors.New("there is no bucket")
	}
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	err := change(ctx, s.Tokens)
	if err != nil {
		s.Log.Warn().Err(err).Msg("ingest could not be told of a token; tried again until it is")
		select {
		case s.copyNow <- struct{}{}:
		default:
		}
	}
	return err
}

func tokenValue(t nodestore.Token) []byte {
	// Texts and numbers can always be encoded.
	value, _ := json.Marshal(contract.Token{V: contract.Version, NodeID: t.NodeID})
	return value
}

// installing is what starts an agent, to be pasted into a shell.
func installing(server, token, nodeID string) installLines {
	sh := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	ps := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	x := installLines{
		Linux:   "sudo env SERVER_URL=" + sh(server) + " SHARED_SECRET=" + sh(token),
		Windows: "$env:SERVER_URL=" + ps(server) + "; $env:SHARED_SECRET=" + ps(token),
	}
	if nodeID != "" {
		x.Linux += " NODE_ID=" + sh(nodeID)
		x.Windows += "; $env:NODE_ID=" + ps(nodeID)
	}
	x.Linux += " ./gensyn-agent install"
	x.Windows += `; .\gensyn-agent.exe install`
	return x
}

// keepTokens compares the copy with the database until ctx ends: at once, then every minute, and soon after a change
// that could not be told.
func (s *Service) keepTokens(ctx context.Context) {
	if s.Tokens == nil || s.Access == nil {
		return
	}
	said, failed := "", 0
	for {
		pause := copyEvery
		err := s.copyTokens(ctx)
		if err != nil {
			pause = copyAgain
			failed++
		} else {
			said, failed = "", 0
		}
		// While all programs start, the database and NATS are missing for a moment.
		if failed >= saidAfter && ctx.Err() == nil {
			if text := err.Error(); text != said {
				said = text
				s.Log.Warn().Err(err).Msg("ingest's copy of the tokens cannot be brought up to date; tried again until it can")
			}
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		case <-s.copyNow:
			wait.Stop()
			// Not at once: what failed a moment ago would fail again.
			select {
			case <-ctx.Done():
				return
			case <-time.After(copyAgain):
			}
		}
	}
}

// copyTokens makes the copy what the database says. Several pages may do so at a time, and tokens be made and revoked
// meanwhile: the copy is read before the database, so what is good there and missing here was never here, or was
// revoked since; and nothing is put over a change that was not seen.
func (s *Service) copyTokens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, copyLimit)
	defer cancel()
	entries, err := s.Tokens.Entries(ctx, contract.TokensBucket)
	if err != nil {
		return err
	}
	all, err := s.Access.Tokens(ctx)
	if err != nil {
		return err
	}
	good := make(map[string]nodestore.Token, len(all))
	for _, t := range all {
		if t.Revoked.IsZero() {
			good[t.Hash] = t
		}
	}
	revisions, complete := make(map[string]uint64), false
	for _, e := range entries {
		t, isGood := good[e.Key]
		switch {
		case e.Key == contract.TokensComplete:
			complete = !e.Removed
		case isGood && !e.Removed && string(e.Value) == string(tokenValue(t)):
			delete(good, e.Key)
		case isGood:
			revisions[e.Key] = e.Revision
		case !e.Removed:
			if err := s.Tokens.Remove(ctx, contract.TokensBucket, e.Key); err != nil {
				return err
			}
		}
	}
	for hash, t := range good {
		err := s.Tokens.PutAt(ctx, contract.TokensBucket, hash, tokenValue(t), revisions[hash])
		if err != nil && !errors.Is(err, bus.ErrChanged) {
			return err
		}
	}
	if complete {
		return nil
	}
	return s.Tokens.Put(ctx, contract.TokensBucket, contract.TokensComplete, []byte("1"))
}

// tokenRow is a token as programs see it: never the token itself.
type tokenRow struct {
	ID        int64  `json:"id"`
	NodeID    string `json:"node_id,omitempty"`
	Note      string `json:"note,omitempty"`
	By        string `json:"by"`
	Created   int64  `json:"created"`           // Unix seconds
	Revoked   int64  `json:"revoked,omitempty"` // Unix seconds
	RevokedBy string `json:"revoked_by,omitempty"`
}

func (s *Service) tokenRows(ctx context.Context) ([]tokenRow, error) {
	if s.Access == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	all, err := s.Access.Tokens(ctx)
	if err != nil {
		s.note(err)
		return nil, err
	}
	out := make([]tokenRow, 0, len(all))
	for _, t := range all {
		r := tokenRow{ID: t.ID, NodeID: t.NodeID, Note: t.Note, By: t.By, Created: t.Created.Unix(), RevokedBy: t.RevokedBy}
		if !t.Revoked.IsZero() {
			r.Revoked = t.Revoked.Unix()
		}
		out = append(out, r)
	}
	return out, nil
}

// getTokens answers the tokens, those that are good first.
func (s *Service) getTokens(w http.ResponseWriter, r *http.Request) {
	rows, err := s.tokenRows(r.Context())
	if err != nil {
		unavailable(w, noDatabase.detail)
		return
	}
	answer(w, http.StatusOK, rows)
}

// postToken makes one: {"node_id":"rig-1","note":"cellar"}; without a node_id for any node.
func (s *Service) postToken(w http.ResponseWriter, r *http.Request) {
	var body struct {
		NodeID string `json:"node_id"`
		Note   string `json:"note"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	reply(w, s.perform(r.Context(), viewer(r), "token", ask{NodeID: body.NodeID, Text: body.Note, Base: s.ingestBase(r)}))
}

// deleteToken revokes one.
func (s *Service) deleteToken(w http.ResponseWriter, r *http.Request) { s.byID(w, r, "revoke") }

// ingestBase is where agents reach ingest.
func (s *Service) ingestBase(r *http.Request) string {
	switch {
	case s.IngestURL != "":
		return strings.TrimRight(s.IngestURL, "/")
	case s.AgentHint:
		return s.base(r)
	}
	return language(r).IngestAddress
}

// tokensData is the page of tokens.
type tokensData struct {
	accessFrame
	Tokens []tokenPageRow
	New    *tokenAnswer // the one just made
}

type tokenPageRow struct {
	tokenRow
	CreatedAt, RevokedAt string
}

// getTokensPage shows the tokens.
func (s *Service) getTokensPage(w http.ResponseWriter, r *http.Request) {
	s.tokensPage(w, r, http.StatusOK, nil)
}

// showToken shows the new token. The answer to a form, and no address to come back to: it is shown once.
func (s *Service) showToken(w http.ResponseWriter, r *http.Request, made tokenAnswer) {
	s.tokensPage(w, r, http.StatusCreated, &made)
}

func (s *Service) tokensPage(w http.ResponseWriter, r *http.Request, status int, made *tokenAnswer) {
	rows, err := s.tokenRows(r.Context())
	if err != nil && made == nil {
		s.refused(w, r, noDatabase, "tokens")
		return
	}
	d := tokensData{accessFrame: s.accessFrame(r, "tokens", accessWordsFor(r).Tokens), New: made}
	at := func(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04 UTC") }
	for _, t := range rows {
		row := tokenPageRow{tokenRow: t, CreatedAt: at(t.Created)}
		if t.Revoked != 0 {
			row.RevokedAt = at(t.Revoked)
		}
		d.Tokens = append(d.Tokens, row)
	}
	s.accessPage(w, status, "tokens.html", d)
}
