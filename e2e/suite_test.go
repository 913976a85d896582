package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// system is the monitor under test, however it runs. Its threshold is 3 seconds.
type system struct {
	ingest, web string // addresses
	telegram    *telegramtest.Server
	// crash ends all services at once, as kill -9 does where they are processes, and starts them again after the pause.
	crash func(t *testing.T, pause time.Duration)
}

const (
	secret     = "end-to-end-secret"
	adminToken = "end-to-end-admin"
	chat       = "100"
	threshold  = 3 * time.Second
)

// environment is what all services are configured with.
func environment(telegram string) []string {
	return []string{
		"SHARED_SECRET=" + secret, "DOWN_THRESHOLD_SEC=3", "ADMIN_TOKEN=" + adminToken,
		"TELEGRAM_BOT_TOKEN=123456:end-to-end", "TELEGRAM_CHAT_ID=" + chat, "TELEGRAM_API_URL=" + telegram, "TZ=UTC",
	}
}

// suite is what must hold in every mode. Its parts run one after the other on one monitor; each has nodes of its own.
func suite(t *testing.T, s *system) {
	steady := s.keepAlive(t, "steady-1", "steady-2", "steady-3", "steady-4")
	t.Run("the bash agent's bytes", s.testBashBytes)
	t.Run("the PowerShell agent's bytes", s.testPowerShellBytes)
	t.Run("the page", s.testPage)
	s.remove(t, "bash-gensyn", "WIN-Büro <1>")
	t.Run("a reported DOWN at once, and the recovery", s.testReportedDown)
	t.Run("a silent node within the threshold and two seconds", s.testSilent)
	t.Run("Telegram away", s.testTelegramAway)
	t.Run("bad input changes nothing", s.testBadInput)
	t.Run("delete, and still sending", s.testDelete)
	t.Run("a token of one node", s.testTokens)
	t.Run("acting, and its record", s.testActing)
	t.Run("killed for longer than the threshold", s.testCrash)
	t.Run("deaf", func(t *testing.T) { s.testDeaf(t, steady) })
}

// post sends one body as an agent does and returns the status, 0 when nothing answered.
func (s *system) post(t *testing.T, token string, body []byte) (int, string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.ingest+"/api/heartbeat", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer)
}

// report sends one heartbeat and wants it accepted.
func (s *system) report(t *testing.T, id, status, meta string) {
	t.Helper()
	body := fmt.Sprintf(`{"node_id":"%s","ip":"203.0.113.9","meta":"%s","status":"%s"}`, id, meta, status)
	if code, answer := s.post(t, secret, []byte(body)); code != http.StatusOK || answer != `{"ok":true}` {
		t.Fatalf("heartbeat of %s: %d %s", id, code, answer)
	}
}

// flock is nodes that report UP every second, which is as often as ingest takes it for long.
type flock struct {
	s    *system
	ids  []string
	mu   sync.Mutex
	stop func()
}

func (s *system) keepAlive(t *testing.T, ids ...string) *flock {
	f := &flock{s: s, ids: ids}
	f.start(t)
	t.Cleanup(func() { f.pause() })
	return f
}

func (f *flock) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for _, id := range f.ids {
				f.s.post(t, secret, fmt.Appendf(nil, `{"node_id":"%s","status":"UP"}`, id))
			}
			select {
			case <-ctx.Done():
			case <-time.After(1050 * time.Millisecond):
			}
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = func() { cancel(); wg.Wait() }
}

func (f *flock) pause() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop()
}

// row is one node of /api/nodes.
type row struct {
	NodeID    string  `json:"node_id"`
	IP        string  `json:"ip"`
	LastSeen  int64   `json:"last_seen"`
	Computed  string  `json:"computed"`
	LastState string  `json:"last_state"`
	Meta      *string `json:"meta"`
	AgeSec    int64   `json:"age_sec"`
	State     string  `json:"state"`
	Reason    string  `json:"reason"`
}

func (s *system) rows(t *testing.T) []row {
	t.Helper()
	resp, err := http.Get(s.web + "/api/nodes")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var rows []row
	if err := json.NewDecoder(resp.Body).Decode(&rows); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("/api/nodes: %d, %v", resp.StatusCode, err)
	}
	return rows
}

// awaitRow waits until the node's row is as wanted.
func (s *system) awaitRow(t *testing.T, id string, ok func(row) bool) row {
	t.Helper()
	var last []row
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		last = s.rows(t)
		if i := slices.IndexFunc(last, func(r row) bool { return r.NodeID == id }); i >= 0 && ok(last[i]) {
			return last[i]
		}
	}
	t.Fatalf("%s is not as wanted: %+v", id, last)
	return row{}
}

// told waits until a message holds all the texts, and returns it.
func (s *system) told(t *testing.T, within time.Duration, texts ...string) telegramtest.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	messages, err := s.telegram.WaitFor(ctx, func(all []telegramtest.Message) bool { return len(holding(all, texts)) > 0 })
	if err != nil {
		t.Fatalf("no message with %q within %v; there are:\n%s", texts, within, show(messages))
	}
	return s.find(texts...)[0]
}

// holding returns the messages that hold all the texts.
func holding(all []telegramtest.Message, texts []string) []telegramtest.Message {
	var out []telegramtest.Message
	for _, m := range all {
		if !slices.ContainsFunc(texts, func(x string) bool { return !strings.Contains(m.Plain, x) }) {
			out = append(out, m)
		}
	}
	return out
}

// find returns the messages so far that hold all the texts.
func (s *system) find(texts ...string) []telegramtest.Message {
	return holding(s.telegram.Messages(), texts)
}

// toldLost returns the messages that call one of the nodes lost. A list has a line for each node; the message about one
// node alone has its id in the second line.
func (s *system) toldLost(ids ...string) (out []telegramtest.Message) {
	for _, m := range s.telegram.Messages() {
		lines := strings.Split(m.Plain, "\n")
		for i, line := range lines {
			words := strings.Fields(line)
			about := slices.ContainsFunc(words, func(word string) bool { return slices.Contains(ids, word) })
			if about && (strings.Contains(line, "LOST") || i == 1 && strings.Contains(lines[0], "node LOST")) {
				out = append(out, m)
				break
			}
		}
	}
	return out
}

func show(messages []telegramtest.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "--- %d\n%s\n", m.ID, m.Plain)
	}
	return b.String()
}

// The bytes are those of the agents, as WIRE describes them; testdata holds one whole request each.
func (s *system) raw(t *testing.T, file string) {
	t.Helper()
	body, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if code, answer := s.post(t, secret, body); code != http.StatusOK || answer != `{"ok":true}` {
		t.Fatalf("%s: %d %s", file, code, answer)
	}
}

func (s *system) testBashBytes(t *testing.T) {
	before := time.Now().Unix()
	s.raw(t, "bash_up.json")
	r := s.awaitRow(t, "bash-gensyn", func(row) bool { return true })
	if r.IP != "198.51.100.7" || r.Computed != "UP" || r.LastState != "UP" || r.Meta == nil || *r.Meta != "dc=home" {
		t.Errorf("row %+v", r)
	}
	if r.LastSeen < before || r.AgeSec < 0 || r.AgeSec > 5 {
		t.Errorf("last_seen %d and age_sec %d are not those of a heartbeat sent at %d", r.LastSeen, r.AgeSec, before)
	}
	s.told(t, 5*time.Second, "bash-gensyn")
	s.raw(t, "bash_down.json")
	s.told(t, 5*time.Second, "DOWN", "bash-gensyn", "p2pd")
	r = s.awaitRow(t, "bash-gensyn", func(r row) bool { return r.Computed == "DOWN" })
	if r.LastState != "DOWN" || r.State != "down" || r.Reason != "no_p2pd" {
		t.Errorf("row %+v", r)
	}
}

func (s *system) testPowerShellBytes(t *testing.T) {
	s.raw(t, "powershell.json")
	r := s.awaitRow(t, "WIN-Büro <1>", func(row) bool { return true })
	if r.Meta != nil || r.IP != "127.0.0.1" {
		t.Errorf("row %+v: want no meta, and the peer's address where ip is a page", r)
	}
	s.told(t, 5*time.Second, "WIN-Büro <1>")
}

// A node that says that it is down is told at once. When nobody wakes the notifier it looks every two seconds, and may be
// lucky; a machine that stalls may be unlucky. So the first node may fail, and the second decides.
func (s *system) testReportedDown(t *testing.T) {
	const limit = 600 * time.Millisecond
	var took time.Duration
	for _, id := range []string{"reporter-a", "reporter-b"} {
		if took = s.reportDown(t, id); took <= limit {
			return
		}
	}
	t.Errorf("told after %v, want at most %v", took, limit)
}

// reportDown lets a node go down and come back. It returns how long it took to tell that it is down.
func (s *system) reportDown(t *testing.T, id string) (took time.Duration) {
	t.Helper()
	s.report(t, id, "UP", "")
	s.told(t, 5*time.Second, id)
	time.Sleep(1100 * time.Millisecond) // a chat is told one message a second at most
	sent := time.Now()
	s.report(t, id, "DOWN", "reason=port_closed_3000")
	down := s.told(t, 5*time.Second, "DOWN", id, "3000")
	took = time.Since(sent)
	t.Logf("a reported DOWN was told after %v", took.Round(time.Millisecond))
	s.report(t, id, "UP", "")
	up := s.told(t, 5*time.Second, "UP", id, "Incident lasted")
	if up.ReplyTo != down.ID {
		t.Errorf("the recovery answers message %d, want %d:\n%s", up.ReplyTo, down.ID, show(s.telegram.Messages()))
	}
	s.remove(t, id)
	return took
}

func (s *system) testSilent(t *testing.T) {
	heard := time.Now()
	s.report(t, "mortal", "UP", "")
	s.told(t, 10*time.Second, "LOST", "mortal")
	took := time.Since(heard)
	t.Logf("a silent node was told after %v at a threshold of %v", took.Round(time.Millisecond), threshold)
	if took < threshold || took > threshold+2*time.Second {
		t.Errorf("told after %v, want between %v and %v", took, threshold, threshold+2*time.Second)
	}
	s.awaitRow(t, "mortal", func(r row) bool { return r.State == "lost" && r.Computed == "DOWN" })
	s.report(t, "mortal", "UP", "")
	s.told(t, 5*time.Second, "UP", "mortal")
	s.remove(t, "mortal")
}

func (s *system) testTelegramAway(t *testing.T) {
	s.telegram.Always(chat, telegramtest.Drop())
	s.report(t, "offline-1", "DOWN", "")
	s.telegram.Always(chat, telegramtest.Broken(http.StatusBadGateway))
	s.report(t, "offline-2", "DOWN", "")
	time.Sleep(time.Second)
	if m := s.find("offline-"); len(m) != 0 {
		t.Fatalf("Telegram was away and took\n%s", show(m))
	}
	s.telegram.Always(chat, telegramtest.OK())
	for _, id := range []string{"offline-1", "offline-2"} {
		s.told(t, 20*time.Second, id)
	}
	time.Sleep(2500 * time.Millisecond) // a second message would come with the next look into the database
	for _, id := range []string{"offline-1", "offline-2"} {
		if m := s.find(id); len(m) != 1 {
			t.Errorf("%s was told %d times:\n%s", id, len(m), show(m))
		}
	}
	s.remove(t, "offline-1", "offline-2")
}

func (s *system) testBadInput(t *testing.T) {
	for _, c := range []struct {
		token, body, want string
		code              int
	}{
		{"wrong", `{"node_id":"intruder"}`, `{"detail":"Unauthorized"}`, 401},
		{secret, `{"node_id":""}`, `{"detail":"node_id required"}`, 400},
		{secret, `{"ip":"1.2.3.4"}`, `{"detail":"node_id required"}`, 400},
		{secret, `{"node_id":"in"truder"}`, `{"detail":`, 400},
	} {
		if code, answer := s.post(t, c.token, []byte(c.body)); code != c.code || !strings.HasPrefix(answer, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.body, code, answer, c.code, c.want)
		}
	}
	time.Sleep(1200 * time.Millisecond)
	for _, r := range s.rows(t) {
		if strings.Contains(r.NodeID, "truder") {
			t.Errorf("refused input made %+v", r)
		}
	}
}

// remove deletes nodes whose part is over, so that their silence does not mix with what comes.
func (s *system) remove(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.web+"/api/nodes/"+url.PathEscape(id), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+adminToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("delete %s: %s", id, resp.Status)
		}
	}
}

func (s *system) testDelete(t *testing.T) {
	s.report(t, "retired", "UP", "")
	s.awaitRow(t, "retired", func(row) bool { return true })
	s.remove(t, "retired")
	if i := slices.IndexFunc(s.rows(t), func(r row) bool { return r.NodeID == "retired" }); i >= 0 {
		t.Error("the deleted node is still in the table")
	}
	s.report(t, "retired", "UP", "")
	s.told(t, 70*time.Second, "retired", "still sending") // news wait when a chat has had many messages within a minute
	s.remove(t, "retired")
}

func (s *system) testPage(t *testing.T) {
	head, err := http.Head(s.web + "/")
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	if head.StatusCode != http.StatusOK {
		t.Errorf("HEAD /: %s", head.Status)
	}
	resp, err := http.Get(s.web + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, _ := io.ReadAll(resp.Body)
	for _, want := range []string{"Node ID", "bash-gensyn", "WIN-Büro &lt;1&gt;"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		for _, base := range []string{s.ingest, s.web} {
			if resp, err := http.Get(base + path); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s%s: %v %v", base, path, resp, err)
			} else {
				resp.Body.Close()
			}
		}
	}
}

func (s *system) testCrash(t *testing.T) {
	s.report(t, "crash-witness", "DOWN", "reason=stale_log")
	s.told(t, 5*time.Second, "crash-witness", "DOWN")
	// A notifier that dies between Telegram's answer and its record tells the same once more. When the next message
	// is out, the record of this one is.
	s.report(t, "crash-second", "DOWN", "reason=stale_log")
	s.told(t, 5*time.Second, "crash-second", "DOWN")
	before := len(s.find("steady-"))
	s.crash(t, threshold+2*time.Second)
	s.awaitRow(t, "steady-1", func(r row) bool { return r.Computed == "UP" && r.AgeSec <= 1 })
	// Everything that could be told wrongly would be told within a threshold from here.
	time.Sleep(threshold + 2*time.Second)
	if m := s.find("steady-"); len(m) != before {
		t.Errorf("healthy nodes were told after the crash:\n%s", show(m))
	}
	if m := s.find("crash-witness", "DOWN"); len(m) != 1 {
		t.Errorf("the node that was down was told %d times:\n%s", len(m), show(m))
	}
	s.remove(t, "crash-witness", "crash-second")
}

func (s *system) testDeaf(t *testing.T, steady *flock) {
	// Everybody falls silent at once, and what ingest hears instead is a wrong secret.
	steady.pause()
	for range 5 {
		s.post(t, "wrong", []byte(`{"node_id":"steady-1"}`))
	}
	deaf := s.told(t, threshold+5*time.Second, "5 × 401")
	s.awaitRow(t, "steady-1", func(r row) bool { return r.State == "lost" && r.Reason == "deaf" })
	steady.start(t)
	s.awaitRow(t, "steady-1", func(r row) bool { return r.State == "up" })
	time.Sleep(threshold)
	for _, m := range s.find("steady-") {
		if m.ID > deaf.ID {
			t.Errorf("a healthy node was told although the front door was closed:\n%s", m.Plain)
		}
	}
}
