package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// call sends a program's request to the page's API, and reads its answer into the value, unless that is nil.
func (s *system) call(t *testing.T, method, path, body string, want int, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.web+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s %s: %s %s, %v", method, path, body, resp.Status, answer, err)
	}
}

// testTokens makes a token for one node: it lets in that node and no other, at once, and a revoked one nobody within a
// second.
func (s *system) testTokens(t *testing.T) {
	var made struct {
		ID    int64
		Token string
	}
	s.call(t, "POST", "/api/tokens", `{"node_id":"tokened","note":"e2e"}`, 201, &made)
	post := func(node string) int {
		code, _ := s.post(t, made.Token, fmt.Appendf(nil, `{"node_id":%q}`, node))
		return code
	}
	until := func(what string, want int) time.Duration {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			took := time.Since(begun)
			code := post("tokened")
			if code == want {
				return took
			}
			if took > 3*time.Second {
				t.Fatalf("%s: still %d after %v", what, code, took)
			}
		}
	}
	added := until("a new token", 200)
	if code := post("other"); code != 403 {
		t.Errorf("another node: %d", code)
	}
	s.awaitRow(t, "tokened", func(r row) bool { return r.State == "up" })
	s.call(t, "DELETE", fmt.Sprintf("/api/tokens/%d", made.ID), "", 200, nil)
	revoked := until("a revoked token", 401)
	t.Logf("a new token worked after %v, a revoked one no longer after %v", added.Round(time.Millisecond), revoked.Round(time.Millisecond))
	s.remove(t, "tokened")
}

// testActing names a node, silences it, and finds who did so in the audit log.
func (s *system) testActing(t *testing.T) {
	s.report(t, "acted", "UP", "")
	s.awaitRow(t, "acted", func(row) bool { return true })
	s.call(t, "POST", "/api/nodes/acted", `{"name":"Cellar","threshold_sec":600,"note":"e2e"}`, 200, nil)
	var silence struct{ ID int64 }
	s.call(t, "POST", "/api/silences", `{"scope":"node","value":"acted","minutes":5}`, 201, &silence)
	s.report(t, "acted", "DOWN", "")
	s.awaitRow(t, "acted", func(r row) bool { return r.State == "down" })
	s.call(t, "POST", "/api/acknowledgements", `{"node_id":"acted"}`, 200, nil)
	s.call(t, "DELETE", fmt.Sprintf("/api/silences/%d", silence.ID), "", 200, nil)
	s.remove(t, "acted")
	var log []struct{ By, Action, Outcome string }
	s.call(t, "GET", "/api/audit?node_id=acted", "", 200, &log)
	got := ""
	for _, a := range log {
		if a.By != "ADMIN_TOKEN" || a.Outcome != "done" {
			t.Errorf("%+v", a)
		}
		got += a.Action + " "
	}
	if got != "delete acknowledge silence note threshold name " {
		t.Errorf("audit log: %s", got)
	}
}
