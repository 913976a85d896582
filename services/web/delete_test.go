package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// fakeStream takes commands; an evaluator deletes the node in the store after delay, if it is not negative.
type fakeStream struct {
	store     *fakeStore
	delay     time.Duration
	err       error
	published []contract.Command
}

func (f *fakeStream) Publish(_ context.Context, subject string, data []byte) (uint64, error) {
	if f.err != nil {
		return 0, f.err
	}
	if subject != contract.CommandSubject(0) {
		return 0, errors.New("wrong subject " + subject)
	}
	c, err := contract.DecodeCommand(data)
	if err != nil {
		return 0, err
	}
	f.published = append(f.published, c)
	const seq = 11
	if f.delay >= 0 {
		time.AfterFunc(f.delay, func() {
			f.store.change(func(s *fakeStore) {
				s.nodes = slices.DeleteFunc(s.nodes, func(n node.Node) bool { return n.ID == c.NodeID })
				s.status.Clock.Position.Seq = seq
			})
		})
	}
	return seq, nil
}

const adminToken = "admin-token-1"

func bubble(t *testing.T, do func(t *testing.T, s *Service, store *fakeStore, stream *fakeStream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(append(sample(), node.Node{ID: "a/b c%20", State: node.Up})...)
		stream := &fakeStream{store: store, delay: 300 * time.Millisecond}
		s := newService(t, store, realTime, func(o *Options) {
			o.Commands, o.AdminToken, o.Access = stream, adminToken, &fakeLog{}
			o.Username, o.Password = "admin", "pass"
		})
		do(t, s, store, stream)
	})
}

func deletes(s *Service, path string, auth ...string) *httptest.ResponseRecorder {
	if len(auth) == 0 {
		auth = []string{"Bearer " + adminToken}
	}
	return do(s, "DELETE", path, "Authorization", auth[0])
}

func TestDeleteWaitsUntilTheNodeIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service, _ *fakeStore, stream *fakeStream) {
		before := do(s, "GET", "/api/nodes", "Authorization", "Basic YWRtaW46cGFzcw==")
		wantText(t, before, `"bravo"`)
		start := time.Now()
		w := deletes(s, "/api/nodes/bravo")
		wantStatus(t, w, 200)
		if got := strings.TrimSpace(w.Body.String()); got != `{"ok":true}` {
			t.Errorf("body %s", got)
		}
		if d := time.Since(start); d < 300*time.Millisecond || d > 500*time.Millisecond {
			t.Errorf("answered after %v", d)
		}
		want := contract.Command{V: contract.Version, Kind: contract.CommandDelete, NodeID: "bravo", By: adminName}
		if len(stream.published) != 1 || !reflect.DeepEqual(stream.published[0], want) {
			t.Errorf("published %+v", stream.published)
		}
		after := do(s, "GET", "/api/nodes", "Authorization", "Basic YWRtaW46cGFzcw==")
		if strings.Contains(after.Body.String(), `"bravo"`) {
			t.Error("the node is still shown")
		}
	})
}

func TestDeleteIsAcceptedWhenTheEvaluatorIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service, _ *fakeStore, stream *fakeStream) {
		stream.delay = -1
		start := time.Now()
		w := deletes(s, "/api/nodes/bravo")
		wantStatus(t, w, 202)
		wantText(t, w, `"ok":true`)
		if d := time.Since(start); d != commandLimit {
			t.Errorf("answered after %v", d)
		}
	})
}

func TestDeleteTakesAnyNodeID(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service, _ *fakeStore, stream *fakeStream) {
		for _, path := range []string{"/api/nodes/a%2Fb%20c%2520", "/api/nodes/a/b%20c%2520"} {
			stream.published = nil
			stream.store.change(func(f *fakeStore) { f.nodes = append(f.nodes, node.Node{ID: "a/b c%20"}) })
			wantStatus(t, deletes(s, path), 200)
			if len(stream.published) != 1 || stream.published[0].NodeID != "a/b c%20" {
				t.Errorf("%s: published %+v", path, stream.published)
			}
		}
	})
}

func TestDeleteRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service, store *fakeStore, stream *fakeStream) {
		for _, auth := range []string{"", "Bearer", "Bearer wrong", "Basic YWRtaW46d3Jvbmc=", "Bearer " + adminToken + "x"} {
			wantDetail(t, deletes(s, "/api/nodes/bravo", auth), 401, "Unauthorized")
		}
		wantDetail(t, deletes(s, "/api/nodes/brav"), 404, "no such node")
		wantDetail(t, deletes(s, "/api/nodes/"), 404, "no such node")
		stream.err = errors.New("no route")
		wantStatus(t, deletes(s, "/api/nodes/bravo", "bEaReR "+adminToken), 503)
		store.change(func(f *fakeStore) { f.err = errors.New("away") })
		wantDetail(t, deletes(s, "/api/nodes/bravo"), 503, "the database does not answer")
		if len(stream.published) != 0 {
			t.Errorf("published %+v", stream.published)
		}
	})
}

func TestDeleteNeedsATokenAndAStream(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for _, auth := range []string{"Bearer ", "Bearer x", ""} {
		wantDetail(t, deletes(s, "/api/nodes/bravo", auth), 404, "Not Found")
	}
	s = newService(t, newFakeStore(sample()...), func(o *Options) { o.AdminToken, o.Access = adminToken, &fakeLog{} })
	wantDetail(t, deletes(s, "/api/nodes/bravo"), 503, "commands cannot be taken now")
}

func TestDeleteNeverShowsItsToken(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service, _ *fakeStore, stream *fakeStream) {
		var log logLines
		s.Log = s.Log.Output(&log)
		stream.err = errors.New("no route")
		w := deletes(s, "/api/nodes/bravo")
		data, err := json.Marshal(log.lines)
		if err != nil {
			t.Fatal(err)
		}
		if all := string(data) + w.Body.String(); strings.Contains(all, adminToken) {
			t.Errorf("the token is in %s", all)
		}
	})
}
