package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/plain"
)

// InvalidError says what is wrong with a body, in words for whoever runs the agent.
type InvalidError struct{ Detail string }

func (e *InvalidError) Error() string { return e.Detail }

func invalid(format string, args ...any) error {
	return &InvalidError{Detail: fmt.Sprintf(format, args...)}
}

// maxWordBytes bounds the short texts that contract sets no limit for: status, boot_id, and the agent's.
const maxWordBytes = 64

// maxKnown is how many members a heartbeat of a current agent has at most.
const maxKnown = 16

// rooms are for the members of one object each: they are kept, since each request would need two.
var rooms = sync.Pool{New: func() any { return new([maxKnown]member) }}

// maxUnixMs is the end of the year 2261: later times do not fit into nanoseconds.
const maxUnixMs = 9_214_646_399_000

// Decode reads the body of one heartbeat request. Its texts are clean (see plain.Line) and within the limits of contract.
// peer stands in for an ip that is no address; the zero Addr leaves it empty. Every error is an *InvalidError.
func Decode(body []byte, peer netip.Addr) (contract.Heartbeat, error) {
	room := rooms.Get().(*[maxKnown]member)
	defer rooms.Put(room)
	f := fields{raw: room[:0]}
	if err := f.parse(body); err != nil {
		return contract.Heartbeat{}, err
	}
	h := contract.Heartbeat{
		NodeID:      f.nodeID(),
		IP:          f.ip(peer),
		Meta:        f.meta(),
		Status:      f.text("status", maxWordBytes),
		Reason:      f.text("reason", contract.MaxReasonBytes),
		Evidence:    f.text("evidence", contract.MaxEvidenceBytes),
		IntervalSec: f.seconds("interval_sec"),
		BootID:      f.text("boot_id", maxWordBytes),
		Seq:         f.integer("seq"),
		Agent:       f.agent(),
		Metrics:     object(f.raw.get("metrics").raw),
		Workload:    object(f.raw.get("workload").raw),
		Annotations: annotations(f.raw.get("annotations").raw),
	}
	if f.err != nil {
		return contract.Heartbeat{}, f.err
	}
	return h, nil
}

// fields are the members of an object by their exact names; of members with one name the last counts.
type fields struct {
	raw    members
	prefix string // of names in errors
	err    error  // the first one
}

func (f *fields) fail(name, must string) {
	if f.err == nil {
		f.err = invalid("%s%s must be %s", f.prefix, name, must)
	}
}

// parse splits a body into its members.
func (f *fields) parse(body []byte) error {
	// Windows tools like to begin a text with a byte order mark.
	text := bytes.TrimPrefix(body, []byte("\uFEFF"))
	skipped := len(body) - len(text)
	latin1 := !utf8.Valid(text)
	if latin1 {
		text = fromLatin1(text)
	}
	text = bytes.TrimRight(text, " \t\r\n")
	raw, err := split(f.raw, text, string(text))
	if f.raw = raw; err == nil && raw != nil {
		return nil
	}
	var syntax *json.SyntaxError
	switch {
	case len(text) == 0:
		return invalid("the body is empty: it must be a JSON object")
	case errors.As(err, &syntax):
		at := int(syntax.Offset)
		if latin1 {
			at = utf8.RuneCount(text[:min(at, len(text))])
		}
		return invalid(`invalid JSON at byte %d: %v (a " or \ inside a value must be escaped)`, skipped+at, syntax)
	}
	return invalid("the body must be a JSON object")
}

// fromLatin1 turns bytes of ISO-8859-1, which PowerShell 5.1 sends, into UTF-8.
func fromLatin1(in []byte) []byte {
	out := make([]byte, 0, len(in)+len(in)/8)
	for _, b := range in {
		out = utf8.AppendRune(out, rune(b))
	}
	return out
}

// isNull reports whether a member is missing or null, which mean the same.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9')
}

// word is a text or a number, which is taken as text, as it came.
func (f *fields) word(name string) string {
	m := f.raw.get(name)
	switch {
	case isNull(m.raw):
		return ""
	case isNumber(m.raw):
		return m.text
	}
	s, ok := m.unquote()
	if !ok {
		f.fail(name, "a string")
	}
	return s
}

// text is a clean text of at most limit bytes.
func (f *fields) text(name string, limit int) string { return plain.Line(f.word(name), limit) }

func (f *fields) nodeID() string {
	id := f.word("node_id")
	trimmed := strings.TrimSpace(id)
	switch {
	case f.err != nil:
	case trimmed == "":
		f.err = invalid("node_id required")
	case strings.ContainsFunc(id, plain.Unprintable):
		f.fail("node_id", "without control characters")
	case utf8.RuneCountInString(trimmed) > contract.MaxNodeIDChars:
		f.fail("node_id", fmt.Sprintf("at most %d characters long", contract.MaxNodeIDChars))
	}
	return trimmed
}

// ip is never wrong: an agent may send whatever a look-up service answered, a page of HTML included.
func (f *fields) ip(peer netip.Addr) string {
	m := f.raw.get("ip")
	s, ok := m.unquote()
	if isNull(m.raw) || ok && strings.TrimSpace(s) == "" {
		return ""
	}
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		a = peer
	}
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String() // a zone is free text
}

// meta of any type is accepted: what is not a string is shown as the JSON it is.
func (f *fields) meta() string {
	m := f.raw.get("meta")
	if isNull(m.raw) {
		return ""
	}
	s, ok := m.unquote()
	if !ok {
		s = string(compact(m.raw))
	}
	return plain.Line(s, contract.MaxMetaBytes)
}

func (f *fields) seconds(name string) float64 {
	m := f.raw.get(name)
	if isNull(m.raw) {
		return 0
	}
	v, err := strconv.ParseFloat(m.text, 64)
	if err != nil || !isNumber(m.raw) {
		f.fail(name, "a number of seconds")
		return 0
	}
	return max(v, 0)
}

func (f *fields) integer(name string) int64 {
	m := f.raw.get(name)
	if isNull(m.raw) {
		return 0
	}
	v, err := strconv.ParseInt(m.text, 10, 64)
	if err != nil || !isNumber(m.raw) {
		f.fail(name, "a whole number")
		return 0
	}
	return v
}

// annotations keeps those that can be read: they are shown, never judged, and no heartbeat is lost over them.
func annotations(raw json.RawMessage) []contract.Annotation {
	if len(raw) == 0 {
		return nil
	}
	var all []json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	var out []contract.Annotation
	for _, one := range all {
		if len(out) == contract.MaxAnnotations {
			break
		}
		raw, err := split(nil, one, string(one))
		if err != nil {
			continue
		}
		f := fields{raw: raw}
		a := contract.Annotation{
			At:       f.integer("at"),
			Status:   f.text("status", maxWordBytes),
			Reason:   f.text("reason", contract.MaxReasonBytes),
			Evidence: f.text("evidence", contract.MaxEvidenceBytes),
		}
		if f.err == nil && a.At > 0 && a.At <= maxUnixMs && a.Status != "" {
			out = append(out, a)
		}
	}
	return out
}

func (f *fields) agent() contract.Agent {
	said := f.raw.get("agent")
	if isNull(said.raw) {
		return contract.Agent{}
	}
	room := rooms.Get().(*[maxKnown]member)
	defer rooms.Put(room)
	m, err := split(room[:0], said.raw, said.text)
	if err != nil {
		f.fail("agent", "an object")
		return contract.Agent{}
	}
	a := fields{raw: m, prefix: "agent."}
	out := contract.Agent{
		Version: a.text("version", maxWordBytes),
		OS:      a.text("os", maxWordBytes),
		Arch:    a.text("arch", maxWordBytes),
	}
	if f.err == nil {
		f.err = a.err
	}
	return out
}
