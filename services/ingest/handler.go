package ingest

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// Path is where agents report.
const Path = "/api/heartbeat"

// retryLater is what a Retry-After says when heartbeats cannot be stored.
const retryLater = 5 * time.Second

// Serves reports whether a request's path is Path, written in any way that agents write it: with doubled slashes, or
// with one at the end. A redirect to the proper one would count as success with curl and record nothing.
func Serves(path string) bool { return tidy(path) == Path }

func tidy(path string) string {
	if path == Path {
		return path
	}
	return "/" + strings.Join(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), "/")
}

// Handler serves POST /api/heartbeat and answers everything else with an error.
func (s *Service) Handler() http.Handler {
	r := chi.NewRouter()
	r.Use(tidyPath)
	r.Post(Path, s.postHeartbeat)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		s.answer(w, http.StatusNotFound, detail("not found: heartbeats go to "+Path))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		s.answer(w, http.StatusMethodNotAllowed, detail("heartbeats are sent with POST"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == Path && req.Method == http.MethodPost { // nearly all: what a router does for the others costs them
			s.postHeartbeat(w, req)
			return
		}
		r.ServeHTTP(w, req)
	})
}

// tidyPath routes by the whole path, also below a router that cut some of it off.
func tidyPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = tidy(r.URL.Path)
		next.ServeHTTP(w, r)
	})
}

// refusal is the answer to a heartbeat that was not stored.
type refusal struct {
	status     int
	detail     string        // for whoever runs the agent
	retryAfter time.Duration // 0 for no advice
	node       string        // "" while unknown
	cause      error         // for the log; nil for none
	unread     bool          // the body was not read, nor will it be
}

// postHeartbeat is the way of one heartbeat: token, body, decoding, limit, storing.
func (s *Service) postHeartbeat(w http.ResponseWriter, r *http.Request) {
	at := arrival{begun: s.Now(), peer: s.TrustedProxies.Of(r), trace: r.Header.Get(contract.TraceHeader)}
	defer s.done(&at)
	no := s.authorize([]byte(r.Header.Get("Authorization")), &at)
	if no == nil {
		no = s.takeBody(w, r, &at)
	}
	if no != nil {
		s.refuse(w, &at, no)
		return
	}
	s.accepted()
	s.answer(w, http.StatusOK, stored)
}

// arrival is what is known of a heartbeat before its body is read.
type arrival struct {
	begun time.Time // when its request came
	peer  netip.Addr
	trace string // the sender's, "" for none
	node  string // the only one that may be reported, "" for any
}

func (s *Service) done(at *arrival) { s.metrics.duration.Observe(s.Now().Sub(at.begun).Seconds()) }

func (s *Service) accepted() {
	s.tally.accept()
	crashpoint.Here("ingest.answer")
}

// stored is the answer to a heartbeat that was.
var stored = []byte(`{"ok":true}`)

// authorize looks at the Authorization header alone.
func (s *Service) authorize(authorization []byte, at *arrival) (no *refusal) {
	g, node := s.door.admits(authorization)
	if g == anyNode || g == oneNode {
		at.node = node
		return nil
	}
	if no := s.tooManyFailures(at.peer); no != nil {
		no.unread = true
		return no
	}
	if g == unsure {
		return &refusal{
			status: http.StatusServiceUnavailable, retryAfter: retryLater, unread: true,
			detail: "whether this token is good is not known yet",
		}
	}
	return &refusal{status: http.StatusUnauthorized, detail: "Unauthorized", unread: true}
}

// tooManyFailures counts a failed authentication. It refuses when there were too many.
func (s *Service) tooManyFailures(peer netip.Addr) *refusal {
	wait := s.failures.Take(clientaddr.Origin(peer))
	if wait == 0 {
		return nil
	}
	return &refusal{
		status: http.StatusTooManyRequests, retryAfter: wait, detail: "too many requests with a wrong token",
	}
}

// takeBody reads the body and takes it.
func (s *Service) takeBody(w http.ResponseWriter, r *http.Request, at *arrival) *refusal {
	body := bodies.Get().(*bytes.Buffer)
	defer func() {
		if body.Cap() <= keptBytes {
			bodies.Put(body)
		}
	}()
	if no := read(body, w, r); no != nil {
		return no
	}
	return s.take(body.Bytes(), at)
}

// take decodes and stores. It returns nil once the heartbeat is stored; the body is needed no more then.
func (s *Service) take(body []byte, at *arrival) *refusal {
	h, err := Decode(body, at.peer) // parts of h are parts of the body
	if err != nil {
		return &refusal{status: http.StatusBadRequest, detail: err.Error()}
	}
	if at.node != "" && h.NodeID != at.node {
		if no := s.tooManyFailures(at.peer); no != nil {
			return no
		}
		return &refusal{status: http.StatusForbidden, node: h.NodeID, detail: "this token belongs to another node"}
	}
	if wait := s.reports.Take(maphash.String(s.seed, h.NodeID)); wait > 0 {
		return &refusal{
			status: http.StatusTooManyRequests, retryAfter: wait, node: h.NodeID,
			detail: "too many heartbeats of this node: one a second is enough",
		}
	}
	crashpoint.Here("ingest.read")
	span := s.traces.begin(at, &h)
	var no *refusal
	if err := s.store(&h, span); err != nil {
		no = &refusal{
			status: http.StatusServiceUnavailable, retryAfter: retryLater, node: h.NodeID,
			detail: reason(err), cause: err,
		}
	}
	s.endTrace(span, no)
	return no
}

// bodies are kept, since each request would make one.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read reads the body, if it is not too long.
func read(body *bytes.Buffer, w http.ResponseWriter, r *http.Request) *refusal {
	tooLong := r.ContentLength > contract.MaxBodyBytes
	if !tooLong {
		body.Reset()
		body.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // room to see the end without growing
		in := io.Reader(r.Body)
		if r.ContentLength < 0 { // else the server bounds it
			in = http.MaxBytesReader(w, r.Body, contract.MaxBodyBytes)
		}
		_, err := body.ReadFrom(in)
		var long *http.MaxBytesError
		tooLong = errors.As(err, &long)
		if err != nil && !tooLong {
			return &refusal{status: http.StatusBadRequest, detail: "the body could not be read", cause: err}
		}
	}
	if tooLong {
		return &bodyTooLong
	}
	return nil
}

var bodyTooLong = refusal{
	status: http.StatusRequestEntityTooLarge, unread: true,
	detail: "the body must be at most " + strconv.Itoa(contract.MaxBodyBytes) + " bytes long",
}

func (s *Service) store(h *contract.Heartbeat, span *tracing.Span) error {
	s.metrics.waiting.Inc()
	defer s.metrics.waiting.Dec()
	return s.commit.submitTraced(func(b []byte) ([]byte, error) { return encode(b, *h) }, span)
}

// reason is what an agent is told of an error of the committer.
func reason(err error) string {
	for _, known := range []error{errTooMany, errTooLate, errStopping} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return errUnstored.Error()
}

// refuse answers a heartbeat that was not stored. The connection ends where the body was not read: waiting for the
// rest of it would let a stranger hold the connection, and his answer back.
func (s *Service) refuse(w http.ResponseWriter, at *arrival, no *refusal) {
	no.header(w.Header().Set)
	if no.unread {
		// Else the server goes on reading what nobody wants, for as long as a stranger likes. Best effort: a recorder has none.
		_ = http.NewResponseController(w).SetReadDeadline(s.Now())
	}
	s.refused(at, no)
	s.answer(w, no.status, detail(no.detail))
}

// header is what a refusal says beside its status and text.
func (no *refusal) header(set func(name, value string)) {
	if no.retryAfter > 0 {
		set("Retry-After", strconv.Itoa(int(math.Ceil(no.retryAfter.Seconds()))))
	}
	if no.status == http.StatusUnauthorized {
		set("WWW-Authenticate", "Bearer")
	}
	if no.unread {
		set("Connection", "close")
	}
}

// refused counts a refusal and logs it.
func (s *Service) refused(at *arrival, no *refusal) {
	s.tally.refuse(no.status)
	s.refusals.Info().Int("status", no.status).Str("detail", no.detail).Stringer("peer", at.peer).
		Str("node_id", no.node).AnErr("cause", no.cause).Msg("heartbeat refused")
}

// detail is the body of an error.
func detail(text string) []byte {
	b, err := marshal(struct {
		Detail string `json:"detail"`
	}{text})
	if err != nil {
		return []byte(`{}`)
	}
	return b
}

// What answers say. One slice for all: nobody changes the values of headers.
var (
	isJSON  = []string{"application/json"}
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

func (s *Service) answer(w http.ResponseWriter, status int, body []byte) {
	s.metrics.answered(status)
	h := w.Header()
	h["Content-Type"] = isJSON
	if status != http.StatusOK { // that one is always the same, and the answer to a POST
		h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
