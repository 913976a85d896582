package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// What follows stands in docs/webhook.md, letter by letter.

// verify returns the body of a genuine request that is not older than five minutes.
func verify(r *http.Request, secret string, now time.Time) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	timestamp := r.Header.Get("X-Gensyn-Timestamp")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "." + string(body)))
	want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	if !hmac.Equal([]byte(want), []byte(r.Header.Get("X-Gensyn-Signature"))) {
		return nil, errors.New("wrong signature")
	}
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return nil, errors.New("too old")
	}
	return body, nil
}

// That was it.

// documents are the pages about the webhook, by language.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, name := range []string{"webhook.md", "webhook.ru.md"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	return out
}

// fence is the block of a language in a page.
func fence(t *testing.T, page, language string) string {
	t.Helper()
	_, after, ok := strings.Cut(page, "```"+language+"\n")
	code, _, closed := strings.Cut(after, "```")
	if !ok || !closed {
		t.Fatalf("no %s in the page", language)
	}
	return code
}

// cases are requests as a receiver gets them: one that is genuine, and those that are not.
func cases(t *testing.T) map[string]post {
	t.Helper()
	body, err := Render(notifications()["down"])
	if err != nil {
		t.Fatal(err)
	}
	made := func(at time.Time, secret settings.Secret, change func(*post)) post {
		url, posts := receiver(t)
		s := New(Options{URL: settings.Secret(url), Secret: secret, Now: func() time.Time { return at }})
		defer s.Close()
		if err := send(t, s, body); err != nil {
			t.Fatal(err)
		}
		p := posts()[0]
		change(&p)
		return p
	}
	asIs := func(*post) {}
	return map[string]post{
		"genuine":          made(noon.Add(time.Minute), secret, asIs),
		"another secret":   made(noon, "other", asIs),
		"no secret":        made(noon, "", asIs),
		"another body":     made(noon, secret, func(p *post) { p.body = strings.Replace(p.body, "down", "up", 1) }),
		"another time":     made(noon, secret, func(p *post) { p.header.Set(HeaderTimestamp, "1772366401") }),
		"sent again later": made(noon.Add(-6*time.Minute), secret, asIs),
	}
}

func TestTheGoOfTheDocument(t *testing.T) {
	source, err := os.ReadFile("verify_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(source), "letter by letter.\n\n")
	code, _, _ := strings.Cut(after, "\n// That was it.")
	for name, page := range documents(t) {
		if got := fence(t, page, "go"); got != code {
			t.Errorf("%s has other code than is tested:\n%s", name, got)
		}
	}
	for name, p := range cases(t) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(p.body))
		r.Header = p.header
		body, err := verify(r, secret.Reveal(), noon)
		if genuine := name == "genuine"; (err == nil) != genuine || genuine && string(body) != p.body {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestThePythonOfTheDocument(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here: its example is not run")
	}
	pages := documents(t)
	code := fence(t, pages["webhook.md"], "python")
	if fence(t, pages["webhook.ru.md"], "python") != code {
		t.Error("the two pages have different Python")
	}
	const run = `
import sys
secret, timestamp, signature, now = sys.argv[1:]
headers = {"X-Gensyn-Timestamp": timestamp, "X-Gensyn-Signature": signature}
print(verify(secret, headers, sys.stdin.buffer.read(), float(now)))
`
	for name, p := range cases(t) {
		cmd := exec.CommandContext(t.Context(), python, "-c", code+run, secret.Reveal(),
			p.header.Get(HeaderTimestamp), p.header.Get(HeaderSignature), strconv.FormatInt(noon.Unix(), 10))
		cmd.Stdin = strings.NewReader(p.body)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if got := strings.TrimSpace(string(out)); (got == "True") != (name == "genuine") || got != "True" && got != "False" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// The JSON of the document is what is posted.
func TestTheExampleOfTheDocument(t *testing.T) {
	n := notifications()["down"]
	body, err := Render(n)
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range documents(t) {
		var shown bytes.Buffer
		if err := json.Compact(&shown, []byte(fence(t, page, "json"))); err != nil {
			t.Fatal(err)
		}
		if shown.String() != body {
			t.Errorf("%s shows\n%s, posted is\n%s", name, shown.String(), body)
		}
	}
}
