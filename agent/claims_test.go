package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

func TestARedirectNamesAnAddressThatCanBeSet(t *testing.T) {
	tests := []struct{ name, location, want string }{
		{"a path, for a slash too many", "/api/heartbeat", "redirect to http://HOST: set SERVER_URL"},
		{"without a scheme", "//a.example/api/heartbeat", "redirect to http://a.example: set SERVER_URL"},
		{"another port and path", "https://a.example:8443/m/api/heartbeat", "redirect to https://a.example:8443/m: set SERVER_URL"},
		{"nowhere", "", "answered 308: it redirects to no address, check SERVER_URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.location != "" {
				header = []string{"Location", tt.location}
			}
			s := newFakeServer(t, says(308, "", header...))
			e, ok := errors.AsType[*SendError](client(t, s.URL+"/").Send(t.Context(), contract.Heartbeat{}))
			want := strings.ReplaceAll(tt.want, "HOST", strings.TrimPrefix(s.URL, "http://"))
			if !ok || e.Retry || !strings.Contains(e.Text, want) {
				t.Errorf("%+v, want %q", e, want)
			}
		})
	}
}

func TestANodeIDOfBlanksIsRefused(t *testing.T) {
	_, err := load(with(map[string]string{"NODE_ID": "  "}))
	if err == nil || !strings.Contains(err.Error(), `NODE_ID="  " is not allowed`) {
		t.Errorf("error %v", err)
	}
}

// TestHTTP1IsSpoken: a server that offers HTTP/2 gets HTTP/1 all the same.
func TestHTTP1IsSpoken(t *testing.T) {
	proto := make(chan string, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto <- r.Proto
		says(200, `{"ok":true}`)(w, r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := client(t, s.URL)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	transport := c.http.Transport.(*http.Transport)
	transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.RootCAs, transport.TLSClientConfig.NextProtos = roots, nil
	if err := c.Send(t.Context(), contract.Heartbeat{}); err != nil {
		t.Fatal(err)
	}
	if got := <-proto; got != "HTTP/1.1" {
		t.Errorf("spoke %s", got)
	}
}

// silent is a transport that never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestALookUpTakesFiveSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAddress("http://a.example", "1.2.3", time.Now, silent{})
		begun := time.Now()
		if got := a.Find(t.Context()); got != "" || time.Since(begun) != 5*time.Second {
			t.Errorf("%q after %v", got, time.Since(begun))
		}
	})
}

func TestALookUpKeepsNoConnection(t *testing.T) {
	s := newFakeServer(t, says(200, "192.0.2.7"))
	a, now := finder(s.URL)
	a.Find(t.Context())
	*now = now.Add(2 * time.Hour)
	a.Find(t.Context())
	got := s.got()
	if len(got) != 2 || got[0].peer == got[1].peer || got[0].header.Get("Connection") != "close" {
		t.Errorf("%+v", got)
	}
}

func TestTheAddressIsLookedUpBesideTheProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.look = func(context.Context) []probe.Report {
			time.Sleep(3 * time.Second)
			return []probe.Report{{Status: probe.StatusUp}}
		}
		r.Address = func(context.Context) string {
			time.Sleep(4 * time.Second)
			return "192.0.2.7"
		}
		h := r.Collect(t.Context(), time.Minute)[0]
		if took := time.Since(r.begun); took != 4*time.Second || h.IP != "192.0.2.7" {
			t.Errorf("%+v after %v, want the 4 s of the slower", h, took)
		}
	})
}

func TestWhatIsKnownIsNotToldAgainAfterATrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(n int) error {
			if n == 2 {
				return &SendError{Text: "no"}
			}
			return nil
		}
		r.runFor(t, 150*time.Second)
		r.wantLog(t, "heartbeat accepted: UP", "heartbeat not accepted: no", "heartbeats are accepted again after 1m0s")
	})
}
