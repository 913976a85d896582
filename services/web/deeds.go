package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// The longest texts that people write, in characters.
const (
	maxName = 64
	maxNote = 2000
)

// maxSilence is the longest silence: one that is for ever is forgotten.
const maxSilence = 90 * 24 * time.Hour

// ask is what somebody wants done. Only the fields of its kind count.
type ask struct {
	NodeID string
	Name   string // name: "" removes it
	// ThresholdSec is in seconds; 0 returns to the default.
	ThresholdSec float64
	Text         string // note: "" removes it; silence and token: what it is for
	Scope, Value string // silence: of nodestore
	Until        time.Time
	ID           int64  // unsilence, revoke
	Base         string // token: where agents reach ingest
}

// deeds are what people can do, by the kind that the audit log knows. Each checks what is asked and prepares it: ok says
// that there is something to do, else why says why not.
var deeds = map[string]func(s *Service, ctx context.Context, a ask) (d deed, why result, ok bool){
	"delete":      (*Service).deletion,
	"name":        (*Service).naming,
	"threshold":   (*Service).thresholding,
	"silence":     (*Service).silencing,
	"unsilence":   (*Service).unsilencing,
	"acknowledge": (*Service).acknowledging,
	"note":        (*Service).noting,
	"token":       (*Service).tokening,
	"revoke":      (*Service).revoking,
}

// perform does what a viewer asks for.
func (s *Service) perform(ctx context.Context, v Viewer, kind string, a ask) result {
	prepare, known := deeds[kind]
	if !known {
		return result{status: http.StatusNotFound, detail: "there is no such action"}
	}
	d, why, ok := prepare(s, ctx, a)
	if !ok {
		return why
	}
	d.kind = kind
	x := s.act(ctx, v, d)
	if x.ok() {
		s.forget()
		s.hub.reset() // no event tells of it, and open pages show it at once
	}
	return x
}

// ofNode prepares a deed about a node that must be there.
func (s *Service) ofNode(ctx context.Context, id string, prepare func(n *node.Node) (deed, result, bool)) (deed, result, bool) {
	n, err := s.find(ctx, id)
	switch {
	case err != nil:
		return deed{}, noDatabase, false
	case n == nil:
		return deed{}, noSuchNode, false
	}
	d, why, ok := prepare(n)
	d.nodeID = id
	return d, why, ok
}

func (s *Service) commanding(c contract.Command, text string) deed {
	return deed{detail: text, do: func(ctx context.Context, v Viewer) result {
		c.By = v.Name
		return s.command(ctx, c)
	}}
}

func (s *Service) deletion(ctx context.Context, a ask) (deed, result, bool) {
	return s.ofNode(ctx, a.NodeID, func(*node.Node) (deed, result, bool) {
		return s.commanding(contract.Command{Kind: contract.CommandDelete, NodeID: a.NodeID}, ""), result{}, true
	})
}

func (s *Service) naming(ctx context.Context, a ask) (deed, result, bool) {
	name, err := line("name", a.Name, maxName)
	if err != nil {
		return deed{}, badRequest("%v", err), false
	}
	return s.ofNode(ctx, a.NodeID, func(*node.Node) (deed, result, bool) {
		return s.commanding(contract.Command{Kind: contract.CommandName, NodeID: a.NodeID, Name: name}, name), result{}, true
	})
}

func (s *Service) thresholding(ctx context.Context, a ask) (deed, result, bool) {
	// The comparison is in seconds: a huge number would not fit into a duration.
	if !(a.ThresholdSec >= 0 && a.ThresholdSec <= node.MaxThreshold.Seconds()) {
		return deed{}, badRequest("threshold_sec: must be from 0 to %.0f", node.MaxThreshold.Seconds()), false
	}
	rctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	status, err := s.Store.Status(rctx, s.Partition)
	if err != nil {
		s.note(err)
		return deed{}, noDatabase, false
	}
	threshold := time.Duration(a.ThresholdSec * float64(time.Second))
	if err := node.CheckThreshold(threshold, status.Clock.Settings); err != nil {
		return deed{}, badRequest("threshold_sec: %v", err), false
	}
	return s.ofNode(ctx, a.NodeID, func(*node.Node) (deed, result, bool) {
		c := contract.Command{Kind: contract.CommandThreshold, NodeID: a.NodeID, ThresholdSec: a.ThresholdSec}
		return s.commanding(c, strconv.FormatFloat(a.ThresholdSec, 'f', -1, 64)+" s"), result{}, true
	})
}

func (s *Service) silencing(ctx context.Context, a ask) (deed, result, bool) {
	now := s.Now().UTC()
	text, err := line("note", a.Text, maxNote)
	switch {
	case err != nil:
		return deed{}, badRequest("%v", err), false
	case !a.Until.After(now) || a.Until.After(now.Add(maxSilence)):
		return deed{}, badRequest("a silence must last longer than nothing and at most %d days", maxSilence/(24*time.Hour)), false
	case s.Quieting == nil:
		return deed{}, result{status: http.StatusServiceUnavailable, detail: "alerts cannot be silenced now"}, false
	}
	x := nodestore.Silence{Scope: a.Scope, Value: strings.TrimSpace(a.Value), Note: text, From: now, Until: a.Until}
	prepare := func() (deed, result, bool) {
		what := strings.TrimSpace(x.Scope + " " + x.Value)
		return deed{detail: what + " until " + x.Until.Format(time.RFC3339), do: func(ctx context.Context, v Viewer) result {
			x.By = v.Name
			stored, err := s.Quieting.AddSilence(ctx, x)
			if err != nil {
				return s.stored(err)
			}
			return result{status: http.StatusCreated, answer: newSilence(stored)}
		}}, result{}, true
	}
	switch x.Scope {
	case nodestore.ScopeNode:
		x.Value = a.Value // an id is what it is
		return s.ofNode(ctx, x.Value, func(*node.Node) (deed, result, bool) { return prepare() })
	case nodestore.ScopeLabel:
		if k, v, found := strings.Cut(x.Value, "="); !found || k == "" || v == "" || utf8.RuneCountInString(x.Value) > maxSearch {
			return deed{}, badRequest("value: must be a label like dc=home"), false
		}
		return prepare()
	case nodestore.ScopeAll:
		x.Value = ""
		return prepare()
	}
	return deed{}, badRequest("scope: must be node, label or all"), false
}

// silenceAnswer is a silence as programs see it.
type silenceAnswer struct {
	ID    int64  `json:"id"`
	Scope string `json:"scope"`
	Value string `json:"value,omitempty"`
	By    string `json:"by"`
	Note  string `json:"note,omitempty"`
	From  string `json:"from"`
	Until string `json:"until"`
}

func newSilence(x nodestore.Silence) silenceAnswer {
	return silenceAnswer{
		ID: x.ID, Scope: x.Scope, Value: x.Value, By: x.By, Note: x.Note,
		From: x.From.UTC().Format(time.RFC3339), Until: x.Until.UTC().Format(time.RFC3339),
	}
}

func (s *Service) unsilencing(_ context.Context, a ask) (deed, result, bool) {
	if s.Quieting == nil {
		return deed{}, result{status: http.StatusServiceUnavailable, detail: "alerts cannot be silenced now"}, false
	}
	return deed{detail: fmt.Sprintf("silence %d", a.ID), do: func(ctx context.Context, v Viewer) result {
		return s.stored(s.Quieting.EndSilence(ctx, a.ID, v.Name))
	}}, result{}, true
}

func (s *Service) acknowledging(ctx context.Context, a ask) (deed, result, bool) {
	if s.Quieting == nil {
		return deed{}, result{status: http.StatusServiceUnavailable, detail: "incidents cannot be acknowledged now"}, false
	}
	return s.ofNode(ctx, a.NodeID, func(n *node.Node) (deed, result, bool) {
		if n.Incident == 0 {
			return deed{}, result{status: http.StatusConflict, detail: "this node has no incident now"}, false
		}
		return deed{detail: "since " + n.Incident.Time().Format(time.RFC3339), do: func(ctx context.Context, v Viewer) result {
			first, err := s.Quieting.Acknowledge(ctx, a.NodeID, n.Incident, v.Name)
			if err != nil {
				return s.stored(err)
			}
			return result{status: http.StatusOK, answer: acknowledgementAnswer{true, first.By, first.At.Format(time.RFC3339)}}
		}}, result{}, true
	})
}

// acknowledgementAnswer says who takes care of an incident: the first who said so.
type acknowledgementAnswer struct {
	OK bool   `json:"ok"`
	By string `json:"by"`
	At string `json:"at"`
}

func (s *Service) noting(ctx context.Context, a ask) (deed, result, bool) {
	text := strings.TrimSpace(strings.ReplaceAll(a.Text, "\r\n", "\n"))
	if utf8.RuneCountInString(text) > maxNote {
		return deed{}, badRequest("note: must be at most %d characters", maxNote), false
	}
	return s.ofNode(ctx, a.NodeID, func(*node.Node) (deed, result, bool) {
		return deed{detail: text, do: func(ctx context.Context, v Viewer) result {
			return s.stored(s.Access.SetNote(ctx, nodestore.Note{NodeID: a.NodeID, Text: text, By: v.Name}))
		}}, result{}, true
	})
}

// line is a text of one line.
func line(name, text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case utf8.RuneCountInString(text) > most:
		return "", fmt.Errorf("%s: must be at most %d characters", name, most)
	case strings.ContainsFunc(text, unprintable):
		return "", fmt.Errorf("%s: must be without line ends and control characters", name)
	}
	return text, nil
}

// unprintable runes have no place in a line of text: controls, line separators, and marks that turn the direction of
// what follows, with which one name could make others read differently.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}
