package web

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

// testProvider is an OpenID provider that believes whatever it is told.
type testProvider struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey

	mu     sync.Mutex
	away   bool
	claims map[string]any // of the next identity, over the usual ones
	signer *rsa.PrivateKey
	codes  map[string]url.Values // what was asked for, by code
}

const clientID, clientSecret = "monitor", "client-secret-1"

func newProviderOf(t *testing.T) *testProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &testProvider{t: t, key: key, signer: key, codes: make(map[string]url.Values)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{
			"issuer": p.server.URL, "authorization_endpoint": p.server.URL + "/authorize", "token_endpoint": p.server.URL + "/token",
			"jwks_uri": p.server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "1", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("/token", p.token)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.away {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.server.Close)
	return p
}

func (p *testProvider) set(change func(p *testProvider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *testProvider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

// authorize is what the provider's own page does once its user agrees: it sends the browser back.
func (p *testProvider) authorize(address string) string {
	p.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	if !strings.HasPrefix(address, p.server.URL+"/authorize?") || q.Get("client_id") != clientID || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" || !strings.Contains(q.Get("scope"), "openid") ||
		q.Get("redirect_uri") != "https://nodes.example.org/sign-in/oidc/callback" {
		p.t.Fatalf("the browser was sent to %s", address)
	}
	code := rand.Text()
	p.set(func(p *testProvider) { p.codes[code] = q })
	return "/sign-in/oidc/callback?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
}

// token exchanges a code, once, for who knows the secret and the verifier.
func (p *testProvider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	asked, known := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if id != clientID || secret != clientSecret || !known ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]string{"error": "invalid_grant", "error_description": secret})
		return
	}
	claims := map[string]any{
		"iss": p.server.URL, "aud": clientID, "sub": "42", "nonce": asked.Get("nonce"), "email": "Ann@example.org", "email_verified": true,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	for name, v := range p.claims {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: p.signer, KeyID: "1"}}, nil)
	if err != nil {
		p.t.Error(err)
	}
	data, _ := json.Marshal(claims)
	signed, err := signer.Sign(data)
	if err != nil {
		p.t.Error(err)
		return
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		p.t.Error(err)
	}
	p.answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": compact})
}

func withProvider(t *testing.T, p *testProvider, change ...func(o *Options)) *Service {
	t.Helper()
	return withStore(t, realStore(t), append([]func(o *Options){func(o *Options) {
		o.Username, o.Password, o.PublicURL, o.Now = "", "", "https://nodes.example.org", time.Now
		o.OIDC = access.OIDC{Issuer: p.server.URL, ClientID: clientID, ClientSecret: clientSecret, Allowed: access.Allowed{"ann@example.org", "@team.example"}}
	}}, change...)...)
}

func TestSigningInWithAProvider(t *testing.T) {
	p := newProviderOf(t)
	s := withProvider(t, p)
	v := visit(t, s)
	wantSent(t, v.get("/nodes/a?x=1"), "../sign-in?next=nodes%2Fa%3Fx%3D1")
	form := v.get("/sign-in?next=nodes%2Fa%3Fx%3D1")
	wantText(t, form, "Sign in with the team", `href="./sign-in/oidc?next=nodes%2fa%3fx%3d1"`)
	if strings.Contains(form.Body.String(), `type="password"`) {
		t.Error("a password is asked for, and there is none")
	}
	back := p.authorize(ask303(t, v, "/sign-in/oidc?next=nodes%2Fa%3Fx%3D1"))
	v.headers["Sec-Fetch-Site"] = "cross-site" // as it is, coming from the provider
	wantSent(t, v.get(back), "../../nodes/a?x=1")
	if c := v.cookies[sessionCookie]; c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || v.cookies[questionCookie] != nil {
		t.Errorf("cookies %+v", v.cookies)
	}
	wantStatus(t, v.get("/api/nodes"), 200)
	if a := actionsOf(t, s.Access)[0]; a.By != "Ann@example.org" || a.Via != viaOIDC || a.Kind != "sign_in" {
		t.Errorf("%+v", a)
	}
	// The same answer again is nobody's.
	again := visit(t, s)
	wantStatus(t, again.get(back), 400)
	// Who is taken off the list is out at once.
	s.OIDC.Allowed = access.Allowed{"ben@example.org"}
	wantSent(t, v.get("/"), "./sign-in?next=")
}

// ask303 begins at the monitor and returns where the browser is sent.
func ask303(t *testing.T, v *visitor, path string) string {
	t.Helper()
	w := v.get(path)
	wantStatus(t, w, http.StatusSeeOther)
	return w.Header().Get("Location")
}

func TestWhoTheProviderDoesNotSpeakFor(t *testing.T) {
	p := newProviderOf(t)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var log logLines
	s := withProvider(t, p, log.to)
	tries := 0
	for name, tt := range map[string]struct {
		claims map[string]any
		signer *rsa.PrivateKey
		spoil  func(v *visitor, back string) string
		status int
	}{
		"not on the list":         {claims: map[string]any{"email": "ann@example.com"}, status: 403},
		"not verified":            {claims: map[string]any{"email_verified": false}, status: 403},
		"verified is not said":    {claims: map[string]any{"email_verified": nil}, status: 403},
		"no address":              {claims: map[string]any{"email": nil}, status: 403},
		"for another program":     {claims: map[string]any{"aud": "other"}, status: 502},
		"of another provider":     {claims: map[string]any{"iss": "https://evil.example"}, status: 502},
		"too old":                 {claims: map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, status: 502},
		"another question":        {claims: map[string]any{"nonce": "other"}, status: 400},
		"signed by somebody else": {signer: foreign, status: 502},
		"another state":           {spoil: func(_ *visitor, back string) string { return strings.Replace(back, "state=", "state=x", 1) }, status: 400},
		"no state":                {spoil: func(_ *visitor, back string) string { return back[:strings.Index(back, "&state=")] }, status: 400},
		"another browser":         {spoil: func(v *visitor, back string) string { v.cookies = map[string]*http.Cookie{}; return back }, status: 400},
		"another verifier": {spoil: func(v *visitor, back string) string {
			q, err := access.DecodeQuestion(v.cookies[questionCookie].Value)
			if err != nil {
				t.Fatal(err)
			}
			q.Verifier += "x"
			v.cookies[questionCookie].Value = q.Encode()
			return back
		}, status: 502},
		"the user said no": {spoil: func(_ *visitor, back string) string {
			return back[:strings.Index(back, "?")] + "?error=access_denied&" + back[strings.Index(back, "state="):]
		}, status: 403},
	} {
		p.set(func(p *testProvider) {
			p.claims, p.signer = tt.claims, p.key
			if tt.signer != nil {
				p.signer = tt.signer
			}
		})
		v := visit(t, s)
		tries++
		v.address = fmt.Sprintf("198.51.100.%d:1", tries) // of one, attempts are limited
		back := p.authorize(ask303(t, v, "/sign-in/oidc"))
		if tt.spoil != nil {
			back = tt.spoil(v, back)
		}
		w := v.get(back)
		if w.Code != tt.status || v.cookies[sessionCookie] != nil || !strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("%s: %d, cookies %v", name, w.Code, v.cookies)
		}
	}
	if text := strings.Join(log.lines, ""); strings.Contains(text, clientSecret) {
		t.Error("the client's secret is in the log")
	}
	// Who was known and not let in stands in the audit log, and why.
	var denied []string
	for _, a := range actionsOf(t, s.Access) {
		if a.Kind != "sign_in" || a.Via != viaOIDC || a.By != "" || !strings.HasPrefix(a.Address, "198.51.100.") {
			t.Errorf("%+v", a)
		}
		denied = append(denied, a.Outcome)
	}
	if text := strings.Join(denied, "\n"); len(denied) != 5 || !strings.Contains(text, `failed: may not sign in: "ann@example.com" is not in OIDC_ALLOWED`) {
		t.Errorf("%d are recorded: %s", len(denied), text)
	}
}

// An answer that nobody asked for costs the provider a question: of one address only so many are asked.
func TestAnswersOfAProviderAreLimited(t *testing.T) {
	p := newProviderOf(t)
	now := time.Now()
	s := withProvider(t, p, func(o *Options) { o.Now = func() time.Time { return now } })
	v := visit(t, s)
	codes := map[int]int{}
	for range 30 {
		back := p.authorize(ask303(t, v, "/sign-in/oidc"))
		codes[v.get(strings.Replace(back, "code=", "code=x", 1)).Code]++
	}
	if codes[502] != 10 || codes[429] != 20 {
		t.Errorf("%v", codes)
	}
	now = now.Add(6 * time.Second)
	wantSent(t, v.get(p.authorize(ask303(t, v, "/sign-in/oidc"))), "../../")
}

func TestAProviderThatIsAway(t *testing.T) {
	p := newProviderOf(t)
	p.away = true
	s := withProvider(t, p, func(o *Options) { o.Username, o.Password = testUser, testHash })
	v := visit(t, s)
	w := v.get("/sign-in/oidc?next=x")
	wantStatus(t, w, 503)
	wantText(t, w, accessEnglish.NoProvider, `type="password"`)
	wantStatus(t, v.signIn(testPassword), 303) // the password works
	p.set(func(p *testProvider) { p.away = false })
	v = visit(t, s)
	back := p.authorize(ask303(t, v, "/sign-in/oidc"))
	p.set(func(p *testProvider) { p.away = true })
	wantStatus(t, v.get(back), 502)
	p.set(func(p *testProvider) { p.away = false })
	wantSent(t, v.get(p.authorize(ask303(t, v, "/sign-in/oidc"))), "../../")
}

func TestOIDCSettings(t *testing.T) {
	whole := Config{
		PublicURL: "https://nodes.example.org", OIDCIssuer: "https://accounts.example.org", OIDCClientID: "a", OIDCSecret: "b",
		OIDCAllowed: access.Allowed{"@example.org"},
	}
	if err := whole.Check(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(c *Config){
		"OIDC_ISSUER= is not allowed":        func(c *Config) { c.OIDCIssuer = "" },
		"OIDC_ISSUER=accounts is not":        func(c *Config) { c.OIDCIssuer = "accounts" },
		"OIDC_CLIENT_ID= is not allowed":     func(c *Config) { c.OIDCClientID = "" },
		"OIDC_CLIENT_SECRET= is not allowed": func(c *Config) { c.OIDCSecret = "" },
		"OIDC_ALLOWED= is not allowed":       func(c *Config) { c.OIDCAllowed = nil },
		"PUBLIC_URL= is not allowed":         func(c *Config) { c.PublicURL = "" },
		"INGEST_URL=x is not allowed":        func(c *Config) { c.IngestURL = "x" },
	} {
		c := whole
		spoil(&c)
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if w := do(newService(t, newFakeStore()), "GET", "/sign-in/oidc"); w.Code != 404 {
		t.Errorf("without a provider: %d", w.Code)
	}
}
