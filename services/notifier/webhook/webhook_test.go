package webhook

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = settings.Secret("hush-hush")

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// post is one that a receiver got.
type post struct {
	header http.Header
	body   string
}

// receiver answers with these handlers in turn, then 204.
func receiver(t *testing.T, answers ...http.HandlerFunc) (url string, posts func() []post) {
	t.Helper()
	var mu sync.Mutex
	var got []post
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		got = append(got, post{r.Header, string(body)})
		n := len(got)
		mu.Unlock()
		if n <= len(answers) {
			answers[n-1](w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []post {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

func sender(t *testing.T, url string) *Sender { return patient(t, url, 20*time.Second) }

func patient(t *testing.T, url string, timeout time.Duration) *Sender {
	t.Helper()
	s := New(Options{URL: settings.Secret(url), Secret: secret, Timeout: timeout,
		Now: func() time.Time { return noon }})
	t.Cleanup(s.Close)
	return s
}

func send(t *testing.T, s *Sender, body string) error {
	t.Helper()
	_, err := s.Send(t.Context(), Chat, body, 0)
	return err
}

// notifications are all forms that there are, by their golden file.
func notifications() map[string]Notification {
	down := Alert{ID: "1:0:512:0", Kind: "changed", NodeID: "rig-7-gensyn", Name: "Rig <7> & co", IP: "203.0.113.7",
		Labels: map[string]string{"dc": "home", "gpu": "h100"}, From: "up", To: "down", Reason: "port_closed_3000",
		Evidence: "connect 127.0.0.1:3000: connection refused", At: noon, Found: noon.Add(time.Second)}
	lost := Alert{ID: "1:0:513:0", Kind: "changed", NodeID: "rig-8", From: "up", To: "lost", Reason: "silent",
		At: noon.Add(3 * time.Minute), Found: noon.Add(3 * time.Minute), Since: noon, LastedSec: 180}
	up := Alert{ID: "1:0:900:2", Kind: "changed", NodeID: "rig-8", From: "lost", To: "up", At: noon.Add(time.Hour),
		Found: noon.Add(time.Hour), Since: noon.Add(3 * time.Minute), LastedSec: 57 * 60, Changes: 3,
		First: noon.Add(10 * time.Minute), Back: true, Mark: "flapped"}
	deaf := Alert{ID: "1:0:77:0", Kind: "deaf", At: noon, Found: noon, Since: noon.Add(-90 * time.Second), LastedSec: 90,
		Nodes: 25, Refused: map[string]int{"401": 412}}
	all := map[string]Notification{
		"down":    {Kind: Alerts, Alerts: []Alert{down}, Page: "https://nodes.example.org/?a=1&b=2"},
		"several": {Kind: Alerts, Alerts: []Alert{lost, up}},
		"monitor": {Kind: Alerts, Alerts: []Alert{deaf}},
		"reminder": {Kind: Reminder, Digest: &Counts{Entries: 1, States: map[string]int{"down": 1}},
			Alerts: []Alert{{Kind: "changed", NodeID: "rig-7", To: "down", Reason: "no_screen", At: noon, Since: noon, LastedSec: 7200}}},
		"test": {Kind: Test, Text: "Gensyn Monitor test message"},
		"digest": {Kind: Digest, Alerts: []Alert{lost}, Suspect: true, Digest: &Counts{Alerts: 10040, Entries: 10000,
			States: map[string]int{"lost": 9990, "back": 10}, Reasons: map[string]int{"silent": 9990}}},
		"summary": {Kind: Daily, Digest: &Counts{Entries: 5, States: map[string]int{"up": 4, "lost": 1}},
			Summary: &Day{From: noon.Add(-24 * time.Hour), To: noon, Uptime: 0.984375, Worst: []Uptime{{"rig-8", "Eight", 0.875}}}},
	}
	for name, n := range all {
		n.At = noon.Add(2 * time.Hour)
		all[name] = n
	}
	return all
}

func TestEveryNotification(t *testing.T) {
	for name, n := range notifications() {
		got, err := Render(n)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".golden.json")
		if *update {
			if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got+"\n" != string(want) {
			t.Errorf("%s differs (write it anew with -update if that is right)\n got %s\nwant %s", name, got, want)
		}
	}
	files, err := filepath.Glob("testdata/*.golden.json")
	if err != nil || len(files) != len(notifications()) {
		t.Errorf("%d golden files, want %d (%v)", len(files), len(notifications()), err)
	}
}

// The same notification has the same id each time, any other has another one.
func TestTheIDIsTheContents(t *testing.T) {
	ids := regexp.MustCompile(`"id":"([0-9a-f]{32})"`)
	seen := make(map[string]string)
	for name, n := range notifications() {
		one, err := Render(n)
		if err != nil {
			t.Fatal(err)
		}
		later := n
		later.At = n.At.Add(time.Second)
		three, _ := Render(later)
		if ids.FindStringSubmatch(three)[1] == ids.FindStringSubmatch(one)[1] {
			t.Errorf("%s: a second later it has the same id", name)
		}
		n.ID = "whatever it was before"
		two, _ := Render(n)
		m := ids.FindStringSubmatch(one)
		if one != two || m == nil {
			t.Fatalf("%s: %s\n%s", name, one, two)
		}
		if other, ok := seen[m[1]]; ok {
			t.Errorf("%s and %s have one id", name, other)
		}
		seen[m[1]] = name
	}
}

func TestAPostIsSigned(t *testing.T) {
	url, posts := receiver(t)
	body, err := Render(notifications()["down"])
	if err != nil {
		t.Fatal(err)
	}
	s := sender(t, url+"/in?token=x")
	for range 2 {
		if err := send(t, s, body); err != nil {
			t.Fatal(err)
		}
	}
	all := posts()
	h := all[0].header
	if all[0].body != body || h.Get("Content-Type") != "application/json" {
		t.Errorf("posted %s as %s", all[0].body, h.Get("Content-Type"))
	}
	if at := h.Get("X-Gensyn-Timestamp"); at != strconv.FormatInt(noon.Unix(), 10) {
		t.Errorf("timestamp %s", at)
	}
	// Worked out with: printf '%s.%s' "$timestamp" "$body" | openssl dgst -sha256 -hmac hush-hush
	const want = "sha256=a609798277b91790250497ba6536cc4800af7cf4967aa5a49eb8a89abc75ee64"
	if got := h.Get("X-Gensyn-Signature"); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if !strings.HasPrefix(body, `{"version":1,"id":"`+h.Get("Idempotency-Key")+`"`) || h.Get("Idempotency-Key") != all[1].header.Get("Idempotency-Key") {
		t.Errorf("key %q of %s", h.Get("Idempotency-Key"), body)
	}
	unsigned := New(Options{URL: settings.Secret(url)})
	defer unsigned.Close()
	if err := send(t, unsigned, body); err != nil || posts()[2].header.Get("X-Gensyn-Signature") != "" {
		t.Errorf("without a secret: %v, %v", err, posts()[2].header)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	drop := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, tt := range map[string]struct {
		answer    http.HandlerFunc
		words     string // "" for accepted
		permanent bool
		after     time.Duration
	}{
		"200":              {status(200), "", false, 0},
		"202":              {status(202), "", false, 0},
		"204":              {status(204), "", false, 0},
		"301":              {status(301, "Location", "http://127.0.0.1:1/"), "redirects (301)", true, 0},
		"307":              {status(307, "Location", "/other"), "redirects (307)", true, 0},
		"400":              {status(400), "is WEBHOOK_URL right?", true, 0},
		"401":              {status(401), "WEBHOOK_SECRET", true, 0},
		"404":              {status(404), "is WEBHOOK_URL right?", true, 0},
		"410":              {status(410), "wants no more", true, 0},
		"408":              {status(408), "408", false, 0},
		"429":              {status(429), "429", false, 0},
		"429 and a time":   {status(429, "Retry-After", "90"), "429", false, 90 * time.Second},
		"503 and a date":   {status(503, "Retry-After", noon.Add(time.Minute).Format(http.TimeFormat)), "503", false, time.Minute},
		"503 and a year":   {status(503, "Retry-After", "31536000"), "503", false, time.Hour},
		"503 and nonsense": {status(503, "Retry-After", "soon"), "503", false, 0},
		"500 and a time":   {status(500, "Retry-After", "90"), "500", false, 0},
		"hangs":            {hang, "does not answer within 2s", false, 0},
		"drops":            {drop, "broke", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			url, posts := receiver(t, tt.answer)
			s := sender(t, url+"/token-in-the-path")
			if name == "hangs" {
				s = patient(t, url, 2*time.Second)
			}
			err := send(t, s, `{"id":"a"}`)
			if n := len(posts()); n != 1 {
				t.Errorf("%d posts: only the caller may repeat, and a redirect is not followed", n)
			}
			if tt.words == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if open := strings.HasPrefix(name, "5") || name == "408" || name == "hangs" || name == "drops"; e.NotAccepted() == open {
				t.Errorf("certainly not accepted: %v", e.NotAccepted())
			}
			after, permanent := e.Retry()
			if !strings.Contains(e.Words, tt.words) || permanent != tt.permanent || after != tt.after {
				t.Errorf("%q, permanent %v, after %v", e.Words, permanent, after)
			}
			if ru := e.In("ru"); ru == e.Words || strings.Contains(ru, "%!") || e.In("en") != e.Words {
				t.Errorf("in Russian %q", ru)
			}
			if strings.Contains(e.Words, "token-in") || strings.Contains(e.Words, url) {
				t.Errorf("the address is in %q", e.Words)
			}
		})
	}
}

func TestWhyItCannotBeReached(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	for url, want := range map[string]string{
		"http://127.0.0.1:1":      "refuses connections",
		"http://secret.invalid/x": "cannot be resolved",
		untrusted.URL:             "not trusted",
		"http://a b":              "no valid address",
	} {
		err := send(t, sender(t, url), "{}")
		var e *Error
		if errors.As(err, &e) && !e.NotAccepted() {
			t.Errorf("%s: may have been accepted", url)
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestBothLanguagesSayTheSame(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z]`)
	for k, en := range english {
		if ru := russian[k]; ru == "" || !slices.Equal(verbs.FindAllString(en, -1), verbs.FindAllString(ru, -1)) {
			t.Errorf("%s: %q", k, ru)
		}
	}
	if len(english) != len(russian) {
		t.Error("one language says more")
	}
}

type over struct{ context.Context }

func (over) Err() error { return errors.New("the lease is over") }

func TestNothingLeavesAfterItsContext(t *testing.T) {
	url, posts := receiver(t)
	if _, err := sender(t, url).Send(over{t.Context()}, Chat, strings.Repeat("x", 4000), 0); err == nil || len(posts()) != 0 {
		t.Errorf("%v, %d posts", err, len(posts()))
	}
}
