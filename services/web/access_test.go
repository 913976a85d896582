package web

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

// The login of most tests.
const testUser, testPassword = "ann", "pass:wörd"

// testHash is that of the password; the real ones take longer.
var testHash = func() settings.Secret {
	hash, err := bcrypt.GenerateFromPassword([]byte(testPassword), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return settings.Secret(hash)
}()

func basic(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// realStore is a new SQLite database.
func realStore(t testing.TB) nodestore.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "monitor.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// withStore makes a service that keeps sessions in the store, and asks for the login of the tests.
func withStore(t testing.TB, store nodestore.Store, change ...func(o *Options)) *Service {
	t.Helper()
	return newService(t, store, append([]func(o *Options){func(o *Options) {
		o.Access, o.Quieting, o.Username, o.Password = store, store, testUser, testHash
	}}, change...)...)
}

// visitor is a browser without scripts: it keeps cookies and says where its forms come from.
type visitor struct {
	t       *testing.T
	s       *Service
	cookies map[string]*http.Cookie
	address string
	headers map[string]string
}

func visit(t *testing.T, s *Service) *visitor {
	return &visitor{t: t, s: s, cookies: make(map[string]*http.Cookie), address: "192.0.2.7:1234", headers: map[string]string{
		"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate",
	}}
}

func (v *visitor) do(method, target string, form url.Values) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if r.RemoteAddr = v.address; form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range v.headers {
		r.Header.Set(name, value)
	}
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.s.Handler().ServeHTTP(w, r)
	isDescribed(v.s, r, w)
	for _, c := range w.Result().Cookies() {
		if v.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	return w
}

func (v *visitor) get(target string) *httptest.ResponseRecorder { return v.do("GET", target, nil) }

func (v *visitor) signIn(password string) *httptest.ResponseRecorder {
	return v.do("POST", "/sign-in", url.Values{"username": {testUser}, "password": {password}, "next": {"nodes/a%2Fb?x=1"}})
}

func wantSent(t *testing.T, w *httptest.ResponseRecorder, location string) {
	t.Helper()
	wantStatus(t, w, http.StatusSeeOther)
	if got := w.Header().Get("Location"); got != location {
		t.Errorf("sent to %s, want %s", got, location)
	}
}

func TestSigningInAndOut(t *testing.T) {
	store := realStore(t)
	s := withStore(t, store)
	v := visit(t, s)
	wantSent(t, v.get("/?state=down&q=a%26b"), "./sign-in?next=%3Fstate%3Ddown%26q%3Da%2526b")
	wantSent(t, v.get("/some/page"), "../sign-in?next=some%2Fpage")
	form := v.get("/sign-in?next=nodes/a")
	wantStatus(t, form, 200)
	wantText(t, form, `<html lang="en">`, `name="password" type="password"`, `value="nodes/a"`)
	w := v.signIn("wrong")
	wantStatus(t, w, 401)
	if wantText(t, w, accessEnglish.WrongPassword, `role="alert"`); len(v.cookies) != 0 || w.Header().Get("WWW-Authenticate") != "" {
		t.Error("a wrong password got a cookie, or the browser's question")
	}
	wantSent(t, v.signIn(testPassword), "./nodes/a%2Fb?x=1")
	c := v.cookies[sessionCookie]
	if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.Path != "/" {
		t.Fatalf("cookie %+v", c)
	}
	wantStatus(t, v.get("/"), 200)
	// Another replica, with the same database, knows the session.
	other := visit(t, withStore(t, store))
	other.cookies[sessionCookie] = c
	wantStatus(t, other.get("/api/nodes"), 200)
	// Nothing stored opens the page.
	for _, a := range actionsOf(t, store) {
		if strings.Contains(a.Detail, c.Value) {
			t.Error("the audit log holds a cookie")
		}
	}
	thief := visit(t, s)
	thief.cookies[sessionCookie] = &http.Cookie{Name: sessionCookie, Value: access.Hash(c.Value)}
	wantSent(t, thief.get("/"), "./sign-in?next=")
	wantSent(t, v.do("POST", "/sign-out", url.Values{}), "./")
	if len(v.cookies) != 0 {
		t.Error("the cookie is kept")
	}
	wantSent(t, other.get("/"), "./sign-in?next=")
	if got := kindsOfActions(actionsOf(t, store)); got != "sign_out sign_in sign_in" { // the first of them failed
		t.Errorf("audit log: %s", got)
	}
	if a := actionsOf(t, store)[0]; a.By != testUser || a.Via != viaPassword || a.Address != "192.0.2.7" || a.Outcome != outcomeDone {
		t.Errorf("%+v", a)
	}
}

func kindsOfActions(all []nodestore.Action) string {
	var out []string
	for _, a := range all {
		out = append(out, a.Kind)
	}
	return strings.Join(out, " ")
}

func actionsOf(t *testing.T, store nodestore.Access) []nodestore.Action {
	t.Helper()
	all, err := store.Actions(t.Context(), nodestore.ActionQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestASessionIsOver(t *testing.T) {
	store, now := realStore(t), noon
	clock := func(o *Options) { o.Now = func() time.Time { return now } }
	s := withStore(t, store, clock)
	v := visit(t, s)
	wantSent(t, v.signIn(testPassword), "./nodes/a%2Fb?x=1")
	for range 4 { // used every six days
		now = now.Add(6 * 24 * time.Hour)
		wantStatus(t, v.get("/"), 200)
	}
	now = now.Add(6 * 24 * time.Hour) // the thirtieth day
	wantSent(t, v.get("/"), "./sign-in?next=")
	now = noon
	wantSent(t, v.signIn(testPassword), "./nodes/a%2Fb?x=1")
	now = now.Add(7 * 24 * time.Hour) // not used
	wantSent(t, v.get("/"), "./sign-in?next=")
	now = noon
	wantSent(t, v.signIn(testPassword), "./nodes/a%2Fb?x=1")
	for name, change := range map[string]func(o *Options){
		"another password": func(o *Options) { o.Password = "new" },
		"another user":     func(o *Options) { o.Username = "ben" },
	} {
		changed := visit(t, withStore(t, store, clock, change))
		changed.cookies = v.cookies
		if w := changed.get("/"); w.Code != http.StatusSeeOther {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	wantStatus(t, v.get("/"), 200)
}

func TestTheCookieIsSecureWhereThePageIs(t *testing.T) {
	store := realStore(t)
	var o Options
	if err := o.TrustedProxies.UnmarshalText([]byte("192.0.2.7")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		public, proto string
		trusted       bool
		secure        bool
		path          string
	}{
		{"", "", false, false, "/"}, {"", "https", false, false, "/"}, {"", "https", true, true, "/"}, {"", "http", true, false, "/"},
		{"https://nodes.example.org", "", false, true, "/"}, {"http://nodes.example.org/monitor/", "", false, false, "/monitor/"},
	} {
		v := visit(t, withStore(t, store, func(p *Options) {
			if p.PublicURL = tt.public; tt.trusted {
				p.TrustedProxies = o.TrustedProxies
			}
		}))
		if tt.proto != "" {
			v.headers["X-Forwarded-Proto"] = tt.proto
		}
		wantStatus(t, v.signIn(testPassword), 303)
		if c := v.cookies[sessionCookie]; c == nil || c.Secure != tt.secure || c.Path != tt.path {
			t.Errorf("%+v: cookie %+v", tt, c)
		}
	}
}

// Only a trusted proxy says that the page is reached by HTTPS: also where agents are told to report, and for the cookie of
// the language.
func TestNobodyElseSaysThatItIsHTTPS(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		s := newService(t, newFakeStore(), func(o *Options) {
			o.AgentHint = true
			if trusted {
				if err := o.TrustedProxies.UnmarshalText([]byte("192.0.2.0/24")); err != nil {
					t.Fatal(err)
				}
			}
		})
		w := do(s, "GET", "/?lang=ru", "X-Forwarded-Proto", "https")
		want := map[bool]string{false: "http://example.com/api/heartbeat", true: "https://example.com/api/heartbeat"}[trusted]
		wantText(t, w, " "+want)
		if c := w.Result().Cookies(); len(c) != 1 || c[0].Secure != trusted {
			t.Errorf("trusted %v: cookies %v", trusted, c)
		}
	}
}

func TestOtherSitesCannotAct(t *testing.T) {
	store := realStore(t)
	v := visit(t, withStore(t, store, func(o *Options) { o.PublicURL = "https://nodes.example.org" }))
	wantStatus(t, v.signIn(testPassword), 303)
	foreign := []map[string]string{
		{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
		{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://example.com:81"},
		{}, // a browser that says nothing: only a program does, and a program has no cookie
	}
	ours := []map[string]string{
		{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://example.com"}, {"Origin": "https://nodes.example.org"},
	}
	for _, h := range foreign {
		v.headers = h
		for _, path := range []string{"/api/nodes/alpha", "/sign-in"} {
			method := "DELETE"
			if path == "/sign-in" {
				method = "POST"
			}
			if w := v.do(method, path, url.Values{}); w.Code != http.StatusForbidden {
				t.Errorf("%s with %v: %d %s", path, h, w.Code, w.Body)
			}
		}
	}
	for _, h := range ours {
		v.headers = h
		if w := v.do("DELETE", "/api/nodes/alpha", nil); w.Code != http.StatusNotFound { // there is no such node
			t.Errorf("with %v: %d %s", h, w.Code, w.Body)
		}
	}
	// A program with a token has no cookie that others could use.
	if w := do(withStore(t, store, func(o *Options) { o.AdminToken = adminToken }), "DELETE", "/api/nodes/alpha", "Authorization", "Bearer "+adminToken); w.Code != 404 {
		t.Errorf("a program: %d", w.Code)
	}
}

func TestSendingOnNeverLeavesTheSite(t *testing.T) {
	v := visit(t, withStore(t, realStore(t)))
	for _, next := range []string{"https://evil.example/", "//evil.example", `\\evil.example`, `/\evil.example`, "javascript:alert(1)", "\thttps://evil.example", ""} {
		w := v.do("POST", "/sign-in", url.Values{"username": {testUser}, "password": {testPassword}, "next": {next}})
		wantStatus(t, w, 303)
		at, err := url.Parse("https://nodes.example.org/sign-in")
		if err != nil {
			t.Fatal(err)
		}
		location := w.Header().Get("Location")
		to, err := at.Parse(strings.ReplaceAll(location, `\`, "/")) // as browsers read it
		if err != nil {
			continue // nobody goes where nobody can read
		}
		if to.Host != at.Host || to.Scheme != "https" || !strings.HasPrefix(location, "./") {
			t.Errorf("%q: sent to %s", next, to)
		}
	}
}

func TestFailedAttemptsAreLimited(t *testing.T) {
	now := noon
	s := withStore(t, realStore(t), func(o *Options) {
		o.Now = func() time.Time { return now }
		o.AdminToken = adminToken
	})
	v := visit(t, s)
	tries := map[string]func(right bool) int{
		"form": func(right bool) int {
			return v.signIn(map[bool]string{true: testPassword, false: "wrong"}[right]).Code
		},
		"basic": func(right bool) int {
			v.headers["Authorization"] = basic(testUser, map[bool]string{true: testPassword, false: "wrong"}[right])
			defer delete(v.headers, "Authorization")
			return v.get("/api/nodes").Code
		},
		"token": func(right bool) int {
			v.headers["Authorization"] = "Bearer " + map[bool]string{true: adminToken, false: "wrong"}[right]
			defer delete(v.headers, "Authorization")
			return v.get("/api/nodes").Code
		},
	}
	host := 0
	for name, try := range tries {
		host++
		v.address = fmt.Sprintf("198.51.100.%d:99", host)
		for i := range 10 {
			if code := try(false); code != 401 {
				t.Fatalf("%s: attempt %d: %d", name, i, code)
			}
		}
		// Else guessing could go on, with the one right guess told from the others.
		if code := try(true); code != 429 {
			t.Errorf("%s: the right one after too many wrong ones: %d", name, code)
		}
		now = now.Add(6 * time.Second)
		if code := try(true); code != 200 && code != 303 {
			t.Errorf("%s: the right one later: %d", name, code)
		}
	}
	v.headers["Authorization"] = basic(testUser, testPassword)
	v.address = "203.0.113.1:5" // elsewhere nobody has guessed
	for range 1000 {
		wantStatus(t, v.get("/api/nodes"), 200)
	}
}

func TestManyAddressesShareALimit(t *testing.T) {
	s := withStore(t, realStore(t))
	good := visit(t, s)
	good.headers["Authorization"] = basic(testUser, testPassword)
	wantStatus(t, good.get("/"), 200)
	v := visit(t, s)
	codes := map[int]int{}
	for i := range 200 {
		v.address = fmt.Sprintf("10.1.%d.1:9", i)
		codes[v.signIn("wrong").Code]++
	}
	if codes[401] != 100 || codes[429] != 100 {
		t.Errorf("%v", codes)
	}
	wantStatus(t, good.get("/"), 200) // who was in before stays in
	good.headers["Authorization"] = ""
	wantStatus(t, good.signIn(testPassword), 303)
	v.address = "10.9.9.9:9"
	wantStatus(t, v.signIn(testPassword), 429)
}

// Whoever looks without signing in finds no address anywhere, and nobody's name.
func TestPublicViewHidesAddresses(t *testing.T) {
	store := realStore(t)
	evidence := "dial tcp 198.51.100.11:3000: connection refused; [2001:db8::9]:80; 127.0.0.1:3000; 12:30:01; v1.2.3"
	fold(t, store,
		node.Message{Seq: 1, Stamp: ago(time.Hour), Heartbeats: []node.Heartbeat{{NodeID: "foxtrot", IP: "198.51.100.9"}, {NodeID: "golf", IP: "198.51.100.10"}}},
		node.Message{Seq: 2, Stamp: ago(time.Minute), Heartbeats: []node.Heartbeat{{
			NodeID: "foxtrot", IP: "198.51.100.9", Meta: "at=198.51.100.10", Status: "DOWN", Reason: "from_198.51.100.15", Evidence: evidence,
			Workload: `{"peer":"198.51.100.12:7","phase":"waiting"}`, Metrics: `{"host":"2001:db8::13","cpus":4}`,
			Annotations: []node.Annotation{{At: ago(time.Hour), Status: "DOWN", Reason: "from_198.51.100.16", Evidence: "at 198.51.100.14"}},
		}}},
		node.Message{Seq: 3, Stamp: ago(time.Second), Command: &node.Command{NodeID: "golf", Delete: true, By: "carol@example.org"}})
	if _, err := store.Acknowledge(t.Context(), "foxtrot", ago(time.Minute), "carol@example.org"); err != nil {
		t.Fatal(err)
	}
	s := withStore(t, store, func(o *Options) { o.PublicView, o.AdminToken = true, adminToken })
	s.Process([]byte(`{"v":1,"service":"ingest","id":"ip-198-51-100-20","version":"1.2.3"}`))
	wantText(t, do(s, "GET", "/monitor", "Authorization", basic(testUser, testPassword)), `<bdi>ip-198-51-100-20</bdi> <bdi class="small">`, "<bdi>ip-198-51-100-20</bdi></td>", "fold-owner")
	wantText(t, do(s, "GET", "/monitor"), "1.2.3")
	secrets := []string{"198.51.100", "198-51-100", "2001:db8::", "carol", "fold-owner"}
	for _, path := range []string{
		"/", "/?q=foxtrot", "/nodes/foxtrot", "/incidents", "/monitor", "/api/nodes", "/api/nodes?format=csv", "/api/nodes/foxtrot", "/api/incidents",
		"/api/incidents?format=csv", "/api/stats",
	} {
		// Who is signed in comes first, and after: what one of them was shown is nobody else's.
		for range 2 {
			signed := do(s, "GET", path, "Authorization", basic(testUser, testPassword), "Accept", "text/html")
			wantStatus(t, signed, 200)
			if strings.Contains(path, "nodes") && !strings.Contains(signed.Body.String(), "198.51.100.9") {
				t.Errorf("%s hides addresses from who is signed in", path)
			}
			public := do(s, "GET", path, "Accept", "text/html")
			wantStatus(t, public, 200)
			for _, secret := range secrets {
				if strings.Contains(public.Body.String(), secret) {
					t.Errorf("%s shows %s to everybody: %s", path, secret, public.Body)
				}
			}
			if tag := signed.Header().Get("ETag"); tag != "" && tag == public.Header().Get("ETag") {
				t.Errorf("%s: both have the tag %s", path, tag)
			}
		}
	}
	wantStatus(t, do(s, "GET", "/", "Authorization", basic(testUser, "wrong")), 401)
	wantText(t, do(s, "GET", "/nodes/foxtrot"), "127.0.0.1:3000; 12:30:01; v1.2.3", "cpus")
	// Nor does who may see all get what was read for everybody.
	fresh := withStore(t, store, func(o *Options) { o.PublicView = true })
	wantStatus(t, do(fresh, "GET", "/api/nodes"), 200)
	wantText(t, do(fresh, "GET", "/api/nodes", "Authorization", basic(testUser, testPassword)), "198.51.100.9")
	e := transition(1, "foxtrot", node.Down)
	e.Reason = "from_198.51.100.17"
	if m := encodeEvent(&e); strings.Contains(string(m.data), "198.51") {
		t.Errorf("the stream tells everybody %s", m.data)
	}
	// What is not shown cannot be guessed by searching.
	for _, q := range []string{"198.51", "100.10"} {
		for _, path := range []string{"/api/nodes?q=", "/?q="} {
			if body := do(s, "GET", path+q).Body.String(); strings.Contains(body, "foxtrot") {
				t.Errorf("%s%s finds %s", path, q, body)
			}
		}
	}
	wantText(t, do(s, "GET", "/api/nodes?q=198.51", "Authorization", "Bearer "+adminToken), "foxtrot")
	wantStatus(t, do(s, "DELETE", "/api/nodes/foxtrot"), 401)
}

func TestHideAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"dial tcp 10.0.0.5:3000: refused": "dial tcp …: refused", "10.0.0.5": "…", "at 10.0.0.5.": "at ….", "d:10.0.0.5": "d:…", "1::": "…", "see 2001:db8::1:": "see …:", "[2001:db8::1]:80 x": "… x",
		"::1 127.0.0.1:1 0.0.0.0:80": "::1 127.0.0.1:1 0.0.0.0:80", "12:30:01 1.2.3 rig.local GPU 0: 91 °C": "12:30:01 1.2.3 rig.local GPU 0: 91 °C",
		"fe80::1%eth0": "…", "::ffff:10.0.0.5": "…", "peer=10.0.0.5,x=1": "peer=…,x=1", "": "",
	} {
		if got := hideAddresses(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestPasswordHashes(t *testing.T) {
	hash := testHash.Reveal()
	s := withStore(t, realStore(t), func(o *Options) { o.Password = testPassword })
	wantStatus(t, do(s, "GET", "/", "Authorization", basic(testUser, testPassword)), 200)
	wantStatus(t, visit(t, s).signIn(testPassword), 303)
	s = withStore(t, realStore(t))
	wantStatus(t, do(s, "GET", "/", "Authorization", basic(testUser, testPassword)), 200)
	wantStatus(t, do(s, "GET", "/", "Authorization", basic(testUser, hash)), 401)
	wantStatus(t, visit(t, s).signIn(testPassword), 303)
	for _, bad := range []string{"$2a$10$short", hash + "x", "$2b$99" + hash[6:], "$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA"} {
		c := Config{Username: testUser, Password: settings.Secret(bad)}
		if err := c.Check(); err == nil || strings.Contains(err.Error(), bad) || !strings.HasPrefix(err.Error(), "WEB_PASSWORD=*** is not allowed") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestWhoIsAskedHow(t *testing.T) {
	s := withStore(t, realStore(t), func(o *Options) { o.AdminToken = adminToken })
	for name, tt := range map[string]struct {
		headers []string
		status  int
		basic   bool
	}{
		"a program":                   {nil, 401, true},
		"a browser":                   {[]string{"Accept", "text/html"}, 303, false},
		"a browser, wrong password":   {[]string{"Accept", "text/html", "Authorization", basic("ann", "x")}, 401, true},
		"the page's script":           {[]string{"Accept", "text/html", "Sec-Fetch-Mode", "cors", "Authorization", "Bearer x"}, 401, false},
		"htmx":                        {[]string{"HX-Request", "true"}, 401, false},
		"an event stream":             {[]string{"Accept", "text/event-stream"}, 401, false},
		"a browser, of no great help": {[]string{"Accept", "*/*", "Sec-Fetch-Mode", "navigate"}, 401, true},
	} {
		w := do(s, "GET", "/", tt.headers...)
		if got := strings.Contains(strings.Join(w.Header().Values("WWW-Authenticate"), ","), "Basic"); w.Code != tt.status || got != tt.basic {
			t.Errorf("%s: %d, asked %v", name, w.Code, got)
		}
	}
	// A browser that has the password by itself is let in, and gets a session.
	v := visit(t, s)
	if w := v.get("/sign-in/basic?next=x"); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%d", w.Code)
	}
	v.headers["Authorization"] = basic(testUser, testPassword)
	wantSent(t, v.get("/sign-in/basic?next=x"), "../x")
	delete(v.headers, "Authorization")
	wantStatus(t, v.get("/"), 200)
}

func TestADatabaseAwaySignsNobodyOut(t *testing.T) {
	store := realStore(t)
	s := withStore(t, store)
	v := visit(t, s)
	wantStatus(t, v.signIn(testPassword), 303)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, v.get("/api/nodes"), 503)
	if w := v.do("POST", "/sign-out", url.Values{}); w.Code != 503 || v.cookies[sessionCookie] == nil {
		t.Errorf("signed out although the session could not be ended: %d", w.Code)
	}
	wantStatus(t, visit(t, s).signIn(testPassword), 503)
}
