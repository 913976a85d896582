package agent

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// finder makes an Address whose clock the test moves.
func finder(command string) (*Address, *time.Time) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return NewAddress(command, "1.2.3", func() time.Time { return now }, NewTransport(Proxies{}, nil)), &now
}

func TestAddressOfAServer(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"IPv4", says(200, "192.0.2.7\n"), "192.0.2.7"},
		{"IPv6", says(200, " 2001:DB8::7 "), "2001:db8::7"},
		{"a page", says(200, "<html>192.0.2.7"), ""},
		{"two", says(200, "192.0.2.7 192.0.2.8"), ""},
		{"nothing", says(200, ""), ""},
		{"failed", says(500, "192.0.2.7"), ""},
		{"redirected", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/ip" {
				http.Redirect(w, r, "/ip", http.StatusMovedPermanently)
				return
			}
			says(200, "192.0.2.9")(w, r)
		}, "192.0.2.9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeServer(t, tt.answer)
			a, _ := finder(s.URL)
			if got := a.Find(t.Context()); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if agent := s.got()[0].header.Get("User-Agent"); agent != "gensyn-agent/1.2.3" {
				t.Errorf("user agent %q", agent)
			}
		})
	}
}

func TestAddressOfACommand(t *testing.T) {
	for command, want := range map[string]string{
		"echo 192.0.2.7":                    "192.0.2.7",
		"printf ' %s\\n' 2001:db8::7 | cat": "2001:db8::7",
		"echo 192.0.2.7; exit 1":            "",
		"echo none":                         "",
		"no-such-program":                   "",
		"echo http://192.0.2.7":             "",
	} {
		a, _ := finder(command)
		if got := a.Find(t.Context()); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

func TestAddressIsKeptForAnHour(t *testing.T) {
	s := newFakeServer(t, says(200, "192.0.2.7"))
	a, now := finder(s.URL)
	for _, step := range []struct {
		passes time.Duration
		want   int
	}{{0, 1}, {time.Minute, 1}, {58 * time.Minute, 1}, {time.Minute, 2}, {time.Minute, 2}} {
		*now = now.Add(step.passes)
		if got := a.Find(t.Context()); got != "192.0.2.7" {
			t.Fatalf("%q", got)
		}
		if n := len(s.got()); n != step.want {
			t.Fatalf("%d look-ups, want %d", n, step.want)
		}
	}
}

func TestAddressIsLookedUpAgainSoonAfterAFailure(t *testing.T) {
	s := newFakeServer(t, says(500, ""))
	a, now := finder(s.URL)
	for _, step := range []struct {
		passes time.Duration
		want   int
	}{{0, 1}, {4 * time.Minute, 1}, {time.Minute, 2}} {
		*now = now.Add(step.passes)
		if got := a.Find(t.Context()); got != "" {
			t.Fatalf("%q", got)
		}
		if n := len(s.got()); n != step.want {
			t.Fatalf("%d look-ups, want %d", n, step.want)
		}
	}
}

func TestAStopIsNoFailedLookUp(t *testing.T) {
	a, _ := finder("sleep 30")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := a.Find(ctx); got != "" || !a.until.IsZero() {
		t.Errorf("%q, kept until %v", got, a.until)
	}
}
