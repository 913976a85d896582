package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// What may become of an action, as the audit log keeps it. A failed one says why.
const (
	outcomeDone     = "done"
	outcomeAccepted = "accepted" // it will be carried out
	outcomeFailed   = "failed: "
)

// action is a line of the audit log.
func (v Viewer) action(kind, nodeID, text string) nodestore.Action {
	a := nodestore.Action{By: v.Name, Via: v.Via, Kind: kind, NodeID: nodeID, Detail: text}
	if v.Address.IsValid() {
		a.Address = v.Address.String()
	}
	return a
}

func done(a nodestore.Action) nodestore.Action {
	a.Outcome = outcomeDone
	return a
}

// result is what became of a request to act.
type result struct {
	status int    // as of HTTP
	detail string // why not, or what is still to come; "" when it is done
	answer any    // what a program gets; nil for ok and detail
}

func (x result) ok() bool { return x.status < 300 }

var (
	carriedOut = result{status: http.StatusOK}
	noDatabase = result{status: http.StatusServiceUnavailable, detail: "the database does not answer"}
	noSuchNode = result{status: http.StatusNotFound, detail: "no such node"}
)

func badRequest(format string, args ...any) result {
	return result{status: http.StatusBadRequest, detail: fmt.Sprintf(format, args...)}
}

// deed is what is to be done, checked and ready.
type deed struct {
	kind, nodeID, detail string // for the audit log
	do                   func(ctx context.Context, v Viewer) result
}

// act does a deed. It stands in the audit log before it is begun, so nothing is ever done without a record; what became
// of it is added afterwards, and missing only when the program died in between.
func (s *Service) act(ctx context.Context, v Viewer, d deed) result {
	if s.Access == nil {
		return result{status: http.StatusServiceUnavailable, detail: "nobody can act here now"}
	}
	// Who began it may leave: it goes on, and so does its record.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actLimit)
	defer cancel()
	id, err := s.Access.BeginAction(ctx, v.action(d.kind, d.nodeID, d.detail))
	if err != nil {
		s.note(err)
		return noDatabase
	}
	x := d.do(ctx, v)
	outcome := outcomeDone
	switch {
	case x.status == http.StatusAccepted:
		outcome = outcomeAccepted
	case !x.ok():
		outcome = outcomeFailed + x.detail
	}
	if err := s.Access.EndAction(ctx, id, outcome); err != nil {
		s.Log.Warn().Err(err).Int64("action", id).Str("outcome", outcome).Msg("the audit log lacks the outcome of an action")
	}
	s.Log.Info().Str("action", d.kind).Str("node_id", d.nodeID).Str("by", v.Name).Stringer("address", v.Address).
		Str("outcome", outcome).Msg("action")
	return x
}

// actLimit bounds an action: publishing a command, waiting for it, and what is written around it.
const actLimit = publishLimit + commandLimit + 2*readLimit

// stored turns an error of the store into a result.
func (s *Service) stored(err error) result {
	switch {
	case err == nil:
		return carriedOut
	case errors.Is(err, nodestore.ErrNotFound):
		return result{status: http.StatusNotFound, detail: "there is no such thing, or it is over"}
	}
	s.note(err)
	return noDatabase
}

// reply answers a program.
func reply(w http.ResponseWriter, x result) {
	if x.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	switch {
	case !x.ok():
		detail(w, x.status, x.detail)
	case x.answer != nil:
		answer(w, x.status, x.answer)
	default:
		answer(w, x.status, okAnswer{OK: true, Detail: x.detail})
	}
}

type okAnswer struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// maxBody bounds what programs send to act, in bytes.
const maxBody = 64 << 10

// readJSON reads the body of a program's request. Unknown fields are errors: one that is misspelt would change nothing
// and say nothing.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		detail(w, http.StatusBadRequest, "the body must be a JSON object: "+err.Error())
		return false
	}
	return true
}

// until reads how long something is to last: minutes, or a time.
func until(now time.Time, minutes float64, at string) (time.Time, error) {
	switch {
	case at != "" && minutes != 0:
		return time.Time{}, errors.New("minutes and until cannot both be set")
	case at != "":
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return t, errors.New("until: must be a time like 2026-03-01T12:00:00Z")
		}
		return t.UTC(), nil
	}
	return now.Add(time.Duration(minutes * float64(time.Minute))).UTC(), nil
}
